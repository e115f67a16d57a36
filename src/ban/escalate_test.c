/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/escalate.h"

#include "base/unit.h"

#define DAY INT64_C(86400)

static const Escalation doubled = {2, 7 * 86400}, off = {0};

static void each_further_ban_lasts_that_much_longer_up_to_the_bound(void **state) {
        static const struct {
                const char *name;
                int64_t times, seconds, expected;
        } rows[] = {
                {"the first", 1, 3600, 3600},
                {"the second", 2, 3600, 7200},
                {"the fourth", 4, 3600, 8 * 3600},
                {"the eighth", 8, 3600, 128 * 3600},
                {"the ninth", 9, 3600, 7 * DAY},
                {"the millionth", 1000000, 3600, 7 * DAY},
                {"more than can be", INT64_MAX, 1, 7 * DAY},
                {"one that nobody counted", 0, 3600, 3600},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                unit_equal(rows[i].name, escalate_seconds(&doubled, rows[i].seconds, rows[i].times),
                           rows[i].expected);
}

static void what_was_asked_for_is_never_cut(void **state) {
        assert_int_equal(escalate_seconds(&doubled, 30 * DAY, 1), 30 * DAY);
        assert_int_equal(escalate_seconds(&doubled, 30 * DAY, 5), 30 * DAY);
        assert_int_equal(escalate_seconds(&doubled, 7 * DAY - 1, 2), 7 * DAY);
}

static void for_ever_stays_for_ever_and_off_changes_nothing(void **state) {
        assert_int_equal(escalate_seconds(&doubled, 0, 9), 0);
        assert_int_equal(escalate_seconds(&off, 3600, 9), 3600);
        assert_int_equal(escalate_seconds(&(Escalation){10, 60}, INT64_MAX, 9), INT64_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_further_ban_lasts_that_much_longer_up_to_the_bound),
                cmocka_unit_test(what_was_asked_for_is_never_cut),
                cmocka_unit_test(for_ever_stays_for_ever_and_off_changes_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
