/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_addrtype.h>
#include <linux/netfilter/xt_connmark.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_iprange.h>
#include <linux/netfilter/xt_mac.h>
#include <linux/netfilter/xt_mark.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_owner.h>
#include <linux/netfilter/xt_pkttype.h>
#include <linux/netfilter/xt_state.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6t_rt.h>

#include "nft/world_decoder.h"

/* Matches of xt, as iptables-nft writes them, in the words of nf_tables. Their layouts are the
 * kernel's (include/uapi/linux/netfilter), their meaning net/netfilter/xt_*.c. */

#define NEVER_ANY 0xff /* ICMP's type for all of them */
#define NFT_CT_UNTRACKED (1U << 6)
#define NFT_CT_INVALID 1U
#define STATE_BITS (NFT_CT_INVALID | 2U | 4U | 8U) /* the same in xt and in nf_tables */

typedef struct Blob {
        uint8_t family;
        uint32_t revision;
        const void *data;
        size_t size;
        const char *name; /* "xt match tcp" */
} Blob;

/* Copies what is there in the layout of a type; they are not aligned. */
#define blob_read(blob, ret)                                                                       \
        ((blob)->size >= sizeof(*(ret)) ? (memcpy((ret), (blob)->data, sizeof(*(ret))), true)      \
                                        : false)

void world_add_payload(
        WorldDecoder *d, WorldBase base, uint32_t offset, size_t size, const char *name) {
        WorldExpr *x = world_add(d, WORLD_PAYLOAD, name);

        x->target = WORLD_SCRATCH;
        x->base = base;
        x->offset = offset;
        x->size = (uint8_t)size;
}

void world_add_meta(WorldDecoder *d, uint32_t key, size_t size, const char *name) {
        WorldExpr *x = world_add(d, WORLD_META, name);

        x->target = WORLD_SCRATCH;
        x->key = key;
        x->size = (uint8_t)size;
}

void world_add_ct(WorldDecoder *d, uint32_t key, int direction, size_t size, const char *name) {
        WorldExpr *x = world_add(d, WORLD_CT, name);

        x->target = WORLD_SCRATCH;
        x->key = key;
        x->direction = (int8_t)direction;
        x->size = (uint8_t)size;
}

static void fill(WorldData *ret, const void *bytes, size_t size) {
        ret->size = (uint8_t)size;
        memcpy(ret->bytes, bytes, size);
}

void world_add_mask(
        WorldDecoder *d, const void *mask, const void *flip, size_t size, const char *name) {
        static const uint8_t zero[WORLD_DATA_MAX];
        WorldExpr *x = world_add(d, WORLD_BITWISE, name);

        x->source = x->target = WORLD_SCRATCH;
        x->size = (uint8_t)size;
        fill(&x->mask, mask, size);
        fill(&x->data, flip ? flip : zero, size);
}

void world_add_cmp(
        WorldDecoder *d, WorldCompare op, const void *value, size_t size, const char *name) {
        WorldExpr *x = world_add(d, WORLD_CMP, name);

        x->source = WORLD_SCRATCH;
        x->op = op;
        x->size = (uint8_t)size;
        fill(&x->data, value, size);
}

void world_add_range(WorldDecoder *d,
                     const void *low,
                     const void *high,
                     size_t size,
                     bool inverted,
                     const char *name) {
        WorldExpr *x = world_add(d, WORLD_RANGE, name);

        x->source = WORLD_SCRATCH;
        x->inverted = inverted;
        x->size = (uint8_t)size;
        fill(&x->data, low, size);
        fill(&x->high, high, size);
}

void world_add_range16(
        WorldDecoder *d, uint16_t low, uint16_t high, bool inverted, const char *name) {
        uint16_t first = htons(low), last = htons(high);

        world_add_range(d, &first, &last, sizeof(first), inverted, name);
}

