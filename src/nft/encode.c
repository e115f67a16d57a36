/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/encoder.h"

#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>

#define SET_TEMPLATE "__set%d" /* the kernel fills in a number */
#define MAP_TEMPLATE "__map%d"

static const uint32_t hook_numbers[_HOOK_MAX] = {
        [HOOK_PREROUTING] = NF_INET_PRE_ROUTING,   [HOOK_INPUT] = NF_INET_LOCAL_IN,
        [HOOK_FORWARD] = NF_INET_FORWARD,          [HOOK_OUTPUT] = NF_INET_LOCAL_OUT,
        [HOOK_POSTROUTING] = NF_INET_POST_ROUTING,
};

void encode_table(NftBatch *b, uint32_t flags) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);

        mnl_attr_put_strz(h, NFTA_TABLE_NAME, b->table);
        mnl_attr_put_u32(h, NFTA_TABLE_FLAGS, htonl(flags));
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_TABLE, .name = b->table});
}

void encode_delete_table(NftBatch *b) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_DELTABLE, 0);

        mnl_attr_put_strz(h, NFTA_TABLE_NAME, b->table);
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_TABLE, .removes = true, .name = b->table});
}

void encode_chain(NftBatch *b, const Chain *chain) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);

        mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, b->table);
        mnl_attr_put_strz(h, NFTA_CHAIN_NAME, chain->name);
        if (chain->hook != HOOK_NONE) {
                struct nlattr *nest = mnl_attr_nest_start(h, NFTA_CHAIN_HOOK);

                mnl_attr_put_u32(h, NFTA_HOOK_HOOKNUM, htonl(hook_numbers[chain->hook]));
                mnl_attr_put_u32(h, NFTA_HOOK_PRIORITY, htonl((uint32_t)chain->priority));
                mnl_attr_nest_end(h, nest);
                mnl_attr_put_u32(h, NFTA_CHAIN_POLICY,
                                 htonl(chain->policy_drop ? NF_DROP : NF_ACCEPT));
                mnl_attr_put_strz(h, NFTA_CHAIN_TYPE, chain->type == CHAIN_NAT ? "nat" : "filter");
        }
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_CHAIN,
                                        .name = chain->name,
                                        .origin = &chain->origin});
}

void encode_delete_chain(NftBatch *b, const Chain *chain) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_DELCHAIN, 0);

        mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, b->table);
        mnl_attr_put_strz(h, NFTA_CHAIN_NAME, chain->name);
        nft_batch_push(b,
                       &(NftSubject){.kind = SUBJECT_CHAIN, .removes = true, .name = chain->name});
}

void encode_flush_chain(NftBatch *b, const Chain *chain) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_DELRULE, 0);

        mnl_attr_put_strz(h, NFTA_RULE_TABLE, b->table);
        mnl_attr_put_strz(h, NFTA_RULE_CHAIN, chain->name);
        nft_batch_push(b,
                       &(NftSubject){.kind = SUBJECT_RULE, .removes = true, .name = chain->name});
}

void encode_delete_rule(NftBatch *b, const Chain *chain, const Rule *rule) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_DELRULE, 0);

        mnl_attr_put_strz(h, NFTA_RULE_TABLE, b->table);
        mnl_attr_put_strz(h, NFTA_RULE_CHAIN, chain->name);
        mnl_attr_put_u64(h, NFTA_RULE_HANDLE, htobe64(rule->handle));
        nft_batch_push(b,
                       &(NftSubject){.kind = SUBJECT_RULE, .removes = true, .name = chain->name});
}

void encode_flush_table(NftBatch *b) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_DELRULE, 0);

        mnl_attr_put_strz(h, NFTA_RULE_TABLE, b->table);
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_RULE, .removes = true, .name = b->table});
}

struct nftnl_expr *encoder_expression(Encoder *e, const char *name) {
        struct nftnl_expr *x = nftnl_expr_alloc(name);

