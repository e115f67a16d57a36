/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/pass_list.h"

/* What a client dialled and what stands in the packet's header are judged by the same section, so
 * the two ways meet in equal chains behind their lookups. Equal ones become one: fewer rules to
 * load, and one counter for one line of the policy. */

typedef struct Candidate {
        uint64_t hash;
        size_t index;
} Candidate;

static uint64_t hash_set(const Set *set, uint64_t hash) {
        if (set->name)
                return pass_mix(hash, (uintptr_t)set);
        for (size_t i = 0; i < set->n_elements; i++)
                hash = pass_mix(pass_mix(hash, set->elements[i].key[0].low.low),
                                set->elements[i].key[0].high.low);
        return hash;
}

static uint64_t hash_chain(const Chain *chain) {
        uint64_t hash = chain->n_rules;

        for (size_t i = 0; i < chain->n_rules; i++) {
                const Rule *rule = &chain->rules[i];

                hash = pass_mix(pass_mix(hash, (uint64_t)rule->verdict.kind),
                                (uintptr_t)rule->verdict.chain);
                hash = pass_mix(hash, (uintptr_t)rule->origin.at.line);
                for (size_t j = 0; j < rule->n_matches; j++) {
                        hash = pass_mix(hash, (uint64_t)rule->matches[j].fields[0]);
                        if (rule->matches[j].set)
                                hash = hash_set(rule->matches[j].set, hash);
                }
        }
        return hash;
}

static uint64_t hash_map(const Set *map) {
        uint64_t hash = map->n_elements;

        for (size_t i = 0; i < map->n_elements; i++)
                hash = pass_mix(pass_mix(hash, map->elements[i].key[0].low.low),
                                (uintptr_t)map->elements[i].verdict.chain);
        return hash;
}

static bool same_chain(const Chain *a, const Chain *b) {
        if (a->n_rules != b->n_rules)
                return false;
        for (size_t i = 0; i < a->n_rules; i++)
                if (rule_has_state(&a->rules[i]) || !rule_equal(&a->rules[i], &b->rules[i]))
                        return false;
        return true;
}

static bool same_map(const Set *a, const Set *b) {
        Set nameless_a = *a, nameless_b = *b;

        nameless_a.name = nameless_b.name = NULL;
        return a->interval == b->interval && set_equal(&nameless_a, &nameless_b);
}

static int compare_candidates(const void *a, const void *b) {
        const Candidate *x = a, *y = b;

        if (x->hash != y->hash)
                return x->hash < y->hash ? -1 : 1;
        return x->index < y->index ? -1 : x->index > y->index;
}

static void redirect(Verdict *v, void *context) {
        Chain *const *first = context;

        v->chain = first[v->chain->scratch];
}

/* first[i]: the first chain that equals chain i. Base chains equal nothing. */
static int share_chains(Ruleset *rs) {
        _cleanup_free_ Candidate *list = calloc(rs->n_chains, sizeof(*list));
        _cleanup_free_ Chain **first = calloc(rs->n_chains, sizeof(*first));

        if (!list || !first)
                return -ENOMEM;
        for (size_t i = 0; i < rs->n_chains; i++) {
                list[i] = (Candidate){hash_chain(rs->chains[i]), i};
                first[i] = rs->chains[i];
                rs->chains[i]->scratch = i;
        }
        qsort(list, rs->n_chains, sizeof(list[0]), compare_candidates);
        for (size_t i = 0; i < rs->n_chains; i++) {
                Chain *chain = rs->chains[list[i].index];

                for (size_t j = i; j > 0 && list[j - 1].hash == list[i].hash; j--) {
                        Chain *earlier = rs->chains[list[j - 1].index];

                        if (chain->hook == HOOK_NONE && earlier->hook == HOOK_NONE &&
                            same_chain(chain, earlier)) {
                                first[list[i].index] = first[list[j - 1].index];
                                break;
                        }
                }
        }
        pass_visit_verdicts(rs, redirect, first);
        return 0;
}

static int share_maps(Ruleset *rs) {
        _cleanup_free_ Candidate *list = calloc(rs->n_sets + 1, sizeof(*list));
        size_t n = 0;

        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < rs->n_sets; i++)
                if (rs->sets[i]->is_map)
                        list[n++] = (Candidate){hash_map(rs->sets[i]), i};
        qsort(list, n, sizeof(list[0]), compare_candidates);
        for (size_t i = 0; i < rs->n_chains; i++)
                for (size_t j = 0; j < rs->chains[i]->n_rules; j++) {
                        Rule *rule = &rs->chains[i]->rules[j];

                        for (size_t k = 0; rule->map && k < n; k++)
                                if (same_map(rs->sets[list[k].index], rule->map)) {
                                        rule->map = rs->sets[list[k].index];
                                        break;
                                }
                }
        return 0;
}

int pass_share(Ruleset *rs) {
        int r = share_chains(rs);

        return r == 0 ? share_maps(rs) : r;
}
