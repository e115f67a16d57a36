/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The table `inet ringwall_bans`: who is shut out, before connection tracking and so before
 * everything else, this host's own services as well as containers and what is routed. It only ever
 * drops: whatever is wrong with it opens nothing. It is there only while somebody is banned.
 *
 * Each length of prefix has a hash set of its own, so that a ban costs the same however many there
 * are; bans of single services a set of address, protocol and dialled port. Elements end by
 * themselves. What is sent to a banned address is dropped, too, so that a connection that is open
 * dies at once whoever speaks next. Both directions ask first a set, and only for those found in it
 * who may never be banned. */

#include "base/address.h"
#include "nft/link.h"

#define BAN_TABLE "ringwall_bans"               /* family inet */
#define BAN_TABLE_BESIDE "ringwall_bans_beside" /* while a large one is made anew */
static inline bool ban_table_is(const char *name) {
        return streq(name, BAN_TABLE) || streq(name, BAN_TABLE_BESIDE);
}
#define BAN_TIMEOUT_MAX_MS (UINT64_C(3155760000) * 1000) /* 100 years */
#define BAN_PREFIXES_MAX 14 /* lengths of prefix of a family; each costs a look-up */
/* Packets are counted of so many banned hosts at a time, of each family, and of so many networks
 * and services: a counter takes memory of every processor's, and three times as long as a ban.
 * Those of a host begin with its first packet; they go when none has come for so many days. */
#define BAN_COUNTED_MAX 65536
#define BAN_COUNTED_DAYS 30

/* A host is 10.0.0.1/32, or an IPv6 network of 64 bits. Of services only hosts. */
typedef struct BanEntry {
        U128 address;        /* bits behind the prefix are zero */
        uint64_t timeout_ms; /* from now on; 0: for ever; at most BAN_TIMEOUT_MAX_MS */
        Family family;
        uint16_t port;    /* that is dialled; if protocol is not 0 */
        uint8_t prefix;   /* 1 to 32 or 128 */
        uint8_t protocol; /* IPPROTO_...; 0: everything */
        bool is_there;    /* of what is added: the kernel may hold it already; its end is changed */
        bool begins_anew; /* of a host that is added: packets of an earlier ban may be counted */
        uint64_t packets; /* of a network or service that is added: that are counted already */
} BanEntry;

/* Who is never dropped, whatever the sets say. */
typedef struct BanRange {
        Family family;
        Range range;
} BanRange;

/* As the kernel tells. */
typedef struct BanFound {
        BanEntry entry; /* timeout_ms: what is left of it */
        bool is_counted;
        uint64_t packets; /* that were dropped, of both directions */
} BanFound;

#define BAN_PART_MAX 32768

typedef struct BanTable BanTable;

/* Borrows the link, whose socket becomes the table's owner. */
BanTable *ban_table_new(NftLink *link);
/* For tests: instead of BAN_PART_MAX. */
void ban_table_set_part(BanTable *t, size_t n);
BanTable *ban_table_free(BanTable *t); /* accepts NULL, returns NULL; the kernel keeps its table */

/* All of these are one transaction and return 0, or a negative errno after which nothing has
 * changed, but for -ETIMEDOUT and -ENOBUFS: nobody knows. -EPERM: another program owns the table.
 */

/* Makes the table hold just these, whatever there was; none: removes it. flags: TABLE_OWNER,
 * TABLE_PERSIST. never: in any order. -E2BIG past BAN_PREFIXES_MAX. Up to BAN_PART_MAX entries are
 * one transaction; more are none, for the kernel needs 15 KiB for each element of a transaction
 * while anybody listens (nft_link_set_hear()):
 * - Where there is no table, they come into it in parts, each of which shuts out more than there
 *   was before; an error leaves some of them.
 * - In a table that there is, the rules are written anew, and the entries asked for one by one:
 * what differs is sent in parts. That is believed if the kernel counts as many as there should be.
 * - Else BAN_TABLE_BESIDE is made like it, and shuts out all of them until the table is made anew;
 * an error leaves it. */
int ban_table_replace(BanTable *t,
                      uint32_t flags,
                      const BanEntry *entries,
                      size_t n_entries,
                      const BanRange *never,
                      size_t n_never);
/* To a table that ban_table_replace() has made. Dropping what is not there is no error. -ENOENT:
 * somebody has removed the table or something of it. */
int ban_table_change(
        BanTable *t, const BanEntry *add, size_t n_add, const BanEntry *drop, size_t n_drop);
int ban_table_set_never(BanTable *t, const BanRange *never, size_t n_never);
int ban_table_remove(BanTable *t);

/* Before one of these: finds out what is counted of those of the entries that are no hosts, of all
 * or of those that are there. Of hosts the count is kept by itself, as far as the kernel has a
 * table. */
void ban_table_recall(BanTable *t, BanEntry *entries, size_t n, bool all);

/* Whether ban_table_replace() has made a table, and nothing has removed it since as far as is known
 * here. */
bool ban_table_is_made(const BanTable *t) _pure_;

/* Asks the kernel for one. 1, 0 (it is not there, or over), or a negative errno. */
int ban_table_find(BanTable *t, const BanEntry *key, BanFound *ret);
/* How many there are as the kernel counts them, ended ones that it has not collected included. 1;
 * 0: it does not count (before 6.17); or a negative errno. */
int ban_table_count(BanTable *t, uint64_t *ret);
/* Hands over all of them. The kernel begins at the front of the set for each part of its answer:
 * 65,536 take 0.2 s, a million 50 s (6.18). Also of a table that another program or an earlier one
 * has made. 0, also without a table; what take returned if negative; or a negative errno. */
int ban_table_read(BanTable *t, int (*take)(const BanFound *f, void *to), void *to);

static inline void ban_table_freep(BanTable **t) {
        (void)ban_table_free(*t);
}
