/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_addrtype.h>
#include <linux/netfilter/xt_connmark.h>
#include <linux/netfilter/xt_iprange.h>
#include <linux/netfilter/xt_mac.h>
#include <linux/netfilter/xt_mark.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_owner.h>
#include <linux/netfilter/xt_pkttype.h>
#include <linux/netfilter/xt_rpfilter.h>
#include <linux/netfilter/xt_state.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6t_rt.h>

#include "nft/world_decoder.h"

/* Matches of xt, as iptables-nft writes them, in the words of nf_tables. Their layouts are the
 * kernel's (include/uapi/linux/netfilter), their meaning net/netfilter/xt_*.c. */

#define ICMP_ANY 0xff /* the type that stands for all of them */

static void add_ports(WorldDecoder *d,
                      uint32_t offset,
                      const uint16_t ports[2],
                      bool inverted,
                      const char *name) {
        if (ports[0] == 0 && ports[1] == UINT16_MAX && !inverted)
                return;
        world_add_payload(d, WORLD_TRANSPORT, offset, 2, name);
        world_add_range16(d, ports[0], ports[1], inverted, name);
}

/* --- one match each; false: not translated --- */

static bool match_tcp(WorldDecoder *d, const WorldBlob *b) {
        struct xt_tcp x;
        uint8_t zero = 0;

        if (!world_blob_read(b, &x) || x.option != 0)
                return false;
        add_ports(d, 0, x.spts, x.invflags & XT_TCP_INV_SRCPT, b->name);
        add_ports(d, 2, x.dpts, x.invflags & XT_TCP_INV_DSTPT, b->name);
        if (x.flg_mask == 0 && x.flg_cmp == 0 && !(x.invflags & XT_TCP_INV_FLAGS))
                return true;
        world_add_payload(d, WORLD_TRANSPORT, 13, 1, b->name);
        world_add_mask(d, &x.flg_mask, &zero, 1, b->name);
        world_add_cmp(d, x.invflags & XT_TCP_INV_FLAGS ? WORLD_NOT_EQUAL : WORLD_EQUAL, &x.flg_cmp,
                      1, b->name);
        return true;
}

static bool match_udp(WorldDecoder *d, const WorldBlob *b) {
        struct xt_udp x;

        if (!world_blob_read(b, &x))
                return false;
        add_ports(d, 0, x.spts, x.invflags & XT_UDP_INV_SRCPT, b->name);
        add_ports(d, 2, x.dpts, x.invflags & XT_UDP_INV_DSTPT, b->name);
        return true;
}

/* Type, lowest and highest code, whether to invert: the same for both families. */
static bool match_icmp(WorldDecoder *d, const WorldBlob *b) {
        struct {
                uint8_t type, code[2], inverted;
        } x;

        if (!world_blob_read(b, &x))
                return false;
        if (b->family == NFPROTO_IPV4 && x.type == ICMP_ANY) {
                if (x.inverted & 1)
                        return false;
                return true;
        }
        world_add_payload(d, WORLD_TRANSPORT, 0, 2, b->name);
        world_add_range16(d, (uint16_t)(x.type << 8 | x.code[0]),
                          (uint16_t)(x.type << 8 | x.code[1]), x.inverted & 1, b->name);
        return true;
}

static bool match_multiport(WorldDecoder *d, const WorldBlob *b) {
        struct xt_multiport_v1 x;
        WorldPorts *ports = arena_new0(d->world->arena, WorldPorts);
        WorldExpr *added;

        if (!ports) {
                d->error = -ENOMEM;
                return false;
        }
        if (b->revision != 1 || !world_blob_read(b, &x) || x.count > ARRAY_SIZE(ports->ranges) ||
            x.flags > XT_MULTIPORT_EITHER)
                return false;
        ports->source = x.flags != XT_MULTIPORT_DESTINATION;
        ports->destination = x.flags != XT_MULTIPORT_SOURCE;
        for (size_t i = 0; i < x.count; i++) {
                bool is_range = x.pflags[i] && i + 1 < x.count;

                ports->ranges[ports->n].low = x.ports[i];
                ports->ranges[ports->n++].high = is_range ? x.ports[i + 1] : x.ports[i];
                i += is_range;
        }
        added = world_add(d, WORLD_PORTS, b->name);
        added->inverted = x.invert;
        added->ports = ports;
        return true;
}

