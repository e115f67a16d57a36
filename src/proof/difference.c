/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/difference.h"

#include <netinet/in.h>

#define MINIMAL_MAX 200 /* regions of one kind that are compared with each other */

typedef struct Box {
        DiagramRange *ranges[_MEANING_VARIABLE_MAX];
        size_t n[_MEANING_VARIABLE_MAX];
} Box;

typedef struct Region {
        Box box;
        bool free_facts; /* what packets usually are does not matter to what it covers */
} Region;

typedef struct Search {
        const Ruleset *before, *after;
        Meaning *m;
        Diagram *d;
        Arena *arena, *scratch; /* scratch: of one family */
        Family family;
        DifferenceWay way;
        MeaningWay packets;
        DiagramId care, usual; /* packets of the way; those that are what they seem */
        Box there[2];          /* the values that packets have: of usual ones, and of all */
        DiagramId old, new;    /* meanings */
        size_t first, max; /* regions: those of other ways; and how many of this one may follow */
        Difference *result;
} Search;

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

bool difference_is_fact(MeaningVariable v) {
        return v == MEANING_LINK || v == MEANING_HOPS || v >= MEANING_HOOK;
}

static DiagramId both(Search *s, DiagramId x, DiagramId y) {
        return diagram_and(s->d, x, y);
}

static DiagramId where(Search *s, MeaningVariable v, U128 value) {
        return meaning_where_value(s->m, v, value);
}

static DiagramId without(Search *s, DiagramId x, DiagramId y) {
        return diagram_minus(s->d, x, y);
}

/* What packets usually are; see claim.c for the addresses. */

static const Range loopback4 = {{0, 0x7f000000}, {0, 0x7fffffff}};
static const Range inside6[] = {
        {{0, 1}, {0, 1}},
        {{0, UINT64_C(0xffff00000000)}, {0, UINT64_C(0xffffffffffff)}},
};

static RangeSet inside(Family f) {
        const Range *r = f == FAMILY_IPV4 ? &loopback4 : inside6;

        return (RangeSet){.items = (Range *)(uintptr_t)r, .n_items = f == FAMILY_IPV4 ? 1 : 2};
}

static int cut(Search *s) {
        RangeSet set = inside(s->family);
        Range lo = range_single(interface_value("lo"));

        if (meaning_cut_all(s->m, MEANING_SOURCE, &set) < 0 ||
            meaning_cut_all(s->m, MEANING_FINAL, &set) < 0 ||
            meaning_cut(s->m, MEANING_IN, lo) < 0 || meaning_cut(s->m, MEANING_OUT, lo) < 0 ||
            meaning_cut(s->m, MEANING_HOPS, range_single(u128(64))) < 0 ||
            meaning_cut(s->m, MEANING_LINK, range_single(U128_ZERO)) < 0 ||
            meaning_cut(s->m, MEANING_SOURCE_PORT, range_single(u128(49152))) < 0 ||
            meaning_cut(s->m, MEANING_IN, range_single(U128_ZERO)) < 0 ||
            meaning_cut(s->m, MEANING_OUT, range_single(U128_ZERO)) < 0)
                return -ENOMEM;
        return 0;
}

static U128 usual_value(const Search *s, MeaningVariable v) {
        bool here = ways[s->way].input;

        switch (v) {
        case MEANING_HOPS:
                return u128(64);
        case MEANING_HOOK:
                return u128(here ? 0 : 1);
        case MEANING_FIB_SOURCE_OUT:
        case MEANING_FIB_SOURCE_IN_OUT:
                return u128(1);
        case MEANING_FIB_SOURCE_TYPE:
                return u128(FIB_TYPE_UNICAST);
        case MEANING_FIB_DESTINATION_TYPE:
                return u128(here && s->way != DIFFERENCE_OUTBOUND ? FIB_TYPE_LOCAL
                                                                  : FIB_TYPE_UNICAST);
        case MEANING_SOURCE_PORT:
                return u128(49152);
        case MEANING_PROTOCOL:
                return u128(IPPROTO_TCP);
        case MEANING_USER:
        case MEANING_GROUP:
                return u128(MEANING_NOBODY);
        case MEANING_SOURCE:
        case MEANING_DIALLED:
        case MEANING_FINAL:
        case MEANING_DIALLED_PORT:
        case MEANING_FINAL_PORT:
        case MEANING_ICMP:
        case MEANING_IN:
        case MEANING_OUT:
        case MEANING_LINK:
        case MEANING_CLASS:
        case MEANING_TIME:
        case _MEANING_VARIABLE_MAX:
                break;
        }
        return U128_ZERO;
}

