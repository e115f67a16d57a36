/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/confirm.h"

#include "base/unit.h"

/* A random walk through changes, confirmations, failing disks and kernels, crashes between any two
 * actions (and within one, when its effect is there and nobody knows), reboots, and clocks that are
 * set. After each step, what must always be so, is so. */

#define SECOND UINT64_C(1000000)
#define N_WALKS 400
#define N_STEPS 300
#define ENTRIES_MAX 400 /* of one walk */

typedef struct World {
        uint64_t random;
        /* the disk */
        bool has[ENTRIES_MAX], confirmed[ENTRIES_MAX]; /* history, and what it says */
        bool damaged[ENTRIES_MAX];
        uint32_t n_entries, sealed, staged;
        bool sealed_damaged, armed;
        PendingState pending_state;
        Pending pending;
        /* the kernel and the clocks */
        Target in_force;
        uint64_t boottime, realtime;
        unsigned int boot;
        char boot_name[16];
        /* the daemon */
        Confirm c;
        uint64_t timer; /* 0: none */
        bool is_dead;
        unsigned int acts_to_live; /* 0: it lives on */
        unsigned int failing;      /* a bit for each kind of action that fails */
        /* what was asked for */
        bool may_seal;                                          /* somebody confirms right now */
        uint64_t asked_deadlines[ENTRIES_MAX], latest_deadline; /* of the change that waits */
        size_t n_kept, n_crashes, n_confirmed, n_undone, n_lockdowns, n_resumed;
} World;

