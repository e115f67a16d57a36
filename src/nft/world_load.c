/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "nft/world_decoder.h"

/* The kernel's own expressions that load something into a register, or set it. */

bool world_load_payload(WorldDecoder *d, const WorldContext *c) {
        WorldExpr x = {0};
        uint32_t base, size;
        bool sets = c->a->list[NFTA_PAYLOAD_SREG];

        if (!attribute_u32(c->a, NFTA_PAYLOAD_BASE, &base) || base > NFT_PAYLOAD_INNER_HEADER ||
            !attribute_u32(c->a, NFTA_PAYLOAD_OFFSET, &x.offset) ||
            !attribute_u32(c->a, NFTA_PAYLOAD_LEN, &size) || size == 0 || size > WORLD_KEY_MAX ||
            !world_get_register(c->a, sets ? NFTA_PAYLOAD_SREG : NFTA_PAYLOAD_DREG, size,
                                &x.target))
                return false;
        if (sets) {
                WorldExpr *set = world_add(d, WORLD_SET_PAYLOAD, "payload set");

                set->source = x.target;
                set->base = (WorldBase)base;
                set->offset = x.offset;
                set->size = (uint8_t)size;
                return true;
        }
        {
                WorldExpr *load = world_add(d, WORLD_PAYLOAD, "payload");

                load->target = x.target;
                load->base = (WorldBase)base;
                load->offset = x.offset;
                load->size = (uint8_t)size;
        }
        return true;
}

/* Bytes that a key fills. */
static const uint8_t meta_sizes[] = {
        [NFT_META_LEN] = 4,          [NFT_META_PROTOCOL] = 2,    [NFT_META_PRIORITY] = 4,
        [NFT_META_MARK] = 4,         [NFT_META_IIF] = 4,         [NFT_META_OIF] = 4,
        [NFT_META_IIFNAME] = 16,     [NFT_META_OIFNAME] = 16,    [NFT_META_IIFTYPE] = 2,
        [NFT_META_OIFTYPE] = 2,      [NFT_META_SKUID] = 4,       [NFT_META_SKGID] = 4,
        [NFT_META_NFTRACE] = 1,      [NFT_META_RTCLASSID] = 4,   [NFT_META_SECMARK] = 4,
        [NFT_META_NFPROTO] = 1,      [NFT_META_L4PROTO] = 1,     [NFT_META_BRI_IIFNAME] = 16,
        [NFT_META_BRI_OIFNAME] = 16, [NFT_META_PKTTYPE] = 1,     [NFT_META_CPU] = 4,
        [NFT_META_IIFGROUP] = 4,     [NFT_META_OIFGROUP] = 4,    [NFT_META_CGROUP] = 4,
        [NFT_META_PRANDOM] = 4,      [NFT_META_SECPATH] = 1,     [NFT_META_IIFKIND] = 16,
        [NFT_META_OIFKIND] = 16,     [NFT_META_BRI_IIFPVID] = 2, [NFT_META_BRI_IIFVPROTO] = 2,
        [NFT_META_TIME_NS] = 8,      [NFT_META_TIME_DAY] = 1,    [NFT_META_TIME_HOUR] = 4,
        [NFT_META_SDIF] = 4,         [NFT_META_SDIFNAME] = 16,
};

bool world_load_meta(WorldDecoder *d, const WorldContext *c) {
        bool sets = c->a->list[NFTA_META_SREG];
        uint32_t key;
        int8_t reg;
        WorldExpr *x;

        if (!attribute_u32(c->a, NFTA_META_KEY, &key) || key >= ARRAY_SIZE(meta_sizes) ||
            meta_sizes[key] == 0 ||
            !world_get_register(c->a, sets ? NFTA_META_SREG : NFTA_META_DREG, meta_sizes[key],
                                &reg))
                return false;
        x = world_add(d, sets ? WORLD_SET_META : WORLD_META, sets ? "meta set" : "meta");
        x->key = key;
        x->size = meta_sizes[key];
        *(sets ? &x->source : &x->target) = reg;
        return true;
}

static const uint8_t ct_sizes[] = {
        [NFT_CT_STATE] = 4,     [NFT_CT_DIRECTION] = 1,  [NFT_CT_STATUS] = 4,
        [NFT_CT_MARK] = 4,      [NFT_CT_SECMARK] = 4,    [NFT_CT_EXPIRATION] = 4,
        [NFT_CT_HELPER] = 16,   [NFT_CT_L3PROTOCOL] = 1, [NFT_CT_SRC] = 16,
        [NFT_CT_DST] = 16,      [NFT_CT_PROTOCOL] = 1,   [NFT_CT_PROTO_SRC] = 2,
        [NFT_CT_PROTO_DST] = 2, [NFT_CT_LABELS] = 16,    [NFT_CT_PKTS] = 8,
        [NFT_CT_BYTES] = 8,     [NFT_CT_AVGPKT] = 8,     [NFT_CT_ZONE] = 2,
        [NFT_CT_EVENTMASK] = 4, [NFT_CT_SRC_IP] = 4,     [NFT_CT_DST_IP] = 4,
        [NFT_CT_SRC_IP6] = 16,  [NFT_CT_DST_IP6] = 16,   [NFT_CT_ID] = 4,
};

