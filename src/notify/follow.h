/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The daemon's stream of events, over its restarts. */

#include "notify/alert.h"
#include "rpc/client.h"

#define FOLLOW_RETRY_USEC                                                                          \
        (UINT64_C(1) * 1000000) /* until a daemon that is gone is looked for again */

typedef struct Follow {
        const char *path;    /* of the control socket */
        RpcClient *client;   /* owned; NULL: there is no connection */
        uint64_t retry_usec; /* CLOCK_MONOTONIC: not before */
        int failure;         /* the last one, which has been said; 0: none */
} Follow;

/* Who is to be told: strings to be freed, or NULL. */
typedef struct FollowTargets {
        char *run, *webhook;
} FollowTargets;

/* All of these return 0 or a negative errno; the connection is gone then, and why has been said.
 * Answers of the daemon's are bounded, and what they hold is copied. */

/* number: of the latest event; 0: there is none. */
int follow_find_last(Follow *f, uint64_t *ret_number);
int follow_find_targets(Follow *f, FollowTargets *ret);
/* Events past that number, from now on. */
int follow_open(Follow *f, uint64_t after);
/* Calls take() for each event that has come. */
int follow_read(Follow *f, void (*take)(const Alert *alert, void *to), void *to);
void follow_close(Follow *f);
