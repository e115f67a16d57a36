/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Another program changes the rules faster than they can be put right at a cost that can be borne
 * (guard/pace.h): a table beside ours shuts the host until that ends. At first it admits the rescue
 * path alone, which takes no time; where nobody else can change that table, it then gets the whole
 * of the rules that should be in force. */

#include <time.h>

#include "daemon/daemon.h"

/* CLOCK_MONOTONIC, in microseconds. */
static inline uint64_t drift_now(void) {
        struct timespec t = {0};

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

typedef enum SiegeReason {
        SIEGE_CHANGES, /* others change the rules faster than it is worth putting them right */
        SIEGE_STUCK,   /* they cannot be put right */
} SiegeReason;

/* Makes what it takes, so that it can come at once. Costs nothing if that is there. */
void siege_prepare(Daemon *d);
/* Shuts the host; false if that cannot be done. since: from when on it may have been open. */
bool siege_begin(Daemon *d, SiegeReason reason, uint64_t since);
/* Rules and elements of a policy that is kept so; of more, the rescue path alone stays open. */
#define SIEGE_KEPT_MAX 16384
/* While the host is shut, what should be in force is something else by now (is_other); or bans have
 * changed, or some time has passed. */
void siege_follow(Daemon *d, bool is_other);
/* Others have changed something meanwhile: what they can take away is put there again. */
void siege_go_on(Daemon *d);
/* Nobody does any more, and the rules are right; or there are none to be right. */
void siege_end(Daemon *d);
/* What a daemon before this one may have left is taken away. */
void siege_end_anothers(Daemon *d);
void siege_done(Daemon *d);
