/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A rule while it is being decoded: what stands in which register, and the Rule that comes of it.
 */

#include "nft/decoder.h"
#include "nft/wire.h"

/* What an expression put into a register. */
typedef struct Load {
        const char *expression; /* its name; NULL: nothing that we know */
        FieldBase base;
        uint32_t key, offset;
        size_t size;        /* bytes loaded of a payload; 0 of everything else */
        unsigned int slots; /* that it fills */
        bool swapped, masked, used;
        bool is_data; /* `size` bytes that stand in the rule, in `mask` */
        unsigned char mask[WIRE_VALUE_MAX];
        size_t mask_size;
} Load;

typedef struct RuleDecoder {
        Decoder *decoder;
        Rule rule;
        Load loads[WIRE_SLOTS]; /* where each begins */
        bool decided;           /* there is a verdict: nothing may follow */
        bool out_of_memory;
        size_t counted_behind; /* matches before the counter */
        size_t counted_before; /* statements before the counter */
        size_t stated_behind;  /* matches before the last statement */
        /* A lower limit that the next comparison may complete to a range. */
        Set *half_range;
        unsigned int half_range_slot;
} RuleDecoder;

void rule_decoder_add_match(RuleDecoder *d, const Match *m);
/* A match that says what could not be understood, of the load if given. */
void rule_decoder_add_unknown(RuleDecoder *d, const char *what, const Load *load);

/* The expressions that fill registers and change what is in them. */
void decode_payload(RuleDecoder *d, const Attributes *a);
void decode_meta(RuleDecoder *d, const Attributes *a);
void decode_ct(RuleDecoder *d, const Attributes *a);
void decode_fib(RuleDecoder *d, const Attributes *a);
void decode_byteorder(RuleDecoder *d, const Attributes *a);
void decode_bitwise(RuleDecoder *d, const Attributes *a);
/* An `immediate` that puts data into a register of values. */
void decode_data(RuleDecoder *d, uint32_t reg, const void *data, size_t size);

/* Statements and translations. */
void decode_limit(RuleDecoder *d, const Attributes *a);
void decode_connlimit(RuleDecoder *d, const Attributes *a);
void decode_objref(RuleDecoder *d, const Attributes *a);
void decode_log(RuleDecoder *d, const Attributes *a);
void decode_dynset(RuleDecoder *d, const Attributes *a);
void decode_masq(RuleDecoder *d, const Attributes *a);
void decode_nat(RuleDecoder *d, const Attributes *a);

/* The load that begins at the register; NULL if none does. */
Load *rule_decoder_find_load(RuleDecoder *d, uint32_t reg);
/* Which field it is that was loaded, given what the rule has matched so far; _FIELD_INVALID if none
 * of ours. `wanted` is the type that a set expects, or _TYPE_INVALID for a comparison, in which a
 * masked load is a prefix of the field. */
FieldId rule_decoder_field(const RuleDecoder *d, const Load *load, TypeId wanted);

/* Whether all bytes of the field were loaded. */
static inline bool load_is_whole(const Load *load, FieldId field) {
        return load->size == 0 || load->size == field_size(field);
}
