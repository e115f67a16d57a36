/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Rules by the thousand look at the same few values, so sets without a name are shared by all that
 * have the same ranges. Private to ruleset.c. */

#include "ruleset/ruleset.h"

/* The hash stands beside the set: most places that are looked at hold another one. */
typedef struct PooledSet {
        uint64_t hash;
        Set *set;
} PooledSet;

/* A table with open addressing, never more than half full. */
struct SetPool {
        PooledSet *places;
        size_t size; /* a power of two, or 0 */
        size_t n_sets;
};

/* Where the set with these ranges, normalised, is; NULL stands there if it has yet to be made: the
 * caller puts it there, and counts it. NULL without memory. */
Set **set_pool_find(Ruleset *rs, TypeId type, const RangeSet *ranges);
