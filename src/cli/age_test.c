/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/age.h"

#include "base/unit.h"

static void ages_are_read_as_they_are_written(void **state) {
        static const struct {
                const char *text;
                uint64_t seconds; /* 0: it is none */
        } rows[] = {
                {"1s", 1},   {"90s", 90}, {"10m", 600},    {"2h", 7200}, {"3d", 259200},
                {"", 0},     {"s", 0},    {"0s", 0},       {"10", 0},    {"-1s", 0},
                {"1.5h", 0}, {"1w", 0},   {"1000001s", 0}, {"1h30m", 0},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                unit_equal(rows[i].text, age_parse(rows[i].text), rows[i].seconds);
}

static void an_age_in_a_table_is_short_and_never_too_much(void **state) {
        static const struct {
                uint64_t seconds;
                const char *text;
        } rows[] = {
                {0, "0s"},
                {99, "99s"},
                {100, "1m"},
                {119, "1m"},
                {5999, "99m"},
                {6000, "1h"},
                {359999, "99h"},
                {360000, "4d"},
                {86400 * 365, "365d"},
                {UINT64_MAX, "213503982334601d"},
        };
        char buf[AGE_TEXT_MAX];

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                unit_string(rows[i].text, age_print(rows[i].seconds, buf), rows[i].text);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(ages_are_read_as_they_are_written),
                cmocka_unit_test(an_age_in_a_table_is_short_and_never_too_much),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
