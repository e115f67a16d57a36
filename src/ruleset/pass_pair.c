/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "ruleset/pass_list.h"

/* Neighbours that admit a few sources each to a port of its own, "allow 5432 from 10.1.2.0/24",
 * become sets of pairs: one lookup of source and port together for each length of prefix. These are
 * hash tables, to which the kernel adds an element, and from which it takes one, whatever their
 * size. Where many sources share few ports, the other passes do better. Meaning is kept since
 * neighbours with one final verdict, and without statements, may change places. */

#define PAIRS_MIN 64         /* of a set; below, each rule keeps a counter of its own */
#define PAIRS_OF_RULE_MAX 16 /* what is larger is no few sources and ports */
#define PORTS_SHARE 4        /* of so many pairs, one at least has a port that no other has */
#define GROUPS_MAX 16        /* each is a lookup more for packets */

static const uint8_t port_protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};

typedef struct Pair {
        FieldId source; /* whose prefix is as long as it is looked up by */
        U128 address;
        uint16_t port;
} Pair;

typedef struct PairRule {
        const Rule *rule;
        uint8_t protocol;
        FieldId source, port;
        const Set *sources, *ports;
        Pair pairs[PAIRS_OF_RULE_MAX];
        size_t n_pairs;
} PairRule;

typedef struct Group {
        uint8_t protocol;
        FieldId source, port;
        bool counted;
        size_t n_pairs, n_ports, n_rules;
        uint64_t ports[(UINT16_MAX + 1) / 64]; /* a bit each */
        Set *set;
        const Rule *first; /* that has a pair in it */
} Group;

typedef struct Run {
        Ruleset *rs;
        const Chain *chain;
        unsigned int number; /* of the runs of this chain that became pairs */
        Group *groups;
        size_t n_groups;
} Run;

static bool is_listed(const Match *m) {
        return m->op == MATCH_IN && m->n_fields == 1 && !m->set->name;
}

/* The field that the source, a prefix of that length, is looked up by; at most so many elements of
 * it are needed. */
static FieldId find_field(FieldId source, unsigned int length, size_t *ret_n) {
        unsigned int bits = types[fields[source].type].bits, best = 129;
        FieldId found = _FIELD_INVALID;

        for (FieldId f = 0; f < _FIELD_MAX; f++) {
                unsigned int prefix = fields[f].prefix > 0 ? fields[f].prefix : bits;

                if (fields[f].base == BASE_NETWORK && fields[f].type == fields[source].type &&
                    fields[f].offset == fields[source].offset && prefix >= length &&
                    prefix < best) {
                        best = prefix;
                        found = f;
                }
        }
        if (found == _FIELD_INVALID || best - length > 4)
                return _FIELD_INVALID;
        *ret_n = (size_t)1 << (best - length);
        return found;
}

static U128 add_shifted(U128 a, uint64_t n, unsigned int shift) {
        U128 b = shift < 64 ? (U128){shift > 0 ? n >> (64 - shift) : 0, n << shift}
                            : (U128){n << (shift - 64), 0};

        return u128_or(a, b); /* the prefix's bits are zero there */
}

/* False if they are too many. */
static bool list_source(PairRule *p, Range source) {
        unsigned int bits = types[fields[p->source].type].bits, length, prefix;
        size_t n;
        FieldId field;

        if (!range_is_prefix(source, bits, &length))
                return false;
        field = find_field(p->source, length, &n);
        if (field == _FIELD_INVALID)
                return false;
        prefix = fields[field].prefix > 0 ? fields[field].prefix : bits;
        for (size_t i = 0; i < n; i++) {
                U128 address = add_shifted(source.low, i, bits - prefix);

                for (size_t j = 0; j < p->ports->n_elements; j++) {
                        Range r = p->ports->elements[j].key[0];

                        for (uint64_t port = r.low.low; port <= r.high.low; port++) {
                                if (p->n_pairs == PAIRS_OF_RULE_MAX)
                                        return false;
                                p->pairs[p->n_pairs++] = (Pair){field, address, (uint16_t)port};
                        }
                }
        }
        return true;
}

