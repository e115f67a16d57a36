/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Whom this host cannot do without: the gateways of its routes, and who answers its questions for
 * names. From /proc/net and resolv.conf. */

#include "base/address.h"
#include "host/tree.h"

#define NEIGHBOURS_MAX 1024 /* further ones are left out */

typedef struct Neighbour {
        Family family;
        U128 address;
        const char *what; /* "a gateway of this host's", "a name server of this host's" */
} Neighbour;

typedef struct Neighbours {
        Neighbour *items; /* in the tree's arena */
        size_t n_items;
} Neighbours;

/* Of the calling process's network namespace. What cannot be read gives none. 0 or -ENOMEM. */
int neighbours_read(const Tree *t, Neighbours *ret);
