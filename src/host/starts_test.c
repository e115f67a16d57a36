/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/starts.h"

#include "host/tree_unit.h"

#define SECOND UINT64_C(1000000)

/* So many in a row, each ends after that time; how long they waited altogether. */
static uint64_t start(Starts *s, uint64_t *now, size_t n, uint64_t lasts) {
        uint64_t all = 0;

        for (size_t i = 0; i < n; i++) {
                uint64_t wait = starts_take(s, *now);

                assert_true(wait <= STARTS_USEC);
                all += wait;
                *now += wait + lasts;
        }
        return all;
}

static void the_first_ones_are_made_at_once_also_when_the_host_has_just_booted(void **state) {
        static const uint64_t since_boot[] = {0, 1, 2 * SECOND, 3600 * SECOND};

        for (size_t i = 0; i < ARRAY_SIZE(since_boot); i++) {
                Starts s = {0};
                uint64_t now = since_boot[i];

                assert_int_equal(start(&s, &now, STARTS_AT_ONCE, SECOND / 4), 0);
                assert_false(starts_are_late(&s, now));
        }
}

static void what_ends_again_and_again_is_started_at_a_calm_pace_for_ever(void **state) {
        Starts s = {0};
        uint64_t now = SECOND, begin;

        (void)start(&s, &now, STARTS_AT_ONCE, 0);
        begin = now;
        (void)start(&s, &now, 1000, SECOND / 4);
        assert_int_equal((now - begin) / SECOND, 1000 * STARTS_USEC / SECOND);
        assert_int_equal(s.n_late, 1000);
        assert_true(starts_are_late(&s, now));
}

static void after_calm_they_are_made_at_once_again(void **state) {
        Starts s = {0};
        uint64_t now = SECOND;

        (void)start(&s, &now, STARTS_AT_ONCE + 3, 0);
        now += 2 * STARTS_USEC; /* the next two; it has not been calm yet */
        assert_int_equal(start(&s, &now, 2, 0), 0);
        assert_true(starts_are_late(&s, now));
        now += STARTS_CALM_USEC;
        assert_false(starts_are_late(&s, now));
        assert_int_equal(start(&s, &now, STARTS_AT_ONCE, 0), 0);
        assert_int_equal(s.n_late, 0);
        assert_true(start(&s, &now, 1, 0) > 0);
        assert_int_equal(s.n_late, 1);
}

static void whatever_the_file_says_no_start_waits_for_long(void **state) {
        static const struct {
                const char *text;
                bool is_read;
        } rows[] = {
                {"", false},
                {"1 2", false},
                {"what is this?\n", false},
                {"18446744073709551615 18446744073709551615 18446744073709551615\n", true},
                {"99999999999999999999999999999999999999999999999999999999 1 1\n", true},
                {"0 18446744073709551615 7\n", true},
        };
        const Tree *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint64_t now = 100 * SECOND;
                Starts s;

                tree_write(t, "/starts", rows[i].text);
                assert_int_equal(starts_read(tree_path(t, "/starts"), &s), rows[i].is_read);
                (void)start(&s, &now, 30, 0); /* looks at each */
                now += STARTS_CALM_USEC + STARTS_USEC;
                assert_false(starts_are_late(&s, now));
        }
}

static void what_is_written_is_read_by_everybody(void **state) {
        const Tree *t = *state;
        const char *path = tree_path(t, "/starts");
        Starts s = {1, 2, 3}, read = {0};

        assert_false(starts_read(path, &read));
        assert_int_equal(starts_write(path, &s), 0);
        assert_true(starts_read(path, &read));
        assert_memory_equal(&s, &read, sizeof(s));
        assert_true(starts_write(tree_path(t, "/not-there/starts"), &s) < 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(
                        the_first_ones_are_made_at_once_also_when_the_host_has_just_booted),
                cmocka_unit_test(what_ends_again_and_again_is_started_at_a_calm_pace_for_ever),
                cmocka_unit_test(after_calm_they_are_made_at_once_again),
                tree_test(whatever_the_file_says_no_start_waits_for_long),
                tree_test(what_is_written_is_read_by_everybody),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
