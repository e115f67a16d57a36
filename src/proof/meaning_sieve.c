/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/meaning_state.h"

/* Which rules and elements can match a packet of `care` at all, by one field at a time: where few
 * packets are cared about, most of ten thousand are passed over without a diagram. */

#define FEW 16        /* so many are looked at one by one */
#define CARE_MAX 6000 /* edges */
#define LISTED_MAX 64 /* elements of a set that are looked at */

MeaningSieve *meaning_sieve_new(Meaning *m, DiagramId care, size_t n) {
        MeaningSieve *s;

        if (n < FEW || m->error < 0 || !diagram_is_small(m->diagram, care, CARE_MAX))
                return NULL;
        s = calloc(1, sizeof(*s));
        if (!s)
                return NULL; /* without it, all are looked at */
        s->m = m;
        s->care = care;
        s->arena = arena_new(0);
        return s->arena ? s : meaning_sieve_free(s);
}

MeaningSieve *meaning_sieve_free(MeaningSieve *s) {
        if (!s)
                return NULL;
        s->arena = arena_free(s->arena);
        free(s);
        return NULL;
}

/* The values that packets of `care` have; false if they are not known. */
static bool find_values(MeaningSieve *s, MeaningVariable v) {
        const Axis *axis = &s->m->axes[v];
        DiagramRange *list = NULL;
        RangeSet found = {0};
        size_t n = 0;

        if (s->known[v])
                return true;
        if (diagram_project(s->m->diagram, s->care, v, s->arena, &list, &n) < 0)
                return false;
        for (size_t i = 0; i < n; i++) {
                Range r = {axis_values(axis, list[i].low).low, U128_MAX};

                if ((size_t)list[i].high + 1 < axis->n_lows)
                        r.high = axis_values(axis, list[i].high).high;
                if (range_set_add(s->arena, &found, r) < 0)
                        return false;
        }
        s->values[v] = found;
        s->known[v] = true;
        return true;
}

/* Whether a value of both may be. */
static bool meets(const RangeSet *values, Range r) {
        size_t low = 0, high = values->n_items;

        /* the first that does not end before */
        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (u128_compare(values->items[middle].high, r.low) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < values->n_items && u128_compare(values->items[low].low, r.high) <= 0;
}

static bool field_may_be(MeaningSieve *s, FieldId field, Range r) {
        MeaningVariable v;

        if (!s->m->is_of_family[field])
                return false;
        if (!meaning_find_variable(field, &v))
                return true;
        v = meaning_seen_as(s->m->way, v);
        r = meaning_of_prefixes(field, r);
        return u128_compare(r.low, r.high) <= 0 && (!find_values(s, v) || meets(&s->values[v], r));
}

bool meaning_sieve_holds_element(MeaningSieve *s,
                                 const Element *e,
                                 const FieldId *list,
                                 size_t n_fields) {
        for (size_t i = 0; i < n_fields; i++)
                if (!field_may_be(s, list[i], e->key[i]))
                        return false;
        return true;
}

static bool match_may_hold(MeaningSieve *s, const Match *match) {
        const Set *set = match->set;

        if (match->op != MATCH_IN || meaning_is_unsure(match) || !set || set->dynamic ||
            set->n_elements > LISTED_MAX)
                return true;
        for (size_t i = 0; i < set->n_elements; i++)
                if (meaning_sieve_holds_element(s, &set->elements[i], match->fields,
                                                match->n_fields))
                        return true;
        return false;
}

bool meaning_sieve_holds_rule(MeaningSieve *s, const Rule *rule) {
        if (rule->verdict.kind == VERDICT_CONTINUE)
                return false;
        for (size_t i = 0; i < rule->n_matches; i++)
                if (!match_may_hold(s, &rule->matches[i]))
                        return false;
        return true;
}
