/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The values of one field, as far as anybody tells them apart: an interval of values that no rule
 * and no claim cuts is one coordinate, so that an edge of a diagram costs the same for a port and
 * for an address of IPv6. All cuts come first, then axis_finish(), then coordinates. */

#include "base/range.h"
#include "proof/diagram.h"

#define AXIS_RECENT 64 /* a power of two */

typedef struct Axis {
        U128 *lows; /* the first value of each coordinate, ascending; the first one is 0 */
        size_t n_lows;
        U128 recent[AXIS_RECENT]; /* cuts that were made: most are made again and again */
} Axis;

/* Both ends of the range will be told apart from what lies beside it. 0 or -ENOMEM. */
int axis_cut(Arena *a, Axis *axis, Range r);
int axis_finish(Arena *a, Axis *axis);

uint32_t axis_coordinate(const Axis *axis, U128 value);
/* The values of a coordinate. */
Range axis_values(const Axis *axis, uint32_t coordinate);
/* The coordinates of one of n ranges of values, asked for one after the other: *at is 0 at first,
 * and tells where the search has come to. 0, or -EINVAL as below. */
int axis_range(const Axis *axis, Range r, size_t n, uint32_t *at, DiagramRange *ret);
/* The coordinates of ranges of values, which are ascending and disjoint. 0, -ENOMEM, or -EINVAL for
 * one whose ends were not cut: it would be taken for a larger one. */
int axis_ranges(Arena *a, const Axis *axis, const Range *items, size_t n, DiagramRange **ret);
