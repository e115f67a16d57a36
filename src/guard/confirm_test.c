/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/confirm.h"

#include <inttypes.h>

#include "base/unit.h"

/* Every state × every event, as the list of what is to be done. Times are in seconds. */

#define SECOND UINT64_C(1000000)
#define WAIT 120 /* of every change; each was made at 1000 and came into force at 1001 */

static const ConfirmNow soon = {1030 * SECOND, 9030 * SECOND, "boot-a"};
static const ConfirmNow late = {1120 * SECOND, 9120 * SECOND, "boot-a"};

static void print_target(FILE *f, Target t) {
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

static void print_action(FILE *f, const ConfirmAction *action) {
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

static void check_plan(const char *row, const ConfirmPlan *plan, const char *expected) {
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

static Target of_entry(uint32_t entry) {
        return (Target){.kind = TARGET_ENTRY, .entry = entry};
}

static const Target nothing = {.kind = TARGET_NOTHING}, lockdown = {.kind = TARGET_LOCKDOWN};

static Pending waiting(uint32_t entry, Target fallback) {
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

static Confirm state_of(StateId id) {
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

static ConfirmAnswer decide(const Confirm *c, EventId id, ConfirmPlan *ret) {
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

#define SEALED_1 "seal 1, disarm-timer, remember-peer, cut, remove-pending"
#define SEALED_7 "seal 7, disarm-timer, remember-peer, cut, remove-pending"
#define BACK_TO(x) "put " x ", remove-pending, disarm-timer"
#define APPLIED(entry, fallback)                                                                   \
        "stage " entry ", write-pending " entry " else " fallback                                  \
        " at 1150 (9150, boot-a), arm-timer 1150, put " entry

static void every_event_in_every_state_has_its_plan(void **state) {
        static const struct {
                ConfirmAnswer answer;
                const char *plan;
        } rows[_STATE_MAX][_EVENT_MAX] =
                {
                        [UNARMED] =
                                {
                                        [APPLY] = {CONFIRM_OK, APPLIED("8", "nothing")},
                                        [APPLY_BASE] = {CONFIRM_OK, APPLIED("5", "nothing")},
                                        [CONFIRM_NEW] = {CONFIRM_NOTHING_PENDING, ""},
                                        [CONFIRM_OLD] = {CONFIRM_NOTHING_PENDING, ""},
                                        [CONFIRM_OLD_BUT] = {CONFIRM_NOTHING_PENDING, ""},
                                        [CONFIRM_CONSOLE] = {CONFIRM_NOTHING_PENDING, ""},
                                        [CONFIRM_LATE] = {CONFIRM_NOTHING_PENDING, ""},
                                        [GIVE_UP] = {CONFIRM_NOTHING_PENDING, ""},
                                        [TIMER] = {CONFIRM_OK, ""},
                                        [TIMER_EARLY] = {CONFIRM_OK, ""},
                                },
                        [IN_FORCE] =
                                {
                                        [APPLY] = {CONFIRM_OK, APPLIED("8", "5")},
                                        [APPLY_BASE] = {CONFIRM_OK, "put 5"},
                                        [CONFIRM_NEW] = {CONFIRM_NOTHING_PENDING, ""},
                                        [CONFIRM_OLD] = {CONFIRM_NOTHING_PENDING, ""},
                                        [CONFIRM_OLD_BUT] = {CONFIRM_NOTHING_PENDING, ""},
                                        [CONFIRM_CONSOLE] = {CONFIRM_NOTHING_PENDING, ""},
                                        [CONFIRM_LATE] = {CONFIRM_NOTHING_PENDING, ""},
                                        [GIVE_UP] = {CONFIRM_NOTHING_PENDING, ""},
                                        [TIMER] = {CONFIRM_OK, ""},
                                        [TIMER_EARLY] = {CONFIRM_OK, ""},
                                },
                        [LOCKED] =
                                {
                                        [APPLY] = {CONFIRM_OK, APPLIED("8", "lockdown")},
                                        [APPLY_BASE] = {CONFIRM_OK, APPLIED("5", "lockdown")},
                                        [CONFIRM_NEW] = {CONFIRM_NOTHING_PENDING, ""},
                                        [CONFIRM_OLD] = {CONFIRM_NOTHING_PENDING, ""},
                                        [CONFIRM_OLD_BUT] = {CONFIRM_NOTHING_PENDING, ""},
                                        [CONFIRM_CONSOLE] = {CONFIRM_NOTHING_PENDING, ""},
                                        [CONFIRM_LATE] = {CONFIRM_NOTHING_PENDING, ""},
                                        [GIVE_UP] = {CONFIRM_NOTHING_PENDING, ""},
                                        [TIMER] = {CONFIRM_OK, ""},
                                        [TIMER_EARLY] = {CONFIRM_OK, ""},
                                },
                        [FIRST_WAITS] =
                                {
                                        [APPLY] = {CONFIRM_OK, APPLIED("8", "nothing")},
                                        [APPLY_BASE] = {CONFIRM_OK, APPLIED("5", "nothing")},
                                        [CONFIRM_NEW] = {CONFIRM_OK, SEALED_1},
                                        [CONFIRM_OLD] = {CONFIRM_OLD_CONNECTION, ""},
                                        [CONFIRM_OLD_BUT] = {CONFIRM_OK, SEALED_1},
                                        [CONFIRM_CONSOLE] = {CONFIRM_OK, SEALED_1},
                                        [CONFIRM_LATE] = {CONFIRM_TOO_LATE, BACK_TO("nothing")},
                                        [GIVE_UP] = {CONFIRM_OK, BACK_TO("nothing")},
                                        [TIMER] = {CONFIRM_OK, BACK_TO("nothing")},
                                        [TIMER_EARLY] = {CONFIRM_OK, "arm-timer 1120"},
                                },
                        [CHANGE_WAITS] =
                                {
                                        [APPLY] = {CONFIRM_OK, APPLIED("8", "5")},
                                        [APPLY_BASE] = {CONFIRM_OK, BACK_TO("5")},
                                        [CONFIRM_NEW] = {CONFIRM_OK, SEALED_7},
                                        [CONFIRM_OLD] = {CONFIRM_OLD_CONNECTION, ""},
                                        [CONFIRM_OLD_BUT] = {CONFIRM_OK, SEALED_7},
                                        [CONFIRM_CONSOLE] = {CONFIRM_OK, SEALED_7},
                                        [CONFIRM_LATE] = {CONFIRM_TOO_LATE, BACK_TO("5")},
                                        [GIVE_UP] = {CONFIRM_OK, BACK_TO("5")},
                                        [TIMER] = {CONFIRM_OK, BACK_TO("5")},
                                        [TIMER_EARLY] = {CONFIRM_OK, "arm-timer 1120"},
                                },
                        [WAY_OUT_WAITS] =
                                {
                                        [APPLY] = {CONFIRM_OK, APPLIED("8", "lockdown")},
                                        [APPLY_BASE] = {CONFIRM_OK, APPLIED("5", "lockdown")},
                                        [CONFIRM_NEW] = {CONFIRM_OK, SEALED_7},
                                        [CONFIRM_OLD] = {CONFIRM_OLD_CONNECTION, ""},
                                        [CONFIRM_OLD_BUT] = {CONFIRM_OK, SEALED_7},
                                        [CONFIRM_CONSOLE] = {CONFIRM_OK, SEALED_7},
                                        [CONFIRM_LATE] = {CONFIRM_TOO_LATE, BACK_TO("lockdown")},
                                        [GIVE_UP] = {CONFIRM_OK, BACK_TO("lockdown")},
                                        [TIMER] = {CONFIRM_OK, BACK_TO("lockdown")},
                                        [TIMER_EARLY] = {CONFIRM_OK, "arm-timer 1120"},
                                },
                        [UNDOING] =
                                {
                                        [APPLY] = {CONFIRM_OK, APPLIED("8", "lockdown")},
                                        [APPLY_BASE] = {CONFIRM_OK, APPLIED("5", "lockdown")},
                                        [CONFIRM_NEW] = {CONFIRM_TOO_LATE, BACK_TO("lockdown")},
                                        [CONFIRM_OLD] = {CONFIRM_TOO_LATE, BACK_TO("lockdown")},
                                        [CONFIRM_OLD_BUT] = {CONFIRM_TOO_LATE, BACK_TO("lockdown")},
                                        [CONFIRM_CONSOLE] = {CONFIRM_TOO_LATE, BACK_TO("lockdown")},
                                        [CONFIRM_LATE] = {CONFIRM_TOO_LATE, BACK_TO("lockdown")},
                                        [GIVE_UP] = {CONFIRM_OK, BACK_TO("lockdown")},
                                        [TIMER] = {CONFIRM_OK, BACK_TO("lockdown")},
                                        [TIMER_EARLY] = {CONFIRM_OK, BACK_TO("lockdown")},
                                },
                };

        for (StateId s = 0; s < _STATE_MAX; s++)
                for (EventId e = 0; e < _EVENT_MAX; e++) {
                        const char *row =
                                arena_printf(*state, "%s, %s", state_names[s], event_names[e]);
                        Confirm c = state_of(s);
                        ConfirmPlan plan;

                        assert_non_null(rows[s][e].plan);
                        unit_equal(row, decide(&c, e, &plan), rows[s][e].answer);
                        check_plan(row, &plan, rows[s][e].plan);
                }
}

static void a_start_goes_on_with_what_stands_on_disk(void **state) {
        static const Pending change = {.entry = 7,
                                       .fallback = {.kind = TARGET_ENTRY, .entry = 5},
                                       .armed_usec = 1000 * SECOND,
                                       .deadline_usec = 1120 * SECOND,
                                       .boot = "boot-a"};
        static const Pending first = {.entry = 1,
                                      .armed_usec = 1000 * SECOND,
                                      .deadline_usec = 1120 * SECOND,
                                      .boot = "boot-a"};
        static const ConfirmNow reboot = {20 * SECOND, 9030 * SECOND, "boot-b"};
        static const ConfirmNow long_after_reboot = {1030 * SECOND, 9030 * SECOND, "boot-b"};
        static const ConfirmNow backwards = {999 * SECOND, 9030 * SECOND, "boot-a"};
        static const ConfirmNow clock_set_back = {1119 * SECOND, 0, "boot-a"};
        static const ConfirmNow clock_set_ahead = {1119 * SECOND, UINT64_MAX / 2, "boot-a"};
        const struct {
                const char *row;
                ConfirmFound found;
                const ConfirmNow *now;
                const char *plan;
        } rows[] = {
                {"nothing was ever confirmed", {0}, &soon, ""},
                {"the sealed copy", {.armed = true, .sealed = 5, .first = 5}, &soon, "put 5"},
                {"the sealed copy is gone or damaged", {.armed = true, .first = 4}, &soon, "put 4"},
                {"no copy can be read", {.armed = true}, &soon, "put lockdown"},
                {"killed while a change waits",
                 {true, 5, 5, PENDING_READ, change, true, true},
                 &soon,
                 "arm-timer 1120, put 7"},
                {"killed, and too late",
                 {true, 5, 5, PENDING_READ, change, true, true},
                 &late,
                 BACK_TO("5")},
                {"killed, and the clock was set back",
                 {true, 5, 5, PENDING_READ, change, true, true},
                 &clock_set_back,
                 "arm-timer 1120, put 7"},
                {"killed, and the clock was set ahead",
                 {true, 5, 5, PENDING_READ, change, true, true},
                 &clock_set_ahead,
                 "arm-timer 1120, put 7"},
                {"rebooted while a change waits",
                 {true, 5, 5, PENDING_READ, change, true, true},
                 &reboot,
                 BACK_TO("5")},
                {"rebooted, as long up as then",
                 {true, 5, 5, PENDING_READ, change, true, true},
                 &long_after_reboot,
                 BACK_TO("5")},
                {"the machine was put back to an earlier state",
                 {true, 5, 5, PENDING_READ, change, true, true},
                 &backwards,
                 BACK_TO("5")},
                {"what waits cannot be read",
                 {true, 5, 5, PENDING_READ, change, false, true},
                 &soon,
                 BACK_TO("5")},
                {"what is fallen back to cannot be read",
                 {true, 0, 4, PENDING_READ, change, true, false},
                 &late,
                 BACK_TO("4")},
                {"nothing can be read",
                 {true, 0, 0, PENDING_READ, change, false, false},
                 &soon,
                 BACK_TO("lockdown")},
                {"that something waits is damaged",
                 {true, 5, 5, PENDING_DAMAGED, {0}, false, false},
                 &soon,
                 BACK_TO("5")},
                {"likewise, before the first confirmation",
                 {false, 0, 0, PENDING_DAMAGED, {0}, false, false},
                 &soon,
                 BACK_TO("nothing")},
                {"killed while the first one waits",
                 {false, 0, 0, PENDING_READ, first, true, false},
                 &soon,
                 "arm-timer 1120, put 1"},
                {"rebooted while the first one waits",
                 {false, 0, 0, PENDING_READ, first, true, false},
                 &reboot,
                 BACK_TO("nothing")},
                {"killed while confirming",
                 {true, 7, 7, PENDING_READ, change, true, true},
                 &late,
                 "put 7, cut, remove-pending"},
                {"killed while confirming the first one, then rebooted",
                 {true, 1, 1, PENDING_READ, first, true, false},
                 &reboot,
                 "put 1, cut, remove-pending"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Confirm c;
                ConfirmPlan plan;

                confirm_start(&c, &rows[i].found, rows[i].now, &plan);
                check_plan(rows[i].row, &plan, rows[i].plan);
        }
}

/* Hands that fail at some actions; what they did is noted. */
typedef struct Clumsy {
        ConfirmPlan done;
        const char *fails[4]; /* as print_action() words them; each fails as often as it comes */
        const char *refused;  /* likewise: the kernel refuses it, and nothing changes */
        size_t n_acts;
} Clumsy;

static int clumsy_act(void *context, const ConfirmAction *action) {
        Clumsy *clumsy = context;
        char text[128] = "";
        FILE *f = fmemopen(text, sizeof(text), "w");

        assert_non_null(f);
        print_action(f, action);
        assert_int_equal(fclose(f), 0);
        assert_true(++clumsy->n_acts < 100);
        for (size_t i = 0; i < ARRAY_SIZE(clumsy->fails); i++)
                if (clumsy->fails[i] && startswith(text, clumsy->fails[i]))
                        return -EIO;
        if (clumsy->refused && startswith(text, clumsy->refused))
                return -EBADMSG;
        assert_true(clumsy->done.n_actions < CONFIRM_ACTIONS_MAX);
        clumsy->done.actions[clumsy->done.n_actions++] = *action;
        return 0;
}

static ConfirmNow clumsy_now(void *context) {
        return soon;
}

static uint32_t clumsy_next_copy(void *context, uint32_t entry) {
        return entry == 5 ? 4 : entry == 4 ? 2 : 0;
}

static void what_fails_is_made_up_for(void **state) {
        static const struct {
                const char *row;
                StateId state;
                EventId event;
                const char *fails[4];
                const char *done;
                bool is_pending;
                const char *base;
        } rows[] = {
                {"the disk is full", IN_FORCE, APPLY, {"stage"}, "", false, "5"},
                {"the disk is full now", IN_FORCE, APPLY, {"write-pending"}, "stage 8", false, "5"},
                {"likewise, while a change waits",
                 CHANGE_WAITS,
                 APPLY,
                 {"write-pending"},
                 "stage 8",
                 true,
                 "5"},
                {"there is no timer",
                 IN_FORCE,
                 APPLY,
                 {"arm-timer"},
                 "stage 8, write-pending 8 else 5 at 1150 (9150, boot-a), put 5, remove-pending, "
                 "disarm-timer",
                 false,
                 "5"},
                {"the kernel refuses",
                 IN_FORCE,
                 APPLY,
                 {"put 8"},
                 "stage 8, write-pending 8 else 5 at 1150 (9150, boot-a), arm-timer 1150, put 5, "
                 "remove-pending, disarm-timer",
                 false,
                 "5"},
                {"the kernel refuses the first one",
                 UNARMED,
                 APPLY,
                 {"put 8"},
                 "stage 8, write-pending 8 else nothing at 1150 (9150, boot-a), arm-timer 1150, "
                 "put nothing, remove-pending, disarm-timer",
                 false,
                 "nothing"},
                {"what is fallen back to is refused",
                 CHANGE_WAITS,
                 TIMER,
                 {"put 5"},
                 "put 4, remove-pending, disarm-timer",
                 false,
                 "4"},
                {"every copy is refused",
                 CHANGE_WAITS,
                 TIMER,
                 {"put 5", "put 4", "put 2"},
                 "put lockdown, remove-pending, disarm-timer",
                 false,
                 "lockdown"},
                {"everything is refused",
                 CHANGE_WAITS,
                 TIMER,
                 {"put"},
                 "arm-timer 1035",
                 true,
                 "lockdown"},
                {"the disk has become read-only",
                 CHANGE_WAITS,
                 TIMER,
                 {"remove-pending"},
                 "put 5, arm-timer 1035",
                 false,
                 "5"},
                {"it cannot be sealed", CHANGE_WAITS, CONFIRM_NEW, {"seal"}, "", true, "5"},
                {"nobody can be remembered or cut",
                 CHANGE_WAITS,
                 CONFIRM_NEW,
                 {"remember-peer", "cut", "disarm-timer"},
                 "seal 7, remove-pending",
                 false,
                 "7"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Clumsy clumsy = {0};
                ConfirmHands hands = {&clumsy, clumsy_act, clumsy_now, clumsy_next_copy};
                Confirm c = state_of(rows[i].state);
                char base[16] = "";
                FILE *f = fmemopen(base, sizeof(base), "w");
                ConfirmPlan plan;

                memcpy(clumsy.fails, rows[i].fails, sizeof(clumsy.fails));
                (void)decide(&c, rows[i].event, &plan);
                unit_equal(rows[i].row, confirm_run(&c, &plan, &hands), -EIO);
                check_plan(rows[i].row, &clumsy.done, rows[i].done);
                unit_equal(rows[i].row, c.is_pending, rows[i].is_pending);
                print_target(f, c.base);
                assert_int_equal(fclose(f), 0);
                unit_string(rows[i].row, base, rows[i].base);
        }
}

#define FORMER_WAITS "write-pending 7 else 5 at 1120 (9120, boot-a), arm-timer 1120"
#define REPLACED "stage 8, write-pending 8 else 5 at 1150 (9150, boot-a), arm-timer 1150"

static void a_change_waits_on_if_the_one_after_it_is_refused(void **state) {
        Clumsy clumsy = {.refused = "put 8"};
        ConfirmHands hands = {&clumsy, clumsy_act, clumsy_now, clumsy_next_copy};
        Confirm c = state_of(CHANGE_WAITS);
        ConfirmCaller caller = {.over_ssh = true, .connected_usec = 1001 * SECOND};
        ConfirmPlan plan;

        (void)decide(&c, APPLY, &plan);
        assert_int_equal(confirm_run(&c, &plan, &hands), -EBADMSG);
        check_plan("kept", &clumsy.done, REPLACED ", " FORMER_WAITS);
        assert_true(c.is_pending && c.is_known);
        assert_int_equal(c.pending.entry, 7);
        assert_true(target_equal(c.in_force, of_entry(7)));
        /* and is confirmed as ever: from a connection that is younger than itself */
        assert_int_equal(confirm_confirm(&c, &caller, &soon, &plan), CONFIRM_OLD_CONNECTION);
        caller.connected_usec = 1002 * SECOND;
        assert_int_equal(confirm_confirm(&c, &caller, &soon, &plan), CONFIRM_OK);
        confirm_timer(&c, &late, &plan);
        check_plan("its own time", &plan, "put 5, remove-pending, disarm-timer");
}

static void it_is_undone_where_nobody_knows_whether_it_is_in_force(void **state) {
        static const char *const fails[][2] = {
                {"put 8", NULL}, /* it may have come into force */
                {NULL, "write-pending 7"},
                {NULL, "arm-timer 1120"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(fails); i++) {
                Clumsy clumsy = {.fails = {fails[i][0], fails[i][1]},
                                 .refused = fails[i][0] ? NULL : "put 8"};
                ConfirmHands hands = {&clumsy, clumsy_act, clumsy_now, clumsy_next_copy};
                Confirm c = state_of(CHANGE_WAITS);
                ConfirmPlan plan;

                (void)decide(&c, APPLY, &plan);
                assert_true(confirm_run(&c, &plan, &hands) < 0);
                assert_false(c.is_pending);
                assert_true(c.is_known);
                assert_true(target_equal(c.in_force, of_entry(5)));
                assert_int_equal(clumsy.done.actions[clumsy.done.n_actions - 2].kind,
                                 CONFIRM_REMOVE_PENDING);
        }
}

static void what_could_not_be_removed_is_tried_again(void **state) {
        Clumsy clumsy = {.fails = {"remove-pending"}};
        ConfirmHands hands = {&clumsy, clumsy_act, clumsy_now, clumsy_next_copy};
        Confirm c = state_of(CHANGE_WAITS);
        ConfirmPlan plan;

        assert_int_equal(confirm_give_up(&c, &plan), CONFIRM_OK);
        assert_int_equal(confirm_run(&c, &plan, &hands), -EIO);
        assert_true(c.has_leftover);
        clumsy = (Clumsy){0};
        confirm_timer(&c, &soon, &plan);
        assert_int_equal(confirm_run(&c, &plan, &hands), 0);
        check_plan("again", &clumsy.done, "remove-pending");
        confirm_timer(&c, &soon, &plan);
        check_plan("once is enough", &plan, "");
}

static void the_time_left_is_rounded_up(void **state) {
        Confirm c = state_of(CHANGE_WAITS);
        ConfirmNow now = soon;

        assert_int_equal(confirm_remaining(&c, &soon), 90);
        now.boottime_usec = 1120 * SECOND - 1;
        assert_int_equal(confirm_remaining(&c, &now), 1);
        assert_int_equal(confirm_remaining(&c, &late), 0);
        c = state_of(IN_FORCE);
        assert_int_equal(confirm_remaining(&c, &soon), 0);
}

static void a_change_made_by_these_hands_can_be_confirmed(void **state) {
        Clumsy clumsy = {0};
        ConfirmHands hands = {&clumsy, clumsy_act, clumsy_now, clumsy_next_copy};
        Confirm c = state_of(IN_FORCE);
        ConfirmCaller caller = {.over_ssh = true, .connected_usec = 1029 * SECOND};
        ConfirmPlan plan;

        confirm_apply(&c, 8, WAIT * SECOND, &soon, &plan);
        assert_int_equal(confirm_run(&c, &plan, &hands), 0);
        assert_true(c.is_pending);
        assert_true(target_equal(c.in_force, of_entry(8)));
        assert_int_equal(confirm_remaining(&c, &soon), WAIT);
        assert_int_equal(confirm_confirm(&c, &caller, &soon, &plan), CONFIRM_OLD_CONNECTION);
        caller.connected_usec = 1031 * SECOND;
        assert_int_equal(confirm_confirm(&c, &caller, &soon, &plan), CONFIRM_OK);
        clumsy = (Clumsy){0};
        assert_int_equal(confirm_run(&c, &plan, &hands), 0);
        assert_false(c.is_pending);
        assert_true(target_equal(c.base, of_entry(8)));
        assert_true(target_equal(c.in_force, of_entry(8)));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(every_event_in_every_state_has_its_plan),
                unit_arena_test(a_start_goes_on_with_what_stands_on_disk),
                unit_arena_test(what_fails_is_made_up_for),
                unit_arena_test(a_change_waits_on_if_the_one_after_it_is_refused),
                unit_arena_test(it_is_undone_where_nobody_knows_whether_it_is_in_force),
                unit_arena_test(what_could_not_be_removed_is_tried_again),
                unit_arena_test(the_time_left_is_rounded_up),
                unit_arena_test(a_change_made_by_these_hands_can_be_confirmed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
