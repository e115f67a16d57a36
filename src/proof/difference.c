/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/difference_state.h"

#define LARGE ((size_t)1 << 20) /* edges */

static const struct {
        MeaningWay packets;
        bool input;
} ways[_DIFFERENCE_WAY_MAX] = {
        [DIFFERENCE_INBOUND] = {MEANING_PLAIN, true},
        [DIFFERENCE_DIALLED] = {MEANING_TRANSLATED, false},
        [DIFFERENCE_ROUTED] = {MEANING_PLAIN, false},
        [DIFFERENCE_OUTBOUND] = {MEANING_OUTPUT, true},
        [DIFFERENCE_FORWARD] = {MEANING_PLAIN, true},
        [DIFFERENCE_MASQUERADE] = {MEANING_PLAIN, false},
};

/* Checking with the evaluator. */

static int disagree(Search *s, const DifferenceRegion *r) {
        s->result->odd = r->packet;
        s->result->odd_in = r->in;
        s->result->odd_out = r->out;
        return -EPROTO;
}

/* Where our own chains send the packet; target NULL: nowhere else. */
static int is_sent(const Ruleset *rs, const DifferenceRegion *r, bool *ret) {
        PacketQuestion q = r->packet;
        int e = ruleset_translate(rs, &r->in, &q);

        *ret = e > 0 && q.family == r->target->family &&
               u128_equal(q.destination, r->target->address) &&
               (r->target->port == 0 || q.destination_port == r->target->port);
        return e < 0 ? e : 0;
}

static Origin origin_of(const Evaluation *e) {
        const Origin *o = evaluation_origin(e);

        return o ? *o : (Origin){0};
}

static int check_sent(Search *s, DifferenceRegion *r) {
        bool old, new;
        int e = is_sent(s->before, r, &old);

        if (e == 0)
                e = is_sent(s->after, r, &new);
        if (e < 0)
                return e;
        return old != new &&new == (r->kind == DIFFERENCE_SENT) ? 0 : disagree(s, r);
}

static int check(Search *s, const Packet *p, DifferenceRegion *r) {
        bool was = r->kind != DIFFERENCE_GAINED && r->kind != DIFFERENCE_GAINED_LIMITED;
        bool is = r->kind != DIFFERENCE_LOST;
        Evaluation old, new;
        int e;

        if (r->way == DIFFERENCE_FORWARD)
                return check_sent(s, r);
        if (r->way == DIFFERENCE_MASQUERADE)
                return 0; /* the evaluator translates no sources */
        e = ruleset_eval(s->before, s->scratch, r->packet.hook, p, &old);
        if (e == 0)
                e = ruleset_eval(s->after, s->scratch, r->packet.hook, p, &new);
        if (e < 0)
                return e;
        if ((old.verdict == VERDICT_ACCEPT) != was || (new.verdict == VERDICT_ACCEPT) != is ||
            (r->limit_before && !old.limited) || (r->limit_after && !new.limited))
                return disagree(s, r);
        r->before = origin_of(&old);
        r->after = origin_of(&new);
        return 0;
}

static const char *limit_at(Search *s, DiagramId x, const uint32_t *point) {
        size_t n_limits;
        const char *const *limits = meaning_limits(s->m, &n_limits);
        DiagramId leaf = diagram_at(s->d, x, point);

        for (size_t i = 0; i < n_limits; i++)
                if (diagram_leaf_has(s->d, leaf, (uint16_t)(MEANING_LIMIT + i)))
                        return limits[i];
        return NULL;
}

