/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* When several IPv6 networks of one neighbourhood are banned, so is the neighbourhood: step by
 * step, /128, /64, /56, /48, never beyond a cap. Pure; who is banned is told by the caller. */

#include "ban/ban.h"

#define WIDEN_COUNT 4           /* networks of one step that make the next */
#define WIDEN_JAIL "(widened)"  /* whose the bans are that come of it */
#define WIDEN_SOURCE "ringwall" /* what found them */

/* The network of the next step around the key, if bans may be widened to it: false if the key is
 * at the cap, is of IPv4, of single services, or has another length than the steps. */
bool widen_step(const BanEntry *key, unsigned int cap, BanEntry *ret);

/* The different networks of `length` bits among those that were told, up to WIDEN_COUNT. */
typedef struct Widening {
        BanEntry around; /* of widen_step() */
        uint8_t length;  /* of the networks that count: the key's */
        BanEntry found[WIDEN_COUNT];
        size_t n_found;
} Widening;

/* Takes a ban, in any order, more than once perhaps. True once there are enough. */
bool widen_take(Widening *w, const BanEntry *ban);

/* "4 networks of it are banned: 2001:db8:0:1::/64, ...". Of a, or NULL without memory. */
const char *widen_reason(Arena *a, const Widening *w);
