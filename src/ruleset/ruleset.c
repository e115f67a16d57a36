/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/ruleset.h"

#include "ruleset/set_pool.h"

static const char *const verdict_names[_VERDICT_MAX] = {
        [VERDICT_CONTINUE] = "continue",
        [VERDICT_ACCEPT] = "accept",
        [VERDICT_DROP] = "drop",
        [VERDICT_REJECT] = "reject with icmpx admin-prohibited",
        [VERDICT_REJECT_RESET] = "reject with tcp reset",
        [VERDICT_JUMP] = "jump",
        [VERDICT_GOTO] = "goto",
        [VERDICT_RETURN] = "return",
        [VERDICT_MASQUERADE] = "masquerade",
        [VERDICT_DNAT] = "dnat",
        [VERDICT_MAP] = "vmap",
};

static const char *const hook_names[_HOOK_MAX] = {
        [HOOK_PREROUTING] = "prerouting",   [HOOK_INPUT] = "input",
        [HOOK_FORWARD] = "forward",         [HOOK_OUTPUT] = "output",
        [HOOK_POSTROUTING] = "postrouting",
};

const char *verdict_kind_to_string(VerdictKind kind) {
        return verdict_names[kind];
}

const char *hook_to_string(Hook hook) {
        return hook_names[hook];
}

bool verdict_is_final(VerdictKind kind) {
        return kind == VERDICT_ACCEPT || kind == VERDICT_DROP || kind == VERDICT_REJECT ||
               kind == VERDICT_REJECT_RESET || kind == VERDICT_GOTO || kind == VERDICT_RETURN ||
               kind == VERDICT_MASQUERADE || kind == VERDICT_DNAT;
}

size_t comment_size(const char *text) {
        size_t size = text ? strlen(text) : 0;

        if (size <= RULESET_COMMENT_MAX)
                return size;
        for (size = RULESET_COMMENT_MAX; size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80;)
                size--;
        return size;
}

Ruleset *ruleset_new(Arena *a) {
        Ruleset *rs = arena_new0(a, Ruleset);

        if (rs)
                rs->arena = a;
        return rs;
}

Chain *ruleset_add_chain(Ruleset *rs, const char *name) {
        Chain *chain = arena_new0(rs->arena, Chain);

        if (!chain)
                return NULL;
        chain->hook = HOOK_NONE;
        chain->name = arena_strdup(rs->arena, name);
        if (!chain->name || !arena_append(rs->arena, rs->chains, rs->n_chains, chain))
                return NULL;
        return chain;
}

Chain *ruleset_add_base_chain(Ruleset *rs, const char *name, Hook hook) {
        Chain *chain = ruleset_add_chain(rs, name);

        if (chain) {
                chain->hook = hook;
                chain->priority = RULESET_PRIORITY;
                chain->policy_drop = true;
        }
        return chain;
}

Chain *ruleset_add_nat_chain(Ruleset *rs, const char *name, Hook hook, int priority) {
        Chain *chain = ruleset_add_chain(rs, name);

        if (chain) {
                chain->hook = hook;
                chain->type = CHAIN_NAT;
                chain->priority = priority;
        }
        return chain;
}

NamedLimit *ruleset_add_limit(Ruleset *rs, const char *name, PacketLimit limit) {
        NamedLimit l = {.name = arena_strdup(rs->arena, name), .limit = limit};

        if (!l.name || !arena_append(rs->arena, rs->limits, rs->n_limits, l))
                return NULL;
        return &rs->limits[rs->n_limits - 1];
}

Set *ruleset_anonymous_set(Ruleset *rs, TypeId type) {
        Set *set = arena_new0(rs->arena, Set);

        if (set) {
                set->types[0] = type;
                set->n_types = 1;
        }
        return set;
}

Set *ruleset_add_set(Ruleset *rs, const char *name, TypeId type) {
        Set *set = ruleset_anonymous_set(rs, type);

        if (!set)
                return NULL;
        set->name = arena_strdup(rs->arena, name);
        if (!set->name || !arena_append(rs->arena, rs->sets, rs->n_sets, set))
                return NULL;
        return set;
}

/* Neighbouring numbers of a type whose values have names are not a range of anything: each stays an
 * element of its own, which people can read and which the kernel finds by hashing. */
static int add_values(Arena *a, Range r, RangeSet *set) {
        for (U128 v = r.low; u128_compare(v, r.high) <= 0; v = u128_next(v))
                if (range_set_add(a, set, range_single(v)) < 0)
                        return -ENOMEM;
        return 0;
}

/* Of interfaces' names only whole prefixes can be written down ("br*"), so a range that two of them
 * joined to is taken apart again: the largest prefix that begins at its start, then the rest. */
static int add_prefixes(Arena *a, Range r, RangeSet *set) {
        for (;;) {
                Range largest = range_single(r.low);

                for (unsigned int bits = 8; bits <= 128; bits += 8) {
                        Range wider = {r.low, u128_or(r.low, u128_low_mask(bits))};

                        if (!range_is_prefix(wider, 128, NULL) ||
                            u128_compare(wider.high, r.high) > 0)
                                break;
                        largest = wider;
                }
                if (range_set_add(a, set, largest) < 0)
                        return -ENOMEM;
                if (u128_compare(largest.high, r.high) >= 0)
                        return 0;
                r.low = u128_next(largest.high);
        }
}

