/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/meaning.h"

#define TARGETS_MAX 4096
#define LIMITS_MAX 4096
#define LARGE 1000 /* elements of a set that is cut once */
#define SMALL 6000 /* edges of a diagram that may be a part of all that follow */

typedef struct Known {
        const Chain *chain; /* NULL: a free place */
        MeaningWay way;
        DiagramId care, meaning;
} Known;

typedef struct LargeSet {
        const Set *set;
        MeaningVariable variable;
} LargeSet;

struct Meaning {
        LargeSet *large; /* that were cut */
        size_t n_large;
        const Ruleset *rs;
        Family family;
        Arena *arena, *scratch; /* scratch: of one literal */
        Diagram *diagram;
        Axis axes[_MEANING_VARIABLE_MAX];
        DiagramId domain;
        const NatTarget **targets;
        size_t n_targets;
        Packet classes[_MEANING_WAY_MAX][_MEANING_CLASS_MAX]; /* the fields that nobody varies */
        MeaningWay way;                                       /* that is being walked */
        bool tell_limits;
        const char **limits; /* what they say */
        size_t n_limits;
        size_t n_chains; /* of all rulesets */
        size_t *weights; /* of chains, by Chain.scratch; 0: not known yet */
        Known *known;    /* an open hash of chains' meanings */
        size_t n_known, known_size;
        int error;
};

typedef struct FieldRow {
        FieldId field;
        MeaningVariable variable;
} FieldRow;

// clang-format off
static const FieldRow field_rows[] = {
        {FIELD_IP_SADDR,          MEANING_SOURCE},
        {FIELD_IP6_SADDR,         MEANING_SOURCE},
        {FIELD_IP6_SADDR_64,      MEANING_SOURCE},
        {FIELD_CT_IP_DADDR,       MEANING_DIALLED},
        {FIELD_CT_IP6_DADDR,      MEANING_DIALLED},
        {FIELD_IP_DADDR,          MEANING_FINAL},
        {FIELD_IP6_DADDR,         MEANING_FINAL},
        {FIELD_L4PROTO,           MEANING_PROTOCOL},
        {FIELD_CT_DPORT,          MEANING_DIALLED_PORT},
        {FIELD_DPORT,             MEANING_FINAL_PORT},
        {FIELD_SPORT,             MEANING_SOURCE_PORT},
        {FIELD_ICMP_TYPE,         MEANING_ICMP},
        {FIELD_ICMPV6_TYPE,       MEANING_ICMP},
        {FIELD_IIFNAME,           MEANING_IN},
        {FIELD_OIFNAME,           MEANING_OUT},
        {FIELD_ETHER_DADDR,       MEANING_LINK},
        {FIELD_IP6_HOPLIMIT,      MEANING_HOPS},
        {FIELD_SKUID,             MEANING_USER},
        {FIELD_SKGID,             MEANING_GROUP},
        {FIELD_TIME,              MEANING_TIME},
        {FIELD_FIB_SADDR_OIF,     MEANING_FIB_SOURCE_OUT},
        {FIELD_FIB_SADDR_IIF_OIF, MEANING_FIB_SOURCE_IN_OUT},
        {FIELD_FIB_SADDR_TYPE,    MEANING_FIB_SOURCE_TYPE},
        {FIELD_FIB_DADDR_TYPE,    MEANING_FIB_DESTINATION_TYPE},
};
// clang-format on

/* False of fields that are the same in all packets of a class. */
static bool find_variable(FieldId field, MeaningVariable *ret) {
        for (size_t i = 0; i < ARRAY_SIZE(field_rows); i++)
                if (field_rows[i].field == field) {
                        *ret = field_rows[i].variable;
                        return true;
                }
        return false;
}

/* Which variable the way's packets have for it: without a translation, one address and one port. */
static MeaningVariable seen_as(MeaningWay way, MeaningVariable v) {
        if (v == MEANING_FINAL && (way == MEANING_PLAIN || way == MEANING_OUTPUT))
                return MEANING_DIALLED;
        if (v == MEANING_FINAL_PORT && way != MEANING_TRANSLATED)
                return MEANING_DIALLED_PORT;
        return v;
}

static bool is_of_family(const Meaning *m, FieldId field) {
        Family other = m->family == FAMILY_IPV4 ? FAMILY_IPV6 : FAMILY_IPV4;
        PacketQuestion q = {.hook = HOOK_FORWARD, .family = other, .ct_state = CT_STATE_NEW};
        Packet theirs, ours;

        packet_init(&theirs, &q);
        q.family = m->family;
        packet_init(&ours, &q);
        return ours.present[field] || !theirs.present[field];
}

/* The addresses whose first 64 bits, the rest zero, are in the range; runs backwards if none are.
 */
static Range of_prefixes(Range r) {
        if (r.low.low > 0 && r.low.high == UINT64_MAX)
                return (Range){U128_MAX, U128_ZERO};
        return (Range){{r.low.high + (r.low.low > 0), 0}, {r.high.high, UINT64_MAX}};
}

int meaning_cut(Meaning *m, MeaningVariable variable, Range r) {
        if (axis_cut(m->arena, &m->axes[variable], r) < 0)
                return -ENOMEM;
        /* the one may stand for the other: see seen_as() */
        if (variable == MEANING_FINAL)
                return axis_cut(m->arena, &m->axes[MEANING_DIALLED], r);
        if (variable == MEANING_FINAL_PORT)
                return axis_cut(m->arena, &m->axes[MEANING_DIALLED_PORT], r);
        return 0;
}

int meaning_cut_all(Meaning *m, MeaningVariable variable, const RangeSet *ranges) {
        for (size_t i = 0; i < ranges->n_items; i++)
                if (meaning_cut(m, variable, ranges->items[i]) < 0)
                        return -ENOMEM;
        return 0;
}

