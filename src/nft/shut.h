/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A second table, for a while, that shuts what another program keeps open: whatever becomes of the
 * rules, what this one drops is dropped. Where the kernel knows owners (Linux 5.12) it belongs to
 * the link's socket, and nobody else can change it or take it away. It does not persist: it goes
 * with the socket. */

#include "nft/link.h"

#define SHUT_TABLE "ringwall_shut" /* family inet */

/* Puts rs there, in place of what may be there. 1: nobody else can take it away; 0: everybody can;
 * -EBADMSG: the kernel refuses it, or another program has it; or a negative errno. */
int nft_shut(NftLink *link, const Ruleset *rs);
/* Takes it away. 0 or a negative errno. */
int nft_unshut(NftLink *link);
/* Likewise if this link's socket has made one before, by whomever it was held. */
int nft_unshut_if_any(NftLink *link);
