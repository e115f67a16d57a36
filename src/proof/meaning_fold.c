/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/meaning_state.h"

/* Many things one after the other, rules of a chain or elements of a set, put together so that what
 * is large is touched seldom. */

#define SMALL 6000 /* edges of a diagram that may be a part of all that follow */

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
DiagramId meaning_narrow(Meaning *m, DiagramId care, DiagramId left) {
        return left == DIAGRAM_EMPTY || diagram_is_small(m->diagram, left, SMALL) ? left : care;
}

/* What the fate says of packets of x, which are among those that it was asked for. */
MeaningFate meaning_within(Meaning *m, MeaningFate fate, DiagramId x) {
        return (MeaningFate){diagram_and(m->diagram, x, fate.ends),
                             diagram_and(m->diagram, x, fate.left)};
}

MeaningFate
meaning_or_past(Meaning *m, MeaningFate fate, DiagramId holds, DiagramId care, bool sure) {
        fate.left =
                sure ? diagram_union(m->diagram, diagram_minus(m->diagram, care, holds), fate.left)
                     : care;
        return fate;
}

MeaningFate meaning_fold(Meaning *m, const Pieces *p, size_t first, size_t n, DiagramId care) {
        MeaningFate x, y;
        size_t half;
        bool narrows;

        if (m->error < 0 || diagram_error(m->diagram) < 0 || care == DIAGRAM_EMPTY)
                return (MeaningFate){DIAGRAM_EMPTY, DIAGRAM_EMPTY};
        if (n == 1)
                return p->piece(m, p->context, first, care);
        half = halve(p->weights, first, n) - first;
        x = meaning_fold(m, p, first, half, care);
        narrows = diagram_is_small(m->diagram, x.left, SMALL);
        y = meaning_fold(m, p, first + half, n - half, narrows ? x.left : care);
        if (!narrows) {
                y.ends = diagram_and(m->diagram, x.left, y.ends);
                y.left = diagram_and(m->diagram, x.left, y.left);
        }
        return (MeaningFate){diagram_union(m->diagram, x.ends, y.ends), y.left};
}

/* An element, and where it leads: those that lead to the same are one question. */
typedef struct Place {
        size_t target, element;
} Place;

typedef struct Groups {
        const Elements *elements;
        const Place *places;  /* by target */
        const size_t *firsts; /* of each group in `places`, and behind the last */
        bool sure;
} Groups;

static int compare_places(const void *a, const void *b) {
        const Place *x = a, *y = b;

        if (x->target != y->target)
                return x->target < y->target ? -1 : 1;
        return x->element < y->element ? -1 : x->element > y->element;
}

static size_t target_of(const Elements *s, const Element *e) {
        size_t chain = s->is_map && e->verdict.chain ? e->verdict.chain->scratch + 1 : 0;

        return s->is_map ? chain * _VERDICT_MAX + (size_t)e->verdict.kind : 0;
}

/* Where a key may be one of n elements'. */
static DiagramId where_elements(Meaning *m, const Groups *g, size_t first, size_t n) {
        const Elements *s = g->elements;
        size_t half = n / 2;
        DiagramId x;

        if (n == 1) {
                x = meaning_element_condition(m, &s->set->elements[g->places[first].element],
                                              s->fields, s->n_fields);
                arena_reset(m->scratch);
                return x;
        }
        x = where_elements(m, g, first, half);
        return diagram_union(m->diagram, x, where_elements(m, g, first + half, n - half));
}

static MeaningFate group_piece(Meaning *m, const void *context, size_t i, DiagramId care) {
        const Groups *g = context;
        size_t first = g->firsts[i];
        const Element *e = &g->elements->set->elements[g->places[first].element];
        DiagramId holds = diagram_and(m->diagram,
                                      where_elements(m, g, first, g->firsts[i + 1] - first), care);
        MeaningFate fate = {DIAGRAM_EMPTY, DIAGRAM_EMPTY};

        if (holds == DIAGRAM_EMPTY)
                return (MeaningFate){DIAGRAM_EMPTY, care};
        if (g->elements->is_map)
                fate = meaning_within(
                        m, meaning_of_verdict(m, e->verdict, NULL, meaning_narrow(m, care, holds)),
                        holds);
        else
                fate.ends = diagram_and(m->diagram, holds, diagram_leaf(m->diagram, MEANING_YES));
        return meaning_or_past(m, fate, holds, care, g->sure);
}

/* Whether packets tell for sure which element is theirs. */
static bool is_sure(const Elements *s) {
        MeaningVariable v;

        for (size_t i = 0; i < s->n_fields; i++)
                if (!meaning_find_variable(s->fields[i], &v))
                        return false;
        return true;
}

MeaningFate meaning_of_elements(Meaning *m, const Elements *s, DiagramId care) {
        _cleanup_(meaning_sieve_freep) MeaningSieve *sieve =
                meaning_sieve_new(m, care, s->set->n_elements);
        _cleanup_free_ size_t *weights = calloc(s->set->n_elements + 1, sizeof(*weights));
        _cleanup_free_ size_t *firsts = calloc(s->set->n_elements + 1, sizeof(*firsts));
        _cleanup_free_ Place *places = calloc(s->set->n_elements + 1, sizeof(*places));
        Groups groups = {s, places, firsts, is_sure(s)};
        Pieces p = {.piece = group_piece, .context = &groups, .weights = weights};
        size_t n = 0, n_groups = 0;

        if (!weights || !firsts || !places) {
                (void)meaning_fail(m, -ENOMEM);
                return (MeaningFate){DIAGRAM_EMPTY, DIAGRAM_EMPTY};
        }
        for (size_t i = 0; i < s->set->n_elements; i++) {
                const Element *e = &s->set->elements[i];

                if (!sieve || meaning_sieve_holds_element(sieve, e, s->fields, s->n_fields))
                        places[n++] = (Place){target_of(s, e), i};
        }
        if (n == 0)
                return (MeaningFate){DIAGRAM_EMPTY, care};
        qsort(places, n, sizeof(*places), compare_places);
        for (size_t i = 0; i < n; i++) {
                const Element *e = &s->set->elements[places[i].element];

                if (i == 0 || places[i].target != places[i - 1].target) {
                        weights[n_groups + 1] = weights[n_groups];
                        firsts[n_groups++] = i;
                        if (s->is_map && e->verdict.chain)
                                weights[n_groups] += meaning_chain_weight(m, e->verdict.chain);
                }
                weights[n_groups]++;
        }
        firsts[n_groups] = n;
        return meaning_fold(m, &p, 0, n_groups, care);
}
