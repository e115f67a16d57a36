/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Shared by the files that make up rival.h. */

#include "cli/program.h"
#include "cli/rival.h"

#define RIVAL_SYSTEMCTL "/usr/bin/systemctl"
#define RIVAL_NFT "/usr/sbin/nft"
#define RIVAL_FIREWALL_CMD "/usr/bin/firewall-cmd"
#define RIVAL_UFW "/usr/sbin/ufw"
#define RIVAL_RECORD "record"
#define RIVAL_TABLES "nftables.nft" /* what nftables.service's tables were, for nft -f */

/* "firewalld.service"; of those that are units. */
const char *rival_unit(TakeoverRival rival);

/* Loads a file in a network namespace of its own that ends with this; *ret (or NULL) is what it
 * makes. *ret_wrong: why nft refuses it. 0 or a negative errno. */
int rival_try(Arena *a, const char *file, World **ret, const char **ret_wrong);

int rival_write_record(const Rivals *x);
