/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Looks, and who ran between them. */

#include "guard/suspects.h"

#include "base/unit.h"

static void add(Suspects *s, pid_t pid, const char *name) {
        Who who = {.pid = pid, .login_uid = WHO_UNKNOWN_LOGIN}; /* gone: the name is all there is */

        (void)snprintf(who.name, sizeof(who.name), "%s", name);
        (void)suspects_add(s, arena_new(0), &who);
}

static void look_in_vain(Suspects *s) {
        SuspectChange c;

        assert_false(suspects_look(s, false, 1, &c));
}

/* What is told of a change, which somebody has seen now. */
static const char *seen(Suspects *s, Arena *a) {
        SuspectChange c;
        const char *text;

        assert_true(suspects_look(s, true, 7, &c));
        assert_int_equal(c.end_usec, 7);
        text = suspects_describe(a, &c);
        suspect_change_clear(&c);
        return text;
}

#define ONE "one (process 1, which is gone)"
#define TWO "two (process 2, which is gone)"

static void whoever_alone_ran_all_the_time_did_it(void **state) {
        Suspects s = {0};

        add(&s, 1, "one");
        look_in_vain(&s);
        assert_string_equal(seen(&s, *state), ONE); /* it still runs */
        suspects_end(&s, 1);
        assert_int_equal(suspects_running(&s), 0);
        assert_string_equal(seen(&s, *state), ONE);
        assert_string_equal(seen(&s, *state), "somebody unknown"); /* it is over */
}

static void what_was_changed_before_it_could_be_seen_may_be_anybody_s(void **state) {
        Suspects s = {0};

        assert_string_equal(seen(&s, *state), "somebody unknown");
        add(&s, 1, "one");
        assert_string_equal(seen(&s, *state), ONE ", or somebody unknown");
        assert_string_equal(seen(&s, *state), ONE);
        suspects_end(&s, 1);
        look_in_vain(&s);
}

static void of_two_at_a_time_it_was_one(void **state) {
        Suspects s = {0};

        add(&s, 1, "one");
        look_in_vain(&s);
        add(&s, 2, "two");
        suspects_end(&s, 1);
        assert_string_equal(seen(&s, *state), "one of " ONE ", or " TWO);
        suspects_end(&s, 2);
        assert_string_equal(seen(&s, *state), TWO); /* the other one had ended before */
}

static void who_was_missed_may_have_done_it_until_the_next_look(void **state) {
        Suspects s = {0};

        add(&s, 1, "one");
        look_in_vain(&s);
        suspects_miss(&s);
        assert_string_equal(seen(&s, *state), ONE ", or somebody unknown");
        assert_string_equal(seen(&s, *state), ONE);
        suspects_clear(&s);
}

static void whoever_there_is_no_room_for_was_missed(void **state) {
        Suspects s = {0};
        SuspectChange c;

        for (pid_t pid = 1; pid <= SUSPECTS_MAX; pid++)
                add(&s, pid, "many");
        look_in_vain(&s);
        add(&s, SUSPECTS_MAX + 1, "more");
        assert_int_equal(suspects_running(&s), SUSPECTS_MAX);
        assert_true(suspects_look(&s, true, 2, &c));
        assert_true(c.is_open);
        assert_int_equal(c.n_who, SUSPECTS_MAX);
        suspect_change_clear(&c);
        suspects_clear(&s);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(whoever_alone_ran_all_the_time_did_it),
                unit_arena_test(what_was_changed_before_it_could_be_seen_may_be_anybody_s),
                unit_arena_test(of_two_at_a_time_it_was_one),
                unit_arena_test(who_was_missed_may_have_done_it_until_the_next_look),
                unit_arena_test(whoever_there_is_no_room_for_was_missed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