/* Large sets are asked for by several rules: their cuts are made once. */
static bool is_cut_already(Meaning *m, const Set *set, MeaningVariable v) {
        LargeSet large = {set, v};

        if (set->n_elements < LARGE)
                return false;
        for (size_t i = 0; i < m->n_large; i++)
                if (m->large[i].set == set && m->large[i].variable == v)
                        return true;
        /* without memory they are cut twice */
        (void)arena_append(m->arena, m->large, m->n_large, large);
        return false;
}

static int cut_set(Meaning *m, const Set *set, const FieldId *list, size_t n) {
        for (size_t i = 0; set && i < n; i++) {
                MeaningVariable v;

                if (!is_of_family(m, list[i]) || !find_variable(list[i], &v) ||
                    is_cut_already(m, set, v))
                        continue;
                for (size_t j = 0; j < set->n_elements; j++) {
                        Range r = set->elements[j].key[i];

                        if (list[i] == FIELD_IP6_SADDR_64)
                                r = of_prefixes(r);
                        if (u128_compare(r.low, r.high) <= 0 && meaning_cut(m, v, r) < 0)
                                return -ENOMEM;
                }
        }
        return 0;
}

static int cut_rules(Meaning *m) {
        for (size_t i = 0; i < m->rs->n_chains; i++)
                for (size_t j = 0; j < m->rs->chains[i]->n_rules; j++) {
                        const Rule *rule = &m->rs->chains[i]->rules[j];

                        for (size_t k = 0; k < rule->n_matches; k++)
                                if (rule->matches[k].op <= MATCH_NOT_IN &&
                                    cut_set(m, rule->matches[k].set, rule->matches[k].fields,
                                            rule->matches[k].n_fields) < 0)
                                        return -ENOMEM;
                        if (cut_set(m, rule->map, rule->map_fields, rule->n_map_fields) < 0)
                                return -ENOMEM;
                        if (rule->target && rule->target->family == m->family &&
                            (meaning_cut(m, MEANING_FINAL, range_single(rule->target->address)) <
                                     0 ||
                             meaning_cut(m, MEANING_FINAL_PORT,
                                         range_single(u128(rule->target->port))) < 0))
                                return -ENOMEM;
                }
        return 0;
}

Range meaning_values(const Meaning *m, MeaningVariable v) {
        U128 address = u128_low_mask(m->family == FAMILY_IPV4 ? 32 : 128);

        switch (v) {
        case MEANING_SOURCE:
        case MEANING_DIALLED:
        case MEANING_FINAL:
                return (Range){U128_ZERO, address};
        case MEANING_PROTOCOL:
        case MEANING_ICMP:
        case MEANING_HOPS:
                return (Range){U128_ZERO, u128(UINT8_MAX)};
        case MEANING_DIALLED_PORT:
        case MEANING_FINAL_PORT:
        case MEANING_SOURCE_PORT:
                return (Range){u128(1), u128(UINT16_MAX)};
        case MEANING_LINK:
                return (Range){U128_ZERO, u128_low_mask(48)};
        case MEANING_USER:
        case MEANING_GROUP:
                return (Range){U128_ZERO, u128(MEANING_NOBODY)};
        case MEANING_HOOK:
        case MEANING_FIB_SOURCE_OUT:
        case MEANING_FIB_SOURCE_IN_OUT:
                return (Range){U128_ZERO, u128(1)};
        case MEANING_CLASS:
                return (Range){U128_ZERO, u128(_MEANING_CLASS_MAX - 1)};
        case MEANING_TIME:
                return (Range){U128_ZERO, u128(UINT64_MAX)};
        case MEANING_FIB_SOURCE_TYPE:
        case MEANING_FIB_DESTINATION_TYPE:
                return (Range){U128_ZERO, u128(11)}; /* RTN_UNSPEC to RTN_XRESOLVE */
        case MEANING_IN:
        case MEANING_OUT:
        case _MEANING_VARIABLE_MAX:
                break;
        }
        return (Range){U128_ZERO, U128_MAX};
}

static const struct {
        MeaningVariable variable;
        uint64_t value;
} always_cut[] = {
        {MEANING_USER, MEANING_NOBODY},
        {MEANING_GROUP, MEANING_NOBODY},
        {MEANING_HOOK, 0},
        {MEANING_HOOK, 1},
        {MEANING_CLASS, MEANING_NEW},
        {MEANING_CLASS, MEANING_UNTRACKED},
        {MEANING_TIME, 0},
        {MEANING_FIB_SOURCE_OUT, 0},
        {MEANING_FIB_SOURCE_OUT, 1},
        {MEANING_FIB_SOURCE_IN_OUT, 0},
        {MEANING_FIB_SOURCE_IN_OUT, 1},
        {MEANING_FIB_SOURCE_TYPE, FIB_TYPE_LOCAL},
        {MEANING_FIB_SOURCE_TYPE, FIB_TYPE_UNICAST},
        {MEANING_FIB_DESTINATION_TYPE, FIB_TYPE_LOCAL},
        {MEANING_FIB_DESTINATION_TYPE, FIB_TYPE_UNICAST},
        {MEANING_PROTOCOL, 6},
        {MEANING_PROTOCOL, 17},
        {MEANING_PROTOCOL, 132},
        {MEANING_PROTOCOL, 1},
        {MEANING_PROTOCOL, 58},
        {MEANING_PROTOCOL, 33},
        {MEANING_PROTOCOL, 136},
};

/* The fields that make no difference within a class. */
static void make_classes(Meaning *m, MeaningWay way) {
        static const uint32_t states[_MEANING_CLASS_MAX] = {
                [MEANING_NEW] = CT_STATE_NEW,
                [MEANING_UNTRACKED] = CT_STATE_UNTRACKED,
                [MEANING_EXPECTED] = CT_STATE_RELATED,
        };

        for (MeaningClass c = 0; c < _MEANING_CLASS_MAX; c++) {
                PacketQuestion q = {
                        .hook = way == MEANING_OUTPUT ? HOOK_OUTPUT : HOOK_FORWARD,
                        .family = m->family,
                        .ct_state = states[c],
                        .expected = c == MEANING_EXPECTED,
                        .translated = way == MEANING_TRANSLATED || way == MEANING_PORT_KEPT,
                };

                packet_init(&m->classes[way][c], &q);
        }
}

