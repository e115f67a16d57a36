/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Takes tables of another program out of the kernel, for whoever was told to: none of ringwall's
 * own. */

#include "nft/link.h"

typedef struct NftTableName {
        uint8_t family; /* NFPROTO_... */
        const char *name;
} NftTableName;

/* All of them in one transaction, if the kernel's rules are still of that generation. 0; -EAGAIN:
 * they are not, and nothing has changed; -EPERM: another program owns one of them; else what the
 * kernel said. */
int nft_remove_tables(NftLink *link, const NftTableName *tables, size_t n, uint32_t generation);
