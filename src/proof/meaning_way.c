/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/meaning_state.h"

/* The hooks on the way of a packet, and their chains one behind the other. */

const Chain *meaning_next_chain(const Ruleset *rs, Hook hook, const Chain *last) {
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
        static const uint16_t essential[] = {MEANING_FALL, MEANING_ESSENTIAL};
        DiagramId end =
                diagram_leaf(m->diagram, chain->policy_drop ? MEANING_DROP : MEANING_ACCEPT);
        size_t n_limits = m->n_limits; /* of the chains before */
        DiagramId care, x;
        MeaningFate fate;

        care = diagram_union(m->diagram, diagram_where_may(m->diagram, before, MEANING_ACCEPT),
                             diagram_where_may(m->diagram, before, MEANING_ESSENTIAL));
        for (size_t i = 0; i < n_limits; i++)
                care = diagram_union(
                        m->diagram, care,
                        diagram_where_may(m->diagram, before, (uint16_t)(MEANING_LIMIT + i)));
        fate = meaning_of_chain(m, chain, care);
        x = diagram_union(m->diagram, fate.ends, diagram_and(m->diagram, fate.left, end));
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
                for (const Chain *c = meaning_next_chain(m->rs, *h, NULL); c;
                     c = meaning_next_chain(m->rs, *h, c))
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
        x = diagram_meets(d, care, input) ? way_meaning(m, HOOK_INPUT, care) : DIAGRAM_EMPTY;
        y = diagram_meets(d, care, diagram_minus(d, DIAGRAM_ALL, input))
                    ? way_meaning(m, HOOK_FORWARD, care)
                    : DIAGRAM_EMPTY;
        return x == y ? x : diagram_union(d, diagram_and(d, input, x), diagram_minus(d, y, input));
}

DiagramId meaning_of_translation(Meaning *m, DiagramId care) {
        DiagramId x = DIAGRAM_EMPTY;

        m->way = MEANING_PLAIN;
        for (size_t i = 0; i < m->rs->n_chains; i++) {
                const Chain *c = m->rs->chains[i];

                /* lower_nat() makes one chain of them */
                if (c->type == CHAIN_NAT && c->hook == HOOK_PREROUTING)
                        x = diagram_union(m->diagram, x,
                                          meaning_of_all(m, meaning_of_chain(m, c, care)));
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
                        x = diagram_union(m->diagram, x,
                                          meaning_of_all(m, meaning_of_chain(m, c, care)));
        }
        return x;
}
