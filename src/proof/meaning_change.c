/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/meaning_change.h"
#include "proof/meaning_state.h"

/* Which packets come past a rule that is not the same by both rulesets: all others fare alike. What
 * is found may be too much, and never too little. */

#define FEW 64          /* rules of a chain that are all looked at */
#define CHANGES_MAX 300 /* rules and elements; where there are more, all is taken for changed */

typedef struct Walk {
        Meaning *m;
        const Changes *changes;
        size_t n; /* changes met */
} Walk;

static DiagramId chain_changes(Walk *w, const Chain *x, const Chain *y, DiagramId care);

/* Packets of the element's key. */
static DiagramId where_element(Walk *w, const Rule *rule, const Element *e, DiagramId care) {
        Diagram *d = w->m->diagram;
        DiagramId x = meaning_element_condition(w->m, e, rule->map_fields, rule->n_map_fields);

        arena_reset(w->m->scratch);
        return diagram_and(d, x, care);
}

static int compare_keys(const Set *set, const Element *x, const Element *y) {
        for (size_t i = 0; i < set->n_types; i++) {
                int r = u128_compare(x->key[i].low, y->key[i].low);

                if (r == 0)
                        r = u128_compare(x->key[i].high, y->key[i].high);
                if (r != 0)
                        return r;
        }
        return 0;
}

/* Of elements of one key. */
static DiagramId
element_changes(Walk *w, const Rule *rule, const Element *x, const Element *y, DiagramId care) {
        if (x->verdict.kind == y->verdict.kind &&
            (x->verdict.chain == y->verdict.chain ||
             (x->verdict.chain && y->verdict.chain &&
              changes_same_chain(w->changes, x->verdict.chain, y->verdict.chain))))
                return DIAGRAM_EMPTY;
        w->n++;
        care = where_element(w, rule, x, care);
        return x->verdict.kind == y->verdict.kind && x->verdict.chain && y->verdict.chain
                       ? chain_changes(w, x->verdict.chain, y->verdict.chain, care)
                       : care;
}

/* Of two rules that ask the same of a map. */
static DiagramId map_changes(Walk *w, const Rule *x, const Rule *y, DiagramId care) {
        Diagram *d = w->m->diagram;
        DiagramId found = DIAGRAM_EMPTY;
        const Set *s = x->map, *t = y->map;

        if (s->n_types != t->n_types || s->dynamic || t->dynamic)
                return care;
        for (size_t i = 0, j = 0; i < s->n_elements || j < t->n_elements;) {
                int order = i == s->n_elements ? 1
                            : j == t->n_elements
                                    ? -1
                                    : compare_keys(s, &s->elements[i], &t->elements[j]);

                if (order != 0)
                        w->n++;
                if (w->n > CHANGES_MAX)
                        return care;
                found = diagram_union(
                        d, found,
                        order == 0  ? element_changes(w, x, &s->elements[i], &t->elements[j], care)
                        : order < 0 ? where_element(w, x, &s->elements[i], care)
                                    : where_element(w, y, &t->elements[j], care));
                i += order <= 0;
                j += order >= 0;
        }
        return found;
}

/* The values of elements that only one of two sets of one field has. */
static int other_values(FieldId field, const Set *x, const Set *y, Arena *a, RangeSet *ret) {
        for (size_t i = 0, j = 0; i < x->n_elements || j < y->n_elements;) {
                const Element *e = i < x->n_elements ? &x->elements[i] : NULL;
                const Element *f = j < y->n_elements ? &y->elements[j] : NULL;
                int order = !e ? 1 : !f ? -1 : compare_keys(x, e, f);
                const Element *one = order < 0 ? e : order > 0 ? f : NULL;
                Range r = one ? meaning_of_prefixes(field, one->key[0]) : (Range){0};

                if (one && u128_compare(r.low, r.high) <= 0 && range_set_add(a, ret, r) < 0)
                        return -ENOMEM;
                i += order <= 0;
                j += order >= 0;
        }
        range_set_normalise(ret);
        return 0;
}

/* Of two matches that differ in their sets alone. */
static DiagramId set_changes(Walk *w, const Match *x, const Match *y, DiagramId care) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        RangeSet others = {0};
        MeaningVariable v;

        if (!meaning_find_variable(x->fields[0], &v))
                return care;
        if (!w->m->is_of_family[x->fields[0]])
                return DIAGRAM_EMPTY; /* packets that lack the field match neither */
        if (!a || other_values(x->fields[0], x->set, y->set, a, &others) < 0)
                return meaning_fail(w->m, -ENOMEM);
        return diagram_and(w->m->diagram,
                           meaning_where(w->m, meaning_seen_as(w->m->way, v), &others), care);
}

static bool is_plain_set(const Match *m) {
        return m->op <= MATCH_NOT_IN && m->n_fields == 1 && m->set && !m->set->dynamic;
}

