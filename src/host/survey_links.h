/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The survey's networks. Private to survey.c. */

#include "host/survey.h"
#include "nft/networks.h"

/* Fills in links and has_kubernetes; networks must be there. Those whose names could not stand in a
 * policy are left out. 0 or -ENOMEM. */
int survey_read_links(Arena *a, const Policy *catalogue, const HostNet *net, Survey *s);
/* The name of the link by which the address is reached; NULL if there is none. */
const char *survey_route(const HostNet *net, Family family, U128 address);
