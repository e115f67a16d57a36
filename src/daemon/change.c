/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/change.h"

#include <pwd.h>
#include <syslog.h>

#include "daemon/entry.h"
#include "daemon/siege.h"
#include "guard/boot.h"
#include "guard/cut.h"
#include "guard/lockdown.h"

/* The hands of guard/confirm.h: it decides what is to be done, in which order, and what comes when
 * something fails; here it is done. */

static const char *const target_texts[] = {
        [TARGET_NOTHING] = "nothing",
        [TARGET_LOCKDOWN] = "the lockdown",
        [TARGET_ENTRY] = "a policy",
};

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Daemon *d = userdata;
        ConfirmNow now = boot_now(d->boot);
        uint32_t number = d->confirm.pending.entry;
        ConfirmPlan plan;

        confirm_timer(&d->confirm, &now, &plan);
        if (plan.n_actions == 0)
                return 0;
        if (d->confirm.is_pending && plan.actions[0].kind == CONFIRM_PUT)
                daemon_event(d, EVENT_UNDONE, LOG_WARNING,
                             "change %u was not confirmed in time and is undone", number);
        (void)change_run(d, &plan); /* says itself what went wrong, and arms the next try */
        return 0;
}

static int arm_timer(Daemon *d, uint64_t usec) {
        int r;

        d->timer = sd_event_source_disable_unref(d->timer);
        /* CLOCK_BOOTTIME goes on while the machine sleeps, and nobody can set it */
        r = sd_event_add_time(d->event, &d->timer, CLOCK_BOOTTIME, usec, 10000, on_timer, d);
        if (r >= 0) /* whoever keeps the socket busy does not keep a change in force */
                r = sd_event_source_set_priority(d->timer, SD_EVENT_PRIORITY_IMPORTANT - 1);
        return r < 0 ? r : 0;
}

#define PUT_TRIES 5
#define PUT_WAIT_USEC 100000

static bool is_passing(int r) {
        return r < 0 && r != -EBADMSG && r != -ENOENT;
}

/* At the start, while another program owns the table, nothing comes in until that has ended; then
 * what is desired is put in force. r: what became of the attempt. */
static int stand_in(Daemon *d, int r) {
        if (r != -EPERM || !d->engine.insists || !d->engine.desired ||
            !siege_begin(d, SIEGE_STUCK, drift_now()))
                return r;
        d->drift.is_stuck = true;
        daemon_event(d, EVENT_FAILURE, LOG_CRIT,
                     "what was confirmed is not in force, and it is tried again: another program "
                     "owns the table");
        drift_retry(d);
        return 0;
}

/* What is wrong with the kernel now, and not with this copy, may be over: another copy is an older
 * policy. */
static int put_entry(Daemon *d, uint32_t number) {
        int r = entry_put(d, number);
        bool is_sure = true; /* that what was in force still is */

        for (int i = 0; i < PUT_TRIES && is_passing(r); i++) {
                if (r == -EPERM && d->engine.insists)
                        return r;
                is_sure &= r == -EAGAIN || r == -EPERM;
                (void)usleep(PUT_WAIT_USEC);
                r = entry_put(d, number);
        }
        return r < 0 && !is_sure ? -EIO : r;
}

/* Where nothing was in force, or something else than there should be, conntrack may have slept. */
static void look_amidst(Daemon *d) {
        if (!d->is_noted || (d->engine.changes.messages > 0 && !d->engine.wrote_flags))
                amidst_begin(d, AMIDST_USEC);
        else if (!d->amidst.timer)
                amidst_begin(d, AMIDST_AGAIN_USEC);
}