static uint32_t draw(World *w, uint32_t below) {
        w->random ^= w->random >> 12;
        w->random ^= w->random << 25;
        w->random ^= w->random >> 27;
        return (uint32_t)((w->random * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % below;
}

static bool sealed_is_usable(const World *w) {
        return w->sealed > 0 && !w->sealed_damaged;
}

static bool is_usable(const World *w, uint32_t entry) {
        return entry > 0 && ((w->has[entry] && !w->damaged[entry]) ||
                             (w->sealed == entry && sealed_is_usable(w)));
}

static bool was_confirmed(const World *w, uint32_t entry) {
        return w->confirmed[entry] || w->sealed == entry;
}

/* In boot order, the first one if after is 0. */
static uint32_t next_copy(void *context, uint32_t after) {
        const World *w = context;
        bool passed = after == 0;

        if (passed && sealed_is_usable(w))
                return w->sealed;
        passed |= after == w->sealed;
        for (uint32_t i = w->n_entries; i > 0; i--) {
                if (i == w->sealed && sealed_is_usable(w))
                        continue;
                if (passed && i != after && w->has[i] && w->confirmed[i] && !w->damaged[i])
                        return i;
                passed |= i == after;
        }
        return 0;
}

static ConfirmNow now(void *context) {
        World *w = context;

        (void)snprintf(w->boot_name, sizeof(w->boot_name), "boot-%u", w->boot);
        return (ConfirmNow){w->boottime, w->realtime, w->boot_name};
}

/* Never in force but with a word on disk that it waits, or that it was confirmed. */
static void check_put(const World *w, Target t) {
        if (t.kind != TARGET_ENTRY)
                return;
        assert_true(is_usable(w, t.entry));
        if (!was_confirmed(w, t.entry)) {
                assert_int_equal(w->pending_state, PENDING_READ);
                assert_int_equal(w->pending.entry, t.entry);
                assert_true(w->pending.deadline_usec > 0 && w->timer > 0);
                assert_true(w->timer <= w->pending.deadline_usec);
        }
}

static void seal(World *w, uint32_t entry) {
        assert_true(w->may_seal);
        w->sealed = entry;
        w->sealed_damaged = false;
        w->staged = 0;
        w->armed = true;
        w->n_confirmed++;
        if (draw(w, 8) > 0) /* the mark in history is a second file */
                w->confirmed[entry] = true;
}

static void take_effect(World *w, const ConfirmAction *action) {
        switch (action->kind) {
        case CONFIRM_STAGE:
                w->staged = action->target.entry;
                break;
        case CONFIRM_WRITE_PENDING:
                w->pending = action->pending;
                w->pending_state = PENDING_READ;
                w->latest_deadline = w->asked_deadlines[action->pending.entry];
                break;
        case CONFIRM_REMOVE_PENDING:
                w->pending_state = PENDING_NONE;
                break;
        case CONFIRM_ARM_TIMER:
                w->timer = action->usec;
                break;
        case CONFIRM_DISARM_TIMER:
                w->timer = 0;
                break;
        case CONFIRM_PUT:
                check_put(w, action->target);
                w->in_force = action->target;
                break;
        case CONFIRM_SEAL:
                seal(w, action->target.entry);
                break;
        case CONFIRM_REMEMBER_PEER:
        case CONFIRM_CUT:
        case _CONFIRM_ACTION_MAX:
                break;
        }
}

static int act(void *context, const ConfirmAction *action) {
        World *w = context;
        bool unreadable = action->kind == CONFIRM_PUT && action->target.kind == TARGET_ENTRY &&
                          !is_usable(w, action->target.entry);

        w->boottime += draw(w, 3) * SECOND / 2;
        if (w->is_dead)
                return -EIO;
        if (w->acts_to_live > 0 && --w->acts_to_live == 0) {
                w->is_dead = true;
                if (draw(w, 2) && !unreadable)
                        take_effect(w, action);
                return -EIO;
        }
        if (unreadable)
                return -EBADMSG;
        if (w->failing & 1U << action->kind && draw(w, 3) > 0) {
                if (action->kind != CONFIRM_PUT)
                        return -EIO;
                if (draw(w, 2))
                        return -EBADMSG; /* refused */
                if (draw(w, 2))          /* it was taken, and something else was read back */
                        take_effect(w, action);
                return -EIO;
        }
        take_effect(w, action);
        return 0;
}

static int run(World *w, ConfirmPlan *plan) {
        ConfirmHands hands = {w, act, now, next_copy};

        return confirm_run(&w->c, plan, &hands);
}

static ConfirmFound found(World *w) {
        return (ConfirmFound){
                .armed = w->armed || w->sealed > 0,
                .sealed = sealed_is_usable(w) ? w->sealed : 0,
                .first = next_copy(w, 0),
                .pending_state = w->pending_state,
                .pending = w->pending,
                .entry_is_usable = is_usable(w, w->pending.entry),
                .fallback_is_usable = is_usable(w, w->pending.fallback.entry),
        };
}

static void start(World *w) {
        ConfirmFound f = found(w);
        ConfirmNow at = now(w);
        ConfirmPlan plan;

        w->is_dead = false;
        w->timer = 0;
        confirm_start(&w->c, &f, &at, &plan);
        w->n_resumed += w->c.is_pending;
        (void)run(w, &plan);
}

static void crash_and_reboot(World *w, bool reboot) {
        w->n_crashes++;
        w->is_dead = true;
        w->acts_to_live = 0;
        w->timer = 0;
        w->boottime += draw(w, 100) * SECOND;
        if (!reboot)
                return;
        w->boot++;
        w->boottime = draw(w, 200) * SECOND;
        w->in_force = (Target){.kind = TARGET_NOTHING};
}

static void apply(World *w) {
        ConfirmNow at = now(w);
        ConfirmPlan plan;
        uint32_t entry = 1 + draw(w, w->n_entries + 1);
        uint64_t wait = (10 + draw(w, 120)) * SECOND, asked;
        Confirm before = w->c;

        if (!is_usable(w, entry)) {
                entry = ++w->n_entries;
                w->has[entry] = true;
        }
        asked = at.boottime_usec + wait;
        if (before.is_pending && before.pending.entry == entry) /* the later one may be refused */
                asked = MAX(asked, w->asked_deadlines[entry]);
        w->asked_deadlines[entry] = asked;
        confirm_apply(&w->c, entry, wait, &at, &plan);
        if (run(w, &plan) < 0 && before.is_pending && !w->is_dead && w->c.is_pending &&
            w->c.pending.entry == before.pending.entry) {
                assert_true(w->c.pending.deadline_usec <= before.pending.deadline_usec);
                w->n_kept++;
        }
}

static void confirm(World *w) {
        ConfirmCaller caller = {
                .over_ssh = draw(w, 4) > 0,
                .connected_usec = w->boottime - MIN(w->boottime, draw(w, 40) * SECOND / 2),
                .same_connection = draw(w, 8) == 0,
        };
        ConfirmNow at = now(w);
        Confirm before = w->c;
        ConfirmPlan plan;
        ConfirmAnswer answer = confirm_confirm(&w->c, &caller, &at, &plan);

        w->may_seal = answer == CONFIRM_OK;
        if (answer == CONFIRM_OK) {
                assert_true(at.boottime_usec < before.pending.deadline_usec);
                assert_true(!caller.over_ssh || caller.same_connection ||
                            caller.connected_usec > before.put_usec);
                assert_true(
                        target_equal(w->in_force, (Target){TARGET_ENTRY, before.pending.entry}));
        }
        if (run(w, &plan) == 0 && answer == CONFIRM_OK)
                assert_int_equal(w->sealed, before.pending.entry);
        w->may_seal = false;
}

static void fire(World *w) {
        ConfirmNow at = now(w);
        ConfirmPlan plan;
        bool waited = w->c.is_pending;

        w->timer = 0;
        confirm_timer(&w->c, &at, &plan);
        (void)run(w, &plan);
        w->n_undone += waited && !w->c.is_pending;
}

static void pass_time(World *w, uint64_t usec) {
        uint64_t until = w->boottime + usec;

        for (int i = 0; i < 1000 && !w->is_dead && w->timer > 0 && w->timer <= until; i++) {
                w->boottime = MAX(w->boottime, w->timer);
                fire(w);
        }
        w->boottime = MAX(w->boottime, until);
}

static void break_something(World *w) {
        switch (draw(w, 6)) {
        case 0:
                w->failing = 1U << draw(w, _CONFIRM_ACTION_MAX);
                break;
        case 1:
                w->failing = 1U << CONFIRM_STAGE | 1U << CONFIRM_WRITE_PENDING |
                             1U << CONFIRM_SEAL | 1U << CONFIRM_REMOVE_PENDING |
                             1U << CONFIRM_REMEMBER_PEER;
                break;
        case 2:
                if (w->n_entries > 0 && draw(w, 4) == 0)
                        w->damaged[1 + draw(w, w->n_entries)] = true;
                break;
        case 3:
                if (draw(w, 8) == 0)
                        w->sealed_damaged = true;
                break;
        case 4:
                if (w->pending_state == PENDING_READ && draw(w, 8) == 0)
                        w->pending_state = PENDING_DAMAGED;
                break;
        default:
                w->failing = 0;
        }
}

static void step(World *w) {
        ConfirmPlan plan;

        if (draw(w, 6) == 0)
                w->acts_to_live = 1 + draw(w, 6);
        switch (draw(w, 10)) {
        case 0:
        case 1:
        case 2:
                apply(w);
                break;
        case 3:
        case 4:
                confirm(w);
                break;
        case 5:
                (void)confirm_give_up(&w->c, &plan);
                (void)run(w, &plan);
                break;
        case 6:
                break_something(w);
                break;
        case 7:
                w->realtime = draw(w, 1000000) * SECOND;
                break;
        case 8:
                crash_and_reboot(w, draw(w, 2));
                break;
        default:
                pass_time(w, draw(w, 200) * SECOND);
        }
        if (w->is_dead) {
                crash_and_reboot(w, draw(w, 3) == 0);
                start(w);
        }
}

/* Of a daemon that lives and has nothing to do. */
static void check(World *w) {
        const Confirm *c = &w->c;

        if (w->timer > 0 && w->timer <= w->boottime)
                fire(w);
        if (w->is_dead)
                return;
        assert_true(!c->is_known || target_equal(c->in_force, w->in_force) ||
                    w->in_force.kind == TARGET_NOTHING);
        if (c->is_pending && c->is_known) {
                assert_true(w->timer > 0 && w->timer <= c->pending.deadline_usec);
                assert_true(w->boottime < c->pending.deadline_usec);
                assert_true(streq(c->pending.boot, w->boot_name));
        }
        if (!c->is_known) /* it will be tried again, soon */
                assert_true(w->timer > 0 && w->timer <= w->boottime + CONFIRM_RETRY_USEC);
        if (c->is_known && w->in_force.kind == TARGET_ENTRY && !was_confirmed(w, w->in_force.entry))
                assert_true(c->is_pending && c->pending.entry == w->in_force.entry);
        if (c->is_known && w->in_force.kind == TARGET_NOTHING)
                assert_false(w->armed);
        w->n_lockdowns += w->in_force.kind == TARGET_LOCKDOWN;
}

/* Whatever happened, a healthy daemon that starts now brings what was confirmed, or what waits. */
static void check_recovery(World *w) {
        Target t;

        w->failing = 0;
        crash_and_reboot(w, draw(w, 2));
        start(w);
        assert_false(w->is_dead);
        assert_true(w->c.is_known);
        assert_true(w->in_force.kind == w->c.in_force.kind);
        t = w->in_force;
        if (w->c.is_pending) {
                assert_int_equal(t.entry, w->c.pending.entry);
                assert_true(w->c.pending.deadline_usec <= w->latest_deadline);
                pass_time(w, 1000 * SECOND);
                assert_false(w->c.is_pending);
                t = w->in_force;
        }
        assert_int_equal(w->pending_state, PENDING_NONE);
        if (t.kind == TARGET_ENTRY)
                assert_true(was_confirmed(w, t.entry));
        if (t.kind == TARGET_LOCKDOWN)
                assert_int_equal(next_copy(w, 0), 0);
        if (t.kind == TARGET_NOTHING)
                assert_false(w->armed);
}

static void nothing_unconfirmed_outlives_its_time_whatever_happens(void **state) {
        size_t n_kept = 0, n_crashes = 0, n_confirmed = 0, n_undone = 0, n_lockdowns = 0,
               n_resumed = 0;

        for (uint64_t seed = 1; seed <= N_WALKS; seed++) {
                World w = {
                        .random = seed * 7919, .boottime = 50 * SECOND, .realtime = 5000 * SECOND};

                start(&w);
                for (size_t i = 0; i < N_STEPS; i++) {
                        step(&w);
                        check(&w);
                        if (draw(&w, 20) == 0)
                                check_recovery(&w);
                }
                n_kept += w.n_kept;
                n_crashes += w.n_crashes;
                n_confirmed += w.n_confirmed;
                n_undone += w.n_undone;
                n_lockdowns += w.n_lockdowns;
                n_resumed += w.n_resumed;
        }
        /* the walks came everywhere */
        assert_true(n_crashes > 1000 && n_confirmed > 1000 && n_undone > 1000);
        assert_true(n_lockdowns > 100 && n_resumed > 100 && n_kept > 100);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nothing_unconfirmed_outlives_its_time_whatever_happens),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
