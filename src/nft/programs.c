/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/programs.h"

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "nft/attribute.h"
#include "nft/dump.h"
#include "nft/link.h"
#include "nft/programs_bpf.h"

int programs_add(Programs *to, Program p) {
        if (to->n_items >= PROGRAMS_MAX)
                return 0;
        return arena_append(to->arena, to->items, to->n_items, p) ? 0 : -ENOMEM;
}

Program programs_make(ProgramKind kind, const char *link, const char *name) {
        Program p = {.kind = kind};

        (void)snprintf(p.link, sizeof(p.link), "%s", link); /* cut if need be */
        (void)snprintf(p.name, sizeof(p.name), "%s", name);
        return p;
}

/* ---- XDP */

/* IFLA_XDP's number is past what Attributes holds. */
static const struct nlattr *find(const struct nlmsghdr *h, size_t header, uint16_t type) {
        const struct nlattr *attr;

        if (mnl_nlmsg_get_payload_len(h) < header)
                return NULL;
        attribute_for_each(attr, (const struct nlattr *)mnl_nlmsg_get_payload_offset(h, header),
                           (const char *)h + h->nlmsg_len) {
                if (mnl_attr_get_type(attr) == type)
                        return attr;
        }
        return NULL;
}

int programs_take_link(const struct nlmsghdr *h, Programs *to) {
        Attributes a, xdp;
        const char *name;
        uint8_t attached;

        if (h->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(h) < sizeof(struct ifinfomsg))
                return 0;
        attributes_behind(h, sizeof(struct ifinfomsg), &a);
        attributes_of(find(h, sizeof(struct ifinfomsg), IFLA_XDP), &xdp);
        name = attribute_string(&a, IFLA_IFNAME);
        if (!attribute_u8(&xdp, IFLA_XDP_ATTACHED, &attached) || attached == XDP_ATTACHED_NONE)
                return 0;
        return programs_add(to, programs_make(PROGRAM_XDP, name ? name : "?", "XDP"));
}

static int take_link(const struct nlmsghdr *h, void *to) {
        return programs_take_link(h, to);
}

static int read_xdp(Programs *ret) {
        struct {
                struct nlmsghdr header;
                struct ifinfomsg info;
        } request = {.header = {.nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETLINK}};

        return dump_read(NETLINK_ROUTE, &request.header, take_link, ret);
}

/* ---- tc */

/* The attribute among a filter's options that holds its actions (include/uapi/linux/pkt_cls.h). */
static const struct {
        const char *kind;
        uint16_t actions;
} filters[] = {{"basic", 3}, {"cgroup", 1}, {"flow", 9},     {"flower", 3},
               {"fw", 4},    {"route", 6},  {"matchall", 2}, {"u32", 7}};

/* Actions that do no more than pass, drop, count or show. */
static bool is_plain_action(const struct nlattr *action) {
        static const char *const plain[] = {"gact", "police", "sample"};
        Attributes a;
        const char *kind;

        attributes_of(action, &a);
        kind = attribute_string(&a, 1 /* TCA_ACT_KIND */);
        for (size_t i = 0; kind && i < ARRAY_SIZE(plain); i++)
                if (streq(kind, plain[i]))
                        return true;
        return false;
}

static bool is_plain_filter(const char *kind, const struct nlattr *options) {
        for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
                const struct nlattr *action;
                Attributes a;

                if (!streq(filters[i].kind, kind))
                        continue;
                attributes_of(options, &a);
                if (!a.list[filters[i].actions])
                        return true;
                attribute_for_each_nested(action, a.list[filters[i].actions]) {
                        if (!is_plain_action(action))
                                return false;
                }
                return true;
        }
        return false;
}

int programs_take_filter(const struct nlmsghdr *h, const char *link, Programs *to) {
        const struct tcmsg *info = mnl_nlmsg_get_payload(h);
        const char *kind;
        Attributes a;
        Program p;

        if (h->nlmsg_type != RTM_NEWTFILTER || mnl_nlmsg_get_payload_len(h) < sizeof(*info))
                return 0;
        attributes_behind(h, sizeof(*info), &a);
        kind = attribute_string(&a, TCA_KIND);
        /* without: the place of filters, and not one of them */
        if (!kind || info->tcm_handle == 0 || !a.list[TCA_OPTIONS])
                return 0;
        p = programs_make(PROGRAM_TC, link, kind);
        p.is_egress = TC_H_MIN(info->tcm_parent) == TC_H_MIN_EGRESS;
        p.is_plain = is_plain_filter(kind, a.list[TCA_OPTIONS]);
        return programs_add(to, p);
}

