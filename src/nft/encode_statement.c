/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>

#include "nft/encoder.h"

/* Statements, translations and named limits. */

static void fill_limit(struct nftnl_expr *x, PacketLimit limit) {
        nftnl_expr_set_u64(x, NFTNL_EXPR_LIMIT_RATE, limit.number);
        nftnl_expr_set_u64(x, NFTNL_EXPR_LIMIT_UNIT, limit.seconds);
        nftnl_expr_set_u32(x, NFTNL_EXPR_LIMIT_BURST, limit.burst);
        nftnl_expr_set_u32(x, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
        nftnl_expr_set_u32(x, NFTNL_EXPR_LIMIT_FLAGS, 0);
}

static void fill_connections(struct nftnl_expr *x, uint32_t number) {
        nftnl_expr_set_u32(x, NFTNL_EXPR_CONNLIMIT_COUNT, number);
        nftnl_expr_set_u32(x, NFTNL_EXPR_CONNLIMIT_FLAGS, 0);
}

static void fill_counting(struct nftnl_expr *x, const Statement *s) {
        if (s->kind == STATEMENT_LIMIT)
                fill_limit(x, s->limit);
        else
                fill_connections(x, s->connections);
}

static const char *counting_name(const Statement *s) {
        return s->kind == STATEMENT_LIMIT ? "limit" : "connlimit";
}

/* One for each value of the field, in the elements that the kernel adds to the set. */
static void encode_keyed(Encoder *e, const Statement *s) {
        _cleanup_(wire_expr_freep) struct nftnl_expr *inner = nftnl_expr_alloc(counting_name(s));
        struct nftnl_expr *x;

        if (!inner) {
                nft_batch_fail(e->batch, -ENOMEM);
                return;
        }
        fill_counting(inner, s);
        encoder_load(e, s->field);
        x = encoder_expression(e, "dynset");
        if (!x)
                return;
        nftnl_expr_set_u32(x, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
        nftnl_expr_set_u32(x, NFTNL_EXPR_DYNSET_OP,
                           s->set->timeout > 0 ? NFT_DYNSET_OP_UPDATE : NFT_DYNSET_OP_ADD);
        nftnl_expr_set_str(x, NFTNL_EXPR_DYNSET_SET_NAME, s->set->name);
        if (s->set->timeout > 0)
                nftnl_expr_set_u64(x, NFTNL_EXPR_DYNSET_TIMEOUT, s->set->timeout * UINT64_C(1000));
        nftnl_expr_set(x, NFTNL_EXPR_DYNSET_EXPR, TAKE_PTR(inner), 0);
}

void encode_statement(Encoder *e, const Statement *s) {
        struct nftnl_expr *x;

        switch (s->kind) {
        case STATEMENT_LIMIT:
        case STATEMENT_CONNECTIONS:
                if (s->set) {
                        encode_keyed(e, s);
                        return;
                }
                x = encoder_expression(e, counting_name(s));
                if (x)
                        fill_counting(x, s);
                return;
        case STATEMENT_NAMED_LIMIT:
                x = encoder_expression(e, "objref");
                if (!x)
                        return;
                nftnl_expr_set_u32(x, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_LIMIT);
                nftnl_expr_set_str(x, NFTNL_EXPR_OBJREF_IMM_NAME, s->text);
                return;
        case STATEMENT_LOG:
                x = encoder_expression(e, "log");
                if (!x)
                        return;
                nftnl_expr_set_str(x, NFTNL_EXPR_LOG_PREFIX, s->text);
                nftnl_expr_set_u16(x, NFTNL_EXPR_LOG_GROUP, RULESET_LOG_GROUP);
                return;
        case STATEMENT_SAMPLE:
                x = encoder_expression(e, "log");
                if (!x)
                        return;
                if (s->text)
                        nftnl_expr_set_str(x, NFTNL_EXPR_LOG_PREFIX, s->text);
                nftnl_expr_set_u16(x, NFTNL_EXPR_LOG_GROUP, RULESET_SAMPLE_GROUP);
                return;
        case _STATEMENT_MAX:
        case _STATEMENT_INVALID:
                break;
        }
        nft_batch_fail(e->batch, -EINVAL);
}

static void put_data(Encoder *e, uint32_t reg, const void *data, size_t size) {
        struct nftnl_expr *x = encoder_expression(e, "immediate");

        if (!x)
                return;
        nftnl_expr_set_u32(x, NFTNL_EXPR_IMM_DREG, reg);
        nftnl_expr_set(x, NFTNL_EXPR_IMM_DATA, data, (uint32_t)size);
}

void encode_dnat(Encoder *e, const NatTarget *target) {
        bool v6 = target->family == FAMILY_IPV6;
        unsigned char address[WIRE_VALUE_MAX];
        uint16_t port = htons(target->port);
        struct nftnl_expr *x;

        wire_put(v6 ? TYPE_IPV6_ADDR : TYPE_IPV4_ADDR, false, target->address, address);
        put_data(e, NFT_REG_1, address, type_size(v6 ? TYPE_IPV6_ADDR : TYPE_IPV4_ADDR));
        if (target->port > 0)
                put_data(e, NFT_REG_2, &port, sizeof(port));
        x = encoder_expression(e, "nat");
        if (!x)
                return;
        nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT);
        nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_FAMILY, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
        nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_REG_ADDR_MIN, NFT_REG_1);
        nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_REG_ADDR_MAX, NFT_REG_1);
        if (target->port == 0) {
                nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_FLAGS, NF_NAT_RANGE_MAP_IPS);
                return;
        }
        nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_REG_PROTO_MIN, NFT_REG_2);
        nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_REG_PROTO_MAX, NFT_REG_2);
        nftnl_expr_set_u32(x, NFTNL_EXPR_NAT_FLAGS,
                           NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED);
}

void encode_limit(NftBatch *b, const NamedLimit *limit) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_NEWOBJ, NLM_F_CREATE | NLM_F_EXCL);
        struct nlattr *nest;

        mnl_attr_put_strz(h, NFTA_OBJ_TABLE, b->table);
        mnl_attr_put_strz(h, NFTA_OBJ_NAME, limit->name);
        mnl_attr_put_u32(h, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_LIMIT));
        nest = mnl_attr_nest_start(h, NFTA_OBJ_DATA);
        mnl_attr_put_u64(h, NFTA_LIMIT_RATE, htobe64(limit->limit.number));
        mnl_attr_put_u64(h, NFTA_LIMIT_UNIT, htobe64(limit->limit.seconds));
        mnl_attr_put_u32(h, NFTA_LIMIT_BURST, htonl(limit->limit.burst));
        mnl_attr_put_u32(h, NFTA_LIMIT_TYPE, htonl(NFT_LIMIT_PKTS));
        mnl_attr_put_u32(h, NFTA_LIMIT_FLAGS, 0);
        mnl_attr_nest_end(h, nest);
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_LIMIT, .name = limit->name});
}

void encode_delete_limit(NftBatch *b, const NamedLimit *limit) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_DELOBJ, 0);

        mnl_attr_put_strz(h, NFTA_OBJ_TABLE, b->table);
        mnl_attr_put_strz(h, NFTA_OBJ_NAME, limit->name);
        mnl_attr_put_u32(h, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_LIMIT));
        nft_batch_push(b,
                       &(NftSubject){.kind = SUBJECT_LIMIT, .removes = true, .name = limit->name});
}
