/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/load_unit.h"

static bool
contains(const Policy *p, const char *zone, const char *interface, const char *address) {
        const Zone *z = policy_find_zone(p, zone);
        U128 name = interface_value(interface ? interface : ""), value;
        Family family;

        assert_non_null(z);
        assert_int_equal(address_parse(address, &family, &value), ADDRESS_OK);
        return zone_contains(z, interface ? &name : NULL, family, value);
}

static const char zones[] = "ringwall: 1\n"
                            "zones:\n"
                            "  lan: [10.40.10.0/24, \"fd00:40:10::/64\", 10.50.0.1-10.50.0.9]\n"
                            "  four: [192.0.2.0/24]\n"
                            "  vpn: { interfaces: [wg0, \"tun*\"] }\n"
                            "  office: { addresses: [10.1.0.0/16], interfaces: eth1 }\n"
                            "  all: [lan, vpn, office, 10.9.9.9]\n"
                            "  inner: { addresses: [all], interfaces: [eth1, wg0] }\n"
                            "  lone: 10.7.7.7\n";

// clang-format off
static const struct {
        const char *zone, *interface, *address;
        bool expected;
} members[] = {
        { "lan",    NULL,   "10.40.10.0",     true },
        { "lan",    "eth9", "10.40.10.255",   true },
        { "lan",    NULL,   "10.40.11.0",     false },
        { "lan",    NULL,   "fd00:40:10::1",  true },
        { "lan",    NULL,   "10.50.0.9",      true },
        { "lan",    NULL,   "10.50.0.10",     false },
        { "four",   NULL,   "192.0.2.1",      true },
        { "four",   NULL,   "::c000:201",     false },
        { "four",   NULL,   "::ffff:192.0.2.1", false },
        { "vpn",    "wg0",  "203.0.113.9",    true },
        { "vpn",    "wg0",  "2001:db8::9",    true },
        { "vpn",    "tun7", "203.0.113.9",    true },
        { "vpn",    "wg1",  "203.0.113.9",    false },
        { "vpn",    NULL,   "203.0.113.9",    false },
        { "office", "eth1", "10.1.2.3",       true },
        { "office", "eth0", "10.1.2.3",       false },
        { "office", "eth1", "10.2.2.3",       false },
        { "office", NULL,   "10.1.2.3",       false },
        { "all",    NULL,   "10.9.9.9",       true },
        { "all",    NULL,   "10.40.10.1",     true },
        { "all",    "tun0", "198.51.100.1",   true },
        { "all",    "eth1", "10.1.0.1",       true },
        { "all",    "eth0", "10.1.0.1",       false },
        { "inner",  "eth1", "10.40.10.1",     true },
        { "inner",  "eth0", "10.40.10.1",     false },
        { "inner",  "eth1", "10.1.0.1",       true },
        { "inner",  "wg0",  "203.0.113.9",    true },
        { "inner",  "tun0", "203.0.113.9",    false },
        { "inner",  "wg0",  "10.1.0.1",       true },  /* as a VPN client */
        { "inner",  "eth1", "203.0.113.9",    false },
        { "inner",  NULL,   "10.9.9.9",       false },
        { "lone",   NULL,   "10.7.7.7",       true },
        { "lone",   NULL,   "10.7.7.8",       false },
        { "containers", "br-1", "10.0.0.1",   true },
};
// clang-format on

static void a_zone_holds_what_is_behind_its_interfaces_and_in_its_addresses(void **state) {
        const Policy *p = load(*state, zones);

        for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
                const char *row = arena_printf(*state, "%s: %s behind %s", members[i].zone,
                                               members[i].address,
                                               members[i].interface ? members[i].interface : "-");

                unit_equal(row,
                           contains(p, members[i].zone, members[i].interface, members[i].address),
                           members[i].expected);
        }
}

static void parts_with_the_same_interfaces_are_one(void **state) {
        const Policy *p = load(*state, zones);

        assert_int_equal(policy_find_zone(p, "lan")->n_parts, 1);
        assert_int_equal(policy_find_zone(p, "all")->n_parts, 3);
}

static void ranges_are_sorted_and_joined(void **state) {
        const Policy *p = load(*state, "ringwall: 1\nzones:\n"
                                       "  z: [10.2.0.0/16, 10.0.0.0/16, 10.1.0.0/16, 10.0.5.5]\n");
        const ZonePart *part = &policy_find_zone(p, "z")->parts[0];

        assert_int_equal(part->addresses[FAMILY_IPV4].n_items, 1);
        assert_int_equal(part->addresses[FAMILY_IPV6].n_items, 0);
}

