/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The administrator's own way in: whether a policy leaves it open. */

#include "host/sshd.h"
#include "nft/routes.h"
#include "ruleset/packet.h"

typedef struct WayIn {
        /* Whether a new connection from the same peer to the same port would be admitted. So is the
         * next packet of the present one, if conntrack has never seen it: it is judged as new. */
        bool admitted;
        bool limited;     /* as long as a limit is not reached */
        const char *rule; /* what decides, for people; or NULL */
        const char *text; /* "198.51.100.7 → 22" */
} WayIn;

/* Decides for an SSH connection; texts live in a. 0 or -ENOMEM. */
int way_in_decide(
        const Ruleset *rs, const HostNet *net, const HostSocket *socket, Arena *a, WayIn *ret);
