/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/widen.h"

#include "base/unit.h"

static BanEntry key_of(Arena *a, const char *text) {
        const char *why;
        BanEntry key;

        if (ban_parse_address(a, text, 64, &key, &why) < 0)
                fail_msg("%s", why);
        return key;
}

static void a_step_leads_to_the_next_and_not_beyond_the_cap(void **state) {
        static const struct {
                const char *key;
                unsigned int cap;
                const char *next; /* NULL: none */
        } rows[] = {
                {"2001:db8:1:203:4::9/128", 48, "2001:db8:1:203::/64"},
                {"2001:db8:1:203::/64", 48, "2001:db8:1:200::/56"},
                {"2001:db8:1:200::/56", 48, "2001:db8:1::/48"},
                {"2001:db8:1::/48", 48, NULL},
                {"2001:db8:1:200::/56", 56, NULL},
                {"2001:db8:1:203::/64", 64, NULL},
                {"2001:db8:1:203::/64", 56, "2001:db8:1:200::/56"},
                {"2001:db8:1:200::/57", 48, NULL},
                {"192.0.2.7", 48, NULL},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                BanEntry key = key_of(*state, rows[i].key), next;
                char buf[ADDRESS_TEXT_MAX];
                bool is_one = widen_step(&key, rows[i].cap, &next);

                unit_equal(rows[i].key, is_one, rows[i].next != NULL);
                if (is_one)
                        unit_string(rows[i].key, ban_print_address(&next, buf), rows[i].next);
        }
}

static void a_ban_of_a_service_is_not_widened(void **state) {
        BanEntry key = key_of(*state, "2001:db8::/64"), next;

        key.protocol = 6;
        key.port = 22;
        assert_false(widen_step(&key, 48, &next));
}

static void different_networks_of_the_step_are_counted(void **state) {
        BanEntry key = key_of(*state, "2001:db8:1:1::/64");
        Widening w = {.length = 64};
        static const char *const others[] = {
                "2001:db8:1:1::/64",   "2001:db8:1:1::/64", "2001:db8:1:2::/64",
                "2001:db8:1:3::/65",   "2001:db8:1:3::/56", "2001:db8:1:100::/64",
                "2001:db8:1:4::1/128", "2001:db8:2:4::/64", "2001:db8:1:5::/64",
        };

        assert_true(widen_step(&key, 48, &w.around));
        for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
                const char *why;
                BanEntry e;

                if (ban_parse_address(*state, others[i], 64, &e, &why) == 0)
                        unit_equal(others[i], widen_take(&w, &e), false);
        }
        key = key_of(*state, "2001:db8:1:ff::/64");
        key.protocol = 6;
        assert_false(widen_take(&w, &key));
        key = key_of(*state, "2001:db8:1:ff::/64");
        assert_true(widen_take(&w, &key));
        assert_string_equal(widen_reason(*state, &w),
                            "4 networks of it are banned: 2001:db8:1:1::/64, 2001:db8:1:2::/64, "
                            "2001:db8:1:5::/64, 2001:db8:1:ff::/64");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(a_step_leads_to_the_next_and_not_beyond_the_cap),
                unit_arena_test(a_ban_of_a_service_is_not_widened),
                unit_arena_test(different_networks_of_the_step_are_counted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
