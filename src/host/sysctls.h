/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The kernel's settings that decide, beside any rule, which packets pass: forwarding, reverse-path
 * filters, who may use loopback's addresses, whether bridges ask the rules. Of the calling
 * process's network namespace (Documentation/networking/ip-sysctl). Needs no privileges. */

#include "host/tree.h"

#define SYSCTL_UNKNOWN (-1) /* there is no such setting: no such module, or no IPv6 */

typedef struct SysctlInterface {
        const char *name;
        /* What is in force here, where "all" has a say in it: the larger of the two. */
        int rp_filter;      /* 0 off, 1 strict, 2 loose */
        int accept_local;   /* 1: takes IPv4 packets from outside that bear this host's addresses */
        int route_localnet; /* 1: takes packets from outside to 127.0.0.0/8 */
        int forwarding;     /* of IPv4 packets that arrive here */
} SysctlInterface;

typedef struct Sysctls {
        int forwarding, forwarding6;     /* of new interfaces, and of IPv6 as a whole */
        int bridge_calls, bridge_calls6; /* frames within a bridge pass the rules (br_netfilter) */
        SysctlInterface *interfaces;     /* loopback not among them; sorted by name */
        size_t n_interfaces;
} Sysctls;

/* 0, -ENOMEM, or why /proc/sys/net/ipv4/conf cannot be listed. */
int sysctls_read(const Tree *t, Sysctls *ret);
