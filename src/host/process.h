/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Which processes hold a socket, and who a process is, from /proc. A process may end, and its
 * number be another's, between any two reads: what must be certain compares the start time, too.
 * Without root, the sockets of other users' processes stay without a holder. */

#include <sys/types.h>

#include "host/cgroup.h"
#include "host/tree.h"
#include "nft/sockets.h"

#define PROCESS_COMMAND_MAX 256 /* bytes of a command line that are kept */

typedef struct HostProcess {
        pid_t pid, parent;      /* parent 0: it is in another namespace, or there is none */
        uint32_t uid;           /* effective */
        bool is_nested;         /* in a process namespace below ours: a container's */
        uint64_t started_usec;  /* CLOCK_BOOTTIME; rounded down to the kernel's tick (10 ms) */
        const char *comm;       /* its name, which it may choose itself */
        const char *executable; /* path in its own mount namespace; NULL where we may not look */
        bool is_deleted;        /* the executable has been replaced or removed since */
        const char *command;    /* arguments, which it may change; NULL where there are none */
        Cgroup cgroup;
} HostProcess;

/* One process that holds a socket open. */
typedef struct Holder {
        uint32_t inode;
        const HostProcess *process;
} Holder;

typedef struct Holders {
        Holder *items; /* by inode, then by process number */
        size_t n_items;
        size_t n_unreadable;      /* processes whose descriptors we may not see, */
        bool is_first_unreadable; /* process 1 among them */
} Holders;

/* What listens in this network namespace, and for whom. */
typedef struct Listening {
        HostSockets sockets;
        Holders holders;
} Listening;

/* 0; -ESRCH if there is no such process; -ENOMEM, or what open() or read() said. */
int process_read(const Tree *t, pid_t pid, HostProcess *ret);

/* Calls take for each process, with its name as the kernel has it, until one returns a negative
 * errno. 0, that one, or why /proc cannot be listed. */
typedef int ProcessTake(const Tree *t, pid_t pid, const char *comm, void *to);
int process_walk(const Tree *t, ProcessTake *take, void *to);
/* The same without names, which cost a file each: comm is "". */
int process_walk_numbers(const Tree *t, ProcessTake *take, void *to);
/* Whether it is in another network namespace; one of which that cannot be told is not. */
bool process_is_elsewhere(const Tree *t, pid_t pid);

/* Walks over all processes once and finds those that hold any of the sockets. 0, -ENOMEM, or why
 * /proc cannot be read. */
int process_read_holders(const Tree *t, const HostSockets *sockets, Holders *ret);
/* 0, or as sockets_read_listening() or process_read_holders(). */
int process_read_listening(const Tree *t, Listening *ret);
/* The first of a socket's holders; further ones stand behind it. NULL if there is none. */
const Holder *process_find_holder(const Holders *holders, uint32_t inode, size_t *ret_n);
/* The one of them to tell of: the oldest, but process 1 only if it listens for a program that has
 * not been started yet. NULL if there is none. */
const HostProcess *process_find_server(const Holders *holders, uint32_t inode);

/* The name of its executable, else what it calls itself. Borrowed. */
const char *process_program(const HostProcess *p);

/* Fills in what /proc/PID/stat says (proc(5)); false if it is not like that. */
bool process_parse_stat(Arena *a, char *text, HostProcess *ret);