static void zones_are_sorted_and_the_policy_replaces_the_catalogues(void **state) {
        const Policy *p = load(*state, "ringwall: 1\nzones:\n"
                                       "  private: [192.168.0.0/16]\n"
                                       "  a: [private]\n");

        assert_int_equal(p->n_zones, 4);
        for (size_t i = 1; i < p->n_zones; i++)
                assert_true(strcmp(p->zones[i - 1]->name, p->zones[i]->name) < 0);
        assert_false(contains(p, "a", NULL, "10.0.0.1"));
        assert_true(contains(p, "a", NULL, "192.168.0.1"));
        assert_false(policy_find_zone(p, "private")->from_catalogue);
        assert_true(policy_find_zone(p, "vms")->from_catalogue);
        assert_ptr_equal(p->containers, policy_find_zone(p, "containers"));
        assert_ptr_equal(p->vms, policy_find_zone(p, "vms"));
        assert_null(policy_find_zone(p, "b"));
}

static void expressions_tell_absent_from_anywhere(void **state) {
        const Policy *p = load(*state, "ringwall: 1\ninbound:\n"
                                       "  - allow: ssh\n"
                                       "  - { allow: ssh, from: anywhere }\n"
                                       "  - { allow: ssh, from: [private, anywhere] }\n"
                                       "  - { allow: ssh, from: [private, 192.0.2.1, vms] }\n");
        const PolicyRule *rules = p->sections[SECTION_INBOUND].rules;

        assert_false(rules[0].from.given);
        assert_false(rules[0].from.restricts);
        assert_null(rules[0].from.at.source);
        for (size_t i = 1; i < 3; i++) {
                assert_true(rules[i].from.given);
                assert_false(rules[i].from.restricts);
                assert_int_equal(rules[i].from.n_terms, 0);
                assert_string_equal(rules[i].from.text, "anywhere");
        }
        assert_true(rules[3].from.restricts);
        assert_int_equal(rules[3].from.n_terms, 3);
        assert_string_equal(rules[3].from.text, "private, 192.0.2.1, vms");
        assert_true(load_expression_contains(&rules[3].from, NULL, "192.0.2.1"));
        assert_false(load_expression_contains(&rules[3].from, NULL, "192.0.2.2"));
        assert_true(load_expression_contains(&rules[3].from, "virbr0", "192.0.2.2"));
        assert_true(load_expression_contains(&rules[0].from, NULL, "2001:db8::1"));
}

static void flattening_keeps_the_meaning(void **state) {
        const Policy *p = load(*state, arena_printf(*state,
                                                    "%sinbound:\n"
                                                    "  - { allow: ssh, from: [all, lone, "
                                                    "office, 192.0.2.7, \"2001:db8::/32\"] }\n",
                                                    zones));
        const ZoneExpression *e = &p->sections[SECTION_INBOUND].rules[0].from;
        static const char *const interfaces[] = {NULL, "eth0", "eth1", "wg0", "tun3"};
        ZoneExpression flat;

        assert_int_equal(zone_expression_flatten(*state, e, &flat), 0);
        assert_int_equal(flat.n_terms, 1);
        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                for (size_t j = 0; j < ARRAY_SIZE(interfaces); j++)
                        unit_equal(
                                members[i].address,
                                load_expression_contains(&flat, interfaces[j], members[i].address),
                                load_expression_contains(e, interfaces[j], members[i].address));
        assert_true(load_expression_contains(&flat, NULL, "192.0.2.7"));
        assert_true(load_expression_contains(&flat, NULL, "2001:db8::7"));
}

static void nesting_has_a_limit_whatever_the_order(void **state) {
        const char *up = "ringwall: 1\nzones:\n  z0: [10.0.0.0/8]\n", *down = "";

        for (int i = 1; i < DEFINITION_DEPTH_MAX; i++) {
                up = arena_printf(*state, "%s  z%d: [z%d]\n", up, i, i - 1);
                down = arena_printf(*state, "  z%d: [z%d]\n%s", i, i - 1, down);
        }
        (void)load(*state, up);
        (void)load(*state,
                   arena_printf(*state, "ringwall: 1\nzones:\n%s  z0: [10.0.0.0/8]\n", down));
        up = arena_printf(*state, "%s  z64: [z63]\n", up);
        down = arena_printf(*state, "ringwall: 1\nzones:\n  z64: [z63]\n%s  z0: [10.0.0.0/8]\n",
                            down);
        assert_string_equal(load_error(*state, up),
                            "zones are nested more than 64 levels deep here");
        assert_string_equal(load_error(*state, down),
                            "zones are nested more than 64 levels deep here");
}

static void a_broken_zone_is_reported_once_and_not_where_it_is_used(void **state) {
        Diag *d;

        assert_null(load_with_diag(*state,
                                   "ringwall: 1\n"
                                   "zones:\n"
                                   "  a: [10.0.0.1/8]\n"
                                   "  b: [a]\n"
                                   "inbound:\n"
                                   "  - { allow: ssh, from: [a, b] }\n"
                                   "protected:\n"
                                   "  - { services: ssh, only-from: b }\n",
                                   &d));
        assert_int_equal(d->n_errors, 1);
}

