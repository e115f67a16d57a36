/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/pace.h"

#include "base/unit.h"

#define START UINT64_C(1000000000)
#define SECOND UINT64_C(1000000)

static void what_costs_little_is_never_too_much(void **state) {
        Pace p = {0};

        for (uint64_t i = 0; i < 1000; i++) { /* a fifth of a processor */
                pace_spend(&p, START + i * 5000, 1000);
                assert_false(pace_is_over(&p, START + i * 5000, 0));
        }
}

static void what_costs_much_is_soon_too_much_and_made_up_for(void **state) {
        uint64_t now = START;
        Pace p = {0};
        int n = 0;

        for (; !pace_is_over(&p, now, 0) && n < 100; n++) {
                pace_spend(&p, now, 20000);
                now += 20000;
        }
        assert_in_range(n, 6, 8);
        assert_false(pace_is_over(&p, now + SECOND, 0));
        assert_true(pace_is_over(&p, now + SECOND, PACE_BURST_USEC + 1));
        pace_spend(&p, now, 60 * SECOND); /* once, by itself */
        assert_true(pace_is_over(&p, now + 60 * SECOND, 0));
        assert_false(pace_is_over(&p, now + 300 * SECOND, 0));
}

static void it_is_calm_once_nobody_has_changed_anything_for_a_while(void **state) {
        Pace p = {0};

        pace_shut(&p, START);
        assert_true(pace_is_shut(&p));
        assert_int_equal(pace_wait(&p, START), PACE_CALM_USEC);
        for (uint64_t i = 1; i <= 50; i++) {
                pace_note(&p, START + i * 1000);
                assert_int_equal(pace_wait(&p, START + i * 1000), PACE_CALM_USEC);
        }
        assert_int_equal(p.n_changes, 50);
        assert_int_equal(pace_wait(&p, START + 50000 + PACE_CALM_USEC), 0);
        pace_open(&p, START + 50000 + PACE_CALM_USEC);
        assert_false(pace_is_shut(&p));
        pace_note(&p, START + SECOND); /* that is no part of it */
        assert_int_equal(p.n_changes, 50);
}

static void who_comes_back_has_to_be_calm_for_longer_up_to_a_limit(void **state) {
        uint64_t now = START, expected = PACE_CALM_USEC;
        Pace p = {0};

        for (int i = 0; i < 10; i++) {
                pace_shut(&p, now);
                assert_int_equal(pace_wait(&p, now), expected);
                now += pace_wait(&p, now);
                pace_open(&p, now);
                now += SECOND;
                expected = 2 * expected < PACE_CALM_MAX ? 2 * expected : PACE_CALM_MAX;
        }
        assert_int_equal(p.n_shut, 10);
        pace_shut(&p, now + PACE_RELAPSE_USEC);
        assert_int_equal(pace_wait(&p, now + PACE_RELAPSE_USEC), PACE_CALM_USEC);
}

static void it_stays_shut_until_what_was_put_right_stays_so(void **state) {
        uint64_t now = START;
        Pace p = {0};

        pace_shut(&p, now);
        now += PACE_CALM_USEC;
        assert_int_equal(pace_right(&p, now), PACE_CALM_USEC);
        pace_note(&p, now + 1000); /* no, it does not */
        assert_int_equal(pace_wait(&p, now + 1000), 2 * PACE_CALM_USEC);
        now += 1000 + 2 * PACE_CALM_USEC;
        assert_int_equal(pace_right(&p, now), 2 * PACE_CALM_USEC);
        assert_int_equal(pace_right(&p, now + PACE_CALM_USEC), PACE_CALM_USEC);
        assert_int_equal(pace_right(&p, now + 2 * PACE_CALM_USEC), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_costs_little_is_never_too_much),
                cmocka_unit_test(what_costs_much_is_soon_too_much_and_made_up_for),
                cmocka_unit_test(it_is_calm_once_nobody_has_changed_anything_for_a_while),
                cmocka_unit_test(it_stays_shut_until_what_was_put_right_stays_so),
                cmocka_unit_test(who_comes_back_has_to_be_calm_for_longer_up_to_a_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