/* (register & mask) is zero, or is not. */
static void add_bits(WorldDecoder *d, uint32_t mask, bool none, const char *name) {
        static const uint32_t zero;

        world_add_mask(d, &mask, NULL, sizeof(mask), name);
        world_add_cmp(d, none ? WORLD_EQUAL : WORLD_NOT_EQUAL, &zero, sizeof(zero), name);
}

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

static bool match_tcp(WorldDecoder *d, const Blob *b) {
        struct xt_tcp x;
        uint8_t zero = 0;

        if (!blob_read(b, &x) || x.option != 0)
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

static bool match_udp(WorldDecoder *d, const Blob *b) {
        struct xt_udp x;

        if (!blob_read(b, &x))
                return false;
        add_ports(d, 0, x.spts, x.invflags & XT_UDP_INV_SRCPT, b->name);
        add_ports(d, 2, x.dpts, x.invflags & XT_UDP_INV_DSTPT, b->name);
        return true;
}

/* Type, lowest and highest code, whether to invert: the same for both families. */
static bool match_icmp(WorldDecoder *d, const Blob *b) {
        struct {
                uint8_t type, code[2], inverted;
        } x;

        if (!blob_read(b, &x))
                return false;
        if (b->family == NFPROTO_IPV4 && x.type == NEVER_ANY) {
                if (x.inverted & 1)
                        return false;
                return true;
        }
        world_add_payload(d, WORLD_TRANSPORT, 0, 2, b->name);
        world_add_range16(d, (uint16_t)(x.type << 8 | x.code[0]),
                          (uint16_t)(x.type << 8 | x.code[1]), x.inverted & 1, b->name);
        return true;
}

static bool match_multiport(WorldDecoder *d, const Blob *b) {
        struct xt_multiport_v1 x;
        WorldPorts *ports = arena_new0(d->world->arena, WorldPorts);
        WorldExpr *added;

        if (!ports) {
                d->error = -ENOMEM;
                return false;
        }
        if (b->revision != 1 || !blob_read(b, &x) || x.count > ARRAY_SIZE(ports->ranges) ||
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
add_types(WorldDecoder *d, const Blob *b, uint32_t flags, uint16_t mask, bool inverted) {
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

static bool match_addrtype(WorldDecoder *d, const Blob *b) {
        struct xt_addrtype_info_v1 x;
        uint32_t device = 0;

        if (b->revision != 1 || !blob_read(b, &x))
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

static bool match_state(WorldDecoder *d, const Blob *b) {
        struct xt_state_info x;

        if (!blob_read(b, &x))
                return false;
        world_add_ct(d, NFT_CT_STATE, -1, sizeof(uint32_t), b->name);
        add_bits(d, x.statemask, false, b->name);
        return true;
}

/* The three revisions in one. */
typedef struct Conntrack {
        union nf_inet_addr addresses[4], masks[4]; /* orig src and dst, reply src and dst */
        uint16_t ports[4][2];
        uint16_t protocol, match, invert, state, status;
} Conntrack;

static bool read_conntrack(const Blob *b, Conntrack *ret) {
        struct xt_conntrack_mtinfo1 one;
        struct xt_conntrack_mtinfo3 x;
        bool old = b->revision < 3;

        /* the first ports and the flags have their places in all three */
        if (b->revision == 0 || b->revision > 3 ||
            b->size < (b->revision == 1   ? sizeof(one)
                       : b->revision == 2 ? sizeof(struct xt_conntrack_mtinfo2)
                                          : sizeof(x)))
                return false;
        x = (struct xt_conntrack_mtinfo3){0};
        memcpy(&x, b->data, MIN(b->size, sizeof(x)));
        memcpy(&one, b->data, sizeof(one));
        *ret = (Conntrack){
                .addresses = {x.origsrc_addr, x.origdst_addr, x.replsrc_addr, x.repldst_addr},
                .masks = {x.origsrc_mask, x.origdst_mask, x.replsrc_mask, x.repldst_mask},
                .ports = {{x.origsrc_port, x.origsrc_port_high},
                          {x.origdst_port, x.origdst_port_high},
                          {x.replsrc_port, x.replsrc_port_high},
                          {x.repldst_port, x.repldst_port_high}},
                .protocol = x.l4proto,
                .match = x.match_flags,
                .invert = x.invert_flags,
                .state = b->revision == 1 ? one.state_mask : x.state_mask,
                .status = b->revision == 1 ? one.status_mask : x.status_mask,
        };
        for (size_t i = 0; i < 4 && old; i++) /* one port each, in network order */
                ret->ports[i][0] = ret->ports[i][1] = ntohs(ret->ports[i][0]);
        return true;
}

static bool add_conntrack_state(WorldDecoder *d, const Blob *b, const Conntrack *x) {
        bool inverted = x->invert & XT_CONNTRACK_STATE;
        uint32_t translated = 0, mask = x->state & STATE_BITS;

        if (x->state & XT_CONNTRACK_STATE_UNTRACKED)
                mask |= NFT_CT_UNTRACKED;
        if (x->state & XT_CONNTRACK_STATE_DNAT)
                translated |= 1U << 5; /* IPS_DST_NAT */
        if (x->state & XT_CONNTRACK_STATE_SNAT)
                translated |= 1U << 4;
        if (translated == 0) {
                world_add_ct(d, NFT_CT_STATE, -1, sizeof(mask), b->name);
                add_bits(d, mask, inverted, b->name);
                return true;
        }
        if (mask != 0 || inverted) /* it would take an "or" */
                return false;
        world_add_ct(d, NFT_CT_STATUS, -1, sizeof(mask), b->name);
        add_bits(d, translated, false, b->name);
        return true;
}

static void add_conntrack_address(WorldDecoder *d, const Blob *b, const Conntrack *x, size_t i) {
        static const uint16_t flags[] = {XT_CONNTRACK_ORIGSRC, XT_CONNTRACK_ORIGDST,
                                         XT_CONNTRACK_REPLSRC, XT_CONNTRACK_REPLDST};
        size_t size = b->family == NFPROTO_IPV4 ? 4 : 16;
        bool source = i % 2 == 0;
        uint32_t key = size == 4 ? (source ? NFT_CT_SRC_IP : NFT_CT_DST_IP)
                                 : (source ? NFT_CT_SRC_IP6 : NFT_CT_DST_IP6);

        if (!(x->match & flags[i]))
                return;
        world_add_ct(d, key, i >= 2, size, b->name);
        world_add_mask(d, &x->masks[i], NULL, size, b->name);
        world_add_cmp(d, x->invert & flags[i] ? WORLD_NOT_EQUAL : WORLD_EQUAL, &x->addresses[i],
                      size, b->name);
}

static void add_conntrack_port(WorldDecoder *d, const Blob *b, const Conntrack *x, size_t i) {
        static const uint16_t flags[] = {XT_CONNTRACK_ORIGSRC_PORT, XT_CONNTRACK_ORIGDST_PORT,
                                         XT_CONNTRACK_REPLSRC_PORT, XT_CONNTRACK_REPLDST_PORT};

        if (!(x->match & flags[i]))
                return;
        world_add_ct(d, i % 2 == 0 ? NFT_CT_PROTO_SRC : NFT_CT_PROTO_DST, i >= 2, 2, b->name);
        world_add_range16(d, x->ports[i][0], x->ports[i][1], x->invert & flags[i], b->name);
}

/* Without a connection the match is decided by the state alone, whatever else it asks for; native
 * expressions about a connection then fail. So where a state is asked for that goes without one, it
 * has to stand alone. */
static bool match_conntrack(WorldDecoder *d, const Blob *b) {
        Conntrack x;
        bool state;

        if (!read_conntrack(b, &x) || x.match & XT_CONNTRACK_EXPIRES)
                return false;
        state = x.match & XT_CONNTRACK_STATE;
        if (state && x.match & ~(XT_CONNTRACK_STATE | XT_CONNTRACK_STATE_ALIAS) &&
            (x.invert & XT_CONNTRACK_STATE ||
             x.state & (NFT_CT_INVALID | XT_CONNTRACK_STATE_UNTRACKED)))
                return false;
        if (state && !add_conntrack_state(d, b, &x))
                return false;
        if (x.match & XT_CONNTRACK_DIRECTION) {
                uint8_t direction = x.invert & XT_CONNTRACK_DIRECTION ? 1 : 0;

                world_add_ct(d, NFT_CT_DIRECTION, -1, 1, b->name);
                world_add_cmp(d, WORLD_EQUAL, &direction, 1, b->name);
        }
        for (size_t i = 0; i < 4; i++)
                add_conntrack_address(d, b, &x, i);
        if (x.match & XT_CONNTRACK_PROTO) {
                uint8_t protocol = (uint8_t)x.protocol;

                world_add_ct(d, NFT_CT_PROTOCOL, 0, 1, b->name);
                world_add_cmp(d, x.invert & XT_CONNTRACK_PROTO ? WORLD_NOT_EQUAL : WORLD_EQUAL,
                              &protocol, 1, b->name);
        }
        for (size_t i = 0; i < 4; i++)
                add_conntrack_port(d, b, &x, i);
        if (x.match & XT_CONNTRACK_STATUS) {
                world_add_ct(d, NFT_CT_STATUS, -1, sizeof(uint32_t), b->name);
                add_bits(d, x.status, x.invert & XT_CONNTRACK_STATUS, b->name);
        }
        return true;
}

static bool match_mark(WorldDecoder *d, const Blob *b) {
        struct xt_mark_mtinfo1 x;

        if (b->revision != 1 || !blob_read(b, &x))
                return false;
        world_add_meta(d, NFT_META_MARK, sizeof(x.mark), b->name);
        world_add_mask(d, &x.mask, NULL, sizeof(x.mask), b->name);
        world_add_cmp(d, x.invert ? WORLD_NOT_EQUAL : WORLD_EQUAL, &x.mark, sizeof(x.mark),
                      b->name);
        return true;
}

static bool match_connmark(WorldDecoder *d, const Blob *b) {
        struct xt_connmark_mtinfo1 x;

        if (b->revision != 1 || !blob_read(b, &x))
                return false;
        world_add_ct(d, NFT_CT_MARK, -1, sizeof(x.mark), b->name);
        world_add_mask(d, &x.mask, NULL, sizeof(x.mask), b->name);
        world_add_cmp(d, x.invert ? WORLD_NOT_EQUAL : WORLD_EQUAL, &x.mark, sizeof(x.mark),
                      b->name);
        return true;
}

static bool match_mac(WorldDecoder *d, const Blob *b) {
        static const uint16_t ethernet = 1; /* ARPHRD_ETHER */
        struct xt_mac_info x;

        if (!blob_read(b, &x))
                return false;
        world_add_meta(d, NFT_META_IIFTYPE, sizeof(ethernet), b->name);
        world_add_cmp(d, WORLD_EQUAL, &ethernet, sizeof(ethernet), b->name);
        world_add_payload(d, WORLD_LINK, 6, sizeof(x.srcaddr), b->name);
        world_add_cmp(d, x.invert ? WORLD_NOT_EQUAL : WORLD_EQUAL, x.srcaddr, sizeof(x.srcaddr),
                      b->name);
        return true;
}

static bool match_iprange(WorldDecoder *d, const Blob *b) {
        struct xt_iprange_mtinfo x;
        bool v4 = b->family == NFPROTO_IPV4;
        size_t size = v4 ? 4 : 16;

        if (b->revision != 1 || !blob_read(b, &x))
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
static bool match_owner(WorldDecoder *d, const Blob *b) {
        struct xt_owner_match_info x;

        if (b->revision != 1 || !blob_read(b, &x) || x.invert != 0 ||
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
static bool match_hops(WorldDecoder *d, const Blob *b) {
        static const WorldCompare ops[] = {WORLD_EQUAL, WORLD_NOT_EQUAL, WORLD_LESS, WORLD_GREATER};
        struct {
                uint8_t mode, hops;
        } x;

        if (!blob_read(b, &x) || x.mode >= ARRAY_SIZE(ops))
                return false;
        world_add_payload(d, WORLD_NETWORK, b->family == NFPROTO_IPV4 ? 8 : 7, 1, b->name);
        world_add_cmp(d, ops[x.mode], &x.hops, 1, b->name);
        return true;
}

/* The type of IPv6's routing header, which is what everybody asks for. */
static bool match_rt(WorldDecoder *d, const Blob *b) {
        struct ip6t_rt x;
        WorldExpr *load;
        uint8_t type;

        if (!blob_read(b, &x) || x.flags != IP6T_RT_TYP || x.invflags & ~IP6T_RT_INV_TYP ||
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

static bool match_pkttype(WorldDecoder *d, const Blob *b) {
        struct xt_pkttype_info x;
        uint8_t type;

        if (!blob_read(b, &x) || x.pkttype < 0 || x.pkttype > UINT8_MAX)
                return false;
        type = (uint8_t)x.pkttype;
        world_add_meta(d, NFT_META_PKTTYPE, 1, b->name);
        world_add_cmp(d, x.invert ? WORLD_NOT_EQUAL : WORLD_EQUAL, &type, 1, b->name);
        return true;
}

static bool match_comment(WorldDecoder *d, const Blob *b) {
        (void)world_add(d, WORLD_NOTHING, b->name);
        return true;
}

/* What goes on or leaves the rule, and nothing else, has no function. */
static const struct {
        const char *name;
        bool (*translate)(WorldDecoder *d, const Blob *b);
} matches[] = {
        {"addrtype", match_addrtype},
        {"ah", NULL},
        {"cgroup", NULL},
        {"cluster", NULL},
        {"comment", match_comment},
        {"connbytes", NULL},
        {"connlabel", NULL},
        {"connlimit", NULL},
        {"connmark", match_connmark},
        {"conntrack", match_conntrack},
        {"cpu", NULL},
        {"dccp", NULL},
        {"devgroup", NULL},
        {"dscp", NULL},
        {"dst", NULL},
        {"ecn", NULL},
        {"esp", NULL},
        {"eui64", NULL},
        {"frag", NULL},
        {"hashlimit", NULL},
        {"hbh", NULL},
        {"helper", NULL},
        {"hl", match_hops},
        {"icmp", match_icmp},
        {"icmp6", match_icmp},
        {"iprange", match_iprange},
        {"ipv6header", NULL},
        {"ipvs", NULL},
        {"length", NULL},
        {"limit", NULL},
        {"mac", match_mac},
        {"mark", match_mark},
        {"mh", NULL},
        {"multiport", match_multiport},
        {"nfacct", NULL},
        {"osf", NULL},
        {"owner", match_owner},
        {"physdev", NULL},
        {"pkttype", match_pkttype},
        {"policy", NULL},
        {"quota", NULL},
        {"rateest", NULL},
        {"realm", NULL},
        {"recent", NULL},
        {"rpfilter", NULL},
        {"rt", match_rt},
        {"sctp", NULL},
        {"set", NULL},
        {"socket", NULL},
        {"srh", NULL},
        {"state", match_state},
        {"statistic", NULL},
        {"string", NULL},
        {"tcp", match_tcp},
        {"tcpmss", NULL},
        {"time", NULL},
        {"tos", NULL},
        {"ttl", match_hops},
        {"u32", NULL},
        {"udp", match_udp},
        {"udplite", match_udp},
};

void world_decode_match(WorldDecoder *d, uint8_t family, const Attributes *a) {
        const char *name = attribute_string(a, NFTA_MATCH_NAME);
        Blob b = {.family = family, .name = world_name(d, "xt match ", name)};
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
                world_add_choice(d, b.name);
                return;
        }
        (void)world_add(d, WORLD_UNKNOWN, b.name);
}
