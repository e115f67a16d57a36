/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The administrator's own way in: whether a policy leaves it open. */

#include "host/sshd.h"
#include "nft/routes.h"
#include "proof/verify.h"
#include "ruleset/packet.h"

typedef struct WayIn {
        /* Whether a new connection from the same peer to the same port would be admitted. So is the
         * next packet of the present one, if conntrack has never seen it: it is judged as new. */
        bool admitted;
        bool is_refuted;  /* not admitted, and proved: there is no way at all */
        bool limited;     /* as long as a limit is not reached */
        const char *rule; /* what decides, for people; or NULL */
        const char *text; /* "198.51.100.7 → 22" */
} WayIn;

/* Asks the evaluator, which knows the line that decides; texts live in a. 0 or -ENOMEM. */
int way_in_decide(
        const Ruleset *rs, const HostNet *net, const HostSocket *socket, Arena *a, WayIn *ret);

/* What the proof is made about: what the kernel will hold of the Ruleset, and this host as it is.
 * 0, -ENOMEM, or why the host cannot be looked at. */
int way_in_world(const Ruleset *rs, Arena *a, World **ret);
/* The proof of verify_way_in() beside the evaluator's word, which is in *way: admitted is what both
 * say is, as far as no limit is reached; any doubt says no. 0 or -ENOMEM. */
int way_in_prove(
        const World *w, const HostNet *net, const HostSocket *socket, Arena *a, WayIn *way);
