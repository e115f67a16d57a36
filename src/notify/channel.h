/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One way of telling: whom, what waits for it, and how far it has come, which is kept in a file of
 * the state directory: what was delivered once is not delivered again after a restart, but for what
 * was under way then. */

#include "notify/alert.h"

typedef struct Channel {
        const char *name; /* "run", "webhook": of the file, too */
        char *target;     /* owned; NULL: nobody is told */
        AlertQueue queue;
        uint64_t written;        /* the position that stands in the file */
        bool is_new;             /* there is no such file, and the log's end is not known yet */
        bool is_unwritable;      /* which has been said */
        unsigned int n_failures; /* one after the other */
} Channel;

/* Reads the position. A file that says nothing is as good as none. */
void channel_open(Channel *c, int folder);
/* The log's latest event is that one: a new channel begins behind it, and so does one that has come
 * farther, which was of another log, but from its beginning. */
void channel_begin(Channel *c, uint64_t last);
/* Takes target over. */
void channel_set_target(Channel *c, char *target);
/* Writes the position, if it is another one. */
void channel_save(Channel *c, int folder);
/* Tells standard error what became of a message: the first failure, and that it works again.
 * failure: NULL, or why not. */
void channel_report(Channel *c, const char *failure);
