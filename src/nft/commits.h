/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Who commits what to nf_tables in this network namespace: the kernel tells of every object of a
 * transaction, and at its end of the transaction itself, with the writer's process (NFT_MSG_NEWGEN,
 * include/uapi/linux/netfilter/nf_tables.h). Only who writes is told and what is concerned: whoever
 * wants to know what has become of it reads it. */

#include <linux/netlink.h>
#include <sys/types.h>

#include "nft/touched.h"

#define COMMIT_NAME_SIZE 16 /* TASK_COMM_LEN, with its NUL */

#define COMMIT_TABLE_SIZE 32 /* bytes, with its NUL */

typedef struct Commit {
        uint32_t generation;         /* that it brought */
        uint32_t port;               /* the writer's netlink socket; see nft_link_port(). 0 if it is
                                      * one of this process's, and another one writes with it */
        pid_t pid;                   /* as the first process namespace counts; 0: not told */
        char name[COMMIT_NAME_SIZE]; /* the process's, which it may choose itself */
        bool touches_ours;           /* something of the table inet ringwall was in it: */
        Touched touched;             /* that */
        bool touches_bans;           /* something of the table inet ringwall_bans was in it */
        size_t n_objects;            /* that it made or removed, of any table */
        /* The first that it touched, by its raw name; what does not fit is cut off. */
        char table[COMMIT_TABLE_SIZE];
} Commit;

typedef struct CommitWatch {
        int fd;       /* to wait for input on; -1: closed */
        Commit open;  /* whose end has not come yet */
        void *buffer; /* owned */
        pid_t self;   /* as the kernel tells of this process; 0: not known */
} CommitWatch;

int commit_watch_open(CommitWatch *ret);
void commit_watch_close(
        CommitWatch *w); /* also of one that was never opened but for its fd of -1 */

/* Whether the kernel tells it anything: see nft_link_set_hear(). 0 or a negative errno, which
 * leaves it as it was. */
int commit_watch_hear(CommitWatch *w, bool hears);

/* Only the ends of transactions are told from now on, and not what was in them. 0 or a negative
 * errno. */
int commit_watch_skip_objects(CommitWatch *w);

/* Hands over every transaction that has ended, without waiting. 1 if messages were lost (anything
 * may have been committed), 0 if not; or a negative errno. */
int commit_watch_read(CommitWatch *w, void (*take)(const Commit *c, void *to), void *to);

/* Takes in one message; true if it ended a transaction, which is then in c. *c begins as zero. */
bool commit_parse(Commit *c, const struct nlmsghdr *h);
