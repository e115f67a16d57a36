/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter/nf_tables.h>

#include "nft/rule_decoder.h"

/* Adds a match of the field against one range, of which `none` is left if it is empty. */
static Set *add_range(RuleDecoder *d, FieldId field, Range r, bool none, bool negated) {
        Ruleset *rs = d->decoder->rs;
        Set *set = ruleset_anonymous_set(rs, fields[field].type);
        Match m = {.op = negated ? MATCH_NOT_IN : MATCH_IN,
                   .fields = {field},
                   .n_fields = 1,
                   .set = set};

        if (!set || (!none && !set_add_element(rs, set, &r))) {
                d->out_of_memory = true;
                return NULL;
        }
        rule_decoder_add_match(d, &m);
        return set;
}

/* A comparison of a register of which only some bits are left. */
static bool compare_masked(
        RuleDecoder *d, FieldId field, const Load *load, uint32_t op, const unsigned char *value) {
        TypeId type = fields[field].type;
        U128 mask = wire_get(type, false, load->mask), v = wire_get(type, false, value), rest;
        U128 all = wire_max(type);

        if (op != NFT_CMP_EQ && op != NFT_CMP_NEQ)
                return false;
        if (types[type].flags) {
                Match m = {.op = op == NFT_CMP_EQ ? MATCH_NO_BITS : MATCH_BITS,
                           .fields = {field},
                           .n_fields = 1,
                           .mask = mask};

                if (u128_is_zero(v))
                        rule_decoder_add_match(d, &m);
                return u128_is_zero(v);
        }
        rest = (U128){all.high & ~mask.high, all.low & ~mask.low};
        if (types[type].host_order ||
            !range_is_prefix((Range){mask, all}, types[type].bits, NULL) ||
            !u128_is_zero(u128_and(v, rest)))
                return false;
        (void)add_range(d, field, (Range){v, u128_or(v, rest)}, false, op == NFT_CMP_NEQ);
        return true;
}

/* Fewer bytes than the field has: a prefix of it. */
static bool compare_prefix(
        RuleDecoder *d, FieldId field, uint32_t op, const unsigned char *value, size_t size) {
        unsigned char low[WIRE_VALUE_MAX] = {0}, high[WIRE_VALUE_MAX];
        TypeId type = fields[field].type;
        Range r;

        if (types[type].host_order || (op != NFT_CMP_EQ && op != NFT_CMP_NEQ))
                return false;
        memset(high, 0xff, sizeof(high));
        memcpy(low, value, size);
        memcpy(high, value, size);
        r.low = wire_get(type, false, low);
        r.high = wire_get(type, false, high);
        (void)add_range(d, field, r, false, op == NFT_CMP_NEQ);
        return true;
}

static bool
compare_order(RuleDecoder *d, FieldId field, uint32_t op, U128 value, unsigned int slot) {
        U128 max = wire_max(fields[field].type);
        Range r = {U128_ZERO, max};
        bool none = false;

        if (op == NFT_CMP_GT) {
                none = u128_equal(value, max);
                value = u128_next(value);
        } else if (op == NFT_CMP_LT) {
                none = u128_is_zero(value);
                value = u128_previous(value);
        }
        if (op == NFT_CMP_GT || op == NFT_CMP_GTE) {
                r.low = value;
                d->half_range = add_range(d, field, r, none, false);
                d->half_range_slot = slot;
                return true;
        }
        r.high = value;
        if (d->half_range && d->half_range_slot == slot) {
                Set *set = d->half_range;

                if (none || set->n_elements == 0 ||
                    u128_compare(set->elements[0].key[0].low, value) > 0)
                        set->n_elements = 0;
                else
                        set->elements[0].key[0].high = value;
        } else
                (void)add_range(d, field, r, none, false);
        d->half_range = NULL;
        return true;
}

/* The only field of ours that begins where the load does and is not longer. */
static FieldId first_field(const RuleDecoder *d, const Load *load) {
        for (size_t size = load->size; size > 0; size--) {
                Load part = *load;
                FieldId field;

                part.size = size;
                field = rule_decoder_field(d, &part, _TYPE_INVALID);
                if (field != _FIELD_INVALID && field_size(field) == size)
                        return field;
        }
        return _FIELD_INVALID;
}