static const char boxes[] = "ringwall: 1\n"
                            "zones:\n"
                            "  z0: [10.40.0.0/16, \"fd00:40::/32\", 10.50.0.1]\n"
                            "  z1: [10.40.10.0/24, \"fd00:40:10::/48\"]\n"
                            "  z2: { interfaces: [wg0, \"tun*\"] }\n"
                            "  z3: { interfaces: [tun7] }\n"
                            "  z4: { addresses: [10.40.0.0/16], interfaces: [\"t*\", eth1] }\n"
                            "  z5: { addresses: [z4, 10.50.0.0/24, z3] }\n"
                            "  z6: [\"fd00:40:10::/64\"]\n"
                            "  z7: { addresses: [0.0.0.0/0, \"::/0\"] }\n"
                            "  z8: { addresses: [z7], except: z2 }\n";

static const char *const box_interfaces[] = {NULL,   "wg0", "tun",  "tun7",
                                             "tun8", "t",   "eth1", "eth0"};
static const char *const box_addresses[] = {
        "10.40.10.7",    "10.40.11.0", "10.39.255.255",   "10.50.0.1",
        "10.50.0.2",     "0.0.0.0",    "fd00:40::1",      "fd00:40:10:1::1",
        "fd00:40:10::1", "::",         "255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
};

/* Whether x without y is what `rest` says, client by client; rest NULL: nobody. */
static void compare_boxes(const Policy *p, const char *x, const char *y, const char *rest) {
        for (size_t i = 0; i < ARRAY_SIZE(box_interfaces); i++)
                for (size_t j = 0; j < ARRAY_SIZE(box_addresses); j++) {
                        const char *interface = box_interfaces[i], *address = box_addresses[j];
                        bool expected = contains(p, x, interface, address) &&
                                        !contains(p, y, interface, address);

                        if (expected != (rest && contains(p, rest, interface, address)))
                                fail_msg("%s but %s: %s behind %s should be %d", x, y, address,
                                         interface ? interface : "-", expected);
                }
}

static void except_takes_away_neither_more_nor_less(void **state) {
        unsigned int n_left = 0;

        for (int i = 0; i < 9; i++)
                for (int j = 0; j < 9; j++) {
                        const char *x = arena_printf(*state, "z%d", i);
                        const char *y = arena_printf(*state, "z%d", j);
                        const char *text = arena_printf(
                                *state, "%s  rest: { addresses: %s, except: [%s] }\n", boxes, x, y);
                        Diag *d;
                        const Policy *p = load_with_diag(*state, text, &d);

                        if (p)
                                n_left++;
                        else
                                assert_string_equal(d->messages[0].text,
                                                    "'except' leaves nothing of zone 'rest'");
                        compare_boxes(p ? p : load(*state, boxes), x, y, p ? "rest" : NULL);
                }
        assert_true(n_left > 50);
}

static void a_zone_may_follow_its_interfaces_networks(void **state) {
        const HostNetwork networks[] = {
                {interface_value("eth0"), FAMILY_IPV4, {u128(0x0a000000), u128(0x0a0000ff)}},
                {interface_value("eth1"), FAMILY_IPV4, {u128(0x0a000100), u128(0x0a0001ff)}},
        };
        const Policy *p = load_on_link(*state, networks, ARRAY_SIZE(networks),
                                       "ringwall: 1\nzones:\n"
                                       "  home: { connected: [eth0, \"wl*\"], addresses: "
                                       "192.0.2.1, except: 10.0.0.1 }\n"
                                       "  all: [home, 10.9.0.0/16]\n");
        const Zone *home = policy_find_zone(p, "home"), *all = policy_find_zone(p, "all");

        assert_true(zone_contains(home, NULL, FAMILY_IPV4, u128(0x0a000002)));
        assert_true(zone_contains(home, NULL, FAMILY_IPV4, u128(0xc0000201)));
        assert_false(zone_contains(home, NULL, FAMILY_IPV4, u128(0x0a000001)));
        assert_false(zone_contains(home, NULL, FAMILY_IPV4, u128(0x0a000102)));
        assert_true(zone_contains(all, NULL, FAMILY_IPV4, u128(0x0a000002)));
        assert_true(zone_contains(all, NULL, FAMILY_IPV4, u128(0x0a090002)));
        /* what follows the networks is kept apart from what does not */
        assert_int_equal(home->parts[0].fixed[FAMILY_IPV4].n_items, 1);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(a_zone_holds_what_is_behind_its_interfaces_and_in_its_addresses),
                unit_arena_test(parts_with_the_same_interfaces_are_one),
                unit_arena_test(ranges_are_sorted_and_joined),
                unit_arena_test(zones_are_sorted_and_the_policy_replaces_the_catalogues),
                unit_arena_test(expressions_tell_absent_from_anywhere),
                unit_arena_test(flattening_keeps_the_meaning),
                unit_arena_test(nesting_has_a_limit_whatever_the_order),
                unit_arena_test(except_takes_away_neither_more_nor_less),
                unit_arena_test(a_zone_may_follow_its_interfaces_networks),
                unit_arena_test(a_broken_zone_is_reported_once_and_not_where_it_is_used),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
