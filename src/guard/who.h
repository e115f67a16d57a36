/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Who committed something to the kernel's rules, for people. The kernel tells a process's number
 * and name; by the time that is looked up the process may be gone, and its number another's. What
 * does not agree is unknown: never a wrong name. */

#include "host/sshd.h"
#include "nft/commits.h"

#define WHO_UNKNOWN_LOGIN UINT32_MAX /* (uid_t)-1: nobody has logged in */

typedef struct Who {
        bool known; /* the process that the kernel named was still there, under its name */
        HostProcess process;
        uint32_t login_uid;          /* who logged in first, whatever they became since */
        const char *login;           /* their name, see who_find_login(); or NULL */
        const SshConnection *by;     /* that they came by, see who_find_connection(); or NULL */
        char name[COMMIT_NAME_SIZE]; /* the kernel's word, also of one that is gone */
        pid_t pid;
} Who;

/* Of a process that is there, and is known by its number alone. 0, -ESRCH if it is not, -ENOMEM. */
int who_read_process(const Tree *t, pid_t pid, Who *ret);
/* The same without the login's name: nothing is looked up that may take long. */
int who_read_number(const Tree *t, pid_t pid, Who *ret);
/* To be called at once. Lives in the tree's arena. 0 or -ENOMEM. */
int who_read(const Tree *t, const Commit *c, Who *ret);
/* Whether both are the same program of the same service, which runs it again and again, as a
 * container engine does iptables: nobody who has logged in, or of whom more is not known than the
 * name. */
bool who_is_alike(const Who *a, const Who *b);
/* 0 or -ENOMEM. But for `by`. */
int who_copy(Arena *a, const Who *who, Who *ret);
/* Looks up the login's name, wherever names are kept: that may take long. */
void who_find_login(Arena *a, Who *who);
/* Takes its time: walks over all processes. 0 or a negative errno. */
int who_find_connection(const Tree *t, const Sshd *sshd, Who *who);
/* "nft (process 4711: nft flush ruleset) of ssh.service, logged in as anna from 198.51.100.7".
 * Without a number, of one in another process namespace, the name alone. NULL without memory. */
const char *who_describe(Arena *a, const Who *who);
