/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/changes.h"

#include "ruleset/statement.h"

/* Sets, rules and chains that mean the same have one number. Two of them are only ever taken for
 * the same after a look at all that they consist of; hashes say where to look. */

typedef enum Kind {
        KIND_PLACE, /* of a set whose number is known */
        KIND_SET,
        KIND_RULE,
        KIND_CHAIN,
} Kind;

typedef struct Numbered {
        const void *item; /* NULL: a free place */
        uint64_t hash;
        uint32_t number; /* from 1 on */
        Kind kind;
} Numbered;

struct Changes {
        Arena *arena;
        uint32_t *chains; /* numbers, by Chain.scratch; 0: not known yet */
        uint32_t **rules; /* of each of them, those of its rules */
        uint32_t n_numbers;
        Numbered *table; /* while numbers are given */
        size_t table_size, n_table;
};

static uint32_t chain_number(Changes *c, const Chain *chain);

static uint64_t mix(uint64_t hash, uint64_t value) {
        hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
        return hash ^ hash >> 29;
}

static bool is_essential(const Chain *chain) {
        return startswith(chain->name, "essentials-");
}

static bool grow(Changes *c) {
        size_t size = c->table_size ? c->table_size * 2 : 1024;
        Numbered *table = calloc(size, sizeof(*table));

        if (!table)
                return false;
        for (size_t i = 0; i < c->table_size; i++) {
                size_t slot = c->table[i].hash & (size - 1);

                if (!c->table[i].item)
                        continue;
                while (table[slot].item)
                        slot = (slot + 1) & (size - 1);
                table[slot] = c->table[i];
        }
        free(c->table);
        c->table = table;
        c->table_size = size;
        return true;
}

/* Sets have a number before rules ask for it. */
static uint32_t known_set(const Changes *c, const Set *set) {
        uint64_t hash = mix(KIND_PLACE, (uintptr_t)set);

        for (size_t slot = hash & (c->table_size - 1); set && c->table[slot].item;
             slot = (slot + 1) & (c->table_size - 1))
                if (c->table[slot].kind == KIND_PLACE && c->table[slot].item == set)
                        return c->table[slot].number;
        return 0;
}

static uint32_t known_chain(const Changes *c, const Chain *chain) {
        return chain ? c->chains[chain->scratch] : 0;
}

static bool same_fields(const FieldId *x, size_t n_x, const FieldId *y, size_t n_y) {
        return n_x == n_y && (n_x == 0 || memcmp(x, y, n_x * sizeof(*x)) == 0);
}

static bool same_elements(const Changes *c, const Set *x, const Set *y) {
        for (size_t i = 0; i < x->n_elements; i++) {
                const Element *e = &x->elements[i], *f = &y->elements[i];

                for (size_t j = 0; j < x->n_types; j++)
                        if (!range_equal(e->key[j], f->key[j]))
                                return false;
                if (x->is_map &&
                    (e->verdict.kind != f->verdict.kind ||
                     known_chain(c, e->verdict.chain) != known_chain(c, f->verdict.chain)))
                        return false;
        }
        return true;
}

/* The kernel fills dynamic ones: they are known by their name. */
static bool same_set(const Changes *c, const Set *x, const Set *y) {
        if (x->dynamic != y->dynamic || x->is_map != y->is_map || x->n_types != y->n_types ||
            memcmp(x->types, y->types, x->n_types * sizeof(x->types[0])) != 0)
                return false;
        if (x->dynamic)
                return streq_null(x->name, y->name);
        return x->n_elements == y->n_elements && same_elements(c, x, y);
}

static bool same_match(const Changes *c, const Match *x, const Match *y) {
        if (x->op != y->op || !same_fields(x->fields, x->n_fields, y->fields, y->n_fields))
                return false;
        switch (x->op) {
        case MATCH_IN:
        case MATCH_NOT_IN:
                return known_set(c, x->set) == known_set(c, y->set);
        case MATCH_BITS:
        case MATCH_NO_BITS:
                return u128_equal(x->mask, y->mask);
        case MATCH_UNKNOWN:
                break;
        }
        return false;
}

