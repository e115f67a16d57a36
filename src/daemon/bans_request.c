/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <syslog.h>

#include "ban/escalate.h"
#include "daemon/bans.h"

/* Who is to be banned and unbanned, and the answers. */

#define REFUSED RPC_INTERFACE ".BanRefused"
#define SECOND INT64_C(1000000)

/* What became of a request: an answer, or an error with its reason. */
typedef struct BanAnswer {
        json_t *reply;
        const char *error, *why;
} BanAnswer;

typedef struct BanAct {
        bool bans; /* it shuts somebody out */
        int (*run)(BanTurn *turn, const BanCall *call, BanAnswer *ret);
} BanAct;

static int refuse(BanAnswer *ret, const char *error, const char *why) {
        *ret = (BanAnswer){.error = error, .why = why};
        return why ? 0 : -ENOMEM;
}

/* ---- ban */

/* What is wanted, as it came. */
typedef struct Wish {
        const char *address, *jail, *source, *reason;
        int64_t seconds;    /* 0: for ever */
        int64_t until_usec; /* 0: not said */
        const char **services;
        size_t n_services;
        bool is_import, is_wide, is_restored;
} Wish;

typedef struct Outcome {
        BanChange change; /* of the last service, or the only one */
        BanEntry key;
        const char *error, *why; /* NULL: it is banned */
        bool is_longer;          /* than what was asked for */
        BanEntry widened;        /* with it; prefix 0: none */
} Outcome;

static const char *check_texts(BanTurn *turn, const Wish *w) {
        const struct {
                const char *name, *text;
                size_t max;
        } rows[] = {{"reason", w->reason, BAN_REASON_MAX},
                    {"jail's name", w->jail, BAN_NAME_MAX},
                    {"source's name", w->source, BAN_NAME_MAX}};

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *wrong = rows[i].text ? ban_check_text(rows[i].text, rows[i].max) : NULL;

                if (wrong)
                        return arena_printf(turn->arena,
                                            "the %s cannot be kept: %s (at most %zu bytes)",
                                            rows[i].name, wrong, rows[i].max);
        }
        return NULL;
}

/* By whom, if not by hand. */
static const char *name_of(const Wish *w) {
        return w->jail && *w->jail ? w->jail : w->source ? w->source : "";
}

static const char *check_width(BanTurn *turn, const Wish *w, const BanEntry *key, int *ret_r) {
        static const unsigned int ever[_FAMILY_MAX] = {BANS_WIDEST_IPV4, BANS_WIDEST_IPV6};
        const unsigned int *widest = turn->d->ban_rules.rules.widest;
        const char *why =
                never_refuse(turn->arena, &turn->never, w->is_wide ? ever : widest, key, ret_r);

        if (!why || w->is_wide || key->prefix >= widest[key->family] ||
            key->prefix < ever[key->family] || *name_of(w))
                return why;
        why = arena_printf(turn->arena, "%s; by hand, --wide bans down to a /%u", why,
                           ever[key->family]);
        *ret_r = why ? 0 : -ENOMEM;
        return why;
}

/* Everything that can be said against it before anything is done. */
static int check_wish(BanTurn *turn, const Wish *w, Outcome *ret) {
        int64_t cost;
        int r;

        *ret = (Outcome){.error = BAN_INVALID};
        if (w->n_services > BAN_SERVICES_MAX) {
                ret->why = arena_printf(turn->arena, "at most %d services can be shut at once",
                                        BAN_SERVICES_MAX);
                return ret->why ? 0 : -ENOMEM;
        }
        r = ban_parse_address(turn->arena, w->address,
                              w->n_services > 0 ? BAN_HOST_IPV6 : turn->d->ban_rules.rules.ipv6,
                              &ret->key, &ret->why);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return 0;
        ret->why = check_texts(turn, w);
        if (!ret->why && w->is_wide && *name_of(w))
                ret->why = "wider than the policy says is banned by hand alone, without a jail "
                           "and a source";
        if (ret->why)
                return 0;
        ret->error = REFUSED;
        ret->why = check_width(turn, w, &ret->key, &r);
        if (r == 0 && !ret->why)
                ret->why = bans_check_length(turn, &ret->key);
        if (r < 0 || ret->why || w->is_import)
                return r;
        ret->error = RPC_FAILED;
        cost = w->is_restored ? 0 : limits_cost(&ret->key) * (int64_t)MAX(w->n_services, 1UL);
        return bans_charge(turn, name_of(w), cost, &ret->why);
}