static int put(Daemon *d, Target target) {
        bool was_there, is_kept_out;
        int r;

        /* what should be in force is decided as ever, and comes when the panic is over */
        if (d->panic.is_on && d->engine.desired)
                return 0;
        if (d->panic.is_on) { /* at the start: nobody has read yet whose the rules are to be */
                if (target.kind == TARGET_ENTRY)
                        entry_keep_settings(d, target.entry);
                return stand_in(d, entry_put_lockdown(d));
        }
        switch (target.kind) {
        case TARGET_NOTHING:
                r = engine_remove(&d->engine, &was_there, d->diag);
                if (r == 0)
                        siege_end(d);
                break;
        case TARGET_LOCKDOWN:
                r = entry_put_lockdown(d);
                /* the last that can be done must not fail for what a kernel lacks */
                if (r == -EBADMSG && engine_learn(&d->engine))
                        r = entry_put_lockdown(d);
                break;
        case TARGET_ENTRY:
                r = put_entry(d, target.entry);
                break;
        default:
                return -EINVAL;
        }
        claims_doubt(d);
        is_kept_out = r == -EPERM;
        r = stand_in(d, r);
        if (r < 0)
                return r;
        /* before anything that waits for the disk, or for the kernel to finish what was changed */
        if (d->cuts_next && d->engine.changes.messages > 0)
                (void)change_cut(d);
        d->cuts_next = false;
        engine_keep_tracking(&d->engine);
        if (target.kind != TARGET_NOTHING)
                look_amidst(d);
        absence_note(d, target.kind != TARGET_NOTHING);
        if (target.kind != TARGET_NOTHING)
                bans_resume(d);
        d->since_usec = daemon_now();
        if (is_kept_out)
                return 0;
        if (target.kind == TARGET_ENTRY)
                daemon_event(d, EVENT_IN_FORCE, LOG_NOTICE, "in force: change %u%s%s", target.entry,
                             d->by ? ", by " : "", d->by ? d->by : "");
        else
                daemon_event(d, target.kind == TARGET_LOCKDOWN ? EVENT_LOCKDOWN : EVENT_UNLOADED,
                             target.kind == TARGET_LOCKDOWN ? LOG_CRIT : LOG_WARNING,
                             "in force: %s", target_texts[target.kind]);
        return 0;
}

int change_put_again(Daemon *d) {
        return put(d, d->confirm.in_force);
}

static void say_not_cut(Daemon *d, const char *format, ...) _printf_(2, 3);

static void say_not_cut(Daemon *d, const char *format, ...) {
        size_t len = strlen(d->not_cut);
        char text[sizeof(d->not_cut)];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        daemon_say(d, LOG_WARNING, "%s", text);
        (void)snprintf(d->not_cut + len, sizeof(d->not_cut) - len, "%s%s", len > 0 ? "; " : "",
                       text);
}

int change_cut(Daemon *d) {
        CutCounts counts = {0};
        int r;

        d->n_cut = 0;
        d->not_cut[0] = '\0';
        if (!d->engine.desired || !d->settings.cut_denied)
                return 0;
        turn_step(d, 0);
        r = cut_all(d->engine.desired, d->settings.mark, &counts);
        turn_step(d, 0);
        d->n_cut = counts.n_cut;
        if (r < 0)
                say_not_cut(d, "open connections could not all be looked at: %s", strerror(-r));
        if (counts.n_failed > 0)
                say_not_cut(d, "%zu open connections that are not admitted could not be cut: %s",
                            counts.n_failed, strerror(-counts.error));
        if (counts.is_fleeting)
                say_not_cut(d, "open connections changed all the time: some may not have been "
                               "looked at");
        if (counts.n_unknown > 0)
                say_not_cut(d,
                            "%zu open connections of this host's own were left alone: whether they "
                            "are admitted depends on who owns them, which nobody can tell",
                            counts.n_unknown);
        if (counts.n_cut > 0)
                daemon_event(d, EVENT_CUT, LOG_NOTICE,
                             "%zu open connections that are not admitted were cut", counts.n_cut);
        return 0;
}

static int remember_peer(Daemon *d) {
        const StorePeer peer = {d->caller.family, d->caller.peer, d->caller.port};
        int r = d->caller.has_peer ? store_remember_peer(d->store, peer, d->diag) : 0;

        lockdown_write(d->store, &d->engine.features, d->diag);
        return r;
}

static int do_action(Daemon *d, const ConfirmAction *action) {
        switch (action->kind) {
        case CONFIRM_STAGE:
                return store_stage(d->store, action->target.entry, d->diag);
        case CONFIRM_WRITE_PENDING:
                return store_write_pending(d->store, &action->pending, d->diag);
        case CONFIRM_REMOVE_PENDING:
                return store_remove_pending(d->store, d->diag);
        case CONFIRM_ARM_TIMER:
                return arm_timer(d, action->usec);
        case CONFIRM_DISARM_TIMER:
                d->timer = sd_event_source_disable_unref(d->timer);
                return 0;
        case CONFIRM_PUT:
                return put(d, action->target);
        case CONFIRM_SEAL:
                return store_seal(d->store, action->target.entry, daemon_now(), &d->caller,
                                  d->diag);
        case CONFIRM_REMEMBER_PEER:
                return remember_peer(d);
        case CONFIRM_CUT:
                return change_cut(d);
        case _CONFIRM_ACTION_MAX:
                break;
        }
        return -EINVAL;
}

static int act(void *context, const ConfirmAction *action) {
        Daemon *d = context;
        int r = do_action(d, action);

        if (r < 0 && d->failed == _CONFIRM_ACTION_MAX)
                d->failed = action->kind;
        return r;
}

static ConfirmNow now_of(void *context) {
        const Daemon *d = context;

        return boot_now(d->boot);
}

