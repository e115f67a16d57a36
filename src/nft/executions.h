/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Which programs are started on this host: the kernel tells every listener of each execve(2) that
 * has succeeded (its connector of processes, include/uapi/linux/cn_proc.h; CONFIG_PROC_EVENTS), by
 * the number of the process as the first process namespace counts. It tells listeners
 * in the first network namespace alone. Needs CAP_NET_ADMIN there. */

#include <linux/netlink.h>
#include <sys/types.h>

#include "base/util.h"

/* To be called by a thread that makes no socket meanwhile: where this process lives in another
 * network namespace, the thread goes to the first one, and comes back. 0 or a negative errno. */
int executions_open(int *ret_fd);
/* Kernels before 6.6 go on making messages, for nobody, until they are told. Accepts -1. */
void executions_close(int fd);

typedef struct Execution {
        pid_t pid;
        uint64_t usec; /* CLOCK_MONOTONIC: when it became that program */
} Execution;

/* Hands over every one, without waiting. 1 if some were lost, 0 if not; or a negative errno. */
int executions_read(int fd, void (*take)(const Execution *e, void *to), void *to);

/* What one message tells; false if it is about something else. */
bool executions_parse(const struct nlmsghdr *h, Execution *ret);
