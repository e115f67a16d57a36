/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/axis.h"

#define FAR 64    /* ranges from which walking along the axis is cheaper than searching it */
#define MANY 1024 /* cuts */
#define SMALL_MAX (65536 + 64) /* values: ports, and what lies behind the last */

/* Neighbours of a sorted list share a cut, and so do rules that ask for the same. Every axis begins
 * with 0, which is what an empty place says, too. */
static bool add(Arena *a, Axis *axis, U128 low) {
        uint64_t hash = (low.low ^ low.high) * UINT64_C(0x9e3779b97f4a7c15);
        U128 *known = &axis->recent[(hash >> 56) % AXIS_RECENT];

        if (u128_equal(*known, low))
                return true;
        *known = low;
        return arena_append(a, axis->lows, axis->n_lows, low);
}

int axis_cut(Arena *a, Axis *axis, Range r) {
        if (!add(a, axis, r.low))
                return -ENOMEM;
        return u128_equal(r.high, U128_MAX) || add(a, axis, u128_next(r.high)) ? 0 : -ENOMEM;
}

static int compare(const void *a, const void *b) {
        const U128 *x = a, *y = b;

        return u128_compare(*x, *y);
}

/* Ports and such, where there are many, without comparing them: each is a bit. */
static void sort_small(Axis *axis) {
        uint64_t seen[SMALL_MAX / 64] = {0};
        size_t n = 0;

        for (size_t i = 0; i < axis->n_lows; i++)
                seen[axis->lows[i].low / 64] |= UINT64_C(1) << axis->lows[i].low % 64;
        for (uint64_t i = 0; i < ARRAY_SIZE(seen); i++)
                for (uint64_t bits = seen[i]; bits != 0; bits &= bits - 1)
                        axis->lows[n++] = u128(i * 64 + (unsigned int)__builtin_ctzll(bits));
        axis->n_lows = n;
}

static bool is_small(const Axis *axis) {
        for (size_t i = 0; i < axis->n_lows; i++)
                if (axis->lows[i].high != 0 || axis->lows[i].low >= SMALL_MAX)
                        return false;
        return true;
}

static bool is_ascending(const Axis *axis) {
        for (size_t i = 1; i < axis->n_lows; i++)
                if (u128_compare(axis->lows[i - 1], axis->lows[i]) >= 0)
                        return false;
        return true;
}

int axis_finish(Arena *a, Axis *axis) {
        size_t n = 0;

        if ((axis->n_lows == 0 || !u128_is_zero(axis->lows[0])) &&
            !arena_append(a, axis->lows, axis->n_lows, U128_ZERO))
                return -ENOMEM;
        if (axis->n_lows >= MANY && is_small(axis))
                sort_small(axis);
        else if (!is_ascending(axis))
                qsort(axis->lows, axis->n_lows, sizeof(axis->lows[0]), compare);
        for (size_t i = 0; i < axis->n_lows; i++)
                if (n == 0 || !u128_equal(axis->lows[i], axis->lows[n - 1]))
                        axis->lows[n++] = axis->lows[i];
        axis->n_lows = n;
        return n > UINT32_MAX / 2 ? -E2BIG : 0;
}

uint32_t axis_coordinate(const Axis *axis, U128 value) {
        size_t low = 0, high = axis->n_lows - 1;

        while (low < high) {
                size_t middle = low + (high - low + 1) / 2;

                if (u128_compare(axis->lows[middle], value) <= 0)
                        low = middle;
                else
                        high = middle - 1;
        }
        return (uint32_t)low;
}

Range axis_values(const Axis *axis, uint32_t coordinate) {
        size_t next = (size_t)coordinate + 1;

        return (Range){axis->lows[coordinate],
                       next < axis->n_lows ? u128_previous(axis->lows[next]) : U128_MAX};
}

/* The coordinate of a value that lies at or behind `from`. */
static uint32_t walk(const Axis *axis, uint32_t from, U128 value) {
        while (from + 1 < axis->n_lows && u128_compare(axis->lows[from + 1], value) <= 0)
                from++;
        return from;
}

int axis_range(const Axis *axis, Range r, size_t n, uint32_t *at, DiagramRange *ret) {
        bool is_last = u128_equal(r.high, U128_MAX);
        bool walks = n >= FAR && *at > 0;

        *at = walks ? walk(axis, *at, r.low) : axis_coordinate(axis, r.low);
        ret->low = *at;
        *at = n >= FAR ? walk(axis, *at, r.high) : axis_coordinate(axis, r.high);
        /* the last coordinate reaches to the end of them all */
        ret->high = is_last ? UINT32_MAX : *at;
        if (!u128_equal(axis->lows[ret->low], r.low) ||
            (!is_last && !u128_equal(axis_values(axis, *at).high, r.high)))
                return -EINVAL;
        return 0;
}

int axis_ranges(Arena *a, const Axis *axis, const Range *items, size_t n, DiagramRange **ret) {
        DiagramRange *ranges = arena_alloc_array(a, MAX(n, 1UL), sizeof(*ranges));
        uint32_t at = 0;

        if (!ranges)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (axis_range(axis, items[i], n, &at, &ranges[i]) < 0)
                        return -EINVAL;
        *ret = ranges;
        return 0;
}
