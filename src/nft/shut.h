/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A second table, for a while, that shuts what another program keeps open: whatever becomes of the
 * rules, what this one drops is dropped. Where the kernel knows owners (Linux 5.12) it belongs to
 * the link's socket, and nobody else can change it or take it away. It does not persist: it goes
 * with the socket. */

#include "nft/link.h"

#define SHUT_TABLE "ringwall_shut" /* family inet */
#define SHUT_NAME_SIZE 32          /* bytes, with its NUL */

/* Puts rs there, in place of what may be there. *name is where it was put last, or empty; and
 * where it is now: SHUT_TABLE, or where another program owns that, SHUT_TABLE with a number behind
 * it that nobody can know before. 1: nobody else can take it away; 0: everybody can; -EBADMSG: the
 * kernel refuses it; or a negative errno. */
int nft_shut(NftLink *link, const Ruleset *rs, char name[static SHUT_NAME_SIZE]);
/* Takes it away. 0 or a negative errno. */
int nft_unshut(NftLink *link, const char *name);
/* Likewise if this link's socket has made one before, by whomever it was held. */
int nft_unshut_if_any(NftLink *link);
/* Whether nft_shut() may give a table that name. */
bool nft_is_shut_table(const char *name);
