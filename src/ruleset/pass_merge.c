/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/pass_list.h"

/* Neighbours with the same final verdict may change places. Where many of them differ in one field
 * alone, they become one rule with a set, and the cost of a packet no longer grows with their
 * number. A few stay as they are: a line of the policy, a rule, a counter is what an operator reads
 * best. */

#define MERGE_TEXT_MAX 80 /* bytes of the first rule's name */
#define MERGE_MIN 8       /* rules; fewer cost less than they tell */

typedef struct Candidate {
        const Rule *rule;
        size_t variable; /* number of the match that may differ */
        uint64_t hash;   /* of all the rest */
        size_t index;
        size_t group; /* number of the first member; SIZE_MAX: in no group */
} Candidate;

static bool is_variable(const Match *m) {
        return m->op == MATCH_IN && m->n_fields == 1 && fields[m->fields[0]].mergeable &&
               !m->set->name;
}

static bool parse_candidate(const Rule *rule, size_t index, Candidate *ret) {
        Candidate c = {.rule = rule, .index = index, .group = SIZE_MAX, .variable = SIZE_MAX};

        for (size_t i = 0; i < rule->n_matches; i++) {
                const Match *m = &rule->matches[i];

                c.hash = pass_mix(c.hash, (uint64_t)m->fields[0] << 8 | (uint64_t)m->op);
                if (c.variable == SIZE_MAX && is_variable(m))
                        c.variable = i;
                else if (m->set && m->set->name)
                        c.hash = pass_mix(c.hash, (uintptr_t)m->set);
                else if (m->set && m->set->n_elements > 0)
                        c.hash = pass_mix(c.hash, m->set->elements[0].key[0].low.low);
        }
        *ret = c;
        return c.variable != SIZE_MAX && rule->origin.at.source && rule->n_statements == 0;
}

static bool may_merge(const Candidate *a, const Candidate *b) {
        Rule x = *a->rule, y = *b->rule;

        if (a->hash != b->hash || a->variable != b->variable || x.n_matches != y.n_matches ||
            x.matches[a->variable].fields[0] != y.matches[b->variable].fields[0])
                return false;
        /* compare all but the variable match: as two rules without comments, in two halves */
        x.origin.text = y.origin.text = NULL;
        x.n_matches = y.n_matches = a->variable;
        if (!rule_equal(&x, &y))
                return false;
        x.matches += a->variable + 1;
        y.matches += a->variable + 1;
        x.n_matches = y.n_matches = a->rule->n_matches - a->variable - 1;
        return rule_equal(&x, &y);
}

static int compare_hashes(const void *a, const void *b) {
        const Candidate *x = a, *y = b;

        if (x->hash != y->hash)
                return x->hash < y->hash ? -1 : 1;
        return x->index < y->index ? -1 : x->index > y->index;
}

static int compare_lows(const void *a, const void *b) {
        const Element *x = a, *y = b;

        return u128_compare(x->key[0].low, y->key[0].low);
}

/* Sorts, and cuts what overlaps: whose rule it counts for does not matter, the verdict is the same.
 */
static void cut_overlaps(Set *set) {
        size_t n = 0;

        qsort(set->elements, set->n_elements, sizeof(set->elements[0]), compare_lows);
        for (size_t i = 0; i < set->n_elements; i++) {
                Element e = set->elements[i];

                if (n > 0 && u128_compare(e.key[0].low, set->elements[n - 1].key[0].high) <= 0) {
                        if (u128_compare(e.key[0].high, set->elements[n - 1].key[0].high) <= 0)
                                continue;
                        e.key[0].low = u128_next(set->elements[n - 1].key[0].high);
                }
                if (!range_is_single(e.key[0]))
                        set->interval = true;
                set->elements[n++] = e;
        }
        set->n_elements = n;
}

