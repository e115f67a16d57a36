/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter/nf_tables.h>

#include "ruleset/plan_list.h"
#include "ruleset/statement.h"

static const char *const change_names[_PLAN_CHANGE_MAX] = {
        [PLAN_COMES] = "comes",
        [PLAN_GOES] = "goes",
        [PLAN_CHANGES] = "changes",
        [PLAN_MOVES] = "moves",
};

const char *plan_change_to_string(PlanChange change) {
        return change_names[change];
}

/* ---- sets */

static bool same_type(const Set *x, const Set *y) {
        if (x->n_types != y->n_types || x->is_map != y->is_map)
                return false;
        for (size_t i = 0; i < x->n_types; i++)
                if (x->types[i] != y->types[i])
                        return false;
        return true;
}

static int compare_elements(const Set *set, const Element *x, const Element *y) {
        for (size_t i = 0; i < set->n_types; i++) {
                int c = u128_compare(x->key[i].low, y->key[i].low);

                if (c == 0)
                        c = u128_compare(x->key[i].high, y->key[i].high);
                if (c != 0)
                        return c;
        }
        return 0;
}

/* Where a key leads to another chain than before, one element goes and one comes. */
static bool same_verdict(const Element *x, const Element *y) {
        return x->verdict.kind == y->verdict.kind &&
               streq_null(x->verdict.chain ? x->verdict.chain->name : NULL,
                          y->verdict.chain ? y->verdict.chain->name : NULL);
}

/* Both are sorted. */
static void count_elements(const Set *live, const Set *desired, PlanSet *p) {
        size_t i = 0, j = 0;

        while (i < live->n_elements && j < desired->n_elements) {
                const Element *x = &live->elements[i], *y = &desired->elements[j];
                int c = compare_elements(live, x, y);

                if (c == 0 && !same_verdict(x, y)) {
                        p->n_come++;
                        p->n_go++;
                }
                p->n_go += c < 0;
                p->n_come += c > 0;
                i += c <= 0;
                j += c >= 0;
        }
        p->n_go += live->n_elements - i;
        p->n_come += desired->n_elements - j;
}

/* Either may be NULL. */
static int plan_set(Arena *a, const Set *live, const Set *desired, Plan *plan) {
        PlanSet p = {
                .change = !live      ? PLAN_COMES
                          : !desired ? PLAN_GOES
                                     : PLAN_CHANGES,
                .set = desired ? desired : live,
        };

        if (live && desired && set_equal(live, desired))
                return 0;
        if ((live && live->is_unlisted) || (desired && desired->is_unlisted))
                ; /* nobody knows */
        else if (live && desired && same_type(live, desired))
                count_elements(live, desired, &p);
        else {
                p.n_go = live ? live->n_elements : 0;
                p.n_come = desired ? desired->n_elements : 0;
        }
        return arena_append(a, plan->sets, plan->n_sets, p) ? 0 : -ENOMEM;
}

static int compare_sets(const void *a, const void *b) {
        const Set *const *x = a, *const *y = b;

        return strcmp((*x)->name, (*y)->name);
}

/* ---- chains */

typedef struct RuleRef {
        const Rule *rule;
        const char *text;
        size_t index;
} RuleRef;

static int compare_refs(const void *a, const void *b) {
        const RuleRef *x = a, *y = b;
        int c = strcmp(x->text, y->text);

        return c ? c : (x->index > y->index) - (x->index < y->index);
}

/* The rules with their texts, by which equal ones come to stand beside each other. */
static RuleRef *sort_rules(Arena *a, const Chain *chain) {
        size_t n = chain ? chain->n_rules : 0;
        RuleRef *refs = arena_alloc_array(a, n + 1, sizeof(*refs));

        for (size_t i = 0; i < n && refs; i++) {
                _cleanup_free_ char *text = NULL;
                Rule rule = chain->rules[i];
                size_t size = 0;
                FILE *f = open_memstream(&text, &size);

                if (!f)
                        return NULL;
                rule.packets = rule.bytes = 0;
                rule_print(&rule, f);
                (void)fclose(f); /* fails only without memory, and then leaves text NULL */
                refs[i] = (RuleRef){&chain->rules[i], text ? arena_strdup(a, text) : NULL, i};
                if (!refs[i].text)
                        return NULL;
        }
        if (refs && n > 0)
                qsort(refs, n, sizeof(refs[0]), compare_refs);
        return refs;
}

static int compare_places(const void *a, const void *b) {
        const Rule *const *x = a, *const *y = b;

        return *x < *y ? -1 : *x > *y;
}

