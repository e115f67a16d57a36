/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a jail or a program may ask for, so that one that goes mad shuts out no more than it can:
 * so many bans at once, then so many a second, and a share of all that are kept. Pure: times are
 * CLOCK_MONOTONIC's microseconds, told by the caller. */

#include "ban/ban.h"

#define LIMITS_BURST 10000   /* bans at once: a jail that brings its bans back after a restart */
#define LIMITS_PER_SECOND 10 /* after that */
#define LIMITS_COST_MAX 1000 /* of one network */
#define LIMITS_SHARE 4       /* of all bans that are kept, one of so many parts is one jail's */
#define LIMITS_CALLERS_MAX                                                                         \
        256 /* jails and programs that are told apart; who asked least lately                      \
             * is forgotten for a new one */
#define LIMITS_RECOUNT_USEC (10 * INT64_C(1000000))

typedef struct LimitedCaller {
        char name[BAN_NAME_MAX + 1];
        int64_t left_micro; /* millionths of a ban that may be asked for now */
        int64_t last_usec;
        bool is_counted;
        int64_t n_bans, counted_usec; /* at most so many are its own, and as of when */
        bool is_told;                 /* that it asks for too many; until it may again */
} LimitedCaller;

typedef struct Limits {
        LimitedCaller callers[LIMITS_CALLERS_MAX];
        size_t n_callers;
} Limits;

/* For how many bans a ban of the key counts: an IPv4 network as many times as it has /24, an IPv6
 * one as many times as it has /48. */
int64_t limits_cost(const BanEntry *key) _pure_;

/* Its record, brought up to now. */
LimitedCaller *limits_find(Limits *l, const char *name, int64_t now_usec);

/* Charges it. 0, or in how many seconds it may ask for that. */
int64_t limits_take(LimitedCaller *c, int64_t cost);

/* Whether it may have one more, as far as is known: n_all bans are there, of `max`. -EAGAIN: its
 * own have to be counted first (LimitedCaller.n_bans, and limits_note_count()). 0: no. 1: yes. */
int limits_may_have(const LimitedCaller *c, int64_t n_all, int64_t max, int64_t now_usec) _pure_;
void limits_note_count(LimitedCaller *c, int64_t n, int64_t now_usec);
