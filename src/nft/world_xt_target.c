/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_CONNMARK.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netfilter/xt_MARK.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <linux/netfilter/xt_TEE.h>

#include "nft/world_decoder.h"

/* Targets of xt, likewise. What each ends with (a verdict, or that the rule goes on) is part of it.
 */

#define PORT_REGISTER_LOW (WORLD_SCRATCH + 4)
#define PORT_REGISTER_HIGH (WORLD_SCRATCH + 5)
#define ADDRESS_REGISTER_HIGH_V4 (WORLD_SCRATCH + 1)

typedef struct Target {
        uint8_t family;
        uint32_t revision;
        const void *data;
        size_t size;
        const char *name; /* "xt target DNAT" */
} Target;

#define target_read(target, ret)                                                                   \
        ((target)->size >= sizeof(*(ret)) ? (memcpy((ret), (target)->data, sizeof(*(ret))), true)  \
                                          : false)

/* A range of addresses and ports, of whatever revision. Ports are in network order. */
static bool read_nat(const Target *t, bool compat, struct nf_nat_range2 *ret) {
        struct nf_nat_ipv4_multi_range_compat old;

        *ret = (struct nf_nat_range2){0};
        if (!compat) {
                /* the first revision is the second one's beginning */
                if (t->size < sizeof(struct nf_nat_range))
                        return false;
                memcpy(ret, t->data, MIN(t->size, sizeof(*ret)));
                return true;
        }
        if (!target_read(t, &old) || old.rangesize != 1)
                return false;
        ret->flags = old.range[0].flags;
        ret->min_addr.ip = old.range[0].min_ip;
        ret->max_addr.ip = old.range[0].max_ip;
        ret->min_proto = old.range[0].min;
        ret->max_proto = old.range[0].max;
        return true;
}

static void add_data(WorldDecoder *d, int reg, const void *bytes, size_t size, const char *name) {
        WorldExpr *x = world_add(d, WORLD_DATA, name);

        x->target = (int8_t)reg;
        x->size = (uint8_t)size;
        x->data.size = (uint8_t)size;
        memcpy(x->data.bytes, bytes, size);
}

static bool add_nat(WorldDecoder *d, const Target *t, WorldNatKind kind, bool compat) {
        WorldNat nat = {.kind = kind,
                        .family = t->family,
                        .address_low = -1,
                        .address_high = -1,
                        .port_low = -1,
                        .port_high = -1};
        size_t size = t->family == NFPROTO_IPV4 ? 4 : 16;
        struct nf_nat_range2 x;

        if (!read_nat(t, compat, &x) || x.flags & NF_NAT_RANGE_NETMAP)
                return false;
        nat.flags = x.flags;
        nat.has_base = x.flags & NF_NAT_RANGE_PROTO_OFFSET;
        nat.base = ntohs(x.base_proto.all);
        if (nat.has_base && (kind != WORLD_DNAT || t->size < sizeof(x) ||
                             ntohs(x.max_proto.all) < ntohs(x.min_proto.all)))
                return false;
        if (x.flags & NF_NAT_RANGE_MAP_IPS && kind != WORLD_MASQUERADE && kind != WORLD_REDIRECT) {
                bool same = memcmp(&x.min_addr, &x.max_addr, size) == 0;

                if (!same && size == 16)
                        return false; /* there is no room for both */
                nat.address_low = nat.address_high = WORLD_SCRATCH;
                add_data(d, WORLD_SCRATCH, &x.min_addr, size, t->name);
                if (!same) {
                        nat.address_high = ADDRESS_REGISTER_HIGH_V4;
                        add_data(d, ADDRESS_REGISTER_HIGH_V4, &x.max_addr, size, t->name);
                }
        }
        if (x.flags & NF_NAT_RANGE_PROTO_SPECIFIED) {
                nat.port_low = PORT_REGISTER_LOW;
                nat.port_high = PORT_REGISTER_HIGH;
                add_data(d, PORT_REGISTER_LOW, &x.min_proto, 2, t->name);
                add_data(d, PORT_REGISTER_HIGH, &x.max_proto, 2, t->name);
        }
        world_add(d, WORLD_NAT, t->name)->nat = nat;
        return true;
}

/* --- one target each; false: not translated --- */

static bool target_dnat(WorldDecoder *d, const Target *t) {
        return add_nat(d, t, WORLD_DNAT, t->revision == 0 && t->family == NFPROTO_IPV4);
}

