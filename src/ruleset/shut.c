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

/* Left out, it admits nothing more: what it does not accept goes on behind it anyway. */
static bool accepts_at_most(const Rule *rule) {
        const Chain *to = rule->verdict.chain;

        if (rule->verdict.kind == VERDICT_ACCEPT)
                return true;
        if (rule->verdict.kind != VERDICT_JUMP || !to)
                return false;
        for (size_t i = 0; i < to->n_rules; i++) {
                VerdictKind kind = to->rules[i].verdict.kind;

                if (kind != VERDICT_ACCEPT && kind != VERDICT_RETURN && kind != VERDICT_CONTINUE)
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
        for (size_t i = 0; i < chain->n_rules; i++) {
                Rule *rule;

                if (!needs_nothing(&chain->rules[i])) {
                        if (accepts_at_most(&chain->rules[i]))
                                continue;
                        break;
                }
                rule = chain_add_rule(to, copy, verdict_of(VERDICT_DROP), (Origin){0});
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
