/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/pair.h"

#include <netinet/in.h>

#include "ruleset/pass_list.h"

#define PORTS_SHARE 4      /* of so many pairs, one at least has a port that no other has */
#define MISSING_BITS_MAX 4 /* of a prefix that is looked up by a longer one: 16 pairs */
#define ADDRESS_BITS_MAX 128

bool pair_has_ports(uint8_t protocol) {
        return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

/* Bits. */
static unsigned int width_of(FieldId field) {
        return fields[field].prefix > 0 ? fields[field].prefix : types[fields[field].type].bits;
}

/* The field that the source, a prefix of that length, is looked up by. */
static FieldId find_field(FieldId source, unsigned int length) {
        unsigned int best = ADDRESS_BITS_MAX + 1;
        FieldId found = _FIELD_INVALID;

        for (FieldId f = 0; f < _FIELD_MAX && best > length; f++)
                if (fields[f].type == fields[source].type && fields[f].base == BASE_NETWORK &&
                    fields[f].offset == fields[source].offset && width_of(f) >= length &&
                    width_of(f) < best) {
                        best = width_of(f);
                        found = f;
                }
        return best - length > MISSING_BITS_MAX ? _FIELD_INVALID : found;
}

static FieldId look_up_field(PairRule *p, unsigned int length) {
        if (!p->last.is_known || p->last.source != p->source || p->last.length != length)
                p->last = (PairField){p->source, length, find_field(p->source, length), true};
        return p->last.field;
}

static U128 add_shifted(U128 a, uint64_t n, unsigned int shift) {
        U128 b = shift < 64 ? (U128){shift > 0 ? n >> (64 - shift) : 0, n << shift}
                            : (U128){n << (shift - 64), 0};

        return u128_or(a, b); /* the prefix's bits are zero there */
}

bool pair_rule_add(PairRule *p, Range source, Range ports) {
        unsigned int bits = types[fields[p->source].type].bits, length, prefix;
        FieldId field;

        if (!range_is_prefix(source, bits, &length))
                return false;
        field = look_up_field(p, length);
        if (field == _FIELD_INVALID)
                return false;
        prefix = width_of(field);
        for (uint64_t i = 0; i < UINT64_C(1) << (prefix - length); i++) {
                U128 address = add_shifted(source.low, i, bits - prefix);

                for (uint64_t port = ports.low.low; port <= ports.high.low; port++) {
                        if (p->n_pairs == PAIRS_OF_RULE_MAX)
                                return false;
                        p->pairs[p->n_pairs++] = (Pair){field, address, (uint16_t)port};
                }
        }
        return true;
}

static PairGroup *find_group(const Pairs *pairs, const PairRule *p, const Pair *pair) {
        for (size_t i = 0; i < pairs->n_groups; i++) {
                PairGroup *g = &pairs->groups[i];

                if (g->protocol == p->protocol && g->source == pair->source && g->port == p->port &&
                    g->counted == p->counted)
                        return g;
        }
        return NULL;
}

void pairs_count(Pairs *pairs, const PairRule *p) {
        for (size_t i = 0; i < p->n_pairs; i++) {
                const Pair *pair = &p->pairs[i];
                PairGroup *g = find_group(pairs, p, pair);
                uint64_t bit = UINT64_C(1) << pair->port % 64;

                if (!g && pairs->n_groups == PAIR_GROUPS_MAX)
                        return;
                if (!g) {
                        g = &pairs->groups[pairs->n_groups++];
                        *g = (PairGroup){.protocol = p->protocol,
                                         .source = pair->source,
                                         .port = p->port,
                                         .counted = p->counted};
                }
                g->n_pairs++;
                g->n_ports += !(g->ports[pair->port / 64] & bit);
                g->ports[pair->port / 64] |= bit;
        }
}

bool pairs_is_worth(const Pairs *pairs, const PairRule *p) {
        for (size_t i = 0; i < p->n_pairs; i++) {
                const PairGroup *g = find_group(pairs, p, &p->pairs[i]);

                if (!g || g->n_pairs < PAIRS_MIN || g->n_ports * PORTS_SHARE < g->n_pairs)
                        return false;
        }
        return p->n_pairs > 0;
}

/* With room for all pairs that were counted, and for as many as arrays that grow have room for. */
static Set *make_set(const Pairs *pairs, const PairGroup *g) {
        const Field *f = &fields[g->source];
        char name[RULESET_NAME_MAX + 1], number[16] = "";
        size_t room = 1;
        Set *set;

        if (pairs->number > 1)
                (void)snprintf(number, sizeof(number), ".%u", pairs->number);
        (void)snprintf(name, sizeof(name), "%s%s-%s-ipv%c-%u", pairs->chain, number,
                       type_symbol_name(TYPE_INET_PROTO, g->protocol),
                       f->type == TYPE_IPV4_ADDR ? '4' : '6', width_of(g->source));
        set = ruleset_add_set(pairs->rs, name, f->type);
        if (!set)
                return NULL;
        set->types[set->n_types++] = TYPE_INET_SERVICE;
        set->counted = pairs->rs->count_elements;
        while (room < g->n_pairs)
                room *= 2;
        set->elements = arena_alloc_array(pairs->rs->arena, room, sizeof(set->elements[0]));
        return set->elements ? set : NULL;
}

int pairs_take(Pairs *pairs, const PairRule *p) {
        const PairGroup *last = NULL;

        for (size_t i = 0; i < p->n_pairs; i++) {
                const Pair *pair = &p->pairs[i];
                PairGroup *g = find_group(pairs, p, pair);
                Set *set;

                if (!g)
                        return 0; /* cannot be: it was counted */
                if (!g->set) {
                        g->set = make_set(pairs, g);
                        g->verdict = p->verdict;
                        g->origin = p->origin;
                }
                set = g->set;
                if (!set)
                        return -ENOMEM;
                if (set->n_elements == g->n_pairs)
                        return -EINVAL; /* nor can this */
                set->elements[set->n_elements++] = (Element){
                        .key = {range_single(pair->address), range_single(u128(pair->port))},
                        .origin.at = p->origin.at,
                };
                g->n_rules += g != last;
                last = g;
        }
        return 0;
}

static bool same_key(const Element *a, const Element *b) {
        return range_equal(a->key[0], b->key[0]) && range_equal(a->key[1], b->key[1]);
}

/* Of a pair that several lines name, the first of those is told of. */
static void sort_pairs(Set *set) {
        size_t n = 0;

        set_sort(set);
        for (size_t i = 0; i < set->n_elements; i++) {
                Element *last = n > 0 ? &set->elements[n - 1] : NULL;

                if (last && same_key(last, &set->elements[i])) {
                        if (set->elements[i].origin.at.line < last->origin.at.line)
                                last->origin.at = set->elements[i].origin.at;
                        continue;
                }
                if (n < i)
                        set->elements[n] = set->elements[i];
                n++;
        }
        set->n_elements = n;
}

/* The other way to the same section has the same pairs; prune takes away what is used no more. */
static Set *find_equal(const Ruleset *rs, Set *set) {
        for (size_t i = 0; i < rs->n_sets; i++) {
                Set one = *set, other = *rs->sets[i];

                one.name = other.name = NULL;
                if (other.n_elements == one.n_elements && set_equal(&one, &other))
                        return rs->sets[i];
        }
        return set;
}

void pairs_finish(Pairs *pairs) {
        for (size_t i = 0; i < pairs->n_groups; i++) {
                PairGroup *g = &pairs->groups[i];

                if (!g->set)
                        continue;
                sort_pairs(g->set);
                g->set = find_equal(pairs->rs, g->set);
        }
}

static int add_lookup(const Pairs *pairs, const PairGroup *g, FieldId port, Chain *into) {
        const FieldId concat[] = {g->source, port == _FIELD_INVALID ? g->port : port};
        Rule *rule = chain_add_rule(pairs->rs, into, g->verdict, g->origin);

        if (!rule || rule_match_value(pairs->rs, rule, FIELD_L4PROTO, g->protocol) < 0 ||
            rule_match_concat(pairs->rs, rule, concat, ARRAY_SIZE(concat), MATCH_IN, g->set) < 0)
                return -ENOMEM;
        rule->counted = g->counted;
        return g->n_rules > 1 ? pass_name_many(pairs->rs, rule, g->n_rules) : 0;
}

int pairs_add_lookups(const Pairs *pairs, FieldId port, Chain *into) {
        for (size_t i = 0; i < pairs->n_groups; i++) {
                const PairGroup *g = &pairs->groups[i];

                if (g->set && add_lookup(pairs, g, port, into) < 0)
                        return -ENOMEM;
        }
        return 0;
}