static bool target_snat(WorldDecoder *d, const Target *t) {
        return add_nat(d, t, WORLD_SNAT, t->revision == 0 && t->family == NFPROTO_IPV4);
}

static bool target_redirect(WorldDecoder *d, const Target *t) {
        return add_nat(d, t, WORLD_REDIRECT, t->family == NFPROTO_IPV4);
}

static bool target_masquerade(WorldDecoder *d, const Target *t) {
        return add_nat(d, t, WORLD_MASQUERADE, t->family == NFPROTO_IPV4);
}

static void add_set_mark(WorldDecoder *d, const char *name) {
        WorldExpr *x = world_add(d, WORLD_SET_META, name);

        x->key = NFT_META_MARK;
        x->size = sizeof(uint32_t);
        x->source = WORLD_SCRATCH;
}

static bool target_mark(WorldDecoder *d, const Target *t) {
        struct xt_mark_tginfo2 x;
        uint32_t keep;

        if (t->revision != 2 || !target_read(t, &x))
                return false;
        keep = ~x.mask;
        world_add_meta(d, NFT_META_MARK, sizeof(keep), t->name);
        world_add_mask(d, &keep, &x.mark, sizeof(keep), t->name);
        add_set_mark(d, t->name);
        return true;
}

static void add_any(WorldDecoder *d, const char *name) {
        WorldExpr *x = world_add(d, WORLD_LOAD_ANY, name);

        x->target = WORLD_SCRATCH;
        x->size = sizeof(uint32_t);
}

/* The connection's mark becomes something, or the packet's does; parts of one that are mixed with
 * parts of the other are not followed. */
static bool target_connmark(WorldDecoder *d, const Target *t) {
        struct xt_connmark_tginfo2 x = {0};
        struct xt_connmark_tginfo1 old;
        bool whole;
        WorldExpr *set;
        uint32_t keep;

        if (t->revision == 1 && target_read(t, &old))
                x = (struct xt_connmark_tginfo2){.ctmark = old.ctmark,
                                                 .ctmask = old.ctmask,
                                                 .nfmask = old.nfmask,
                                                 .mode = old.mode};
        else if (t->revision != 2 || !target_read(t, &x))
                return false;
        whole = x.shift_bits == 0 && x.ctmask == UINT32_MAX && x.nfmask == UINT32_MAX;
        if (x.mode == XT_CONNMARK_RESTORE) {
                if (whole)
                        world_add_ct(d, NFT_CT_MARK, -1, sizeof(keep), t->name);
                else
                        add_any(d, t->name);
                add_set_mark(d, t->name);
                return true;
        }
        if (x.mode == XT_CONNMARK_SET && x.shift_bits == 0) {
                keep = ~x.ctmask;
                world_add_ct(d, NFT_CT_MARK, -1, sizeof(keep), t->name);
                world_add_mask(d, &keep, &x.ctmark, sizeof(keep), t->name);
        } else if (x.mode == XT_CONNMARK_SAVE && whole)
                world_add_meta(d, NFT_META_MARK, sizeof(keep), t->name);
        else
                add_any(d, t->name);
        set = world_add(d, WORLD_SET_CT, t->name);
        set->key = NFT_CT_MARK;
        set->size = sizeof(keep);
        set->source = WORLD_SCRATCH;
        return true;
}

/* Helpers, zones and timeouts change nothing for the first packet; notrack does. */
static bool target_ct(WorldDecoder *d, const Target *t) {
        struct xt_ct_target_info x;

        if (!target_read(t, &x))
                return false;
        if (x.flags & XT_CT_NOTRACK)
                (void)world_add(d, WORLD_NOTRACK, t->name);
        else
                (void)world_add(d, WORLD_NOTHING, x.helper[0] ? "xt target CT helper" : t->name);
        return true;
}

static bool target_notrack(WorldDecoder *d, const Target *t) {
        (void)world_add(d, WORLD_NOTRACK, t->name);
        return true;
}

static bool target_reject(WorldDecoder *d, const Target *t) {
        (void)world_add(d, WORLD_REJECT, t->name);
        return true;
}

static bool target_nfqueue(WorldDecoder *d, const Target *t) {
        struct xt_NFQ_info_v3 x = {0};
        WorldExpr *added;

        if (t->size < sizeof(struct xt_NFQ_info))
                return false;
        memcpy(&x, t->data, MIN(t->size, sizeof(x)));
        added = world_add(d, WORLD_IS, t->name);
        added->verdict.kind = WORLD_QUEUE;
        added->bypass = t->revision >= 2 && x.flags & NFQ_FLAG_BYPASS;
        return true;
}