/* What this host's own packets have instead of an interface, and others instead of an owner. */
static bool has_variable(const Search *s, MeaningVariable v) {
        bool out = s->packets == MEANING_OUTPUT;

        if (v == MEANING_FINAL || v == MEANING_FINAL_PORT)
                return s->packets == MEANING_TRANSLATED;
        if (v == MEANING_IN || v == MEANING_LINK)
                return !out;
        if (v == MEANING_USER || v == MEANING_GROUP)
                return out;
        if (v == MEANING_OUT)
                return s->way != DIFFERENCE_INBOUND && s->way != DIFFERENCE_FORWARD;
        return true;
}

static void set_domain(Search *s) {
        DiagramId nobody = where(s, MEANING_USER, u128(MEANING_NOBODY));
        DiagramId none = where(s, MEANING_GROUP, u128(MEANING_NOBODY));
        U128 lo = interface_value("lo");
        RangeSet set = inside(s->family);

        s->care = meaning_domain(s->m);
        if (s->way != DIFFERENCE_DIALLED)
                s->care =
                        both(s, where(s, MEANING_HOOK, u128(ways[s->way].input ? 0 : 1)), s->care);
        /* nat chains see new connections alone; what conntrack does not track is never translated
         */
        if (s->way == DIFFERENCE_FORWARD || s->way == DIFFERENCE_MASQUERADE)
                s->care = both(s, where(s, MEANING_CLASS, u128(MEANING_NEW)), s->care);
        if (s->way == DIFFERENCE_DIALLED)
                s->care = without(s, s->care, where(s, MEANING_CLASS, u128(MEANING_UNTRACKED)));
        /* a socket has both a user and a group, or neither */
        if (s->packets == MEANING_OUTPUT)
                s->care = diagram_union(s->d, both(s, both(s, nobody, none), s->care),
                                        without(s, s->care, diagram_union(s->d, nobody, none)));
        s->usual = s->care;
        for (MeaningVariable v = 0; v < _MEANING_VARIABLE_MAX; v++)
                if (difference_is_fact(v))
                        s->usual = both(s, where(s, v, usual_value(s, v)), s->usual);
        s->usual = without(s, s->usual, meaning_where(s->m, MEANING_DIALLED, &set));
        if (s->packets == MEANING_TRANSLATED)
                s->usual = without(s, s->usual, meaning_where(s->m, MEANING_FINAL, &set));
        if (s->packets != MEANING_OUTPUT) {
                s->usual = without(s, s->usual, meaning_where(s->m, MEANING_SOURCE, &set));
                s->usual = without(s, s->usual, where(s, MEANING_IN, lo));
        }
        s->usual = without(s, s->usual, where(s, MEANING_OUT, lo));
}

/* Boxes. */

static DiagramId box_diagram(Search *s, const Box *box, bool free_facts, MeaningVariable skip) {
        DiagramId x = DIAGRAM_ALL;

        for (MeaningVariable v = _MEANING_VARIABLE_MAX; v-- > 0;)
                if (v != skip && !(free_facts && difference_is_fact(v)))
                        x = diagram_literal(s->d, v, box->ranges[v], box->n[v], x, DIAGRAM_EMPTY);
        return x;
}

