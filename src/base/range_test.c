/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/range.h"
#include "base/unit.h"

#define SMALL 16 /* sets of numbers below this are compared with plain arrays of bool */

static Range range(uint64_t low, uint64_t high) {
        return (Range){u128(low), u128(high)};
}

// clang-format off
static const struct {
        const char *name;
        Range r;
        unsigned int width;
        int length; /* -1: no prefix */
} prefixes[] = {
        { "one address",                 { { 0, 0x0a000001 }, { 0, 0x0a000001 } }, 32,  32 },
        { "everything, IPv4",            { { 0, 0 }, { 0, 0xffffffff } },          32,   0 },
        { "10.0.0.0/8",                  { { 0, 0x0a000000 }, { 0, 0x0affffff } }, 32,   8 },
        { "two, aligned",                { { 0, 2 }, { 0, 3 } },                   32,  31 },
        { "two, not aligned",            { { 0, 1 }, { 0, 2 } },                   32,  -1 },
        { "three",                       { { 0, 0 }, { 0, 2 } },                   32,  -1 },
        { "aligned low, odd end",        { { 0, 8 }, { 0, 13 } },                  32,  -1 },
        { "everything, IPv6",            { { 0, 0 }, { UINT64_MAX, UINT64_MAX } }, 128,  0 },
        { "a /64",                       { { 5, 0 }, { 5, UINT64_MAX } },          128, 64 },
        { "a /63",                       { { 4, 0 }, { 5, UINT64_MAX } },          128, 63 },
        { "two /64 that are no /63",     { { 5, 0 }, { 6, UINT64_MAX } },          128, -1 },
        { "the last address, IPv6",      { { UINT64_MAX, UINT64_MAX }, { UINT64_MAX, UINT64_MAX } },
                                                                                   128, 128 },
        { "all ports",                   { { 0, 0 }, { 0, 65535 } },               16,   0 },
};
// clang-format on

static void prefixes_are_told_from_other_ranges(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
                const char *row = prefixes[i].name;
                unsigned int length = 999;
                bool is = range_is_prefix(prefixes[i].r, prefixes[i].width, &length);

                unit_equal(row, is, prefixes[i].length >= 0);
                if (is)
                        unit_equal(row, length, prefixes[i].length);
                unit_equal(row, range_is_prefix(prefixes[i].r, prefixes[i].width, NULL), is);
        }
}

static void numbers_carry_and_borrow_across_the_middle(void **state) {
        U128 below = {0, UINT64_MAX}, above = {1, 0};

        assert_true(u128_equal(u128_next(below), above));
        assert_true(u128_equal(u128_previous(above), below));
        assert_true(u128_equal(u128_next(U128_MAX), U128_ZERO));
        assert_true(u128_equal(u128_previous(U128_ZERO), U128_MAX));
        assert_true(u128_compare(below, above) < 0);
        assert_true(u128_compare(above, below) > 0);
        assert_true(u128_compare(above, above) == 0);
}

static void a_mask_has_as_many_bits_as_it_was_asked_for(void **state) {
        for (unsigned int bits = 0; bits <= 128; bits++) {
                U128 mask = u128_low_mask(bits);

                assert_int_equal(__builtin_popcountll(mask.high) + __builtin_popcountll(mask.low),
                                 bits);
                assert_true(u128_is_zero(u128_and(mask, u128_next(mask)))); /* all at the low end */
        }
}

static void bytes_and_numbers_are_the_same(void **state) {
        const unsigned char bytes[] = {0xfd, 0, 0, 0x40, 0, 0x10, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};

        for (size_t n = 0; n <= sizeof(bytes); n++) {
                unsigned char back[16] = {0};
                U128 value = u128_from_bytes(bytes, n);

                u128_to_bytes(value, back, n);
                assert_memory_equal(back, bytes, n);
        }
        assert_true(u128_equal(u128_from_bytes("\x01\xbb", 2), u128(443)));
}

static uint32_t random_state;

static uint32_t random_below(uint32_t n) {
        random_state =
                random_state * 1664525 + 1013904223; /* repeatable; quality does not matter */
        return (random_state >> 8) % n;
}

/* A set of up to four ranges below SMALL, and the same as an array. */
static RangeSet random_set(Arena *a, bool member[SMALL]) {
        RangeSet set = {0};

        memset(member, 0, SMALL * sizeof(member[0]));
        for (uint32_t i = random_below(5); i > 0; i--) {
                uint32_t low = random_below(SMALL), high = low + random_below(SMALL - low);

                assert_int_equal(range_set_add(a, &set, range(low, high)), 0);
                for (uint32_t v = low; v <= high; v++)
                        member[v] = true;
        }
        range_set_normalise(&set);
        return set;
}

static void assert_members(const RangeSet *set, const bool member[SMALL]) {
        for (uint32_t v = 0; v < SMALL; v++)
                assert_int_equal(range_set_contains(set, u128(v)), member[v]);
        for (size_t i = 0; i < set->n_items; i++) {
                assert_true(u128_compare(set->items[i].low, set->items[i].high) <= 0);
                if (i > 0) /* a gap of one at least: nothing that touches was left apart */
                        assert_true(u128_compare(u128_next(set->items[i - 1].high),
                                                 set->items[i].low) < 0);
        }
}