/* Chains know their number; like every scratch it is good until the next pass. */
static int number_chains(Meaning *m) {
        size_t n = m->n_chains + m->rs->n_chains;

        m->weights = arena_alloc_array(m->arena, MAX(n, 1UL), sizeof(*m->weights));
        for (size_t i = 0; m->weights && i < m->rs->n_chains; i++)
                m->rs->chains[i]->scratch = m->n_chains + i;
        m->n_chains = n;
        return m->weights ? 0 : -ENOMEM;
}

int meaning_add(Meaning *m, const Ruleset *rs) {
        const Ruleset *first = m->rs;
        int r;

        m->rs = rs;
        r = cut_rules(m) < 0 ? -ENOMEM : number_chains(m);
        m->rs = first;
        return r;
}

void meaning_take(Meaning *m, const Ruleset *rs) {
        m->rs = rs;
}

void meaning_tell_limits(Meaning *m) {
        m->tell_limits = true;
}

const char *const *meaning_limits(const Meaning *m, size_t *ret_n) {
        *ret_n = m->n_limits;
        return m->limits;
}

Meaning *meaning_new(const Ruleset *rs, Family family) {
        Meaning *m = calloc(1, sizeof(*m));

        if (!m)
                return NULL;
        m->rs = rs;
        m->family = family;
        m->arena = arena_new(0);
        m->scratch = arena_new(0);
        m->diagram = diagram_new(0);
        if (!m->arena || !m->scratch || !m->diagram || cut_rules(m) < 0)
                return meaning_free(m);
        for (size_t i = 0; i < ARRAY_SIZE(always_cut); i++)
                if (meaning_cut(m, always_cut[i].variable,
                                range_single(u128(always_cut[i].value))) < 0)
                        return meaning_free(m);
        if (number_chains(m) < 0)
                return meaning_free(m);
        for (MeaningWay w = 0; w < _MEANING_WAY_MAX; w++)
                make_classes(m, w);
        return m;
}

Meaning *meaning_free(Meaning *m) {
        if (!m)
                return NULL;
        m->diagram = diagram_free(m->diagram);
        m->scratch = arena_free(m->scratch);
        m->arena = arena_free(m->arena);
        free(m->known);
        free(m);
        return NULL;
}

int meaning_finish(Meaning *m) {
        DiagramId domain = DIAGRAM_ALL;

        for (unsigned int v = _MEANING_VARIABLE_MAX; v-- > 0;) {
                Range r = meaning_values(m, v);
                RangeSet one = {.items = &r, .n_items = 1};

                if (meaning_cut(m, v, r) < 0 || axis_finish(m->arena, &m->axes[v]) < 0)
                        return -ENOMEM;
                domain = diagram_and(m->diagram, meaning_where(m, v, &one), domain);
        }
        m->domain = domain;
        return 0;
}

Diagram *meaning_diagram(Meaning *m) {
        return m->diagram;
}

const Axis *meaning_axis(const Meaning *m, MeaningVariable variable) {
        return &m->axes[variable];
}

DiagramId meaning_domain(Meaning *m) {
        return m->domain;
}

const NatTarget *const *meaning_targets(const Meaning *m, size_t *ret_n) {
        *ret_n = m->n_targets;
        return m->targets;
}

static size_t known_hash(const Known *k) {
        uint64_t hash = (uint64_t)k->care << 32 | k->chain->scratch << 2 | k->way;

        hash *= UINT64_C(0x9e3779b97f4a7c15);
        return (size_t)(hash ^ hash >> 32);
}

static DiagramId fail(Meaning *m, int error) {
        m->error = error;
        return DIAGRAM_EMPTY;
}

static DiagramId literal(Meaning *m,
                         MeaningVariable v,
                         const Range *items,
                         size_t n,
                         DiagramId inside,
                         DiagramId outside) {
        DiagramRange *ranges;
        DiagramId x;
        int r;

        r = axis_ranges(m->scratch, &m->axes[v], items, n, &ranges);
        if (r < 0)
                return fail(m, r == -EINVAL ? -EPROTO : r);
        x = diagram_literal(m->diagram, v, ranges, n, inside, outside);
        return x;
}

DiagramId meaning_where(Meaning *m, MeaningVariable variable, const RangeSet *values) {
        DiagramId x =
                literal(m, variable, values->items, values->n_items, DIAGRAM_ALL, DIAGRAM_EMPTY);

        arena_reset(m->scratch);
        return x;
}

DiagramId meaning_where_value(Meaning *m, MeaningVariable variable, U128 value) {
        Range r = range_single(value);
        RangeSet one = {.items = &r, .n_items = 1};

        return meaning_where(m, variable, &one);
}

/* Conditions are diagrams with the leaves MEANING_YES and MEANING_FALL, so that putting something
 * in the place of YES makes a rule of one. */

static DiagramId yes_or_fall(Meaning *m) {
        return diagram_union(m->diagram, DIAGRAM_ALL, diagram_leaf(m->diagram, MEANING_FALL));
}

/* By what is the same within a class. */
static DiagramId class_condition(Meaning *m, const Match *match) {
        Range ranges[_MEANING_CLASS_MAX];
        size_t n = 0;

        for (MeaningClass c = 0; c < _MEANING_CLASS_MAX; c++)
                if (packet_matches(&m->classes[m->way][c], match))
                        ranges[n++] = range_single(u128(c));
        return literal(m, MEANING_CLASS, ranges, n, DIAGRAM_ALL,
                       diagram_leaf(m->diagram, MEANING_FALL));
}

