/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/cover.h"

/* A search tree without pointers: the middle of any stretch of the sorted array is its root, and
 * knows the highest end within the stretch. */

int interval_index_reserve(Arena *a, IntervalIndex *index) {
        index->items = arena_alloc_array(a, index->n_items, sizeof(*index->items));
        index->highest = arena_alloc_array(a, index->n_items, sizeof(*index->highest));
        index->everywhere = arena_alloc_array(a, index->n_everywhere, sizeof(*index->everywhere));
        index->n_items = index->n_everywhere = 0;
        return index->items && index->highest && index->everywhere ? 0 : -ENOMEM;
}

void interval_index_add(IntervalIndex *index, Range r, uint32_t owner) {
        index->items[index->n_items++] = (Interval){r.low, r.high, owner};
}

void interval_index_add_everywhere(IntervalIndex *index, uint32_t owner) {
        index->everywhere[index->n_everywhere++] = owner;
}

static int compare(const void *a, const void *b) {
        const Interval *x = a, *y = b;
        int r = u128_compare(x->low, y->low);

        return r != 0 ? r : x->owner < y->owner ? -1 : x->owner > y->owner;
}

static U128 build(IntervalIndex *index, size_t first, size_t end) {
        size_t middle = first + (end - first) / 2;
        U128 highest, other;

        if (first == end)
                return U128_ZERO;
        highest = build(index, first, middle);
        other = build(index, middle + 1, end);
        if (u128_compare(other, highest) > 0)
                highest = other;
        if (u128_compare(index->items[middle].high, highest) > 0)
                highest = index->items[middle].high;
        index->highest[middle] = highest;
        return highest;
}

void interval_index_build(IntervalIndex *index) {
        if (index->n_items == 0)
                return;
        qsort(index->items, index->n_items, sizeof(*index->items), compare);
        (void)build(index, 0, index->n_items); /* the highest end of all: nobody asks */
}

typedef struct Search {
        const IntervalIndex *index;
        Range range;
        size_t limit;
        uint32_t *owners;
        size_t n_owners;
} Search;

static bool take(Search *s, uint32_t owner) {
        if (s->n_owners == s->limit)
                return false;
        s->owners[s->n_owners++] = owner;
        return true;
}

static bool search(Search *s, size_t first, size_t end) {
        while (first < end) {
                size_t middle = first + (end - first) / 2;
                const Interval *i = &s->index->items[middle];

                if (u128_compare(s->index->highest[middle], s->range.high) < 0)
                        return true;
                if (!search(s, first, middle))
                        return false;
                if (u128_compare(i->low, s->range.low) > 0)
                        return true;
                if (u128_compare(i->high, s->range.high) >= 0 && !take(s, i->owner))
                        return false;
                first = middle + 1;
        }
        return true;
}

bool interval_index_find(
        const IntervalIndex *index, Range r, size_t limit, uint32_t *ret, size_t *ret_n) {
        Search s = {.index = index, .range = r, .limit = limit, .owners = ret};
        bool complete = true;

        for (size_t i = 0; i < index->n_everywhere && complete; i++)
                complete = take(&s, index->everywhere[i]);
        if (complete)
                complete = search(&s, 0, index->n_items);
        *ret_n = s.n_owners;
        return complete;
}
