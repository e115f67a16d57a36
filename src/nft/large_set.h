/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Sets of so many ranges of addresses that it costs too much to list them: for each 32 KiB of an
 * answer the kernel walks an interval set from its beginning, so that a list takes the square of
 * the set's size (a minute for a million ranges). Single ranges are found in a moment. */

#include "nft/link.h"
#include "ruleset/ruleset.h"

#define LARGE_SET_MIN 16384  /* ranges; a list of fewer takes a few milliseconds */
#define LARGE_SET_SAMPLE 512 /* ranges, drawn by lot, that are asked for */

/* What the table was when it was written or read last: of large sets only that is asked for. What
 * is read may borrow the elements of its sets. All zero: nothing is known. */
typedef struct NftKnown {
        const Ruleset *ruleset;
        /* The kernel's, in which the large sets were just so; 0: in none. */
        uint32_t generation;
        /* So they were, too, as long as the table has been the link's own since. */
        bool if_owned;
} NftKnown;

bool large_set_is(const Set *set);

/* Whether it can be found out that a set of the kernel's, described as `live` without its elements,
 * holds what `known` does: not of all its ranges where the kernel does not tell their number. */
bool large_set_can_check(const Set *live, const Set *known, bool all);
/* 1 if it does, 0 if not, or a negative errno of the link. In `all`: of each range the kernel
 * answers where it begins, and that up to its end there is nothing else; the number says that there
 * is none besides. Else the same of a sample. */
int large_set_check(NftLink *link, const Set *live, const Set *known, bool all);