static uint32_t next_copy(void *context, uint32_t entry) {
        const Daemon *d = context;

        return store_next_copy(d->store, entry);
}

int change_run(Daemon *d, ConfirmPlan *plan) {
        const ConfirmHands hands = {
                .context = d, .act = act, .now = now_of, .next_copy = next_copy};
        _cleanup_(arena_freep) Arena *a = d->diag ? NULL : arena_new(0);
        bool own = d->diag == NULL, was_pending;
        Target base;
        int r;

        if (own)
                d->diag = a ? diag_new(a) : NULL;
        if (!d->diag)
                return -ENOMEM;
        was_pending = d->confirm.is_pending;
        base = d->confirm.base;
        r = confirm_run(&d->confirm, plan, &hands);
        /* what an unconfirmed change let in ends with it */
        if (was_pending && !d->confirm.is_pending && d->confirm.is_known &&
            target_equal(base, d->confirm.base) && base.kind != TARGET_NOTHING)
                (void)change_cut(d);
        /* whoever asked is told by whoever called; what nobody asked for is said here */
        if (own) {
                daemon_say_all(d, d->diag);
                d->diag = NULL;
        }
        (void)turn_tell(d, MANAGER_STATUS, -1, "STATUS=%s", change_status(d));
        return r;
}

int change_start(Daemon *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        ConfirmNow now;
        ConfirmFound found = {0};
        ConfirmPlan plan;
        Absence absence;
        const Tree tree = {.arena = a, .root = ""};
        int r = a ? boot_identify(&tree, d->boot) : -ENOMEM;

        if (r < 0)
                return r;
        d->diag = diag_new(a);
        if (!d->diag)
                return -ENOMEM;
        d->settings.cut_denied = true;
        d->settings.mark = LOCKDOWN_MARK;
        r = store_open(d->state_dir, STORE_WRITE, &d->store, d->diag);
        if (r == 0)
                r = store_find(d->store, &found, d->diag);
        if (r < 0) {
                daemon_say_all(d, d->diag);
                d->diag = NULL;
                return r;
        }
        absence_find(d, a, &absence);
        panic_start(d);
        now = boot_now(d->boot);
        confirm_start(&d->confirm, &found, &now, &plan);
        /* something else was in force while nobody watched, and let in what this does not */
        d->cuts_next = found.pending_state == PENDING_NONE;
        d->engine.insists = true;
        r = change_run(d, &plan);
        if (r == 0 && d->panic.is_on && !d->engine.desired) /* nothing was confirmed yet */
                r = put(d, d->confirm.in_force);
        d->cuts_next = d->engine.insists = false;
        if (d->was_parked && r == 0 && !d->drift.is_stuck)
                siege_end_anothers(d);
        if (d->panic.is_on)
                panic_cut(d);
        /* an undoing before the first event, see change_run() */
        else if (found.pending_state != PENDING_NONE && !d->confirm.is_pending &&
                 d->confirm.is_known && d->confirm.in_force.kind != TARGET_NOTHING)
                (void)change_cut(d);
        if (found.pending_state != PENDING_NONE) /* what is undone is nobody else's doing */
                engine_forget_found(&d->engine);
        absence_end(d, a, &absence);
        if (found.armed && !store_has_lockdown(d->store)) /* as after an upgrade */
                lockdown_write(d->store, &d->engine.features, d->diag);
        daemon_say_all(d, d->diag);
        d->diag = NULL;
        if (r < 0)
                daemon_event(d, EVENT_FAILURE, LOG_CRIT,
                             "what was confirmed could not be put in force: %s", strerror(-r));
        if (d->standalone)
                return entry_start_file(d);
        /* nobody is told that it is ready while this host may be open */
        return d->confirm.is_known && !d->panic.is_on ? 0 : r;
}

void change_stop(Daemon *d) {
        d->timer = sd_event_source_disable_unref(d->timer);
        amidst_stop(d);
        panic_stop(d);
        d->store = store_close(d->store);
}

const char *change_status(const Daemon *d) {
        static char text[128];
        ConfirmNow now = boot_now(d->boot);

        if (d->confirm.is_pending)
                (void)snprintf(text, sizeof(text), "change %u waits for its confirmation: %u s",
                               d->confirm.pending.entry, confirm_remaining(&d->confirm, &now));
        else if (d->confirm.in_force.kind == TARGET_ENTRY)
                (void)snprintf(text, sizeof(text), "in force: change %u",
                               d->confirm.in_force.entry);
        else
                (void)snprintf(text, sizeof(text), "in force: %s",
                               target_texts[d->confirm.in_force.kind]);
        return text;
}