/* The fib's type of an address is one of the mask's. */
static bool
add_types(WorldDecoder *d, const WorldBlob *b, uint32_t flags, uint16_t mask, bool inverted) {
        WorldExpr *x;
        uint32_t type = 0;

        if (mask == 0)
                return true;
        if ((mask & (mask - 1)) != 0)
                return false; /* of several it would take a set */
        while (!(mask & 1U << type))
                type++;
        if (b->family == NFPROTO_IPV6 && mask != XT_ADDRTYPE_LOCAL) {
                uint8_t multicast = 0xff;

                if (mask != XT_ADDRTYPE_MULTICAST)
                        return false; /* xt's words for IPv6 are not those of the fib */
                world_add_payload(d, WORLD_NETWORK, flags & NFTA_FIB_F_SADDR ? 8 : 24, 1, b->name);
                world_add_cmp(d, inverted ? WORLD_NOT_EQUAL : WORLD_EQUAL, &multicast, 1, b->name);
                return true;
        }
        x = world_add(d, WORLD_FIB, b->name);
        x->key = NFT_FIB_RESULT_ADDRTYPE;
        x->offset = flags;
        x->size = sizeof(type);
        x->target = WORLD_SCRATCH;
        world_add_cmp(d, inverted ? WORLD_NOT_EQUAL : WORLD_EQUAL, &type, sizeof(type), b->name);
        return true;
}

static bool match_addrtype(WorldDecoder *d, const WorldBlob *b) {
        struct xt_addrtype_info_v1 x;
        uint32_t device = 0;

        if (b->revision != 1 || !world_blob_read(b, &x))
                return false;
        if (x.flags & XT_ADDRTYPE_LIMIT_IFACE_IN)
                device = NFTA_FIB_F_IIF;
        else if (x.flags & XT_ADDRTYPE_LIMIT_IFACE_OUT)
                device = NFTA_FIB_F_OIF;
        return add_types(d, b, NFTA_FIB_F_SADDR | device, x.source,
                         x.flags & XT_ADDRTYPE_INVERT_SOURCE) &&
               add_types(d, b, NFTA_FIB_F_DADDR | device, x.dest,
                         x.flags & XT_ADDRTYPE_INVERT_DEST);
}

static bool match_state(WorldDecoder *d, const WorldBlob *b) {
        struct xt_state_info x;

        if (!world_blob_read(b, &x))
                return false;
        world_add_ct(d, NFT_CT_STATE, -1, sizeof(uint32_t), b->name);
        world_add_bits(d, x.statemask, false, b->name);
        return true;
}

static bool match_mark(WorldDecoder *d, const WorldBlob *b) {
        struct xt_mark_mtinfo1 x;

        if (b->revision != 1 || !world_blob_read(b, &x))
                return false;
        world_add_meta(d, NFT_META_MARK, sizeof(x.mark), b->name);
        world_add_mask(d, &x.mask, NULL, sizeof(x.mask), b->name);
        world_add_cmp(d, x.invert ? WORLD_NOT_EQUAL : WORLD_EQUAL, &x.mark, sizeof(x.mark),
                      b->name);
        return true;
}

static bool match_connmark(WorldDecoder *d, const WorldBlob *b) {
        struct xt_connmark_mtinfo1 x;

        if (b->revision != 1 || !world_blob_read(b, &x))
                return false;
        world_add_ct(d, NFT_CT_MARK, -1, sizeof(x.mark), b->name);
        world_add_mask(d, &x.mask, NULL, sizeof(x.mask), b->name);
        world_add_cmp(d, x.invert ? WORLD_NOT_EQUAL : WORLD_EQUAL, &x.mark, sizeof(x.mark),
                      b->name);
        return true;
}

static bool match_mac(WorldDecoder *d, const WorldBlob *b) {
        static const uint16_t ethernet = 1; /* ARPHRD_ETHER */
        struct xt_mac_info x;

        if (!world_blob_read(b, &x))
                return false;
        world_add_meta(d, NFT_META_IIFTYPE, sizeof(ethernet), b->name);
        world_add_cmp(d, WORLD_EQUAL, &ethernet, sizeof(ethernet), b->name);
        world_add_payload(d, WORLD_LINK, 6, sizeof(x.srcaddr), b->name);
        world_add_cmp(d, x.invert ? WORLD_NOT_EQUAL : WORLD_EQUAL, x.srcaddr, sizeof(x.srcaddr),
                      b->name);
        return true;
}

