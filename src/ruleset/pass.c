/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/pass_list.h"

const Pass passes[] = {
        /* before dispatch, which makes a chain for each port */
        {"pair", "sources and their ports become one lookup of both", pass_pair},
        /* before merge, which otherwise sees the same sources once for every port */
        {"dispatch", "rules on ports become one lookup a protocol", pass_dispatch},
        {"merge", "many rules that differ in one field become a set", pass_merge},
        /* before share: what no packet reaches must not keep two chains apart */
        {"trim", "rules behind a final verdict go", pass_trim},
        {"share", "equal chains and maps become one", pass_share},
        /* last: share leaves copies behind */
        {"prune", "chains and sets that nothing leads to go", pass_prune},
};

const size_t n_passes = ARRAY_SIZE(passes);

static const Pass *find_pass(const char *name) {
        for (size_t i = 0; i < n_passes; i++)
                if (streq(passes[i].name, name))
                        return &passes[i];
        return NULL;
}

int ruleset_compile(const Policy *policy,
                    const KernelFeatures *features,
                    const char *stop_after,
                    Arena *a,
                    Ruleset **ret,
                    Diag *d) {
        Ruleset *rs;
        int r;

        if (stop_after && !streq(stop_after, "lower") && !find_pass(stop_after))
                return -ENOENT;
        r = stop_after ? ruleset_lower(policy, features, a, &rs)
                       : ruleset_lower_paired(policy, features, a, &rs);
        if (r == 0)
                r = ruleset_verify(rs, d);
        for (size_t i = 0; i < n_passes && r == 0; i++) {
                if (stop_after && streq(stop_after, i == 0 ? "lower" : passes[i - 1].name))
                        break;
                r = passes[i].run(rs);
                if (r == 0)
                        r = ruleset_verify(rs, d);
        }
        if (r == 0)
                *ret = rs;
        return r;
}

static void visit_map(const Set *map, VerdictVisitor visit, void *context) {
        for (size_t i = 0; i < map->n_elements; i++)
                if (map->elements[i].verdict.chain)
                        visit(&map->elements[i].verdict, context);
}

void pass_visit_verdicts(Ruleset *rs, VerdictVisitor visit, void *context) {
        for (size_t i = 0; i < rs->n_sets; i++)
                visit_map(rs->sets[i], visit, context);
        for (size_t i = 0; i < rs->n_chains; i++)
                for (size_t j = 0; j < rs->chains[i]->n_rules; j++) {
                        Rule *rule = &rs->chains[i]->rules[j];

                        if (rule->verdict.chain)
                                visit(&rule->verdict, context);
                        if (rule->map && !rule->map->name)
                                visit_map(rule->map, visit, context);
                }
}