/* YES where packets of this way have the field at all. */
static DiagramId presence(Meaning *m, FieldId field) {
        DiagramId fall = diagram_leaf(m->diagram, MEANING_FALL);
        Range r[] = {range_single(U128_ZERO), {u128(2), u128(2)}};

        if (!is_of_family(m, field))
                return fall;
        if (field == FIELD_OIFNAME && m->way != MEANING_OUTPUT) {
                r[0] = range_single(u128(1));
                return literal(m, MEANING_HOOK, r, 1, DIAGRAM_ALL, fall);
        }
        if (field == FIELD_CT_IP_DADDR || field == FIELD_CT_IP6_DADDR || field == FIELD_CT_DPORT) {
                r[1] = range_single(u128(MEANING_EXPECTED));
                return literal(m, MEANING_CLASS, r, 2, DIAGRAM_ALL, fall);
        }
        if (field == FIELD_SKUID || field == FIELD_SKGID) {
                if (m->way != MEANING_OUTPUT)
                        return fall;
                r[0].high = u128(UINT32_MAX);
                return literal(m, field == FIELD_SKUID ? MEANING_USER : MEANING_GROUP, r, 1,
                               DIAGRAM_ALL, fall);
        }
        if (m->way == MEANING_OUTPUT && (field == FIELD_IIFNAME || field == FIELD_ETHER_DADDR))
                return fall;
        return DIAGRAM_ALL;
}

/* The set's ranges of its field number i; ascending and disjoint if it has one field. */
static Range *set_ranges(Meaning *m, const Set *set, size_t i, FieldId field, size_t *ret_n) {
        Range *items = arena_alloc_array(m->scratch, MAX(set->n_elements, 1UL), sizeof(*items));
        size_t n = 0;

        for (size_t j = 0; items && j < set->n_elements; j++) {
                Range r = set->elements[j].key[i];

                if (field == FIELD_IP6_SADDR_64)
                        r = of_prefixes(r);
                if (u128_compare(r.low, r.high) <= 0)
                        items[n++] = r;
        }
        *ret_n = n;
        return items;
}

static DiagramId field_condition(Meaning *m, const Match *match) {
        DiagramId fall = diagram_leaf(m->diagram, MEANING_FALL), here, x;
        FieldId field = match->fields[0];
        MeaningVariable v = _MEANING_VARIABLE_MAX;
        Range *items;
        size_t n;

        here = presence(m, field);
        if (here == fall)
                return fall;
        (void)find_variable(field, &v); /* the caller asked */
        items = set_ranges(m, match->set, 0, field, &n);
        if (!items)
                return fail(m, -ENOMEM);
        v = seen_as(m->way, v);
        x = match->op == MATCH_IN ? literal(m, v, items, n, DIAGRAM_ALL, fall)
                                  : literal(m, v, items, n, fall, DIAGRAM_ALL);
        return here == DIAGRAM_ALL ? x : diagram_replace(m->diagram, x, MEANING_YES, here);
}

/* YES where the key of several fields is this element's. */
static DiagramId
element_condition(Meaning *m, const Element *e, const FieldId *list, size_t n_fields) {
        DiagramId fall = diagram_leaf(m->diagram, MEANING_FALL), x = DIAGRAM_ALL;

        for (size_t i = 0; i < n_fields; i++) {
                DiagramId here = presence(m, list[i]);
                MeaningVariable v;
                Range r = e->key[i];

                if (here == fall)
                        return fall;

                if (!find_variable(list[i], &v))
                        return yes_or_fall(m); /* none of ours, and of a map: may be or not */
                if (list[i] == FIELD_IP6_SADDR_64)
                        r = of_prefixes(r);
                if (u128_compare(r.low, r.high) > 0)
                        return fall;
                x = diagram_replace(m->diagram, x, MEANING_YES, here);
                x = diagram_replace(m->diagram, x, MEANING_YES,
                                    literal(m, seen_as(m->way, v), &r, 1, DIAGRAM_ALL, fall));
        }
        return x;
}

/* Everything from here on is about the packets of `care` alone, and nothing of others: what earlier
 * rules have decided is no longer cared about, so that rules behind them cost next to nothing. */

typedef DiagramId (*Piece)(Meaning *m, const void *context, size_t i, DiagramId care);

static DiagramId passed(Meaning *m, DiagramId care) {
        return diagram_and(m->diagram, care, diagram_leaf(m->diagram, MEANING_FALL));
}

typedef struct Pieces {
        Piece piece;
        const void *context;
        const size_t *weights; /* sums, one more than there are pieces */
        bool disjoint;         /* no packet is for two of them */
} Pieces;

/* Where to cut the pieces in two of about the same weight, so that what is large is touched seldom.
 */
static size_t halve(const size_t *weights, size_t first, size_t n) {
        size_t low = first + 1, high = first + n - 1;
        size_t middle = weights[first] + (weights[first + n] - weights[first]) / 2;

        while (low < high) {
                size_t at = low + (high - low) / 2;

                if (weights[at] < middle)
                        low = at + 1;
                else
                        high = at;
        }
        return low;
}

/* What is left of `care` is the smaller question only while it is no larger diagram: a set of a
 * million addresses is best met once. Either of them will do, as both hold what is asked for. */
static DiagramId narrow(Meaning *m, DiagramId care, DiagramId left) {
        return left == DIAGRAM_EMPTY || diagram_is_small(m->diagram, left, SMALL) ? left : care;
}

/* The pieces one after the other, each where the ones before fell through. */
static DiagramId fold(Meaning *m, const Pieces *p, size_t first, size_t n, DiagramId care) {
        DiagramId x, y;
        size_t half;

        if (m->error < 0 || diagram_error(m->diagram) < 0 || care == DIAGRAM_EMPTY)
                return DIAGRAM_EMPTY;
        if (n == 1)
                return p->piece(m, p->context, first, care);
        half = halve(p->weights, first, n) - first;
        x = fold(m, p, first, half, care);
        if (!p->disjoint && diagram_is_small(m->diagram, x, SMALL))
                care = diagram_where_may(m->diagram, x, MEANING_FALL);
        y = fold(m, p, first + half, n - half, care);
        return diagram_replace(m->diagram, x, MEANING_FALL, y);
}

