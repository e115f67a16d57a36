/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <syslog.h>

#include "daemon/bans_act.h"
#include "daemon/siege.h"

/* What was asked for about bans in one turn: one transaction, and the answers. */

int bans_refuse(BanAnswer *ret, const char *error, const char *why) {
        *ret = (BanAnswer){.error = error, .why = why};
        return why ? 0 : -ENOMEM;
}

int bans_note_change(const BanChange *change, void *to) {
        BanTurn *turn = to;

        turn_step(turn->d, 0);
        turn->n_bans += change->until_usec > 0 ? !change->was_there : -(int64_t)change->was_there;
        return arena_append(turn->arena, turn->changes, turn->n_changes, *change) ? 0 : -ENOMEM;
}

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
        r = bans_enforce(d, turn);
        siege_follow(d, false);
        return r;
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
                if (calls[i].act == &bans_act_unban && !answers[i].why &&
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
                                     ? bans_refuse(&answers[i], RPC_FAILED,
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
        return later(d, call, &bans_act_ban, request, 1 + request->services.n_items);
}

int bans_request_unban(Daemon *d, RpcCall *call, const UnbanRequest *request) {
        return later(d, call, &bans_act_unban, request, 1);
}

int bans_request_import(Daemon *d, RpcCall *call, const BanImportRequest *request) {
        if (json_array_size(request->entries) > BAN_IMPORT_MAX)
                return rpc_call_fail(call, "at most %d in one call", BAN_IMPORT_MAX);
        return later(d, call, &bans_act_import, request, json_array_size(request->entries));
}
