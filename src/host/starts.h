/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* How often ringwalld was started of late. Whatever ends it, it is started again, at once as a
 * rule; what ends again and again waits in between, and is never given up. Each start is noted
 * before it is made, by ringwall-lockdown (which links nothing: nor does this), in the runtime
 * directory, which lasts as long as systemd goes on restarting. Times are CLOCK_BOOTTIME, in
 * microseconds. */

#include <stdbool.h>
#include <stdint.h>

#define STARTS_FOLDER "/run/ringwall"
#define STARTS_FILE "starts"
#define STARTS_AT_ONCE 10             /* after calm; */
#define STARTS_USEC UINT64_C(5000000) /* then one in so long: what each of them costs, and */
#define STARTS_CALM_USEC (STARTS_AT_ONCE * STARTS_USEC) /* how long it takes to make up for all */

typedef struct Starts {
        uint64_t seen_usec;  /* the latest, */
        uint64_t spent_usec; /* and what had not been made up for then */
        uint64_t n_late;     /* how many had to wait since there was calm */
} Starts;

uint64_t starts_now(void);
/* Notes one. For how long it has to wait: 0 to STARTS_USEC. */
uint64_t starts_take(Starts *s, uint64_t now);
/* Whether it ends again and again, and there has been no calm since. */
bool starts_are_late(const Starts *s, uint64_t now);

/* What the file says. False, and nothing, if there is none, or nobody knows what it says. */
bool starts_read(const char *path, Starts *ret);
/* 0 or a negative errno. */
int starts_write(const char *path, const Starts *s);
