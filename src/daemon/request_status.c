/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <syslog.h>

#include "daemon/bans.h"
#include "daemon/caller.h"
#include "daemon/change.h"
#include "daemon/claims.h"
#include "daemon/entry.h"
#include "guard/boot.h"
#include "guard/drift.h"

/* What is asked of the daemon and changes little: status, history, reload. */

static const char *state_word(const Daemon *d, bool holds) {
        if (d->engine.is_anothers && (!holds || !d->confirm.is_known))
                return "taken";
        if (!d->confirm.is_known)
                return "failed";
        if (!holds)
                return "changed";
        if (d->panic.is_on)
                return "panic";
        switch (d->confirm.in_force.kind) {
        case TARGET_NOTHING:
                return d->confirm.base.kind == TARGET_NOTHING ? "unarmed" : "unloaded";
        case TARGET_LOCKDOWN:
                return "lockdown";
        case TARGET_ENTRY:
                return "closed";
        }
        return "changed";
}

static json_t *json_events(const Daemon *d) {
        size_t n = MIN(d->n_events, (size_t)DAEMON_EVENTS_MAX);
        json_t *array = json_array();

        for (size_t i = 0; i < n; i++) {
                const DaemonEvent *e = &d->events[(d->n_events - 1 - i) % DAEMON_EVENTS_MAX];

                (void)json_array_append_new(array, json_pack("{s:I, s:s}", "time",
                                                             (json_int_t)e->realtime_usec, "text",
                                                             e->text));
        }
        return array;
}

/* Nothing is called in force that was not read back. */
static void add_in_force(const Daemon *d, bool holds, json_t *reply) {
        if (d->confirm.in_force.kind == TARGET_ENTRY && !d->panic.is_on) {
                (void)json_object_set_new(reply, holds ? "inForce" : "expected",
                                          json_string(d->file));
                (void)json_object_set_new(reply, "number", json_integer(d->confirm.in_force.entry));
        }
        if (holds)
                (void)json_object_set_new(reply, "generation", json_integer(d->engine.seen));
        if (d->since_usec > 0)
                (void)json_object_set_new(reply, "since", json_integer((json_int_t)d->since_usec));
}

/* What the kernel holds instead of what it should. */
static json_t *describe_kernel(Daemon *d, Arena *a) {
        const char *text;
        Ruleset *live;
        int r;

        if (!d->engine.desired)
                return json_string(
                        "rules of ringwall's that nothing confirmed stands behind: ringwall "
                        "apply, or ringwall unload --yes");
        r = engine_compare(&d->engine, a, false, &live);
        if (r < 0)
                return json_sprintf("it cannot be read: %s", strerror(-r));
        if (r > 0) /* by now */
                return json_string("the rules, but they are not ringwalld's own any more");
        text = drift_describe(a, live, d->engine.desired);
        return text ? json_string(text) : NULL;
}

static void add_differences(Daemon *d, bool holds, json_t *reply) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        const char *file = a ? entry_differing_file(d, a) : NULL;

        (void)json_object_set_new(reply, "fileDiffers", json_boolean(!a || file));
        if (file)
                (void)json_object_set_new(reply, "differingFile", json_string(file));
        if (a && !holds)
                (void)json_object_set_new(reply, "kernelDiffers", describe_kernel(d, a));
}

static size_t count_rules(const Ruleset *rs) {
        size_t n = 0;

        for (size_t i = 0; rs && i < rs->n_chains; i++)
                n += rs->chains[i]->n_rules;
        return n;
}

static void add_start(const Daemon *d, json_t *reply) {
        UnitStart start;

        if (starts_are_late(&d->starts, starts_now()))
                (void)json_object_set_new(reply, "lateStarts",
                                          json_integer((json_int_t)d->starts.n_late));
        if (outlook_boot(&start) == 0 && start != UNIT_MISSING)
                (void)json_object_set_new(reply, "startsAtBoot",
                                          json_boolean(start == UNIT_ENABLED));
}

json_t *request_status(Daemon *d) {
        ConfirmNow now = boot_now(d->boot);
        bool holds = engine_holds(&d->engine) == 1;
        const Ruleset *rs = d->engine.desired;
        json_t *reply = json_pack("{s:s, s:s, s:s, s:b, s:b, s:I, s:I, s:s, s:I, s:o}", "state",
                                  state_word(d, holds), "policyFile", d->policy_file, "stateFolder",
                                  d->state_dir, "readBack", holds, "owned", holds && d->engine.owns,
                                  "rules", (json_int_t)count_rules(rs), "chains",
                                  (json_int_t)(rs ? rs->n_chains : 0), "version", RINGWALL_VERSION,
                                  "pid", (json_int_t)getpid(), "events", json_events(d));

        if (!reply)
                return NULL;
        (void)json_object_set_new(
                reply, "drift",
                json_pack("{s:I, s:I, s:I, s:b, s:b, s:I}", "seen", (json_int_t)d->drift.n_drifts,
                          "undone", (json_int_t)d->drift.n_heals, "longest",
                          (json_int_t)d->drift.longest_usec, "shut", pace_is_shut(&d->drift.pace),
                          "kept", d->drift.is_kept, "times", (json_int_t)d->drift.pace.n_shut));
        (void)json_object_set_new(reply, "claims", claims_json(d));
        if (d->bans)
                (void)json_object_set_new(reply, "bans", bans_status(d));
        if (d->panic.is_on)
                (void)json_object_set_new(reply, "panic",
                                          json_pack("{s:I}", "seconds", panic_seconds(d)));
        add_in_force(d, holds, reply);
        add_differences(d, holds, reply);
        add_start(d, reply);
        if (d->confirm.is_pending)
                (void)json_object_set_new(
                        reply, "pending",
                        json_pack("{s:I, s:I}", "number", (json_int_t)d->confirm.pending.entry,
                                  "seconds", (json_int_t)confirm_remaining(&d->confirm, &now)));
        return reply;
}