        if (!x) {
                nft_batch_fail(e->batch, -ENOMEM);
                return NULL;
        }
        if (++e->n_expressions > ENCODE_EXPRESSIONS_MAX)
                nft_batch_fail(e->batch, -E2BIG);
        nftnl_rule_add_expr(e->rule, x);
        return x;
}

static void load_payload(Encoder *e, uint32_t base, const Field *f, size_t size, uint32_t reg) {
        struct nftnl_expr *x = encoder_expression(e, "payload");

        if (!x)
                return;
        nftnl_expr_set_u32(x, NFTNL_EXPR_PAYLOAD_DREG, reg);
        nftnl_expr_set_u32(x, NFTNL_EXPR_PAYLOAD_BASE, base);
        nftnl_expr_set_u32(x, NFTNL_EXPR_PAYLOAD_OFFSET, f->offset);
        nftnl_expr_set_u32(x, NFTNL_EXPR_PAYLOAD_LEN, (uint32_t)size);
}

static void load_meta(Encoder *e, const Field *f, uint32_t reg) {
        struct nftnl_expr *x = encoder_expression(e, "meta");

        if (!x)
                return;
        nftnl_expr_set_u32(x, NFTNL_EXPR_META_DREG, reg);
        nftnl_expr_set_u32(x, NFTNL_EXPR_META_KEY, f->key);
}

static void load_ct(Encoder *e, const Field *f, uint32_t reg) {
        struct nftnl_expr *x = encoder_expression(e, "ct");

        if (!x)
                return;
        nftnl_expr_set_u32(x, NFTNL_EXPR_CT_DREG, reg);
        nftnl_expr_set_u32(x, NFTNL_EXPR_CT_KEY, f->key);
        if (f->base == BASE_CT_ORIGINAL)
                nftnl_expr_set_u8(x, NFTNL_EXPR_CT_DIR, IP_CT_DIR_ORIGINAL);
}

static void load_fib(Encoder *e, const Field *f, uint32_t reg) {
        struct nftnl_expr *x = encoder_expression(e, "fib");

        if (!x)
                return;
        nftnl_expr_set_u32(x, NFTNL_EXPR_FIB_DREG, reg);
        nftnl_expr_set_u32(x, NFTNL_EXPR_FIB_RESULT, f->key);
        nftnl_expr_set_u32(x, NFTNL_EXPR_FIB_FLAGS, f->offset);
}

static void swap_bytes(Encoder *e, size_t size, uint32_t reg) {
        struct nftnl_expr *x = encoder_expression(e, "byteorder");

        if (!x)
                return;
        nftnl_expr_set_u32(x, NFTNL_EXPR_BYTEORDER_DREG, reg);
        nftnl_expr_set_u32(x, NFTNL_EXPR_BYTEORDER_SREG, reg);
        nftnl_expr_set_u32(x, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
        nftnl_expr_set_u32(x, NFTNL_EXPR_BYTEORDER_LEN, (uint32_t)size);
        nftnl_expr_set_u32(x, NFTNL_EXPR_BYTEORDER_SIZE, (uint32_t)size);
}

static void mask(Encoder *e, const void *value, size_t size, uint32_t reg) {
        static const unsigned char zero[WIRE_VALUE_MAX];
        struct nftnl_expr *x = encoder_expression(e, "bitwise");

        if (!x)
                return;
        nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_SREG, reg);
        nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_DREG, reg);
        nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
        nftnl_expr_set_u32(x, NFTNL_EXPR_BITWISE_LEN, (uint32_t)size);
        nftnl_expr_set(x, NFTNL_EXPR_BITWISE_MASK, value, (uint32_t)size);
        nftnl_expr_set(x, NFTNL_EXPR_BITWISE_XOR, zero, (uint32_t)size);
}

