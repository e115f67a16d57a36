/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/cuts.h"

static Dimension dimension_of(FieldId field) {
        static const struct {
                FieldId field;
                Dimension dimension;
        } rows[] = {
                {FIELD_IP_SADDR, DIMENSION_SOURCE4},
                {FIELD_IP6_SADDR, DIMENSION_SOURCE6},
                {FIELD_IP_DADDR, DIMENSION_DESTINATION4},
                {FIELD_CT_IP_DADDR, DIMENSION_DESTINATION4},
                {FIELD_IP6_DADDR, DIMENSION_DESTINATION6},
                {FIELD_CT_IP6_DADDR, DIMENSION_DESTINATION6},
                {FIELD_IIFNAME, DIMENSION_IN},
                {FIELD_OIFNAME, DIMENSION_OUT},
                {FIELD_DPORT, DIMENSION_PORT},
                {FIELD_CT_DPORT, DIMENSION_PORT},
                {FIELD_ICMP_TYPE, DIMENSION_ICMP},
                {FIELD_ICMPV6_TYPE, DIMENSION_ICMPV6},
                {FIELD_L4PROTO, DIMENSION_PROTOCOL},
                {FIELD_SKUID, DIMENSION_USER},
                {FIELD_SKGID, DIMENSION_GROUP},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].field == field)
                        return rows[i].dimension;
        return DIMENSION_NONE;
}

int cuts_add(Arena *a, Cuts *cuts, Range r) {
        if (!arena_append(a, cuts->values, cuts->n_values, r.low))
                return -ENOMEM;
        if (u128_equal(r.high, U128_MAX))
                return 0;
        return arena_append(a, cuts->values, cuts->n_values, u128_next(r.high)) ? 0 : -ENOMEM;
}

int cuts_add_ranges(Arena *a, Cuts *cuts, const RangeSet *ranges) {
        for (size_t i = 0; i < ranges->n_items; i++)
                if (cuts_add(a, cuts, ranges->items[i]) < 0)
                        return -ENOMEM;
        return 0;
}

/* The largest value that each field can have. */
static U128 maximum(Dimension dimension) {
        switch (dimension) {
        case DIMENSION_SOURCE4:
        case DIMENSION_DESTINATION4:
        case DIMENSION_USER:
        case DIMENSION_GROUP:
                return u128(UINT32_MAX);
        case DIMENSION_PORT:
                return u128(UINT16_MAX);
        case DIMENSION_ICMP:
        case DIMENSION_ICMPV6:
        case DIMENSION_PROTOCOL:
                return u128(UINT8_MAX);
        case DIMENSION_SOURCE6:
        case DIMENSION_DESTINATION6:
        case DIMENSION_IN:
        case DIMENSION_OUT:
        case _DIMENSION_MAX:
        case DIMENSION_NONE:
                break;
        }
        return U128_MAX;
}

static int compare_values(const void *a, const void *b) {
        const U128 *x = a, *y = b;

        return u128_compare(*x, *y);
}

int cuts_finish(Arena *a, Cuts *cuts, Dimension dimension) {
        U128 lowest = u128(dimension == DIMENSION_PORT);
        size_t n = 0;

        if (cuts_add(a, cuts, range_single(lowest)) < 0)
                return -ENOMEM;
        qsort(cuts->values, cuts->n_values, sizeof(cuts->values[0]), compare_values);
        for (size_t i = 0; i < cuts->n_values; i++)
                if (u128_compare(cuts->values[i], maximum(dimension)) <= 0 &&
                    u128_compare(cuts->values[i], lowest) >= 0 &&
                    (n == 0 || !u128_equal(cuts->values[i], cuts->values[n - 1])))
                        cuts->values[n++] = cuts->values[i];
        cuts->n_values = n;
        return 0;
}

int cutter_init(Cutter *c, const Ruleset *rs, Arena *a) {
        *c = (Cutter){.rs = rs, .base = *rs};
        c->base.chains = NULL;
        c->base.n_chains = 0;
        for (size_t i = 0; i < rs->n_chains; i++) {
                rs->chains[i]->scratch = 0;
                if (rs->chains[i]->hook != HOOK_NONE &&
                    !arena_append(a, c->base.chains, c->base.n_chains, rs->chains[i]))
                        return -ENOMEM;
        }
        return 0;
}

