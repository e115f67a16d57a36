/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The messages of the table of bans, and how its sets are called. */

#include "nft/ban_table.h"

#define BAN_KEY_MAX 24 /* bytes of a set's key */
#define BAN_SET_NAME_MAX 16

/* One of the sets, by what it holds. */
typedef struct BanSet {
        Family family;
        uint8_t prefix; /* that its keys are cut to */
        bool of_services;
} BanSet;

BanSet ban_set_of(const BanEntry *e);
/* "hosts4", "hosts6", "nets4-24", "services6". Returns buf. */
const char *ban_set_name(BanSet set, char buf[static BAN_SET_NAME_MAX]);
/* False: none of those. */
bool ban_set_parse(const char *name, BanSet *ret);
/* The bytes of the key; returns how many. */
size_t ban_key_put(BanSet set, const BanEntry *e, unsigned char key[static BAN_KEY_MAX]);
/* False: it cannot be one. */
bool ban_key_parse(BanSet set, const unsigned char *key, size_t size, BanEntry *ret);

/* The table without a flag is made if there is none, and left alone if there is. */
void ban_put_table(NftBatch *b, bool has_flags, uint32_t flags);
void ban_put_delete_table(NftBatch *b);
/* Chains, the sets of those who may not be banned, and the rules that ask them. */
void ban_put_ground(NftBatch *b);
/* A set, and the rules of both directions that ask it. */
void ban_put_set(NftBatch *b, BanSet set);
/* Those of the entries that belong to the set, or takes them away. What may be there is removed
 * first, for kernels before 6.12 keep the end of what is added again. */
void ban_put_elements(
        NftBatch *b, BanSet set, const BanEntry *entries, size_t n, bool removes, bool counted);
/* "hits4", "hits6": the packets of hosts. Returns buf. */
const char *ban_hits_name(Family family, char buf[static BAN_SET_NAME_MAX]);
bool ban_set_is_of_hosts(BanSet set);
/* Forgets what was counted of those of the entries that begin anew, or of all. */
void ban_put_no_hits(NftBatch *b, Family family, const BanEntry *entries, size_t n, bool all);
/* Counts what was counted before. */
void ban_put_hits(NftBatch *b, Family family, const BanFound *hits, size_t n);
/* Instead of those that there were. 0 or -ENOMEM. */
int ban_put_never(NftBatch *b, const BanRange *never, size_t n);