static int
add_region(Search *s, DifferenceKind kind, const NatTarget *t, DiagramId x, const Region *region) {
        DifferenceRegion r = {.way = s->way, .kind = kind, .family = s->family, .target = t};
        uint32_t point[_MEANING_VARIABLE_MAX];
        DiagramId inside_box = difference_both(
                s, difference_box_diagram(s, &region->box, false, _MEANING_VARIABLE_MAX), x);
        Packet p;
        int e;

        difference_start(s, point);
        if (!diagram_witness(s->d, inside_box, point, NULL, NULL))
                return diagram_error(s->d) < 0 ? diagram_error(s->d) : -EPROTO;
        meaning_packet(s->m, s->packets, point, &r.packet, &r.in, &r.out, &p);
        if (s->way == DIFFERENCE_OUTBOUND)
                r.packet.hook = HOOK_OUTPUT;
        if (kind == DIFFERENCE_LIMITED || kind == DIFFERENCE_GAINED_LIMITED ||
            kind == DIFFERENCE_OTHER_LIMIT)
                r.limit_after = limit_at(s, s->new, point);
        if (kind == DIFFERENCE_UNLIMITED || kind == DIFFERENCE_OTHER_LIMIT)
                r.limit_before = limit_at(s, s->old, point);
        if ((r.limit_after && !(r.limit_after = arena_strdup(s->arena, r.limit_after))) ||
            (r.limit_before && !(r.limit_before = arena_strdup(s->arena, r.limit_before))))
                return -ENOMEM;
        e = difference_fill_values(s, region, &r);
        if (e == 0)
                e = check(s, &p, &r);
        if (e < 0)
                return e;
        return arena_append(s->arena, s->result->regions, s->result->n_regions, r) ? 0 : -ENOMEM;
}

static int find_regions(Search *s, DifferenceKind kind, const NatTarget *t, DiagramId x) {
        Region *list = NULL;
        size_t n = 0;
        int r;

        x = difference_both(s, s->care, x);
        r = diagram_error(s->d);
        if (r == 0 && x != DIAGRAM_EMPTY)
                r = difference_cover(s, x, false, &list, &n);
        if (r == 0)
                r = difference_thin_out(s, difference_both(s, s->usual, x), list, &n);
        if (r == 0 && x != DIAGRAM_EMPTY)
                r = difference_cover(s, x, true, &list, &n);
        for (size_t i = 0; i < n && r == 0; i++)
                r = add_region(s, kind, t, x, &list[i]);
        return r < 0 ? r : diagram_error(s->d);
}

/* Which packets fare how. */

typedef struct Fates {
        DiagramId refused, limited, allowed; /* disjoint, and all there is */
} Fates;

static int find_fates(Search *s, DiagramId x, Fates *ret) {
        DiagramId may_drop = diagram_where_may(s->d, x, MEANING_DROP), limits = DIAGRAM_EMPTY;
        size_t n_limits;

        (void)meaning_limits(s->m, &n_limits);
        for (size_t i = 0; i < n_limits; i++)
                limits = diagram_union(s->d, limits,
                                       diagram_where_may(s->d, x, (uint16_t)(MEANING_LIMIT + i)));
        ret->refused = diagram_where_must(s->d, x, MEANING_DROP);
        ret->limited = difference_both(s, limits, may_drop);
        ret->allowed = difference_without(s, s->asked, may_drop);
        if (difference_without(s, difference_without(s, may_drop, ret->refused), limits) !=
            DIAGRAM_EMPTY)
                return -EUNATCH;
        return diagram_error(s->d);
}

/* What holds of limits alone. */
static DiagramId limits_of(Search *s, DiagramId x, DiagramId where_limited) {
        static const uint16_t alone[] = {
                MEANING_FALL, MEANING_DROP, MEANING_DROP, MEANING_DROP, MEANING_DROP, MEANING_DROP,
        };

        return difference_both(s, where_limited,
                               diagram_relabel(s->d, x, alone, ARRAY_SIZE(alone)));
}

/* Two sets of packets that have nothing in common: each is the smaller question alone. */
static DiagramId meaning_in_two(Search *s, const Ruleset *rs, DiagramId x, DiagramId y) {
        meaning_take(s->m, rs);
        x = meaning_of(s->m, s->packets, x);
        return diagram_union(s->d, x, meaning_of(s->m, s->packets, y));
}