static bool same_target(const Rule *x, const Rule *y) {
        if (x->verdict.kind != VERDICT_DNAT || !x->target || !y->target)
                return x->target == y->target || x->verdict.kind != VERDICT_DNAT;
        return x->target->family == y->target->family && x->target->port == y->target->port &&
               u128_equal(x->target->address, y->target->address);
}

static bool same_rule(const Changes *c, const Rule *x, const Rule *y) {
        if (x->n_matches != y->n_matches || x->n_statements != y->n_statements ||
            x->verdict.kind != y->verdict.kind || !same_target(x, y) ||
            known_chain(c, x->verdict.chain) != known_chain(c, y->verdict.chain) ||
            known_set(c, x->map) != known_set(c, y->map) ||
            !same_fields(x->map_fields, x->n_map_fields, y->map_fields, y->n_map_fields))
                return false;
        for (size_t i = 0; i < x->n_matches; i++)
                if (!same_match(c, &x->matches[i], &y->matches[i]))
                        return false;
        for (size_t i = 0; i < x->n_statements; i++)
                if (!statement_equal(&x->statements[i], &y->statements[i]))
                        return false;
        return true;
}

static bool same_chain(const Changes *c, const Chain *x, const Chain *y) {
        return x->n_rules == y->n_rules && is_essential(x) == is_essential(y) &&
               (x->n_rules == 0 || memcmp(c->rules[x->scratch], c->rules[y->scratch],
                                          x->n_rules * sizeof(uint32_t)) == 0);
}

static bool same(const Changes *c, Kind kind, const void *x, const void *y) {
        switch (kind) {
        case KIND_PLACE:
                return x == y;
        case KIND_SET:
                return same_set(c, x, y);
        case KIND_RULE:
                return same_rule(c, x, y);
        case KIND_CHAIN:
                return same_chain(c, x, y);
        }
        return false;
}

/* The number of the item, or of one that is the same; 0 without memory. number: what it gets, 0:
 * the next one. */
static uint32_t
give_number(Changes *c, Kind kind, uint64_t hash, const void *item, uint32_t number) {
        size_t slot;

        if (c->n_table * 2 >= c->table_size && !grow(c))
                return 0;
        for (slot = hash & (c->table_size - 1); c->table[slot].item;
             slot = (slot + 1) & (c->table_size - 1)) {
                const Numbered *known = &c->table[slot];

                if (known->hash == hash && known->kind == kind && same(c, kind, known->item, item))
                        return known->number;
        }
        if (number == 0)
                number = ++c->n_numbers;
        c->table[slot] = (Numbered){item, hash, number, kind};
        c->n_table++;
        return number;
}

static bool number_set(Changes *c, const Set *set) {
        uint64_t hash = mix(KIND_SET, set->n_types);
        uint32_t number;

        if (c->table_size > 0 && known_set(c, set) > 0)
                return true;
        for (size_t i = 0; i < set->n_elements && !set->dynamic; i++) {
                const Element *e = &set->elements[i];

                for (size_t j = 0; j < set->n_types; j++) {
                        hash = mix(mix(hash, e->key[j].low.high), e->key[j].low.low);
                        hash = mix(mix(hash, e->key[j].high.high), e->key[j].high.low);
                }
                if (!set->is_map)
                        continue;
                if (e->verdict.chain && chain_number(c, e->verdict.chain) == 0)
                        return false;
                hash = mix(mix(hash, e->verdict.kind), known_chain(c, e->verdict.chain));
        }
        number = give_number(c, KIND_SET, hash, set, 0);
        return number > 0 &&
               give_number(c, KIND_PLACE, mix(KIND_PLACE, (uintptr_t)set), set, number) > 0;
}