bool world_load_ct(WorldDecoder *d, const WorldContext *c) {
        bool sets = c->a->list[NFTA_CT_SREG];
        uint8_t direction, size;
        uint32_t key;
        int8_t reg;
        WorldExpr *x;

        if (!attribute_u32(c->a, NFTA_CT_KEY, &key) || key >= ARRAY_SIZE(ct_sizes) ||
            ct_sizes[key] == 0)
                return false;
        size = ct_sizes[key];
        if ((key == NFT_CT_SRC || key == NFT_CT_DST) && c->table->family == NFPROTO_IPV4)
                size = 4;
        if (!world_get_register(c->a, sets ? NFTA_CT_SREG : NFTA_CT_DREG, size, &reg))
                return false;
        x = world_add(d, sets ? WORLD_SET_CT : WORLD_CT, sets ? "ct set" : "ct");
        x->key = key;
        x->size = size;
        if (attribute_u8(c->a, NFTA_CT_DIRECTION, &direction))
                x->direction = (int8_t)(direction & 1);
        *(sets ? &x->source : &x->target) = reg;
        return true;
}

bool world_load_fib(WorldDecoder *d, const WorldContext *c) {
        static const uint8_t sizes[] = {
                [NFT_FIB_RESULT_OIF] = 4,
                [NFT_FIB_RESULT_OIFNAME] = 16,
                [NFT_FIB_RESULT_ADDRTYPE] = 4,
        };
        uint32_t result, flags;
        WorldExpr *x;
        uint8_t size;
        int8_t reg;

        if (!attribute_u32(c->a, NFTA_FIB_RESULT, &result) || result >= ARRAY_SIZE(sizes) ||
            sizes[result] == 0 || !attribute_u32(c->a, NFTA_FIB_FLAGS, &flags))
                return false;
        size = flags & NFTA_FIB_F_PRESENT ? 1 : sizes[result];
        if (!world_get_register(c->a, NFTA_FIB_DREG, size, &reg))
                return false;
        x = world_add(d, WORLD_FIB, "fib");
        x->key = result;
        x->offset = flags;
        x->size = size;
        x->present = flags & NFTA_FIB_F_PRESENT;
        x->target = reg;
        return true;
}

bool world_load_exthdr(WorldDecoder *d, const WorldContext *c) {
        uint32_t size = 0, offset = 0, op = NFT_EXTHDR_OP_IPV6, flags = 0;
        uint8_t type;
        WorldExpr *x;
        int8_t reg;

        if (!c->a->list[NFTA_EXTHDR_DREG]) {
                /* changes or takes out an option; leaves the rule where there is none such */
                world_add_choice(d, "tcp option set");
                return true;
        }
        /* absent: as nothing was asked for */
        (void)attribute_u32(c->a, NFTA_EXTHDR_OP, &op);
        (void)attribute_u32(c->a, NFTA_EXTHDR_FLAGS, &flags);
        if (!attribute_u8(c->a, NFTA_EXTHDR_TYPE, &type) ||
            !attribute_u32(c->a, NFTA_EXTHDR_OFFSET, &offset) ||
            !attribute_u32(c->a, NFTA_EXTHDR_LEN, &size) || op > UINT8_MAX)
                return false;
        if (flags & NFT_EXTHDR_F_PRESENT)
                size = 1;
        if (size == 0 || size > WORLD_KEY_MAX ||
            !world_get_register(c->a, NFTA_EXTHDR_DREG, size, &reg))
                return false;
        x = world_add(d, WORLD_EXTHDR, "exthdr");
        x->unit = (uint8_t)op;
        x->key = type;
        x->offset = offset;
        x->size = (uint8_t)size;
        x->present = flags & NFT_EXTHDR_F_PRESENT;
        x->target = reg;
        return true;
}

/* Loads something that is not known, into as many registers as there are behind that one. */
static bool
load_any(WorldDecoder *d, const Attributes *a, uint16_t type, const char *name, bool always) {
        WorldExpr *x;
        int8_t reg;

        if (!world_get_register(a, type, 4, &reg))
                return false;
        if (!always)
                world_add_doubt(d, name);
        x = world_add(d, WORLD_LOAD_ANY, name);
        x->target = reg;
        x->size = (uint8_t)MIN(16, (WORLD_SCRATCH - reg) * 4);
        return true;
}

bool world_load_numgen(WorldDecoder *d, const WorldContext *c) {
        WorldExpr *x;
        int8_t reg;

        if (!world_get_register(c->a, NFTA_NG_DREG, 4, &reg))
                return false;
        x = world_add(d, WORLD_LOAD_ANY, "numgen");
        x->target = reg;
        x->size = 4;
        return true;
}

bool world_load_hash(WorldDecoder *d, const WorldContext *c) {
        WorldExpr *x;
        int8_t reg;

        if (!world_get_register(c->a, NFTA_HASH_DREG, 4, &reg))
                return false;
        x = world_add(d, WORLD_LOAD_ANY, "hash");
        x->target = reg;
        x->size = 4;
        return true;
}

bool world_load_rt(WorldDecoder *d, const WorldContext *c) {
        return load_any(d, c->a, NFTA_RT_DREG, "rt", false);
}

bool world_load_socket(WorldDecoder *d, const WorldContext *c) {
        return load_any(d, c->a, NFTA_SOCKET_DREG, "socket", false);
}

bool world_load_osf(WorldDecoder *d, const WorldContext *c) {
        return load_any(d, c->a, NFTA_OSF_DREG, "osf", false);
}

bool world_load_xfrm(WorldDecoder *d, const WorldContext *c) {
        return load_any(d, c->a, NFTA_XFRM_DREG, "xfrm", false);
}

bool world_load_tunnel(WorldDecoder *d, const WorldContext *c) {
        return load_any(d, c->a, NFTA_TUNNEL_DREG, "tunnel", false);
}
