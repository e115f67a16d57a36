/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/shut.h"

/* One value is compared without a set of the kernel's. */
static bool needs_nothing(const Rule *rule) {
        if (rule->n_statements > 0 ||
            (rule->verdict.kind != VERDICT_ACCEPT && rule->verdict.kind != VERDICT_DROP))
                return false;
        for (size_t i = 0; i < rule->n_matches; i++) {
                const Match *m = &rule->matches[i];

                if (m->op == MATCH_UNKNOWN ||
                    ((m->op == MATCH_IN || m->op == MATCH_NOT_IN) &&
                     (m->set->name || m->set->n_types != 1 || m->set->n_elements != 1)))
                        return false;
        }
        return true;
}

static bool accepts_the_rest(const Chain *chain) {
        const Rule *last = chain->n_rules > 0 ? &chain->rules[chain->n_rules - 1] : NULL;

        return !chain->policy_drop ||
               (last && last->verdict.kind == VERDICT_ACCEPT && rule_is_unconditional(last));
}

static int shut_chain(Ruleset *to, const Chain *chain) {
        Chain *copy;

        /* one that translates opens nothing */
        if (chain->hook == HOOK_NONE || chain->type != CHAIN_FILTER || accepts_the_rest(chain))
                return 0;
        copy = ruleset_add_base_chain(to, chain->name, chain->hook);
        if (!copy)
                return -ENOMEM;
        copy->priority = chain->priority;
        for (size_t i = 0; i < chain->n_rules && needs_nothing(&chain->rules[i]); i++) {
                Rule *rule = chain_add_rule(to, copy, verdict_of(VERDICT_DROP), (Origin){0});

                if (!rule)
                        return -ENOMEM;
                *rule = chain->rules[i];
        }
        return chain_add_rule(to, copy, verdict_of(VERDICT_DROP), (Origin){0}) ? 0 : -ENOMEM;
}

Ruleset *ruleset_shut(Arena *a, const Ruleset *rs) {
        Ruleset *shut = ruleset_new(a);

        if (!shut)
                return NULL;
        shut->flags = rs->flags;
        for (size_t i = 0; i < rs->n_chains; i++)
                if (shut_chain(shut, rs->chains[i]) < 0)
                        return NULL;
        return shut;
}
