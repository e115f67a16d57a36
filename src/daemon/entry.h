/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Policies on their way: from files to an entry of the store, and from there into the kernel. */

#include "daemon/daemon.h"

/* Brings an entry of the store into force. 0, or a negative errno with the reason in d->diag. */
int entry_put(Daemon *d, uint32_t number);
/* Only what the entry's policy says of how the daemon works: whose the rules are, who is told of
 * events. One that cannot be read changes nothing. */
void entry_keep_settings(Daemon *d, uint32_t number);
/* Everything closed but the way in of those who may rescue. */
int entry_put_lockdown(Daemon *d);
/* No policy is in force any more. */
void entry_forget(Daemon *d);

/* A policy that was read, checked and compiled. */
typedef struct Draft {
        Arena *arena;
        Policy *policy;
        Ruleset *rs;
        bool is_same; /* the rules, as what is in force */
        bool is_kept; /* the texts, but for lists */
} Draft;

void draft_done(Draft *draft);
/* Reads file (NULL: the daemon's own). What is wrong is in d->diag; -EBADMSG then. */
int draft_make(Daemon *d, const char *file, Draft *ret);
/* Writes it down as a new entry. */
int draft_store(Daemon *d, const Draft *draft, const char *message, uint32_t *ret_number);

/* Whether the policy's own files (lists of addresses aside) say something else by now. */
bool entry_files_differ(const Daemon *d);
/* The first of them, or one that came to policy.d; NULL if they do not. */
const char *entry_differing_file(const Daemon *d, Arena *a);

/* --policy: puts that file in force. */
int entry_start_file(Daemon *d);