int bans_note_change(const BanChange *change, void *to) {
        BanTurn *turn = to;

        turn_step(turn->d, 0);
        turn->n_bans += change->until_usec > 0 ? !change->was_there : -(int64_t)change->was_there;
        return arena_append(turn->arena, turn->changes, turn->n_changes, *change) ? 0 : -ENOMEM;
}

/* Who was banned before is banned for longer: the store knows how often that was once it has
 * written the ban down. */
static int escalate(BanTurn *turn, const Wish *w, Ban *ban, BanChange *change, bool *ret_longer) {
        const Escalation *e = &turn->d->ban_rules.rules.escalate;
        int64_t seconds = escalate_seconds(e, w->seconds, change->times);
        BanChange longer;
        int r;

        if (w->is_import || w->is_restored || seconds == w->seconds)
                return 0;
        ban->until_usec = turn->now_usec + seconds * SECOND;
        r = ban_store_put(turn->d->bans->store, ban, turn->now_usec, &longer);
        if (r < 0)
                return r;
        *ret_longer = true;
        change->until_usec = longer.until_usec;
        change->kernel_usec = longer.kernel_usec;
        return 0;
}

/* A disk that is full does not keep anybody from being shut out. */
static int put_key(BanTurn *turn,
                   const Wish *w,
                   const BanEntry *key,
                   int64_t uid,
                   BanChange *ret,
                   bool *ret_longer) {
        Bans *b = turn->d->bans;
        Ban ban = {.key = *key,
                   .jail = w->jail ? w->jail : "",
                   .source = w->source ? w->source : "",
                   .reason = w->reason ? w->reason : "",
                   .since_usec = turn->now_usec,
                   .until_usec = BAN_EVER,
                   .uid = uid,
                   .is_restored = w->is_restored};
        int r;

        if (w->until_usec > 0)
                ban.until_usec = w->until_usec;
        else if (w->seconds > 0)
                ban.until_usec = turn->now_usec + w->seconds * SECOND;
        r = ban_store_put(b->store, &ban, turn->now_usec, ret);
        if (r == 0)
                r = escalate(turn, w, &ban, ret, ret_longer);
        if (r < 0) {
                turn->error = r;
                *ret = (BanChange){.key = *key,
                                   .until_usec = ban.until_usec,
                                   .kernel_usec = ban.until_usec,
                                   .before_usec = 1,
                                   .times = 1};
        }
        if (key->protocol == 0)
                b->has_prefix[key->family][key->prefix] = true;
        return bans_note_change(ret, turn);
}

static int ban_one(BanTurn *turn, const Wish *w, int64_t uid, Outcome *ret) {
        BanEntry *keys;
        int r = check_wish(turn, w, ret);

        if (r < 0 || ret->why)
                return r;
        keys = arena_alloc_array(turn->arena, w->n_services + 1, sizeof(*keys));
        if (!keys)
                return -ENOMEM;
        keys[0] = ret->key;
        for (size_t i = 0; i < w->n_services && r == 0; i++) {
                keys[i] = ret->key;
                r = ban_parse_service(turn->arena, w->services[i], &keys[i], &ret->why);
        }
        ret->error = r < 0 ? BAN_INVALID : RPC_FAILED;
        for (size_t i = 0; i < MAX(w->n_services, 1UL) && r == 0; i++) {
                r = bans_make_room(turn, &keys[i], w->jail ? w->jail : "", &ret->why);
                if (r < 0 || ret->why)
                        break;
                r = put_key(turn, w, &keys[i], uid, &ret->change, &ret->is_longer);
                if (r == 0 && !w->is_import)
                        bans_charge_new(turn, name_of(w), !ret->change.was_there);
        }
        if (r == 0 && !ret->why && !w->is_import)
                r = bans_widen(turn, &keys[0], ret->change.until_usec, uid, &ret->widened);
        return r == -EBADMSG ? 0 : r;
}

