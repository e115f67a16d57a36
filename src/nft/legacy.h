/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The tables of the old iptables, which nf_tables does not show (ip_tables, ip6_tables;
 * include/uapi/linux/netfilter_ipv4/ip_tables.h). Only the names of their targets are read: they
 * tell whether a table can do more than refuse. Needs CAP_NET_ADMIN. */

#include "base/address.h"
#include "base/arena.h"

#define LEGACY_TABLE_MAX 32                  /* bytes of a table's name, NUL included */
#define LEGACY_SIZE_MAX ((uint32_t)64 << 20) /* bytes of a table that are read */

#define LEGACY_DIGEST_MAX ((uint32_t)256 << 10) /* likewise, by legacy_digest() */

typedef struct LegacyTable {
        size_t n_rules;     /* those of chains' policies not among them */
        bool may_refuse;    /* a rule or a policy of it; else all passes as if it were not there */
        const char *target; /* the first one that could let a packet in: "DNAT"; or NULL */
} LegacyTable;

/* Reads a table that /proc/net/ip_tables_names (or ip6_) lists: asking for another one would make
 * it. 0; -EPERM; -ENOENT if it has gone; -EFBIG past LEGACY_SIZE_MAX; -ENOMEM, ... */
int legacy_read(Arena *a, Family family, const char *table, LegacyTable *ret);

/* Mixes into *hash what the table holds, but for what its rules have counted: of tables larger than
 * LEGACY_DIGEST_MAX how many entries there are, and of which size. fd: any socket of the family.
 * Errors as above; *hash is untouched then. */
int legacy_digest(int fd, Family family, const char *table, uint64_t *hash);

/* Walks over the entries of such a table. 0 or -EPROTO. The target's name is a copy. */
int legacy_parse(Arena *a, Family family, const void *entries, size_t size, LegacyTable *ret);
