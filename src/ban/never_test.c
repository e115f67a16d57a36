/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/never.h"

#include "base/unit.h"

static const unsigned int widest[_FAMILY_MAX] = {16, 32};

static Range range_of(const char *text, Family *family) {
        Range range;

        assert_int_equal(address_range_parse(text, family, &range), ADDRESS_OK);
        return range;
}

static void what_would_lock_somebody_out_is_refused_with_the_reason(void **state) {
        static const struct {
                const char *address, *why;
        } rows[] = {
                {"203.0.113.9", NULL},
                {"2001:db8:7::9", NULL},
                {"10.40.11.0/24", NULL},
                {"10.40.10.1", "10.40.10.1 is never banned: it is this host's own address"},
                {"10.40.10.0/24", "10.40.10.0/24 is not banned: it holds 10.40.10.1, which is this "
                                  "host's own address"},
                {"2001:db8:1::77",
                 "2001:db8:1::/64 is not banned: it holds 2001:db8:1::1, which is "
                 "a gateway"},
                {"2001:db8:1::77/128", NULL},
                {"127.0.0.1", "127.0.0.1 is never banned: it is loopback"},
                {"::1", "::/64 is not banned: it holds ::1, which is loopback"},
                {"fe80::5", "fe80::/64 is never banned: it is link-local: what hosts on one link "
                            "need to find each other"},
                {"0.0.0.0/0", NULL}, /* its prefix of 0: see below */
                {"8.0.0.0/8", "8.0.0.0/8 is too wide: nothing wider than a /16 is banned"},
                {"2400::/12", "2400::/12 is too wide: nothing wider than a /32 is banned"},
        };
        Never never = {0};
        Family family;
        Range own = range_of("10.40.10.1", &family);

        assert_int_equal(never_add_always(*state, &never), 0);
        assert_int_equal(never_add(*state, &never, family, own, "this host's own address"), 0);
        own = range_of("2001:db8:1::1", &family);
        assert_int_equal(never_add(*state, &never, family, own, "a gateway"), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *why = NULL, *said;
                BanEntry e;
                int r = 0;

                unit_equal(rows[i].address,
                           ban_parse_address(*state, rows[i].address, 64, &e, &why), 0);
                said = never_refuse(*state, &never, widest, &e, &r);
                unit_equal(rows[i].address, r, 0);
                if (e.prefix == 0)
                        unit_string(rows[i].address, said,
                                    "0.0.0.0/0 is too wide: nothing wider than a /16 is banned");
                else
                        unit_string(rows[i].address, said, rows[i].why);
        }
}

static BanEntry key_of(Arena *a, const char *text) {
        const char *why;
        BanEntry key;

        if (ban_parse_address(a, text, 64, &key, &why) < 0)
                fail_msg("%s", why);
        return key;
}

static void what_the_policy_says_is_never_banned_either(void **state) {
        static const char *const said[] = {"198.51.100.7", "198.51.100.16/28", "203.0.113.0/24"};
        static const struct {
                const char *address;
                bool touches, covered;
        } rows[] = {
                {"198.51.100.7", true, true},     {"198.51.100.8", false, false},
                {"198.51.100.0/29", true, false}, {"198.51.100.16", true, true},
                {"198.51.100.31", true, true},    {"198.51.100.32", false, false},
                {"198.51.100.0/24", true, false}, {"203.0.113.0/24", true, true},
                {"203.0.112.0/23", true, false},  {"203.0.114.0", false, false},
                {"2001:db8::1", false, false},
        };
        Never never = {0};
        NeverRange n;

        for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
                Family family;
                Range range = range_of(said[i], &family);

                assert_int_equal(range_set_add(*state, &never.said[family], range), 0);
        }
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                BanEntry key = key_of(*state, rows[i].address);

                unit_equal(rows[i].address, never_find(&never, &key, &n), rows[i].touches);
                unit_equal(rows[i].address, never_covers(&never, &key, &n), rows[i].covered);
        }
}

static void how_wide_a_ban_may_be_is_the_callers_to_say(void **state) {
        static const unsigned int narrow[_FAMILY_MAX] = {24, 48}, wide[_FAMILY_MAX] = {8, 16};
        BanEntry key = key_of(*state, "198.51.0.0/16");
        Never never = {0};
        int r;

        assert_string_equal(never_refuse(*state, &never, narrow, &key, &r),
                            "198.51.0.0/16 is too wide: nothing wider than a /24 is banned");
        assert_null(never_refuse(*state, &never, widest, &key, &r));
        key = key_of(*state, "8.0.0.0/8");
        assert_null(never_refuse(*state, &never, wide, &key, &r));
        assert_int_equal(r, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(what_the_policy_says_is_never_banned_either),
                unit_arena_test(how_wide_a_ban_may_be_is_the_callers_to_say),
                unit_arena_test(what_would_lock_somebody_out_is_refused_with_the_reason),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
