/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_conntrack.h>

#include "nft/world_decoder.h"

/* xt's match of connections (net/netfilter/xt_conntrack.c), which asks for many things at once. */

#define NFT_CT_UNTRACKED (1U << 6)
#define NFT_CT_INVALID 1U
#define STATE_BITS (NFT_CT_INVALID | 2U | 4U | 8U) /* the same in xt and in nf_tables */

/* The three revisions in one. */
typedef struct Conntrack {
        union nf_inet_addr addresses[4], masks[4]; /* orig src and dst, reply src and dst */
        uint16_t ports[4][2];
        uint16_t protocol, match, invert, state, status;
} Conntrack;

static bool read_conntrack(const WorldBlob *b, Conntrack *ret) {
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

/* Either a state or a translation: both in one value. A packet without a connection has a state. */
static void
add_either(WorldDecoder *d, const WorldBlob *b, uint32_t state, uint32_t status, bool inverted) {
        static const uint8_t zero[8];
        WorldExpr *x;

        world_add_ct(d, NFT_CT_STATE, -1, sizeof(state), b->name);
        world_add_mask(d, &state, NULL, sizeof(state), b->name);
        x = world_add(d, WORLD_CT, b->name);
        x->key = NFT_CT_STATUS;
        x->size = sizeof(status);
        x->target = WORLD_SCRATCH + 1;
        x->bypass = true;
        x = world_add(d, WORLD_BITWISE, b->name);
        x->source = x->target = WORLD_SCRATCH + 1;
        x->size = x->mask.size = x->data.size = sizeof(status);
        memcpy(x->mask.bytes, &status, sizeof(status));
        world_add_cmp(d, inverted ? WORLD_EQUAL : WORLD_NOT_EQUAL, zero, sizeof(zero), b->name);
}

static void add_conntrack_state(WorldDecoder *d, const WorldBlob *b, const Conntrack *x) {
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
                world_add_bits(d, mask, inverted, b->name);
                return;
        }
        add_either(d, b, mask, translated, inverted);
}

static void
add_conntrack_address(WorldDecoder *d, const WorldBlob *b, const Conntrack *x, size_t i) {
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

static void add_conntrack_port(WorldDecoder *d, const WorldBlob *b, const Conntrack *x, size_t i) {
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
bool world_match_conntrack(WorldDecoder *d, const WorldBlob *b) {
        Conntrack x;
        bool state;

        if (!read_conntrack(b, &x) || x.match & XT_CONNTRACK_EXPIRES)
                return false;
        state = x.match & XT_CONNTRACK_STATE;
        if (state && x.match & ~(XT_CONNTRACK_STATE | XT_CONNTRACK_STATE_ALIAS) &&
            (x.invert & XT_CONNTRACK_STATE ||
             x.state & (NFT_CT_INVALID | XT_CONNTRACK_STATE_UNTRACKED)))
                return false;
        if (state)
                add_conntrack_state(d, b, &x);
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
                world_add_bits(d, x.status, x.invert & XT_CONNTRACK_STATUS, b->name);
        }
        return true;
}
