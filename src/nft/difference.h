/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* From the table as it is to the table as it shall be: the messages of one transaction. Pure: it
 * sends nothing. Base chains that are wanted are kept and refilled, because a base chain that is
 * made anew lets packets through for a moment. */

#include "nft/batch.h"

typedef struct NftChanges {
        bool table_created;
        size_t chains_added, chains_removed, chains_refilled;
        size_t sets_added, sets_removed;
        size_t elements_added, elements_removed; /* those of sets that are refilled, too */
        size_t rules_added, rules_removed;
        size_t messages; /* 0: the kernel was left alone */
} NftChanges;

/* Adds to the batch what turns live into desired; nothing if they are equal. empties_maps: the
 * elements of a map that goes are taken out first, see nft_apply(). 0 or -ENOMEM; other errors stay
 * in the batch. Both Rulesets must outlive the batch. */
int difference_encode(NftBatch *b,
                      const Ruleset *live,
                      const Ruleset *desired,
                      bool empties_maps,
                      NftChanges *ret);

/* Whether a table that sleeps is to be woken in a transaction of its own: since Linux 6.9
 * (and 6.1.85) nf_tables_newchain() and nft_table_pending_update() let no base chain come or go
 * together with that. 1 or 0, or -ENOMEM. */
int difference_wakes_first(const Ruleset *live, const Ruleset *desired);
/* Adds what wakes it, and nothing else; live has its flags then. */
void difference_encode_wake(NftBatch *b, Ruleset *live, const Ruleset *desired);

/* Adds to the batch what makes every rule and every element as in desired, whatever they are. The
 * kernel refuses it unless there are the table and desired's sets and limits; what else there is
 * stays. Errors stay in the batch; desired must outlive it. */
void difference_encode_refill(NftBatch *b, const Ruleset *desired);
