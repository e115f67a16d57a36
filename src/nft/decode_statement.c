/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>

#include "nft/rule_decoder.h"

/* Statements, translations and named limits: the inverse of encode_statement.c. */

static bool read_limit(const Attributes *a, PacketLimit *ret) {
        uint64_t rate = 0, unit = 0;
        uint32_t burst = 0, type = UINT32_MAX, flags = 0;

        (void)attribute_u64(a, NFTA_LIMIT_RATE, &rate);
        (void)attribute_u64(a, NFTA_LIMIT_UNIT, &unit);
        (void)attribute_u32(a, NFTA_LIMIT_BURST, &burst);
        (void)attribute_u32(a, NFTA_LIMIT_TYPE, &type);
        (void)attribute_u32(a, NFTA_LIMIT_FLAGS, &flags);
        *ret = (PacketLimit){(uint32_t)rate, (uint32_t)unit, burst};
        return type == NFT_LIMIT_PKTS && flags == 0 && rate > 0 && rate <= UINT32_MAX && unit > 0 &&
               unit <= UINT32_MAX;
}

static bool read_connections(const Attributes *a, uint32_t *ret) {
        uint32_t flags = 0;

        (void)attribute_u32(a, NFTA_CONNLIMIT_FLAGS, &flags);
        return attribute_u32(a, NFTA_CONNLIMIT_COUNT, ret) && flags == 0;
}

static void add_statement(RuleDecoder *d, const Statement *s) {
        if (!arena_append(d->decoder->rs->arena, d->rule.statements, d->rule.n_statements, *s))
                d->out_of_memory = true;
        d->stated_behind = d->rule.n_matches;
}

void decode_limit(RuleDecoder *d, const Attributes *a) {
        Statement s = {.kind = STATEMENT_LIMIT};

        if (read_limit(a, &s.limit))
                add_statement(d, &s);
        else
                rule_decoder_add_unknown(d, "limit", NULL);
}

void decode_connlimit(RuleDecoder *d, const Attributes *a) {
        Statement s = {.kind = STATEMENT_CONNECTIONS};

        if (read_connections(a, &s.connections))
                add_statement(d, &s);
        else
                rule_decoder_add_unknown(d, "connlimit", NULL);
}

void decode_objref(RuleDecoder *d, const Attributes *a) {
        const char *name = attribute_string(a, NFTA_OBJREF_IMM_NAME);
        Statement s = {.kind = STATEMENT_NAMED_LIMIT};
        uint32_t type = 0;

        (void)attribute_u32(a, NFTA_OBJREF_IMM_TYPE, &type);
        if (!name || type != NFT_OBJECT_LIMIT) {
                rule_decoder_add_unknown(d, "objref", NULL);
                return;
        }
        s.text = arena_strdup(d->decoder->rs->arena, name);
        if (!s.text)
                d->out_of_memory = true;
        add_statement(d, &s);
}

void decode_log(RuleDecoder *d, const Attributes *a) {
        const char *prefix = attribute_string(a, NFTA_LOG_PREFIX);
        Statement s = {.kind = STATEMENT_LOG};
        uint16_t group = 0, threshold = 0;
        uint32_t size = 0;

        (void)attribute_u16(a, NFTA_LOG_GROUP, &group);
        (void)attribute_u16(a, NFTA_LOG_QTHRESHOLD, &threshold);
        (void)attribute_u32(a, NFTA_LOG_SNAPLEN, &size);
        if (group == RULESET_SAMPLE_GROUP)
                s.kind = STATEMENT_SAMPLE;
        if ((!prefix && s.kind == STATEMENT_LOG) ||
            (group != RULESET_LOG_GROUP && group != RULESET_SAMPLE_GROUP) || threshold != 0 ||
            size != 0) {
                rule_decoder_add_unknown(d, "log", NULL);
                return;
        }
        s.text = prefix ? arena_strdup(d->decoder->rs->arena, prefix) : NULL;
        if (prefix && !s.text)
                d->out_of_memory = true;
        add_statement(d, &s);
}

/* The limit within a dynset; false if it is none that ringwall makes. */
static bool read_inner(const Attributes *a, Statement *s) {
        Attributes inner, data;
        const char *name;

        attributes_inside(a, NFTA_DYNSET_EXPR, &inner);
        name = attribute_string(&inner, NFTA_EXPR_NAME);
        attributes_inside(&inner, NFTA_EXPR_DATA, &data);
        if (name && streq(name, "limit")) {
                s->kind = STATEMENT_LIMIT;
                return read_limit(&data, &s->limit);
        }
        s->kind = STATEMENT_CONNECTIONS;
        return name && streq(name, "connlimit") && read_connections(&data, &s->connections);
}