/* nft joins comparisons of fields that stand side by side in a header, such as both ports. */
static bool
compare_joined(RuleDecoder *d, Load *load, uint32_t op, const unsigned char *value, size_t size) {
        FieldId list[WIRE_VALUE_MAX];
        Load rest = *load;
        size_t n = 0;

        if (load->size == 0 || load->size != size || size > WIRE_VALUE_MAX || load->masked ||
            op != NFT_CMP_EQ)
                return false;
        while (rest.size > 0) {
                FieldId field = first_field(d, &rest);

                if (field == _FIELD_INVALID)
                        return false;
                list[n++] = field;
                rest.offset += (uint32_t)field_size(field);
                rest.size -= field_size(field);
        }
        for (size_t i = 0; i < n; i++) {
                U128 v = wire_get(fields[list[i]].type, false, value);

                (void)add_range(d, list[i], range_single(v), false, false);
                value += field_size(list[i]);
        }
        load->used = true;
        return true;
}

static bool
compare(RuleDecoder *d, Load *load, uint32_t reg, uint32_t op, const void *p, size_t size) {
        FieldId field = rule_decoder_field(d, load, _TYPE_INVALID);
        const unsigned char *bytes = p;
        bool swapped;
        U128 value;
        TypeId type;

        if (field == _FIELD_INVALID)
                return compare_joined(d, load, op, bytes, size);
        /* the rest of a register is zero; nft compares four bytes of `fib ... oif` */
        while (size > field_size(field) && size <= wire_padded(fields[field].type) &&
               bytes[size - 1] == 0 && load->size == 0)
                size--;
        if (size > field_size(field) || (load->size > 0 && size > load->size))
                return false;
        load->used = true;
        type = fields[field].type;
        if (load->masked)
                return size == field_size(field) && load->mask_size == size &&
                       load_is_whole(load, field) && compare_masked(d, field, load, op, p);
        if (size < field_size(field))
                return !load->swapped && compare_prefix(d, field, op, p, size);
        swapped = load->swapped;
        if (swapped && !wire_is_swapped(type, true))
                return false;
        value = wire_get(type, swapped, p);
        switch (op) {
        case NFT_CMP_EQ:
        case NFT_CMP_NEQ:
                (void)add_range(d, field, range_single(value), false, op == NFT_CMP_NEQ);
                return true;
        case NFT_CMP_LT:
        case NFT_CMP_LTE:
        case NFT_CMP_GT:
        case NFT_CMP_GTE:
                return swapped == wire_is_swapped(type, true) &&
                       compare_order(d, field, op, value, wire_slot(reg));
        }
        return false;
}

static void decode_cmp(RuleDecoder *d, const Attributes *a) {
        uint32_t reg = 0, op = UINT32_MAX;
        size_t size = 0;
        const void *value = attribute_value(a, NFTA_CMP_DATA, &size);
        Load *load;

        (void)attribute_u32(a, NFTA_CMP_SREG, &reg);
        (void)attribute_u32(a, NFTA_CMP_OP, &op);
        load = rule_decoder_find_load(d, reg);
        if (!load || !value || size == 0 || !compare(d, load, reg, op, value, size))
                rule_decoder_add_unknown(d, "cmp", load);
}

static void decode_range(RuleDecoder *d, const Attributes *a) {
        uint32_t reg = 0, op = UINT32_MAX;
        size_t from_size = 0, to_size = 0;
        const void *from = attribute_value(a, NFTA_RANGE_FROM_DATA, &from_size);
        const void *to = attribute_value(a, NFTA_RANGE_TO_DATA, &to_size);
        FieldId field = _FIELD_INVALID;
        Load *load;
        TypeId type;
        Range r;

        (void)attribute_u32(a, NFTA_RANGE_SREG, &reg);
        (void)attribute_u32(a, NFTA_RANGE_OP, &op);
        load = rule_decoder_find_load(d, reg);
        if (load)
                field = rule_decoder_field(d, load, _TYPE_INVALID);
        if (field == _FIELD_INVALID || !from || !to || from_size != field_size(field) ||
            to_size != from_size || load->masked || !load_is_whole(load, field) ||
            load->swapped != wire_is_swapped(fields[field].type, true) ||
            (op != NFT_RANGE_EQ && op != NFT_RANGE_NEQ)) {
                rule_decoder_add_unknown(d, "range", load);
                return;
        }
        load->used = true;
        type = fields[field].type;
        r = (Range){wire_get(type, true, from), wire_get(type, true, to)};
        (void)add_range(d, field, r, u128_compare(r.low, r.high) > 0, op == NFT_RANGE_NEQ);
}