typedef struct Elements {
        const Set *set;
        const FieldId *fields;
        size_t n_fields;
        bool is_map;
} Elements;

static size_t chain_weight(Meaning *m, const Chain *chain);
static DiagramId verdict_meaning(Meaning *m, Verdict v, const Rule *rule, DiagramId care);

static DiagramId element_piece(Meaning *m, const void *context, size_t i, DiagramId care) {
        const Elements *s = context;
        const Element *e = &s->set->elements[i];
        DiagramId x = element_condition(m, e, s->fields, s->n_fields);

        arena_reset(m->scratch);
        x = diagram_and(m->diagram, care, x);
        if (!s->is_map || x == passed(m, care))
                return x;
        return diagram_replace(m->diagram, x, MEANING_YES,
                               verdict_meaning(m, e->verdict, NULL, care));
}

static DiagramId elements_meaning(Meaning *m, const Elements *s, DiagramId care) {
        _cleanup_free_ size_t *weights = NULL;
        Pieces p = {.piece = element_piece, .context = s, .disjoint = true};
        size_t n = s->set->n_elements;

        if (n == 0)
                return passed(m, care);
        p.weights = weights = calloc(n + 1, sizeof(*weights));
        if (!weights)
                return fail(m, -ENOMEM);
        for (size_t i = 0; i < n; i++)
                weights[i + 1] = weights[i] + 1 +
                                 (s->is_map && s->set->elements[i].verdict.chain
                                          ? chain_weight(m, s->set->elements[i].verdict.chain)
                                          : 0);
        return fold(m, &p, 0, n, care);
}

/* Whether the match may hold or not for one and the same packet, as far as is known here. */
static bool is_unsure(const Match *match) {
        MeaningVariable v;

        if (match->op == MATCH_UNKNOWN || (match->set && match->set->dynamic))
                return true;
        for (size_t i = 0; i < match->n_fields; i++)
                if (find_variable(match->fields[i], &v) ? match->op > MATCH_NOT_IN
                                                        : match->n_fields > 1)
                        return true;
        return false;
}

static DiagramId condition(Meaning *m, const Match *match) {
        static const uint16_t negated[] = {
                [MEANING_YES] = MEANING_FALL,       [MEANING_ACCEPT] = MEANING_ACCEPT,
                [MEANING_ESSENTIAL] = MEANING_DROP, [MEANING_DROP] = MEANING_DROP,
                [MEANING_FALL] = MEANING_YES,
        };
        Elements s = {match->set, match->fields, match->n_fields, false};
        MeaningVariable v;
        DiagramId x;

        if (is_unsure(match))
                return yes_or_fall(m);
        if (match->n_fields == 1 && !find_variable(match->fields[0], &v))
                return class_condition(m, match);
        if (match->n_fields == 1)
                return field_condition(m, match);
        x = elements_meaning(m, &s, DIAGRAM_ALL);
        if (match->op == MATCH_IN)
                return x;
        /* what is not there matches neither way */
        x = diagram_relabel(m->diagram, x, negated, ARRAY_SIZE(negated));
        for (size_t i = 0; i < match->n_fields; i++)
                x = diagram_replace(m->diagram, x, MEANING_YES, presence(m, match->fields[i]));
        return x;
}

static DiagramId chain_meaning(Meaning *m, const Chain *chain, DiagramId care);

static DiagramId target_leaf(Meaning *m, const NatTarget *target) {
        for (size_t i = 0; i < m->n_targets; i++)
                if (m->targets[i]->family == target->family &&
                    m->targets[i]->port == target->port &&
                    u128_equal(m->targets[i]->address, target->address))
                        return diagram_leaf(m->diagram, (uint16_t)(MEANING_TARGET + i));
        if (m->n_targets == TARGETS_MAX)
                return fail(m, -E2BIG);
        if (!arena_append(m->arena, m->targets, m->n_targets, target))
                return fail(m, -ENOMEM);
        return diagram_leaf(m->diagram, (uint16_t)(MEANING_TARGET + m->n_targets - 1));
}

static DiagramId verdict_meaning(Meaning *m, Verdict v, const Rule *rule, DiagramId care) {
        static const uint16_t gone[] = {
                MEANING_YES,  MEANING_ACCEPT, MEANING_ESSENTIAL,
                MEANING_DROP, MEANING_RETURN, MEANING_RETURN,
        };

        switch (v.kind) {
        case VERDICT_ACCEPT:
                return diagram_leaf(m->diagram, MEANING_ACCEPT);
        case VERDICT_MASQUERADE:
                return diagram_leaf(m->diagram, MEANING_MASQUERADE);
        case VERDICT_DROP:
        case VERDICT_REJECT:
        case VERDICT_REJECT_RESET:
                return diagram_leaf(m->diagram, MEANING_DROP);
        case VERDICT_JUMP:
                return chain_meaning(m, v.chain, care);
        case VERDICT_GOTO:
                return diagram_relabel(m->diagram, chain_meaning(m, v.chain, care), gone,
                                       ARRAY_SIZE(gone));
        case VERDICT_RETURN:
                return diagram_leaf(m->diagram, MEANING_RETURN);
        case VERDICT_DNAT:
                return rule ? target_leaf(m, rule->target) : fail(m, -EINVAL);
        case VERDICT_CONTINUE:
        case VERDICT_MAP:
        case _VERDICT_MAX:
        case _VERDICT_INVALID:
                break;
        }
        return diagram_leaf(m->diagram, MEANING_FALL);
}

