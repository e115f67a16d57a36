/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* How values look in the kernel's registers and sets' keys, and what else the encoder and the
 * decoder must agree on. */

#include <stdio.h> /* libnftnl forgets it */

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>

#include "ruleset/ruleset.h"

#define WIRE_VALUE_MAX 16 /* bytes of one field's value */
#define WIRE_KEY_MAX (RULESET_FIELDS_MAX * WIRE_VALUE_MAX)
#define WIRE_SLOTS 16         /* registers, counted in units of four bytes */
#define WIRE_SLOT_INVALID 255 /* a number that names no register of values */

/* Intervals are compared as the most significant byte stands first, whatever the type's own order.
 */
static inline bool wire_is_swapped(TypeId type, bool interval) {
        return interval && types[type].host_order && types[type].bits > 8;
}

/* type_size() bytes. */
void wire_put(TypeId type, bool interval, U128 value, void *ret);
U128 wire_get(TypeId type, bool interval, const void *bytes);

/* Bytes of a value with what pads it to the next register. */
static inline size_t wire_padded(TypeId type) {
        return (type_size(type) + 3) & ~(size_t)3;
}

/* Size of a set's key. One field is not padded; of several, each is. */
size_t wire_key_size(const TypeId *list, size_t n);
/* The key of the elements' lower or upper ends; returns its size. ret holds WIRE_KEY_MAX bytes. */
size_t wire_put_key(const Set *set, bool interval, const Element *e, bool upper, void *ret);

/* The biggest value of the type. */
U128 wire_max(TypeId type);

/* nft's number for the type of a set's key. */
uint32_t wire_key_type(const TypeId *list, size_t n);
/* The types that such a number stands for; false if it is none of ours. */
bool wire_key_types(uint32_t number, TypeId *ret, size_t *ret_n);

/* The kernel's number of the register at a slot, and back. */
uint32_t wire_register(unsigned int slot);
unsigned int wire_slot(uint32_t number);

/* Whether an exact prefix of such a value is written as one (10.0.0.0/8) and not as a range. */
bool wire_has_prefixes(TypeId type);

/* A comment as nft keeps it in the user data of rules and elements. put: the bytes go to ret, which
 * holds WIRE_COMMENT_MAX; returns how many. get: a copy in the arena, or NULL if there is none. */
#define WIRE_COMMENT_MAX (2 + RULESET_COMMENT_MAX + 1)
size_t wire_put_comment(const char *text, void *ret);
const char *wire_get_comment(Arena *a, const void *data, size_t size);

/* libnftnl's objects with the cleanup attribute. */
static inline void wire_expr_freep(struct nftnl_expr **e) {
        if (*e)
                nftnl_expr_free(*e);
}
static inline void wire_rule_freep(struct nftnl_rule **rule) {
        if (*rule)
                nftnl_rule_free(*rule);
}
static inline void wire_set_freep(struct nftnl_set **set) {
        if (*set)
                nftnl_set_free(*set);
}
static inline void wire_element_freep(struct nftnl_set_elem **e) {
        if (*e)
                nftnl_set_elem_free(*e);
}
