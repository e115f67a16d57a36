/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The passes, and what several of them need. Each takes a Ruleset that ruleset_verify() accepts and
 * leaves one that decides every packet in the same way; 0 or -ENOMEM. */

#include "ruleset/pass.h"

int pass_pair(Ruleset *rs);     /* sources and their ports: one lookup of both */
int pass_dispatch(Ruleset *rs); /* ports: one lookup instead of a rule each */
int pass_merge(Ruleset *rs);    /* many alike rules: one rule with a set */
int pass_trim(Ruleset *rs);     /* rules that no packet reaches; goto where nothing comes back */
int pass_share(Ruleset *rs);    /* equal chains and maps become one */
int pass_prune(Ruleset *rs);    /* chains and sets that nothing leads to */

/* Calls visit for each verdict of the ruleset that leads to a chain, those in maps included. */
typedef void (*VerdictVisitor)(Verdict *v, void *context);
void pass_visit_verdicts(Ruleset *rs, VerdictVisitor visit, void *context);

/* Names a rule that stands for n, itself one of them, after the first. 0 or -ENOMEM. */
int pass_name_many(Ruleset *rs, Rule *rule, size_t n);
/* How many rules from that one on have one final verdict and no statements, and so may change
 * places; 1 if that one alone does not. */
size_t pass_count_alike(const Chain *chain, size_t first);