static void describe_limit(const Statement *s, FILE *f) {
        const char *source = s->set ? " per source" : "";

        if (s->kind == STATEMENT_CONNECTIONS)
                fprintf(f, "%u connections%s", s->connections, source);
        if (s->kind != STATEMENT_LIMIT)
                return;
        for (RateUnit u = 0; u < _RATE_UNIT_MAX; u++)
                if (rate_unit_seconds(u) == s->limit.seconds)
                        fprintf(f, "%u/%s burst %u%s", s->limit.number, rate_unit_to_string(u),
                                s->limit.burst, source);
}

/* The label of what the rule's limits say. */
static DiagramId limit_leaf(Meaning *m, const Rule *rule) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0, i = 0;
        FILE *f = open_memstream(&text, &size);
        const char *copy;

        if (!f)
                return fail(m, -ENOMEM);
        for (size_t j = 0; j < rule->n_statements; j++)
                describe_limit(&rule->statements[j], f);
        (void)fclose(f); /* fails only without memory, and then leaves text NULL */
        while (text && i < m->n_limits && !streq(m->limits[i], text))
                i++;
        if (i == LIMITS_MAX)
                return fail(m, -E2BIG);
        copy = text && i == m->n_limits ? arena_strdup(m->arena, text) : NULL;
        if (!text ||
            (i == m->n_limits && (!copy || !arena_append(m->arena, m->limits, m->n_limits, copy))))
                return fail(m, -ENOMEM);
        return diagram_leaf(m->diagram, (uint16_t)(MEANING_LIMIT + i));
}

/* x, behind the limit. */
static DiagramId limited(Meaning *m, const Rule *rule, DiagramId x, DiagramId care) {
        DiagramId limit = limit_leaf(m, rule);

        for (size_t i = 0; i < m->n_limits; i++)
                x = diagram_union(
                        m->diagram, x,
                        diagram_and(m->diagram,
                                    diagram_where_may(m->diagram, x, (uint16_t)(MEANING_LIMIT + i)),
                                    limit));
        x = diagram_replace(m->diagram, x, MEANING_ACCEPT, limit);
        return diagram_union(m->diagram, x, passed(m, care));
}

/* A limit in front of an accept is never reached here, unless limits are to be told: that admits
 * the most. In front of another verdict it may be reached or not. */
static DiagramId rule_action(Meaning *m, const Rule *rule, DiagramId care) {
        Elements s = {rule->map, rule->map_fields, rule->n_map_fields, true};
        DiagramId accept = diagram_leaf(m->diagram, MEANING_ACCEPT), x;

        x = rule->verdict.kind == VERDICT_MAP ? elements_meaning(m, &s, care)
                                              : verdict_meaning(m, rule->verdict, rule, care);
        if (rule_has_state(rule) && m->tell_limits)
                return limited(m, rule, x, care);
        if (!rule_has_state(rule) ||
            diagram_and(m->diagram, care, x) == diagram_and(m->diagram, care, accept))
                return x;
        return diagram_union(m->diagram, x, passed(m, care));
}

/* x where the match may hold. A large set is put on top of what is known already, if it can be. */
static DiagramId both(Meaning *m, const Match *match, DiagramId x) {
        MeaningVariable v;
        Range *items;
        size_t n;

        if (!is_unsure(match) && match->n_fields == 1 && find_variable(match->fields[0], &v) &&
            diagram_asks_after(m->diagram, x, seen_as(m->way, v))) {
                v = seen_as(m->way, v);
                x = diagram_and(
                        m->diagram,
                        diagram_where_may(m->diagram, presence(m, match->fields[0]), MEANING_YES),
                        x);
                if (x == DIAGRAM_EMPTY)
                        return x; /* the other family's, say: its values are not cut */
                items = set_ranges(m, match->set, 0, match->fields[0], &n);
                if (!items)
                        return fail(m, -ENOMEM);
                return match->op == MATCH_IN ? literal(m, v, items, n, x, DIAGRAM_EMPTY)
                                             : literal(m, v, items, n, DIAGRAM_EMPTY, x);
        }
        return diagram_and(m->diagram,
                           diagram_where_may(m->diagram, condition(m, match), MEANING_YES), x);
}

/* Where the rule's matches hold; EMPTY as soon as none of the packets is left. */
static DiagramId rule_condition(Meaning *m, const Rule *rule, DiagramId x) {

        /* sets of addresses, which may be large, come first in most rules, and here last */
        for (size_t i = rule->n_matches; i-- > 0 && x != DIAGRAM_EMPTY;) {
                x = both(m, &rule->matches[i], x);
                arena_reset(m->scratch);
        }
        return x;
}

static DiagramId rule_piece(Meaning *m, const void *context, size_t i, DiagramId care) {
        const Chain *chain = context;
        const Rule *rule = &chain->rules[i];
        DiagramId holds, x;
        bool sure = true, ends;

        if (rule->verdict.kind == VERDICT_CONTINUE)
                return passed(m, care);
        /* a verdict that leads nowhere else goes along with the conditions */
        ends = !rule->verdict.chain && !rule->map && !rule_has_state(rule);
        x = ends ? diagram_and(m->diagram, care, rule_action(m, rule, care)) : care;
        holds = rule_condition(m, rule, x);
        if (holds == DIAGRAM_EMPTY)
                return passed(m, care);
        for (size_t j = 0; j < rule->n_matches; j++)
                sure &= !is_unsure(&rule->matches[j]);
        x = ends ? holds
                 : diagram_and(m->diagram, holds, rule_action(m, rule, narrow(m, care, holds)));
        /* a match that nobody understands may fail */
        return sure ? diagram_else(m->diagram, x, passed(m, care))
                    : diagram_union(m->diagram, x, passed(m, care));
}

static size_t rule_weight(Meaning *m, const Rule *rule) {
        size_t weight = 1 + (rule->map ? rule->map->n_elements : 0);

        for (size_t i = 0; i < rule->n_matches; i++)
                if (rule->matches[i].op <= MATCH_NOT_IN && rule->matches[i].set)
                        weight += rule->matches[i].set->n_elements;
        return weight + (rule->verdict.chain ? chain_weight(m, rule->verdict.chain) : 0);
}

