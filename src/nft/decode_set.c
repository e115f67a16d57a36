/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter/nf_tables.h>

#include "nft/decoder.h"
#include "nft/wire.h"

#define FLAGS_OF_OURS                                                                              \
        (NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | NFT_SET_INTERVAL | NFT_SET_MAP | NFT_SET_CONCAT |  \
         NFT_SET_EVAL | NFT_SET_TIMEOUT | NFT_SET_EXPR)

#ifndef NFTA_SET_COUNT
#define NFTA_SET_COUNT 20 /* since Linux 6.16; of intervals, each counts once */
#endif

/* Somebody else's: named, but nothing in it can be relied on. */
static void disown(Set *set, const char *why) {
        set->n_types = 0;
        set->elements = NULL;
        set->n_elements = 0;
        set->origin.text = why;
}

/* Why ringwall would not have made such a set; NULL if it could have. */
static const char *
foreign_set(const Set *set, uint32_t flags, uint32_t key_size, const Attributes *a) {
        uint32_t data_type = 0;

        if (flags & ~(uint32_t)FLAGS_OF_OURS)
                return "a set with flags that ringwall does not use";
        if (a->list[NFTA_SET_EXPRESSIONS] || a->list[NFTA_SET_OBJ_TYPE])
                return "a set with several expressions, or with objects";
        if (!(flags & NFT_SET_TIMEOUT) != !set->timeout || (set->timeout > 0 && !set->dynamic) ||
            (set->dynamic && (set->interval || set->is_map || !set->name)))
                return "a set with timeouts that ringwall does not use";
        if (a->list[NFTA_SET_EXPR] && !set->counted)
                return "a set with an expression that ringwall does not use";
        if (!(flags & NFT_SET_CONCAT) != !(set->n_types > 1 && set->interval))
                return "a set of an unusual concatenation";
        if (key_size != wire_key_size(set->types, set->n_types))
                return "a set with keys of an unusual size";
        (void)attribute_u32(a, NFTA_SET_DATA_TYPE, &data_type); /* absent: no map of verdicts */
        if (set->is_map && data_type != NFT_DATA_VERDICT)
                return "a map to something other than verdicts";
        return NULL;
}

/* Whether the expression in the attribute is a counter. */
static bool has_counter(const Attributes *a, uint16_t type) {
        Attributes expression;
        const char *name;

        attributes_inside(a, type, &expression);
        name = attribute_string(&expression, NFTA_EXPR_NAME);
        return name && streq(name, "counter");
}

int decode_set(Decoder *d, const Attributes *a) {
        const char *name = attribute_string(a, NFTA_SET_NAME), *why = NULL;
        uint32_t flags = 0, key_type = 0, key_size = 0;
        Arena *arena = d->rs->arena;
        uint64_t timeout = 0;
        Attributes description;
        KnownSet known = {0};
        Set *set;

        if (!name)
                return -EPROTO;
        (void)attribute_u32(a, NFTA_SET_FLAGS, &flags);
        (void)attribute_u32(a, NFTA_SET_KEY_TYPE, &key_type);
        (void)attribute_u32(a, NFTA_SET_KEY_LEN, &key_size);
        known.name = arena_strdup(arena, name);
        known.set = set = arena_new0(arena, Set);
        if (!known.name || !set || !arena_append(arena, d->sets, d->n_sets, known))
                return -ENOMEM;
        if (!(flags & NFT_SET_ANONYMOUS)) {
                set->name = known.name;
                if (!arena_append(arena, d->rs->sets, d->rs->n_sets, set))
                        return -ENOMEM;
        }
        attributes_inside(a, NFTA_SET_DESC, &description);
        (void)attribute_u32(&description, NFTA_SET_DESC_SIZE, &set->room); /* absent: no limit */
        (void)attribute_u32(a, NFTA_SET_COUNT, &set->n_told); /* absent on older kernels */
        set->is_map = flags & NFT_SET_MAP;
        set->interval = flags & NFT_SET_INTERVAL;
        set->dynamic = flags & NFT_SET_EVAL;
        set->counted = has_counter(a, NFTA_SET_EXPR);
        (void)attribute_u64(a, NFTA_SET_TIMEOUT, &timeout); /* absent: none */
        if (timeout % 1000 == 0 && timeout / 1000 <= UINT32_MAX)
                set->timeout = (uint32_t)(timeout / 1000);
        if (!wire_key_types(key_type, set->types, &set->n_types))
                why = "a set of a type that ringwall does not use";
        else
                why = foreign_set(set, flags, key_size, a);
        if (why)
                disown(set, why);
        return 0;
}

static bool take_key(const Set *set, const Attributes *a, uint16_t type, bool upper, Element *ret) {
        size_t size = 0;
        const unsigned char *p = attribute_value(a, type, &size);

        if (!p || size != wire_key_size(set->types, set->n_types))
                return false;
        for (size_t i = 0; i < set->n_types; i++) {
                U128 value = wire_get(set->types[i], set->interval, p);

                if (!upper)
                        ret->key[i].low = value;
                ret->key[i].high = value;
                p += wire_padded(set->types[i]);
        }
        return true;
}

