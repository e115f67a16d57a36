/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Of the table as it was known, the part that was touched since: what is to be read, and put right,
 * where the rest is as it was. Large sets are not listed (is_unlisted), but filled anew. The whole
 * of it costs too much while something is wrong. */

#include "nft/link.h"
#include "nft/touched.h"

/* Reads it once. A table that is gone is so as a whole. The rules and elements in *ret may lead to
 * what is known, and borrow that. -EAGAIN if something changed meanwhile; else as nft_read(). Not
 * steady: it may, and *ret is of no generation, so that whoever applies something to it does not
 * ask whether it is still so. */
int part_read(NftLink *link,
              Arena *a,
              const Ruleset *known,
              const Touched *touched,
              bool steady,
              Ruleset **ret);
/* The same part of rs, which is borrowed. NULL without memory. */
Ruleset *part_of(Arena *a, const Ruleset *rs, const Touched *touched);
/* Adds what nobody touched, as it is known, to what was read: then it is all of the table. 0 or
 * -ENOMEM. */
int part_complete(Ruleset *live, const Ruleset *known, const Touched *touched);
