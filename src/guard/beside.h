/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What lies beside nftables on this host, and what it makes of answers that are about the rules. */

#include "host/bypass.h"
#include "proof/verify.h"

/* A proof that nobody comes in becomes undecided by what could let a packet in, and is refuted by a
 * relay to that port which the rules let somebody reach; a proof that everybody does, undecided by
 * what could refuse packets before a rule sees them. The rest is named: report->bypasses. The
 * answers are those of verify_claims(), in the policy's order. 0, or what verify_claims() returns.
 */
int beside_judge(const Policy *policy,
                 const World *w,
                 const Bypass *items,
                 size_t n,
                 Arena *a,
                 VerifyReport *report,
                 const char **ret_what);
