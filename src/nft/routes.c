/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/routes.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include "nft/dump.h"

#define append(net, list, n, value)                                                                \
        ((n) >= ROUTES_ITEMS_MAX                            ? -E2BIG                               \
         : arena_append((net)->arena, (list), (n), (value)) ? 0                                    \
                                                            : -ENOMEM)

static int take_link(const struct nlmsghdr *h, HostNet *net) {
        const struct ifinfomsg *info = mnl_nlmsg_get_payload(h);
        Attributes a, details, data;
        const char *name, *kind;
        HostLink link = {0};

        if (mnl_nlmsg_get_payload_len(h) < sizeof(*info))
                return 0;
        attributes_behind(h, sizeof(*info), &a);
        attributes_inside(&a, IFLA_LINKINFO, &details);
        attributes_inside(&details, IFLA_INFO_DATA, &data);
        name = attribute_string(&a, IFLA_IFNAME);
        kind = attribute_string(&details, IFLA_INFO_KIND);
        if (!name || strlen(name) >= sizeof(link.name))
                return 0;
        memcpy(link.name, name, strlen(name) + 1);
        if (kind)
                (void)snprintf(link.kind, sizeof(link.kind), "%s", kind);
        link.index = (uint32_t)info->ifi_index;
        link.master = attribute_native_u32(&a, IFLA_MASTER);
        link.table = streq(link.kind, "vrf") ? attribute_native_u32(&data, IFLA_VRF_TABLE) : 0;
        link.is_loopback = (info->ifi_flags & IFF_LOOPBACK) != 0;
        link.is_up = (info->ifi_flags & IFF_UP) != 0;
        return append(net, net->links, net->n_links, link);
}

static int take_address(const struct nlmsghdr *h, HostNet *net) {
        const struct ifaddrmsg *info = mnl_nlmsg_get_payload(h);
        HostAddress address = {0};
        Attributes a;

        if (mnl_nlmsg_get_payload_len(h) < sizeof(*info) ||
            !attribute_family(info->ifa_family, &address.family))
                return 0;
        attributes_behind(h, sizeof(*info), &a);
        /* where the two differ, IFA_ADDRESS is the other end's */
        if (!attribute_address(&a, IFA_LOCAL, address.family, &address.address) &&
            !attribute_address(&a, IFA_ADDRESS, address.family, &address.address))
                return 0;
        address.link = info->ifa_index;
        address.length = info->ifa_prefixlen;
        return append(net, net->addresses, net->n_addresses, address);
}

static bool has_gateway(const Attributes *a) {
        return a->list[RTA_GATEWAY] || a->list[RTA_VIA] || a->list[RTA_ENCAP];
}

static int add_route(HostNet *net, HostRoute route, uint32_t link, const Attributes *hop) {
        route.link = link;
        route.is_on_link = !has_gateway(hop);
        if (link == 0 || (!route.is_default && !route.is_on_link))
                return 0;
        return append(net, net->routes, net->n_routes, route);
}

/* Each next hop of several has attributes of its own. */
static int take_next_hops(const struct nlattr *hops, HostNet *net, HostRoute route) {
        const char *p = mnl_attr_get_payload(hops), *end = attributes_end(hops);
        int r = 0;

        while (r == 0 && end - p >= (ptrdiff_t)sizeof(struct rtnexthop)) {
                const struct rtnexthop *hop = (const void *)p;
                Attributes a;

                if (hop->rtnh_len < sizeof(*hop) || hop->rtnh_len > end - p)
                        break;
                attributes_between(p + sizeof(*hop), p + hop->rtnh_len, &a);
                r = add_route(net, route, (uint32_t)hop->rtnh_ifindex, &a);
                p += RTNH_ALIGN(hop->rtnh_len);
        }
        return r;
}

