/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/statement.h"

/* Equality of meaning and of everything that the kernel keeps for us. Counters, handles and places
 * in the policy are left out: they differ between what was made and what was read. */

static bool verdict_equal(Verdict a, Verdict b) {
        if (a.kind != b.kind)
                return false;
        return !a.chain == !b.chain && (!a.chain || streq(a.chain->name, b.chain->name));
}

/* What of an origin's text reaches the kernel: a comment is cut there. */
static bool comment_equal(const char *a, const char *b) {
        size_t size = comment_size(a);

        return size == comment_size(b) && (size == 0 || memcmp(a, b, size) == 0);
}

bool element_equal(const Set *set, const Element *a, const Element *b) {
        for (size_t i = 0; i < set->n_types; i++)
                if (!range_equal(a->key[i], b->key[i]))
                        return false;
        return verdict_equal(a->verdict, b->verdict) &&
               comment_equal(a->origin.text, b->origin.text);
}

bool set_equal(const Set *a, const Set *b) {
        if (!streq_null(a->name, b->name) || a->n_types != b->n_types || a->is_map != b->is_map ||
            a->counted != b->counted || a->dynamic != b->dynamic || a->is_unlisted ||
            b->is_unlisted)
                return false;
        if (a->dynamic && (a->timeout != b->timeout || a->room != b->room))
                return false;
        if (!a->dynamic && a->n_elements != b->n_elements)
                return false;
        /* how a set without a name is stored is the encoder's choice */
        if (a->name && a->interval != b->interval)
                return false;
        for (size_t i = 0; i < a->n_types; i++)
                if (a->types[i] != b->types[i])
                        return false;
        if (a->elements == b->elements)
                return true; /* borrowed: see nft/large_set.h */
        for (size_t i = 0; i < a->n_elements && !a->dynamic; i++)
                if (!element_equal(a, &a->elements[i], &b->elements[i]))
                        return false;
        return true;
}

static bool set_same(const Set *a, const Set *b) {
        if (!a || !b || a == b)
                return a == b;
        /* a named set is compared once, where the ruleset lists it */
        return a->name || b->name ? streq_null(a->name, b->name) : set_equal(a, b);
}

static bool fields_equal(const FieldId *a, size_t n_a, const FieldId *b, size_t n_b) {
        if (n_a != n_b)
                return false;
        for (size_t i = 0; i < n_a; i++)
                if (a[i] != b[i])
                        return false;
        return true;
}

static bool match_equal(const Match *a, const Match *b) {
        if (a->op != b->op || !fields_equal(a->fields, a->n_fields, b->fields, b->n_fields))
                return false;
        switch (a->op) {
        case MATCH_IN:
        case MATCH_NOT_IN:
                return set_same(a->set, b->set);
        case MATCH_BITS:
        case MATCH_NO_BITS:
                return u128_equal(a->mask, b->mask);
        case MATCH_UNKNOWN:
                return false; /* nobody knows what it means, so it equals nothing */
        }
        return false;
}

static bool target_equal(const Rule *a, const Rule *b) {
        return a->verdict.kind != VERDICT_DNAT ||
               (a->target->family == b->target->family &&
                u128_equal(a->target->address, b->target->address) &&
                a->target->port == b->target->port);
}

bool rule_equal(const Rule *a, const Rule *b) {
        if (a->n_matches != b->n_matches || a->n_statements != b->n_statements ||
            a->counted != b->counted || !verdict_equal(a->verdict, b->verdict) ||
            !set_same(a->map, b->map) ||
            !fields_equal(a->map_fields, a->n_map_fields, b->map_fields, b->n_map_fields) ||
            !comment_equal(a->origin.text, b->origin.text) || !target_equal(a, b))
                return false;
        for (size_t i = 0; i < a->n_statements; i++)
                if (!statement_equal(&a->statements[i], &b->statements[i]))
                        return false;
        for (size_t i = 0; i < a->n_matches; i++)
                if (!match_equal(&a->matches[i], &b->matches[i]))
                        return false;
        return true;
}

bool chain_equal(const Chain *a, const Chain *b) {
        if (!streq(a->name, b->name) || a->hook != b->hook || a->n_rules != b->n_rules)
                return false;
        if (a->hook != HOOK_NONE &&
            (a->type != b->type || a->priority != b->priority || a->policy_drop != b->policy_drop))
                return false;
        for (size_t i = 0; i < a->n_rules; i++)
                if (!rule_equal(&a->rules[i], &b->rules[i]))
                        return false;
        return true;
}

static int compare_chains(const void *a, const void *b) {
        const Chain *const *x = a, *const *y = b;

        return strcmp((*x)->name, (*y)->name);
}

static int compare_sets(const void *a, const void *b) {
        const Set *const *x = a, *const *y = b;

        return strcmp((*x)->name, (*y)->name);
}

static bool limits_equal(const Ruleset *a, const Ruleset *b) {
        for (size_t i = 0; i < a->n_limits; i++) {
                const NamedLimit *other = ruleset_find_limit(b, a->limits[i].name);

                if (!other || !limit_equal(a->limits[i].limit, other->limit))
                        return false;
        }
        return a->n_limits == b->n_limits;
}

/* A sorted copy of an array of pointers; NULL without memory or without items. */
static void *sorted(const void *items, size_t n, int (*compare)(const void *, const void *)) {
        void *copy = n ? calloc(n, sizeof(void *)) : NULL;

        if (copy) {
                memcpy(copy, items, n * sizeof(void *));
                qsort(copy, n, sizeof(void *), compare);
        }
        return copy;
}

bool ruleset_equal(const Ruleset *a, const Ruleset *b) {
        _cleanup_free_ const Chain **x = NULL, **y = NULL;
        _cleanup_free_ const Set **s = NULL, **t = NULL;

        if (a->n_chains != b->n_chains || a->n_sets != b->n_sets || !limits_equal(a, b))
                return false;
        x = sorted(a->chains, a->n_chains, compare_chains);
        y = sorted(b->chains, b->n_chains, compare_chains);
        s = sorted(a->sets, a->n_sets, compare_sets);
        t = sorted(b->sets, b->n_sets, compare_sets);
        if ((a->n_chains > 0 && (!x || !y)) || (a->n_sets > 0 && (!s || !t)))
                return false; /* without memory nothing is called equal */
        for (size_t i = 0; i < a->n_chains; i++)
                if (!chain_equal(x[i], y[i]))
                        return false;
        for (size_t i = 0; i < a->n_sets; i++)
                if (!set_equal(s[i], t[i]))
                        return false;
        return true;
}