static Set *merge_sets(Ruleset *rs, const Candidate *members, size_t n) {
        const Match *m = &members[0].rule->matches[members[0].variable];
        Set *set = ruleset_anonymous_set(rs, fields[m->fields[0]].type);

        for (size_t i = 0; set && i < n; i++) {
                const Set *one = members[i].rule->matches[members[i].variable].set;

                for (size_t j = 0; j < one->n_elements; j++) {
                        Element *e = set_add_element(rs, set, one->elements[j].key);

                        if (!e)
                                return NULL;
                        e->origin.at = members[i].rule->origin.at;
                }
        }
        if (set) {
                set->interval = false;
                set->counted = rs->count_elements;
                cut_overlaps(set);
        }
        return set;
}

/* Bytes of text that leave room for what stands behind it, and cut no character in two. */
static int whole_characters(const char *text) {
        size_t n = strlen(text);

        if (n <= MERGE_TEXT_MAX)
                return (int)n;
        n = MERGE_TEXT_MAX;
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
                n--;
        return (int)n;
}

int pass_name_many(Ruleset *rs, Rule *rule, size_t n) {
        const char *text = rule->origin.text ? rule->origin.text : "";

        rule->origin.text =
                arena_printf(rs->arena, "%.*s (and %zu more)", whole_characters(text), text, n - 1);
        return rule->origin.text ? 0 : -ENOMEM;
}

/* Turns the first member's rule into the one that stands for all n. */
static int merge_group(Ruleset *rs, Rule *rule, const Candidate *members, size_t n) {
        Match *matches = arena_alloc_array(rs->arena, rule->n_matches, sizeof(Match));
        const Set *set = merge_sets(rs, members, n);

        if (!matches || !set)
                return -ENOMEM;
        memcpy(matches, rule->matches, rule->n_matches * sizeof(Match));
        matches[members[0].variable].set = set;
        rule->matches = matches;
        return pass_name_many(rs, rule, n);
}

static bool may_move(const Rule *rule) {
        return verdict_is_final(rule->verdict.kind) && rule->n_statements == 0;
}

size_t pass_count_alike(const Chain *chain, size_t first) {
        const Verdict v = chain->rules[first].verdict;
        size_t end = first + 1;

        while (may_move(&chain->rules[first]) && end < chain->n_rules &&
               may_move(&chain->rules[end]) && chain->rules[end].verdict.kind == v.kind &&
               chain->rules[end].verdict.chain == v.chain)
                end++;
        return end - first;
}

/* Merges within rules[0..n), all with one final verdict; dead ones are marked by VERDICT_CONTINUE
 * without matches, which does nothing. */
static int merge_run(Ruleset *rs, Rule *rules, size_t n) {
        _cleanup_free_ Candidate *list = calloc(n, sizeof(*list));
        size_t n_list = 0;

        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (parse_candidate(&rules[i], i, &list[n_list]))
                        n_list++;
        qsort(list, n_list, sizeof(list[0]), compare_hashes);
        for (size_t i = 0, end; i < n_list; i = end) {
                for (end = i + 1; end < n_list && may_merge(&list[i], &list[end]);)
                        end++;
                if (end - i < MERGE_MIN)
                        continue;
                if (merge_group(rs, &rules[list[i].index], &list[i], end - i) < 0)
                        return -ENOMEM;
                for (size_t j = i + 1; j < end; j++)
                        rules[list[j].index] = (Rule){.verdict = verdict_of(VERDICT_CONTINUE)};
        }
        return 0;
}

static int merge_chain(Ruleset *rs, Chain *chain) {
        size_t kept = 0;

        for (size_t i = 0, end; i < chain->n_rules; i = end) {
                end = i + pass_count_alike(chain, i);
                if (end - i >= MERGE_MIN && merge_run(rs, &chain->rules[i], end - i) < 0)
                        return -ENOMEM;
        }
        for (size_t i = 0; i < chain->n_rules; i++) {
                const Rule *rule = &chain->rules[i];

                if (rule->verdict.kind != VERDICT_CONTINUE || rule->n_matches > 0 ||
                    rule->n_statements > 0)
                        chain->rules[kept++] = *rule;
        }
        chain->n_rules = kept;
        return 0;
}

int pass_merge(Ruleset *rs) {
        for (size_t i = 0; i < rs->n_chains; i++)
                if (merge_chain(rs, rs->chains[i]) < 0)
                        return -ENOMEM;
        return 0;
}