static int
add_set(Cutter *c, const Set *set, const FieldId *list, size_t n, Dimension first, Dimension last) {
        for (size_t i = 0; set && i < n; i++) {
                Dimension d = dimension_of(list[i]);

                for (size_t j = 0; d >= first && d <= last && j < set->n_elements; j++)
                        if (cuts_add(c->arena, &c->cuts[d], set->elements[j].key[i]) < 0)
                                return -ENOMEM;
        }
        return 0;
}

int cutter_add_all(Cutter *c, Dimension first, Dimension last) {
        for (size_t i = 0; i < c->rs->n_chains; i++)
                for (size_t j = 0; j < c->rs->chains[i]->n_rules; j++) {
                        const Rule *rule = &c->rs->chains[i]->rules[j];

                        if (add_set(c, rule->map, rule->map_fields, rule->n_map_fields, first,
                                    last) < 0)
                                return -ENOMEM;
                        for (size_t k = 0; k < rule->n_matches; k++)
                                if (add_set(c, rule->matches[k].set, rule->matches[k].fields,
                                            rule->matches[k].n_fields, first, last) < 0)
                                        return -ENOMEM;
                }
        return 0;
}

/* Whether a value of the field, as far as the class has it, is in the range. */
static bool can_be_in(const PacketClass *class, FieldId field, Range r) {
        Dimension d = dimension_of(field);
        const RangeSet *within = d == DIMENSION_NONE ? NULL : class->within[d];

        if (!class->varies[field])
                return class->packet.present[field] &&
                       u128_compare(r.low, class->packet.values[field]) <= 0 &&
                       u128_compare(class->packet.values[field], r.high) <= 0;
        for (size_t i = 0; within && i < within->n_items; i++)
                if (u128_compare(r.low, within->items[i].high) <= 0 &&
                    u128_compare(within->items[i].low, r.high) <= 0)
                        return true;
        return !within;
}

static bool
can_be(const PacketClass *class, const FieldId *list, size_t n, const Element *element) {
        for (size_t i = 0; i < n; i++)
                if (!can_be_in(class, list[i], element->key[i]))
                        return false;
        return true;
}

/* Cuts what varies by the elements that some packet of the class can be. */
static int
cut_by_set(Cutter *c, const PacketClass *class, const Set *set, const FieldId *list, size_t n) {
        for (size_t i = 0; i < set->n_elements; i++) {
                if (!can_be(class, list, n, &set->elements[i]))
                        continue;
                for (size_t j = 0; j < n; j++) {
                        Dimension d = dimension_of(list[j]);

                        if (class->varies[list[j]] && d != DIMENSION_NONE &&
                            cuts_add(c->arena, &c->cuts[d], set->elements[i].key[j]) < 0)
                                return -ENOMEM;
                }
        }
        return 0;
}

typedef enum Answer {
        ANSWER_NEVER,
        ANSWER_SOME, /* packets of the class */
        ANSWER_ALWAYS,
} Answer;

static bool any_varies(const PacketClass *class, const FieldId *list, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (class->varies[list[i]])
                        return true;
        return false;
}

static bool is_absent(const PacketClass *class, const FieldId *list, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (!class->varies[list[i]] && !class->packet.present[list[i]])
                        return true;
        return false;
}

static Answer ask_match(const PacketClass *class, const Match *m) {
        if (is_absent(class, m->fields, m->n_fields))
                return ANSWER_NEVER;
        if (!any_varies(class, m->fields, m->n_fields))
                return packet_matches(&class->packet, m) ? ANSWER_ALWAYS : ANSWER_NEVER;
        if (m->op != MATCH_IN)
                return ANSWER_SOME;
        for (size_t i = 0; i < m->set->n_elements; i++)
                if (can_be(class, m->fields, m->n_fields, &m->set->elements[i]))
                        return ANSWER_SOME;
        return ANSWER_NEVER;
}

/* Cuts by the rule's matches unless no packet of the class fulfils them all. An Answer, or -ENOMEM.
 */
