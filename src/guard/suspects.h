/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Who may have changed something of whose changes the kernel does not tell: whoever ran a program
 * that can do it between two looks. It is certain only of one who alone ran all that time. */

#include "guard/who.h"

#define SUSPECTS_MAX 8 /* at a time; of further ones it is known that there were some */

typedef struct Suspect {
        Arena *arena; /* owned; of who */
        Who who;
        bool is_over;  /* it has ended, */
        bool was_here; /* and ran at the last look already */
} Suspect;

/* Of who they are and when; begins as zero. */
typedef struct Suspects {
        Suspect items[SUSPECTS_MAX];
        size_t n_items;
        bool missed;          /* somebody ran of whom nothing is known */
        uint64_t looked_usec; /* CLOCK_MONOTONIC, the last time */
} Suspects;

/* One change, between two looks. */
typedef struct SuspectChange {
        Arena *arena; /* owned; of who */
        Who who[SUSPECTS_MAX];
        size_t n_who;
        bool is_open;                  /* it may have been somebody else */
        uint64_t begin_usec, end_usec; /* CLOCK_MONOTONIC: the looks */
} SuspectChange;

/* Takes the arena. False: there is no room, and it is only known that there was somebody. */
bool suspects_add(Suspects *s, Arena *arena, const Who *who);
void suspects_end(Suspects *s, pid_t pid);
void suspects_miss(Suspects *s);
/* How many have not ended. */
size_t suspects_running(const Suspects *s);
void suspects_clear(Suspects *s);

/* Somebody has looked. True: it has changed, and *ret (to be freed) says who may have done it. */
bool suspects_look(Suspects *s, bool has_changed, uint64_t now_usec, SuspectChange *ret);

/* "nft (process 4711) of ssh.service", "one of X, or Y", "X, or somebody unknown". Looks up logins
 * and connections, which takes its time. NULL without memory. */
const char *suspects_describe(Arena *a, SuspectChange *c);
void suspect_change_clear(SuspectChange *c);
