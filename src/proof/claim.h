/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The policy's claims, `protected` and `expect`, decided for every first packet against the
 * compiled rules. A claim that was proved was also compared with the evaluator, another code, on
 * packets at the edges of what the rules tell apart: where the two do not agree there is no answer
 * at all. */

#include "policy/policy.h"
#include "ruleset/ruleset.h"

typedef struct ClaimReport {
        size_t n_proved;   /* claims that hold */
        size_t n_compared; /* packets for which both codes were asked */
        bool undecided;    /* of `protected`: the rules are too complex. A warning says so */
} ClaimReport;

/* Reports each claim that does not hold with a connection that shows it and the line that decides:
 * -EBADMSG. -EPROTO if the two codes do not agree, which is an error of ours and is in d, too.
 * -ENOMEM. Where diagrams become too large, expectations are decided by trying all cases
 * (ruleset/expect.h). */
int claim_check(const Policy *policy, const Ruleset *rs, ClaimReport *ret, Diag *d);
