/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/range.h"

U128 u128_low_mask(unsigned int bits) {
        if (bits >= 128)
                return U128_MAX;
        if (bits > 64)
                return (U128){.high = (UINT64_C(1) << (bits - 64)) - 1, .low = UINT64_MAX};
        if (bits == 64)
                return (U128){.low = UINT64_MAX};
        return (U128){.low = (UINT64_C(1) << bits) - 1};
}

U128 u128_from_bytes(const void *bytes, size_t n) {
        const unsigned char *p = bytes;
        U128 v = U128_ZERO;

        for (size_t i = 0; i < n; i++) {
                v.high = v.high << 8 | v.low >> 56;
                v.low = v.low << 8 | p[i];
        }
        return v;
}

void u128_to_bytes(U128 value, void *ret_bytes, size_t n) {
        unsigned char *p = ret_bytes;

        for (size_t i = n; i > 0; i--) {
                p[i - 1] = (unsigned char)value.low;
                value.low = value.low >> 8 | value.high << 56;
                value.high >>= 8;
        }
}

bool range_is_prefix(Range r, unsigned int width, unsigned int *ret_length) {
        U128 host = {r.low.high ^ r.high.high, r.low.low ^ r.high.low};
        unsigned int host_bits =
                (unsigned int)(__builtin_popcountll(host.high) + __builtin_popcountll(host.low));

        if (host_bits > width || !u128_equal(host, u128_low_mask(host_bits)) ||
            !u128_is_zero(u128_and(r.low, host)))
                return false;
        if (ret_length)
                *ret_length = width - host_bits;
        return true;
}

int range_set_add(Arena *a, RangeSet *set, Range r) {
        return arena_append(a, set->items, set->n_items, r) ? 0 : -ENOMEM;
}

int range_set_add_all(Arena *a, RangeSet *set, const RangeSet *other) {
        for (size_t i = 0; i < other->n_items; i++)
                if (range_set_add(a, set, other->items[i]) < 0)
                        return -ENOMEM;
        return 0;
}

static int compare_low(const void *a, const void *b) {
        const Range *x = a, *y = b;

        return u128_compare(x->low, y->low);
}

/* As most long lists are. */
static bool is_sorted(const RangeSet *set) {
        for (size_t i = 1; i < set->n_items; i++)
                if (compare_low(&set->items[i - 1], &set->items[i]) > 0)
                        return false;
        return true;
}

void range_set_normalise(RangeSet *set) {
        size_t n = 0;

        if (set->n_items < 2)
                return;
        if (!is_sorted(set))
                qsort(set->items, set->n_items, sizeof(set->items[0]), compare_low);
        for (size_t i = 1; i < set->n_items; i++) {
                Range *last = &set->items[n], r = set->items[i];

                if (u128_equal(last->high, U128_MAX) ||
                    u128_compare(r.low, u128_next(last->high)) <= 0) {
                        if (u128_compare(r.high, last->high) > 0)
                                last->high = r.high;
                } else
                        set->items[++n] = r;
        }
        set->n_items = n + 1;
}

/* The one range that could hold value, or NULL. */
static const Range *find(const RangeSet *set, U128 value) {
        size_t low = 0, high = set->n_items;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                const Range *r = &set->items[middle];

                if (u128_compare(value, r->low) < 0)
                        high = middle;
                else if (u128_compare(value, r->high) > 0)
                        low = middle + 1;
                else
                        return r;
        }
        return NULL;
}

bool range_set_contains(const RangeSet *set, U128 value) {
        return find(set, value) != NULL;
}

bool range_set_contains_range(const RangeSet *set, Range r) {
        const Range *found = find(set, r.low);

        return found && u128_compare(r.high, found->high) <= 0;
}

bool range_set_equal(const RangeSet *a, const RangeSet *b) {
        if (a->n_items != b->n_items)
                return false;
        for (size_t i = 0; i < a->n_items; i++)
                if (!range_equal(a->items[i], b->items[i]))
                        return false;
        return true;
}

bool range_set_covers(const RangeSet *outer, const RangeSet *inner) {
        for (size_t i = 0; i < inner->n_items; i++)
                if (!range_set_contains_range(outer, inner->items[i]))
                        return false;
        return true;
}

int range_set_intersect(Arena *a, const RangeSet *x, const RangeSet *y, RangeSet *ret) {
        RangeSet result = {0};
        size_t i = 0, j = 0;

        while (i < x->n_items && j < y->n_items) {
                const Range *p = &x->items[i], *q = &y->items[j];
                Range r = {
                        .low = u128_compare(p->low, q->low) > 0 ? p->low : q->low,
                        .high = u128_compare(p->high, q->high) < 0 ? p->high : q->high,
                };

                if (u128_compare(r.low, r.high) <= 0 && range_set_add(a, &result, r) < 0)
                        return -ENOMEM;
                if (u128_compare(p->high, q->high) < 0)
                        i++;
                else
                        j++;
        }
        *ret = result;
        return 0;
}

int range_set_subtract(Arena *a, const RangeSet *x, const RangeSet *y, RangeSet *ret) {
        RangeSet result = {0};
        size_t j = 0;

        for (size_t i = 0; i < x->n_items; i++) {
                Range rest = x->items[i];
                bool left = true;

                while (j < y->n_items && u128_compare(y->items[j].high, rest.low) < 0)
                        j++;
                /* the last one may reach into the next range of x: k, not j */
                for (size_t k = j; left && k < y->n_items; k++) {
                        const Range *hole = &y->items[k];

                        if (u128_compare(hole->low, rest.high) > 0)
                                break;
                        if (u128_compare(hole->low, rest.low) > 0 &&
                            range_set_add(a, &result, (Range){rest.low, u128_previous(hole->low)}) <
                                    0)
                                return -ENOMEM;
                        left = u128_compare(hole->high, rest.high) < 0;
                        if (left)
                                rest.low = u128_next(hole->high);
                }
                if (left && range_set_add(a, &result, rest) < 0)
                        return -ENOMEM;
        }
        *ret = result;
        return 0;
}
