/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Tables with an owner: the netlink socket that made or adopted them, to which alone the kernel
 * then lets anything be written (include/uapi/linux/netfilter/nf_tables.h, net/netfilter/
 * nf_tables_api.c). With `persist` such a table outlives its socket; it then belongs to nobody, and
 * the next socket can adopt it. Owner alone would take the rules away with the socket. */

#include "nft/link.h"

/* Flags of a table that the headers may be too old for. */
#define TABLE_DORMANT (1U << 0) /* NFT_TABLE_F_DORMANT: its rules judge nothing */
#define TABLE_OWNER (1U << 1)   /* NFT_TABLE_F_OWNER, Linux 5.12 */
#define TABLE_PERSIST (1U << 2) /* NFT_TABLE_F_PERSIST, Linux 6.9 */

/* Whether the kernel knows tables that are owned and persist. It is found out by making one that
 * sleeps, in a transaction of its own, and removing it in the next. 1, 0, or a negative errno. */
int nft_probe_owner(NftLink *link);

#define TRACK_TABLE "ringwall_track"

/* Keeps conntrack at work whatever becomes of all other tables: it is there as long as some rule
 * needs it, and a connection that is made without it is known to nobody afterwards. So a table that
 * the link owns, and that no packet ever sees, holds such a rule (nft_ct_get_init() of
 * net/netfilter/ nft_ct.c takes a reference for it). It goes with the link's socket. 0, also if it
 * is there already, or a negative errno: -EBADMSG where the kernel knows no owners (before
 * Linux 5.12). */
int nft_keep_tracking(NftLink *link);