/* A byte of the header becomes something. */
static bool target_hops(WorldDecoder *d, const Target *t) {
        WorldExpr *x = world_add(d, WORLD_LOAD_ANY, t->name);

        x->target = WORLD_SCRATCH;
        x->size = 1;
        x = world_add(d, WORLD_SET_PAYLOAD, t->name);
        x->base = WORLD_NETWORK;
        x->offset = t->family == NFPROTO_IPV4 ? 8 : 7;
        x->size = 1;
        x->source = WORLD_SCRATCH;
        return true;
}

static bool target_service(WorldDecoder *d, const Target *t) {
        WorldExpr *x;

        if (t->family != NFPROTO_IPV4)
                return false; /* half of two bytes */
        x = world_add(d, WORLD_LOAD_ANY, t->name);
        x->target = WORLD_SCRATCH;
        x->size = 1;
        x = world_add(d, WORLD_SET_PAYLOAD, t->name);
        x->base = WORLD_NETWORK;
        x->offset = 1;
        x->size = 1;
        x->source = WORLD_SCRATCH;
        return true;
}

/* The interface, where one is named, is not looked for by its name. */
static bool target_tee(WorldDecoder *d, const Target *t) {
        size_t size = t->family == NFPROTO_IPV4 ? 4 : 16;
        struct xt_tee_tginfo x;
        WorldExpr *copy;

        if (!target_read(t, &x))
                return false;
        add_data(d, WORLD_SCRATCH, &x.gw, size, t->name);
        if (x.oif[0]) {
                WorldExpr *any = world_add(d, WORLD_LOAD_ANY, t->name);

                any->target = PORT_REGISTER_LOW;
                any->size = sizeof(uint32_t);
        }
        copy = world_add(d, WORLD_COPY, t->name);
        copy->source = WORLD_SCRATCH;
        copy->target = x.oif[0] ? PORT_REGISTER_LOW : -1;
        return true;
}

static bool target_nothing(WorldDecoder *d, const Target *t) {
        (void)world_add(d, WORLD_NOTHING, t->name);
        return true;
}

static const struct {
        const char *name;
        bool (*translate)(WorldDecoder *d, const Target *t);
} targets[] = {
        {"AUDIT", target_nothing},
        {"CHECKSUM", target_nothing},
        {"CLASSIFY", target_nothing},
        {"CONNMARK", target_connmark},
        {"CONNSECMARK", target_nothing},
        {"CT", target_ct},
        {"DNAT", target_dnat},
        {"DSCP", target_service},
        {"HL", target_hops},
        {"IDLETIMER", target_nothing},
        {"LED", target_nothing},
        {"LOG", target_nothing},
        {"MARK", target_mark},
        {"MASQUERADE", target_masquerade},
        {"NFLOG", target_nothing},
        {"NFQUEUE", target_nfqueue},
        {"NOTRACK", target_notrack},
        {"RATEEST", target_nothing},
        {"REDIRECT", target_redirect},
        {"REJECT", target_reject},
        {"SECMARK", target_nothing},
        {"SET", target_nothing},
        {"SNAT", target_snat},
        {"TCPMSS", target_nothing},
        {"TEE", target_tee},
        {"TOS", target_service},
        {"TRACE", target_nothing},
        {"TTL", target_hops},
};

void world_decode_target(WorldDecoder *d, uint8_t family, const Attributes *a, bool is_last) {
        const char *name = attribute_string(a, NFTA_TARGET_NAME);
        Target t = {.family = family, .name = world_name(d, "xt target ", name)};
        size_t before = d->n_exprs;

        t.data = attribute_bytes(a, NFTA_TARGET_INFO, &t.size);
        if (!t.data)
                t.size = 0;
        (void)attribute_u32(a, NFTA_TARGET_REV, &t.revision); /* absent: the first */
        for (size_t i = 0; name && i < ARRAY_SIZE(targets); i++) {
                if (!streq(targets[i].name, name))
                        continue;
                /* a target stands at the end; before something else, a load of its translation
                 * could leave the rule where the target does not */
                if (!is_last || (family != NFPROTO_IPV4 && family != NFPROTO_IPV6) ||
                    !targets[i].translate(d, &t))
                        break;
                return;
        }
        d->n_exprs = before; /* what was begun */
        (void)world_add(d, WORLD_UNKNOWN, t.name);
}
