/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Interfaces that stand in another network namespace and hang on one of ours: a container's
 * macvlan. Only that namespace tells of them, so it is entered, by a thread that ends there. */

#include "nft/routes.h"

typedef struct ForeignLink {
        uint32_t parent; /* index of ours that it hangs on */
        char name[ROUTES_NAME_MAX];
        char kind[ROUTES_KIND_MAX]; /* "macvlan", "ipvlan", "macvtap", "ipvtap" */
} ForeignLink;

/* Appends those of the namespace that the descriptor is of. own: a descriptor of ours. 0, -EPERM
 * without CAP_SYS_ADMIN, -ENOMEM, ... */
int foreign_links_read(Arena *a, int namespace, int own, ForeignLink **list, size_t *n);
