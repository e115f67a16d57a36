/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/confirm_unit.h"

/* Every state × every event, and every start, as the list of what is to be done. */

#define SEALED_1 "seal 1, disarm-timer, remember-peer, cut, remove-pending"
#define SEALED_7 "seal 7, disarm-timer, remember-peer, cut, remove-pending"
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

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(every_event_in_every_state_has_its_plan),
                unit_arena_test(a_start_goes_on_with_what_stands_on_disk),
                unit_arena_test(the_time_left_is_rounded_up),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
