/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Who changed the rules: told of with what they changed, once. */

#include "daemon/daemon.h"

/* Generations are counted round. */
static inline bool generation_is_after(uint32_t a, uint32_t b) {
        return (int32_t)(a - b) > 0;
}

/* Begins to look at who commits, where processes' numbers are ours. */
void authors_start(Daemon *d);
void authors_stop(Daemon *d);

/* Somebody has touched the table. */
void authors_note(DriftGuard *drift, const Commit *c);
/* The first n of them are not told of any more; DRIFT_AUTHORS_MAX: nobody is. */
void authors_drop(DriftGuard *drift, size_t n);
/* Everybody who had a hand in what the kernel held at that generation: nobody is blamed for what
 * came before or after. They are told of once. Never NULL; lives in a. */
const char *authors_describe(Daemon *d, Arena *a, uint32_t generation);

/* Changes of tables of the old iptables that were seen are handed to the claims' watch. */
void authors_take_legacy(Daemon *d);
