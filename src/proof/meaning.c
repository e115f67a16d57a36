/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/meaning_state.h"

const bool meaning_facts[DIAGRAM_VARIABLES_MAX] = {
        [MEANING_HOOK] = true,
        [MEANING_CLASS] = true,
        [MEANING_TIME] = true,
        [MEANING_FIB_SOURCE_OUT] = true,
        [MEANING_FIB_SOURCE_IN_OUT] = true,
        [MEANING_FIB_SOURCE_TYPE] = true,
        [MEANING_FIB_DESTINATION_TYPE] = true,
};

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
        r = meaning_cut_rules(m) < 0 ? -ENOMEM : number_chains(m);
        m->rs = first;
        return r;
}

void meaning_take(Meaning *m, const Ruleset *rs) {
        m->rs = rs;
}

void meaning_tell_limits(Meaning *m) {
        m->tell_limits = true;
}

int meaning_tell_rule(Meaning *m, const char *text) {
        m->told = text;
        return arena_append(m->arena, m->limits, m->n_limits, text) ? 0 : -ENOMEM;
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
        meaning_find_families(m);
        if (!m->arena || !m->scratch || !m->diagram || meaning_cut_rules(m) < 0)
                return meaning_free(m);
        for (size_t i = 0; i < ARRAY_SIZE(always_cut); i++)
                if (meaning_cut(m, always_cut[i].variable,
                                range_single(u128(always_cut[i].value))) < 0)
                        return meaning_free(m);
        if (number_chains(m) < 0)
                return meaning_free(m);
        for (MeaningWay w = 0; w < _MEANING_WAY_MAX; w++)
                meaning_make_classes(m, w);
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

DiagramId meaning_fail(Meaning *m, int error) {
        m->error = error;
        return DIAGRAM_EMPTY;
}

DiagramId meaning_literal(Meaning *m,
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
                return meaning_fail(m, r == -EINVAL ? -EPROTO : r);
        x = diagram_literal(m->diagram, v, ranges, n, inside, outside);
        return x;
}

DiagramId meaning_where(Meaning *m, MeaningVariable variable, const RangeSet *values) {
        DiagramId x;

        if (values->n_items == 0)
                return DIAGRAM_EMPTY;
        x = meaning_literal(m, variable, values->items, values->n_items, DIAGRAM_ALL,
                            DIAGRAM_EMPTY);
        arena_reset(m->scratch);
        return x;
}

DiagramId meaning_where_value(Meaning *m, MeaningVariable variable, U128 value) {
        Range r = range_single(value);
        RangeSet one = {.items = &r, .n_items = 1};

        return meaning_where(m, variable, &one);
}

int meaning_error(const Meaning *m) {
        return m->error < 0 ? m->error : diagram_error(m->diagram);
}
