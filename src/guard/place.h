/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Where an address is, seen from this host. */

#include "nft/routes.h"

/* Of an address: whether it is this host's own, and behind which interface it is. */
typedef struct Place {
        bool is_own;
        const char *interface; /* NULL: none that is known */
} Place;

/* By the narrowest route that is on link, else by the default route: what is behind another
 * gateway is taken for what is behind the default one, as nothing else is known of it. */
Place place_find(const HostNet *net, Family family, U128 address);
