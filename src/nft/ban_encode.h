/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The messages of the table of bans, which is the batch's `table`. */

#include "nft/ban_set.h"

/* The table without a flag is made if there is none, and left alone if there is. */
void ban_put_table(NftBatch *b, bool has_flags, uint32_t flags);
void ban_put_delete_table(NftBatch *b);
/* Chains, the sets of those who may not be banned, and the rules that ask them. Chains and sets
 * that are there stay; rules are added. */
void ban_put_ground(NftBatch *b);
/* A set, which stays if it is there, and the rules of both directions that ask it. */
void ban_put_set(NftBatch *b, BanSet set);
/* All rules go. */
void ban_put_no_rules(NftBatch *b);
void ban_put_no_set(NftBatch *b, const char *name);
void ban_put_no_chain(NftBatch *b, const char *name);

/* As sets of the table are made. */
typedef struct BanShape {
        uint32_t flags, type, size, elements_max; /* size of a key, bytes; 0: no such limit */
} BanShape;

/* False: no set of the table has that name. */
bool ban_shape_parse(const char *name, BanShape *ret);
/* The same of chains. */
bool ban_chain_parse(const char *name, bool *ret_is_base);

/* Those of the entries that belong to the set, or takes them away. What may be there is removed
 * first, for kernels before 6.12 keep the end of what is added again. */
void ban_put_elements(
        NftBatch *b, BanSet set, const BanEntry *entries, size_t n, bool removes, bool counted);
/* Forgets what was counted of those of the entries that begin anew, or of all. */
void ban_put_no_hits(NftBatch *b, Family family, const BanEntry *entries, size_t n, bool all);
/* Counts what was counted before. */
void ban_put_hits(NftBatch *b, Family family, const BanFound *hits, size_t n);
/* Instead of those that there were. 0 or -ENOMEM. */
int ban_put_never(NftBatch *b, const BanRange *never, size_t n);
