/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What ringwall asks of a kernel, piece by piece, for who wants to tell the operator. What the
 * compiler must know is in probe.h. */

#include "nft/link.h"

typedef struct Ability {
        const char *id;     /* "log" */
        const char *name;   /* "logging to a group" */
        const char *lack;   /* what happens without it */
        const char *advice; /* where to get it from */
        bool is_needed;     /* without it, no policy can be loaded */
        bool is_there;
} Ability;

/* All of them, in the order of a table; kept in the arena, the texts are borrowed. Nothing is
 * committed, so no packet and no other program notices, but the kernel may load modules of its own.
 * -EPERM without CAP_NET_ADMIN, -ENOMEM; else errors as of nft_link_send(). */
int nft_probe_abilities(NftLink *link, Arena *a, Ability **ret, size_t *ret_n);