static int compare_verdicts(Search *s) {
        Fates old = {0}, new = {0};
        DiagramId essential, limited, was_open, is_other;
        int r;

        s->asked = meaning_of_changes(s->m, s->packets, s->changes, s->before, s->after, s->care);
        if (meaning_error(s->m) < 0 || s->asked == DIAGRAM_EMPTY)
                return meaning_error(s->m) < 0 ? meaning_error(s->m) : difference_compare(s);
        /* what always passes is told of, too, if only in what is left out of the regions */
        essential = difference_without(
                s, meaning_of_essentials(s->m, s->packets, s->before, s->care), s->asked);
        s->old = meaning_in_two(s, s->before, s->asked, essential);
        s->new = meaning_in_two(s, s->after, s->asked, essential);
        s->asked = diagram_union(s->d, s->asked, essential);
        r = meaning_error(s->m);
        if (r == 0)
                r = difference_compare(s);
        if (r == 0)
                r = find_fates(s, s->old, &old);
        if (r == 0)
                r = find_fates(s, s->new, &new);
        if (r < 0)
                return r;
        /* what always passes needs no exception in what is told of everything else */
        s->usual = difference_without(
                s, s->usual,
                difference_both(s, diagram_where_may(s->d, s->old, MEANING_ESSENTIAL),
                                diagram_where_may(s->d, s->new, MEANING_ESSENTIAL)));
        r = difference_find_there(s, s->usual, &s->there[0]);
        if (r < 0)
                return r;
        was_open = diagram_union(s->d, old.allowed, old.limited);
        limited = difference_both(s, old.limited, new.limited);
        is_other = diagram_difference(s->d, limits_of(s, s->old, limited),
                                      limits_of(s, s->new, limited));
        {
                const struct {
                        DifferenceKind kind;
                        DiagramId x;
                } kinds[] = {
                        {DIFFERENCE_GAINED, difference_both(s, old.refused, new.allowed)},
                        {DIFFERENCE_GAINED_LIMITED, difference_both(s, old.refused, new.limited)},
                        {DIFFERENCE_LOST, difference_both(s, was_open, new.refused)},
                        {DIFFERENCE_LIMITED, difference_both(s, old.allowed, new.limited)},
                        {DIFFERENCE_UNLIMITED, difference_both(s, old.limited, new.allowed)},
                        {DIFFERENCE_OTHER_LIMIT, is_other},
                };

                for (size_t i = 0; i < ARRAY_SIZE(kinds) && r == 0; i++)
                        r = find_regions(s, kinds[i].kind, NULL, kinds[i].x);
        }
        return r;
}

static int compare_label(Search *s, uint16_t label, const NatTarget *t) {
        DiagramId old = diagram_where_may(s->d, s->old, label);
        DiagramId new = diagram_where_may(s->d, s->new, label);
        int r = find_regions(s, DIFFERENCE_NOT_SENT, t, difference_without(s, old, new));

        return r == 0 ? find_regions(s, DIFFERENCE_SENT, t, difference_without(s, new, old)) : r;
}

static int compare_translation(Search *s) {
        const NatTarget *const *targets;
        size_t n;
        int r;

        s->asked = meaning_of_nat_changes(
                s->m, s->way == DIFFERENCE_FORWARD ? HOOK_PREROUTING : HOOK_POSTROUTING, s->changes,
                s->before, s->after, s->care);
        meaning_take(s->m, s->before);
        s->old = s->way == DIFFERENCE_FORWARD ? meaning_of_translation(s->m, s->asked)
                                              : meaning_of_masquerade(s->m, s->asked);
        meaning_take(s->m, s->after);
        s->new = s->way == DIFFERENCE_FORWARD ? meaning_of_translation(s->m, s->asked)
                                              : meaning_of_masquerade(s->m, s->asked);
        r = meaning_error(s->m);
        if (r == 0 && s->way != DIFFERENCE_MASQUERADE) /* the evaluator translates no sources */
                r = difference_compare(s);
        if (r == 0 && s->way == DIFFERENCE_MASQUERADE)
                return compare_label(s, MEANING_MASQUERADE, NULL);
        targets = meaning_targets(s->m, &n);
        for (size_t i = 0; i < n && r == 0; i++)
                if (targets[i]->family == s->family)
                        r = compare_label(s, (uint16_t)(MEANING_TARGET + i), targets[i]);
        return r;
}

