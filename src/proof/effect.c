/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"
#include "proof/effect_state.h"

/* Rules are taken away one after the other, the smallest first, wherever all of a rule's packets
 * are decided by those that stay. To ask that of each rule, the others are put together in halves,
 * and halves of halves, so that what is asked is only ever as large as the rules that it is about.
 */

static double size_of(Effect *e, Packets x) {
        double sum = 0;

        for (Family f = 0; f < _FAMILY_MAX; f++)
                sum += diagram_share(meaning_diagram(e->m[f]), x.of[f], meaning_share, e->m[f]);
        return sum;
}

/* The largest first; of two alike the one that is read first. */
static int compare_items(const void *a, const void *b) {
        const EffectItem *x = *(EffectItem *const *)a, *y = *(EffectItem *const *)b;

        if (x->size < y->size || x->size > y->size)
                return x->size > y->size ? -1 : 1;
        return x < y ? -1 : x > y;
}

/* Those of the list, but perhaps for those with limits, put together in halves; n > 0. */
static Packets build_tree(Effect *e,
                          const EffectList *l,
                          Packets *tree,
                          size_t node,
                          size_t first,
                          size_t n,
                          bool limited) {
        size_t half = n / 2;
        Packets left, nothing = {0};

        if (n == 1)
                tree[node] =
                        l->sorted[first]->limited && !limited ? nothing : l->sorted[first]->packets;
        else {
                left = build_tree(e, l, tree, 2 * node, first, half, limited);
                tree[node] = effect_union(
                        e, left,
                        build_tree(e, l, tree, 2 * node + 1, first + half, n - half, limited));
        }
        return tree[node];
}

static Packets *new_tree(Effect *e, const EffectList *l, bool limited) {
        Packets *tree = arena_alloc_array(e->arena, 4 * (l->n_sorted + 1), sizeof(*tree));

        if (tree && l->n_sorted > 0)
                (void)build_tree(e, l, tree, 1, 0, l->n_sorted, limited);
        return tree;
}

typedef struct Search {
        Effect *e;
        const EffectList *list;
        Packets decided;              /* before any of these rules */
        const Packets *all, *lasting; /* trees; lasting: of those without limits */
} Search;

/* What is both of x and of y or z. */
static Packets among(Effect *e, Packets x, Packets y, Packets z) {
        return effect_union(e, effect_both(e, x, y), effect_both(e, x, z));
}

/* Marks what the others cover; returns what those that stay have. */
static Packets cover(Search *s, size_t node, size_t first, size_t n, Packets others) {
        Packets left, right, nothing = {0};
        size_t half = n / 2, second = 2 * node + 1;
        EffectItem *item = s->list->sorted[first];

        if (n == 1) {
                item->covered = effect_within(s->e, item->packets, s->decided, others);
                return item->covered ? nothing : s->lasting[node];
        }
        left = s->lasting[2 * node];
        right = cover(s, second, first + half, n - half, among(s->e, s->all[second], others, left));
        left = cover(s, 2 * node, first, half, among(s->e, s->all[2 * node], others, right));
        return effect_union(s->e, left, right);
}

int effect_keep(Effect *e, EffectList *l) {
        size_t n = 0;

        for (size_t i = 0; i < l->n_sorted; i++)
                if (!l->sorted[i]->covered && !l->sorted[i]->limited)
                        l->sorted[n++] = l->sorted[i];
        if (n == l->n_sorted && l->tree)
                return 0;
        l->n_sorted = n;
        l->tree = new_tree(e, l, false);
        return l->tree ? 0 : -ENOMEM;
}

/* Decides which rules of the group have no effect behind what is decided before them. */
static int decide_group(Effect *e, const EffectList *l, Packets decided) {
        Search s = {.e = e, .list = l, .decided = decided};
        Packets nothing = {0};
        bool has_limits = false;

        if (l->n_sorted < 2)
                return 0; /* it is not dead */
        for (size_t i = 0; i < l->n_sorted; i++)
                has_limits |= l->sorted[i]->limited;
        s.all = new_tree(e, l, true);
        s.lasting = has_limits ? new_tree(e, l, false) : (Packets *)(uintptr_t)s.all;
        if (!s.all || !s.lasting)
                return -ENOMEM;
        (void)cover(&s, 1, 0, l->n_sorted, nothing);
        return 0;
}

