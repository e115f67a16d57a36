/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is attached to the packets' way beside nf_tables, and what the kernel says of it: XDP
 * programs, filters of tc, BPF programs of sockets, of cgroups and of netfilter, flowtables. Only
 * what there is, never what a program does: that is its own secret. */

#include <linux/netlink.h>

#include "nft/routes.h"

typedef enum ProgramKind {
        PROGRAM_XDP,
        PROGRAM_TC, /* filters of ingress, clsact and, with BPF, tcx */
        PROGRAM_SK_LOOKUP,
        PROGRAM_CGROUP,
        PROGRAM_NETFILTER, /* of any network namespace: the kernel does not say which */
        PROGRAM_FLOWTABLE,
        _PROGRAM_KIND_MAX,
} ProgramKind;

#define PROGRAM_NAME_MAX 32
#define PROGRAMS_MAX 4096       /* that are kept; further ones are left out */
#define PROGRAM_CGROUPS_MAX 256 /* that are asked at most */

typedef struct Program {
        ProgramKind kind;
        char link[ROUTES_NAME_MAX];  /* as the kernel has it, for display to be cleaned; or "" */
        char name[PROGRAM_NAME_MAX]; /* of a filter: its kind, "flower"; of a flowtable: its name */
        const char *cgroup;          /* its path; or NULL */
        bool is_egress;              /* it sees what leaves */
        bool is_plain; /* a filter that only passes or drops: no BPF, no rewriting, no redirecting
                        */
} Program;

typedef struct Programs {
        Arena *arena;
        Program *items;
        size_t n_items;
        int error[_PROGRAM_KIND_MAX]; /* negative errno: that kind could not be looked at */
} Programs;

/* Looks at the calling process's network namespace. The cgroups are folders, of which what is
 * attached there and nowhere above counts. 0 or -ENOMEM; see Programs.error for the rest. */
int programs_read(
        Arena *a, const HostNet *net, const char *const *cgroups, size_t n_cgroups, Programs *ret);

/* Takes in one of the kernel's messages: a link, a filter (whose interface's name is given), a
 * flowtable. Others, and malformed ones, are passed over. 0 or -ENOMEM. */
int programs_take_link(const struct nlmsghdr *h, Programs *to);
int programs_take_filter(const struct nlmsghdr *h, const char *link, Programs *to);
int programs_take_flowtable(const struct nlmsghdr *h, Programs *to);
