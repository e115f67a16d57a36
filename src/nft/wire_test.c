/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/wire.h"

#include "base/unit.h"

static void every_value_comes_back_from_its_bytes(void **state) {
        for (TypeId type = 0; type < _TYPE_MAX; type++) {
                U128 value =
                        u128_and((U128){0x0123456789abcdef, 0xfedcba9876543210}, wire_max(type));

                for (int interval = 0; interval < 2; interval++) {
                        unsigned char bytes[WIRE_VALUE_MAX];

                        wire_put(type, interval, value, bytes);
                        unit_true("value", u128_equal(wire_get(type, interval, bytes), value));
                }
        }
}

static void numbers_of_the_network_stand_most_significant_byte_first(void **state) {
        unsigned char bytes[2];

        wire_put(TYPE_INET_SERVICE, false, u128(443), bytes);
        assert_memory_equal(bytes, "\x01\xbb", 2);
}

static void numbers_of_the_host_stand_as_it_stores_them_unless_they_are_ordered(void **state) {
        unsigned char bytes[4];
        uint32_t native = CT_STATE_NEW;

        wire_put(TYPE_CT_STATE, false, u128(CT_STATE_NEW), bytes);
        assert_memory_equal(bytes, &native, 4);
        wire_put(TYPE_CT_STATE, true, u128(CT_STATE_NEW), bytes);
        assert_memory_equal(bytes, "\0\0\0\x08", 4);
}

static void the_numbers_of_concatenated_types_come_back(void **state) {
        const TypeId list[] = {TYPE_IPV4_ADDR, TYPE_INET_PROTO, TYPE_INET_SERVICE};
        TypeId found[RULESET_FIELDS_MAX];
        size_t n;

        assert_int_equal(wire_key_type(list, 3), 7 << 12 | 12 << 6 | 13);
        assert_true(wire_key_types(wire_key_type(list, 3), found, &n));
        assert_int_equal(n, 3);
        assert_memory_equal(found, list, sizeof(list));
}

static void unknown_types_are_refused(void **state) {
        static const uint32_t numbers[] = {0, 63, 7 << 6 | 63, 0xffffffff, 7U << 24};
        TypeId found[RULESET_FIELDS_MAX];
        size_t n;

        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
                assert_false(wire_key_types(numbers[i], found, &n));
}

static void each_register_is_found_again_by_its_number(void **state) {
        for (unsigned int slot = 0; slot < WIRE_SLOTS; slot++)
                assert_int_equal(wire_slot(wire_register(slot)), slot);
        assert_int_equal(wire_slot(0), WIRE_SLOT_INVALID);
        assert_int_equal(wire_slot(UINT32_MAX), WIRE_SLOT_INVALID);
}

static void keys_of_one_field_are_not_padded_and_those_of_several_are(void **state) {
        Set set = {.types = {TYPE_INET_PROTO, TYPE_INET_SERVICE}, .n_types = 2};
        Element e = {.key = {{u128(6), u128(17)}, {u128(80), u128(90)}}};
        unsigned char key[WIRE_KEY_MAX];

        assert_int_equal(wire_put_key(&set, true, &e, false, key), 8);
        assert_memory_equal(key, "\x06\0\0\0\0\x50\0\0", 8);
        assert_int_equal(wire_put_key(&set, true, &e, true, key), 8);
        assert_memory_equal(key, "\x11\0\0\0\0\x5a\0\0", 8);
        set.n_types = 1;
        assert_int_equal(wire_put_key(&set, false, &e, false, key), 1);
}

static void long_comments_end_before_a_character(void **state) {
        unsigned char data[WIRE_COMMENT_MAX];
        char text[200];
        const char *found;
        size_t size;

        memset(text, 'a', sizeof(text));
        memcpy(text + RULESET_COMMENT_MAX - 1, "é", 2);
        text[150] = '\0';
        size = wire_put_comment(text, data);
        assert_true(size <= sizeof(data));
        found = wire_get_comment(*state, data, size);
        assert_non_null(found);
        assert_int_equal(strlen(found), RULESET_COMMENT_MAX - 1);
}

static void damaged_user_data_is_no_comment(void **state) {
        assert_null(wire_get_comment(*state, "\0", 1));
        assert_null(wire_get_comment(*state, "\0\x09short", 7));
        assert_null(wire_get_comment(*state, "\x07\x01x", 3));
        assert_null(wire_get_comment(*state, "", 0));
        assert_string_equal(wire_get_comment(*state, "\x07\x01x\0\x02y", 7), "y");
}

static void control_characters_in_a_foreign_comment_do_not_reach_the_terminal(void **state) {
        assert_string_equal(wire_get_comment(*state,
                                             "\0\x05"
                                             "a\033[m",
                                             7),
                            "a?[m");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_value_comes_back_from_its_bytes),
                cmocka_unit_test(numbers_of_the_network_stand_most_significant_byte_first),
                cmocka_unit_test(
                        numbers_of_the_host_stand_as_it_stores_them_unless_they_are_ordered),
                cmocka_unit_test(the_numbers_of_concatenated_types_come_back),
                cmocka_unit_test(unknown_types_are_refused),
                cmocka_unit_test(each_register_is_found_again_by_its_number),
                cmocka_unit_test(keys_of_one_field_are_not_padded_and_those_of_several_are),
                unit_arena_test(long_comments_end_before_a_character),
                unit_arena_test(damaged_user_data_is_no_comment),
                unit_arena_test(control_characters_in_a_foreign_comment_do_not_reach_the_terminal),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