static int complement(Search *s, Box *box, MeaningVariable v, const DiagramRange *bad, size_t n) {
        uint32_t low = 0;

        box->ranges[v] = NULL;
        box->n[v] = 0;
        for (size_t i = 0; i <= n; i++) {
                uint32_t high = i < n ? bad[i].low - 1 : UINT32_MAX;
                DiagramRange r = {low, high};

                if ((i == n || bad[i].low > low) &&
                    !arena_append(s->scratch, box->ranges[v], box->n[v], r))
                        return -ENOMEM;
                if (i < n && bad[i].high == UINT32_MAX)
                        break;
                if (i < n)
                        low = bad[i].high + 1;
        }
        return 0;
}

/* What packets are about last: as many addresses as can be, for as few services as are asked for.
 */
static const MeaningVariable order[] = {
        MEANING_SOURCE_PORT,
        MEANING_ICMP,
        MEANING_DIALLED_PORT,
        MEANING_FINAL_PORT,
        MEANING_PROTOCOL,
        MEANING_USER,
        MEANING_GROUP,
        MEANING_OUT,
        MEANING_IN,
        MEANING_FINAL,
        MEANING_DIALLED,
        MEANING_SOURCE,
        MEANING_LINK,
        MEANING_HOPS,
        MEANING_HOOK,
        MEANING_CLASS,
        MEANING_TIME,
        MEANING_FIB_SOURCE_OUT,
        MEANING_FIB_SOURCE_IN_OUT,
        MEANING_FIB_SOURCE_TYPE,
        MEANING_FIB_DESTINATION_TYPE,
};

/* The largest box around the point that has none of the others. */
static int grow(Search *s, const uint32_t *point, DiagramId others, bool facts, Box *ret) {
        Box box = {0};

        for (MeaningVariable v = 0; v < _MEANING_VARIABLE_MAX; v++) {
                DiagramRange one = {point[v], point[v]};

                if (point[v] + 1 == meaning_axis(s->m, v)->n_lows)
                        one.high = UINT32_MAX;
                if (!arena_append(s->scratch, box.ranges[v], box.n[v], one))
                        return -ENOMEM;
        }
        for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
                MeaningVariable v = order[i];
                DiagramRange *bad = NULL;
                size_t n = 0;
                int r;

                if (difference_is_fact(v) && !facts)
                        continue;
                r = diagram_project(s->d, both(s, box_diagram(s, &box, false, v), others), v,
                                    s->scratch, &bad, &n);
                if (r == 0)
                        r = complement(s, &box, v, bad, n);
                if (r < 0)
                        return r;
        }
        *ret = box;
        return diagram_error(s->d);
}

/* Which coordinates of x are among those of y. */
static int meet(Search *s, const Box *x, const Box *y, MeaningVariable v, Box *ret) {
        DiagramRange *list = NULL;
        size_t n = 0;

        for (size_t i = 0, j = 0; i < x->n[v] && j < y->n[v];) {
                DiagramRange a = x->ranges[v][i], b = y->ranges[v][j];
                DiagramRange r = {MAX(a.low, b.low), MIN(a.high, b.high)};

                if (r.low <= r.high && !arena_append(s->scratch, list, n, r))
                        return -ENOMEM;
                i += a.high <= b.high;
                j += b.high <= a.high;
        }
        ret->ranges[v] = list;
        ret->n[v] = n;
        return 0;
}

static bool equal_ranges(const Box *x, const Box *y, MeaningVariable v) {
        return x->n[v] == y->n[v] &&
               memcmp(x->ranges[v], y->ranges[v], x->n[v] * sizeof(x->ranges[v][0])) == 0;
}