static bool has_more_than_a_key(Set *set, const Attributes *a, uint32_t flags) {
        /* nft says it of the elements alone, where a set has no name */
        if (!set->name && has_counter(a, NFTA_SET_ELEM_EXPR))
                set->counted = true;
        if (a->list[NFTA_SET_ELEM_EXPR] && !(set->counted && has_counter(a, NFTA_SET_ELEM_EXPR)))
                return true;
        return flags & ~(uint32_t)NFT_SET_ELEM_INTERVAL_END || a->list[NFTA_SET_ELEM_TIMEOUT] ||
               a->list[NFTA_SET_ELEM_EXPIRATION] || a->list[NFTA_SET_ELEM_EXPRESSIONS] ||
               a->list[NFTA_SET_ELEM_OBJREF];
}

/* Reads one element; false if it is none of ours. */
static bool read_element(Decoder *d, Set *set, const Attributes *a, Boundary *ret) {
        const void *data;
        uint32_t flags = 0;
        size_t size = 0;

        (void)attribute_u32(a, NFTA_SET_ELEM_FLAGS, &flags);
        if (has_more_than_a_key(set, a, flags) ||
            !take_key(set, a, NFTA_SET_ELEM_KEY, false, &ret->element))
                return false;
        ret->key = ret->element.key[0].low;
        ret->is_end = flags & NFT_SET_ELEM_INTERVAL_END;
        if (ret->is_end)
                return set->interval && set->n_types == 1;
        if (a->list[NFTA_SET_ELEM_KEY_END] &&
            (set->n_types == 1 || !take_key(set, a, NFTA_SET_ELEM_KEY_END, true, &ret->element)))
                return false;
        if (set->is_map) {
                Attributes verdict;

                attributes_inside(a, NFTA_SET_ELEM_DATA, &verdict);
                if (!decode_verdict(d, &verdict, &ret->element.verdict))
                        return false;
        }
        data = attribute_bytes(a, NFTA_SET_ELEM_USERDATA, &size);
        if (data)
                ret->element.origin.text = wire_get_comment(d->rs->arena, data, size);
        return true;
}

int decode_elements(Decoder *d, const Attributes *a) {
        const char *name = attribute_string(a, NFTA_SET_ELEM_LIST_SET);
        KnownSet *known = name ? decoder_find_set(d, name) : NULL;
        const struct nlattr *attr;
        Set *set;

        if (!known)
                return -EPROTO;
        set = known->set;
        if (set->dynamic)
                return 0;
        if (!a->list[NFTA_SET_ELEM_LIST_ELEMENTS])
                return 0;
        attribute_for_each_nested(attr, a->list[NFTA_SET_ELEM_LIST_ELEMENTS]) {
                Boundary b = {0};
                Attributes element;
                bool kept;

                if (!known_set_is_ours(known))
                        return 0;
                attributes_of(attr, &element);
                if (!read_element(d, set, &element, &b)) {
                        disown(set, "a set with elements that ringwall does not make");
                        known->n_boundaries = 0;
                        known->expected = NULL;
                        return 0;
                }
                if (known->expected && expected_take(known->expected, &b.element))
                        continue;
                if (set->interval && set->n_types == 1)
                        kept = arena_append(d->rs->arena, known->boundaries, known->n_boundaries,
                                            b);
                else
                        kept = arena_append(d->rs->arena, set->elements, set->n_elements,
                                            b.element);
                if (!kept)
                        return -ENOMEM;
        }
        return 0;
}

static int compare_boundaries(const void *a, const void *b) {
        const Boundary *x = a, *y = b;
        int c = u128_compare(x->key, y->key);

        /* one interval ends where the next begins */
        return c != 0 ? c : (int)y->is_end - (int)x->is_end;
}

static bool same_key(const Set *set, const Element *a, const Element *b) {
        for (size_t i = 0; i < set->n_types; i++)
                if (!range_equal(a->key[i], b->key[i]))
                        return false;
        return true;
}

int decode_finish_set(Decoder *d, KnownSet *known) {
        Set *set = known->set;
        Element *open = NULL;
        int r;

        r = known->expected ? expected_finish(d->rs->arena, known->expected, set) : 0;
        if (r != 0)
                return r < 0 ? r : 0;
        if (known->n_boundaries > 0)
                qsort(known->boundaries, known->n_boundaries, sizeof(known->boundaries[0]),
                      compare_boundaries);
        for (size_t i = 0; i < known->n_boundaries; i++) {
                const Boundary *b = &known->boundaries[i];

                if (open && !u128_is_zero(b->key))
                        open->key[0].high = u128_previous(b->key);
                open = NULL;
                if (b->is_end)
                        continue;
                if (!arena_append(d->rs->arena, set->elements, set->n_elements, b->element))
                        return -ENOMEM;
                open = &set->elements[set->n_elements - 1];
                open->key[0].high = wire_max(set->types[0]);
        }
        set_sort(set);
        for (size_t i = 0; i + 1 < set->n_elements; i++)
                if (same_key(set, &set->elements[i], &set->elements[i + 1]))
                        return -EAGAIN;
        return 0;
}
