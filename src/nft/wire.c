/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/wire.h"

#include <libnftnl/udata.h>
#include <linux/netfilter/nf_tables.h>

#define TYPE_BITS 6 /* of nft's number for each field of a concatenation */

/* Turns the bytes around where the machine's order is not the one wanted. */
static void put_ordered(bool host_order, U128 value, size_t size, unsigned char *ret) {
        u128_to_bytes(value, ret, size);
        if (host_order && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
                for (size_t i = 0; i < size / 2; i++) {
                        unsigned char byte = ret[i];

                        ret[i] = ret[size - 1 - i];
                        ret[size - 1 - i] = byte;
                }
}

void wire_put(TypeId type, bool interval, U128 value, void *ret) {
        put_ordered(types[type].host_order && !interval, value, type_size(type), ret);
}

U128 wire_get(TypeId type, bool interval, const void *bytes) {
        unsigned char copy[WIRE_VALUE_MAX], ordered[WIRE_VALUE_MAX];
        size_t size = type_size(type);

        memcpy(copy, bytes, size);
        put_ordered(types[type].host_order && !interval, u128_from_bytes(copy, size), size,
                    ordered);
        return u128_from_bytes(ordered, size);
}

size_t wire_key_size(const TypeId *list, size_t n) {
        size_t size = 0;

        if (n == 1)
                return type_size(list[0]);
        for (size_t i = 0; i < n; i++)
                size += wire_padded(list[i]);
        return size;
}

size_t wire_put_key(const Set *set, bool interval, const Element *e, bool upper, void *ret) {
        unsigned char *p = ret;

        memset(p, 0, WIRE_KEY_MAX);
        for (size_t i = 0; i < set->n_types; i++) {
                wire_put(set->types[i], interval, upper ? e->key[i].high : e->key[i].low, p);
                p += wire_padded(set->types[i]);
        }
        return wire_key_size(set->types, set->n_types);
}

U128 wire_max(TypeId type) {
        return u128_low_mask(8 * (unsigned int)type_size(type));
}

uint32_t wire_key_type(const TypeId *list, size_t n) {
        uint32_t number = 0;

        for (size_t i = 0; i < n; i++)
                number = number << TYPE_BITS | types[list[i]].nft_id;
        return number;
}

static bool type_of_number(uint32_t number, TypeId *ret) {
        for (TypeId type = 0; type < _TYPE_MAX; type++)
                if (types[type].nft_id == number) {
                        *ret = type;
                        return true;
                }
        return false;
}

bool wire_key_types(uint32_t number, TypeId *ret, size_t *ret_n) {
        uint32_t rest = number;
        size_t n = 0;

        for (; rest != 0; rest >>= TYPE_BITS)
                n++;
        if (n == 0 || n > RULESET_FIELDS_MAX)
                return false;
        for (size_t i = n; i > 0; i--, number >>= TYPE_BITS)
                if (!type_of_number(number & ((1U << TYPE_BITS) - 1), &ret[i - 1]))
                        return false;
        *ret_n = n;
        return true;
}

uint32_t wire_register(unsigned int slot) {
        return slot % 4 == 0 ? NFT_REG_1 + slot / 4 : NFT_REG32_00 + slot;
}

unsigned int wire_slot(uint32_t number) {
        if (number >= NFT_REG_1 && number <= NFT_REG_4)
                return 4 * (number - NFT_REG_1);
        if (number >= NFT_REG32_00 && number <= NFT_REG32_15)
                return number - NFT_REG32_00;
        return WIRE_SLOT_INVALID;
}

bool wire_has_prefixes(TypeId type) {
        return type == TYPE_IPV4_ADDR || type == TYPE_IPV6_ADDR;
}

/* Type, length, text with its NUL: what NFTNL_UDATA_RULE_COMMENT and NFTNL_UDATA_SET_ELEM_COMMENT,
 * both number 0, look like. */
size_t wire_put_comment(const char *text, void *ret) {
        unsigned char *p = ret;
        size_t size = comment_size(text);

        p[0] = NFTNL_UDATA_RULE_COMMENT;
        p[1] = (unsigned char)(size + 1);
        memcpy(p + 2, text, size);
        p[2 + size] = 0;
        return 2 + size + 1;
}

/* Whoever else wrote the comment may have meant to play with the terminal that shows it. */
static char *copy_printable(Arena *a, const char *text, size_t size) {
        char *copy = arena_strndup(a, text, strnlen(text, size));

        for (char *c = copy; c && *c; c++)
                if ((unsigned char)*c < ' ' || *c == 0x7f)
                        *c = '?';
        return copy;
}

const char *wire_get_comment(Arena *a, const void *data, size_t size) {
        const unsigned char *p = data;

        while (size >= 2 && size - 2 >= p[1]) {
                if (p[0] == NFTNL_UDATA_RULE_COMMENT && p[1] > 0)
                        return copy_printable(a, (const char *)p + 2, p[1]);
                size -= 2 + (size_t)p[1];
                p += 2 + p[1];
        }
        return NULL;
}