/* No word about values that no such packet has. */
static int trim(Search *s, Box *box, const Box *there) {
        for (MeaningVariable v = 0; v < _MEANING_VARIABLE_MAX; v++) {
                Box one = {0};

                if (difference_is_fact(v))
                        continue;
                if (meet(s, box, there, v, &one) < 0)
                        return -ENOMEM;
                box->ranges[v] = one.ranges[v];
                box->n[v] = one.n[v];
                if (equal_ranges(box, there, v) && complement(s, box, v, NULL, 0) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int find_there(Search *s, DiagramId x, Box *ret) {
        for (MeaningVariable v = 0; v < _MEANING_VARIABLE_MAX; v++) {
                int r = diagram_project(s->d, x, v, s->scratch, &ret->ranges[v], &ret->n[v]);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* From coordinates back to values. */
static int
to_values(Search *s, MeaningVariable v, const DiagramRange *list, size_t n, RangeSet *ret) {
        const Axis *axis = meaning_axis(s->m, v);
        Range there = meaning_values(s->m, v);

        for (size_t i = 0; i < n; i++) {
                Range r = axis_values(axis, list[i].low);

                if ((size_t)list[i].high + 1 >= axis->n_lows)
                        r.high = there.high;
                else
                        r.high = axis_values(axis, list[i].high).high;
                if (u128_compare(r.low, there.low) < 0)
                        r.low = there.low;
                if (u128_compare(r.high, there.high) > 0)
                        r.high = there.high;
                if (u128_compare(r.low, r.high) <= 0 && range_set_add(s->arena, ret, r) < 0)
                        return -ENOMEM;
        }
        range_set_normalise(ret);
        return 0;
}

static int fill_values(Search *s, const Region *region, DifferenceRegion *ret) {
        const Box *box = &region->box, *there = &s->there[!region->free_facts];

        for (MeaningVariable v = 0; v < _MEANING_VARIABLE_MAX; v++) {
                bool fact = difference_is_fact(v);
                RangeSet all = {0};

                ret->all[v] = (fact && region->free_facts) || !has_variable(s, v) ||
                              (v == MEANING_HOOK && s->way != DIFFERENCE_DIALLED);
                if (ret->all[v])
                        continue;
                if (to_values(s, v, box->ranges[v], box->n[v], &ret->values[v]) < 0 ||
                    to_values(s, v, there->ranges[v], there->n[v], &all) < 0 ||
                    range_set_subtract(s->arena, &all, &ret->values[v], &ret->rest[v]) < 0)
                        return -ENOMEM;
                ret->all[v] = ret->rest[v].n_items == 0;
                ret->unusual |= fact && !ret->all[v];
        }
        return 0;
}

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

static void start(Search *s, uint32_t *point) {
        for (MeaningVariable v = 0; v < _MEANING_VARIABLE_MAX; v++)
                point[v] = axis_coordinate(meaning_axis(s->m, v), usual_value(s, v));
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
        DiagramId inside_box =
                both(s, box_diagram(s, &region->box, false, _MEANING_VARIABLE_MAX), x);
        Packet p;
        int e;

        start(s, point);
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
        e = fill_values(s, region, &r);
        if (e == 0)
                e = check(s, &p, &r);
        if (e < 0)
                return e;
        return arena_append(s->arena, s->result->regions, s->result->n_regions, r) ? 0 : -ENOMEM;
}

/* x but for what the regions other than number `but` cover. */
static DiagramId uncovered(Search *s, DiagramId x, const Region *list, size_t n, size_t but) {
        for (size_t i = 0; i < n && x != DIAGRAM_EMPTY; i++)
                if (i != but)
                        x = without(s, x,
                                    box_diagram(s, &list[i].box, list[i].free_facts,
                                                _MEANING_VARIABLE_MAX));
        return x;
}

/* Boxes around packets of x until none is left: first among those that are what they seem. */
static int cover(Search *s, DiagramId x, bool facts, Region **list, size_t *n) {
        DiagramId about = facts ? s->care : s->usual;
        DiagramId left = uncovered(s, both(s, about, x), *list, *n, SIZE_MAX);
        DiagramId others = without(s, about, x);

        while (left != DIAGRAM_EMPTY && diagram_error(s->d) == 0) {
                uint32_t point[_MEANING_VARIABLE_MAX];
                Region region = {.free_facts = !facts};
                int r;

                if (s->result->n_regions - s->first + *n >= s->max) {
                        s->result->more = true;
                        return 0;
                }
                start(s, point);
                /* what is so of most protocols is told of all but the others */
                point[MEANING_PROTOCOL] = 0;
                if (!diagram_witness(s->d, left, point, NULL, NULL))
                        break;
                r = grow(s, point, others, facts, &region.box);
                if (r == 0)
                        r = trim(s, &region.box, &s->there[facts]);
                if (r < 0)
                        return r;
                left = without(s, left, box_diagram(s, &region.box, !facts, _MEANING_VARIABLE_MAX));
                if (!arena_append(s->scratch, *list, *n, region))
                        return -ENOMEM;
        }
        return diagram_error(s->d);
}

static DiagramId covered_by(Search *s, const Region *region, DiagramId x) {
        return both(s, box_diagram(s, &region->box, region->free_facts, _MEANING_VARIABLE_MAX), x);
}

/* Services that other regions tell of already are not told again, unless that makes more words. */
static int narrow(Search *s, DiagramId x, Region *list, size_t n, size_t i) {
        static const MeaningVariable services[] = {MEANING_PROTOCOL, MEANING_DIALLED_PORT,
                                                   MEANING_ICMP};
        Region *region = &list[i];
        DiagramId own = uncovered(s, covered_by(s, region, x), list, n, i);

        for (size_t j = 0; j < ARRAY_SIZE(services); j++) {
                MeaningVariable v = services[j];
                Box box = {0}, one = {0};
                int r;

                if (v != MEANING_PROTOCOL && region->box.ranges[v][0].low == 0 &&
                    region->box.ranges[v][0].high == UINT32_MAX)
                        continue;
                r = diagram_project(s->d, own, v, s->scratch, &box.ranges[v], &box.n[v]);
                if (r == 0)
                        r = meet(s, &box, &region->box, v, &one);
                if (r < 0)
                        return r;
                if (one.n[v] == 0 || equal_ranges(&one, &s->there[0], v) ||
                    one.n[v] > MAX(region->box.n[v], 2UL))
                        continue;
                region->box.ranges[v] = one.ranges[v];
                region->box.n[v] = one.n[v];
        }
        return 0;
}

/* Later ones may cover what an earlier one was made for; and of two that overlap, one need not tell
 * of what the other one does. */
static int thin_out(Search *s, DiagramId x, Region *list, size_t *n) {
        int r = 0;

        if (*n > MINIMAL_MAX || s->result->more)
                return 0;
        for (size_t i = *n; i-- > 0;)
                if (uncovered(s, covered_by(s, &list[i], x), list, *n, i) == DIAGRAM_EMPTY) {
                        memmove(list + i, list + i + 1, (*n - i - 1) * sizeof(*list));
                        (*n)--;
                }
        for (size_t i = 0; i < *n && r == 0; i++)
                r = narrow(s, x, list, *n, i);
        return r < 0 ? r : diagram_error(s->d);
}

static int find_regions(Search *s, DifferenceKind kind, const NatTarget *t, DiagramId x) {
        Region *list = NULL;
        size_t n = 0;
        int r;

        x = both(s, s->care, x);
        r = diagram_error(s->d);
        if (r == 0 && x != DIAGRAM_EMPTY)
                r = cover(s, x, false, &list, &n);
        if (r == 0)
                r = thin_out(s, both(s, s->usual, x), list, &n);
        if (r == 0 && x != DIAGRAM_EMPTY)
                r = cover(s, x, true, &list, &n);
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
        ret->limited = both(s, limits, may_drop);
        ret->allowed = without(s, s->care, may_drop);
        if (without(s, without(s, may_drop, ret->refused), limits) != DIAGRAM_EMPTY)
                return -EUNATCH;
        return diagram_error(s->d);
}

/* What holds of limits alone. */
static DiagramId limits_of(Search *s, DiagramId x, DiagramId where_limited) {
        static const uint16_t alone[] = {
                MEANING_YES, MEANING_DROP, MEANING_DROP, MEANING_DROP, MEANING_DROP, MEANING_DROP,
        };

        return both(s, where_limited, diagram_relabel(s->d, x, alone, ARRAY_SIZE(alone)));
}

static int compare_verdicts(Search *s) {
        Fates old = {0}, new = {0};
        DiagramId limited, was_open, is_other;
        int r;

        meaning_take(s->m, s->before);
        s->old = meaning_of(s->m, s->packets, s->care);
        meaning_take(s->m, s->after);
        s->new = meaning_of(s->m, s->packets, s->care);
        r = meaning_error(s->m);
        if (r == 0)
                r = find_fates(s, s->old, &old);
        if (r == 0)
                r = find_fates(s, s->new, &new);
        if (r < 0)
                return r;
        /* what always passes needs no exception in what is told of everything else */
        s->usual = without(s, s->usual,
                           both(s, diagram_where_may(s->d, s->old, MEANING_ESSENTIAL),
                                diagram_where_may(s->d, s->new, MEANING_ESSENTIAL)));
        r = find_there(s, s->usual, &s->there[0]);
        if (r < 0)
                return r;
        was_open = diagram_union(s->d, old.allowed, old.limited);
        limited = both(s, old.limited, new.limited);
        is_other = diagram_difference(s->d, limits_of(s, s->old, limited),
                                      limits_of(s, s->new, limited));
        {
                const struct {
                        DifferenceKind kind;
                        DiagramId x;
                } kinds[] = {
                        {DIFFERENCE_GAINED, both(s, old.refused, new.allowed)},
                        {DIFFERENCE_GAINED_LIMITED, both(s, old.refused, new.limited)},
                        {DIFFERENCE_LOST, both(s, was_open, new.refused)},
                        {DIFFERENCE_LIMITED, both(s, old.allowed, new.limited)},
                        {DIFFERENCE_UNLIMITED, both(s, old.limited, new.allowed)},
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
        int r = find_regions(s, DIFFERENCE_NOT_SENT, t, without(s, old, new));

        return r == 0 ? find_regions(s, DIFFERENCE_SENT, t, without(s, new, old)) : r;
}

static int compare_translation(Search *s) {
        const NatTarget *const *targets;
        size_t n;
        int r;

        meaning_take(s->m, s->before);
        s->old = s->way == DIFFERENCE_FORWARD ? meaning_of_translation(s->m, s->care)
                                              : meaning_of_masquerade(s->m, s->care);
        meaning_take(s->m, s->after);
        s->new = s->way == DIFFERENCE_FORWARD ? meaning_of_translation(s->m, s->care)
                                              : meaning_of_masquerade(s->m, s->care);
        r = meaning_error(s->m);
        if (r == 0 && s->way == DIFFERENCE_MASQUERADE)
                return compare_label(s, MEANING_MASQUERADE, NULL);
        targets = meaning_targets(s->m, &n);
        for (size_t i = 0; i < n && r == 0; i++)
                if (targets[i]->family == s->family)
                        r = compare_label(s, (uint16_t)(MEANING_TARGET + i), targets[i]);
        return r;
}

static int compare_way(Search *s) {
        _cleanup_(meaning_freep) Meaning *m = meaning_new(s->before, s->family);
        _cleanup_(arena_freep) Arena *scratch = arena_new(0);
        int r;

        s->m = m;
        s->scratch = scratch;
        s->packets = ways[s->way].packets;
        if (!m || !scratch || meaning_add(m, s->after) < 0 || cut(s) < 0 || meaning_finish(m) < 0)
                return -ENOMEM;
        meaning_tell_limits(m);
        s->d = meaning_diagram(m);
        set_domain(s);
        r = find_there(s, s->usual, &s->there[0]);
        if (r == 0)
                r = find_there(s, s->care, &s->there[1]);
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
        *ret = (Difference){0};
        if (has_unknown(before) || has_unknown(after))
                return -EUNATCH;
        for (DifferenceWay w = 0; w < _DIFFERENCE_WAY_MAX; w++)
                for (Family f = 0; f < _FAMILY_MAX; f++) {
                        Search s = {.before = before,
                                    .after = after,
                                    .arena = a,
                                    .family = f,
                                    .way = w,
                                    .first = ret->n_regions,
                                    .max = max,
                                    .result = ret};
                        int r = compare_way(&s);

                        if (r < 0)
                                return r;
                }
        return 0;
}
