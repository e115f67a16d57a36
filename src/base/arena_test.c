/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdalign.h>

#include "base/arena.h"
#include "base/unit.h"

static void memory_is_zeroed_aligned_and_apart(void **state) {
        static const size_t sizes[] = {0, 1, 7, 8, 16, 17, 1000, 65536, 65537, 1 << 20, 3};
        unsigned char *pieces[ARRAY_SIZE(sizes)];

        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                pieces[i] = arena_alloc(*state, sizes[i]);
                assert_non_null(pieces[i]);
                assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
                for (size_t j = 0; j < sizes[i]; j++)
                        assert_int_equal(pieces[i][j], 0);
                memset(pieces[i], (int)i + 1, sizes[i]);
        }
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
                for (size_t j = 0; j < sizes[i]; j++)
                        assert_int_equal(pieces[i][j], i + 1);
}

static void never_hands_out_more_than_its_limit(void **state) {
        static const size_t limits[] = {16, 100, 4096, 100000};

        for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(limits[i]);

                assert_non_null(a);
                assert_null(arena_alloc(a, limits[i] + 1));
                while (arena_alloc(a, 24))
                        assert_true(arena_used(a) <= limits[i]);
                assert_true(arena_used(a) + 32 > limits[i]);
        }
}

static void goes_on_after_a_refusal(void **state) {
        _cleanup_(arena_freep) Arena *a = arena_new(64);

        assert_null(arena_alloc(a, 65));
        assert_non_null(arena_alloc(a, 64));
        assert_null(arena_alloc(a, 1));
}

static void sizes_that_overflow_are_refused(void **state) {
        _cleanup_(arena_freep) Arena *boundless = arena_new(SIZE_MAX);

        assert_null(arena_alloc(boundless, SIZE_MAX));
        assert_null(arena_alloc(boundless, SIZE_MAX - 8));
        assert_null(arena_alloc_array(boundless, SIZE_MAX / 2, 3));
        assert_null(arena_alloc_array(*state, SIZE_MAX / 16 + 2, 16));
        assert_non_null(arena_alloc(boundless, 1));
}

static void strings_are_copied(void **state) {
        char text[] = "ollama";
        char *whole = arena_strdup(*state, text), *part = arena_strndup(*state, text, 3);
        char *printed = arena_printf(*state, "%s:%d", text, 11434);
        char *empty = arena_strdup(*state, "");

        memset(text, 'x', sizeof(text) - 1);
        assert_string_equal(whole, "ollama");
        assert_string_equal(part, "oll");
        assert_string_equal(printed, "ollama:11434");
        assert_string_equal(empty, "");
}

static void strings_are_joined(void **state) {
        static const char *const parts[] = {"ol", "", "lama", ":11434"};
        static const char *const broken[] = {"ol", NULL};

        assert_string_equal(arena_join(*state, parts, ARRAY_SIZE(parts)), "ollama:11434");
        assert_string_equal(arena_join(*state, NULL, 0), "");
        assert_null(arena_join(*state, broken, ARRAY_SIZE(broken)));
}

static void a_string_longer_than_a_block_is_printed_whole(void **state) {
        size_t len = 200000;
        char *s = arena_printf(*state, "%*s|", (int)len, "end");

        assert_non_null(s);
        assert_int_equal(strlen(s), len + 1);
        assert_string_equal(s + len - 3, "end|");
}

static void an_array_grows_item_by_item(void **state) {
        uint32_t *items = NULL;
        size_t n = 0;

        for (uint32_t i = 0; i < 10000; i++)
                assert_true(arena_append((Arena *)*state, items, n, i));
        assert_int_equal(n, 10000);
        for (uint32_t i = 0; i < 10000; i++)
                assert_int_equal(items[i], i);
}

static void an_append_without_room_leaves_the_array_as_it_was(void **state) {
        _cleanup_(arena_freep) Arena *a = arena_new(1024);
        uint64_t *items = NULL, *before, next = 0;
        size_t n = 0;

        do {
                before = items;
        } while (arena_append(a, items, n, next++));
        assert_true(n >= 32);
        assert_ptr_equal(items, before);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(items[i], i);
}

/* Whatever lies between them, and whichever size their pieces have. */
static void arrays_that_grow_in_turn_stay_apart(void **state) {
        static const size_t every[] = {1, 2, 7, 1000};
        uint64_t *items[ARRAY_SIZE(every)] = {0};
        size_t n[ARRAY_SIZE(every)] = {0};
        const char *words[64] = {0};

        for (uint64_t i = 0; i < 40000; i++) {
                for (size_t j = 0; j < ARRAY_SIZE(every); j++)
                        if (i % every[j] == 0)
                                assert_true(arena_append((Arena *)*state, items[j], n[j], i));
                if (i < ARRAY_SIZE(words))
                        words[i] = arena_printf(*state, "%lu", (unsigned long)i);
        }
        for (size_t j = 0; j < ARRAY_SIZE(every); j++) {
                assert_int_equal((uintptr_t)items[j] % alignof(max_align_t), 0);
                for (size_t i = 0; i < n[j]; i++)
                        assert_int_equal(items[j][i], i * every[j]);
        }
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                assert_int_equal(strtoul(words[i], NULL, 10), i);
}

static void two_copies_of_an_array_grow_apart(void **state) {
        uint32_t *first = NULL, *second;
        size_t n_first = 0, n_second;

        for (uint32_t i = 0; i < 8; i++)
                assert_true(arena_append((Arena *)*state, first, n_first, i));
        second = first;
        n_second = n_first;
        assert_true(arena_append((Arena *)*state, first, n_first, 100));
        assert_true(arena_append((Arena *)*state, second, n_second, 200));
        assert_int_equal(first[8], 100);
        assert_int_equal(second[8], 200);
        assert_int_equal(second[7], 7);
}

static void what_is_handed_out_again_is_zeroed(void **state) {
        for (size_t round = 0; round < 3; round++) {
                for (size_t size = 1; size < 200000; size = size * 3 + 1) {
                        unsigned char *p = arena_alloc(*state, size);

                        for (size_t i = 0; i < size; i++)
                                assert_int_equal(p[i], 0);
                        memset(p, 0xff, size);
                }
                arena_reset(*state);
                assert_int_equal(arena_used(*state), 0);
        }
}

static void freeing_nothing_is_allowed(void **state) {
        assert_null(arena_free(NULL));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(memory_is_zeroed_aligned_and_apart),
                cmocka_unit_test(never_hands_out_more_than_its_limit),
                cmocka_unit_test(goes_on_after_a_refusal),
                unit_arena_test(sizes_that_overflow_are_refused),
                unit_arena_test(strings_are_copied),
                unit_arena_test(strings_are_joined),
                unit_arena_test(a_string_longer_than_a_block_is_printed_whole),
                unit_arena_test(an_array_grows_item_by_item),
                cmocka_unit_test(an_append_without_room_leaves_the_array_as_it_was),
                unit_arena_test(arrays_that_grow_in_turn_stay_apart),
                unit_arena_test(two_copies_of_an_array_grow_apart),
                unit_arena_test(what_is_handed_out_again_is_zeroed),
                cmocka_unit_test(freeing_nothing_is_allowed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