/* The fields whose values stand from the register on, as the set's key wants them. */
static bool fields_of_key(RuleDecoder *d, const Set *set, uint32_t reg, FieldId *ret) {
        unsigned int slot = wire_slot(reg);

        for (size_t i = 0; i < set->n_types; i++) {
                Load *load = slot < WIRE_SLOTS ? &d->loads[slot] : NULL;
                TypeId type = set->types[i];

                if (!load || load->swapped != wire_is_swapped(type, set->interval))
                        return false;
                ret[i] = rule_decoder_field(d, load, type);
                if (ret[i] == _FIELD_INVALID || !load_is_whole(load, ret[i]) ||
                    load->masked != (fields[ret[i]].prefix > 0))
                        return false;
                slot += (unsigned int)wire_padded(type) / 4;
        }
        slot = wire_slot(reg);
        for (size_t i = 0; i < set->n_types; i++) {
                d->loads[slot].used = true;
                slot += (unsigned int)wire_padded(set->types[i]) / 4;
        }
        return true;
}

static void decode_lookup(RuleDecoder *d, const Attributes *a) {
        const char *name = attribute_string(a, NFTA_LOOKUP_SET);
        KnownSet *known = name ? decoder_find_named_set(d->decoder, name) : NULL;
        uint32_t from = 0, to = UINT32_MAX, flags = 0;
        Match m = {.op = MATCH_IN};

        (void)attribute_u32(a, NFTA_LOOKUP_SREG, &from);
        (void)attribute_u32(a, NFTA_LOOKUP_DREG, &to);
        (void)attribute_u32(a, NFTA_LOOKUP_FLAGS, &flags);
        if (!known || !known_set_is_ours(known) || flags & ~(uint32_t)NFT_LOOKUP_F_INV ||
            known->set->is_map != (to == NFT_REG_VERDICT) ||
            (known->set->is_map ? flags != 0 : to != UINT32_MAX) ||
            !fields_of_key(d, known->set, from, m.fields)) {
                rule_decoder_add_unknown(d, "lookup", rule_decoder_find_load(d, from));
                return;
        }
        if (known->set->is_map) {
                d->rule.verdict = verdict_of(VERDICT_MAP);
                d->rule.map = known->set;
                d->rule.n_map_fields = known->set->n_types;
                memcpy(d->rule.map_fields, m.fields, sizeof(m.fields));
                d->decided = true;
                return;
        }
        if (flags & NFT_LOOKUP_F_INV)
                m.op = MATCH_NOT_IN;
        m.n_fields = known->set->n_types;
        m.set = known->set;
        rule_decoder_add_match(d, &m);
}

static void decode_immediate(RuleDecoder *d, const Attributes *a) {
        uint32_t reg = UINT32_MAX;
        const void *value;
        size_t size = 0;
        Attributes data;
        Verdict v;

        (void)attribute_u32(a, NFTA_IMMEDIATE_DREG, &reg);
        value = attribute_value(a, NFTA_IMMEDIATE_DATA, &size);
        if (value && reg != NFT_REG_VERDICT) {
                decode_data(d, reg, value, size);
                return;
        }
        attributes_inside(a, NFTA_IMMEDIATE_DATA, &data);
        if (reg != NFT_REG_VERDICT || !decode_verdict(d->decoder, &data, &v) ||
            v.kind == VERDICT_CONTINUE) {
                rule_decoder_add_unknown(d, "immediate", NULL);
                return;
        }
        d->rule.verdict = v;
        d->decided = true;
}

static void decode_reject(RuleDecoder *d, const Attributes *a) {
        uint32_t type = UINT32_MAX;
        uint8_t code = 0;

        (void)attribute_u32(a, NFTA_REJECT_TYPE, &type);
        (void)attribute_u8(a, NFTA_REJECT_ICMP_CODE, &code);
        if (type == NFT_REJECT_TCP_RST)
                d->rule.verdict = verdict_of(VERDICT_REJECT_RESET);
        else if (type == NFT_REJECT_ICMPX_UNREACH && code == NFT_REJECT_ICMPX_ADMIN_PROHIBITED)
                d->rule.verdict = verdict_of(VERDICT_REJECT);
        else {
                rule_decoder_add_unknown(d, "reject", NULL);
                return;
        }
        d->decided = true;
}