/* About how many edges the chain's meaning has, so that what is large is put together last. */
static size_t chain_weight(Meaning *m, const Chain *chain) {
        size_t *weight = &m->weights[chain->scratch];

        if (*weight > 0)
                return *weight;
        *weight = 1; /* chains form no loops: verify saw to it */
        for (size_t i = 0; i < chain->n_rules; i++)
                *weight += rule_weight(m, &chain->rules[i]);
        return *weight;
}

/* Where the meaning of the chain for these packets is, or is to be, remembered; NULL without
 * memory.
 */
static Known *find_known(Meaning *m, const Chain *chain, DiagramId care) {
        Known key = {chain, m->way, care, 0};
        size_t slot;

        if (m->n_known * 2 >= m->known_size) {
                size_t size = m->known_size ? m->known_size * 2 : 256;
                Known *old = m->known, *known = calloc(size, sizeof(*known));

                if (!known)
                        return NULL;
                for (size_t i = 0; i < m->known_size; i++) {
                        if (!old[i].chain)
                                continue;
                        slot = known_hash(&old[i]) & (size - 1);
                        while (known[slot].chain)
                                slot = (slot + 1) & (size - 1);
                        known[slot] = old[i];
                }
                free(old);
                m->known = known;
                m->known_size = size;
        }
        slot = known_hash(&key) & (m->known_size - 1);
        while (m->known[slot].chain &&
               (m->known[slot].chain != chain || m->known[slot].way != m->way ||
                m->known[slot].care != care))
                slot = (slot + 1) & (m->known_size - 1);
        return &m->known[slot];
}

static DiagramId chain_meaning(Meaning *m, const Chain *chain, DiagramId care) {
        static const uint16_t ended[] = {
                MEANING_YES,  MEANING_ACCEPT, MEANING_ESSENTIAL,
                MEANING_DROP, MEANING_FALL,   MEANING_FALL,
        };
        static const uint16_t essential[] = {
                MEANING_YES,  MEANING_ESSENTIAL, MEANING_ESSENTIAL,
                MEANING_DROP, MEANING_FALL,      MEANING_FALL,
        };
        bool is_essential = startswith(chain->name, "essentials-");
        Pieces p = {.piece = rule_piece, .context = chain};
        _cleanup_free_ size_t *weights = NULL;
        Known *known = find_known(m, chain, care);
        DiagramId x;

        if (!known)
                return fail(m, -ENOMEM);
        if (known->chain)
                return known->meaning;
        if (chain->n_rules == 0)
                return passed(m, care);
        p.weights = weights = calloc(chain->n_rules + 1, sizeof(*weights));
        if (!weights)
                return fail(m, -ENOMEM);
        for (size_t i = 0; i < chain->n_rules; i++)
                weights[i + 1] = weights[i] + rule_weight(m, &chain->rules[i]);
        x = fold(m, &p, 0, chain->n_rules, care);
        x = diagram_relabel(m->diagram, x, is_essential ? essential : ended, ARRAY_SIZE(ended));
        /* others were put in meanwhile */
        known = find_known(m, chain, care);
        if (!known)
                return fail(m, -ENOMEM);
        *known = (Known){chain, m->way, care, x};
        m->n_known++;
        return x;
}

static const Chain *next_base_chain(const Ruleset *rs, Hook hook, const Chain *last) {
        const Chain *next = NULL;

        for (size_t i = 0; i < rs->n_chains; i++) {
                const Chain *c = rs->chains[i];

                if (c->hook == hook && c->type == CHAIN_FILTER &&
                    (!last || c->priority > last->priority ||
                     (c->priority == last->priority && c->scratch > last->scratch)) &&
                    (!next || c->priority < next->priority))
                        next = c;
        }
        return next;
}

/* What that limit let pass goes on, and stays within the limit. A chain's own limits count once. */
static DiagramId behind_limit(Meaning *m, DiagramId before, uint16_t limit, DiagramId x) {
        DiagramId leaf = diagram_leaf(m->diagram, limit);

        x = diagram_replace(m->diagram, x, MEANING_ACCEPT, leaf);
        x = diagram_replace(m->diagram, x, MEANING_ESSENTIAL, leaf);
        return diagram_replace(m->diagram, before, limit, x);
}

/* One base chain behind what was before: what that accepted goes on. */
static DiagramId then_chain(Meaning *m, DiagramId before, const Chain *chain) {
        static const uint16_t essential[] = {MEANING_YES, MEANING_ESSENTIAL};
        DiagramId end =
                diagram_leaf(m->diagram, chain->policy_drop ? MEANING_DROP : MEANING_ACCEPT);
        size_t n_limits = m->n_limits; /* of the chains before */
        DiagramId care, x;

        care = diagram_union(m->diagram, diagram_where_may(m->diagram, before, MEANING_ACCEPT),
                             diagram_where_may(m->diagram, before, MEANING_ESSENTIAL));
        for (size_t i = 0; i < n_limits; i++)
                care = diagram_union(
                        m->diagram, care,
                        diagram_where_may(m->diagram, before, (uint16_t)(MEANING_LIMIT + i)));
        x = diagram_replace(m->diagram, chain_meaning(m, chain, care), MEANING_FALL, end);
        for (size_t i = 0; i < n_limits; i++)
                before = behind_limit(m, before, (uint16_t)(MEANING_LIMIT + i), x);
        before = diagram_replace(m->diagram, before, MEANING_ESSENTIAL,
                                 diagram_leaf(m->diagram, MEANING_TARGET));
        before = diagram_replace(m->diagram, before, MEANING_ACCEPT, x);
        x = diagram_relabel(m->diagram, x, essential, ARRAY_SIZE(essential));
        return diagram_replace(m->diagram, before, MEANING_TARGET, x);
}

