/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/difference_state.h"

#include <netinet/in.h>

/* Which packets there can be on a way, and what they usually are; see claim.c for the addresses. */

bool difference_is_fact(MeaningVariable v) {
        return v == MEANING_LINK || v == MEANING_HOPS || meaning_facts[v];
}

static DiagramId where(Search *s, MeaningVariable v, U128 value) {
        return meaning_where_value(s->m, v, value);
}

static const Range loopback4 = {{0, 0x7f000000}, {0, 0x7fffffff}};
static const Range inside6[] = {
        {{0, 1}, {0, 1}},
        {{0, UINT64_C(0xffff00000000)}, {0, UINT64_C(0xffffffffffff)}},
};

static RangeSet inside(Family f) {
        const Range *r = f == FAMILY_IPV4 ? &loopback4 : inside6;

        return (RangeSet){.items = (Range *)(uintptr_t)r, .n_items = f == FAMILY_IPV4 ? 1 : 2};
}

int difference_cut(Search *s) {
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
        bool here = s->input;

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
bool difference_has_variable(const Search *s, MeaningVariable v) {
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

void difference_set_domain(Search *s) {
        DiagramId nobody = where(s, MEANING_USER, u128(MEANING_NOBODY));
        DiagramId none = where(s, MEANING_GROUP, u128(MEANING_NOBODY));
        U128 lo = interface_value("lo");
        RangeSet set = inside(s->family);

        s->care = meaning_domain(s->m);
        if (s->way != DIFFERENCE_DIALLED)
                s->care =
                        difference_both(s, where(s, MEANING_HOOK, u128(s->input ? 0 : 1)), s->care);
        /* nat chains see new connections alone; what conntrack does not track is never translated
         */
        if (s->way == DIFFERENCE_FORWARD || s->way == DIFFERENCE_MASQUERADE)
                s->care = difference_both(s, where(s, MEANING_CLASS, u128(MEANING_NEW)), s->care);
        if (s->way == DIFFERENCE_DIALLED)
                s->care = difference_without(s, s->care,
                                             where(s, MEANING_CLASS, u128(MEANING_UNTRACKED)));
        /* a socket has both a user and a group, or neither */
        if (s->packets == MEANING_OUTPUT)
                s->care = diagram_union(
                        s->d, difference_both(s, difference_both(s, nobody, none), s->care),
                        difference_without(s, s->care, diagram_union(s->d, nobody, none)));
        s->usual = s->care;
        for (MeaningVariable v = 0; v < _MEANING_VARIABLE_MAX; v++)
                if (difference_is_fact(v))
                        s->usual = difference_both(s, where(s, v, usual_value(s, v)), s->usual);
        s->usual = difference_without(s, s->usual, meaning_where(s->m, MEANING_DIALLED, &set));
        if (s->packets == MEANING_TRANSLATED)
                s->usual =
                        difference_without(s, s->usual, meaning_where(s->m, MEANING_FINAL, &set));
        if (s->packets != MEANING_OUTPUT) {
                s->usual =
                        difference_without(s, s->usual, meaning_where(s->m, MEANING_SOURCE, &set));
                s->usual = difference_without(s, s->usual, where(s, MEANING_IN, lo));
        }
        s->usual = difference_without(s, s->usual, where(s, MEANING_OUT, lo));
}

void difference_start(Search *s, uint32_t *point) {
        for (MeaningVariable v = 0; v < _MEANING_VARIABLE_MAX; v++)
                point[v] = axis_coordinate(meaning_axis(s->m, v), usual_value(s, v));
}
