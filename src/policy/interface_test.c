/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/load_unit.h"

static void a_name_is_its_bytes_padded_with_zeros(void **state) {
        static const unsigned char expected[16] = "eth0";
        unsigned char bytes[16];

        u128_to_bytes(interface_value("eth0"), bytes, sizeof(bytes));
        assert_memory_equal(bytes, expected, sizeof(bytes));
}

static void a_prefix_holds_every_name_that_begins_with_it(void **state) {
        static const struct {
                const char *name;
                bool inside;
        } names[] = {
                {"br-", true},  {"br-1", true}, {"br-fedcba987654", true},
                {"br", false},  {"br,", false}, {"br.", false},
                {"bs-", false}, {"", false},    {"xbr-", false},
        };
        Range r = interface_prefix_range("br-");

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                U128 value = interface_value(names[i].name);
                bool inside = u128_compare(r.low, value) <= 0 && u128_compare(value, r.high) <= 0;

                unit_equal(names[i].name, inside, names[i].inside);
        }
}

static void in_takes_a_name_a_wildcard_or_a_list(void **state) {
        const Policy *p = load(*state, "ringwall: 1\ninbound:\n"
                                       "  - { allow: ssh, in: eth0 }\n"
                                       "  - { allow: ssh, in: [wg0, \"br-*\"] }\n"
                                       "  - allow: ssh\n");
        const PolicyRule *rules = p->sections[SECTION_INBOUND].rules;

        assert_true(range_set_contains(&rules[0].in, interface_value("eth0")));
        assert_false(range_set_contains(&rules[0].in, interface_value("eth01")));
        assert_true(range_set_contains(&rules[1].in, interface_value("wg0")));
        assert_true(range_set_contains(&rules[1].in, interface_value("br-0123")));
        assert_int_equal(rules[2].in.n_items, 0);
}

static void what_was_taken_away_can_be_told(void **state) {
        static const struct {
                const char *what, *base, *minus, *inside, *outside;
        } rows[] = {
                {"br-*", "br-*", "br-1", "br-2", "br-1"},
                {"br-*", "br-*", "br-1*", "br-", "br-12"},
                {"*", "*", "wg0", "wg00", "wg0"},
                {"*", "*", "tun*", "tum", "tun9"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *text[] = {rows[i].base, rows[i].minus};
                Range ranges[2];
                RangeSet set = {0}, base, minus;
                const char *row = rows[i].minus;

                for (size_t j = 0; j < 2; j++) {
                        size_t len = strlen(text[j]);
                        char *name =
                                arena_strndup(*state, text[j], len - (text[j][len - 1] == '*'));

                        ranges[j] = text[j][len - 1] == '*' ? interface_prefix_range(name)
                                                            : range_single(interface_value(name));
                }
                assert_int_equal(range_set_subtract(*state, &(RangeSet){&ranges[0], 1},
                                                    &(RangeSet){&ranges[1], 1}, &set),
                                 0);
                unit_true(row, range_set_contains(&set, interface_value(rows[i].inside)));
                unit_true(row, !range_set_contains(&set, interface_value(rows[i].outside)));
                assert_int_equal(interface_set_split(*state, &set, &base, &minus), 0);
                unit_true(row, range_set_equal(&base, &(RangeSet){&ranges[0], 1}));
                unit_true(row, range_set_equal(&minus, &(RangeSet){&ranges[1], 1}));
                unit_equal(row, interface_set_is_open(&set), rows[i].what[0] == '*');
        }
}

static void wildcards_that_touch_are_nothing_taken_away(void **state) {
        const Policy *p = load(*state, "ringwall: 1\ninbound:\n"
                                       "  - { allow: ssh, in: [\"eth0*\", \"eth1*\"] }\n");
        RangeSet base, minus;

        assert_int_equal(interface_set_split(*state, &p->sections[SECTION_INBOUND].rules[0].in,
                                             &base, &minus),
                         0);
        assert_int_equal(minus.n_items, 0);
}

static void names_that_the_kernel_refuses_are_refused(void **state) {
        static const char *const names[] = {
                "\"a/b\"",
                "\"a b\"",
                "\"a:1\"",
                ".",
                "..",
                "\"*\"",
                "\"e*0\"",
                "abcdefghijklmnop",
                "\"abcdefghijklmno*\"",
                "\"\"",
                "10.0.0.1",
                "[eth0, [eth1]]",
                "{ a: b }",
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                (void)load_error(*state,
                                 arena_printf(*state,
                                              "ringwall: 1\ninbound: [{ allow: ssh, in: %s }]",
                                              names[i]));
        (void)load(*state, "ringwall: 1\ninbound: [{ allow: ssh, in: [abcdefghijklmno, "
                           "\"abcdefghijklmn*\"] }]");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(a_name_is_its_bytes_padded_with_zeros),
                unit_arena_test(a_prefix_holds_every_name_that_begins_with_it),
                unit_arena_test(in_takes_a_name_a_wildcard_or_a_list),
                unit_arena_test(what_was_taken_away_can_be_told),
                unit_arena_test(wildcards_that_touch_are_nothing_taken_away),
                unit_arena_test(names_that_the_kernel_refuses_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