static bool read_dynset(RuleDecoder *d, const Attributes *a, Statement *s) {
        const char *name = attribute_string(a, NFTA_DYNSET_SET_NAME);
        const KnownSet *known = name ? decoder_find_named_set(d->decoder, name) : NULL;
        uint32_t op = UINT32_MAX, reg = 0, flags = 0;
        uint64_t timeout = 0;
        Load *load;

        (void)attribute_u32(a, NFTA_DYNSET_OP, &op);
        (void)attribute_u32(a, NFTA_DYNSET_SREG_KEY, &reg);
        (void)attribute_u32(a, NFTA_DYNSET_FLAGS, &flags);
        (void)attribute_u64(a, NFTA_DYNSET_TIMEOUT, &timeout);
        load = rule_decoder_find_load(d, reg);
        if (!load || !known || !known_set_is_ours(known) || !known->set->dynamic ||
            known->set->n_types != 1 || (flags & ~(uint32_t)NFT_DYNSET_F_EXPR) != 0 ||
            a->list[NFTA_DYNSET_SREG_DATA] || timeout != known->set->timeout * UINT64_C(1000) ||
            op != (uint32_t)(timeout > 0 ? NFT_DYNSET_OP_UPDATE : NFT_DYNSET_OP_ADD))
                return false;
        s->field = rule_decoder_field(d, load, known->set->types[0]);
        if (s->field == _FIELD_INVALID || !load_is_whole(load, s->field) ||
            load->masked != (fields[s->field].prefix > 0))
                return false;
        load->used = true;
        s->set = known->set;
        return read_inner(a, s);
}

void decode_dynset(RuleDecoder *d, const Attributes *a) {
        Statement s = {0};

        if (read_dynset(d, a, &s))
                add_statement(d, &s);
        else
                rule_decoder_add_unknown(d, "dynset", NULL);
}

void decode_masq(RuleDecoder *d, const Attributes *a) {
        uint32_t flags = 0;

        (void)attribute_u32(a, NFTA_MASQ_FLAGS, &flags);
        if (flags != 0 || a->list[NFTA_MASQ_REG_PROTO_MIN]) {
                rule_decoder_add_unknown(d, "masq", NULL);
                return;
        }
        d->rule.verdict = verdict_of(VERDICT_MASQUERADE);
        d->decided = true;
}

/* Data that an `immediate` put into the register; NULL if it is not of that size. */
static const unsigned char *take_data(RuleDecoder *d, uint32_t reg, size_t size) {
        Load *load = rule_decoder_find_load(d, reg);

        if (!load || !load->is_data || load->size != size)
                return NULL;
        load->used = true;
        return load->mask;
}

static bool read_nat(RuleDecoder *d, const Attributes *a, NatTarget *ret) {
        uint32_t type = UINT32_MAX, family = 0, low = 0, high = 0, flags = 0;
        uint32_t port_low = 0, port_high = 0;
        const unsigned char *address, *port;
        TypeId value;

        (void)attribute_u32(a, NFTA_NAT_TYPE, &type);
        (void)attribute_u32(a, NFTA_NAT_FAMILY, &family);
        (void)attribute_u32(a, NFTA_NAT_REG_ADDR_MIN, &low);
        (void)attribute_u32(a, NFTA_NAT_REG_ADDR_MAX, &high);
        (void)attribute_u32(a, NFTA_NAT_REG_PROTO_MIN, &port_low);
        (void)attribute_u32(a, NFTA_NAT_REG_PROTO_MAX, &port_high);
        (void)attribute_u32(a, NFTA_NAT_FLAGS, &flags);
        if (type != NFT_NAT_DNAT || (family != NFPROTO_IPV4 && family != NFPROTO_IPV6) ||
            (high != 0 && high != low) || (port_high != 0 && port_high != port_low) ||
            flags & ~(uint32_t)(NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED))
                return false;
        value = family == NFPROTO_IPV4 ? TYPE_IPV4_ADDR : TYPE_IPV6_ADDR;
        ret->family = family == NFPROTO_IPV4 ? FAMILY_IPV4 : FAMILY_IPV6;
        address = take_data(d, low, type_size(value));
        if (!address)
                return false;
        ret->address = wire_get(value, false, address);
        if (port_low == 0)
                return true;
        port = take_data(d, port_low, sizeof(uint16_t));
        if (!port)
                return false;
        ret->port = (uint16_t)(port[0] << 8 | port[1]);
        return ret->port > 0;
}

void decode_nat(RuleDecoder *d, const Attributes *a) {
        NatTarget target = {0};

        if (!read_nat(d, a, &target) || rule_set_target(d->decoder->rs, &d->rule, target) < 0) {
                rule_decoder_add_unknown(d, "nat", NULL);
                return;
        }
        d->decided = true;
}

int decode_object(Decoder *d, const Attributes *a) {
        const char *name = attribute_string(a, NFTA_OBJ_NAME);
        PacketLimit limit = {0};
        uint32_t type = 0;
        Attributes data;

        if (!name)
                return -EPROTO;
        (void)attribute_u32(a, NFTA_OBJ_TYPE, &type);
        attributes_inside(a, NFTA_OBJ_DATA, &data);
        if (type != NFT_OBJECT_LIMIT)
                return 0; /* does nothing unless a rule refers to it, which is then unknown */
        if (!read_limit(&data, &limit))
                limit = (PacketLimit){0}; /* unlike any of ours */
        return ruleset_add_limit(d->rs, name, limit) ? 0 : -ENOMEM;
}
