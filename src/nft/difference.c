/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/difference.h"

#include <linux/netfilter/nf_tables.h>

#include "nft/encode.h"
#include "nft/large_set.h"
#include "nft/owner.h"
#include "ruleset/statement.h"

/* Two chains or two sets of one name; either may be NULL. */
typedef struct Pair {
        const char *name;
        const void *live, *desired;
        bool recreate; /* delete it and make it again: a hook, type or size cannot be changed */
        bool refill;   /* take out and put in all rules, or all elements */
        bool prune;    /* of a chain: rules have come in between, and nothing else */
} Pair;

typedef struct Pairs {
        Pair *items;
        size_t n_items;
} Pairs;

typedef struct Difference {
        NftBatch *batch;
        NftChanges changes;
        Pairs chains, sets;
        /* Something is made anew that any rule or map may refer to: all of them go and come back.
         */
        bool everything;
        bool empties_maps;
} Difference;

static void difference_done(Difference *d) {
        free(d->chains.items);
        free(d->sets.items);
}

static int compare_pairs(const void *a, const void *b) {
        const Pair *x = a, *y = b;

        return strcmp(x->name, y->name);
}

/* Joins the items, of which each has one side so far, to pairs. */
static void pair_up(Pairs *pairs) {
        size_t n = 0;

        qsort(pairs->items, pairs->n_items, sizeof(pairs->items[0]), compare_pairs);
        for (size_t i = 0; i < pairs->n_items; i++) {
                Pair *last = n > 0 ? &pairs->items[n - 1] : NULL, p = pairs->items[i];

                if (last && streq(last->name, p.name)) {
                        last->live = last->live ? last->live : p.live;
                        last->desired = last->desired ? last->desired : p.desired;
                } else
                        pairs->items[n++] = p;
        }
        pairs->n_items = n;
}

/* The pair of that name; one without either side if there is none. */
static const Pair *find_pair(const Pairs *pairs, const char *name) {
        static const Pair none;
        const Pair key = {.name = name};
        const Pair *found = bsearch(&key, pairs->items, pairs->n_items, sizeof(key), compare_pairs);

        return found ? found : &none;
}

static int pair_chains(Pairs *pairs, const Ruleset *live, const Ruleset *desired) {
        pairs->items = calloc(live->n_chains + desired->n_chains + 1, sizeof(pairs->items[0]));
        if (!pairs->items)
                return -ENOMEM;
        for (size_t i = 0; i < live->n_chains; i++)
                pairs->items[pairs->n_items++] =
                        (Pair){.name = live->chains[i]->name, .live = live->chains[i]};
        for (size_t i = 0; i < desired->n_chains; i++)
                pairs->items[pairs->n_items++] =
                        (Pair){.name = desired->chains[i]->name, .desired = desired->chains[i]};
        pair_up(pairs);
        return 0;
}

static int pair_sets(Pairs *pairs, const Ruleset *live, const Ruleset *desired) {
        pairs->items = calloc(live->n_sets + desired->n_sets + 1, sizeof(pairs->items[0]));
        if (!pairs->items)
                return -ENOMEM;
        for (size_t i = 0; i < live->n_sets; i++)
                pairs->items[pairs->n_items++] =
                        (Pair){.name = live->sets[i]->name, .live = live->sets[i]};
        for (size_t i = 0; i < desired->n_sets; i++)
                pairs->items[pairs->n_items++] =
                        (Pair){.name = desired->sets[i]->name, .desired = desired->sets[i]};
        pair_up(pairs);
        return 0;
}

static bool same_shape(const Set *a, const Set *b) {
        if (a->n_types != b->n_types || a->is_map != b->is_map || a->interval != b->interval ||
            a->counted != b->counted || a->dynamic != b->dynamic || a->timeout != b->timeout)
                return false;
        for (size_t i = 0; i < a->n_types; i++)
                if (a->types[i] != b->types[i])
                        return false;
        return true;
}

static bool has_room(const Set *live, const Set *desired) {
        if (desired->dynamic)
                return live->room == desired->room;
        return live->room == 0 || desired->n_elements <= live->room;
}

/* What the kernel is told of the gap before the first interval. */
static bool same_gap(const Set *a, const Set *b) {
        return u128_is_zero(a->elements[0].key[0].low) == u128_is_zero(b->elements[0].key[0].low);
}