static int decide(Effect *e, EffectList *l, Packets decided) {
        Packets nothing = {0};
        int r;

        l->sorted = arena_alloc_array(e->arena, l->n + 1, sizeof(EffectItem *));
        if (!l->sorted)
                return -ENOMEM;
        for (size_t i = 0; i < l->n; i++) {
                EffectItem *item = &l->items[i];

                item->dead = effect_within(e, item->packets, decided, nothing);
                if (item->dead)
                        continue;
                item->size = size_of(e, item->packets);
                l->sorted[l->n_sorted++] = item;
        }
        qsort(l->sorted, l->n_sorted, sizeof(EffectItem *), compare_items);
        r = effect_group(e, l);
        for (size_t i = 0; i < l->n_groups && r == 0; i++)
                r = decide_group(e, &l->groups[i], decided);
        return r < 0 ? r : effect_error(e);
}

/* All that they have together. */
static Packets all_of(EffectList *l) {
        Packets nothing = {0};

        return l->n_sorted > 0 ? l->tree[1] : nothing;
}

static int add_rules(Effect *e, RuleVerb verb, EffectList *ret) {
        ret->items = arena_alloc_array(e->arena, e->section->n_rules + 1, sizeof(*ret->items));
        if (!ret->items)
                return -ENOMEM;
        for (size_t i = 0; i < e->section->n_rules; i++) {
                const PolicyRule *rule = &e->section->rules[i];

                if (rule->verb == verb)
                        ret->items[ret->n++] = (EffectItem){
                                .rule = rule,
                                .packets = effect_of_rule(e, rule),
                                .limited =
                                        rule->limit.rate.number > 0 || rule->connections.number > 0,
                        };
        }
        return effect_error(e);
}

/* Claims stay, whatever they cover. */
static int add_claims(Effect *e) {
        EffectList *l = &e->claims;
        size_t n = e->id == SECTION_OUTBOUND ? 0 : e->policy->n_protected;

        l->items = arena_alloc_array(e->arena, n + 1, sizeof(*l->items));
        l->sorted = arena_alloc_array(e->arena, n + 1, sizeof(EffectItem *));
        if (!l->items || !l->sorted)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                const Protected *claim = &e->policy->protected[i];

                l->items[l->n] = (EffectItem){.claim = claim, .packets = effect_of_claim(e, claim)};
                l->sorted[l->n_sorted++] = &l->items[l->n];
                l->n++;
        }
        return effect_keep(e, l) < 0 ? -ENOMEM : effect_error(e);
}

static int report_all(Effect *e) {
        size_t d = 0, a = 0;
        int r = 0;

        /* as they are read */
        for (size_t i = 0; i < e->section->n_rules && r == 0; i++) {
                const EffectItem *item = e->section->rules[i].verb == RULE_DENY
                                                 ? &e->denies.items[d++]
                                                 : &e->allows.items[a++];

                if (item->dead || item->covered)
                        r = effect_report(e, item);
        }
        return r;
}

static int check_section(Effect *e) {
        int r = effect_open(e);

        if (r == 0)
                r = add_claims(e);
        if (r == 0)
                r = add_rules(e, RULE_DENY, &e->denies);
        if (r == 0)
                r = add_rules(e, RULE_ALLOW, &e->allows);
        if (r == 0)
                r = effect_find_before(e);
        if (r == 0) {
                e->refused = effect_union(e, e->before, all_of(&e->claims));
                r = decide(e, &e->denies, e->refused);
        }
        if (r == 0)
                r = effect_keep(e, &e->denies);
        if (r == 0) {
                e->containers = effect_of_containers(e);
                e->denied = effect_union(e, e->refused, all_of(&e->denies));
                r = decide(e, &e->allows, effect_union(e, e->denied, e->containers));
        }
        if (r == 0 && e->too_complex)
                r = -E2BIG;
        return r == 0 ? report_all(e) : r;
}

static int check(const Policy *policy, SectionId id, Diag *d) {
        const Section *section = &policy->sections[id];
        Effect e = {
                .policy = policy,
                .section = section,
                .id = id,
                .d = d,
                .arena = arena_new(0),
                .scratch = arena_new(0),
        };
        size_t n_messages = d->n_messages;
        int r = e.arena && e.scratch ? check_section(&e) : -ENOMEM;

        for (Family f = 0; f < _FAMILY_MAX; f++)
                e.m[f] = meaning_free(e.m[f]);
        e.scratch = arena_free(e.scratch);
        e.arena = arena_free(e.arena);
        if (r != -E2BIG)
                return r;
        diag_remark(d, section->at, "which of the %s rules have no effect was not found out%s",
                    section_id_to_string(id),
                    d->n_messages > n_messages ? " for all of them: they are too complex"
                                               : ": they are too complex");
        return 0;
}

int effect_check(const Policy *policy, Diag *d) {
        size_t n_messages = d->n_messages;
        int r = 0;

        for (SectionId id = 0; id < _SECTION_MAX && r == 0; id++)
                if (policy->sections[id].n_rules > 0)
                        r = check(policy, id, d);
        return r == 0 ? messages_sort(d, n_messages, policy->sources, policy->n_sources) : r;
}