static bool is_wanted_table(const HostNet *net, uint32_t table) {
        if (table == RT_TABLE_MAIN)
                return true;
        for (size_t i = 0; i < net->n_links && table != 0; i++)
                if (net->links[i].table == table)
                        return true;
        return false;
}

/* Where the route leads; false if it is none that matters here. */
static bool read_route(const struct nlmsghdr *h, const Attributes *a, HostRoute *ret) {
        const struct rtmsg *info = mnl_nlmsg_get_payload(h);
        unsigned int width;
        U128 to = U128_ZERO, mask;

        if (!attribute_family(info->rtm_family, &ret->family) || info->rtm_type != RTN_UNICAST ||
            info->rtm_flags & RTM_F_CLONED || info->rtm_src_len != 0)
                return false;
        width = family_width(ret->family);
        if (info->rtm_dst_len > width ||
            (info->rtm_dst_len > 0 && !attribute_address(a, RTA_DST, ret->family, &to)))
                return false;
        mask = u128_low_mask(width - info->rtm_dst_len);
        ret->to.high = u128_or(to, mask);
        ret->to.low = (U128){to.high & ~mask.high, to.low & ~mask.low};
        ret->is_default = info->rtm_dst_len == 0;
        return true;
}

static int take_route(const struct nlmsghdr *h, HostNet *net) {
        const struct rtmsg *info = mnl_nlmsg_get_payload(h);
        HostRoute route = {0};
        uint32_t table;
        Attributes a;

        if (mnl_nlmsg_get_payload_len(h) < sizeof(*info))
                return 0;
        attributes_behind(h, sizeof(*info), &a);
        table = a.list[RTA_TABLE] ? attribute_native_u32(&a, RTA_TABLE) : info->rtm_table;
        if (!read_route(h, &a, &route) || !is_wanted_table(net, table))
                return 0;
        if (a.list[RTA_MULTIPATH])
                return take_next_hops(a.list[RTA_MULTIPATH], net, route);
        return add_route(net, route, attribute_native_u32(&a, RTA_OIF), &a);
}

int routes_take(const struct nlmsghdr *h, HostNet *net) {
        switch (h->nlmsg_type) {
        case RTM_NEWLINK:
                return take_link(h, net);
        case RTM_NEWADDR:
                return take_address(h, net);
        case RTM_NEWROUTE:
                return take_route(h, net);
        }
        return 0;
}

static int compare_links(const void *a, const void *b) {
        const HostLink *x = a, *y = b;

        return x->index < y->index ? -1 : x->index > y->index;
}

void routes_sort(HostNet *net) {
        if (net->n_links > 0)
                qsort(net->links, net->n_links, sizeof(*net->links), compare_links);
}

const HostLink *routes_find_link(const HostNet *net, uint32_t index) {
        HostLink key = {.index = index};

        return net->n_links == 0
                       ? NULL
                       : bsearch(&key, net->links, net->n_links, sizeof(key), compare_links);
}

static int take(const struct nlmsghdr *h, void *to) {
        return routes_take(h, to);
}

/* All families at once: a kernel without IPv6 has nothing to say of it. */
static int list(uint16_t type, HostNet *net) {
        struct {
                struct nlmsghdr header;
                union {
                        struct ifinfomsg link;
                        struct ifaddrmsg address;
                        struct rtmsg route;
                } info; /* begins with the family: AF_UNSPEC */
        } request = {.header = {.nlmsg_len = sizeof(request), .nlmsg_type = type}};

        return dump_read(NETLINK_ROUTE, &request.header, take, net);
}

int routes_read(Arena *a, HostNet *ret) {
        static const uint16_t types[] = {RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE};
        HostNet net;
        int r = -EINTR;

        for (unsigned int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
                net = (HostNet){.arena = a};
                r = 0;
                for (size_t j = 0; j < ARRAY_SIZE(types) && r == 0; j++)
                        r = list(types[j], &net);
        }
        if (r < 0)
                return r;
        routes_sort(&net);
        *ret = net;
        return 0;
}