static void decode_counter(RuleDecoder *d, const Attributes *a) {
        if (d->rule.counted) {
                rule_decoder_add_unknown(d, "counter", NULL);
                return;
        }
        d->rule.counted = true;
        d->counted_behind = d->rule.n_matches;
        d->counted_before = d->rule.n_statements;
        (void)attribute_u64(a, NFTA_COUNTER_PACKETS, &d->rule.packets);
        (void)attribute_u64(a, NFTA_COUNTER_BYTES, &d->rule.bytes);
}

static const struct Expression {
        const char *name;
        void (*decode)(RuleDecoder *d, const Attributes *a);
} expressions[] = {
        {"payload", decode_payload},
        {"meta", decode_meta},
        {"ct", decode_ct},
        {"fib", decode_fib},
        {"byteorder", decode_byteorder},
        {"bitwise", decode_bitwise},
        {"cmp", decode_cmp},
        {"range", decode_range},
        {"lookup", decode_lookup},
        {"immediate", decode_immediate},
        {"reject", decode_reject},
        {"counter", decode_counter},
        {"limit", decode_limit},
        {"connlimit", decode_connlimit},
        {"objref", decode_objref},
        {"log", decode_log},
        {"dynset", decode_dynset},
        {"masq", decode_masq},
        {"nat", decode_nat},
};

static void decode_expression(RuleDecoder *d, const struct nlattr *attr) {
        Set *half_range = d->half_range;
        Attributes outer, inner;
        const char *name;

        attributes_of(attr, &outer);
        name = attribute_string(&outer, NFTA_EXPR_NAME);
        attributes_inside(&outer, NFTA_EXPR_DATA, &inner);
        for (size_t i = 0; i < ARRAY_SIZE(expressions) && name && !d->decided; i++)
                /* most differ in their first letter */
                if (name[0] == expressions[i].name[0] && streq(name, expressions[i].name)) {
                        expressions[i].decode(d, &inner);
                        if (d->half_range == half_range)
                                d->half_range = NULL; /* not completed by the very next one */
                        return;
                }
        d->half_range = NULL;
        rule_decoder_add_unknown(d, name ? name : "expression", NULL);
}

int decode_rule(Decoder *decoder, const Attributes *a) {
        const char *name = attribute_string(a, NFTA_RULE_CHAIN);
        RuleDecoder d = {.decoder = decoder};
        const struct nlattr *attr;
        const void *data;
        size_t size = 0;
        Chain *chain;

        if (!name)
                return -EPROTO;
        chain = decoder_find_chain(decoder, name);
        if (!chain)
                return 0;
        (void)attribute_u64(a, NFTA_RULE_HANDLE, &d.rule.handle);
        data = attribute_bytes(a, NFTA_RULE_USERDATA, &size);
        if (data)
                d.rule.origin.text = wire_get_comment(decoder->rs->arena, data, size);
        if (a->list[NFTA_RULE_EXPRESSIONS])
                attribute_for_each_nested(attr, a->list[NFTA_RULE_EXPRESSIONS]) {
                        decode_expression(&d, attr);
                }
        for (unsigned int i = 0; i < WIRE_SLOTS; i++)
                if (d.loads[i].expression && !d.loads[i].used)
                        rule_decoder_add_unknown(&d, "load", &d.loads[i]);
        if (d.rule.counted && d.counted_behind < d.rule.n_matches)
                rule_decoder_add_unknown(&d, "counter before a match", NULL);
        if (d.rule.counted && d.counted_before < d.rule.n_statements)
                rule_decoder_add_unknown(&d, "counter before a statement", NULL);
        if (d.rule.n_statements > 0 && d.stated_behind < d.rule.n_matches)
                rule_decoder_add_unknown(&d, "statement before a match", NULL);
        if (d.out_of_memory ||
            !arena_append(decoder->rs->arena, chain->rules, chain->n_rules, d.rule))
                return -ENOMEM;
        return 0;
}