/* The one match in which two rules differ, both times a set of one field's values. */
static bool find_changed_set(const Walk *w, const Rule *x, const Rule *y, size_t *ret) {
        size_t n = 0;

        if (x->n_matches != y->n_matches || !changes_same_action(w->changes, x, y))
                return false;
        for (size_t i = 0; i < x->n_matches; i++) {
                const Match *a = &x->matches[i], *b = &y->matches[i];

                if (changes_same_match(w->changes, a, b))
                        continue;
                if (!is_plain_set(a) || !is_plain_set(b) || a->op != b->op ||
                    a->fields[0] != b->fields[0])
                        return false;
                *ret = i;
                n++;
        }
        return n == 1;
}

/* Packets that all matches but one let through. */
static DiagramId but_one_match(Walk *w, const Rule *rule, size_t but, DiagramId x) {
        Rule part = *rule;

        part.n_matches = (uint32_t)but;
        x = meaning_rule_condition(w->m, &part, x);
        part.matches = rule->matches + but + 1;
        part.n_matches = rule->n_matches - (uint32_t)but - 1;
        return meaning_rule_condition(w->m, &part, x);
}

/* A rule that leads nowhere does nothing. */
static DiagramId where_rule(Walk *w, const Rule *rule, DiagramId care) {
        return !rule || rule->verdict.kind == VERDICT_CONTINUE
                       ? DIAGRAM_EMPTY
                       : meaning_rule_condition(w->m, rule, care);
}

static DiagramId rule_changes(Walk *w, const Rule *x, const Rule *y, DiagramId care) {
        size_t i;

        if (x && y && changes_same_rule(w->changes, x, y))
                return DIAGRAM_EMPTY;
        if (x && y && changes_asks_alike(w->changes, x, y)) {
                care = where_rule(w, x, care);
                if (x->map && y->map)
                        return map_changes(w, x, y, care);
                return x->verdict.chain && y->verdict.chain
                               ? chain_changes(w, x->verdict.chain, y->verdict.chain, care)
                               : care;
        }
        if (x && y && find_changed_set(w, x, y, &i))
                return but_one_match(w, x, i, set_changes(w, &x->matches[i], &y->matches[i], care));
        return diagram_union(w->m->diagram, where_rule(w, x, care), where_rule(w, y, care));
}

static bool leaves(Verdict v) {
        return v.kind == VERDICT_GOTO || v.kind == VERDICT_RETURN;
}

static bool may_leave(const Rule *rule) {
        for (size_t i = 0; rule->map && i < rule->map->n_elements; i++)
                if (leaves(rule->map->elements[i].verdict))
                        return true;
        return leaves(rule->verdict);
}

/* Whether nothing comes back from the chain. */
static bool always_ends(const Chain *chain) {
        for (size_t i = 0; i < chain->n_rules; i++) {
                const Rule *rule = &chain->rules[i];

                if (may_leave(rule))
                        return false;
                if (verdict_is_final(rule->verdict.kind) && rule_is_unconditional(rule))
                        return true;
        }
        return false;
}

static bool ends(const Rule *rule) {
        return verdict_is_final(rule->verdict.kind) ||
               (rule->verdict.kind == VERDICT_JUMP && always_ends(rule->verdict.chain));
}

/* What of `care` goes on behind rules that ask the same, and fares alike by them. */
static DiagramId behind_rules(Walk *w, const PairedRule *pair, DiagramId care) {
        const Rule *x = pair->before, *y = pair->after;
        DiagramId left;

        if (!pair->same && (!x || !y || !changes_asks_alike(w->changes, x, y)))
                return care;
        if (rule_has_state(x) || !ends(x) || !ends(y))
                return care;
        for (size_t i = 0; i < x->n_matches; i++)
                if (meaning_is_unsure(&x->matches[i]))
                        return care;
        left = diagram_minus(w->m->diagram, care, meaning_rule_condition(w->m, x, care));
        return meaning_narrow(w->m, care, left);
}

static DiagramId chain_changes(Walk *w, const Chain *x, const Chain *y, DiagramId care) {
        _cleanup_(arena_freep) Arena *a = NULL;
        DiagramId found = DIAGRAM_EMPTY;
        PairedRule *list;
        size_t n;

        if (care == DIAGRAM_EMPTY || changes_same_chain(w->changes, x, y))
                return DIAGRAM_EMPTY;
        if (meaning_is_essential(x) != meaning_is_essential(y))
                return care;
        a = arena_new(0);
        if (!a || changes_pair(w->changes, x, y, a, &list, &n) < 0)
                return meaning_fail(w->m, -ENOMEM);
        for (size_t i = 0; i < n; i++) {
                if (!list[i].same && ++w->n > CHANGES_MAX)
                        return diagram_union(w->m->diagram, found, care);
                if (!list[i].same)
                        found = diagram_union(w->m->diagram, found,
                                              rule_changes(w, list[i].before, list[i].after, care));
                if (n <= FEW)
                        care = behind_rules(w, &list[i], care);
        }
        return found;
}

