/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* How whoever follows a ruleset learns what it refuses: a sample of those packets goes to a netlink
 * group. Added to a compiled ruleset when it is loaded, as the host's networks are; what any packet
 * meets is the same with it and without. */

#include "ruleset/ruleset.h"

#define RULESET_REFUSED "refused" /* the chain to which refusals without an answer go */
#define RULESET_REFUSED_LIMIT "refused-limit"
/* The prefix of samples whose destination was translated; not every kernel tells what was dialled.
 */
#define RULESET_TRANSLATED "translated"

/* Makes what the policy's rules refuse known; what is always refused (a forged source, what
 * connection tracking calls invalid) is not told of. Nothing where it has been done already. 0 or
 * -ENOMEM. */
int ruleset_report_refused(Ruleset *rs);

/* Takes that back. */
void ruleset_forget_refused(Ruleset *rs);