/* Diagrams of one way are used by the next one, unless they are large. */
static int open_family(Search *s, Meaning **m) {
        if (*m && diagram_edges(meaning_diagram(*m)) > LARGE)
                *m = meaning_free(*m);
        s->m = *m;
        if (*m)
                return 0;
        s->m = *m = meaning_new(s->before, s->family);
        if (!*m || meaning_add(*m, s->after) < 0 || difference_cut(s) < 0 || meaning_finish(*m) < 0)
                return -ENOMEM;
        meaning_tell_limits(*m);
        return 0;
}

static int compare_way(Search *s) {
        _cleanup_(arena_freep) Arena *scratch = arena_new(0);
        int r;

        s->scratch = scratch;
        s->packets = ways[s->way].packets;
        s->input = ways[s->way].input;
        if (!scratch)
                return -ENOMEM;
        s->d = meaning_diagram(s->m);
        diagram_end_at(s->d, s->end_usec);
        difference_set_domain(s);
        r = difference_find_there(s, s->usual, &s->there[0]);
        if (r == 0)
                r = difference_find_there(s, s->care, &s->there[1]);
        if (r < 0)
                return r;
        if (s->way == DIFFERENCE_FORWARD || s->way == DIFFERENCE_MASQUERADE)
                return compare_translation(s);
        return compare_verdicts(s);
}

static bool has_unknown(const Ruleset *rs) {
        for (size_t i = 0; i < rs->n_chains; i++)
                for (size_t j = 0; j < rs->chains[i]->n_rules; j++)
                        for (size_t k = 0; k < rs->chains[i]->rules[j].n_matches; k++)
                                if (rs->chains[i]->rules[j].matches[k].op == MATCH_UNKNOWN)
                                        return true;
        return false;
}

int difference_find(
        const Ruleset *before, const Ruleset *after, size_t max, Arena *a, Difference *ret) {
        return difference_find_until(before, after, max, 0, a, ret);
}

static int compare_all(const Search *start, Meaning *m[_FAMILY_MAX]) {
        for (DifferenceWay w = 0; w < _DIFFERENCE_WAY_MAX; w++)
                for (Family f = 0; f < _FAMILY_MAX; f++) {
                        Search s = *start;
                        int r;

                        s.family = f;
                        s.way = w;
                        s.first = s.result->n_regions;
                        r = open_family(&s, &m[f]);
                        if (r == 0)
                                r = compare_way(&s);
                        if (r < 0)
                                return r;
                }
        return 0;
}

int difference_find_until(const Ruleset *before,
                          const Ruleset *after,
                          size_t max,
                          uint64_t end_usec,
                          Arena *a,
                          Difference *ret) {
        _cleanup_(changes_freep) Changes *changes = NULL;
        Meaning *m[_FAMILY_MAX] = {NULL};
        Search s = {.before = before,
                    .after = after,
                    .arena = a,
                    .max = max,
                    .end_usec = end_usec,
                    .result = ret};
        int r;

        *ret = (Difference){0};
        if (has_unknown(before) || has_unknown(after))
                return -EUNATCH;
        changes = changes_new(before, after);
        if (!changes)
                return -ENOMEM;
        s.changes = changes;
        r = compare_all(&s, m);
        for (Family f = 0; f < _FAMILY_MAX; f++)
                m[f] = meaning_free(m[f]);
        return r;
}
