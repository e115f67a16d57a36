/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/if_link.h>
#include <linux/lwtunnel.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>
#include <net/if.h>
#include <sys/socket.h>

#include "nft/dump.h"
#include "nft/sysctl.h"
#include "nft/world_decoder.h"
#include "nft/world_read.h"

#define LINK_ADDRESS 6
#define BRIDGE "/proc/sys/net/bridge/"

#define append(w, list, n, value)                                                                  \
        ((n) >= WORLD_ITEMS_MAX                           ? -E2BIG                                 \
         : arena_append((w)->arena, (list), (n), (value)) ? 0                                      \
                                                          : -ENOMEM)

/* A bridge may do what the settings for all do not say (br_nf_pre_routing). */
static void take_bridge(const Attributes *details, World *w) {
        static const uint16_t numbers[_FAMILY_MAX] = {
                [FAMILY_IPV4] = IFLA_BR_NF_CALL_IPTABLES,
                [FAMILY_IPV6] = IFLA_BR_NF_CALL_IP6TABLES,
        };
        Attributes data;

        attributes_inside(details, IFLA_INFO_DATA, &data);
        for (Family f = 0; f < _FAMILY_MAX; f++) {
                uint8_t calls = 0;

                w->bridge_calls_hooks[f] |= attribute_u8(&data, numbers[f], &calls) && calls > 0;
        }
}

static int take_link(const struct nlmsghdr *h, World *w) {
        const struct ifinfomsg *info = mnl_nlmsg_get_payload(h);
        WorldInterface i = {0};
        Attributes a, details;
        const char *name, *kind;
        const void *address;
        size_t size = 0;

        if (mnl_nlmsg_get_payload_len(h) < sizeof(*info))
                return 0;
        attributes_behind(h, sizeof(*info), &a);
        attributes_inside(&a, IFLA_LINKINFO, &details);
        name = attribute_string(&a, IFLA_IFNAME);
        kind = attribute_string(&details, IFLA_INFO_KIND);
        if (!name)
                return 0;
        i.index = info->ifi_index;
        i.type = info->ifi_type;
        i.up = info->ifi_flags & IFF_UP;
        i.loopback = info->ifi_flags & IFF_LOOPBACK;
        i.master = (int)attribute_native_u32(&a, IFLA_MASTER);
        if (!a.list[IFLA_LINK_NETNSID]) /* in another one, where it has another number */
                i.lower = (int)attribute_native_u32(&a, IFLA_LINK);
        i.name = arena_strdup(w->arena, name);
        i.kind = kind ? arena_strdup(w->arena, kind) : NULL;
        address = attribute_bytes(&a, IFLA_ADDRESS, &size);
        if (address && size == LINK_ADDRESS)
                memcpy(i.address, address, LINK_ADDRESS);
        if (!i.name || (kind && !i.kind))
                return -ENOMEM;
        if (kind && streq(kind, "bridge"))
                take_bridge(&details, w);
        return append(w, w->interfaces, w->n_interfaces, i);
}

static int take_address(const struct nlmsghdr *h, World *w) {
        const struct ifaddrmsg *info = mnl_nlmsg_get_payload(h);
        WorldAddress address = {0};
        Attributes a;
        uint32_t flags;

        if (mnl_nlmsg_get_payload_len(h) < sizeof(*info) ||
            !attribute_family(info->ifa_family, &address.family))
                return 0;
        attributes_behind(h, sizeof(*info), &a);
        /* of a point-to-point link the first is the own one, the other the peer's */
        if (!attribute_address(&a, IFA_LOCAL, address.family, &address.address) &&
            !attribute_address(&a, IFA_ADDRESS, address.family, &address.address))
                return 0;
        flags = attribute_native_u32(&a, IFA_FLAGS) | info->ifa_flags;
        address.tentative = flags & IFA_F_TENTATIVE && !(flags & IFA_F_OPTIMISTIC);
        address.prefix = info->ifa_prefixlen;
        address.index = (int)info->ifa_index;
        return append(w, w->addresses, w->n_addresses, address);
}

