/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the kernel tells of the table of bans. */

#include "nft/ban_encode.h"

typedef struct BanDecoder {
        BanSet set; /* that the elements are of */
        int (*take)(const BanFound *f, void *to);
        void *to;
        size_t n; /* that were taken */
} BanDecoder;

/* The name of the set in one of a list of sets; NULL: there is none. */
const char *ban_decode_set_name(const struct nlmsghdr *h);
/* How many elements the kernel says that it has; false: a kernel before 6.17, which does not. */
bool ban_decode_count(const struct nlmsghdr *h, uint32_t *ret);
/* Hands over each element of messages of a dump, or of one answer. What is over, and what could be
 * none of ours, is passed over. 0, or what take returned if negative. */
int ban_decode_elements(BanDecoder *d, const void *bytes, size_t size);
/* A `take` that keeps what it is given in the BanFound that `to` is. */
int ban_decode_one(const BanFound *f, void *to);
