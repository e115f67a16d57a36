/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For the tests of guard/confirm.h: states, events, and plans as text. Times are in seconds. */

#include <inttypes.h>

#include "base/unit.h"
#include "guard/confirm.h"

#define SECOND UINT64_C(1000000)
#define WAIT 120 /* of every change; each was made at 1000 and came into force at 1001 */

static const ConfirmNow soon = {1030 * SECOND, 9030 * SECOND, "boot-a"};
static const ConfirmNow late = {1120 * SECOND, 9120 * SECOND, "boot-a"};

static inline void print_target(FILE *f, Target t) {
        switch (t.kind) {
        case TARGET_NOTHING:
                fputs("nothing", f);
                break;
        case TARGET_LOCKDOWN:
                fputs("lockdown", f);
                break;
        case TARGET_ENTRY:
                fprintf(f, "%" PRIu32, t.entry);
                break;
        }
}

static inline void print_action(FILE *f, const ConfirmAction *action) {
        fputs(confirm_action_to_string(action->kind), f);
        switch (action->kind) {
        case CONFIRM_STAGE:
        case CONFIRM_SEAL:
        case CONFIRM_PUT:
                fputc(' ', f);
                print_target(f, action->target);
                break;
        case CONFIRM_WRITE_PENDING:
                fprintf(f, " %" PRIu32 " else ", action->pending.entry);
                print_target(f, action->pending.fallback);
                fprintf(f, " at %" PRIu64 " (%" PRIu64 ", %s)",
                        action->pending.deadline_usec / SECOND,
                        action->pending.deadline_realtime_usec / SECOND, action->pending.boot);
                break;
        case CONFIRM_ARM_TIMER:
                fprintf(f, " %" PRIu64, action->usec / SECOND);
                break;
        case CONFIRM_REMOVE_PENDING:
        case CONFIRM_DISARM_TIMER:
        case CONFIRM_REMEMBER_PEER:
        case CONFIRM_CUT:
        case _CONFIRM_ACTION_MAX:
                break;
        }
}

static inline void check_plan(const char *row, const ConfirmPlan *plan, const char *expected) {
        char text[512] = "";
        FILE *f = fmemopen(text, sizeof(text), "w");

        assert_non_null(f);
        for (size_t i = 0; i < plan->n_actions; i++) {
                fputs(i > 0 ? ", " : "", f);
                print_action(f, &plan->actions[i]);
        }
        assert_int_equal(fclose(f), 0);
        unit_string(row, text, expected);
}

static inline Target of_entry(uint32_t entry) {
        return (Target){.kind = TARGET_ENTRY, .entry = entry};
}

static const Target nothing = {.kind = TARGET_NOTHING}, lockdown = {.kind = TARGET_LOCKDOWN};

static inline Pending waiting(uint32_t entry, Target fallback) {
        return (Pending){
                .entry = entry,
                .fallback = fallback,
                .armed_usec = 1000 * SECOND,
                .deadline_usec = (1000 + WAIT) * SECOND,
                .deadline_realtime_usec = (9000 + WAIT) * SECOND,
                .boot = "boot-a",
        };
}

typedef enum StateId {
        UNARMED,
        IN_FORCE,      /* 5 */
        LOCKED,        /* no copy could be read */
        FIRST_WAITS,   /* 1, else nothing */
        CHANGE_WAITS,  /* 7, else 5 */
        WAY_OUT_WAITS, /* 7, else lockdown */
        UNDOING,       /* 7 was to be undone, and the lockdown could not be put in force */
        _STATE_MAX,
} StateId;

static const char *const state_names[_STATE_MAX] = {
        "unarmed",        "in force",        "locked down", "the first one waits",
        "a change waits", "a way out waits", "undoing",
};

static inline Confirm state_of(StateId id) {
        Confirm c = {.is_known = true};

        switch (id) {
        case UNARMED:
                break;
        case IN_FORCE:
                c.base = c.in_force = of_entry(5);
                break;
        case LOCKED:
                c.base = c.in_force = lockdown;
                break;
        case FIRST_WAITS:
                c.pending = waiting(1, nothing);
                break;
        case CHANGE_WAITS:
                c.pending = waiting(7, of_entry(5));
                break;
        case WAY_OUT_WAITS:
        case UNDOING:
                c.pending = waiting(7, lockdown);
                break;
        case _STATE_MAX:
                break;
        }
        if (c.pending.entry > 0) {
                c.is_pending = true;
                c.base = c.pending.fallback;
                c.in_force = of_entry(c.pending.entry);
                c.put_usec = 1001 * SECOND;
                c.is_known = id != UNDOING;
        }
        return c;
}

typedef enum EventId {
        APPLY, /* 8 */
        APPLY_BASE,
        CONFIRM_NEW,     /* from a connection of 1010 */
        CONFIRM_OLD,     /* of 1001, as old as the change */
        CONFIRM_OLD_BUT, /* and insists */
        CONFIRM_CONSOLE,
        CONFIRM_LATE, /* from a console, when the time is over */
        GIVE_UP,
        TIMER,
        TIMER_EARLY,
        _EVENT_MAX,
} EventId;

static const char *const event_names[_EVENT_MAX] = {
        "apply",
        "apply what is confirmed",
        "confirm by a new connection",
        "confirm by an old one",
        "confirm by an old one that insists",
        "confirm at a console",
        "confirm too late",
        "give up",
        "timer",
        "timer too early",
};

static inline ConfirmAnswer decide(const Confirm *c, EventId id, ConfirmPlan *ret) {
        ConfirmCaller caller = {.over_ssh = true, .connected_usec = 1010 * SECOND};

        switch (id) {
        case APPLY:
        case APPLY_BASE:
                confirm_apply(c, id == APPLY ? 8 : 5, WAIT * SECOND, &soon, ret);
                return CONFIRM_OK;
        case CONFIRM_NEW:
                return confirm_confirm(c, &caller, &soon, ret);
        case CONFIRM_OLD:
        case CONFIRM_OLD_BUT:
                caller.connected_usec = 1001 * SECOND;
                caller.same_connection = id == CONFIRM_OLD_BUT;
                return confirm_confirm(c, &caller, &soon, ret);
        case CONFIRM_CONSOLE:
        case CONFIRM_LATE:
                return confirm_confirm(c, &(ConfirmCaller){0}, id == CONFIRM_LATE ? &late : &soon,
                                       ret);
        case GIVE_UP:
                return confirm_give_up(c, ret);
        case TIMER:
                confirm_timer(c, &late, ret);
                return CONFIRM_OK;
        case TIMER_EARLY:
                confirm_timer(c, &soon, ret);
                return CONFIRM_OK;
        case _EVENT_MAX:
                break;
        }
        return CONFIRM_OK;
}

#define BACK_TO(x) "put " x ", remove-pending, disarm-timer"