static json_t *json_change(const Outcome *o) {
        char buf[ADDRESS_TEXT_MAX];
        json_t *object =
                json_pack("{s:s, s:b, s:I}", "address", ban_print_address(&o->key, buf), "extended",
                          o->change.was_there, "times", (json_int_t)o->change.times);

        if (o->change.until_usec != BAN_EVER)
                (void)json_object_set_new(object, "until", json_integer(o->change.until_usec));
        if (o->is_longer)
                (void)json_object_set_new(object, "escalated", json_true());
        if (o->widened.prefix > 0)
                (void)json_object_set_new(object, "widened",
                                          json_string(ban_print_address(&o->widened, buf)));
        return object;
}

static int64_t uid_of(const BanCall *call) {
        return (int64_t)rpc_call_peer(call->call)->uid;
}

static int run_ban(BanTurn *turn, const BanCall *call, BanAnswer *ret) {
        const BanRequest *q = call->parameters;
        const Wish w = {
                .address = q->address,
                .jail = q->jail,
                .source = q->source,
                .reason = q->reason,
                .seconds = q->seconds,
                .services = q->services.items,
                .n_services = q->services.n_items,
                .is_wide = q->wide,
                .is_restored = q->restored,
        };
        Outcome o;
        int r;

        r = ban_one(turn, &w, uid_of(call), &o);
        if (r < 0)
                return r;
        if (o.why)
                return refuse(ret, o.error, o.why);
        ret->reply = json_change(&o);
        return 0;
}

static const char *text_of(const json_t *object, const char *key, const char *otherwise) {
        const char *text = json_string_value(json_object_get(object, key));

        return text ? text : otherwise;
}

static int import_one(BanTurn *turn, const BanCall *call, const json_t *entry, Outcome *ret) {
        const BanImportRequest *q = call->parameters;
        const char *service = text_of(entry, "service", NULL);
        json_int_t until = json_integer_value(json_object_get(entry, "until"));
        const Wish w = {
                .address = text_of(entry, "address", ""),
                .jail = text_of(entry, "jail", q->jail),
                .source = text_of(entry, "source", q->source),
                .reason = text_of(entry, "reason", q->reason),
                .seconds = q->seconds,
                .until_usec = until,
                .services = &service,
                .n_services = service != NULL,
                .is_import = true,
        };

        if (until != 0 && until <= turn->now_usec) {
                *ret = (Outcome){.error = BAN_INVALID, .why = "it is over already"};
                return 0;
        }
        if (until > turn->now_usec + BAN_SECONDS_MAX * SECOND) {
                *ret = (Outcome){.error = BAN_INVALID, .why = "it ends in more than 100 years"};
                return 0;
        }
        return ban_one(turn, &w, uid_of(call), ret);
}

static int run_import(BanTurn *turn, const BanCall *call, BanAnswer *ret) {
        const BanImportRequest *q = call->parameters;
        json_t *refused = json_array();
        json_int_t added = 0, extended = 0;
        int r = 0;

        for (size_t i = 0; i < json_array_size(q->entries) && r == 0; i++) {
                Outcome o;

                r = import_one(turn, call, json_array_get(q->entries, i), &o);
                if (r == 0 && o.why)
                        (void)json_array_append_new(
                                refused,
                                json_pack("{s:I, s:s}", "index", (json_int_t)i, "message", o.why));
                else if (r == 0)
                        *(o.change.was_there ? &extended : &added) += 1;
        }
        ret->reply = json_pack("{s:I, s:I, s:o}", "added", added, "extended", extended, "refused",
                               refused);
        return r;
}

