/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Messages as the kernel sends them, of what not every kernel can do, and broken ones. What the
 * running kernel says is in networks_test.c. */

#include "nft/routes.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include "nft/attribute.h"
#include "nft/message_unit.h"
#include "nft/networks.h"

static struct nlmsghdr *link_message(Message *m, int index, const char *name) {
        struct ifinfomsg info = {.ifi_index = index, .ifi_flags = IFF_UP};
        struct nlmsghdr *h = start(m, RTM_NEWLINK, &info, sizeof(info));

        mnl_attr_put_strz(h, IFLA_IFNAME, name);
        return h;
}

/* With an IPv4 prefix of 24 bits. */
static struct nlmsghdr *route_message(Message *m, uint8_t table, const char *bytes) {
        struct rtmsg info = {.rtm_family = AF_INET,
                             .rtm_dst_len = 24,
                             .rtm_table = table,
                             .rtm_type = RTN_UNICAST};
        struct nlmsghdr *h = start(m, RTM_NEWROUTE, &info, sizeof(info));

        mnl_attr_put(h, RTA_DST, 4, bytes);
        return h;
}

static const char *networks(Arena *a, HostNet *net) {
        const char *text = "";
        HostNetwork *list;
        size_t n;

        routes_sort(net);
        assert_int_equal(networks_of(net, a, &list, &n), 0);
        for (size_t i = 0; i < n; i++) {
                char buf[ADDRESS_TEXT_MAX], name[17] = {0};

                u128_to_bytes(list[i].interface, name, 16);
                text = arena_printf(a, "%s%s%s %s", text, i > 0 ? ", " : "", name,
                                    address_range_print(list[i].family, list[i].range, buf));
        }
        return text;
}

static void ports_of_a_vrf_have_their_routes_in_its_table(void **state) {
        HostNet net = {.arena = *state};
        struct nlattr *info, *data;
        struct nlmsghdr *h;
        Message m;

        h = link_message(&m, 7, "red");
        info = mnl_attr_nest_start(h, IFLA_LINKINFO);
        mnl_attr_put_strz(h, IFLA_INFO_KIND, "vrf");
        data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
        mnl_attr_put_u32(h, IFLA_VRF_TABLE, 1000);
        mnl_attr_nest_end(h, data);
        mnl_attr_nest_end(h, info);
        assert_int_equal(routes_take(h, &net), 0);
        h = link_message(&m, 3, "eth0");
        mnl_attr_put_u32(h, IFLA_MASTER, 7);
        assert_int_equal(routes_take(h, &net), 0);
        assert_int_equal(net.links[1].master, 7);

        /* a table past 255 has its number in an attribute, and RT_TABLE_COMPAT in the header */
        h = route_message(&m, RT_TABLE_COMPAT, "\x0a\x01\x02");
        mnl_attr_put_u32(h, RTA_TABLE, 1000);
        mnl_attr_put_u32(h, RTA_OIF, 3);
        assert_int_equal(routes_take(h, &net), 0);
        h = route_message(&m, RT_TABLE_COMPAT, "\x0a\x01\x03");
        mnl_attr_put_u32(h, RTA_TABLE, 1001);
        mnl_attr_put_u32(h, RTA_OIF, 3);
        assert_int_equal(routes_take(h, &net), 0);
        assert_string_equal(networks(*state, &net), "eth0 10.1.2.0/24");
}

static void a_tunnel_in_the_route_is_not_the_link_itself(void **state) {
        HostNet net = {.arena = *state};
        struct nlmsghdr *h;
        Message m;

        assert_int_equal(routes_take(link_message(&m, 3, "eth0"), &net), 0);
        h = route_message(&m, RT_TABLE_MAIN, "\x0a\x01\x02");
        mnl_attr_put_u32(h, RTA_OIF, 3);
        mnl_attr_put_u16(h, RTA_ENCAP_TYPE, 1);
        mnl_attr_nest_end(h, mnl_attr_nest_start(h, RTA_ENCAP));
        assert_int_equal(routes_take(h, &net), 0);
        assert_string_equal(networks(*state, &net), "");
}

static void a_route_over_an_unknown_link_is_passed_over(void **state) {
        HostNet net = {.arena = *state};
        struct nlmsghdr *h;
        Message m;

        h = route_message(&m, RT_TABLE_MAIN, "\x0a\x01\x02");
        mnl_attr_put_u32(h, RTA_OIF, 3);
        assert_int_equal(routes_take(h, &net), 0);
        assert_int_equal(net.n_routes, 1);
        assert_string_equal(networks(*state, &net), "");
}

static void default_routes_tell_their_interface(void **state) {
        static const struct rtmsg info = {
                .rtm_family = AF_INET6, .rtm_table = RT_TABLE_MAIN, .rtm_type = RTN_UNICAST};
        HostNet net = {.arena = *state};
        struct nlmsghdr *h;
        Message m;

        h = start(&m, RTM_NEWROUTE, &info, sizeof(info));
        mnl_attr_put_u32(h, RTA_OIF, 3);
        mnl_attr_put(h, RTA_GATEWAY, 16, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x01");
        assert_int_equal(routes_take(h, &net), 0);
        assert_int_equal(net.n_routes, 1);
        assert_true(net.routes[0].is_default);
        assert_false(net.routes[0].is_on_link);
        assert_int_equal(net.routes[0].link, 3);
        assert_int_equal(net.routes[0].family, FAMILY_IPV6);
}

static void of_a_point_to_point_address_the_own_end_counts(void **state) {
        static const struct ifaddrmsg info = {
                .ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = 3};
        HostNet net = {.arena = *state};
        struct nlmsghdr *h;
        Message m;

        h = start(&m, RTM_NEWADDR, &info, sizeof(info));
        mnl_attr_put(h, IFA_ADDRESS, 4, "\x0a\0\0\x02");
        mnl_attr_put(h, IFA_LOCAL, 4, "\x0a\0\0\x01");
        assert_int_equal(routes_take(h, &net), 0);
        assert_int_equal(net.n_addresses, 1);
        assert_int_equal(net.addresses[0].address.low, 0x0a000001);
        assert_int_equal(net.addresses[0].length, 32);
}

/* Cuts every message at every length: nothing is read past the end, and what is whole is taken. */
static void takes_messages_cut_short(void **state) {
        struct nlmsghdr *h;
        Message m;

        h = route_message(&m, RT_TABLE_MAIN, "\x0a\x01\x02");
        mnl_attr_put_u32(h, RTA_OIF, 3);
        for (uint32_t size = sizeof(*h); size <= h->nlmsg_len; size++) {
                HostNet net = {.arena = *state};
                _cleanup_free_ struct nlmsghdr *cut = malloc(size);

                assert_non_null(cut);
                memcpy(cut, h, size);
                cut->nlmsg_len = size;
                assert_int_equal(routes_take(cut, &net), 0);
                assert_int_equal(net.n_routes, size == h->nlmsg_len);
        }
}

static void refuses_too_many(void **state) {
        HostNet net = {.arena = *state, .n_links = ROUTES_ITEMS_MAX};
        Message m;

        assert_int_equal(routes_take(link_message(&m, 3, "eth0"), &net), -E2BIG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(ports_of_a_vrf_have_their_routes_in_its_table),
                unit_arena_test(a_tunnel_in_the_route_is_not_the_link_itself),
                unit_arena_test(a_route_over_an_unknown_link_is_passed_over),
                unit_arena_test(default_routes_tell_their_interface),
                unit_arena_test(of_a_point_to_point_address_the_own_end_counts),
                unit_arena_test(takes_messages_cut_short),
                unit_arena_test(refuses_too_many),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