static uint32_t rule_number(Changes *c, const Rule *rule) {
        uint64_t hash = mix(mix(KIND_RULE, rule->verdict.kind), rule->n_statements);

        for (size_t i = 0; i < rule->n_matches; i++) {
                const Match *m = &rule->matches[i];
                bool has_set = m->op == MATCH_IN || m->op == MATCH_NOT_IN;

                if (has_set && m->set && !number_set(c, m->set))
                        return 0;
                hash = mix(hash, m->op);
                for (size_t j = 0; j < m->n_fields; j++)
                        hash = mix(hash, m->fields[j]);
                if (has_set)
                        hash = mix(hash, m->set ? known_set(c, m->set) : 0);
        }
        if (rule->verdict.chain && chain_number(c, rule->verdict.chain) == 0)
                return 0;
        if (rule->map && !number_set(c, rule->map))
                return 0;
        hash = mix(hash, known_chain(c, rule->verdict.chain));
        hash = mix(hash, rule->map ? known_set(c, rule->map) : 0);
        return give_number(c, KIND_RULE, hash, rule, 0);
}

/* Chains form no loops: verify and the kernel saw to it. */
static uint32_t chain_number(Changes *c, const Chain *chain) {
        uint64_t hash = mix(KIND_CHAIN, is_essential(chain));
        uint32_t *numbers;

        if (c->chains[chain->scratch] > 0)
                return c->chains[chain->scratch];
        numbers = arena_alloc_array(c->arena, MAX(chain->n_rules, 1UL), sizeof(*numbers));
        if (!numbers)
                return 0;
        for (size_t i = 0; i < chain->n_rules; i++) {
                numbers[i] = rule_number(c, &chain->rules[i]);
                if (numbers[i] == 0)
                        return 0;
                hash = mix(hash, numbers[i]);
        }
        c->rules[chain->scratch] = numbers;
        c->chains[chain->scratch] = give_number(c, KIND_CHAIN, hash, chain, 0);
        return c->chains[chain->scratch];
}

Changes *changes_new(const Ruleset *before, const Ruleset *after) {
        size_t n = before->n_chains + after->n_chains;
        Changes *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        c->arena = arena_new(0);
        c->chains = c->arena ? arena_alloc_array(c->arena, n + 1, sizeof(*c->chains)) : NULL;
        c->rules = c->chains ? arena_alloc_array(c->arena, n + 1, sizeof(*c->rules)) : NULL;
        if (!c->rules || !grow(c))
                return changes_free(c);
        for (size_t i = 0; i < before->n_chains; i++)
                before->chains[i]->scratch = i;
        for (size_t i = 0; i < after->n_chains; i++)
                after->chains[i]->scratch = before->n_chains + i;
        for (size_t i = 0; i < n; i++)
                if (chain_number(c, i < before->n_chains
                                            ? before->chains[i]
                                            : after->chains[i - before->n_chains]) == 0)
                        return changes_free(c);
        return c;
}

Changes *changes_free(Changes *c) {
        if (!c)
                return NULL;
        c->arena = arena_free(c->arena);
        free(c->table);
        free(c);
        return NULL;
}

bool changes_same_chain(const Changes *c, const Chain *x, const Chain *y) {
        return known_chain(c, x) == known_chain(c, y);
}

bool changes_same_rule(const Changes *c, const Rule *x, const Rule *y) {
        return same_rule(c, x, y);
}

bool changes_same_match(const Changes *c, const Match *x, const Match *y) {
        return same_match(c, x, y);
}

bool changes_same_action(const Changes *c, const Rule *x, const Rule *y) {
        Rule a = *x, b = *y;

        a.n_matches = b.n_matches = 0;
        return same_rule(c, &a, &b);
}

bool changes_asks_alike(const Changes *c, const Rule *x, const Rule *y) {
        Rule a = *x, b = *y;

        a.verdict.chain = b.verdict.chain = NULL;
        a.map = b.map = NULL;
        return same_rule(c, &a, &b);
}

/* Two lists of numbers, and which items of the first stand for which of the second. */
typedef struct Lists {
        const uint32_t *x, *y;
        size_t n_x, n_y;
        size_t *partner; /* of x in y; SIZE_MAX: none yet */
} Lists;

typedef struct Seen {
        uint32_t in_x, in_y;
        size_t at_y;
} Seen;