/* Intervals are taken out and put in one by one only where there are many: the kernel looks at each
 * beside its neighbours. */
static bool is_filled_anew(const Set *live, const Set *desired) {
        if (live->is_unlisted)
                return true;
        if (!live->interval || set_equal(live, desired))
                return false;
        return !large_set_is(live) || !large_set_is(desired) || !same_gap(live, desired);
}

static bool same_rules(const Chain *a, const Chain *b) {
        if (a->n_rules != b->n_rules)
                return false;
        for (size_t i = 0; i < a->n_rules; i++)
                if (!rule_equal(&a->rules[i], &b->rules[i]))
                        return false;
        return true;
}

/* Takes out those rules of live that desired does not have; false, unless that is all that there is
 * to do. b NULL: only asks. To take out costs the kernel little, and leaves counters and limits. */
static bool prune(NftBatch *b, const Chain *live, const Chain *desired, size_t *ret_n) {
        size_t n = 0;

        *ret_n = 0;
        for (size_t i = 0; i < live->n_rules; i++) {
                const Rule *rule = &live->rules[i];

                if (n < desired->n_rules && rule_equal(rule, &desired->rules[n])) {
                        n++;
                        continue;
                }
                if (rule->handle == 0)
                        return false;
                if (b)
                        encode_delete_rule(b, live, rule);
                (*ret_n)++;
        }
        return n == desired->n_rules;
}

static bool same_hook(const Chain *a, const Chain *b) {
        return a->hook == b->hook &&
               (a->hook == HOOK_NONE || (a->type == b->type && a->priority == b->priority));
}

/* A limit cannot be changed while a rule refers to it. */
static bool limits_change(const Ruleset *live, const Ruleset *desired) {
        for (size_t i = 0; i < live->n_limits; i++) {
                const NamedLimit *other = ruleset_find_limit(desired, live->limits[i].name);

                if (other && !limit_equal(other->limit, live->limits[i].limit))
                        return true;
        }
        return false;
}

/* Those that are in one of both alone, or differ. */
static void encode_limits(Difference *d, const Ruleset *of, const Ruleset *other, bool removes) {
        for (size_t i = 0; i < of->n_limits; i++) {
                const NamedLimit *l = &of->limits[i], *same = ruleset_find_limit(other, l->name);

                if (same && limit_equal(same->limit, l->limit))
                        continue;
                if (removes)
                        encode_delete_limit(d->batch, l);
                else
                        encode_limit(d->batch, l);
        }
}

/* Only of those on both sides is there anything to decide. */
static void decide(Difference *d) {
        for (size_t i = 0; i < d->chains.n_items; i++) {
                Pair *p = &d->chains.items[i];

                p->recreate = p->live && p->desired && !same_hook(p->live, p->desired);
                d->everything |= p->recreate;
        }
        for (size_t i = 0; i < d->sets.n_items; i++) {
                Pair *p = &d->sets.items[i];

                p->recreate = p->live && p->desired &&
                              (!same_shape(p->live, p->desired) || !has_room(p->live, p->desired));
                d->everything |= p->recreate;
        }
        for (size_t i = 0; i < d->chains.n_items; i++) {
                Pair *p = &d->chains.items[i];

                size_t n;

                p->refill = p->live && p->desired &&
                            (d->everything || !same_rules(p->live, p->desired));
                p->prune = p->refill && !d->everything && prune(NULL, p->live, p->desired, &n);
                p->refill &= !p->prune;
        }
        for (size_t i = 0; i < d->sets.n_items; i++) {
                Pair *p = &d->sets.items[i];
                const Set *live = p->live;

                p->refill = live && p->desired && !p->recreate && !live->dynamic &&
                            ((d->everything && live->is_map) || is_filled_anew(live, p->desired));
        }
}

static int compare_elements(const Set *set, const Element *a, const Element *b) {
        for (size_t i = 0; i < set->n_types; i++) {
                int c = u128_compare(a->key[i].low, b->key[i].low);

                if (c != 0)
                        return c;
        }
        return 0;
}