static int list_rules(Arena *a, const Chain *live, const Chain *desired, PlanChain *p) {
        size_t n = live ? live->n_rules : 0, m = desired ? desired->n_rules : 0, i = 0, j = 0;
        RuleRef *x = sort_rules(a, live), *y = sort_rules(a, desired);

        if (!x || !y)
                return -ENOMEM;
        while (i < n || j < m) {
                int c = i == n ? 1 : j == m ? -1 : strcmp(x[i].text, y[j].text);

                if (c < 0 && !arena_append(a, p->go, p->n_go, x[i].rule))
                        return -ENOMEM;
                if (c > 0 && !arena_append(a, p->come, p->n_come, y[j].rule))
                        return -ENOMEM;
                i += c <= 0;
                j += c >= 0;
        }
        if (p->n_go > 0)
                qsort(p->go, p->n_go, sizeof(p->go[0]), compare_places);
        if (p->n_come > 0)
                qsort(p->come, p->n_come, sizeof(p->come[0]), compare_places);
        return 0;
}

/* Likewise. */
static int plan_chain(Arena *a, const Chain *live, const Chain *desired, Plan *plan) {
        PlanChain p = {
                .change = !live      ? PLAN_COMES
                          : !desired ? PLAN_GOES
                                     : PLAN_CHANGES,
                .chain = desired ? desired : live,
        };

        if (live && desired && chain_equal(live, desired))
                return 0;
        if (list_rules(a, live, desired, &p) < 0)
                return -ENOMEM;
        if (live && desired) {
                p.rehooked = live->hook != desired->hook || live->priority != desired->priority ||
                             live->policy_drop != desired->policy_drop;
                p.reordered = !p.rehooked && p.n_come == 0 && p.n_go == 0;
        }
        return arena_append(a, plan->chains, plan->n_chains, p) ? 0 : -ENOMEM;
}

static int compare_chains(const void *a, const void *b) {
        const Chain *const *x = a, *const *y = b;

        return strcmp((*x)->name, (*y)->name);
}

/* ---- both: pairs by name */

/* A sorted copy of an array of pointers, for at least one. */
static void *
sorted(Arena *a, const void *items, size_t n, int (*compare)(const void *, const void *)) {
        void *copy = arena_alloc_array(a, n + 1, sizeof(void *));

        if (copy && n > 0) {
                memcpy(copy, items, n * sizeof(void *));
                qsort(copy, n, sizeof(void *), compare);
        }
        return copy;
}

static int plan_sets(Arena *a, const Ruleset *live, const Ruleset *desired, Plan *plan) {
        Set **x = sorted(a, live->sets, live->n_sets, compare_sets);
        Set **y = sorted(a, desired->sets, desired->n_sets, compare_sets);
        size_t i = 0, j = 0;

        if (!x || !y)
                return -ENOMEM;
        while (i < live->n_sets || j < desired->n_sets) {
                int c = i == live->n_sets      ? 1
                        : j == desired->n_sets ? -1
                                               : compare_sets(&x[i], &y[j]);

                if (plan_set(a, c <= 0 ? x[i] : NULL, c >= 0 ? y[j] : NULL, plan) < 0)
                        return -ENOMEM;
                i += c <= 0;
                j += c >= 0;
        }
        return 0;
}

static int plan_chains(Arena *a, const Ruleset *live, const Ruleset *desired, Plan *plan) {
        Chain **x = sorted(a, live->chains, live->n_chains, compare_chains);
        Chain **y = sorted(a, desired->chains, desired->n_chains, compare_chains);
        size_t i = 0, j = 0;

        if (!x || !y)
                return -ENOMEM;
        while (i < live->n_chains || j < desired->n_chains) {
                int c = i == live->n_chains      ? 1
                        : j == desired->n_chains ? -1
                                                 : compare_chains(&x[i], &y[j]);

                if (plan_chain(a, c <= 0 ? x[i] : NULL, c >= 0 ? y[j] : NULL, plan) < 0)
                        return -ENOMEM;
                i += c <= 0;
                j += c >= 0;
        }
        return 0;
}

/* Of all that is named, the limit of logging alone is no rule of the policy's. */
static void plan_log(const Ruleset *live, const Ruleset *desired, Plan *plan) {
        const NamedLimit *before = ruleset_find_limit(live, RULESET_LOG_LIMIT);
        const NamedLimit *after = ruleset_find_limit(desired, RULESET_LOG_LIMIT);

        plan->log_before = before ? &before->limit : NULL;
        plan->log_after = after ? &after->limit : NULL;
        plan->log_changes =
                !before != !after || (before && !limit_equal(before->limit, after->limit));
}

int plan_make(Arena *a, const Ruleset *live, const Ruleset *desired, Plan **ret) {
        Plan *plan = arena_new0(a, Plan);

        if (!plan)
                return -ENOMEM;
        if (plan_sets(a, live, desired, plan) < 0 || plan_chains(a, live, desired, plan) < 0)
                return -ENOMEM;
        plan_log(live, desired, plan);
        plan->wakes = live->flags & NFT_TABLE_F_DORMANT;
        plan->differs = plan->n_sets > 0 || plan->n_chains > 0 || plan->wakes || plan->log_changes;
        if (plan->differs && plan_rules(a, live, desired, plan) < 0)
                return -ENOMEM;
        *ret = plan;
        return 0;
}
