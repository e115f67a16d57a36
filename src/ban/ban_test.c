/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/ban.h"

#include "base/unit.h"

static void addresses_and_networks_are_read(void **state) {
        static const struct {
                const char *text, *expected;
        } rows[] = {
                {"192.0.2.7", "192.0.2.7"},
                {"192.0.2.7/32", "192.0.2.7"},
                {"198.51.100.0/24", "198.51.100.0/24"},
                {"2001:db8:1:2:3::5", "2001:db8:1:2::/64"},
                {"2001:db8:1:2:3::5/128", "2001:db8:1:2:3::5"},
                {"2001:db8::/48", "2001:db8::/48"},
                {"::ffff:192.0.2.7", "192.0.2.7"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char buf[ADDRESS_TEXT_MAX];
                unsigned char key[BAN_KEY_BYTES_MAX];
                const char *why = NULL;
                BanEntry e, again;

                unit_equal(rows[i].text, ban_parse_address(*state, rows[i].text, 64, &e, &why), 0);
                unit_string(rows[i].text, ban_print_address(&e, buf), rows[i].expected);
                unit_true(rows[i].text, ban_key_read(key, ban_key_write(&e, key), &again));
                unit_string(rows[i].text, ban_print_address(&again, buf), rows[i].expected);
        }
}

static void what_is_no_address_is_told(void **state) {
        static const struct {
                const char *text, *why;
        } rows[] = {
                {"hello",
                 "'hello' is no address and no network: write 192.0.2.7, 198.51.100.0/24 or "
                 "2001:db8::/64"},
                {"", "'' is no address and no network: write 192.0.2.7, 198.51.100.0/24 or "
                     "2001:db8::/64"},
                {"a\033[31m", "'a?[31m' is no address and no network: write 192.0.2.7, "
                              "198.51.100.0/24 or 2001:db8::/64"},
                {"192.0.2.7/24", "'192.0.2.7/24' has bits behind its prefix: the network is "
                                 "192.0.2.0/24"},
                {"192.0.2.0/33", "'192.0.2.0/33' has no prefix length from 0 to 32 or 128"},
                {"192.0.2.1-192.0.2.9", "'192.0.2.1-192.0.2.9' is no network: ban its networks one "
                                        "by one"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *why = NULL;
                BanEntry e;

                unit_equal(rows[i].text, ban_parse_address(*state, rows[i].text, 64, &e, &why),
                           -EBADMSG);
                unit_string(rows[i].text, why, rows[i].why);
        }
}

static void services_belong_to_hosts(void **state) {
        static const struct {
                const char *address, *service;
                bool is_one;
        } rows[] = {
                {"192.0.2.7", "22/tcp", true},     {"2001:db8::1", "443/udp", true},
                {"192.0.2.0/24", "22/tcp", false}, {"192.0.2.7", "22", false},
                {"192.0.2.7", "0/tcp", false},     {"192.0.2.7", "70000/tcp", false},
                {"192.0.2.7", "22/icmp", false},   {"192.0.2.7", "ssh/tcp", false},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char buf[BAN_SERVICE_TEXT_MAX];
                const char *why = NULL;
                BanEntry e;
                int r;

                assert_int_equal(ban_parse_address(*state, rows[i].address, 64, &e, &why), 0);
                r = ban_parse_service(*state, rows[i].service, &e, &why);
                unit_equal(rows[i].service, r, rows[i].is_one ? 0 : -EBADMSG);
                if (r == 0)
                        unit_string(rows[i].service, ban_print_service(&e, buf), rows[i].service);
                else
                        unit_true(rows[i].service, why);
        }
}

static void texts_are_short_and_without_control_characters(void **state) {
        char longer[BAN_REASON_MAX + 2];

        memset(longer, 'x', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = '\0';
        assert_string_equal(ban_check_text(longer, BAN_REASON_MAX), "it is too long");
        longer[BAN_REASON_MAX] = '\0';
        assert_null(ban_check_text(longer, BAN_REASON_MAX));
        assert_string_equal(ban_check_text("a\nb", 10), "it has control characters");
        assert_null(ban_check_text("f\xc3\xbcnf Fehler", 20));
}

static void keys_that_are_none_are_refused(void **state) {
        static const unsigned char rows[][9] = {
                {5, 192, 0, 2, 7, 32, 0, 0, 0},
                {4, 192, 0, 2, 7, 24, 0, 0, 0}, /* bits behind the prefix */
                {4, 0, 0, 0, 0, 0, 0, 0, 0},
                {4, 192, 0, 2, 7, 33, 0, 0, 0},
        };
        BanEntry e;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                assert_false(ban_key_read(rows[i], sizeof(rows[i]), &e));
                assert_false(ban_key_read(rows[i], 3, &e));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(addresses_and_networks_are_read),
                unit_arena_test(what_is_no_address_is_told),
                unit_arena_test(services_belong_to_hosts),
                unit_arena_test(texts_are_short_and_without_control_characters),
                unit_arena_test(keys_that_are_none_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
