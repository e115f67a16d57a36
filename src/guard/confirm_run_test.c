/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/confirm_unit.h"

/* What is to be done, by hands that fail at some of it. */

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
                unit_arena_test(what_fails_is_made_up_for),
                unit_arena_test(a_change_waits_on_if_the_one_after_it_is_refused),
                unit_arena_test(it_is_undone_where_nobody_knows_whether_it_is_in_force),
                unit_arena_test(what_could_not_be_removed_is_tried_again),
                unit_arena_test(a_change_made_by_these_hands_can_be_confirmed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