/* Chains that are met one after the other, by both. */
static DiagramId
hook_changes(Walk *w, const Ruleset *before, const Ruleset *after, Hook hook, DiagramId care) {
        const Chain *x = meaning_next_chain(before, hook, NULL);
        const Chain *y = meaning_next_chain(after, hook, NULL);
        DiagramId found = DIAGRAM_EMPTY;

        while (x && y) {
                if (x->policy_drop != y->policy_drop)
                        return care;
                found = diagram_union(w->m->diagram, found, chain_changes(w, x, y, care));
                x = meaning_next_chain(before, hook, x);
                y = meaning_next_chain(after, hook, y);
        }
        return x || y ? care : found;
}

static DiagramId
way_changes(Walk *w, const Ruleset *before, const Ruleset *after, Hook hook, DiagramId care) {
        DiagramId found = DIAGRAM_EMPTY;

        for (const Hook *h = hook_way(hook); *h != HOOK_NONE; h++)
                found = diagram_union(w->m->diagram, found,
                                      hook_changes(w, before, after, *h, care));
        return found;
}

DiagramId meaning_of_changes(Meaning *m,
                             MeaningWay way,
                             const Changes *changes,
                             const Ruleset *before,
                             const Ruleset *after,
                             DiagramId care) {
        Walk w = {.m = m, .changes = changes};
        DiagramId input = meaning_where_value(m, MEANING_HOOK, U128_ZERO), found = DIAGRAM_EMPTY;

        m->way = way;
        if (way == MEANING_OUTPUT)
                found = way_changes(&w, before, after, HOOK_OUTPUT, care);
        else
                found = diagram_union(m->diagram,
                                      way_changes(&w, before, after, HOOK_INPUT,
                                                  diagram_and(m->diagram, input, care)),
                                      way_changes(&w, before, after, HOOK_FORWARD,
                                                  diagram_minus(m->diagram, care, input)));
        return meaning_narrow(m, care, found);
}

/* lower_nat() makes one chain of a hook's; where there are more of them, nothing is known. */
static const Chain *nat_chain(const Ruleset *rs, Hook hook, size_t *n) {
        const Chain *found = NULL;

        for (size_t i = 0; i < rs->n_chains; i++)
                if (rs->chains[i]->type == CHAIN_NAT && rs->chains[i]->hook == hook) {
                        found = rs->chains[i];
                        ++*n;
                }
        return found;
}

DiagramId meaning_of_nat_changes(Meaning *m,
                                 Hook hook,
                                 const Changes *changes,
                                 const Ruleset *before,
                                 const Ruleset *after,
                                 DiagramId care) {
        Walk w = {.m = m, .changes = changes};
        size_t n_x = 0, n_y = 0;
        const Chain *x = nat_chain(before, hook, &n_x), *y = nat_chain(after, hook, &n_y);

        m->way = MEANING_PLAIN;
        if (n_x == 0 && n_y == 0)
                return DIAGRAM_EMPTY;
        return n_x == 1 && n_y == 1 ? meaning_narrow(m, care, chain_changes(&w, x, y, care)) : care;
}

/* Packets that a chain which the rules of this one lead to accepts as essential. */
static DiagramId jumped_essentials(Meaning *m, const Chain *chain, DiagramId care) {
        DiagramId found = DIAGRAM_EMPTY;

        for (size_t i = 0; i < chain->n_rules; i++) {
                const Chain *to = chain->rules[i].verdict.chain;

                if (to && meaning_is_essential(to))
                        found = diagram_union(m->diagram, found,
                                              diagram_where_may(m->diagram,
                                                                meaning_of_chain(m, to, care).ends,
                                                                MEANING_ESSENTIAL));
        }
        return found;
}

static DiagramId way_essentials(Meaning *m, const Ruleset *rs, Hook hook, DiagramId care) {
        DiagramId found = DIAGRAM_EMPTY;

        for (const Hook *h = hook_way(hook); *h != HOOK_NONE; h++)
                for (const Chain *c = meaning_next_chain(rs, *h, NULL); c;
                     c = meaning_next_chain(rs, *h, c))
                        found = diagram_union(m->diagram, found, jumped_essentials(m, c, care));
        return found;
}

DiagramId meaning_of_essentials(Meaning *m, MeaningWay way, const Ruleset *rs, DiagramId care) {
        DiagramId input = meaning_where_value(m, MEANING_HOOK, U128_ZERO);

        m->way = way;
        if (way == MEANING_OUTPUT)
                return way_essentials(m, rs, HOOK_OUTPUT, care);
        return diagram_union(
                m->diagram, way_essentials(m, rs, HOOK_INPUT, diagram_and(m->diagram, input, care)),
                way_essentials(m, rs, HOOK_FORWARD, diagram_minus(m->diagram, care, input)));
}
