/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the policy or the catalogue calls a port. That is a name for a number: what listens there
 * was not asked. */

#include "policy/policy.h"

#define PORT_NAMES_MAX 3 /* that are told */

typedef struct PortNames {
        const char *names[PORT_NAMES_MAX]; /* the policy's memory */
        size_t n_names;                    /* counted beyond the limit, too */
        bool of_policy;                    /* its own; else the catalogue's */
        bool exact;                        /* for this port alone; else it is one of theirs */
} PortNames;

/* protocol: "tcp", "udp", "sctp", or "icmp" and "icmpv6", of which the port is the type; of others
 * there are no names. Those for just this port, else the narrowest of those that have few; of
 * either the policy's own, else the catalogue's. policy may be NULL. */
void port_names_find(const Policy *policy, const char *protocol, uint64_t port, PortNames *ret);

/* The one name that means just this port, or NULL. */
const char *port_names_only(const PortNames *names);

#define PORT_NAMES_TEXT_MAX 160

/* "ssh in the catalogue", "a or b in the policy", "part of dns in the catalogue"; "" without one.
 */
const char *port_names_print(const PortNames *names, char buf[static PORT_NAMES_TEXT_MAX]);
