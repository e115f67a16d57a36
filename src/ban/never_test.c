/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/never.h"

#include "base/unit.h"

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

                unit_equal(rows[i].address, ban_parse_address(*state, rows[i].address, &e, &why),
                           0);
                said = never_refuse(*state, &never, &e, &r);
                unit_equal(rows[i].address, r, 0);
                if (e.prefix == 0)
                        unit_string(rows[i].address, said,
                                    "0.0.0.0/0 is too wide: nothing wider than a /16 is banned");
                else
                        unit_string(rows[i].address, said, rows[i].why);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(what_would_lock_somebody_out_is_refused_with_the_reason),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
