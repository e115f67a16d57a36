/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of the table of bans share. */

#include "nft/ban_encode.h"

#define PREFIX_MAX 128

struct BanTable {
        NftLink *link; /* borrowed */
        const char *name;
        size_t part; /* BAN_PART_MAX */
        bool is_made;
        bool has_set[_FAMILY_MAX][PREFIX_MAX + 1], has_services[_FAMILY_MAX];
        size_t n_counted; /* at most so many elements have a counter */
};

/* The sets that entries need, in the order of their first ones. */
typedef struct Needed {
        BanSet sets[2 * PREFIX_MAX + 4];
        size_t counts[2 * PREFIX_MAX + 4]; /* of the entries */
        size_t n;
} Needed;

NftBatch *ban_table_batch(const BanTable *t); /* NULL without memory */
/* Ends and sends it. 0, what the kernel refused it with, or what happened to the link. */
int ban_table_send(BanTable *t, NftBatch *b);
/* Sets that are lacking, and the rules that ask the needed ones. 0 or -E2BIG. */
int ban_table_put_needed(BanTable *t, NftBatch *b, const Needed *needed);
/* CLOCK_MONOTONIC, milliseconds. */
uint64_t ban_table_now(void);
/* In parts, each with what is left then of timeouts that began at begin_msec. */
int ban_table_add(BanTable *t, const BanEntry *entries, size_t n, uint64_t begin_msec);

/* ban_match.c: makes a table that the kernel has, with more than a few entries, hold just these, by
 * asking for each of them and sending what differs. made: as ban_table_replace() would leave it. 1:
 * it does; 0: it has to be made anew, for nobody can tell whether it does, or it cannot be put
 * right; or a negative errno. */
int ban_table_match(BanTable *made,
                    uint32_t flags,
                    const BanEntry *entries,
                    size_t n,
                    const Needed *needed,
                    const BanRange *never,
                    size_t n_never);
