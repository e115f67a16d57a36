/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The hands of `takeover`: reads how other firewalls are, disables and restores them with their own
 * programs and systemd's, and keeps what was done in a folder of the state directory. What fails
 * has been printed; functions return an ExitCode. */

#include "host/takeover.h"

#define RIVALS_FOLDER "takeover" /* below the state directory */

typedef struct Rivals {
        Arena *arena;
        const char *path; /* of the folder */
        int folder;       /* open, and locked; -1: only looked at */
        TakeoverHost host;
        TakeoverRecord record;
        World *live; /* what the kernel held when it was looked at */
} Rivals;

#define RIVALS_NULL ((Rivals){.folder = -1})

/* Reads the record, how everything is, and the kernel's rules. Changes nothing. */
int rivals_look(Rivals *x, const char *state_dir);
/* Makes the folder and locks it: one takeover at a time. */
int rivals_begin(Rivals *x);
void rivals_end(Rivals *x);

/* Each writes down first what it is about to do, and goes on where that was broken off before. */
int rival_disable(Rivals *x, TakeoverRival rival);
int rival_restore(Rivals *x, TakeoverRival rival);