/* ---- unban */

/* Of an address, while the store cannot be written: what it says of other jails, which are to let
 * in as well, stands until then; and what could not be written down is in the kernel alone. */
static int note_unsaved(BanTurn *turn, const UnbanRequest *q, const BanEntry *key, size_t before) {
        BanChange change = {.key = *key, .before_usec = 1};
        bool holds = false;

        for (size_t i = before; i < turn->n_changes && !q->jail; i++)
                turn->changes[i].kernel_usec = 0;
        if (q->jail && ban_store_holds(turn->d->bans->store, key, turn->now_usec, &holds) < 0)
                holds = true;
        return holds ? 0 : bans_note_change(&change, turn);
}

static int unban_all(BanTurn *turn, BanAnswer *ret) {
        int64_t n;
        int r = ban_store_drop_all(turn->d->bans->store, turn->now_usec, &n);

        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                turn->error = r;
                n = turn->d->bans->n_bans;
        }
        turn->n_changes = 0;
        turn->is_emptied = true;
        turn->n_bans = 0;
        ret->reply = json_pack("{s:I}", "unbanned", (json_int_t)n);
        return 0;
}

/* Of a single IPv6 address all that it may have been banned as; else just that. */
static int drop_address(BanTurn *turn, const UnbanRequest *q, size_t before, const char **ret_why) {
        const unsigned int lengths[] = {turn->d->ban_rules.rules.ipv6, 128, BAN_HOST_IPV6};
        size_t n = strchr(q->address, '/') || !strchr(q->address, ':') ? 1 : ARRAY_SIZE(lengths);
        Bans *b = turn->d->bans;
        BanEntry key;
        const BanFilter filter = {.address = &key, .jail = q->jail};

        for (size_t i = 0; i < n; i++) {
                int r = ban_parse_address(turn->arena, q->address, lengths[i], &key, ret_why);

                if (r == 0)
                        r = ban_store_drop(b->store, &filter, turn->now_usec, bans_note_change,
                                           turn);
                if (r == -EBADMSG && *ret_why)
                        return r;
                if (r < 0 && r != -ENOMEM)
                        turn->error = r;
                if (r == -ENOMEM ||
                    ((turn->error < 0 || b->is_unsaved) && note_unsaved(turn, q, &key, before) < 0))
                        return -ENOMEM;
        }
        return 0;
}

static int drop_jail(BanTurn *turn, const char *jail) {
        const BanFilter filter = {.jail = jail};
        int r = ban_store_drop(turn->d->bans->store, &filter, turn->now_usec, bans_note_change,
                               turn);

        if (r < 0 && r != -ENOMEM)
                turn->error = r;
        return r == -ENOMEM ? r : 0;
}

/* What widening made of those that were ended. */
static int narrow_all(BanTurn *turn, const UnbanRequest *q, size_t before) {
        size_t n = turn->n_changes;
        int r = 0;

        for (size_t i = before; i < n && r == 0 && turn->error == 0; i++)
                if (turn->changes[i].was_there)
                        r = bans_narrow(turn, &turn->changes[i].key, q->address && !q->jail);
        if (r < 0 && r != -ENOMEM)
                turn->error = r;
        return r == -ENOMEM ? r : 0;
}