/* Leaves the first `length` bits. */
static void mask_prefix(Encoder *e, unsigned int length, size_t size, uint32_t reg) {
        unsigned char bits[WIRE_VALUE_MAX] = {0};

        memset(bits, 0xff, length / 8);
        if (length % 8 > 0)
                bits[length / 8] = (unsigned char)(0xff << (8 - length % 8));
        mask(e, bits, size, reg);
}

/* Loads the field, of a packet's header only its first `size` bytes. interval: it is to be compared
 * with ranges. */
static void load(Encoder *e, FieldId field, bool interval, size_t size, unsigned int slot) {
        const Field *f = &fields[field];
        uint32_t reg = wire_register(slot);

        switch (f->base) {
        case BASE_META:
                load_meta(e, f, reg);
                break;
        case BASE_LINK:
                load_payload(e, NFT_PAYLOAD_LL_HEADER, f, size, reg);
                break;
        case BASE_NETWORK:
                load_payload(e, NFT_PAYLOAD_NETWORK_HEADER, f, size, reg);
                break;
        case BASE_TRANSPORT:
                load_payload(e, NFT_PAYLOAD_TRANSPORT_HEADER, f, size, reg);
                break;
        case BASE_CT:
        case BASE_CT_ORIGINAL:
                load_ct(e, f, reg);
                break;
        case BASE_FIB:
                load_fib(e, f, reg);
                break;
        }
        if (wire_is_swapped(f->type, interval))
                swap_bytes(e, field_size(field), reg);
        if (f->prefix > 0)
                mask_prefix(e, f->prefix, size, reg);
}

void encoder_load(Encoder *e, FieldId field) {
        load(e, field, false, field_size(field), 0);
}

static void load_all(Encoder *e, const FieldId *list, size_t n, bool interval) {
        unsigned int slot = 0;

        for (size_t i = 0; i < n; i++) {
                load(e, list[i], interval, field_size(list[i]), slot);
                slot += (unsigned int)wire_padded(fields[list[i]].type) / 4;
        }
}