/* Anchors: numbers that are in both lists once, as many as are in the same order. */
static int find_anchors(Lists *l, size_t first, size_t end_x, size_t end_y, uint32_t n_numbers) {
        _cleanup_free_ Seen *seen = calloc((size_t)n_numbers + 1, sizeof(*seen));
        /* of the shortest runs of each length: their last items, and what came before each item */
        _cleanup_free_ size_t *last = calloc(end_x - first + 1, sizeof(*last));
        _cleanup_free_ size_t *before = calloc(end_x - first + 1, sizeof(*before));
        size_t n = 0;

        if (!seen || !last || !before)
                return -ENOMEM;
        for (size_t i = first; i < end_x; i++)
                seen[l->x[i]].in_x++;
        for (size_t i = first; i < end_y; i++) {
                seen[l->y[i]].in_y++;
                seen[l->y[i]].at_y = i;
        }
        for (size_t i = first; i < end_x; i++) {
                const Seen *s = &seen[l->x[i]];
                size_t low = 0, high = n;

                if (s->in_x != 1 || s->in_y != 1)
                        continue;
                while (low < high) {
                        size_t middle = low + (high - low) / 2;

                        if (seen[l->x[last[middle]]].at_y < s->at_y)
                                low = middle + 1;
                        else
                                high = middle;
                }
                before[i - first] = low > 0 ? last[low - 1] : SIZE_MAX;
                last[low] = i;
                n = MAX(n, low + 1);
        }
        for (size_t i = n > 0 ? last[n - 1] : SIZE_MAX; i != SIZE_MAX; i = before[i - first])
                l->partner[i] = seen[l->x[i]].at_y;
        return 0;
}

/* What is the same on both sides of what is known to be. */
static void widen(Lists *l) {
        size_t next = 0;

        for (size_t i = 0; i < l->n_x; i++) {
                if (l->partner[i] == SIZE_MAX && next < l->n_y && l->x[i] == l->y[next] &&
                    (i == 0 || l->partner[i - 1] != SIZE_MAX))
                        l->partner[i] = next;
                if (l->partner[i] != SIZE_MAX)
                        next = l->partner[i] + 1;
        }
}

/* What has no partner between two that have: one with the other as far as that goes. */
static void pair_between(const Chain *x,
                         size_t *at_x,
                         size_t end_x,
                         const Chain *y,
                         size_t *at_y,
                         size_t end_y,
                         PairedRule *list,
                         size_t *n) {
        while (*at_x < end_x || *at_y < end_y)
                list[(*n)++] = (PairedRule){
                        *at_x < end_x ? &x->rules[(*at_x)++] : NULL,
                        *at_y < end_y ? &y->rules[(*at_y)++] : NULL,
                        false,
                };
}

int changes_pair(
        const Changes *c, const Chain *x, const Chain *y, Arena *a, PairedRule **ret, size_t *n) {
        Lists l = {c->rules[x->scratch], c->rules[y->scratch], x->n_rules, y->n_rules, NULL};
        _cleanup_free_ size_t *partner = calloc(l.n_x + 1, sizeof(*partner));
        size_t first = 0, end_x = l.n_x, end_y = l.n_y, at_x = 0, at_y = 0;
        PairedRule *list = arena_alloc_array(a, l.n_x + l.n_y + 1, sizeof(*list));

        *n = 0;
        if (!partner || !list)
                return -ENOMEM;
        l.partner = partner;
        memset(partner, 0xff, (l.n_x + 1) * sizeof(*partner));
        while (first < end_x && first < end_y && l.x[first] == l.y[first]) {
                partner[first] = first;
                first++;
        }
        while (end_x > first && end_y > first && l.x[end_x - 1] == l.y[end_y - 1])
                partner[--end_x] = --end_y;
        if (end_x > first && end_y > first &&
            find_anchors(&l, first, end_x, end_y, c->n_numbers) < 0)
                return -ENOMEM;
        widen(&l);
        for (size_t i = 0; i < l.n_x; i++) {
                if (partner[i] == SIZE_MAX)
                        continue;
                pair_between(x, &at_x, i, y, &at_y, partner[i], list, n);
                list[(*n)++] = (PairedRule){&x->rules[at_x++], &y->rules[at_y++], true};
        }
        pair_between(x, &at_x, l.n_x, y, &at_y, l.n_y, list, n);
        *ret = list;
        return 0;
}
