/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <syslog.h>

#include "daemon/caller.h"
#include "daemon/change.h"
#include "daemon/entry.h"
#include "guard/boot.h"
#include "nft/host.h"
#include "ruleset/image.h"

/* What is asked of the daemon over its socket: looked at, decided, and answered. */

void request_failure_done(RequestFailure *f) {
        free(f->text);
        json_decref(f->messages);
        *f = (RequestFailure){0};
}

static int fail(RequestFailure *f, const char *error, const char *format, ...) _printf_(3, 4);

static int fail(RequestFailure *f, const char *error, const char *format, ...) {
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

int request_fail(RequestFailure *f, const char *error, const char *text) {
        return fail(f, error, "%s", text);
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

static json_t *json_messages(const Diag *d) {
        json_t *array = json_array();

        for (size_t i = 0; i < d->n_messages; i++)
                (void)json_array_append_new(array, json_message(&d->messages[i]));
        return array;
}

/* The first error of d, with all of them beside it. */
static int fail_with_diag(RequestFailure *f, const char *error, const Diag *d, int r) {
        const char *text = strerror(-r), *hint = NULL;

        for (size_t i = d->n_messages; i > 0; i--)
                if (d->messages[i - 1].severity == DIAG_ERROR) {
                        text = d->messages[i - 1].text;
                        hint = d->messages[i - 1].hint;
                }
        (void)fail(f, error, "%s%s%s", text, hint ? "; " : "", hint ? hint : "");
        if (f)
                f->messages = json_messages(d);
        return r == -ENOMEM ? r : -EBADMSG;
}

static int begin(Daemon *d, Arena *a) {
        d->diag = a ? diag_new(a) : NULL;
        d->caller = (StoreCaller){0};
        d->by = NULL;
        d->n_cut = 0;
        d->not_cut[0] = '\0';
        d->failed = _CONFIRM_ACTION_MAX;
        return d->diag ? 0 : -ENOMEM;
}

static int finish(Daemon *d, int r) {
        d->diag = NULL;
        d->by = NULL;
        return r;
}

/* A change that waits before another one is asked for; or 0. */
static uint32_t waiting(const Daemon *d) {
        return d->confirm.is_pending ? d->confirm.pending.entry : 0;
}

/* What became of the change that waited, if one did. */
static void tell_of_former(Daemon *d, uint32_t former, RequestFailure *f) {
        bool is_kept = waiting(d) == former;
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

/* A change that could not be written down, or that the kernel did not take. */
static int fail_to_put(Daemon *d, uint32_t former, RequestFailure *f, int r) {
        bool is_disk = d->failed == CONFIRM_STAGE || d->failed == CONFIRM_WRITE_PENDING ||
                       d->failed == CONFIRM_SEAL || d->failed == CONFIRM_ARM_TIMER;

        r = fail_with_diag(f, is_disk ? RPC_INTERFACE ".NotArmed" : RPC_INTERFACE ".KernelRefused",
                           d->diag, r);
        tell_of_former(d, former, f);
        return r;
}

static bool is_base(const Daemon *d, uint32_t number) {
        return d->confirm.base.kind == TARGET_ENTRY && d->confirm.base.entry == number;
}

static void add_cut(const Daemon *d, json_t *reply) {
        (void)json_object_set_new(reply, "cut", json_integer((json_int_t)d->n_cut));
        if (d->not_cut[0])
                (void)json_object_set_new(reply, "notCut", json_string(d->not_cut));
}

/* ---- apply */

/* What nobody has to wait for may still take this long to be written down. */
#define NO_CONFIRM_SECONDS 3600

/* 0 if the entry is what is confirmed now, whatever could not be tidied up behind that. */
static int confirm_self(Daemon *d, uint32_t number, json_t *reply) {
        ConfirmNow now = boot_now(d->boot);
        ConfirmCaller self = {0};
        ConfirmPlan plan;
        ConfirmAnswer answer = confirm_confirm(&d->confirm, &self, &now, &plan);
        int r = change_run(d, &plan);

        add_cut(d, reply);
        if (answer == CONFIRM_OK && is_base(d, number))
                return 0;
        if (d->confirm.is_pending) { /* nobody waits for a confirmation: it must not stay */
                (void)confirm_give_up(&d->confirm, &plan);
                (void)change_run(d, &plan);
        }
        return r < 0 ? r : -ETIMEDOUT;
}

/* wait: seconds until it is undone unless it is confirmed. */
static int
put_number(Daemon *d, uint32_t number, unsigned int wait, const ApplyRequest *q, json_t *reply) {
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

/* Whether the caller's way in would still be open. */
static int check_way(const Caller *caller,
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
                return fail(f, RPC_INTERFACE ".WouldLockOut", "%s; %s--i-have-console insists",
                            text, q->lists_only ? "`ringwall apply` with " : "");
        return 0;
}

static int
apply_draft(Daemon *d, Draft *draft, const ApplyRequest *q, json_t *reply, RequestFailure *f) {
        unsigned int wait = draft->policy->settings.confirm;
        uint32_t number, former = waiting(d);
        int r = draft_store(d, draft, q->message, &number);

        if (r < 0) {
                r = fail_with_diag(f, RPC_INTERFACE ".NotArmed", d->diag, r);
                tell_of_former(d, former, f);
                return r;
        }
        /* it is read again from where it was written to, and may be large */
        diag_keep_names(d->diag);
        draft_done(draft);
        r = put_number(d, number, wait, q, reply);
        return r < 0 ? fail_to_put(d, former, f, r) : 0;
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
                return fail_with_diag(f, RPC_INTERFACE ".PolicyInvalid", d->diag, r);
        (void)json_object_set_new(reply, "file", json_string(draft.policy->file));
        (void)json_object_set_new(reply, "messages", json_messages(d->diag));
        r = caller_read(a, q->peer, &caller);
        if (r < 0)
                return fail(f, NULL, "cannot find out who is connected to sshd: %s", strerror(-r));
        d->caller = caller.who;
        d->by = caller_describe(a, q->peer, &caller);
        /* who sent a signal is not known: nobody is to be locked out by it */
        before = q->lists_only && !q->peer ? d->engine.desired : NULL;
        r = check_way(&caller, a, draft.rs, before, q, reply, f);
        if (r < 0)
                return r;
        if (q->lists_only && !draft.is_kept)
                return fail(f, RPC_INTERFACE ".PolicyInvalid",
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

/* Nobody takes for in force what is not. */
static int refuse_panic(const Daemon *d, RequestFailure *f) {
        return d->panic.is_on
                       ? fail(f, RPC_INTERFACE ".InPanic",
                              "panic is on, and only those who may rescue come in: `ringwall "
                              "panic off` first")
                       : 0;
}

int request_apply(Daemon *d, const ApplyRequest *q, json_t **ret, RequestFailure *f) {
        json_t *reply = NULL;
        int r = q->dry_run ? 0 : refuse_panic(d, f);

        if (r < 0)
                return r;
        /* a second time if the kernel turns out to lack something that can be done without */
        for (int i = 0; i < 2; i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);

                json_decref(reply);
                reply = json_object();
                r = begin(d, a);
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

/* ---- confirm and rollback */

static int answer_confirm(ConfirmAnswer answer, RequestFailure *f) {
        switch (answer) {
        case CONFIRM_OK:
                return 0;
        case CONFIRM_NOTHING_PENDING:
                return fail(f, RPC_INTERFACE ".NothingPending",
                            "no change waits for its confirmation");
        case CONFIRM_TOO_LATE:
                return fail(f, RPC_INTERFACE ".NothingPending",
                            "the time to confirm is over: the change is undone");
        case CONFIRM_OLD_CONNECTION:
                return fail(f, RPC_INTERFACE ".SameConnection",
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
                       ? fail(f, RPC_INTERFACE ".WouldLockOut",
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
                return fail(f, NULL, "cannot find out by which connection you came: %s",
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
        if (is_base(d, number)) /* what could not be tidied up behind that changes nothing */
                return 0;
        return r < 0 ? fail_with_diag(f, RPC_INTERFACE ".NotArmed", d->diag, r) : 0;
}

int request_confirm(
        Daemon *d, const RpcPeer *peer, bool same_connection, json_t **ret, RequestFailure *f) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        uint32_t number = d->confirm.pending.entry;
        int r = begin(d, a);

        if (r == 0)
                r = refuse_panic(d, f);
        if (r == 0)
                r = confirm(d, a, peer, same_connection, f);
        if (r == 0) {
                daemon_say_all(d, d->diag);
                daemon_event(d, EVENT_CONFIRMED, LOG_NOTICE, "change %u is confirmed by %s", number,
                             d->by ? d->by : "somebody");
                *ret = json_pack("{s:I}", "number", (json_int_t)number);
                add_cut(d, *ret);
        }
        return finish(d, r);
}

/* The confirmed change before the one that is in force; 0 if there is none. */
static int find_former(Daemon *d, Arena *a, uint32_t *ret) {
        StoreListed *list;
        size_t n;
        int r = store_list(d->store, a, &list, &n, d->diag);

        *ret = 0;
        for (size_t i = 0; i < n && r == 0; i++)
                if (list[i].entry.confirmed && !list[i].damage &&
                    list[i].entry.number != d->confirm.base.entry &&
                    (d->confirm.base.kind != TARGET_ENTRY ||
                     list[i].entry.number < d->confirm.base.entry)) {
                        *ret = list[i].entry.number;
                        break;
                }
        return r;
}

/* What this program cannot read is made anew when it comes into force; whether it locks out shows
 * then. */
static int check_way_back(Arena *a,
                          const Caller *caller,
                          const StoreContent *content,
                          const ApplyRequest *q,
                          RequestFailure *f) {
        json_t *ways = json_object();
        KernelFeatures features;
        Diag *quiet = diag_new(a);
        Ruleset *rs;
        int r = ways && quiet ? 0 : -ENOMEM;

        if (r == 0 && ruleset_read_image(a, content->image, content->image_size, &rs, &features,
                                         quiet) == 0) {
                r = nft_add_host(a, rs);
                if (r == 0)
                        r = check_way(caller, a, rs, NULL, q, ways, f);
        }
        json_decref(ways);
        return r;
}

static int
rollback(Daemon *d, Arena *a, const RollbackRequest *request, json_t *reply, RequestFailure *f) {
        const ApplyRequest q = {.peer = request->peer, .has_console = request->has_console};
        int64_t number = request->number;
        StoreContent content = {0};
        uint32_t to = (uint32_t)number, former = waiting(d);
        ConfirmPlan plan;
        Caller caller;
        int r;

        if (number == 0 && d->confirm.is_pending) {
                if (caller_read(a, request->peer, &caller) == 0) /* it is undone whoever it is */
                        d->by = caller_describe(a, request->peer, &caller);
                (void)confirm_give_up(&d->confirm, &plan);
                r = change_run(d, &plan);
                (void)json_object_set_new(reply, "awaitsConfirmation", json_false());
                if (d->confirm.in_force.kind == TARGET_ENTRY)
                        (void)json_object_set_new(reply, "number",
                                                  json_integer(d->confirm.in_force.entry));
                return r < 0 ? fail_with_diag(f, RPC_INTERFACE ".KernelRefused", d->diag, r) : 0;
        }
        r = number == 0 ? find_former(d, a, &to) : 0;
        if (r == 0)
                r = caller_read(a, request->peer, &caller);
        if (r < 0)
                return r;
        d->caller = caller.who;
        d->by = caller_describe(a, request->peer, &caller);
        if (to == 0)
                return fail(f, RPC_INTERFACE ".NoSuchChange",
                            "nothing was confirmed before what is in force");
        if (store_read(d->store, to, a, &(StoreEntry){0}, &content, d->diag) < 0)
                return fail(f, RPC_INTERFACE ".NoSuchChange",
                            "there is no change %u, or it is damaged; `ringwall history` lists "
                            "them",
                            to);
        r = check_way_back(a, &caller, &content, &q, f);
        if (r < 0)
                return r;
        r = put_number(d, to, content.settings.confirm, &q, reply);
        (void)json_object_del(reply, "changed");
        return r < 0 ? fail_to_put(d, former, f, r) : 0;
}

int request_rollback(Daemon *d, const RollbackRequest *request, json_t **ret, RequestFailure *f) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        json_t *reply = json_object();
        int r = begin(d, a);

        if (r == 0)
                r = refuse_panic(d, f);
        if (r == 0)
                r = rollback(d, a, request, reply, f);
        if (r < 0)
                json_decref(reply);
        else
                *ret = reply;
        return finish(d, r);
}

/* ---- the rest */

int request_unload(Daemon *d, const RpcPeer *peer, RequestFailure *f) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        ConfirmPlan plan;
        bool was_there;
        Caller caller;
        int r = begin(d, a);

        if (r == 0)
                r = refuse_panic(d, f);
        if (r < 0)
                return finish(d, r);
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
                return finish(d, fail_with_diag(f, RPC_INTERFACE ".KernelRefused", d->diag, r));
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
        return finish(d, 0);
}