/* Of two that begin in the same place. */
static bool same_element(const Set *set, const Element *a, const Element *b) {
        size_t size = comment_size(a->origin.text);

        for (size_t i = 0; i < set->n_types; i++)
                if (!u128_equal(a->key[i].high, b->key[i].high))
                        return false;
        return a->verdict.kind == b->verdict.kind && !a->verdict.chain == !b->verdict.chain &&
               (!a->verdict.chain || streq(a->verdict.chain->name, b->verdict.chain->name)) &&
               size == comment_size(b->origin.text) &&
               (size == 0 || memcmp(a->origin.text, b->origin.text, size) == 0);
}

/* Adds those elements of `of` that `other` does not have in just the same way. Both are sorted. */
static size_t encode_missing(NftBatch *b, const Set *of, const Set *other, bool removes) {
        EncodeList list;
        size_t n = 0;

        if (of->elements == other->elements && of->n_elements == other->n_elements)
                return 0;
        encode_list_start(&list, b, of, removes);
        for (size_t i = 0, j = 0; i < of->n_elements; i++) {
                int c = -1;

                while (j < other->n_elements &&
                       (c = compare_elements(of, &of->elements[i], &other->elements[j])) > 0)
                        j++;
                if (j < other->n_elements && c == 0 &&
                    same_element(of, &of->elements[i], &other->elements[j]))
                        continue;
                encode_list_add(&list, &of->elements[i]);
                n++;
        }
        encode_list_end(&list);
        return n;
}

/* Of a set that goes the kernel takes the elements out itself. To empty a map first does lasting
 * harm to Linux 6.1.176 to 6.1.190. They have "restore set elements when delete set fails", but not
 * yet "fix memleak in map from abort path" (CVE-2024-27011): __nf_tables_abort() puts each element
 * of such a map back twice, for NFT_MSG_DELSET and for its own NFT_MSG_DELSETELEM. From the first
 * transaction that is taken back, and be it by the kernel itself to load a module, the chains that
 * the map leads to are in use for ever, and cannot be removed. */
static void remove_set(Difference *d, const Pair *p) {
        const Set *live = p->live;
        bool goes = !p->desired || p->recreate;

        if (goes || p->refill) {
                if (goes ? d->empties_maps && live->is_map : !live->dynamic)
                        encode_flush_set(d->batch, live);
                d->changes.elements_removed += live->is_unlisted ? live->n_told : live->n_elements;
        } else if (!live->dynamic)
                d->changes.elements_removed += encode_missing(d->batch, live, p->desired, true);
        if (goes) {
                encode_delete_set(d->batch, live);
                d->changes.sets_removed++;
        }
}

/* Whatever refers to something that will be deleted goes first: rules, then elements, sets, chains.
 */
static void encode_removals(Difference *d) {
        for (size_t i = 0; i < d->chains.n_items; i++) {
                const Pair *p = &d->chains.items[i];
                const Chain *live = p->live;
                size_t n = 0;

                if (p->prune)
                        (void)prune(d->batch, live, p->desired, &n); /* as was asked before */
                d->changes.rules_removed += n;
                if (!live || live->n_rules == 0 || (p->desired && !p->refill))
                        continue;
                encode_flush_chain(d->batch, live);
                d->changes.rules_removed += live->n_rules;
        }
        for (size_t i = 0; i < d->sets.n_items; i++)
                if (d->sets.items[i].live)
                        remove_set(d, &d->sets.items[i]);
        for (size_t i = 0; i < d->chains.n_items; i++) {
                const Pair *p = &d->chains.items[i];

                if (p->live && (!p->desired || p->recreate)) {
                        encode_delete_chain(d->batch, p->live);
                        d->changes.chains_removed++;
                }
        }
}

static void add_chain(Difference *d, const Chain *desired) {
        const Pair *p = find_pair(&d->chains, desired->name);
        const Chain *live = p->live;

        if (!live || p->recreate) {
                encode_chain(d->batch, desired);
                d->changes.chains_added++;
        } else if (desired->hook != HOOK_NONE && live->policy_drop != desired->policy_drop)
                encode_chain(d->batch, desired);
}

