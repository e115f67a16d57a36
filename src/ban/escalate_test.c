/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/escalate.h"

#include "base/unit.h"

static void who_comes_back_is_banned_for_longer_up_to_a_limit(void **state) {
        static const struct {
                const char *name;
                Escalation e;
                int64_t seconds, times, expected;
        } rows[] = {
                {"none is asked for", {0, 0}, 600, 9, 600},
                {"the first time", {2, 604800}, 600, 0, 600},
                {"the second", {2, 604800}, 600, 1, 1200},
                {"the fifth", {2, 604800}, 600, 4, 9600},
                {"up to the limit", {2, 604800}, 600, 40, 604800},
                {"however often", {10, 604800}, 600, INT64_MAX, 604800},
                {"longer than the limit already", {2, 604800}, 700000, 3, 700000},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                unit_equal(rows[i].name, escalate(&rows[i].e, rows[i].seconds, rows[i].times),
                           rows[i].expected);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(who_comes_back_is_banned_for_longer_up_to_a_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
