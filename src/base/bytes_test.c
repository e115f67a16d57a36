/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "base/unit.h"

static void numbers_and_strings_come_back(void **state) {
        static const uint64_t numbers[] = {0,         1, 127, 128, 300, UINT32_MAX, UINT64_MAX - 1,
                                           UINT64_MAX};
        _cleanup_(byte_writer_donep) ByteWriter w = {0};
        ByteReader r;

        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
                bytes_put_number(&w, numbers[i]);
        bytes_put_string(&w, "");
        bytes_put_string(&w, "règle");
        bytes_put(&w, "xyz", 3);
        assert_false(w.failed);
        r = byte_reader(w.bytes, w.size);
        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
                assert_true(bytes_get_number(&r, UINT64_MAX) == numbers[i]);
        assert_string_equal(bytes_get_string(&r, *state), "");
        assert_string_equal(bytes_get_string(&r, *state), "règle");
        assert_memory_equal(bytes_get(&r, 3), "xyz", 3);
        assert_null(r.wrong);
        assert_ptr_equal(r.at, r.end);
}

static void small_numbers_take_one_byte(void **state) {
        _cleanup_(byte_writer_donep) ByteWriter w = {0};

        bytes_put_number(&w, 127);
        assert_int_equal(w.size, 1);
        bytes_put_number(&w, 128);
        assert_int_equal(w.size, 3);
}

static void more_than_the_first_room_is_kept(void **state) {
        _cleanup_(byte_writer_donep) ByteWriter w = {0};
        ByteReader r;

        for (uint64_t i = 0; i < 100000; i++)
                bytes_put_number(&w, i);
        assert_false(w.failed);
        r = byte_reader(w.bytes, w.size);
        for (uint64_t i = 0; i < 100000; i++)
                assert_true(bytes_get_number(&r, i) == i);
        assert_null(r.wrong);
}

static void what_is_wrong_is_told_with_its_place(void **state) {
        static const struct {
                const char *row;
                const char *bytes;
                size_t size;
                const char *wrong;
        } rows[] = {
                {"nothing", "", 0, "it ends too early"},
                {"a number without its end", "\x80\x80", 2, "it ends too early"},
                {"beyond the maximum", "\x7f", 1, "a number is too large"},
                {"beyond 64 bits", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10,
                 "a number is too large"},
                {"for ever", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11,
                 "a number is too large"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                ByteReader r = byte_reader(rows[i].bytes, rows[i].size);

                unit_equal(rows[i].row, bytes_get_number(&r, 100), 0);
                unit_string(rows[i].row, r.wrong, rows[i].wrong);
                unit_true(rows[i].row, r.wrong_at <= rows[i].size);
        }
}

static void counts_never_promise_more_than_there_is(void **state) {
        ByteReader r = byte_reader("\x04"
                                   "abcdefgh",
                                   9);

        assert_int_equal(bytes_get_count(&r, 2), 4);
        r = byte_reader("\x05"
                        "abcdefgh",
                        9);
        assert_int_equal(bytes_get_count(&r, 2), 0);
        assert_string_equal(r.wrong, "it has room for fewer items than it says");
}

static void strings_hold_no_nul(void **state) {
        ByteReader r = byte_reader("\x03"
                                   "a\0b",
                                   4);

        assert_null(bytes_get_string(&r, *state));
        assert_string_equal(r.wrong, "a string has a NUL byte");
}

static void the_first_mistake_stays_and_the_rest_is_zero(void **state) {
        ByteReader r = byte_reader("\x01\x02\x03", 3);

        assert_int_equal(bytes_get_number(&r, 9), 1);
        bytes_fail(&r, "first");
        bytes_fail(&r, "second");
        assert_int_equal(bytes_get_number(&r, 9), 0);
        assert_int_equal(bytes_get_count(&r, 1), 0);
        assert_false(bytes_get_bool(&r));
        assert_null(bytes_get(&r, 0));
        assert_string_equal(r.wrong, "first");
        assert_int_equal(r.wrong_at, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(numbers_and_strings_come_back),
                unit_arena_test(small_numbers_take_one_byte),
                unit_arena_test(more_than_the_first_room_is_kept),
                unit_arena_test(what_is_wrong_is_told_with_its_place),
                unit_arena_test(counts_never_promise_more_than_there_is),
                unit_arena_test(strings_hold_no_nul),
                unit_arena_test(the_first_mistake_stays_and_the_rest_is_zero),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
