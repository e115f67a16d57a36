/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/meaning_state.h"

/* Conditions are diagrams with the leaves MEANING_YES and MEANING_FALL, so that putting something
 * in the place of YES makes a rule of one. */

static DiagramId yes(Meaning *m) {
        return diagram_leaf(m->diagram, MEANING_YES);
}

static DiagramId yes_or_fall(Meaning *m) {
        return diagram_union(m->diagram, yes(m), DIAGRAM_ALL);
}

/* By what is the same within a class. */
static DiagramId class_condition(Meaning *m, const Match *match) {
        Range ranges[_MEANING_CLASS_MAX];
        size_t n = 0;

        for (MeaningClass c = 0; c < _MEANING_CLASS_MAX; c++)
                if (packet_matches(&m->classes[m->way][c], match))
                        ranges[n++] = range_single(u128(c));
        return meaning_literal(m, MEANING_CLASS, ranges, n, yes(m), DIAGRAM_ALL);
}

DiagramId meaning_presence(Meaning *m, FieldId field) {
        DiagramId fall = DIAGRAM_ALL;
        Range r[] = {range_single(U128_ZERO), {u128(2), u128(2)}};

        if (!m->is_of_family[field])
                return fall;
        if (field == FIELD_OIFNAME && m->way != MEANING_OUTPUT) {
                r[0] = range_single(u128(1));
                return meaning_literal(m, MEANING_HOOK, r, 1, yes(m), fall);
        }
        if (field == FIELD_CT_IP_DADDR || field == FIELD_CT_IP6_DADDR || field == FIELD_CT_DPORT) {
                r[1] = range_single(u128(MEANING_EXPECTED));
                return meaning_literal(m, MEANING_CLASS, r, 2, yes(m), fall);
        }
        if (field == FIELD_SKUID || field == FIELD_SKGID) {
                if (m->way != MEANING_OUTPUT)
                        return fall;
                r[0].high = u128(UINT32_MAX);
                return meaning_literal(m, field == FIELD_SKUID ? MEANING_USER : MEANING_GROUP, r, 1,
                                       yes(m), fall);
        }
        if (m->way == MEANING_OUTPUT && (field == FIELD_IIFNAME || field == FIELD_ETHER_DADDR))
                return fall;
        return yes(m);
}

/* `inside` where the match's field is in its set, else `outside`: without a copy of the set, which
 * may be large. */
static DiagramId set_literal(
        Meaning *m, const Match *match, MeaningVariable v, DiagramId inside, DiagramId outside) {
        const Set *set = match->set;
        DiagramRange *ranges =
                arena_alloc_array(m->scratch, MAX(set->n_elements, 1UL), sizeof(*ranges));
        uint32_t at = 0;
        size_t n = 0;

        if (!ranges)
                return meaning_fail(m, -ENOMEM);
        for (size_t i = 0; i < set->n_elements; i++) {
                Range r = meaning_of_prefixes(match->fields[0], set->elements[i].key[0]);

                if (u128_compare(r.low, r.high) > 0)
                        continue;
                if (axis_range(&m->axes[v], r, set->n_elements, &at, &ranges[n++]) < 0)
                        return meaning_fail(m, -EPROTO);
        }
        return diagram_literal(m->diagram, v, ranges, n, inside, outside);
}

static DiagramId field_condition(Meaning *m, const Match *match) {
        DiagramId fall = DIAGRAM_ALL, here, x;
        FieldId field = match->fields[0];
        MeaningVariable v = _MEANING_VARIABLE_MAX;

        here = meaning_presence(m, field);
        if (here == fall)
                return fall;
        (void)meaning_find_variable(field, &v); /* the caller asked */
        v = meaning_seen_as(m->way, v);
        x = match->op == MATCH_IN ? set_literal(m, match, v, yes(m), fall)
                                  : set_literal(m, match, v, fall, yes(m));
        return here == yes(m) ? x : diagram_replace(m->diagram, x, MEANING_YES, here);
}

