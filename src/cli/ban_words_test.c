/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/ban_words.h"

#include "base/unit.h"

static void bans_last_as_long_as_is_said(void **state) {
        static const struct {
                const char *text;
                bool good;
                json_int_t seconds; /* 0: for ever */
        } rows[] = {
                {"90s", true, 90},
                {"10m", true, 600},
                {"2h", true, 7200},
                {"3d", true, 259200},
                {"1w", true, 604800},
                {"ever", true, 0},
                {"36500d", true, INT64_C(3153600000)}, /* 100 years */
                {"36501d", false, 0},
                {"0s", false, 0},
                {"", false, 0},
                {"w", false, 0},
                {"12", false, 0},
                {"1y", false, 0},
                {"-5m", false, 0},
                {"for ever", false, 0},
                {"99999999999999999999999999999999s", false, 0},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                json_int_t seconds = -1;
                bool good = ban_words_seconds(rows[i].text, &seconds);

                unit_equal(rows[i].text, good, rows[i].good);
                if (good)
                        unit_equal(rows[i].text, seconds, rows[i].seconds);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(bans_last_as_long_as_is_said),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
