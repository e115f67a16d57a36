/* SPDX-License-Identifier: GPL-2.0-or-later */

/* With the running kernel, in a network namespace of this program's own. */

#include "nft/networks.h"

#include "nft/kernel_unit.h"

/* Two ends of a cable, as after a boot: up, with a link-local address, and nothing else. */
static int clean(void **state) {
        shell("ip link del far 2>/dev/null; ip link add near type veth peer far && "
              "ip link set near up && ip link set far up");
        return unit_arena_setup(state);
}

#define networks_test(function)                                                                    \
        cmocka_unit_test_setup_teardown((function), clean, unit_arena_teardown)

/* "far 10.0.0.0/24, near fd00::/64" */
static const char *networks(Arena *a) {
        const char *text = "";
        HostNetwork *list;
        size_t n;

        assert_int_equal(networks_read(a, &list, &n), 0);
        for (size_t i = 0; i < n; i++) {
                char buf[ADDRESS_TEXT_MAX], name[17] = {0};

                u128_to_bytes(list[i].interface, name, 16);
                text = arena_printf(a, "%s%s%s %s", text, i > 0 ? ", " : "", name,
                                    address_range_print(list[i].family, list[i].range, buf));
        }
        return text;
}

static const struct Case {
        const char *name, *commands, *expected;
} cases[] = {
        {"no addresses", "true", ""},
        {"both families, sorted by interface",
         "ip addr add 192.168.7.5/24 dev near; ip addr add fd00:7::5/64 dev near nodad;"
         "ip addr add 10.1.2.3/31 dev far",
         "far 10.1.2.2/31, near 192.168.7.0/24, near fd00:7::/64"},
        {"two addresses of one network are one",
         "ip addr add 10.0.0.5/24 dev near; ip addr add 10.0.0.6/24 dev near", "near 10.0.0.0/24"},
        {"one network with two metrics is one",
         "ip route add 10.9.0.0/24 dev near metric 5; ip route add 10.9.0.0/24 dev near metric 6",
         "near 10.9.0.0/24"},
        {"one network at two interfaces is at both",
         "ip addr add 10.0.0.5/24 dev near; ip addr add 10.0.0.6/24 dev far",
         "far 10.0.0.0/24, near 10.0.0.0/24"},
        {"the other end of a point-to-point link", "ip addr add 10.0.0.5 peer 10.0.0.6/32 dev near",
         "near 10.0.0.6"},
        {"behind a gateway is not on link",
         "ip addr add 10.0.0.5/24 dev near; ip addr add fd00:7::5/64 dev near nodad;"
         "ip route add default via 10.0.0.1; ip route add 10.2.0.0/16 via 10.0.0.1;"
         "ip route add fd00:8::/64 via fd00:7::1; ip route add 10.3.0.0/16 via inet6 fe80::1 dev "
         "near",
         "near 10.0.0.0/24, near fd00:7::/64"},
        {"of several next hops, those that are on link",
         "ip addr add 10.0.0.5/24 dev near;"
         "ip route add 10.2.0.0/16 nexthop via 10.0.0.1 dev near nexthop dev far",
         "far 10.2.0.0/16, near 10.0.0.0/24"},
        {"up to /8 and /48, and nothing wider",
         "ip route add 10.0.0.0/8 dev near; ip route add 16.0.0.0/7 dev near;"
         "ip route add default dev near; ip -6 route add fd00:7::/48 dev near;"
         "ip -6 route add 2001:db8::/47 dev near; ip -6 route add default dev far",
         "near 10.0.0.0/8, near fd00:7::/48"},
        {"no link-local and no multicast",
         "ip addr add 169.254.3.4/16 dev near; ip route add 169.254.1.0/24 dev near;"
         "ip route add 224.0.0.0/8 dev near; ip -6 route add ff05::/64 dev near",
         ""},
        {"no unreachable or blackhole, no other table",
         "ip route add unreachable 10.1.0.0/16; ip route add blackhole 10.2.0.0/16;"
         "ip route add 10.3.0.0/16 dev near table 100",
         ""},
        {"an interface that is down has none",
         "ip addr add 10.0.0.5/24 dev near; ip addr add fd00:7::5/64 dev near nodad;"
         "ip link set near down",
         ""},
};

static void lists_what_is_on_link(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                if (i > 0) {
                        assert_int_equal(unit_arena_teardown(state), 0);
                        assert_int_equal(clean(state), 0);
                }
                shell(cases[i].commands);
                unit_string(cases[i].name, networks(*state), cases[i].expected);
        }
}

static void needs_no_privileges(void **state) {
        shell("ip addr add 10.0.0.5/24 dev near");
        assert_int_equal(seteuid(65534), 0);
        const char *found = networks(*state);
        assert_int_equal(seteuid(0), 0);
        assert_string_equal(found, "near 10.0.0.0/24");
}

static void reads_thousands(void **state) {
        HostNetwork *list;
        size_t n;

        shell("i=0; while [ $i -lt 5000 ]; do "
              "echo route add 10.$((i / 256)).$((i % 256)).0/24 dev near; i=$((i + 1)); done | "
              "ip -batch -");
        assert_int_equal(networks_read(*state, &list, &n), 0);
        assert_int_equal(n, 5000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                networks_test(lists_what_is_on_link),
                networks_test(needs_no_privileges),
                networks_test(reads_thousands),
        };

        if (kernel_enter_namespace() < 0)
                return 1;
        shell("ip link set lo up");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
