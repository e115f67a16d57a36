/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <syslog.h>

#include "daemon/entry.h"
#include "daemon/request.h"

/* What is asked of the daemon over its socket: looked at, decided, and answered. */

void request_failure_done(RequestFailure *f) {
        free(f->text);
        json_decref(f->messages);
        *f = (RequestFailure){0};
}

int request_fail(RequestFailure *f, const char *error, const char *format, ...) {
        va_list ap;

        if (!f)
                return -EBADMSG;
        f->error = error;
        va_start(ap, format);
        if (vasprintf(&f->text, format, ap) < 0)
                f->text = NULL;
        va_end(ap);
        return f->text ? -EBADMSG : -ENOMEM;
}

static json_t *json_message(const DiagMessage *m) {
        json_t *object = json_pack("{s:s, s:s}", "severity", diag_severity_to_string(m->severity),
                                   "message", m->text);

        if (m->at.source) {
                (void)json_object_set_new(object, "file", json_string(m->at.source->name));
        }
        if (m->at.source && m->at.line > 0) {
                (void)json_object_set_new(object, "line", json_integer(m->at.line));
                (void)json_object_set_new(object, "column", json_integer(m->at.column));
        }
        if (m->hint)
                (void)json_object_set_new(object, "hint", json_string(m->hint));
        return object;
}

json_t *request_messages(const Diag *d) {
        json_t *array = json_array();

        for (size_t i = 0; i < d->n_messages; i++)
                (void)json_array_append_new(array, json_message(&d->messages[i]));
        return array;
}

int request_fail_with_diag(RequestFailure *f, const char *error, const Diag *d, int r) {
        const char *text = strerror(-r), *hint = NULL;

        for (size_t i = d->n_messages; i > 0; i--)
                if (d->messages[i - 1].severity == DIAG_ERROR) {
                        text = d->messages[i - 1].text;
                        hint = d->messages[i - 1].hint;
                }
        (void)request_fail(f, error, "%s%s%s", text, hint ? "; " : "", hint ? hint : "");
        if (f)
                f->messages = request_messages(d);
        return r == -ENOMEM ? r : -EBADMSG;
}

int request_begin(Daemon *d, Arena *a) {
        d->diag = a ? diag_new(a) : NULL;
        d->caller = (StoreCaller){0};
        d->by = NULL;
        d->n_cut = 0;
        d->not_cut[0] = '\0';
        d->failed = _CONFIRM_ACTION_MAX;
        return d->diag ? 0 : -ENOMEM;
}

int request_finish(Daemon *d, int r) {
        d->diag = NULL;
        d->by = NULL;
        return r;
}

uint32_t request_waiting(const Daemon *d) {
        return d->confirm.is_pending ? d->confirm.pending.entry : 0;
}

void request_tell_of_former(Daemon *d, uint32_t former, RequestFailure *f) {
        bool is_kept = request_waiting(d) == former;
        char text[128];

        if (former == 0)
                return;
        (void)snprintf(text, sizeof(text),
                       is_kept ? "change %u waits for its confirmation as before"
                               : "change %u, which waited for its confirmation, is undone",
                       former);
        if (!is_kept)
                daemon_say(d, LOG_WARNING, "%s", text);
        if (f)
                (void)json_array_append_new(
                        f->messages, json_pack("{s:s, s:s}", "severity", "note", "message", text));
}

int request_fail_to_put(Daemon *d, uint32_t former, RequestFailure *f, int r) {
        bool is_disk = d->failed == CONFIRM_STAGE || d->failed == CONFIRM_WRITE_PENDING ||
                       d->failed == CONFIRM_SEAL || d->failed == CONFIRM_ARM_TIMER;

        r = request_fail_with_diag(
                f, is_disk ? RPC_INTERFACE ".NotArmed" : RPC_INTERFACE ".KernelRefused", d->diag,
                r);
        request_tell_of_former(d, former, f);
        return r;
}

bool request_is_base(const Daemon *d, uint32_t number) {
        return d->confirm.base.kind == TARGET_ENTRY && d->confirm.base.entry == number;
}

void request_add_cut(const Daemon *d, json_t *reply) {
        (void)json_object_set_new(reply, "cut", json_integer((json_int_t)d->n_cut));
        if (d->not_cut[0])
                (void)json_object_set_new(reply, "notCut", json_string(d->not_cut));
}

/* Nobody takes for in force what is not. */
int request_refuse_panic(const Daemon *d, RequestFailure *f) {
        return d->panic.is_on
                       ? request_fail(
                                 f, RPC_INTERFACE ".InPanic",
                                 "panic is on, and only those who may rescue come in: `ringwall "
                                 "panic off` first")
                       : 0;
}

/* Nothing could be put in force, nor the former again: what is confirmed stays so. */
int request_refuse_taken(Daemon *d, RequestFailure *f) {
        int r;

        if (!d->engine.desired || !d->engine.is_anothers || engine_holds(&d->engine) == 1 ||
            !d->engine.is_anothers)
                return 0;
        r = request_fail(f, RPC_INTERFACE ".KernelRefused",
                         "another program owns the table, so that no rule can be changed: "
                         "`ringwall events` tells which program, and who comes in meanwhile; end "
                         "it first");
        if (f && !f->messages)
                f->messages = json_array();
        request_tell_of_former(d, request_waiting(d), f);
        return r;
}

int request_unload(Daemon *d, const RpcPeer *peer, RequestFailure *f) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        ConfirmPlan plan;
        bool was_there;
        Caller caller;
        int r = request_begin(d, a);

        if (r == 0)
                r = request_refuse_panic(d, f);
        if (r < 0)
                return request_finish(d, r);
        if (caller_read(a, peer, &caller) == 0)
                d->by = caller_describe(a, peer, &caller);
        if (d->confirm.is_pending) {
                (void)confirm_give_up(&d->confirm, &plan);
                r = change_run(d, &plan);
        }
        if (r == 0)
                r = engine_remove(&d->engine, &was_there, d->diag);
        if (r == 0)
                r = bans_suspend(d);
        if (r < 0)
                return request_finish(
                        d, request_fail_with_diag(f, RPC_INTERFACE ".KernelRefused", d->diag, r));
        daemon_event(d, EVENT_UNLOADED, LOG_WARNING,
                     "unloaded: this host is open until something is applied, or ringwalld starts "
                     "again; by %s",
                     d->by ? d->by : "somebody");
        absence_note(d, false);
        d->confirm.in_force = (Target){.kind = TARGET_NOTHING};
        d->confirm.is_known = true;
        d->timer = sd_event_source_disable_unref(d->timer);
        entry_forget(d);
        claims_doubt(d);
        return request_finish(d, 0);
}
