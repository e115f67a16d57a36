/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A program that is given a message: without arguments, without a shell, in a process group of its
 * own, with the message on standard input. One at a time. */

#include <sys/types.h>

#include "base/util.h"

#define RUN_USEC (UINT64_C(30) * 1000000)     /* until it is asked to end */
#define RUN_KILL_USEC (UINT64_C(5) * 1000000) /* and then until it is made to */
#define RUN_FAILURE_MAX 96

typedef struct Run {
        pid_t pid;         /* 0: none */
        uint64_t due_usec; /* CLOCK_MONOTONIC: when it is dealt with */
        uint64_t limit_usec;
        bool is_late; /* it was asked to end */
} Run;

/* 0, or a negative errno: it was not started. */
int run_start(Run *run, const char *path, const char *message, uint64_t now_usec);
/* Ends it if it is late. */
void run_watch(Run *run, uint64_t now_usec);
/* Whether it has ended; failure: how, "" if well. What it left in its process group ends, too. */
bool run_reap(Run *run, char failure[static RUN_FAILURE_MAX]);
/* Ends it at once, and waits for that. */
void run_stop(Run *run);