/* The number is native, as all of rtnetlink's. */
static bool unpacks(const Attributes *a) {
        size_t size = 0;
        const void *bytes = attribute_bytes(a, RTA_ENCAP_TYPE, &size);
        uint16_t type;

        if (!bytes || size != sizeof(type))
                return false;
        memcpy(&type, bytes, sizeof(type));
        return type == LWTUNNEL_ENCAP_SEG6_LOCAL || type == LWTUNNEL_ENCAP_BPF;
}

static int take_route(const struct nlmsghdr *h, World *w) {
        const struct rtmsg *info = mnl_nlmsg_get_payload(h);
        WorldRoute route = {0};
        uint32_t table;
        Attributes a;

        if (mnl_nlmsg_get_payload_len(h) < sizeof(*info) ||
            !attribute_family(info->rtm_family, &route.family) || info->rtm_flags & RTM_F_CLONED ||
            info->rtm_dst_len > family_width(route.family))
                return 0;
        attributes_behind(h, sizeof(*info), &a);
        if (info->rtm_dst_len > 0 &&
            !attribute_address(&a, RTA_DST, route.family, &route.destination))
                return 0;
        w->routes_unpack |= unpacks(&a);
        table = attribute_native_u32(&a, RTA_TABLE);
        route.prefix = info->rtm_dst_len;
        route.type = info->rtm_type;
        route.table = table ? table : info->rtm_table;
        route.metric = attribute_native_u32(&a, RTA_PRIORITY);
        route.index = (int)attribute_native_u32(&a, RTA_OIF);
        route.several = a.list[RTA_MULTIPATH] || (route.index == 0 && a.list[RTA_NH_ID]) ||
                        info->rtm_tos != 0 || info->rtm_src_len != 0;
        return append(w, w->routes, w->n_routes, route);
}

int world_take_surroundings(const struct nlmsghdr *h, World *w) {
        if (h->nlmsg_type == RTM_NEWLINK)
                return take_link(h, w);
        if (h->nlmsg_type == RTM_NEWADDR)
                return take_address(h, w);
        if (h->nlmsg_type == RTM_NEWROUTE)
                return take_route(h, w);
        if (h->nlmsg_type == RTM_NEWRULE)
                return world_take_route_rule(h, w);
        return 0;
}

static int take_any(const struct nlmsghdr *h, void *to) {
        return world_take_surroundings(h, to);
}

static int dump(uint16_t type, unsigned char family, World *w) {
        struct {
                struct nlmsghdr header;
                union {
                        struct ifinfomsg link;
                        struct ifaddrmsg address;
                        struct rtmsg route;
                };
        } request = {
                .header = {.nlmsg_type = type},
        };

        if (type == RTM_GETLINK) {
                request.header.nlmsg_len = NLMSG_LENGTH(sizeof(request.link));
                request.link.ifi_family = family;
        } else if (type == RTM_GETADDR) {
                request.header.nlmsg_len = NLMSG_LENGTH(sizeof(request.address));
                request.address.ifa_family = family;
        } else {
                request.header.nlmsg_len = NLMSG_LENGTH(sizeof(request.route));
                request.route.rtm_family = family;
        }
        return dump_read(NETLINK_ROUTE, &request.header, take_any, w);
}

static int read_once(World *w) {
        int r;

        memset(w->bridge_calls_hooks, 0, sizeof(w->bridge_calls_hooks));
        w->routes_unpack = false;
        w->interfaces = NULL;
        w->addresses = NULL;
        w->routes = NULL;
        w->route_rules = NULL;
        w->n_interfaces = w->n_addresses = w->n_routes = w->n_route_rules = 0;
        r = dump(RTM_GETLINK, AF_UNSPEC, w);
        if (r == 0)
                r = dump(RTM_GETADDR, AF_UNSPEC, w);
        if (r == 0)
                r = dump(RTM_GETROUTE, AF_INET, w);
        if (r == 0)
                r = dump(RTM_GETROUTE, AF_INET6, w);
        for (Family f = 0; f < _FAMILY_MAX && r == 0; f++)
                r = world_dump_route_rules(w, f);
        return r;
}

/* The number in a file of settings; what cannot be read is taken for `otherwise`. */
static int setting_of(const char *family, const char *interface, const char *name, int otherwise) {
        _cleanup_fclose_ FILE *f = NULL;
        char path[128];
        int value;

        if (snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, interface, name) >=
            (int)sizeof(path))
                return otherwise;
        f = fopen(path, "re");
        return f && fscanf(f, "%d", &value) == 1 ? value : otherwise;
}

