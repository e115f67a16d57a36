/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/unit.h"
#include "policy/cover.h"

static unsigned int draw(uint64_t *seed, unsigned int n) {
        *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
        return (unsigned int)(*seed >> 33) % n;
}

static Range draw_range(uint64_t *seed, unsigned int max) {
        unsigned int low = draw(seed, max);

        return (Range){u128(low), u128(low + draw(seed, max - low))};
}

static bool holds(Range outer, Range inner) {
        return u128_compare(outer.low, inner.low) <= 0 && u128_compare(inner.high, outer.high) <= 0;
}

static bool is_among(uint32_t owner, const uint32_t *owners, size_t n) {
        size_t i = 0;

        while (i < n && owners[i] != owner)
                i++;
        return i < n;
}

static void finds_what_looking_at_all_of_them_finds(void **state) {
        enum { N_MAX = 60, N_EVERYWHERE = 2 };
        Range ranges[N_MAX];
        uint32_t owners[N_MAX + N_EVERYWHERE];
        uint64_t seed = 7;
        size_t n_found = 0;

        for (unsigned int round = 0; round < 300; round++) {
                size_t n = draw(&seed, N_MAX + 1), n_answers;
                IntervalIndex index = {.n_items = n, .n_everywhere = N_EVERYWHERE};

                assert_int_equal(interval_index_reserve(*state, &index), 0);
                for (uint32_t i = 0; i < n; i++) {
                        ranges[i] = draw_range(&seed, 40);
                        interval_index_add(&index, ranges[i], i);
                }
                for (uint32_t i = 0; i < N_EVERYWHERE; i++)
                        interval_index_add_everywhere(&index, N_MAX + i);
                interval_index_build(&index);
                for (unsigned int i = 0; i < 20; i++) {
                        Range asked = draw_range(&seed, 40);
                        size_t expected = N_EVERYWHERE;

                        assert_true(interval_index_find(&index, asked, ARRAY_SIZE(owners), owners,
                                                        &n_answers));
                        for (uint32_t j = 0; j < n; j++) {
                                assert_int_equal(is_among(j, owners, n_answers),
                                                 holds(ranges[j], asked));
                                expected += holds(ranges[j], asked);
                        }
                        assert_int_equal(n_answers, expected);
                        n_found += n_answers;
                }
        }
        assert_true(n_found > 300 * 20 * 3);
}

static void says_when_there_are_more_than_are_wanted(void **state) {
        IntervalIndex index = {.n_items = 10, .n_everywhere = 1};
        uint32_t owners[11];
        size_t n;

        assert_int_equal(interval_index_reserve(*state, &index), 0);
        for (uint32_t i = 0; i < 10; i++)
                interval_index_add(&index, (Range){u128(i), u128(20)}, i);
        interval_index_add_everywhere(&index, 10);
        interval_index_build(&index);
        assert_true(interval_index_find(&index, range_single(u128(15)), 11, owners, &n));
        assert_int_equal(n, 11);
        assert_false(interval_index_find(&index, range_single(u128(15)), 10, owners, &n));
        assert_int_equal(n, 10);
        assert_true(interval_index_find(&index, range_single(u128(3)), 5, owners, &n));
        assert_int_equal(n, 5);
        assert_false(interval_index_find(&index, range_single(u128(3)), 0, owners, &n));
        assert_int_equal(n, 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(finds_what_looking_at_all_of_them_finds),
                unit_arena_test(says_when_there_are_more_than_are_wanted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
