/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>

#include "nft/rule_decoder.h"
#include "ruleset/packet.h"

void rule_decoder_add_match(RuleDecoder *d, const Match *m) {
        if (!arena_append(d->decoder->rs->arena, d->rule.matches, d->rule.n_matches, *m))
                d->out_of_memory = true;
}

void rule_decoder_add_unknown(RuleDecoder *d, const char *what, const Load *load) {
        Match m = {.op = MATCH_UNKNOWN};

        if (load && load->expression)
                m.text = arena_printf(d->decoder->rs->arena, "%s of %s %u offset %u size %zu", what,
                                      load->expression, load->key, load->offset, load->size);
        else
                m.text = arena_strdup(d->decoder->rs->arena, what);
        if (m.text)
                rule_decoder_add_match(d, &m);
        else
                d->out_of_memory = true;
}

static bool
all_admitted(const Set *set, bool (*admits)(uint64_t value, uint64_t wanted), uint64_t wanted) {
        for (size_t i = 0; i < set->n_elements; i++) {
                Range r = set->elements[i].key[0];

                if (r.high.low - r.low.low > UINT8_MAX)
                        return false;
                for (uint64_t v = r.low.low; v <= r.high.low; v++)
                        if (!admits(v, wanted))
                                return false;
        }
        return set->n_elements > 0;
}

static bool equals(uint64_t value, uint64_t wanted) {
        return value == wanted;
}

static bool has_ports(uint64_t value, uint64_t wanted) {
        return protocol_has_ports((uint8_t)value);
}

/* Whether the matches so far make sure that the field means something. */
static bool needs_are_met(const Rule *rule, FieldId field) {
        const Field *f = &fields[field];
        bool met = !f->has_needs, ports = !f->needs_ports;

        for (size_t i = 0; i < rule->n_matches && !(met && ports); i++) {
                const Match *m = &rule->matches[i];

                if (m->op != MATCH_IN || m->n_fields != 1)
                        continue;
                if (f->has_needs && m->fields[0] == f->needs &&
                    all_admitted(m->set, equals, f->needs_value))
                        met = true;
                if (m->fields[0] == FIELD_L4PROTO && all_admitted(m->set, has_ports, 0))
                        ports = true;
        }
        return met && ports;
}

/* Whether the load leaves as many bits as the field has. */
static bool prefix_fits(const Field *f, const Load *load, TypeId wanted) {
        U128 mask, all;
        unsigned int length;

        if (load->is_data)
                return false;
        if (wanted == _TYPE_INVALID || !load->masked)
                return f->prefix == 0;
        if (load->mask_size != type_size(f->type) || f->prefix == 0)
                return false;
        mask = wire_get(f->type, false, load->mask);
        all = wire_max(f->type);
        return range_is_prefix((Range){mask, all}, types[f->type].bits, &length) &&
               length == f->prefix;
}

FieldId rule_decoder_field(const RuleDecoder *d, const Load *load, TypeId wanted) {
        FieldId prefix = _FIELD_INVALID;

        for (FieldId field = 0; field < _FIELD_MAX; field++) {
                const Field *f = &fields[field];

                if (!load->expression || f->base != load->base || f->key != load->key ||
                    f->offset != load->offset || (wanted != _TYPE_INVALID && f->type != wanted) ||
                    !needs_are_met(&d->rule, field) || !prefix_fits(f, load, wanted))
                        continue;
                if (load_is_whole(load, field))
                        return field;
                if (load->size < field_size(field) && wire_has_prefixes(f->type))
                        prefix = field;
        }
        return prefix;
}

/* A new load overwrites whatever it covers. */
static void put_load(RuleDecoder *d, uint32_t reg, Load load) {
        unsigned int slot = wire_slot(reg);

        if (slot >= WIRE_SLOTS) {
                rule_decoder_add_unknown(d, load.expression, NULL);
                return;
        }
        for (unsigned int i = 0; i < WIRE_SLOTS; i++) {
                Load *old = &d->loads[i];

                if (!old->expression || i + old->slots <= slot || i >= slot + load.slots)
                        continue;
                if (!old->used)
                        rule_decoder_add_unknown(d, "load", old);
                old->expression = NULL;
        }
        d->loads[slot] = load;
}

Load *rule_decoder_find_load(RuleDecoder *d, uint32_t reg) {
        unsigned int slot = wire_slot(reg);

        return slot < WIRE_SLOTS && d->loads[slot].expression ? &d->loads[slot] : NULL;
}

void decode_payload(RuleDecoder *d, const Attributes *a) {
        static const FieldBase bases[] = {
                [NFT_PAYLOAD_LL_HEADER] = BASE_LINK,
                [NFT_PAYLOAD_NETWORK_HEADER] = BASE_NETWORK,
                [NFT_PAYLOAD_TRANSPORT_HEADER] = BASE_TRANSPORT,
        };
        Load load = {.expression = "payload"};
        uint32_t reg, base, size;

        if (!attribute_u32(a, NFTA_PAYLOAD_DREG, &reg) ||
            !attribute_u32(a, NFTA_PAYLOAD_BASE, &base) || base >= ARRAY_SIZE(bases) ||
            !attribute_u32(a, NFTA_PAYLOAD_OFFSET, &load.offset) ||
            !attribute_u32(a, NFTA_PAYLOAD_LEN, &size) || size == 0 || size > 4 * WIRE_SLOTS) {
                rule_decoder_add_unknown(d, "payload", NULL);
                return;
        }
        load.base = bases[base];
        load.size = size;
        load.slots = (size + 3) / 4;
        put_load(d, reg, load);
}