static bool has_names(TypeId type) {
        return types[type].bits == 8 && types[type].symbols;
}

static bool needs_separation(TypeId type, const RangeSet *set) {
        for (size_t i = 0; i < set->n_items; i++)
                if (!range_is_single(set->items[i]))
                        return has_names(type) || type == TYPE_IFNAME;
        return false;
}

static int separate(Arena *a, TypeId type, RangeSet *set) {
        bool named = has_names(type);
        RangeSet parts = {0};

        if (!needs_separation(type, set))
                return 0;
        for (size_t i = 0; i < set->n_items; i++) {
                int r = named ? add_values(a, set->items[i], &parts)
                              : add_prefixes(a, set->items[i], &parts);

                if (r < 0)
                        return r;
        }
        *set = parts;
        return 0;
}

static bool is_normalised(const RangeSet *ranges) {
        for (size_t i = 1; i < ranges->n_items; i++) {
                U128 end = ranges->items[i - 1].high;

                if (u128_equal(end, U128_MAX) ||
                    u128_compare(ranges->items[i].low, u128_next(end)) <= 0)
                        return false;
        }
        return true;
}

static Set *make_set(Ruleset *rs, const char *name, TypeId type, const RangeSet *sorted) {
        Set *set = name ? ruleset_add_set(rs, name, type) : ruleset_anonymous_set(rs, type);

        if (!set)
                return NULL;
        set->elements = arena_alloc_array(rs->arena, MAX(sorted->n_items, 1UL), sizeof(Element));
        if (!set->elements)
                return NULL;
        for (size_t i = 0; i < sorted->n_items; i++) {
                set->elements[i].key[0] = sorted->items[i];
                if (!range_is_single(sorted->items[i]))
                        set->interval = true;
        }
        set->n_elements = sorted->n_items;
        return set;
}

Set *ruleset_set_of_ranges(Ruleset *rs, const char *name, TypeId type, const RangeSet *ranges) {
        _cleanup_(arena_freep) Arena *scratch = NULL;
        RangeSet sorted = *ranges;
        Set **place;

        if (!is_normalised(ranges) || needs_separation(type, ranges)) {
                scratch = arena_new(0);
                sorted = (RangeSet){0};
                if (!scratch || range_set_add_all(scratch, &sorted, ranges) < 0)
                        return NULL;
                range_set_normalise(&sorted);
                if (separate(scratch, type, &sorted) < 0)
                        return NULL;
        }
        if (name)
                return make_set(rs, name, type, &sorted);
        place = set_pool_find(rs, type, &sorted);
        if (place && !*place) {
                *place = make_set(rs, NULL, type, &sorted);
                if (*place)
                        rs->pool->n_sets++;
        }
        return place ? *place : NULL;
}

Element *set_add_element(Ruleset *rs, Set *set, const Range *key) {
        Element e = {0};

        for (size_t i = 0; i < set->n_types; i++) {
                e.key[i] = key[i];
                if (!range_is_single(key[i]))
                        set->interval = true;
        }
        if (!arena_append(rs->arena, set->elements, set->n_elements, e))
                return NULL;
        return &set->elements[set->n_elements - 1];
}

int chain_reserve(Ruleset *rs, Chain *chain, size_t n) {
        size_t room = 1;

        if (chain->n_rules > 0)
                return 0;
        while (room < n)
                room *= 2;
        chain->rules = arena_alloc_array(rs->arena, room, sizeof(Rule));
        chain->room = chain->rules ? room : 0;
        return chain->rules ? 0 : -ENOMEM;
}

Rule *chain_add_rule(Ruleset *rs, Chain *chain, Verdict verdict, Origin origin) {
        Rule rule = {.verdict = verdict, .origin = origin};

        if (chain->n_rules < chain->room)
                chain->rules[chain->n_rules++] = rule;
        else if (!arena_append(rs->arena, chain->rules, chain->n_rules, rule))
                return NULL;
        return &chain->rules[chain->n_rules - 1];
}

bool rule_has_match(const Rule *rule, FieldId field) {
        for (size_t i = 0; i < rule->n_matches; i++)
                if (rule->matches[i].n_fields == 1 && rule->matches[i].fields[0] == field)
                        return true;
        return false;
}

static int add_needs(Ruleset *rs, Rule *rule, FieldId field) {
        const Field *f = &fields[field];

        if (!f->has_needs || rule_has_match(rule, f->needs))
                return 0;
        return rule_match_value(rs, rule, f->needs, f->needs_value);
}

static int add_match(Ruleset *rs, Rule *rule, const Match *m) {
        for (size_t i = 0; i < m->n_fields; i++)
                if (add_needs(rs, rule, m->fields[i]) < 0)
                        return -ENOMEM;
        return arena_append(rs->arena, rule->matches, rule->n_matches, *m) ? 0 : -ENOMEM;
}

