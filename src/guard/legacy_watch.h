/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Tables of the old iptables, of whose changes the kernel tells nobody: they are looked at whenever
 * one of its programs begins, goes on, and ends. Of another network namespace's programs nothing
 * is taken. Where programs that begin are not told either (see nft/executions.h), there is no such
 * watch. For a thread of its own: see guard/lookout.h. */

#include "guard/suspects.h"

typedef struct LegacyWatch LegacyWatch;

/* take is called from legacy_watch_step(); the change is then its own. 0 or a negative errno. */
int legacy_watch_open(LegacyWatch **ret, void (*take)(SuspectChange *c, void *to), void *to);
LegacyWatch *legacy_watch_close(LegacyWatch *w); /* accepts NULL, returns NULL */

int legacy_watch_fd(const LegacyWatch *w); /* to wait for input on */
/* What there is to do, without waiting. 0, or a negative errno: it cannot go on. */
int legacy_watch_step(LegacyWatch *w);

/* How many of those programs run. */
size_t legacy_watch_running(const LegacyWatch *w);

/* Whether a program of that path ("/usr/sbin/xtables-legacy-multi") is one of them. */
bool legacy_watch_knows(const char *executable);

static inline void legacy_watch_closep(LegacyWatch **w) {
        (void)legacy_watch_close(*w);
}
