/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/pass_list.h"

/* The small passes that take away: trim and prune. */

/* Whether no packet comes out of the chain's end. */
static bool never_returns(const Chain *chain) {
        const Rule *last = chain->n_rules ? &chain->rules[chain->n_rules - 1] : NULL;

        return last && rule_is_unconditional(last) && verdict_is_final(last->verdict.kind) &&
               last->verdict.kind != VERDICT_RETURN;
}

static bool is_plain_return(const Rule *rule) {
        return rule->verdict.kind == VERDICT_RETURN && !rule->counted && rule->n_statements == 0;
}

static void trim_chain(Chain *chain) {
        for (size_t i = 0; i < chain->n_rules; i++)
                if (rule_is_unconditional(&chain->rules[i]) &&
                    verdict_is_final(chain->rules[i].verdict.kind)) {
                        chain->n_rules = i + 1;
                        break;
                }
        /* a return at the end says what the end says */
        while (chain->hook == HOOK_NONE && chain->n_rules > 0 &&
               is_plain_return(&chain->rules[chain->n_rules - 1]))
                chain->n_rules--;
}

static void jump_to_goto(Verdict *v, void *context) {
        if (v->kind == VERDICT_JUMP && never_returns(v->chain))
                v->kind = VERDICT_GOTO;
}

/* A jump at which no packet comes back is a goto: the reader sees that it ends there, and the
 * kernel keeps no place to return to. Base chains keep their jumps, so that their last rule stays a
 * refusal that a mistake would run into. */
int pass_trim(Ruleset *rs) {
        for (size_t i = 0; i < rs->n_chains; i++)
                trim_chain(rs->chains[i]);
        for (size_t i = 0; i < rs->n_sets; i++)
                for (size_t j = 0; j < rs->sets[i]->n_elements; j++)
                        if (rs->sets[i]->elements[j].verdict.chain)
                                jump_to_goto(&rs->sets[i]->elements[j].verdict, NULL);
        return 0;
}

static void mark_chain(Chain *chain);

static void mark_verdict(const Verdict *v) {
        if (v->chain)
                mark_chain(
                        (Chain *)(uintptr_t)v->chain); /* the ruleset's own, so not really const */
}

static void mark_chain(Chain *chain) {
        if (chain->scratch)
                return;
        chain->scratch = 1;
        for (size_t i = 0; i < chain->n_rules; i++) {
                const Rule *rule = &chain->rules[i];

                mark_verdict(&rule->verdict);
                for (size_t j = 0; rule->map && j < rule->map->n_elements; j++)
                        mark_verdict(&rule->map->elements[j].verdict);
        }
}

static void mark_set(const Set *set) {
        if (set)
                ((Set *)(uintptr_t)set)->used = true; /* not really const, either */
}

/* Keeps the sets that a rule still names. */
static void prune_sets(Ruleset *rs) {
        size_t kept = 0;

        for (size_t i = 0; i < rs->n_sets; i++)
                rs->sets[i]->used = false;
        for (size_t i = 0; i < rs->n_chains; i++)
                for (size_t j = 0; j < rs->chains[i]->n_rules; j++) {
                        const Rule *rule = &rs->chains[i]->rules[j];

                        mark_set(rule->map);
                        for (size_t k = 0; k < rule->n_matches; k++)
                                mark_set(rule->matches[k].set);
                        for (size_t k = 0; k < rule->n_statements; k++)
                                mark_set(rule->statements[k].set);
                }
        for (size_t i = 0; i < rs->n_sets; i++)
                if (rs->sets[i]->used)
                        rs->sets[kept++] = rs->sets[i];
        rs->n_sets = kept;
}

int pass_prune(Ruleset *rs) {
        size_t kept = 0;

        for (size_t i = 0; i < rs->n_chains; i++)
                rs->chains[i]->scratch = 0;
        for (size_t i = 0; i < rs->n_chains; i++)
                if (rs->chains[i]->hook != HOOK_NONE)
                        mark_chain(rs->chains[i]);
        for (size_t i = 0; i < rs->n_chains; i++)
                if (rs->chains[i]->scratch)
                        rs->chains[kept++] = rs->chains[i];
        rs->n_chains = kept;
        prune_sets(rs);
        return 0;
}
