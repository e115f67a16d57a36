/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <syslog.h>

#include "daemon/entry.h"
#include "daemon/request.h"
#include "guard/boot.h"

/* A policy's way into force: read, compiled, looked at for whom it would lock out, written down,
 * put into the kernel. */

/* What nobody has to wait for may still take this long to be written down. */
#define NO_CONFIRM_SECONDS 3600

/* 0 if the entry is what is confirmed now, whatever could not be tidied up behind that. */
static int confirm_self(Daemon *d, uint32_t number, json_t *reply) {
        ConfirmNow now = boot_now(d->boot);
        ConfirmCaller self = {0};
        ConfirmPlan plan;
        ConfirmAnswer answer = confirm_confirm(&d->confirm, &self, &now, &plan);
        int r = change_run(d, &plan);

        request_add_cut(d, reply);
        if (answer == CONFIRM_OK && request_is_base(d, number))
                return 0;
        if (d->confirm.is_pending) { /* nobody waits for a confirmation: it must not stay */
                (void)confirm_give_up(&d->confirm, &plan);
                (void)change_run(d, &plan);
        }
        return r < 0 ? r : -ETIMEDOUT;
}

int request_put_number(
        Daemon *d, uint32_t number, unsigned int wait, const ApplyRequest *q, json_t *reply) {
        ConfirmNow now = boot_now(d->boot);
        ConfirmPlan plan;
        int r;

        if (q->no_confirm)
                wait = NO_CONFIRM_SECONDS;
        confirm_apply(&d->confirm, number, (uint64_t)wait * 1000000, &now, &plan);
        r = change_run(d, &plan);
        if (r < 0)
                return r;
        if (q->no_confirm)
                r = confirm_self(d, number, reply);
        else
                (void)json_object_set_new(reply, "seconds",
                                          json_integer(confirm_remaining(&d->confirm, &now)));
        (void)json_object_set_new(reply, "changed", json_true());
        (void)json_object_set_new(reply, "number", json_integer(number));
        (void)json_object_set_new(reply, "awaitsConfirmation", json_boolean(d->confirm.is_pending));
        return r;
}

int request_check_way(const Caller *caller,
                      Arena *a,
                      const Ruleset *rs,
                      const Ruleset *before,
                      const ApplyRequest *q,
                      json_t *reply,
                      RequestFailure *f) {
        json_t *ways = json_array();
        const char *text = NULL;
        bool locked_out;
        int r;

        (void)json_object_set_new(reply, "ways", ways);
        r = caller_check_ways(caller, a, rs, before, ways, &locked_out, &text);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                text = arena_printf(a, "whether you could come in again cannot be proved: %s",
                                    strerror(-r));
                locked_out = true;
        }
        if (locked_out && !q->has_console && !q->dry_run)
                return request_fail(f, RPC_INTERFACE ".WouldLockOut",
                                    "%s; %s--i-have-console insists", text,
                                    q->lists_only ? "`ringwall apply` with " : "");
        return 0;
}

static int
apply_draft(Daemon *d, Draft *draft, const ApplyRequest *q, json_t *reply, RequestFailure *f) {
        unsigned int wait = draft->policy->settings.confirm;
        uint32_t number, former = request_waiting(d);
        int r = draft_store(d, draft, q->message, &number);

        if (r < 0) {
                r = request_fail_with_diag(f, RPC_INTERFACE ".NotArmed", d->diag, r);
                request_tell_of_former(d, former, f);
                return r;
        }
        /* it is read again from where it was written to, and may be large */
        diag_keep_names(d->diag);
        draft_done(draft);
        r = request_put_number(d, number, wait, q, reply);
        return r < 0 ? request_fail_to_put(d, former, f, r) : 0;
}

static int try_apply(Daemon *d, const ApplyRequest *q, Arena *a, json_t *reply, RequestFailure *f) {
        _cleanup_(draft_done) Draft draft = {0};
        Caller caller;
        ApplyRequest request = *q;
        const Ruleset *before;
        bool is_same, holds;
        int r = draft_make(d, q->file, &draft);

        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return request_fail_with_diag(f, RPC_INTERFACE ".PolicyInvalid", d->diag, r);
        (void)json_object_set_new(reply, "file", json_string(draft.policy->file));
        (void)json_object_set_new(reply, "messages", request_messages(d->diag));
        r = caller_read(a, q->peer, &caller);
        if (r < 0)
                return request_fail(f, NULL, "cannot find out who is connected to sshd: %s",
                                    strerror(-r));
        d->caller = caller.who;
        d->by = caller_describe(a, q->peer, &caller);
        /* who sent a signal is not known: nobody is to be locked out by it */
        before = q->lists_only && !q->peer ? d->engine.desired : NULL;
        r = request_check_way(&caller, a, draft.rs, before, q, reply, f);
        if (r < 0)
                return r;
        if (q->lists_only && !draft.is_kept)
                return request_fail(
                        f, RPC_INTERFACE ".PolicyInvalid",
                        "the policy's files have changed meanwhile: run `ringwall apply`");
        is_same = draft.is_same && d->confirm.is_known && !d->confirm.is_pending;
        holds = is_same && engine_holds(&d->engine) == 1;
        if (q->dry_run || (holds && draft.is_kept)) {
                (void)json_object_set_new(reply, "changed", json_boolean(q->dry_run && !holds));
                (void)json_object_set_new(reply, "awaitsConfirmation", json_false());
                return 0;
        }
        /* the rules that were confirmed need it no second time, however they are written, and
         * whoever took them away; what is beside them is kept, so that it is what is in force */
        request.no_confirm |= is_same;
        r = apply_draft(d, &draft, &request, reply, f);
        if (r == 0 && holds)
                (void)json_object_set_new(reply, "changed", json_false());
        return r;
}

int request_apply(Daemon *d, const ApplyRequest *q, json_t **ret, RequestFailure *f) {
        json_t *reply = NULL;
        int r = q->dry_run ? 0 : request_refuse_panic(d, f);

        if (r == 0 && !q->dry_run)
                r = request_refuse_taken(d, f);
        if (r < 0)
                return r;
        /* a second time if the kernel turns out to lack something that can be done without */
        for (int i = 0; i < 2; i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);

                json_decref(reply);
                reply = json_object();
                r = request_begin(d, a);
                if (r == 0)
                        r = try_apply(d, q, a, reply, f);
                d->diag = NULL;
                d->by = NULL;
                if (r >= 0 || !f || !f->error || !streq(f->error, RPC_INTERFACE ".KernelRefused") ||
                    !engine_learn(&d->engine))
                        break;
                request_failure_done(f);
        }
        if (r < 0) {
                json_decref(reply);
                return r;
        }
        *ret = reply;
        return 0;
}

int entry_start_file(Daemon *d) {
        const ApplyRequest q = {.no_confirm = true, .message = "named at start"};
        RequestFailure f = {0};
        json_t *reply = NULL;
        int r = request_apply(d, &q, &reply, &f);

        if (r < 0) {
                for (size_t i = 0; i < json_array_size(f.messages); i++) {
                        const json_t *m = json_array_get(f.messages, i);

                        daemon_say(d, LOG_ERR, "%s:%lld: %s",
                                   json_string_value(json_object_get(m, "file")),
                                   json_integer_value(json_object_get(m, "line")),
                                   json_string_value(json_object_get(m, "message")));
                }
                daemon_say(d, LOG_ERR, "%s cannot be put in force: %s", d->policy_file,
                           f.text ? f.text : strerror(-r));
        }
        json_decref(reply);
        request_failure_done(&f);
        return r;
}