static bool match_iprange(WorldDecoder *d, const WorldBlob *b) {
        struct xt_iprange_mtinfo x;
        bool v4 = b->family == NFPROTO_IPV4;
        size_t size = v4 ? 4 : 16;

        if (b->revision != 1 || !world_blob_read(b, &x))
                return false;
        if (x.flags & IPRANGE_SRC) {
                world_add_payload(d, WORLD_NETWORK, v4 ? 12 : 8, size, b->name);
                world_add_range(d, &x.src_min, &x.src_max, size, x.flags & IPRANGE_SRC_INV,
                                b->name);
        }
        if (x.flags & IPRANGE_DST) {
                world_add_payload(d, WORLD_NETWORK, v4 ? 16 : 24, size, b->name);
                world_add_range(d, &x.dst_min, &x.dst_max, size, x.flags & IPRANGE_DST_INV,
                                b->name);
        }
        return true;
}

/* One user or group; without a socket it does not match, as a load of either. */
static bool match_owner(WorldDecoder *d, const WorldBlob *b) {
        struct xt_owner_match_info x;

        if (b->revision != 1 || !world_blob_read(b, &x) || x.invert != 0 ||
            x.match & ~(XT_OWNER_UID | XT_OWNER_GID))
                return false;
        if (x.match & XT_OWNER_UID && x.uid_min != x.uid_max)
                return false;
        if (x.match & XT_OWNER_GID && x.gid_min != x.gid_max)
                return false;
        if (x.match & XT_OWNER_UID) {
                world_add_meta(d, NFT_META_SKUID, sizeof(x.uid_min), b->name);
                world_add_cmp(d, WORLD_EQUAL, &x.uid_min, sizeof(x.uid_min), b->name);
        }
        if (x.match & XT_OWNER_GID) {
                world_add_meta(d, NFT_META_SKGID, sizeof(x.gid_min), b->name);
                world_add_cmp(d, WORLD_EQUAL, &x.gid_min, sizeof(x.gid_min), b->name);
        }
        return true;
}

/* xt_hl and xt_ttl have one layout. */
static bool match_hops(WorldDecoder *d, const WorldBlob *b) {
        static const WorldCompare ops[] = {WORLD_EQUAL, WORLD_NOT_EQUAL, WORLD_LESS, WORLD_GREATER};
        struct {
                uint8_t mode, hops;
        } x;

        if (!world_blob_read(b, &x) || x.mode >= ARRAY_SIZE(ops))
                return false;
        world_add_payload(d, WORLD_NETWORK, b->family == NFPROTO_IPV4 ? 8 : 7, 1, b->name);
        world_add_cmp(d, ops[x.mode], &x.hops, 1, b->name);
        return true;
}

/* The type of IPv6's routing header, which is what everybody asks for. */
static bool match_rt(WorldDecoder *d, const WorldBlob *b) {
        struct ip6t_rt x;
        WorldExpr *load;
        uint8_t type;

        if (!world_blob_read(b, &x) || x.flags != IP6T_RT_TYP || x.invflags & ~IP6T_RT_INV_TYP ||
            x.rt_type > UINT8_MAX)
                return false;
        type = (uint8_t)x.rt_type;
        load = world_add(d, WORLD_EXTHDR, b->name);
        load->unit = NFT_EXTHDR_OP_IPV6;
        load->key = IPPROTO_ROUTING;
        load->offset = 2;
        load->size = 1;
        load->target = WORLD_SCRATCH;
        world_add_cmp(d, x.invflags & IP6T_RT_INV_TYP ? WORLD_NOT_EQUAL : WORLD_EQUAL, &type, 1,
                      b->name);
        return true;
}

static bool match_pkttype(WorldDecoder *d, const WorldBlob *b) {
        struct xt_pkttype_info x;
        uint8_t type;

        if (!world_blob_read(b, &x) || x.pkttype < 0 || x.pkttype > UINT8_MAX)
                return false;
        type = (uint8_t)x.pkttype;
        world_add_meta(d, NFT_META_PKTTYPE, 1, b->name);
        world_add_cmp(d, x.invert ? WORLD_NOT_EQUAL : WORLD_EQUAL, &type, 1, b->name);
        return true;
}

/* Whether the interface, or any, leads back to the source: in the fib's words. A source that is no
 * address is left alone. */