json_t *request_alerts(const Daemon *d) {
        return json_pack("{s:s*, s:s*}", "run", d->alerts.run, "webhook", d->alerts.webhook);
}

static const char *entry_state(const Daemon *d, const StoreListed *listed, bool holds) {
        const StoreEntry *e = &listed->entry;

        if (listed->damage)
                return "damaged";
        if (d->confirm.is_pending && e->number == d->confirm.pending.entry)
                return "pending";
        if (d->confirm.in_force.kind == TARGET_ENTRY && e->number == d->confirm.in_force.entry)
                return holds ? "in force" : "expected";
        return e->confirmed ? "confirmed" : "undone";
}

static json_t *json_entry(const Daemon *d, const StoreListed *listed, bool holds) {
        const StoreEntry *e = &listed->entry;
        json_t *object =
                json_pack("{s:I, s:I, s:s}", "number", (json_int_t)e->number, "time",
                          (json_int_t)e->created_usec, "state", entry_state(d, listed, holds));
        char buf[ADDRESS_TEXT_MAX];

        if (e->by.user)
                (void)json_object_set_new(object, "user", json_string(e->by.user));
        if (e->by.has_peer)
                (void)json_object_set_new(
                        object, "peer", json_string(address_print(e->by.family, e->by.peer, buf)));
        if (e->message)
                (void)json_object_set_new(object, "message", json_string(e->message));
        return object;
}

int request_history(Daemon *d, json_t **ret, RequestFailure *f) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        json_t *entries = json_array();
        StoreListed *list;
        size_t n = 0;
        bool holds = engine_holds(&d->engine) == 1;
        int r;

        d->diag = a ? diag_new(a) : NULL;
        r = d->diag ? store_list(d->store, a, &list, &n, d->diag) : -ENOMEM;
        for (size_t i = 0; i < n && r == 0; i++)
                (void)json_array_append_new(entries, json_entry(d, &list[i], holds));
        d->diag = NULL;
        if (r < 0) {
                json_decref(entries);
                return r;
        }
        *ret = json_pack("{s:o}", "entries", entries);
        return 0;
}

int request_reload(Daemon *d, const RpcPeer *peer, json_t **ret, RequestFailure *f) {
        const ApplyRequest q = {
                .file = d->file,
                .no_confirm = true,
                .lists_only = true,
                .message = "lists of addresses read again",
                .peer = peer,
        };
        bool differs = entry_files_differ(d), changed = false;
        json_t *reply = NULL;
        RequestFailure own = {0};
        int r;

        if (d->confirm.in_force.kind == TARGET_ENTRY && !differs && !d->confirm.is_pending) {
                r = request_apply(d, &q, &reply, f ? f : &own);
                if (r < 0 && !f)
                        daemon_event(d, EVENT_FAILURE, LOG_ERR,
                                     "lists of addresses were not read again: %s",
                                     own.text ? own.text : strerror(-r));
                request_failure_done(&own);
                if (r < 0)
                        return r;
                changed = json_is_true(json_object_get(reply, "changed"));
                json_decref(reply);
        }
        if (differs)
                daemon_say(d, LOG_NOTICE, "the policy's files have changed: run `ringwall apply`");
        if (ret)
                *ret = json_pack("{s:b, s:b}", "changed", changed, "policyDiffers", differs);
        return 0;
}

int request_takeover(Daemon *d, const TakeoverNotice *notice, const RpcPeer *peer) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        bool taken_back = streq(notice->what, "takenBack");
        char from[ADDRESS_TEXT_MAX] = "";
        Caller caller = {0};

        if (!a)
                return -ENOMEM;
        if (caller_read(a, peer, &caller) < 0) /* what happened is told all the same */
                caller = (Caller){0};
        if (caller.who.has_peer)
                (void)address_print(caller.who.family, caller.who.peer, from);
        daemon_event(d, EVENT_TAKEOVER, taken_back ? LOG_WARNING : LOG_NOTICE,
                     "takeover: %s was %s%s, by %s%s%s", notice->rival,
                     taken_back ? "restored" : notice->what,
                     taken_back ? " at once, as something did not hold without it" : "",
                     caller.who.user ? caller.who.user : "root", *from ? " from " : "", from);
        return 0;
}