static int run_unban(BanTurn *turn, const BanCall *call, BanAnswer *ret) {
        const UnbanRequest *q = call->parameters;
        const char *why = NULL;
        size_t before = turn->n_changes, n = 0;
        int r;

        if (!q->address && !q->jail && !q->all)
                return refuse(ret, BAN_INVALID, "say whom: an address, a jail, or all");
        if (!q->address && !q->jail)
                return unban_all(turn, ret);
        r = q->address ? drop_address(turn, q, before, &why) : drop_jail(turn, q->jail);
        if (why)
                return refuse(ret, BAN_INVALID, why);
        if (r == 0)
                r = narrow_all(turn, q, before);
        for (size_t i = before; i < turn->n_changes; i++)
                n += turn->changes[i].was_there;
        ret->reply = json_pack("{s:I}", "unbanned", (json_int_t)n);
        return r == -ENOMEM ? r : 0;
}

static const BanAct act_ban = {true, run_ban}, act_import = {true, run_import},
                    act_unban = {false, run_unban};

/* ---- the end of a turn */

static void tell_unsaved(Daemon *d, int error) {
        Bans *b = d->bans;

        if (!b->is_unsaved)
                daemon_event(d, EVENT_FAILURE, LOG_CRIT,
                             "bans cannot be written down (%s): they are in force, and would be "
                             "lost with a restart; it is tried again",
                             strerror(-error));
        b->is_unsaved = true;
}

/* What the turn makes of the counts. */
static void count_changes(const BanTurn *turn, int64_t *bans, int64_t *keys) {
        const Bans *b = turn->d->bans;

        *bans = turn->is_emptied ? 0 : b->n_bans - turn->n_ended;
        *keys = turn->is_emptied ? 0 : b->n_keys - turn->n_ended_keys;
        for (size_t i = 0; i < turn->n_changes; i++) {
                const BanChange *c = &turn->changes[i];

                *bans += c->until_usec > 0 ? !c->was_there : -(int64_t)c->was_there;
                *keys += (c->kernel_usec > 0) - (c->before_usec > 0);
        }
}

void bans_begin(BanTurn *turn) {
        Bans *b = turn->d->bans;

        if (ban_store_begin(b->store) < 0 || bans_undone_write(turn->d, turn->now_usec) < 0 ||
            ban_store_expire(b->store, turn->now_usec, &turn->n_ended, &turn->n_ended_keys) < 0)
                turn->error = -EIO;
        turn->n_bans = b->n_bans - turn->n_ended;
}

/* The disk first. Whatever became of it, the kernel shuts out. */
int bans_finish(BanTurn *turn) {
        Daemon *d = turn->d;
        Bans *b = d->bans;
        int64_t bans, keys;
        int r = turn->error;

        if (r == 0)
                r = ban_store_commit(b->store);
        if (r < 0) {
                ban_store_rollback(b->store);
                turn->error = r;
                tell_unsaved(d, r);
                b->is_dirty = true; /* of what was to end, the store knows nothing */
        } else {
                count_changes(turn, &bans, &keys);
                b->n_bans = bans;
                b->n_keys = keys;
                if (b->n_undone > 0) { /* what was written first */
                        bans_undone_clear(b);
                        bans_count(d);
                }
        }
        return bans_enforce(d, turn);
}

static void answer(BanTurn *turn, const BanCall *call, BanAnswer *a, int r, int enforced) {
        Bans *b = turn->d->bans;

        if (r == -ENOMEM || (!a->reply && !a->why)) {
                json_decref(a->reply);
                (void)rpc_call_fail(call->call, "out of memory");
        } else if (a->why) {
                (void)rpc_call_error(call->call, a->error, json_pack("{s:s}", "message", a->why));
        } else {
                (void)json_object_set_new(a->reply, "inForce",
                                          json_boolean(enforced == 0 && !b->is_suspended));
                (void)json_object_set_new(a->reply, "stored",
                                          json_boolean(turn->error == 0 && !b->is_copy));
                (void)rpc_call_reply(call->call, a->reply);
        }
}

static void remember_unbans(Daemon *d, const BanCall *calls, size_t n, const BanAnswer *answers) {
        for (size_t i = 0; i < n; i++)
                if (calls[i].act == &act_unban && !answers[i].why &&
                    bans_undone_add(d, calls[i].parameters) < 0)
                        daemon_say(d, LOG_ERR, "an unban is not written down, and may be undone");
}

