/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The networks that are on link at each interface: what a zone's `connected` means. */

#include "nft/routes.h"
#include "policy/policy.h"

/* Of the calling process's network namespace, sorted by name, family and address, each once. What a
 * unicast route of the main table, or of a VRF's, reaches over the interface without a gateway;
 * nothing wider than /8 or /48, which a rogue router could advertise; nothing link-local
 * (169.254.0.0/16, fe80::/10) or multicast. Needs no privileges. 0; -EINTR if it kept changing
 * while it was read; -E2BIG, -ETIMEDOUT, -ENOMEM, or what the kernel said. */
int networks_read(Arena *a, HostNetwork **ret, size_t *ret_n);
/* The same of what has been read already. 0 or -ENOMEM. */
int networks_of(const HostNet *net, Arena *a, HostNetwork **ret, size_t *ret_n);
