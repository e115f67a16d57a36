/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/meaning_state.h"

/* Cuts: what rules tell apart. */

#define LARGE 1000 /* elements of a set that is cut once */

int meaning_cut(Meaning *m, MeaningVariable variable, Range r) {
        if (axis_cut(m->arena, &m->axes[variable], r) < 0)
                return -ENOMEM;
        /* the one may stand for the other: see meaning_seen_as() */
        if (variable == MEANING_FINAL)
                return axis_cut(m->arena, &m->axes[MEANING_DIALLED], r);
        if (variable == MEANING_FINAL_PORT)
                return axis_cut(m->arena, &m->axes[MEANING_DIALLED_PORT], r);
        return 0;
}

int meaning_cut_all(Meaning *m, MeaningVariable variable, const RangeSet *ranges) {
        for (size_t i = 0; i < ranges->n_items; i++)
                if (meaning_cut(m, variable, ranges->items[i]) < 0)
                        return -ENOMEM;
        return 0;
}

/* Large sets are asked for by several rules: their cuts are made once. */
static bool is_cut_already(Meaning *m, const Set *set, MeaningVariable v) {
        LargeSet large = {set, v};

        if (set->n_elements < LARGE)
                return false;
        for (size_t i = 0; i < m->n_large; i++)
                if (m->large[i].set == set && m->large[i].variable == v)
                        return true;
        /* without memory they are cut twice */
        (void)arena_append(m->arena, m->large, m->n_large, large);
        return false;
}

static int cut_set(Meaning *m, const Set *set, const FieldId *list, size_t n) {
        for (size_t i = 0; set && i < n; i++) {
                MeaningVariable v;

                if (!m->is_of_family[list[i]] || !meaning_find_variable(list[i], &v) ||
                    is_cut_already(m, set, v))
                        continue;
                for (size_t j = 0; j < set->n_elements; j++) {
                        Range r = set->elements[j].key[i];

                        r = meaning_of_prefixes(list[i], r);
                        if (u128_compare(r.low, r.high) <= 0 && meaning_cut(m, v, r) < 0)
                                return -ENOMEM;
                }
        }
        return 0;
}

int meaning_cut_rules(Meaning *m) {
        for (size_t i = 0; i < m->rs->n_chains; i++)
                for (size_t j = 0; j < m->rs->chains[i]->n_rules; j++) {
                        const Rule *rule = &m->rs->chains[i]->rules[j];

                        for (size_t k = 0; k < rule->n_matches; k++)
                                if (rule->matches[k].op <= MATCH_NOT_IN &&
                                    cut_set(m, rule->matches[k].set, rule->matches[k].fields,
                                            rule->matches[k].n_fields) < 0)
                                        return -ENOMEM;
                        if (cut_set(m, rule->map, rule->map_fields, rule->n_map_fields) < 0)
                                return -ENOMEM;
                        if (rule->target && rule->target->family == m->family &&
                            (meaning_cut(m, MEANING_FINAL, range_single(rule->target->address)) <
                                     0 ||
                             meaning_cut(m, MEANING_FINAL_PORT,
                                         range_single(u128(rule->target->port))) < 0))
                                return -ENOMEM;
                }
        return 0;
}