typedef struct OfLink {
        const HostLink *link;
        Programs *to;
} OfLink;

static int take_filter(const struct nlmsghdr *h, void *to) {
        const OfLink *x = to;

        return programs_take_filter(h, x->link->name, x->to);
}

static int read_filters(const HostNet *net, Programs *ret) {
        static const uint32_t parents[] = {TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
                                           TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)};
        int r = 0;

        for (size_t i = 0; i < net->n_links && r == 0; i++)
                for (size_t j = 0; j < ARRAY_SIZE(parents) && r == 0; j++) {
                        struct {
                                struct nlmsghdr header;
                                struct tcmsg info;
                        } request = {
                                .header = {.nlmsg_len = sizeof(request),
                                           .nlmsg_type = RTM_GETTFILTER},
                                .info = {.tcm_ifindex = (int)net->links[i].index,
                                         .tcm_parent = parents[j]},
                        };
                        OfLink x = {&net->links[i], ret};

                        r = dump_read(NETLINK_ROUTE, &request.header, take_filter, &x);
                        if (r == -ENODEV)
                                r = 0; /* it has gone */
                }
        return r;
}

/* ---- flowtables */

int programs_take_flowtable(const struct nlmsghdr *h, Programs *to) {
        const char *name;
        Attributes a;

        if (h->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWFLOWTABLE) ||
            mnl_nlmsg_get_payload_len(h) < sizeof(struct nfgenmsg))
                return 0;
        attributes_of_message(h, &a);
        name = attribute_string(&a, NFTA_FLOWTABLE_NAME);
        return name ? programs_add(to, programs_make(PROGRAM_FLOWTABLE, "", name)) : 0;
}

static int take_flowtable(const struct nlmsghdr *h, void *to) {
        return programs_take_flowtable(h, to);
}

static int read_flowtables(Programs *ret) {
        struct {
                struct nlmsghdr header;
                struct nfgenmsg info;
        } request = {
                .header = {.nlmsg_len = sizeof(request),
                           .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETFLOWTABLE},
                .info = {.nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0},
        };

        return dump_read(NETLINK_NETFILTER, &request.header, take_flowtable, ret);
}

/* ---- all */

/* Asks anew when the answer was interrupted; a kernel that does not know the question has none. */
static int settle(Programs *ret, ProgramKind kind, size_t before, int r) {
        if (r == -ENOMEM)
                return r;
        if (r == -EOPNOTSUPP || r == -EINVAL || r == -ENOSYS || r == -EPROTONOSUPPORT)
                r = 0;
        if (r < 0)
                ret->n_items = before; /* what was taken is not all */
        ret->error[kind] = r;
        return 0;
}

static int read_links(const HostNet *net, ProgramKind kind, Programs *ret) {
        size_t before = ret->n_items;
        int r = -EINTR;

        for (unsigned int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
                ret->n_items = before;
                r = kind == PROGRAM_XDP  ? read_xdp(ret)
                    : kind == PROGRAM_TC ? read_filters(net, ret)
                                         : read_flowtables(ret);
        }
        return settle(ret, kind, before, r);
}

static int read_bpf(ProgramKind kind,
                    const HostNet *net,
                    const char *const *cgroups,
                    size_t n_cgroups,
                    Programs *ret) {
        size_t before = ret->n_items;
        int r = kind == PROGRAM_TC          ? programs_read_tcx(net, ret)
                : kind == PROGRAM_SK_LOOKUP ? programs_read_lookups(ret)
                : kind == PROGRAM_CGROUP    ? programs_read_cgroups(cgroups, n_cgroups, ret)
                                            : programs_read_netfilter(ret);

        return settle(ret, kind, before, r);
}

int programs_read(
        Arena *a, const HostNet *net, const char *const *cgroups, size_t n_cgroups, Programs *ret) {
        static const ProgramKind dumped[] = {PROGRAM_XDP, PROGRAM_TC, PROGRAM_FLOWTABLE},
                                 asked[] = {PROGRAM_TC, PROGRAM_SK_LOOKUP, PROGRAM_CGROUP,
                                            PROGRAM_NETFILTER};
        Programs all = {.arena = a};
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(dumped) && r == 0; i++)
                r = read_links(net, dumped[i], &all);
        for (size_t i = 0; i < ARRAY_SIZE(asked) && r == 0; i++)
                if (all.error[asked[i]] == 0)
                        r = read_bpf(asked[i], net, cgroups, n_cgroups, &all);
        if (r == 0)
                *ret = all;
        return r;
}