static int setting(const char *interface, const char *name, int otherwise) {
        return setting_of("ipv4", interface, name, otherwise);
}

/* Whether packets may say by which addresses they go on: all interfaces and one must allow it
 * (IN_DEV_SOURCE_ROUTE, ipv6_srh_rcv, ipv6_rpl_srh_rcv). */
static bool follows_sources(const World *w, const char *family, const char *name) {
        bool any = false;

        for (size_t i = 0; i < w->n_interfaces; i++)
                any |= setting_of(family, w->interfaces[i].name, name, 0) > 0;
        return any && setting_of(family, "all", name, 0) > 0;
}

static bool is_on(const char *path) {
        _cleanup_fclose_ FILE *f = fopen(path, "re");

        return f && fgetc(f) == '1';
}

static int take_associations(const struct nlmsghdr *h, void *to) {
        Attributes a;

        if (h->nlmsg_type != XFRM_MSG_NEWSADINFO)
                return 0;
        attributes_behind(h, sizeof(uint32_t), &a);
        *(bool *)to = attribute_native_u32(&a, XFRMA_SAD_CNT) > 0;
        return -EALREADY; /* that is all; no end is told */
}

/* Whether somebody speaks of IPsec in this network; to ask the kernel would load its module. */
static bool knows_ipsec(void) {
        _cleanup_fclose_ FILE *f = fopen("/proc/net/netlink", "re");
        char line[256];
        int family;

        while (f && fgets(line, sizeof(line), f))
                if (sscanf(line, "%*x %d", &family) == 1 && family == NETLINK_XFRM)
                        return true;
        return false;
}

/* How many security associations there are. Who does not know takes it that there are some. */
static bool has_ipsec(void) {
        struct {
                struct nlmsghdr header;
                uint32_t flags;
        } request = {.header = {.nlmsg_type = XFRM_MSG_GETSADINFO,
                                .nlmsg_len = NLMSG_LENGTH(sizeof(uint32_t))}};
        bool found = true;

        return knows_ipsec() &&
               (dump_read(NETLINK_XFRM, &request.header, take_associations, &found) != -EALREADY ||
                found);
}

static void read_settings(World *w) {
        int filter = setting("all", "rp_filter", 0);
        bool own = setting("all", "accept_local", 0) > 0;
        bool localnet = setting("all", "route_localnet", 0) > 0;
        bool redirects = setting("all", "send_redirects", 1) > 0;

        w->bridge_calls_hooks[FAMILY_IPV4] |= is_on(BRIDGE "bridge-nf-call-iptables");
        w->bridge_calls_hooks[FAMILY_IPV6] |= is_on(BRIDGE "bridge-nf-call-ip6tables");
        w->assigns_helpers = is_on("/proc/sys/net/netfilter/nf_conntrack_helper");
        w->has_ipsec = has_ipsec();
        w->rp_filter = filter > 0;
        w->route_localnet = localnet;
        for (size_t i = 0; i < w->n_interfaces; i++) {
                WorldInterface *x = &w->interfaces[i];
                int strict = setting(x->name, "rp_filter", 0);

                x->rp_filter = (uint8_t)MIN(MAX(strict, filter), 2);
                x->route_localnet = localnet || setting(x->name, "route_localnet", 0) > 0;
                x->accept_local = own || setting(x->name, "accept_local", 0) > 0;
                x->send_redirects = redirects || setting(x->name, "send_redirects", 1) > 0;
                w->rp_filter |= x->rp_filter > 0;
                w->route_localnet |= x->route_localnet;
        }
        w->source_routes4 = follows_sources(w, "ipv4", "accept_source_route");
        w->source_routes6 = follows_sources(w, "ipv6", "seg6_enabled") ||
                            follows_sources(w, "ipv6", "rpl_seg_enabled");
        w->forwards4 = sysctl_forwards(false);
        w->forwards6 = sysctl_forwards(true);
}

int world_read_surroundings(World *w) {
        int r = -EINTR;

        for (unsigned int i = 0; i < DUMP_TRIES && r == -EINTR; i++)
                r = read_once(w);
        if (r == 0)
                read_settings(w);
        return r;
}