/* False if it asks for anything but sources, a protocol and ports, or for too many. */
static bool parse_rule(const Rule *rule, PairRule *ret) {
        *ret = (PairRule){.rule = rule, .source = _FIELD_INVALID, .port = _FIELD_INVALID};
        if (!rule->origin.at.source)
                return false;
        for (size_t i = 0; i < rule->n_matches; i++) {
                const Match *m = &rule->matches[i];

                if (!is_listed(m))
                        return false;
                if (m->fields[0] == FIELD_L4PROTO && m->set->n_elements == 1 &&
                    range_is_single(m->set->elements[0].key[0])) {
                        ret->protocol = (uint8_t)m->set->elements[0].key[0].low.low;
                } else if (m->fields[0] == FIELD_IP_SADDR || m->fields[0] == FIELD_IP6_SADDR) {
                        ret->source = m->fields[0];
                        ret->sources = m->set;
                } else if (m->fields[0] == FIELD_DPORT || m->fields[0] == FIELD_CT_DPORT) {
                        ret->port = m->fields[0];
                        ret->ports = m->set;
                } else if (m->fields[0] != FIELD_NFPROTO)
                        return false; /* that one is the source's own need */
        }
        if (!ret->sources || !ret->ports ||
            !memchr(port_protocols, ret->protocol, sizeof(port_protocols)))
                return false;
        for (size_t i = 0; i < ret->sources->n_elements; i++)
                if (!list_source(ret, ret->sources->elements[i].key[0]))
                        return false;
        return ret->n_pairs > 0;
}

static Group *find_group(const Run *run, const PairRule *p, const Pair *pair) {
        for (size_t i = 0; i < run->n_groups; i++) {
                Group *g = &run->groups[i];

                if (g->protocol == p->protocol && g->source == pair->source && g->port == p->port &&
                    g->counted == p->rule->counted)
                        return g;
        }
        return NULL;
}

static void count_pairs(Run *run, const PairRule *p) {
        for (size_t i = 0; i < p->n_pairs; i++) {
                const Pair *pair = &p->pairs[i];
                Group *g = find_group(run, p, pair);
                uint64_t bit = UINT64_C(1) << pair->port % 64;

                if (!g && run->n_groups == GROUPS_MAX)
                        return;
                if (!g) {
                        g = &run->groups[run->n_groups++];
                        *g = (Group){.protocol = p->protocol,
                                     .source = pair->source,
                                     .port = p->port,
                                     .counted = p->rule->counted};
                }
                g->n_pairs++;
                g->n_ports += !(g->ports[pair->port / 64] & bit);
                g->ports[pair->port / 64] |= bit;
        }
}

static bool is_worth(const Group *g) {
        return g && g->n_pairs >= PAIRS_MIN && g->n_ports * PORTS_SHARE >= g->n_pairs;
}

static Set *make_set(const Run *run, const Group *g) {
        const Field *f = &fields[g->source];
        unsigned int prefix = f->prefix > 0 ? f->prefix : types[f->type].bits;
        char name[RULESET_NAME_MAX + 1], number[16] = "";
        Set *set;

        if (run->number > 1)
                (void)snprintf(number, sizeof(number), ".%u", run->number);
        (void)snprintf(name, sizeof(name), "%s%s-%s-ipv%c-%u", run->chain->name, number,
                       type_symbol_name(TYPE_INET_PROTO, g->protocol),
                       f->type == TYPE_IPV4_ADDR ? '4' : '6', prefix);
        set = ruleset_add_set(run->rs, name, f->type);
        if (set) {
                set->types[set->n_types++] = TYPE_INET_SERVICE;
                set->counted = run->rs->count_elements;
        }
        return set;
}

/* 1 if the rule's pairs are in the sets now, 0 if it has to stay, or -ENOMEM. */
static int take_rule(Run *run, const PairRule *p) {
        for (size_t i = 0; i < p->n_pairs; i++)
                if (!is_worth(find_group(run, p, &p->pairs[i])))
                        return 0;
        for (size_t i = 0; i < p->n_pairs; i++) {
                const Pair *pair = &p->pairs[i];
                Group *g = find_group(run, p, pair);
                const Range key[RULESET_FIELDS_MAX] = {range_single(pair->address),
                                                       range_single(u128(pair->port))};
                Element *e;

                if (!g)
                        return 0; /* cannot be: it was found above */
                if (!g->set)
                        g->set = make_set(run, g);
                e = g->set ? set_add_element(run->rs, g->set, key) : NULL;
                if (!e)
                        return -ENOMEM;
                e->origin.at = p->rule->origin.at;
                if (!g->first)
                        g->first = p->rule;
                g->n_rules += i == 0 || find_group(run, p, &p->pairs[i - 1]) != g;
        }
        return 1;
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

                if (!last || !same_key(last, &set->elements[i]))
                        set->elements[n++] = set->elements[i];
                else if (set->elements[i].origin.at.line < last->origin.at.line)
                        last->origin.at = set->elements[i].origin.at;
        }
        set->n_elements = n;
}

