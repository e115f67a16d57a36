/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/escalate.h"
#include "daemon/bans_act.h"

/* Who is to be banned, one by one or from a list. */

#define REFUSED RPC_INTERFACE ".BanRefused"
#define SECOND INT64_C(1000000)

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
        return call->call ? (int64_t)rpc_call_peer(call->call)->uid : (int64_t)geteuid();
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
                return bans_refuse(ret, o.error, o.why);
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

const BanAct bans_act_ban = {true, run_ban}, bans_act_import = {true, run_import};
