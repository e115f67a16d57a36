/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <syslog.h>

#include "daemon/request.h"
#include "guard/boot.h"

/* What was applied is kept, by somebody who could come in with it. */

static int answer_confirm(ConfirmAnswer answer, RequestFailure *f) {
        switch (answer) {
        case CONFIRM_OK:
                return 0;
        case CONFIRM_NOTHING_PENDING:
                return request_fail(f, RPC_INTERFACE ".NothingPending",
                                    "no change waits for its confirmation");
        case CONFIRM_TOO_LATE:
                return request_fail(f, RPC_INTERFACE ".NothingPending",
                                    "the time to confirm is over: the change is undone");
        case CONFIRM_OLD_CONNECTION:
                return request_fail(
                        f, RPC_INTERFACE ".SameConnection",
                        "this connection was there before the change, and so does not show "
                        "that a new one comes in: connect anew and confirm there "
                        "(--same-connection insists)");
        case _CONFIRM_ANSWER_MAX:
                break;
        }
        return -EINVAL;
}

/* It came in; what other programs' rules say by now, or say of the next one, may be something else.
 * What cannot be read says nothing against that it did. */
static int check_live(Daemon *d, Arena *a, const Caller *caller, RequestFailure *f) {
        const char *why = NULL;
        bool locked_out;
        int r = caller_check_live(caller, a, d->engine.link, &locked_out, &why);

        if (r == -ENOMEM)
                return r;
        if (r < 0)
                daemon_say(d, LOG_WARNING,
                           "whether all rules in the kernel let the administrator in again is not "
                           "proved: %s",
                           strerror(-r));
        return r == 0 && locked_out
                       ? request_fail(
                                 f, RPC_INTERFACE ".WouldLockOut",
                                 "by all rules that the kernel holds now, another connection like "
                                 "yours would not come in: %s; --same-connection insists",
                                 why ? why : "?")
                       : 0;
}

static int confirm(Daemon *d, Arena *a, const RpcPeer *peer, bool same, RequestFailure *f) {
        ConfirmNow now = boot_now(d->boot);
        uint32_t number = d->confirm.pending.entry;
        ConfirmCaller who = {.same_connection = same};
        ConfirmAnswer answer;
        ConfirmPlan plan;
        Caller caller;
        int r = caller_read(a, peer, &caller), told;

        if (r < 0)
                return request_fail(f, NULL, "cannot find out by which connection you came: %s",
                                    strerror(-r));
        d->caller = caller.who;
        d->by = caller_describe(a, peer, &caller);
        who.over_ssh = caller.connection || caller.is_unknown;
        if (caller.connection)
                who.connected_usec = caller.connection->started_usec;
        answer = confirm_confirm(&d->confirm, &who, &now, &plan);
        r = answer == CONFIRM_OK && !same ? check_live(d, a, &caller, f) : 0;
        if (r < 0)
                return r;
        r = change_run(d, &plan);
        told = answer_confirm(answer, f);
        if (told < 0)
                return told;
        if (request_is_base(d,
                            number)) /* what could not be tidied up behind that changes nothing */
                return 0;
        return r < 0 ? request_fail_with_diag(f, RPC_INTERFACE ".NotArmed", d->diag, r) : 0;
}

int request_confirm(
        Daemon *d, const RpcPeer *peer, bool same_connection, json_t **ret, RequestFailure *f) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        uint32_t number = d->confirm.pending.entry;
        int r = request_begin(d, a);

        if (r == 0)
                r = request_refuse_panic(d, f);
        if (r == 0)
                r = confirm(d, a, peer, same_connection, f);
        if (r == 0) {
                daemon_say_all(d, d->diag);
                daemon_event(d, EVENT_CONFIRMED, LOG_NOTICE, "change %u is confirmed by %s", number,
                             d->by ? d->by : "somebody");
                *ret = json_pack("{s:I}", "number", (json_int_t)number);
                request_add_cut(d, *ret);
        }
        return request_finish(d, r);
}
