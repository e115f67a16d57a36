/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Numbers of up to 128 bits, ranges of them, and sets of ranges. An address, a port, a protocol, an
 * interface's name: each is such a number, so that one set of operations serves every packet field.
 */

#include "base/arena.h"

typedef struct U128 {
        uint64_t high, low;
} U128;

/* Both ends belong to the range; low <= high. */
typedef struct Range {
        U128 low, high;
} Range;

/* Sorted, disjoint, and not even adjacent, once range_set_normalise() has seen it. */
typedef struct RangeSet {
        Range *items; /* in an arena, or borrowed */
        size_t n_items;
} RangeSet;

#define U128_ZERO ((U128){0, 0})
#define U128_MAX ((U128){UINT64_MAX, UINT64_MAX})

static inline U128 u128(uint64_t low) {
        return (U128){.low = low};
}

static inline int u128_compare(U128 a, U128 b) {
        if (a.high != b.high)
                return a.high < b.high ? -1 : 1;
        if (a.low != b.low)
                return a.low < b.low ? -1 : 1;
        return 0;
}

static inline bool u128_equal(U128 a, U128 b) {
        return a.high == b.high && a.low == b.low;
}

/* Both wrap around at the ends. */
static inline U128 u128_next(U128 a) {
        return (U128){.high = a.high + (a.low == UINT64_MAX), .low = a.low + 1};
}

static inline U128 u128_previous(U128 a) {
        return (U128){.high = a.high - (a.low == 0), .low = a.low - 1};
}

static inline U128 u128_and(U128 a, U128 b) {
        return (U128){a.high & b.high, a.low & b.low};
}

static inline U128 u128_or(U128 a, U128 b) {
        return (U128){a.high | b.high, a.low | b.low};
}

static inline bool u128_is_zero(U128 a) {
        return a.high == 0 && a.low == 0;
}

/* The lowest `bits` bits set; bits from 0 to 128. */
U128 u128_low_mask(unsigned int bits);

/* The number that n bytes (at most 16), the most significant first, stand for; and back. */
U128 u128_from_bytes(const void *bytes, size_t n);
void u128_to_bytes(U128 value, void *ret_bytes, size_t n);

static inline Range range_single(U128 value) {
        return (Range){value, value};
}

static inline bool range_is_single(Range r) {
        return u128_equal(r.low, r.high);
}

static inline bool range_equal(Range a, Range b) {
        return u128_equal(a.low, b.low) && u128_equal(a.high, b.high);
}

/* Whether the range of numbers of `width` bits is one prefix (ADDRESS/LENGTH); the prefix's length
 * in bits goes to ret_length, which may be NULL. */
bool range_is_prefix(Range r, unsigned int width, unsigned int *ret_length);

/* Appends r, without keeping the order; 0 or -ENOMEM. */
int range_set_add(Arena *a, RangeSet *set, Range r);
/* Appends all of other. */
int range_set_add_all(Arena *a, RangeSet *set, const RangeSet *other);
/* Sorts and joins what overlaps or touches, in place. */
void range_set_normalise(RangeSet *set);

/* These want normalised sets. */
bool range_set_contains(const RangeSet *set, U128 value);
bool range_set_contains_range(const RangeSet *set, Range r);
bool range_set_equal(const RangeSet *a, const RangeSet *b);
/* Whether every number of `inner` is in `outer`. */
bool range_set_covers(const RangeSet *outer, const RangeSet *inner);
int range_set_intersect(Arena *a, const RangeSet *x, const RangeSet *y, RangeSet *ret);
/* What is in x and not in y. */
int range_set_subtract(Arena *a, const RangeSet *x, const RangeSet *y, RangeSet *ret);