static void sets_agree_with_plain_arrays(void **state) {
        for (random_state = 1; random_state < 3000000000U; random_state += 1000000) {
                bool x[SMALL], y[SMALL], both[SMALL], rest[SMALL];
                bool same = true, covers = true;
                RangeSet a, b, c;

                a = random_set(*state, x);
                b = random_set(*state, y);
                for (size_t v = 0; v < SMALL; v++) {
                        both[v] = x[v] && y[v];
                        rest[v] = x[v] && !y[v];
                        same = same && x[v] == y[v];
                        covers = covers && (x[v] || !y[v]);
                }
                assert_members(&a, x);
                assert_int_equal(range_set_intersect(*state, &a, &b, &c), 0);
                assert_members(&c, both);
                assert_int_equal(range_set_subtract(*state, &a, &b, &c), 0);
                assert_members(&c, rest);
                assert_int_equal(range_set_equal(&a, &b), same);
                assert_int_equal(range_set_covers(&a, &b), covers);
        }
}

static void ranges_that_touch_become_one(void **state) {
        RangeSet set = {0};

        assert_int_equal(range_set_add(*state, &set, range(20, 30)), 0);
        assert_int_equal(range_set_add(*state, &set, range(1, 9)), 0);
        assert_int_equal(range_set_add(*state, &set, range(10, 19)), 0);
        assert_int_equal(range_set_add(*state, &set, range(32, 40)), 0);
        range_set_normalise(&set);
        assert_int_equal(set.n_items, 2);
        assert_true(range_equal(set.items[0], range(1, 30)));
        assert_true(range_equal(set.items[1], range(32, 40)));
        assert_true(range_set_contains_range(&set, range(5, 30)));
        assert_false(range_set_contains_range(&set, range(5, 31)));
        assert_false(range_set_contains_range(&set, range(31, 31)));
}

static void nothing_overflows_at_the_end_of_the_numbers(void **state) {
        RangeSet set = {0}, end = {0}, both;

        assert_int_equal(range_set_add(*state, &set, (Range){u128(5), U128_MAX}), 0);
        assert_int_equal(range_set_add(*state, &set, (Range){U128_MAX, U128_MAX}), 0);
        assert_int_equal(range_set_add(*state, &set, range(0, 1)), 0);
        range_set_normalise(&set);
        assert_int_equal(set.n_items, 2);
        assert_true(range_set_contains(&set, U128_MAX));
        assert_false(range_set_contains(&set, u128(3)));
        assert_int_equal(range_set_add(*state, &end, range_single(U128_MAX)), 0);
        assert_true(range_set_covers(&set, &end));
        assert_int_equal(range_set_intersect(*state, &end, &set, &both), 0);
        assert_true(range_set_equal(&both, &end));
        assert_int_equal(range_set_subtract(*state, &set, &end, &both), 0);
        assert_int_equal(both.n_items, 2);
        assert_true(range_equal(both.items[1], (Range){u128(5), u128_previous(U128_MAX)}));
        assert_int_equal(range_set_subtract(*state, &end, &set, &both), 0);
        assert_int_equal(both.n_items, 0);
}

static void the_empty_set_is_a_set(void **state) {
        RangeSet empty = {0}, all = {0}, both;

        range_set_normalise(&empty);
        assert_int_equal(range_set_add(*state, &all, (Range){U128_ZERO, U128_MAX}), 0);
        assert_false(range_set_contains(&empty, U128_ZERO));
        assert_true(range_set_covers(&all, &empty));
        assert_true(range_set_covers(&empty, &empty));
        assert_false(range_set_covers(&empty, &all));
        assert_int_equal(range_set_intersect(*state, &all, &empty, &both), 0);
        assert_int_equal(both.n_items, 0);
        assert_true(range_set_equal(&both, &empty));
}

static void a_set_can_be_added_to_another(void **state) {
        RangeSet a = {0}, b = {0};

        assert_int_equal(range_set_add(*state, &a, range(1, 2)), 0);
        assert_int_equal(range_set_add(*state, &b, range(3, 4)), 0);
        assert_int_equal(range_set_add(*state, &b, range(8, 9)), 0);
        assert_int_equal(range_set_add_all(*state, &a, &b), 0);
        range_set_normalise(&a);
        assert_int_equal(a.n_items, 2);
        assert_true(range_equal(a.items[0], range(1, 4)));
}

static void without_memory_the_callers_hear_of_it(void **state) {
        _cleanup_(arena_freep) Arena *small = arena_new(200);
        RangeSet set = {0}, other = {0}, ret;
        int r = 0;

        for (uint64_t i = 0; i < 10 && r == 0; i++)
                r = range_set_add(small, &set, range(i * 2, i * 2));
        assert_int_equal(r, -ENOMEM);
        assert_int_equal(range_set_add(*state, &other, range(0, 100)), 0);
        assert_int_equal(range_set_add_all(small, &set, &other), -ENOMEM);
        range_set_normalise(&set);
        assert_int_equal(range_set_intersect(small, &set, &other, &ret), -ENOMEM);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(prefixes_are_told_from_other_ranges),
                cmocka_unit_test(numbers_carry_and_borrow_across_the_middle),
                cmocka_unit_test(a_mask_has_as_many_bits_as_it_was_asked_for),
                cmocka_unit_test(bytes_and_numbers_are_the_same),
                unit_arena_test(sets_agree_with_plain_arrays),
                unit_arena_test(ranges_that_touch_become_one),
                unit_arena_test(nothing_overflows_at_the_end_of_the_numbers),
                unit_arena_test(the_empty_set_is_a_set),
                unit_arena_test(a_set_can_be_added_to_another),
                unit_arena_test(without_memory_the_callers_hear_of_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
