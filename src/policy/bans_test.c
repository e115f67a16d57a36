/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/load_unit.h"

static BanSettings decode(Arena *a, const char *text) {
        Loader l = load_start(a);
        PolicyFile file = {.bans = load_entry(&l, text)};

        ban_settings_init(&l.policy->bans);
        if (bans_decode(&l, &file) < 0)
                fail_msg("%s", l.d->messages[0].text);
        return l.policy->bans;
}

static void what_is_not_said_has_its_default(void **state) {
        const BanSettings b = load(*state, "ringwall: 1\n")->bans;

        assert_false(b.never.given);
        assert_int_equal(b.escalate.factor, 0);
        assert_int_equal(b.ipv6, 64);
        assert_int_equal(b.ipv6_cap, 64);
        assert_int_equal(b.max, 1000000);
        assert_int_equal(b.widest[FAMILY_IPV4], 16);
        assert_int_equal(b.widest[FAMILY_IPV6], 32);
}

static void what_is_said_is_taken(void **state) {
        BanSettings b = decode(*state, "bans: { never: [10.0.0.0/8, \"fd00::/8\"], "
                                       "escalate: 3x up to 2w, ipv6: /64 up to /48, max: 5000, "
                                       "widest: { ipv4: /24, ipv6: /48 } }");

        assert_true(load_expression_contains(&b.never, NULL, "10.1.2.3"));
        assert_false(load_expression_contains(&b.never, NULL, "11.1.2.3"));
        assert_int_equal(b.escalate.factor, 3);
        assert_int_equal(b.escalate.longest, 14 * 86400);
        assert_int_equal(b.ipv6, 64);
        assert_int_equal(b.ipv6_cap, 48);
        assert_int_equal(b.max, 5000);
        assert_int_equal(b.widest[FAMILY_IPV4], 24);
        assert_int_equal(b.widest[FAMILY_IPV6], 48);
}

static void each_key_may_stand_alone(void **state) {
        BanSettings b = decode(*state, "bans: { widest: { ipv4: /32 } }");

        assert_int_equal(b.widest[FAMILY_IPV4], 32);
        assert_int_equal(b.widest[FAMILY_IPV6], 32);
        b = decode(*state, "bans: { ipv6: /128 up to /64 }");
        assert_int_equal(b.ipv6, 128);
        assert_int_equal(b.ipv6_cap, 64);
        b = decode(*state, "bans: { ipv6: /56 }");
        assert_int_equal(b.ipv6, 56);
        assert_int_equal(b.ipv6_cap, 56);
        assert_int_equal(decode(*state, "bans: { escalate: off }").escalate.factor, 0);
        assert_int_equal(decode(*state, "bans: { escalate: 10x up to 60s }").escalate.longest, 60);
        assert_int_equal(decode(*state, "bans: { max: 1 }").max, 1);
}

static void never_takes_zones_and_their_networks(void **state) {
        HostNetwork network = {
                .family = FAMILY_IPV4,
                .interface = interface_value("lan0"),
                .range = {u128(0x0a280a00), u128(0x0a280aff)},
        };
        const Policy *p;

        p = load_on_link(*state, &network, 1,
                         "ringwall: 1\n"
                         "zones:\n"
                         "  lan: { connected: lan0 }\n"
                         "bans: { never: [lan, private] }\n");
        assert_true(load_expression_contains(&p->bans.never, NULL, "10.40.10.9"));
        assert_int_equal(p->bans.never.n_terms, 2);
}

static void what_widening_and_widest_say_together_is_checked(void **state) {
        assert_string_equal(
                load_error(*state, "ringwall: 1\n"
                                   "bans: { ipv6: /64 up to /48, widest: { ipv6: /56 } }\n"),
                "an IPv6 ban may become a /48, and nothing wider than a /56 may be banned");
        assert_string_equal(
                load_error(*state, "ringwall: 1\nbans: { widest: { ipv6: /96 } }\n"),
                "an IPv6 ban may become a /64, and nothing wider than a /96 may be banned");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(what_is_not_said_has_its_default),
                unit_arena_test(what_is_said_is_taken),
                unit_arena_test(each_key_may_stand_alone),
                unit_arena_test(never_takes_zones_and_their_networks),
                unit_arena_test(what_widening_and_widest_say_together_is_checked),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
