/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files that make messages of the table of bans share. */

#include "nft/ban_encode.h"

#define BAN_HITS_MS (UINT64_C(86400000) * BAN_COUNTED_DAYS)

void ban_put_value(struct nlmsghdr *h, uint16_t type, const void *value, size_t size);
/* A counter, as an expression of an element or of a rule, that begins there. */
void ban_put_counter(struct nlmsghdr *h, uint16_t type, uint64_t packets);