/* The other way to the same section has the same pairs; prune takes away what is used no more. */
static const Set *find_equal(const Ruleset *rs, const Set *set) {
        for (size_t i = 0; i < rs->n_sets; i++) {
                Set one = *set, other = *rs->sets[i];

                one.name = other.name = NULL;
                if (other.n_elements == one.n_elements && set_equal(&one, &other))
                        return rs->sets[i];
        }
        return set;
}

static int add_lookup(const Run *run, const Group *g, Chain *into) {
        const FieldId concat[] = {g->source, g->port};
        const Set *set = find_equal(run->rs, g->set);
        Rule *rule = chain_add_rule(run->rs, into, g->first->verdict, g->first->origin);

        if (!rule || rule_match_value(run->rs, rule, FIELD_L4PROTO, g->protocol) < 0 ||
            rule_match_concat(run->rs, rule, concat, ARRAY_SIZE(concat), MATCH_IN, set) < 0)
                return -ENOMEM;
        rule->counted = g->counted;
        return g->n_rules > 1 ? pass_name_many(run->rs, rule, g->n_rules) : 0;
}

/* Appends what stands for rules[0..n), which have one final verdict. */
static int pair_run(Run *run, const Rule *rules, size_t n, Chain *into) {
        _cleanup_free_ bool *taken = calloc(n, sizeof(*taken));
        PairRule p;

        if (!taken)
                return -ENOMEM;
        run->n_groups = 0;
        for (size_t i = 0; i < n; i++)
                if (parse_rule(&rules[i], &p))
                        count_pairs(run, &p);
        for (size_t i = 0; i < n; i++) {
                int r = parse_rule(&rules[i], &p) ? take_rule(run, &p) : 0;

                if (r < 0)
                        return r;
                taken[i] = r > 0;
        }
        for (size_t i = 0; i < run->n_groups; i++) {
                if (!run->groups[i].set)
                        continue;
                sort_pairs(run->groups[i].set);
                if (add_lookup(run, &run->groups[i], into) < 0)
                        return -ENOMEM;
        }
        for (size_t i = 0; i < n; i++)
                if (!taken[i] &&
                    !arena_append(run->rs->arena, into->rules, into->n_rules, rules[i]))
                        return -ENOMEM;
        return 0;
}

static int pair_chain(Run *run, Chain *chain) {
        Chain result = {0};

        run->chain = chain;
        run->number = 1;
        for (size_t i = 0, end; i < chain->n_rules; i = end) {
                size_t n_sets = run->rs->n_sets;

                end = i + pass_count_alike(chain, i);
                if (pair_run(run, &chain->rules[i], end - i, &result) < 0)
                        return -ENOMEM;
                run->number += run->rs->n_sets > n_sets;
        }
        chain->rules = result.rules;
        chain->n_rules = result.n_rules;
        chain->room = 0;
        return 0;
}

static bool may_pair(const Chain *chain) {
        for (size_t i = 0; i < chain->n_rules; i += pass_count_alike(chain, i))
                if (pass_count_alike(chain, i) >= PAIRS_MIN / PAIRS_OF_RULE_MAX)
                        return true;
        return false;
}

int pass_pair(Ruleset *rs) {
        _cleanup_free_ Group *groups = calloc(GROUPS_MAX, sizeof(*groups));
        Run run = {.rs = rs, .groups = groups};

        if (!groups)
                return -ENOMEM;
        for (size_t i = 0; i < rs->n_chains; i++)
                if (may_pair(rs->chains[i]) && pair_chain(&run, rs->chains[i]) < 0)
                        return -ENOMEM;
        return 0;
}