int rule_match_set(Ruleset *rs, Rule *rule, FieldId field, MatchOp op, const Set *set) {
        Match m = {.op = op, .fields = {field}, .n_fields = 1, .set = set};

        return set ? add_match(rs, rule, &m) : -ENOMEM;
}

int rule_match_concat(
        Ruleset *rs, Rule *rule, const FieldId *concat, size_t n, MatchOp op, const Set *set) {
        Match m = {.op = op, .n_fields = n, .set = set};

        memcpy(m.fields, concat, n * sizeof(concat[0]));
        return add_match(rs, rule, &m);
}

int rule_set_map(Ruleset *rs, Rule *rule, FieldId field, const Set *map) {
        if (!map || add_needs(rs, rule, field) < 0)
                return -ENOMEM;
        rule->verdict = verdict_of(VERDICT_MAP);
        rule->map = map;
        rule->map_fields[0] = field;
        rule->n_map_fields = 1;
        return 0;
}

int rule_match_ranges(Ruleset *rs, Rule *rule, FieldId field, const RangeSet *ranges) {
        Set *set = ruleset_set_of_ranges(rs, NULL, fields[field].type, ranges);

        return rule_match_set(rs, rule, field, MATCH_IN, set);
}

int rule_match_value(Ruleset *rs, Rule *rule, FieldId field, uint64_t value) {
        Range r = range_single(u128(value));
        RangeSet one = {.items = &r, .n_items = 1};

        return rule_match_ranges(rs, rule, field, &one);
}

int rule_match_bits(Ruleset *rs, Rule *rule, FieldId field, MatchOp op, uint32_t mask) {
        Match m = {.op = op, .fields = {field}, .n_fields = 1, .mask = u128(mask)};

        return add_match(rs, rule, &m);
}

int rule_set_target(Ruleset *rs, Rule *rule, NatTarget target) {
        NatTarget *copy = arena_new0(rs->arena, NatTarget);

        if (!copy)
                return -ENOMEM;
        *copy = target;
        rule->verdict = verdict_of(VERDICT_DNAT);
        rule->target = copy;
        return 0;
}

int rule_add_statement(Ruleset *rs, Rule *rule, const Statement *statement) {
        if (statement->set && add_needs(rs, rule, statement->field) < 0)
                return -ENOMEM;
        return arena_append(rs->arena, rule->statements, rule->n_statements, *statement) ? 0
                                                                                         : -ENOMEM;
}

const NamedLimit *ruleset_find_limit(const Ruleset *rs, const char *name) {
        for (size_t i = 0; i < rs->n_limits; i++)
                if (streq(rs->limits[i].name, name))
                        return &rs->limits[i];
        return NULL;
}

Chain *ruleset_find_chain(const Ruleset *rs, const char *name) {
        for (size_t i = 0; i < rs->n_chains; i++)
                if (streq(rs->chains[i]->name, name))
                        return rs->chains[i];
        return NULL;
}

Set *ruleset_find_set(const Ruleset *rs, const char *name) {
        for (size_t i = 0; i < rs->n_sets; i++)
                if (streq(rs->sets[i]->name, name))
                        return rs->sets[i];
        return NULL;
}

static int compare_keys(const void *a, const void *b) {
        const Element *x = a, *y = b;

        for (size_t i = 0; i < RULESET_FIELDS_MAX; i++) {
                int c = u128_compare(x->key[i].low, y->key[i].low);

                if (c == 0)
                        c = u128_compare(x->key[i].high, y->key[i].high);
                if (c != 0)
                        return c;
        }
        return 0;
}

void set_sort(Set *set) {
        size_t i = 1;

        /* most are sorted already, and qsort() would copy them all */
        while (i < set->n_elements && compare_keys(&set->elements[i - 1], &set->elements[i]) <= 0)
                i++;
        if (i < set->n_elements)
                qsort(set->elements, set->n_elements, sizeof(set->elements[0]), compare_keys);
}

static bool key_holds(const Set *set, const Element *e, const U128 *key) {
        for (size_t i = 0; i < set->n_types; i++)
                if (u128_compare(key[i], e->key[i].low) < 0 ||
                    u128_compare(key[i], e->key[i].high) > 0)
                        return false;
        return true;
}

const Element *set_find(const Set *set, const U128 *key) {
        size_t low = 0, high = set->n_elements;

        if (set->n_types > 1 && set->interval) {
                for (size_t i = 0; i < set->n_elements; i++)
                        if (key_holds(set, &set->elements[i], key))
                                return &set->elements[i];
                return NULL;
        }
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                const Element *e = &set->elements[middle];
                int c = 0;

                for (size_t i = 0; i < set->n_types && c == 0; i++)
                        c = u128_compare(key[i], e->key[i].low) < 0    ? -1
                            : u128_compare(key[i], e->key[i].high) > 0 ? 1
                                                                       : 0;
                if (c == 0)
                        return e;
                if (c < 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        return NULL;
}
