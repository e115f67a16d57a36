/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* How much is done against a program that changes the rules again and again. While looking and
 * putting them right costs less than a quarter of a processor, and they stand as they should for
 * three quarters of the time, it is done at once, each time. Beyond that the host is shut
 * (nft/shut.h), and they are put right once nobody has changed them for a while. It stays shut
 * until nobody has changed them for as long once more: who empties them finds nothing to do while
 * they are empty. Each time that somebody does it takes longer. Pure; times are CLOCK_MONOTONIC, in
 * microseconds. */

#include <stdbool.h>
#include <stdint.h>

#define PACE_SHARE 4                         /* one of so many processors' time, on the average */
#define PACE_BURST_USEC UINT64_C(100000)     /* that may be spent at once */
#define PACE_CALM_USEC UINT64_C(100000)      /* nobody has changed anything for so long */
#define PACE_CALM_MAX UINT64_C(3200000)      /* likewise, at most */
#define PACE_RELAPSE_USEC UINT64_C(10000000) /* again within so long: it takes twice as long */

typedef struct Pace {
        uint64_t spent_usec, seen_usec; /* what has not been made up for yet, at that time */
        uint64_t change_usec;           /* others' latest change while it is shut */
        uint64_t calm_usec;
        uint64_t right_usec; /* since when the rules have been right while it is shut; 0: they are
                                not */
        uint64_t since_usec, end_usec; /* since when it is shut, 0: it is not; and was last */
        uint64_t n_shut;               /* how often */
        uint64_t n_changes;            /* others' while it is shut, or was last */
} Pace;

/* So much of a processor's time was spent, or they were not as they should be for so long. */
void pace_spend(Pace *p, uint64_t now, uint64_t usec);
/* Whether more than may be has been, with so much that will have to be added. */
bool pace_is_over(Pace *p, uint64_t now, uint64_t more);

void pace_shut(Pace *p, uint64_t now);
void pace_open(Pace *p, uint64_t now);
static inline bool pace_is_shut(const Pace *p) {
        return p->since_usec != 0;
}

/* Somebody has changed something. */
void pace_note(Pace *p, uint64_t now);
/* While it is shut: for how long everybody has to be calm before it is worth putting right; 0: they
 * were. */
uint64_t pace_wait(const Pace *p, uint64_t now);
/* While it is shut the rules are right: for how long they have to stay so; 0: they have. */
uint64_t pace_right(Pace *p, uint64_t now);