/* What a key fills is not said in the message; our fields tell. */
static unsigned int slots_of_key(FieldBase base, uint32_t key) {
        for (FieldId field = 0; field < _FIELD_MAX; field++)
                if (fields[field].base == base && fields[field].key == key)
                        return (unsigned int)wire_padded(fields[field].type) / 4;
        return 4;
}

void decode_meta(RuleDecoder *d, const Attributes *a) {
        Load load = {.expression = "meta", .base = BASE_META};
        uint32_t reg;

        if (!attribute_u32(a, NFTA_META_DREG, &reg) ||
            !attribute_u32(a, NFTA_META_KEY, &load.key)) {
                rule_decoder_add_unknown(d, "meta", NULL);
                return;
        }
        load.slots = slots_of_key(load.base, load.key);
        put_load(d, reg, load);
}

void decode_ct(RuleDecoder *d, const Attributes *a) {
        Load load = {.expression = "ct", .base = BASE_CT};
        uint8_t direction;
        uint32_t reg;

        if (!attribute_u32(a, NFTA_CT_DREG, &reg) || !attribute_u32(a, NFTA_CT_KEY, &load.key)) {
                rule_decoder_add_unknown(d, "ct", NULL);
                return;
        }
        if (attribute_u8(a, NFTA_CT_DIRECTION, &direction)) {
                load.base = BASE_CT_ORIGINAL;
                if (direction != IP_CT_DIR_ORIGINAL)
                        load.offset = direction; /* which no field has */
        }
        load.slots = slots_of_key(load.base, load.key);
        put_load(d, reg, load);
}

void decode_fib(RuleDecoder *d, const Attributes *a) {
        Load load = {.expression = "fib", .base = BASE_FIB};
        uint32_t reg;

        if (!attribute_u32(a, NFTA_FIB_DREG, &reg) ||
            !attribute_u32(a, NFTA_FIB_RESULT, &load.key) ||
            !attribute_u32(a, NFTA_FIB_FLAGS, &load.offset)) {
                rule_decoder_add_unknown(d, "fib", NULL);
                return;
        }
        load.slots = slots_of_key(load.base, load.key);
        put_load(d, reg, load);
}

void decode_data(RuleDecoder *d, uint32_t reg, const void *data, size_t size) {
        Load load = {.expression = "immediate", .is_data = true, .size = size};

        if (size == 0 || size > sizeof(load.mask)) {
                rule_decoder_add_unknown(d, "immediate", NULL);
                return;
        }
        memcpy(load.mask, data, size);
        load.slots = (unsigned int)(size + 3) / 4;
        put_load(d, reg, load);
}

void decode_byteorder(RuleDecoder *d, const Attributes *a) {
        uint32_t from = 0, to = 0, op = 0, len = 0, size = 0;
        Load *load;

        (void)attribute_u32(a, NFTA_BYTEORDER_SREG, &from); /* 0 is no register of values */
        (void)attribute_u32(a, NFTA_BYTEORDER_DREG, &to);
        (void)attribute_u32(a, NFTA_BYTEORDER_OP, &op);
        (void)attribute_u32(a, NFTA_BYTEORDER_LEN, &len);
        (void)attribute_u32(a, NFTA_BYTEORDER_SIZE, &size);
        load = from == to ? rule_decoder_find_load(d, from) : NULL;
        if (!load || load->swapped || load->masked || load->is_data || (len > 1 && len != size)) {
                rule_decoder_add_unknown(d, "byteorder", load);
                return;
        }
        if (len > 1) /* nft also turns single bytes around */
                load->swapped = true;
}

void decode_bitwise(RuleDecoder *d, const Attributes *a) {
        uint32_t from = 0, to = 0, op = NFT_BITWISE_BOOL;
        size_t mask_size = 0, xor_size = 0;
        const unsigned char *mask = attribute_value(a, NFTA_BITWISE_MASK, &mask_size);
        const unsigned char * xor = attribute_value(a, NFTA_BITWISE_XOR, &xor_size);
        Load *load;

        (void)attribute_u32(a, NFTA_BITWISE_SREG, &from);
        (void)attribute_u32(a, NFTA_BITWISE_DREG, &to);
        (void)attribute_u32(a, NFTA_BITWISE_OP, &op);
        load = from == to ? rule_decoder_find_load(d, from) : NULL;
        if (!load || load->masked || load->swapped || load->is_data || op != NFT_BITWISE_BOOL ||
            !mask || !xor || mask_size > WIRE_VALUE_MAX || xor_size != mask_size ||
            !u128_is_zero(u128_from_bytes(xor, xor_size))) {
                rule_decoder_add_unknown(d, "bitwise", load);
                return;
        }
        load->masked = true;
        load->mask_size = mask_size;
        memcpy(load->mask, mask, mask_size);
}