/* All hooks on the way to `hook` and from it. */
static DiagramId way_meaning(Meaning *m, Hook hook, DiagramId care) {
        DiagramId all = diagram_and(m->diagram, care, diagram_leaf(m->diagram, MEANING_ACCEPT));

        for (const Hook *h = hook_way(hook); *h != HOOK_NONE; h++)
                for (const Chain *c = next_base_chain(m->rs, *h, NULL); c;
                     c = next_base_chain(m->rs, *h, c))
                        all = then_chain(m, all, c);
        return all;
}

DiagramId meaning_of(Meaning *m, MeaningWay way, DiagramId care) {
        Diagram *d = m->diagram;
        DiagramId input = meaning_where_value(m, MEANING_HOOK, U128_ZERO), x, y;

        m->way = way;
        if (way == MEANING_OUTPUT)
                return way_meaning(m, HOOK_OUTPUT, care);
        if (way == MEANING_PLAIN)
                return diagram_union(d, way_meaning(m, HOOK_INPUT, diagram_and(d, input, care)),
                                     way_meaning(m, HOOK_FORWARD, diagram_minus(d, care, input)));
        /* both come to the same chain, which is then walked once */
        x = way_meaning(m, HOOK_INPUT, care);
        y = way_meaning(m, HOOK_FORWARD, care);
        return x == y ? x : diagram_union(d, diagram_and(d, input, x), diagram_minus(d, y, input));
}

DiagramId meaning_of_translation(Meaning *m, DiagramId care) {
        DiagramId x = DIAGRAM_EMPTY;

        m->way = MEANING_PLAIN;
        for (size_t i = 0; i < m->rs->n_chains; i++) {
                const Chain *c = m->rs->chains[i];

                /* lower_nat() makes one chain of them */
                if (c->type == CHAIN_NAT && c->hook == HOOK_PREROUTING)
                        x = diagram_union(m->diagram, x, chain_meaning(m, c, care));
        }
        return x;
}

DiagramId meaning_of_masquerade(Meaning *m, DiagramId care) {
        DiagramId x = DIAGRAM_EMPTY;

        m->way = MEANING_PLAIN;
        for (size_t i = 0; i < m->rs->n_chains; i++) {
                const Chain *c = m->rs->chains[i];

                /* lower_nat() makes one chain of them */
                if (c->type == CHAIN_NAT && c->hook == HOOK_POSTROUTING)
                        x = diagram_union(m->diagram, x, chain_meaning(m, c, care));
        }
        return x;
}

int meaning_error(const Meaning *m) {
        return m->error < 0 ? m->error : diagram_error(m->diagram);
}

static U128 value_at(const Meaning *m, MeaningVariable v, const uint32_t *point) {
        return axis_values(&m->axes[v], point[v]).low;
}

void meaning_packet(const Meaning *m,
                    MeaningWay way,
                    const uint32_t *point,
                    PacketQuestion *ret_q,
                    U128 *ret_in,
                    U128 *ret_out,
                    Packet *ret) {
        static const uint32_t states[] = {CT_STATE_NEW, CT_STATE_UNTRACKED, CT_STATE_RELATED};
        U128 user = value_at(m, MEANING_USER, point), group = value_at(m, MEANING_GROUP, point);
        uint64_t class = value_at(m, MEANING_CLASS, point).low;
        PacketQuestion q = {
                .hook = way == MEANING_OUTPUT                            ? HOOK_OUTPUT
                        : u128_is_zero(value_at(m, MEANING_HOOK, point)) ? HOOK_INPUT
                                                                         : HOOK_FORWARD,
                .family = m->family,
                .source = value_at(m, MEANING_SOURCE, point),
                .destination = value_at(m, seen_as(way, MEANING_FINAL), point),
                .protocol = (uint8_t)value_at(m, MEANING_PROTOCOL, point).low,
                .source_port = (uint16_t)value_at(m, MEANING_SOURCE_PORT, point).low,
                .destination_port =
                        (uint16_t)value_at(m, seen_as(way, MEANING_FINAL_PORT), point).low,
                .icmp_type = (uint8_t)value_at(m, MEANING_ICMP, point).low,
                .ct_state = states[class],
                .expected = class == MEANING_EXPECTED,
                .has_user = user.low < MEANING_NOBODY,
                .has_group = group.low < MEANING_NOBODY,
                .user = (uint32_t)user.low,
                .group = (uint32_t)group.low,
                .time = value_at(m, MEANING_TIME, point).low,
                .translated = way == MEANING_TRANSLATED || way == MEANING_PORT_KEPT,
                .dialled = value_at(m, MEANING_DIALLED, point),
                .dialled_port = (uint16_t)value_at(m, MEANING_DIALLED_PORT, point).low,
                .ether_destination = value_at(m, MEANING_LINK, point),
        };

        packet_init(ret, &q);
        *ret_in = value_at(m, MEANING_IN, point);
        *ret_out = value_at(m, MEANING_OUT, point);
        if (ret->present[FIELD_IIFNAME])
                ret->values[FIELD_IIFNAME] = *ret_in;
        if (ret->present[FIELD_OIFNAME])
                ret->values[FIELD_OIFNAME] = *ret_out;
        ret->values[FIELD_IP6_HOPLIMIT] = value_at(m, MEANING_HOPS, point);
        ret->values[FIELD_FIB_SADDR_OIF] = value_at(m, MEANING_FIB_SOURCE_OUT, point);
        ret->values[FIELD_FIB_SADDR_IIF_OIF] = value_at(m, MEANING_FIB_SOURCE_IN_OUT, point);
        ret->values[FIELD_FIB_SADDR_TYPE] = value_at(m, MEANING_FIB_SOURCE_TYPE, point);
        ret->values[FIELD_FIB_DADDR_TYPE] = value_at(m, MEANING_FIB_DESTINATION_TYPE, point);
        *ret_q = q;
}