static void add_set(Difference *d, const Set *desired) {
        const Pair *p = find_pair(&d->sets, desired->name);
        bool comes = !p->live || p->recreate;

        if (comes) {
                encode_set(d->batch, desired, desired->name, 0);
                d->changes.sets_added++;
        }
        if (comes || p->refill) {
                encode_elements(d->batch, desired, desired->name, 0);
                d->changes.elements_added += desired->n_elements;
        } else if (!desired->dynamic)
                d->changes.elements_added += encode_missing(d->batch, desired, p->live, false);
}

/* Chains, then sets with elements that may lead to them, then rules that may use both; each in the
 * order of the Ruleset, in which nft will list them. */
static void encode_additions(Difference *d, const Ruleset *rs) {
        for (size_t i = 0; i < rs->n_chains; i++)
                add_chain(d, rs->chains[i]);
        for (size_t i = 0; i < rs->n_sets; i++)
                add_set(d, rs->sets[i]);
        for (size_t i = 0; i < rs->n_chains; i++) {
                const Chain *desired = rs->chains[i];
                const Pair *p = find_pair(&d->chains, desired->name);

                if (p->live && !p->refill)
                        continue;
                for (size_t j = 0; j < desired->n_rules; j++)
                        encode_rule(d->batch, desired, &desired->rules[j]);
                d->changes.rules_added += desired->n_rules;
                d->changes.chains_refilled += p->refill && !p->recreate;
        }
}

/* Somebody may have put the table to sleep. One that persists can be adopted as long as it belongs
 * to nobody; the kernel changes nothing else about a table that is there. */
static uint32_t table_flags(const Ruleset *live, const Ruleset *desired) {
        uint32_t flags = live->flags & ~(uint32_t)NFT_TABLE_F_DORMANT;

        return flags & TABLE_PERSIST ? flags | (desired->flags & TABLE_OWNER) : flags;
}

static bool is_base(const Chain *c) {
        return c && c->hook != HOOK_NONE;
}

static bool same_base_chain(const Pair *p) {
        const Chain *live = p->live, *desired = p->desired;

        if (!is_base(live) && !is_base(desired))
                return true;
        return is_base(live) && is_base(desired) && same_hook(live, desired) &&
               live->policy_drop == desired->policy_drop;
}

int difference_wakes_first(const Ruleset *live, const Ruleset *desired) {
        _cleanup_(difference_done) Difference d = {0};

        if (!live->exists || !(live->flags & NFT_TABLE_F_DORMANT))
                return false;
        if (pair_chains(&d.chains, live, desired) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < d.chains.n_items; i++)
                if (!same_base_chain(&d.chains.items[i]))
                        return true;
        return false;
}

void difference_encode_wake(NftBatch *b, Ruleset *live, const Ruleset *desired) {
        live->flags = table_flags(live, desired);
        encode_table(b, live->flags);
}

int difference_encode(NftBatch *b,
                      const Ruleset *live,
                      const Ruleset *desired,
                      bool empties_maps,
                      NftChanges *ret) {
        _cleanup_(difference_done) Difference d = {.batch = b, .empties_maps = empties_maps};

        if (pair_chains(&d.chains, live, desired) < 0 || pair_sets(&d.sets, live, desired) < 0)
                return -ENOMEM;
        d.everything = limits_change(live, desired);
        decide(&d);
        if (!live->exists) {
                encode_table(b, desired->flags);
                d.changes.table_created = true;
        } else if (table_flags(live, desired) != live->flags)
                encode_table(b, table_flags(live, desired));
        encode_removals(&d);
        encode_limits(&d, live, desired, true);
        encode_limits(&d, desired, live, false);
        encode_additions(&d, desired);
        d.changes.messages = b->n_subjects;
        *ret = d.changes;
        return 0;
}

void difference_encode_refill(NftBatch *b, const Ruleset *desired) {
        encode_table(b, desired->flags);
        for (size_t i = 0; i < desired->n_chains; i++)
                encode_chain(b, desired->chains[i]);
        encode_flush_table(b);
        for (size_t i = 0; i < desired->n_sets; i++) {
                const Set *set = desired->sets[i];

                if (set->dynamic)
                        continue;
                encode_flush_set(b, set);
                encode_elements(b, set, set->name, 0);
        }
        for (size_t i = 0; i < desired->n_chains; i++)
                for (size_t j = 0; j < desired->chains[i]->n_rules; j++)
                        encode_rule(b, desired->chains[i], &desired->chains[i]->rules[j]);
}
