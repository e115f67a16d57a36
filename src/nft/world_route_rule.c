/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "nft/dump.h"
#include "nft/world_decoder.h"
#include "nft/world_read.h"

/* The rules of policy routing (net/core/fib_rules.c). */

/* What is not among them asks for something that is not followed. */
static const uint16_t followed[] = {
        FRA_DST,    FRA_SRC,      FRA_IIFNAME, FRA_GOTO, FRA_PRIORITY,
        FRA_TABLE,  FRA_OIFNAME,  FRA_FWMARK,  FRA_PAD,  FRA_SUPPRESS_PREFIXLEN,
        FRA_FWMASK, FRA_PROTOCOL,
};

static bool is_open(const Attributes *a) {
        for (uint16_t type = 0; type < ATTRIBUTES_MAX; type++) {
                bool known = !a->list[type];

                for (size_t i = 0; i < ARRAY_SIZE(followed); i++)
                        known |= followed[i] == type;
                if (!known)
                        return true;
        }
        return false;
}

static bool take_end(const Attributes *a, uint16_t type, Family family, uint8_t prefix, U128 *ret) {
        size_t size = 0;
        const void *bytes = attribute_bytes(a, type, &size);

        if (prefix == 0)
                return true;
        if (!bytes || size * 8 != family_width(family) || prefix > family_width(family))
                return false;
        *ret = u128_from_bytes(bytes, size);
        return true;
}

static bool take_name(World *w, const Attributes *a, uint16_t type, const char **ret) {
        const char *name = attribute_string(a, type);

        if (!a->list[type])
                return true;
        *ret = arena_strdup(w->arena, name ? name : "");
        return *ret != NULL;
}

int world_take_route_rule(const struct nlmsghdr *h, World *w) {
        const struct fib_rule_hdr *info = mnl_nlmsg_get_payload(h);
        WorldRouteRule rule = {.suppress_prefix = -1};
        Attributes a;

        if (mnl_nlmsg_get_payload_len(h) < sizeof(*info) ||
            (info->family != AF_INET && info->family != AF_INET6))
                return 0;
        attributes_behind(h, sizeof(*info), &a);
        rule.family = info->family == AF_INET ? FAMILY_IPV4 : FAMILY_IPV6;
        rule.action = info->action;
        rule.inverted = info->flags & FIB_RULE_INVERT;
        rule.source_prefix = info->src_len;
        rule.destination_prefix = info->dst_len;
        rule.open = is_open(&a) || info->tos != 0 ||
                    !take_end(&a, FRA_SRC, rule.family, info->src_len, &rule.source) ||
                    !take_end(&a, FRA_DST, rule.family, info->dst_len, &rule.destination);
        rule.mark = attribute_native_u32(&a, FRA_FWMARK);
        rule.mask = attribute_native_u32(&a, FRA_FWMASK);
        rule.priority = attribute_native_u32(&a, FRA_PRIORITY); /* absent: 0 */
        rule.target = attribute_native_u32(&a, FRA_GOTO);
        rule.table = attribute_native_u32(&a, FRA_TABLE);
        rule.table = rule.table ? rule.table : info->table;
        if (a.list[FRA_SUPPRESS_PREFIXLEN])
                rule.suppress_prefix = (int)attribute_native_u32(&a, FRA_SUPPRESS_PREFIXLEN);
        if (!take_name(w, &a, FRA_IIFNAME, &rule.in) || !take_name(w, &a, FRA_OIFNAME, &rule.out))
                return -ENOMEM;
        if (w->n_route_rules >= WORLD_ITEMS_MAX)
                return -E2BIG;
        return arena_append(w->arena, w->route_rules, w->n_route_rules, rule) ? 0 : -ENOMEM;
}

static bool is_usual(const WorldRouteRule *r, size_t i) {
        static const struct {
                uint32_t priority, table;
        } usual[] = {{0, RT_TABLE_LOCAL}, {32766, RT_TABLE_MAIN}, {32767, RT_TABLE_DEFAULT}};

        return i < ARRAY_SIZE(usual) && r->priority == usual[i].priority &&
               r->table == usual[i].table && world_is_plain_rule(r);
}

static void compare_usual(World *w, Family family) {
        size_t n = 0, n_usual = family == FAMILY_IPV4 ? 3 : 2; /* IPv6 has no table of defaults */
        bool usual = true;

        for (size_t i = 0; i < w->n_route_rules; i++)
                if (w->route_rules[i].family == family)
                        usual &= is_usual(&w->route_rules[i], n++);
        w->has_route_rules[family] = !usual || n != n_usual;
}

static int take(const struct nlmsghdr *h, void *to) {
        return h->nlmsg_type == RTM_NEWRULE ? world_take_route_rule(h, to) : 0;
}

int world_dump_route_rules(World *w, Family family) {
        struct {
                struct nlmsghdr header;
                struct fib_rule_hdr info;
        } request = {
                .header = {.nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETRULE},
                .info = {.family = family == FAMILY_IPV4 ? AF_INET : AF_INET6},
        };
        int r = dump_read(NETLINK_ROUTE, &request.header, take, w);

        w->has_route_rules[family] = false;
        if (r == -EOPNOTSUPP || r == -EAFNOSUPPORT)
                return 0; /* a kernel without the family or without such rules */
        if (r == 0)
                compare_usual(w, family);
        return r;
}
