/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Which rules two Rulesets do not have in common, whatever chains and sets are called and whichever
 * lines they come from: packets that match none of these fare alike. */

#include "ruleset/ruleset.h"

typedef struct Changes Changes;

/* Numbers all chains (Chain.scratch) as a Meaning of both does. NULL without memory. */
Changes *changes_new(const Ruleset *before, const Ruleset *after);
Changes *changes_free(Changes *c); /* accepts NULL, returns NULL */

/* Whether packets fare alike in both: they have the same rules, and so have all that they lead to.
 * Hook, priority and policy are not looked at. */
bool changes_same_chain(const Changes *c, const Chain *before, const Chain *after);
/* Likewise. */
bool changes_same_rule(const Changes *c, const Rule *before, const Rule *after);
bool changes_same_match(const Changes *c, const Match *before, const Match *after);
/* The rules but for their matches; and the rules but for the chain or map that they lead to. */
bool changes_same_action(const Changes *c, const Rule *before, const Rule *after);
bool changes_asks_alike(const Changes *c, const Rule *before, const Rule *after);

/* A rule, and what stands in its place; NULL: none. */
typedef struct PairedRule {
        const Rule *before, *after;
        bool same;
} PairedRule;

/* Two chains' rules side by side, in the order of both: where the same rules are in the same order,
 * they are paired with each other, as far as is found; the others as they come. The array is in a.
 * 0 or -ENOMEM. */
int changes_pair(const Changes *c,
                 const Chain *before,
                 const Chain *after,
                 Arena *a,
                 PairedRule **ret,
                 size_t *ret_n);

static inline void changes_freep(Changes **c) {
        (void)changes_free(*c);
}
