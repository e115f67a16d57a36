/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Which events somebody is told of, and what waits to be told. Pure: times are given, microseconds
 * of CLOCK_MONOTONIC.
 *
 * The first messages go at once; past ALERT_BURST there is one every ALERT_REFILL_USEC. What waits
 * is at most ALERT_QUEUE_MAX messages: the last of them takes in what comes after it, and counts.
 */

#include "base/util.h"

#define ALERT_QUEUE_MAX 16
#define ALERT_BURST 10
#define ALERT_REFILL_USEC (UINT64_C(10) * 1000000)
#define ALERT_RETRY_MIN_USEC (UINT64_C(1) * 1000000)
#define ALERT_RETRY_MAX_USEC (UINT64_C(300) * 1000000)
#define ALERT_KIND_MAX 16
#define ALERT_TEXT_MAX 1024

typedef struct Alert {
        uint64_t number;    /* of the event; 0: it stands in no log */
        uint64_t time_usec; /* since 1970 */
        char kind[ALERT_KIND_MAX], text[ALERT_TEXT_MAX];
        uint64_t more; /* events before it that have no message of their own */
} Alert;

/* warning, error, ... ; NULL: nobody is told of events of that kind. */
const char *alert_severity(const char *kind);

typedef struct AlertQueue {
        Alert items[ALERT_QUEUE_MAX];
        size_t n_items;
        bool is_under_way;    /* the first of them */
        unsigned int n_tries; /* of the first that failed */
        uint64_t retry_usec;  /* not before */
        unsigned int n_spent; /* messages of the burst */
        uint64_t refill_usec; /* when there is one more again, if any is spent */
        uint64_t last,
                received; /* numbers: of the last message that is done with, of the last event */
} AlertQueue;

/* Nothing up to that number is told of any more. */
void alert_queue_start(AlertQueue *q, uint64_t number);
/* Every event, in their order; what was there already counts for nothing. is_told: whether there
 * is somebody to be told. */
void alert_queue_add(AlertQueue *q, const Alert *alert, bool is_told);
/* What waits is dropped, but for what is under way. */
void alert_queue_clear(AlertQueue *q);

/* The message to be delivered now, which is then under way; NULL: none. It stays in place until
 * alert_queue_finish(). */
const Alert *alert_queue_next(AlertQueue *q, uint64_t now_usec);
typedef enum AlertResult {
        ALERT_DONE, /* whatever became of it */
        ALERT_RETRY,
} AlertResult;
void alert_queue_finish(AlertQueue *q, AlertResult result, uint64_t now_usec);
/* When alert_queue_next() has something; UINT64_MAX: never, as things are. */
uint64_t alert_queue_due(const AlertQueue *q);

/* The number up to which nothing is left to be told. */
uint64_t alert_queue_position(const AlertQueue *q);
