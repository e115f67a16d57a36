/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the policy claims, over all that the kernel holds and what lies beside it: what `ringwall
 * verify` prints, and ringwalld watches. */

#include "host/process.h"
#include "proof/verify.h"

/* verify_claims() and beside_judge(). listening: of this host; NULL if that is not known. all: what
 * may not be looked at counts, too, as it could be anything; else only what was found does, and
 * tables of the old iptables, whatever is in them. *ret_beside: whether this host could be looked
 * at at all, else it is about the rules alone. 0, or what these return. */
int judge_claims(const Policy *policy,
                 const World *w,
                 const Listening *listening,
                 bool all,
                 Arena *a,
                 VerifyReport *ret,
                 bool *ret_beside,
                 const char **ret_what);

/* "ip nat, chain DOCKER: rule with handle 12: translates"; NULL without memory. Names of tables and
 * chains are others' words, and cleaned. */
const char *judge_describe_step(Arena *a, const WorldStep *s);

/* The step that does it: of what must come in the last one, if that is another program's and
 * refuses; else, of another program's rules, the last one that rewrites or hides from conntrack, or
 * that translates; else the last of all. NULL: nothing is known of the way. */
const WorldStep *judge_culprit(const VerifyAnswer *answer);
/* The command that takes out that step's rule, or NULL where there is no such rule, where a
 * name is none for a shell, or without memory. */
const char *judge_remedy(Arena *a, const WorldStep *culprit);
