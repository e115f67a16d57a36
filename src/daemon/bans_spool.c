/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <syslog.h>

#include "ban/ban_spool.h"
#include "daemon/bans_act.h"
#include "daemon/methods_bans.h"

/* What was asked for while the daemon was away: each line is a message as of the control socket,
 * with the time at which it was meant to be sent, "at", and is carried out as such a one. */

#define TOLD_MAX 10 /* lines that are refused, one by one */

typedef struct Reading {
        BanTurn *turn;
        size_t n_done, n_refused;
} Reading;

static const struct {
        const char *method;
        const BanAct *act;
        const RpcField *fields;
        size_t size;
} acts[] = {
        {RPC_INTERFACE ".Ban", &bans_act_ban, methods_ban_in, sizeof(BanRequest)},
        {RPC_INTERFACE ".Unban", &bans_act_unban, methods_unban_in, sizeof(UnbanRequest)},
};

/* What has passed of it; false: it is over. */
static bool shorten(BanRequest *q, int64_t at_usec, int64_t now_usec) {
        if (q->seconds == 0)
                return true;
        q->seconds -= MAX(now_usec - at_usec, INT64_C(0)) / 1000000;
        return q->seconds > 0;
}

/* Why not; NULL: it is done. */
static const char *run(Reading *reading, size_t i, json_t *parameters, int64_t at_usec) {
        union {
                BanRequest ban;
                UnbanRequest unban;
        } q;
        BanCall call = {.act = acts[i].act, .parameters = &q, .n = 1};
        BanAnswer answer = {0};
        RpcFieldError e;
        int r = rpc_fields_decode(acts[i].fields, parameters, &q, acts[i].size, &e);

        if (r == -EINVAL)
                return arena_printf(reading->turn->arena, "its '%s' is not as it should be",
                                    e.path);
        if (r == 0 && (!acts[i].act->bans || shorten(&q.ban, at_usec, reading->turn->now_usec)))
                r = acts[i].act->run(reading->turn, &call, &answer);
        rpc_fields_done(acts[i].fields, &q);
        json_decref(answer.reply);
        return r < 0 ? "there is no memory for it" : answer.why;
}

static const char *run_line(Reading *reading, const char *line) {
        json_t *message = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        const char *method = json_string_value(json_object_get(message, "method")),
                   *why = "it is no message about bans";
        int64_t at = json_integer_value(json_object_get(message, "at"));

        for (size_t i = 0; i < ARRAY_SIZE(acts) && method; i++)
                if (streq(method, acts[i].method) && at > 0)
                        why = run(reading, i, json_object_get(message, "parameters"), at);
        json_decref(message);
        return why;
}

static void run_all(Reading *reading, BanSpool *spool) {
        Daemon *d = reading->turn->d;
        const char *line;

        while ((line = ban_spool_next(spool))) {
                const char *why = run_line(reading, line);

                reading->n_done += !why;
                reading->n_refused += why != NULL;
                if (why && reading->n_refused <= TOLD_MAX)
                        daemon_say(d, LOG_WARNING,
                                   "of what was asked for about bans while ringwalld was away, one "
                                   "was left out: %s",
                                   why);
        }
}

/* True: it is done, and can go. */
static bool run_turn(Daemon *d, BanSpool *spool) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        BanTurn turn = {.d = d, .arena = a, .now_usec = bans_now()};
        Reading reading = {.turn = &turn};

        if (!a || bans_never_read(d, a, true, &turn.never) < 0)
                return false;
        bans_begin(&turn);
        run_all(&reading, spool);
        if (bans_finish(&turn) < 0)
                daemon_event(d, EVENT_FAILURE, LOG_ERR,
                             "bans could not be put in force, and it is tried again");
        if (turn.error < 0)
                return false;
        daemon_event(d, EVENT_NOTE, LOG_NOTICE,
                     "bans and unbans that were asked for while ringwalld was away: %zu done, %zu "
                     "left out",
                     reading.n_done, reading.n_refused);
        return true;
}

void bans_take_spool(Daemon *d) {
        Bans *b = d->bans;
        bool is_done;
        BanSpool spool;
        int r;

        if (b->is_unsaved) /* what cannot be written down stays where it is written */
                return;
        r = ban_spool_open(d->runtime_dir, &spool);
        b->is_spooled = r == -EAGAIN;
        if (r > 0) {
                is_done = run_turn(d, &spool);
                ban_spool_close(&spool, d->runtime_dir, is_done);
                b->is_spooled = !is_done;
        } else if (r < 0 && r != -EAGAIN && !b->is_spool_told)
                daemon_event(d, EVENT_FAILURE, LOG_ERR,
                             "what was asked for about bans while ringwalld was away cannot be "
                             "read in %s/" BAN_SPOOL_FILE ": %s",
                             d->runtime_dir, strerror(-r));
        b->is_spool_told = r < 0 && r != -EAGAIN;
}