static bool match_rpfilter(WorldDecoder *d, const WorldBlob *b) {
        static const uint8_t zero[16];
        struct xt_rpfilter_info x;
        bool v4 = b->family == NFPROTO_IPV4;
        WorldExpr *load;
        uint8_t leads = 0;

        if (!world_blob_read(b, &x) || !(x.flags & XT_RPFILTER_INVERT) ||
            x.flags & XT_RPFILTER_ACCEPT_LOCAL)
                return false; /* the other way round it would take an "or" */
        if (!v4) {
                world_add_payload(d, WORLD_NETWORK, 8, sizeof(zero), b->name);
                world_add_cmp(d, WORLD_NOT_EQUAL, zero, sizeof(zero), b->name);
        }
        load = world_add(d, WORLD_FIB, b->name);
        load->key = NFT_FIB_RESULT_OIF;
        load->offset = NFTA_FIB_F_SADDR | NFTA_FIB_F_PRESENT |
                       (x.flags & XT_RPFILTER_LOOSE ? 0 : NFTA_FIB_F_IIF) |
                       (x.flags & XT_RPFILTER_VALID_MARK ? NFTA_FIB_F_MARK : 0);
        load->present = true;
        load->unit = 1;
        load->size = sizeof(leads);
        load->target = WORLD_SCRATCH;
        world_add_cmp(d, WORLD_EQUAL, &leads, sizeof(leads), b->name);
        return true;
}

static bool match_comment(WorldDecoder *d, const WorldBlob *b) {
        (void)world_add(d, WORLD_NOTHING, b->name);
        return true;
}

/* What goes on or leaves the rule, and nothing else, has no function. */
static const struct {
        const char *name;
        bool (*translate)(WorldDecoder *d, const WorldBlob *b);
        bool changes; /* from packet to packet, or as time goes by */
} matches[] = {
        {"addrtype", match_addrtype},
        {"ah", NULL},
        {"cgroup", NULL},
        {"cluster", NULL},
        {"comment", match_comment},
        {"connbytes", NULL, true},
        {"connlabel", NULL},
        {"connlimit", NULL, true},
        {"connmark", match_connmark},
        {"conntrack", world_match_conntrack},
        {"cpu", NULL, true},
        {"dccp", NULL},
        {"devgroup", NULL},
        {"dscp", NULL},
        {"dst", NULL},
        {"ecn", NULL},
        {"esp", NULL},
        {"eui64", NULL},
        {"frag", NULL},
        {"hashlimit", NULL, true},
        {"hbh", NULL},
        {"helper", NULL},
        {"hl", match_hops},
        {"icmp", match_icmp},
        {"icmp6", match_icmp},
        {"iprange", match_iprange},
        {"ipv6header", NULL},
        {"ipvs", NULL},
        {"length", NULL},
        {"limit", NULL, true},
        {"mac", match_mac},
        {"mark", match_mark},
        {"mh", NULL},
        {"multiport", match_multiport},
        {"nfacct", NULL, true},
        {"osf", NULL},
        {"owner", match_owner},
        {"physdev", NULL},
        {"pkttype", match_pkttype},
        {"policy", NULL},
        {"quota", NULL, true},
        {"rateest", NULL, true},
        {"realm", NULL},
        {"recent", NULL, true},
        {"rpfilter", match_rpfilter},
        {"rt", match_rt},
        {"sctp", NULL},
        {"set", NULL, true},
        {"socket", NULL},
        {"srh", NULL},
        {"state", match_state},
        {"statistic", NULL, true},
        {"string", NULL},
        {"tcp", match_tcp},
        {"tcpmss", NULL},
        {"time", NULL, true},
        {"tos", NULL},
        {"ttl", match_hops},
        {"u32", NULL},
        {"udp", match_udp},
        {"udplite", match_udp},
};

void world_decode_match(WorldDecoder *d, uint8_t family, const Attributes *a) {
        const char *name = attribute_string(a, NFTA_MATCH_NAME);
        WorldBlob b = {.family = family, .name = world_name(d, "xt match ", name)};
        size_t before = d->n_exprs;

        b.data = attribute_bytes(a, NFTA_MATCH_INFO, &b.size);
        if (!b.data)
                b.size = 0;
        (void)attribute_u32(a, NFTA_MATCH_REV, &b.revision); /* absent: the first */
        for (size_t i = 0; name && i < ARRAY_SIZE(matches); i++) {
                if (!streq(matches[i].name, name))
                        continue;
                if (family != NFPROTO_IPV4 && family != NFPROTO_IPV6)
                        break;
                if (matches[i].translate && matches[i].translate(d, &b))
                        return;
                d->n_exprs = before; /* what was begun */
                if (matches[i].changes)
                        world_add_choice(d, b.name);
                else
                        world_add_doubt(d, b.name);
                return;
        }
        (void)world_add(d, WORLD_UNKNOWN, b.name);
}
