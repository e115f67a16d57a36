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

/* For tables with open addressing, of pointers to what is compared as a whole. FNV-1a over words:
 * it only has to spread our own rules. */
static inline uint64_t pass_mix(uint64_t hash, uint64_t value) {
        return (hash ^ value) * UINT64_C(1099511628211);
}
/* The low bits, which say where to begin, know of the high ones. */
static inline uint64_t pass_fold(uint64_t hash) {
        return hash ^ hash >> 32;
}
/* Of a table that holds n: a power of two. */
static inline size_t pass_table_size(size_t n) {
        size_t size = 4;

        while (size < 2 * n)
                size *= 2;
        return size;
}
