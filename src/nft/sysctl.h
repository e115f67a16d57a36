/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Kernel settings of this network namespace on which the rules depend. */

#include "base/util.h"

/* Whether some interface's net.ipv4.conf.*.accept_local is set, so that IPv4 packets from outside
 * may bear this host's own addresses (Documentation/networking/ip-sysctl). Where it cannot be read
 * the answer is the careful one: yes. */
bool sysctl_accepts_own_source(void);

/* Whether this namespace passes packets on (net.ipv4.ip_forward, net.ipv6.conf.all.forwarding).
 * True where it cannot be read: it is asked to warn. */
bool sysctl_forwards(bool v6);