static bool is_unsaid(const BanCall *call, int never) {
        return never < 0 && call->act->bans;
}

/* never: nobody is banned while it cannot be told who may not be. */
static void
answer_all(BanTurn *turn, const BanCall *calls, size_t n, BanAnswer *answers, int never) {
        _cleanup_free_ int *results = calloc(n + 1, sizeof(*results));
        int enforced, r = results ? 0 : -ENOMEM;

        bans_begin(turn);
        for (size_t i = 0; i < n && r == 0; i++)
                results[i] = is_unsaid(&calls[i], never)
                                     ? refuse(&answers[i], RPC_FAILED,
                                              "nobody is banned now: who may not be cannot be "
                                              "found out")
                                     : calls[i].act->run(turn, &calls[i], &answers[i]);
        enforced = bans_finish(turn);
        if (turn->error < 0)
                remember_unbans(turn->d, calls, n, answers);
        if (enforced < 0)
                daemon_event(turn->d, EVENT_FAILURE, LOG_ERR,
                             "bans could not be put in force, and it is tried again: %s",
                             strerror(-enforced));
        for (size_t i = 0; i < n; i++)
                answer(turn, &calls[i], &answers[i], r < 0 ? r : results[i], enforced);
}

/* As many as one turn takes, at least one: others wait for the next, so that neither a transaction
 * nor what else waits for the daemon grows with what is asked for. */
static BanCall *take_calls(Bans *b, size_t *ret_n) {
        BanCall *all = TAKE_PTR(b->calls), *rest;
        size_t n = 0, sum = 0, left;

        do
                sum += all[n++].n;
        while (n < b->n_calls && sum + all[n].n <= BAN_TURN_MAX);
        left = b->n_calls - n;
        rest = left > 0 ? malloc(left * sizeof(*rest)) : NULL;
        if (rest)
                memcpy(rest, all + n, left * sizeof(*rest));
        else
                n = b->n_calls; /* without memory, all at once */
        b->calls = rest;
        b->n_calls = b->calls_room = rest ? left : 0;
        *ret_n = n;
        return all;
}

void bans_answer(Daemon *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Bans *b = d->bans;
        BanTurn turn = {.d = d, .arena = a, .now_usec = bans_now()};
        size_t n = 0;
        _cleanup_free_ BanCall *calls = take_calls(b, &n);
        _cleanup_free_ BanAnswer *answers = calloc(n + 1, sizeof(*answers));

        if (a && answers)
                answer_all(&turn, calls, n, answers, bans_never_read(d, a, true, &turn.never));
        else
                for (size_t i = 0; i < n; i++)
                        (void)rpc_call_fail(calls[i].call, "out of memory");
        if (b->n_calls > 0)
                (void)sd_event_source_set_enabled(b->flush, SD_EVENT_ONESHOT);
        bans_arm(d);
}

static int later(Daemon *d, RpcCall *call, const BanAct *act, const void *parameters, size_t n) {
        if (!d->bans)
                return rpc_call_fail(call, "nobody can be banned: the store could not be opened; "
                                           "ringwalld's journal says why");
        return bans_later(d, call, &(BanCall){call, act, parameters, n});
}

int bans_request_ban(Daemon *d, RpcCall *call, const BanRequest *request) {
        return later(d, call, &act_ban, request, 1 + request->services.n_items);
}

int bans_request_unban(Daemon *d, RpcCall *call, const UnbanRequest *request) {
        return later(d, call, &act_unban, request, 1);
}

int bans_request_import(Daemon *d, RpcCall *call, const BanImportRequest *request) {
        if (json_array_size(request->entries) > BAN_IMPORT_MAX)
                return rpc_call_fail(call, "at most %d in one call", BAN_IMPORT_MAX);
        return later(d, call, &act_import, request, json_array_size(request->entries));
}
