/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Who may never be banned, and why: who would lock out the host's own people, its own traffic, or
 * everybody behind one address. */

#include "ban/ban.h"

typedef struct NeverRange {
        Family family;
        Range range;
        const char *why; /* "this host's own address": behind "is" */
} NeverRange;

typedef struct Never {
        NeverRange *items; /* in an arena */
        size_t n_items;
        RangeSet said[_FAMILY_MAX]; /* by the policy, bans.never; normalised */
} Never;

/* What holds on every host: loopback, link-local, multicast, the unspecified address. 0 or -ENOMEM.
 */
int never_add_always(Arena *a, Never *never);
int never_add(Arena *a, Never *never, Family family, Range range, const char *why);

/* The first that a ban of the key would touch; false: none. */
bool never_find(const Never *never, const BanEntry *key, NeverRange *ret);
/* Whether all of the key is among them, so that a ban of it would shut out nobody; and why. */
bool never_covers(const Never *never, const BanEntry *key, NeverRange *ret);

/* Why the key may not be banned, for people: it touches one of those, or is wider than the prefix
 * of its family may be; NULL if it may. Of a. -ENOMEM is NULL and *ret_r. */
const char *never_refuse(Arena *a,
                         const Never *never,
                         const unsigned int widest[static _FAMILY_MAX],
                         const BanEntry *key,
                         int *ret_r);