DiagramId
meaning_element_condition(Meaning *m, const Element *e, const FieldId *list, size_t n_fields) {
        Diagram *d = m->diagram;
        DiagramId x = DIAGRAM_ALL;

        /* diagrams ask in about the order of the fields: from the last one, each is put on top */
        for (size_t i = n_fields; i-- > 0;) {
                DiagramId here = meaning_presence(m, list[i]);
                MeaningVariable v;
                Range r;

                if (here == DIAGRAM_ALL)
                        return DIAGRAM_EMPTY;
                if (!meaning_find_variable(list[i], &v))
                        return DIAGRAM_ALL; /* none of ours, and of a map: may be or not */
                r = meaning_of_prefixes(list[i], e->key[i]);
                if (u128_compare(r.low, r.high) > 0)
                        return DIAGRAM_EMPTY;
                v = meaning_seen_as(m->way, v);
                if (diagram_asks_after(d, x, v))
                        x = meaning_literal(m, v, &r, 1, x, DIAGRAM_EMPTY);
                else
                        x = diagram_and(d, meaning_literal(m, v, &r, 1, DIAGRAM_ALL, DIAGRAM_EMPTY),
                                        x);
                if (here != yes(m))
                        x = diagram_and(d, diagram_where_may(d, here, MEANING_YES), x);
        }
        return x;
}

bool meaning_is_unsure(const Match *match) {
        MeaningVariable v;

        if (match->op == MATCH_UNKNOWN || (match->set && match->set->dynamic))
                return true;
        for (size_t i = 0; i < match->n_fields; i++)
                if (meaning_find_variable(match->fields[i], &v) ? match->op > MATCH_NOT_IN
                                                                : match->n_fields > 1)
                        return true;
        return false;
}

/* Of packets of `care`, and of others perhaps nothing. */
static DiagramId condition(Meaning *m, const Match *match, DiagramId care) {
        Elements s = {match->set, match->fields, match->n_fields, false};
        MeaningVariable v;
        MeaningFate fate;
        DiagramId x;

        if (meaning_is_unsure(match))
                return yes_or_fall(m);
        if (match->n_fields == 1 && !meaning_find_variable(match->fields[0], &v))
                return class_condition(m, match);
        if (match->n_fields == 1)
                return field_condition(m, match);
        fate = meaning_of_elements(m, &s, meaning_narrow(m, DIAGRAM_ALL, care));
        if (match->op == MATCH_IN)
                return fate.ends;
        /* what is not there matches neither way */
        x = diagram_and(m->diagram, fate.left, yes(m));
        for (size_t i = 0; i < match->n_fields; i++)
                x = diagram_replace(m->diagram, x, MEANING_YES,
                                    meaning_presence(m, match->fields[i]));
        return x;
}

/* x where the match may hold. A large set is put on top of what is known already, if it can be. */
static DiagramId both(Meaning *m, const Match *match, DiagramId x) {
        MeaningVariable v;

        if (!meaning_is_unsure(match) && match->n_fields == 1 &&
            meaning_find_variable(match->fields[0], &v) &&
            diagram_asks_after(m->diagram, x, meaning_seen_as(m->way, v))) {
                v = meaning_seen_as(m->way, v);
                x = diagram_and(m->diagram,
                                diagram_where_may(m->diagram, meaning_presence(m, match->fields[0]),
                                                  MEANING_YES),
                                x);
                if (x == DIAGRAM_EMPTY)
                        return x; /* the other family's, say: its values are not cut */
                return match->op == MATCH_IN ? set_literal(m, match, v, x, DIAGRAM_EMPTY)
                                             : set_literal(m, match, v, DIAGRAM_EMPTY, x);
        }
        return diagram_and(m->diagram,
                           diagram_where_may(m->diagram, condition(m, match, x), MEANING_YES), x);
}

/* Where the rule's matches hold; EMPTY as soon as none of the packets is left. */
DiagramId meaning_rule_condition(Meaning *m, const Rule *rule, DiagramId x) {

        /* sets of addresses, which may be large, come first in most rules, and here last */
        for (size_t i = rule->n_matches; i-- > 0 && x != DIAGRAM_EMPTY;) {
                x = both(m, &rule->matches[i], x);
                arena_reset(m->scratch);
        }
        return x;
}