static void compare(Encoder *e, uint32_t op, const void *value, size_t size) {
        struct nftnl_expr *x = encoder_expression(e, "cmp");

        if (!x)
                return;
        nftnl_expr_set_u32(x, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
        nftnl_expr_set_u32(x, NFTNL_EXPR_CMP_OP, op);
        nftnl_expr_set(x, NFTNL_EXPR_CMP_DATA, value, (uint32_t)size);
}

static void encode_range(Encoder *e, FieldId field, Range r, bool negated) {
        TypeId type = fields[field].type;
        unsigned char low[WIRE_VALUE_MAX], high[WIRE_VALUE_MAX];
        size_t size = type_size(type);
        struct nftnl_expr *x;

        wire_put(type, true, r.low, low);
        wire_put(type, true, r.high, high);
        load(e, field, true, size, 0);
        if (!negated) {
                if (type != TYPE_TIME || !u128_is_zero(r.low))
                        compare(e, NFT_CMP_GTE, low, size);
                compare(e, NFT_CMP_LTE, high, size);
                return;
        }
        x = encoder_expression(e, "range");
        if (!x)
                return;
        nftnl_expr_set_u32(x, NFTNL_EXPR_RANGE_SREG, NFT_REG_1);
        nftnl_expr_set_u32(x, NFTNL_EXPR_RANGE_OP, NFT_RANGE_NEQ);
        nftnl_expr_set(x, NFTNL_EXPR_RANGE_FROM_DATA, low, (uint32_t)size);
        nftnl_expr_set(x, NFTNL_EXPR_RANGE_TO_DATA, high, (uint32_t)size);
}

/* A prefix of whole bytes is that many bytes; any other needs a mask. */
static void encode_prefix(Encoder *e, FieldId field, U128 value, unsigned int length, uint32_t op) {
        unsigned char bytes[WIRE_VALUE_MAX];
        TypeId type = fields[field].type;
        size_t size = type_size(type), whole = length / 8;

        wire_put(type, false, value, bytes);
        if (length % 8 == 0 && length > 0) {
                load(e, field, false, whole, 0);
                compare(e, op, bytes, whole);
                return;
        }
        load(e, field, false, size, 0);
        mask_prefix(e, length, size, NFT_REG_1);
        compare(e, op, bytes, size);
}

/* One value, prefix or range, compared without a set. */
static void encode_comparison(Encoder *e, FieldId field, Range r, bool negated) {
        uint32_t op = negated ? NFT_CMP_NEQ : NFT_CMP_EQ;
        TypeId type = fields[field].type;
        unsigned char value[WIRE_VALUE_MAX];
        unsigned int length;

        if (range_is_single(r)) {
                wire_put(type, false, r.low, value);
                load(e, field, false, type_size(type), 0);
                compare(e, op, value, type_size(type));
        } else if ((wire_has_prefixes(type) || type == TYPE_IFNAME) &&
                   range_is_prefix(r, types[type].bits, &length) &&
                   (wire_has_prefixes(type) || (length % 8 == 0 && length > 0)))
                encode_prefix(e, field, r.low, length, op);
        else
                encode_range(e, field, r, negated);
}

/* The name and number that the rule's lookup has to use; makes the set first if it has no name. */
static const char *set_name(NftBatch *b, const Set *set, uint32_t *ret_id) {
        const char *name = set->is_map ? MAP_TEMPLATE : SET_TEMPLATE;

        *ret_id = 0;
        if (set->name)
                return set->name;
        *ret_id = b->next_set_id++;
        encode_set(b, set, name, *ret_id);
        encode_elements(b, set, name, *ret_id);
        return name;
}

static bool is_comparison(const Set *set) {
        return !set->name && !set->is_map && set->n_types == 1 && set->n_elements == 1;
}

static void encode_lookup(Encoder *e, const Set *set, const FieldId *list, size_t n, bool negated) {
        struct nftnl_expr *x;
        const char *name;
        uint32_t id;

        if (!set || set->n_types != n) {
                nft_batch_fail(e->batch, -EINVAL);
                return;
        }
        name = set_name(e->batch, set, &id);
        load_all(e, list, n, encode_is_interval(set));
        x = encoder_expression(e, "lookup");
        if (!x)
                return;
        nftnl_expr_set_u32(x, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
        nftnl_expr_set_str(x, NFTNL_EXPR_LOOKUP_SET, name);
        if (id != 0)
                nftnl_expr_set_u32(x, NFTNL_EXPR_LOOKUP_SET_ID, id);
        if (set->is_map)
                nftnl_expr_set_u32(x, NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
        if (negated)
                nftnl_expr_set_u32(x, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
}

static void encode_bits(Encoder *e, FieldId field, U128 bits, bool none) {
        static const unsigned char zero[WIRE_VALUE_MAX];
        TypeId type = fields[field].type;
        unsigned char value[WIRE_VALUE_MAX];
        size_t size = type_size(type);

        if (!types[type].flags)
                nft_batch_fail(e->batch, -EINVAL);
        wire_put(type, false, bits, value);
        load(e, field, false, size, 0);
        mask(e, value, size, NFT_REG_1);
        compare(e, none ? NFT_CMP_EQ : NFT_CMP_NEQ, zero, size);
}

static void encode_match(Encoder *e, const Match *m) {
        switch (m->op) {
        case MATCH_IN:
        case MATCH_NOT_IN:
                if (m->set && m->n_fields == 1 && is_comparison(m->set))
                        encode_comparison(e, m->fields[0], m->set->elements[0].key[0],
                                          m->op == MATCH_NOT_IN);
                else
                        encode_lookup(e, m->set, m->fields, m->n_fields, m->op == MATCH_NOT_IN);
                return;
        case MATCH_BITS:
        case MATCH_NO_BITS:
                encode_bits(e, m->fields[0], m->mask, m->op == MATCH_NO_BITS);
                return;
        case MATCH_UNKNOWN:
                break;
        }
        nft_batch_fail(e->batch, -EINVAL);
}

static void put_reject(Encoder *e, uint32_t type, uint8_t code) {
        struct nftnl_expr *x = encoder_expression(e, "reject");

        if (!x)
                return;
        nftnl_expr_set_u32(x, NFTNL_EXPR_REJECT_TYPE, type);
        nftnl_expr_set_u8(x, NFTNL_EXPR_REJECT_CODE, code);
}

static void put_immediate(Encoder *e, int code, const Chain *chain) {
        struct nftnl_expr *x = encoder_expression(e, "immediate");

        if (!x)
                return;
        nftnl_expr_set_u32(x, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
        nftnl_expr_set_u32(x, NFTNL_EXPR_IMM_VERDICT, (uint32_t)code);
        if (chain)
                nftnl_expr_set_str(x, NFTNL_EXPR_IMM_CHAIN, chain->name);
}

static void encode_verdict(Encoder *e, const Rule *rule) {
        switch (rule->verdict.kind) {
        case VERDICT_CONTINUE:
                return;
        case VERDICT_ACCEPT:
                put_immediate(e, NF_ACCEPT, NULL);
                return;
        case VERDICT_DROP:
                put_immediate(e, NF_DROP, NULL);
                return;
        case VERDICT_REJECT:
                put_reject(e, NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
                return;
        case VERDICT_REJECT_RESET:
                put_reject(e, NFT_REJECT_TCP_RST, 0);
                return;
        case VERDICT_JUMP:
                put_immediate(e, NFT_JUMP, rule->verdict.chain);
                return;
        case VERDICT_GOTO:
                put_immediate(e, NFT_GOTO, rule->verdict.chain);
                return;
        case VERDICT_RETURN:
                put_immediate(e, NFT_RETURN, NULL);
                return;
        case VERDICT_MASQUERADE:
                (void)encoder_expression(e, "masq"); /* a failure stays in the batch */
                return;
        case VERDICT_DNAT:
                encode_dnat(e, rule->target);
                return;
        case VERDICT_MAP:
                encode_lookup(e, rule->map, rule->map_fields, rule->n_map_fields, false);
                return;
        case _VERDICT_MAX:
        case _VERDICT_INVALID:
                break;
        }
        nft_batch_fail(e->batch, -EINVAL);
}

void encode_rule(NftBatch *b, const Chain *chain, const Rule *rule) {
        _cleanup_(wire_rule_freep) struct nftnl_rule *x = nftnl_rule_alloc();
        Encoder e = {.batch = b, .rule = x};
        struct nlmsghdr *h;

        if (!x) {
                nft_batch_fail(b, -ENOMEM);
                return;
        }
        nftnl_rule_set_u32(x, NFTNL_RULE_FAMILY, NFPROTO_INET);
        nftnl_rule_set_str(x, NFTNL_RULE_TABLE, b->table);
        nftnl_rule_set_str(x, NFTNL_RULE_CHAIN, chain->name);
        if (comment_size(rule->origin.text) > 0) {
                unsigned char data[WIRE_COMMENT_MAX];
                size_t size = wire_put_comment(rule->origin.text, data);

                nftnl_rule_set_data(x, NFTNL_RULE_USERDATA, data, (uint32_t)size);
        }
        for (size_t i = 0; i < rule->n_matches; i++)
                encode_match(&e, &rule->matches[i]);
        for (size_t i = 0; i < rule->n_statements; i++)
                encode_statement(&e, &rule->statements[i]);
        if (rule->counted)
                (void)encoder_expression(&e, "counter"); /* a failure stays in the batch */
        encode_verdict(&e, rule);
        if (b->error < 0)
                return;
        h = nft_batch_start(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
        nftnl_rule_nlmsg_build_payload(h, x);
        nft_batch_push(
                b,
                &(NftSubject){.kind = SUBJECT_RULE, .name = chain->name, .origin = &rule->origin});
}
