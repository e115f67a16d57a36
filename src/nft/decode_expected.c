/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/decoder.h"

#define FEW 64 /* elements: these are sorted and compared as fast */

struct Expected {
        const Set *set;
        uint32_t *slots; /* by the key: the element's number, from 1 on; 0: free */
        size_t n_slots;  /* a power of two, at least twice the elements */
        bool *seen;      /* by the element's number */
        size_t n_seen;
};

/* How this set would be read is what decides, not how its name was used before. Sets that change
 * with the host are short, and live shorter than the rest. */
static bool is_comparable(const Set *live, const Set *wanted) {
        return !live->is_map && !live->dynamic && !(live->interval && live->n_types == 1) &&
               wanted->n_elements >= FEW && wanted->n_elements < UINT32_MAX / 4 &&
               !wanted->source && !wanted->is_map && !wanted->is_unlisted &&
               wanted->n_types == live->n_types && wanted->interval == live->interval &&
               memcmp(wanted->types, live->types, live->n_types * sizeof(live->types[0])) == 0;
}

static size_t hash_key(const Set *set, const Element *e) {
        uint64_t hash = 0;

        for (size_t i = 0; i < set->n_types; i++) {
                hash = (hash ^ e->key[i].low.low) * 0x9e3779b97f4a7c15;
                hash = (hash ^ e->key[i].low.high ^ hash >> 32) * 0x9e3779b97f4a7c15;
        }
        return (size_t)(hash ^ hash >> 32);
}

static uint32_t *find_slot(const Expected *x, const Element *e) {
        size_t mask = x->n_slots - 1, i = hash_key(x->set, e) & mask;

        while (x->slots[i] > 0 && !element_equal(x->set, &x->set->elements[x->slots[i] - 1], e))
                i = (i + 1) & mask;
        return &x->slots[i];
}

int expected_new(Arena *a, const Ruleset *wanted, const Set *live, Expected **ret) {
        const Set *set = wanted && live->name ? ruleset_find_set(wanted, live->name) : NULL;
        Expected *x;

        *ret = NULL;
        if (!set || !is_comparable(live, set))
                return 0;
        x = arena_new0(a, Expected);
        if (!x)
                return -ENOMEM;
        x->set = set;
        for (x->n_slots = 2 * FEW; x->n_slots < 2 * set->n_elements;)
                x->n_slots *= 2;
        x->slots = arena_alloc_array(a, x->n_slots, sizeof(x->slots[0]));
        x->seen = arena_alloc_array(a, set->n_elements, sizeof(x->seen[0]));
        if (!x->slots || !x->seen)
                return -ENOMEM;
        for (size_t i = 0; i < set->n_elements; i++)
                *find_slot(x, &set->elements[i]) = (uint32_t)i + 1;
        *ret = x;
        return 0;
}

bool expected_take(Expected *x, const Element *e) {
        uint32_t number = *find_slot(x, e);

        if (number == 0 || x->seen[number - 1])
                return false;
        x->seen[number - 1] = true;
        x->n_seen++;
        return true;
}

int expected_finish(Arena *a, const Expected *x, Set *set) {
        if (set->n_elements == 0 && x->n_seen == x->set->n_elements) {
                set->elements = x->set->elements;
                set->n_elements = x->n_seen;
                return 1;
        }
        for (size_t i = 0; i < x->set->n_elements; i++) {
                Element e = x->set->elements[i];

                e.origin.at = (Span){0};
                if (x->seen[i] && !arena_append(a, set->elements, set->n_elements, e))
                        return -ENOMEM;
        }
        return 0;
}