static int ask_rule(Cutter *c, const PacketClass *class, const Rule *rule) {
        Answer answer = ANSWER_ALWAYS;

        for (size_t i = 0; i < rule->n_matches; i++) {
                Answer one = ask_match(class, &rule->matches[i]);

                if (one == ANSWER_NEVER)
                        return ANSWER_NEVER;
                answer = MIN(answer, one);
        }
        for (size_t i = 0; i < rule->n_matches; i++) {
                const Match *m = &rule->matches[i];

                if (m->set && cut_by_set(c, class, m->set, m->fields, m->n_fields) < 0)
                        return -ENOMEM;
        }
        return (int)answer;
}

static int walk_chain(Cutter *c, const PacketClass *class, Chain *chain);

/* What becomes of a packet that takes the verdict: 1 if it is decided, 0 if it goes on behind the
 * rule, -ENOMEM. */
static int follow(Cutter *c, const PacketClass *class, Verdict v) {
        switch (v.kind) {
        case VERDICT_ACCEPT:
        case VERDICT_DROP:
        case VERDICT_REJECT:
        case VERDICT_REJECT_RESET:
        case VERDICT_MASQUERADE:
        case VERDICT_DNAT:
                return 1;
        case VERDICT_JUMP:
        case VERDICT_GOTO:
                /* the ruleset's own chains, so not really const */
                return walk_chain(c, class, (Chain *)(uintptr_t)v.chain);
        case VERDICT_CONTINUE:
        case VERDICT_RETURN:
        case VERDICT_MAP:
        case _VERDICT_MAX:
        case _VERDICT_INVALID:
                break;
        }
        return 0;
}

/* As follow(), for a rule with a map. */
static int follow_map(Cutter *c, const PacketClass *class, const Rule *rule) {
        const FieldId *list = rule->map_fields;
        size_t n = rule->n_map_fields;
        U128 key[RULESET_FIELDS_MAX];
        const Element *element;

        if (is_absent(class, list, n))
                return 0;
        if (!any_varies(class, list, n)) {
                for (size_t i = 0; i < n; i++)
                        key[i] = class->packet.values[list[i]];
                element = set_find(rule->map, key);
                return element ? follow(c, class, element->verdict) : 0;
        }
        if (cut_by_set(c, class, rule->map, list, n) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < rule->map->n_elements; i++) {
                element = &rule->map->elements[i];
                if (can_be(class, list, n, element) && follow(c, class, element->verdict) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* 1 if no packet of the class comes out of the chain's end, 0 if one may, or -ENOMEM. */
static int walk_rules(Cutter *c, const PacketClass *class, const Chain *chain) {
        for (size_t i = 0; i < chain->n_rules; i++) {
                const Rule *rule = &chain->rules[i];
                int answer = ask_rule(c, class, rule), r;

                if (answer < 0)
                        return answer;
                if (answer == ANSWER_NEVER)
                        continue;
                r = rule->verdict.kind == VERDICT_MAP ? follow_map(c, class, rule)
                                                      : follow(c, class, rule->verdict);
                if (r < 0)
                        return r;
                if (answer != ANSWER_ALWAYS)
                        continue;
                if (r > 0)
                        return 1;
                if (rule->verdict.kind == VERDICT_RETURN || rule->verdict.kind == VERDICT_GOTO)
                        return 0;
        }
        return 0;
}

/* Once for each class, whichever way leads here. */
static int walk_chain(Cutter *c, const PacketClass *class, Chain *chain) {
        int r;

        if (chain->scratch / 2 == c->epoch)
                return (int)(chain->scratch % 2);
        r = walk_rules(c, class, chain);
        if (r >= 0)
                chain->scratch = 2 * c->epoch + (size_t)r;
        return r;
}

static int walk_hook(Cutter *c, const PacketClass *class, Hook hook, ChainType type) {
        for (size_t i = 0; i < c->base.n_chains; i++) {
                Chain *chain = c->base.chains[i];

                if (chain->hook == hook && chain->type == type && walk_chain(c, class, chain) < 0)
                        return -ENOMEM;
        }
        return 0;
}

int cutter_add_class(Cutter *c, const PacketClass *class) {
        c->epoch++;
        for (const Hook *hook = hook_way(class->hook); *hook != HOOK_NONE; hook++)
                if (walk_hook(c, class, *hook, CHAIN_FILTER) < 0)
                        return -ENOMEM;
        return 0;
}

int cutter_add_translation(Cutter *c, const PacketClass *class) {
        c->epoch++;
        return walk_hook(c, class, HOOK_PREROUTING, CHAIN_NAT);
}
