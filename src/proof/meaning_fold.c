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

DiagramId meaning_fold(Meaning *m, const Pieces *p, size_t first, size_t n, DiagramId care) {
        DiagramId x, y;
        size_t half;

        if (m->error < 0 || diagram_error(m->diagram) < 0 || care == DIAGRAM_EMPTY)
                return DIAGRAM_EMPTY;
        if (n == 1)
                return p->piece(m, p->context, first, care);
        half = halve(p->weights, first, n) - first;
        x = meaning_fold(m, p, first, half, care);
        if (!p->disjoint && diagram_is_small(m->diagram, x, SMALL))
                care = diagram_where_may(m->diagram, x, MEANING_FALL);
        y = meaning_fold(m, p, first + half, n - half, care);
        return diagram_then(m->diagram, x, MEANING_FALL, y);
}

static DiagramId element_piece(Meaning *m, const void *context, size_t i, DiagramId care) {
        const Elements *s = context;
        const Element *e = &s->set->elements[s->list[i]];
        DiagramId x = meaning_element_condition(m, e, s->fields, s->n_fields);

        arena_reset(m->scratch);
        x = diagram_and(m->diagram, care, x);
        if (!s->is_map || x == care)
                return x;
        return diagram_replace(m->diagram, x, MEANING_YES,
                               meaning_of_verdict(m, e->verdict, NULL, care));
}

DiagramId meaning_of_elements(Meaning *m, const Elements *s, DiagramId care) {
        _cleanup_(meaning_sieve_freep) MeaningSieve *sieve =
                meaning_sieve_new(m, care, s->set->n_elements);
        _cleanup_free_ size_t *weights = calloc(s->set->n_elements + 1, sizeof(*weights));
        _cleanup_free_ size_t *list = calloc(s->set->n_elements + 1, sizeof(*list));
        Elements part = *s;
        Pieces p = {.piece = element_piece, .context = &part, .disjoint = true};
        size_t n = 0;

        if (!weights || !list)
                return meaning_fail(m, -ENOMEM);
        for (size_t i = 0; i < s->set->n_elements; i++) {
                const Element *e = &s->set->elements[i];

                if (sieve && !meaning_sieve_holds_element(sieve, e, s->fields, s->n_fields))
                        continue;
                weights[n + 1] =
                        weights[n] + 1 +
                        (s->is_map && e->verdict.chain ? meaning_chain_weight(m, e->verdict.chain)
                                                       : 0);
                list[n++] = i;
        }
        p.weights = weights;
        part.list = list;
        return n > 0 ? meaning_fold(m, &p, 0, n, care) : care;
}
