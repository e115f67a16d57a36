/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/reach_state.h"

#define TRANSLATIONS_MAX 4096
#define DIALLED_MAX 4 /* addresses that one translated port is told apart by */

/* Where rules send what is dialled here: the places that are reached by another name. */

/* One place for each address that is dialled, if it is only a few; else one for all. */
static int add_dialled(Reach *x, ReachPlace *p, DiagramId region, ReachPlace **list, size_t *n) {
        Verify *v = &x->v;
        const Axis *axis = whole_axis(v->whole, WHOLE_DESTINATION);
        bool few = true;
        DiagramRange *to;
        size_t n_to;

        if (diagram_project(v->diagram, region, WHOLE_DESTINATION, v->arena, &to, &n_to) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < n_to && few; i++)
                few = i < DIALLED_MAX && to[i].low == to[i].high &&
                      range_is_single(axis_values(axis, to[i].low));
        for (size_t i = 0; i < (few ? n_to : 1) && *n < TRANSLATIONS_MAX; i++) {
                p->has_dialled = few;
                p->dialled = few ? axis_values(axis, to[i].low).low : U128_ZERO;
                if (!arena_append(v->arena, *list, *n, *p))
                        return -ENOMEM;
        }
        return 0;
}

static int add_translations(
        Reach *x, const ReachPlace *template, DiagramId region, ReachPlace **list, size_t *n) {
        Verify *v = &x->v;
        const Axis *axis = whole_axis(v->whole, WHOLE_DESTINATION_PORT);
        DiagramRange *ranges;
        size_t n_ranges;
        int r = 0;

        if (region == DIAGRAM_EMPTY)
                return 0;
        if (diagram_project(v->diagram, region, WHOLE_DESTINATION_PORT, v->arena, &ranges,
                            &n_ranges) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < n_ranges && r == 0; i++) {
                Range ports = {axis_values(axis, ranges[i].low).low,
                               axis_values(axis, ranges[i].high).high};
                ReachPlace p = *template;

                p.low = (uint16_t)ports.low.low;
                p.high = (uint16_t)MIN(ports.high.low, (uint64_t)UINT16_MAX);
                r = add_dialled(x, &p,
                                verify_and(v,
                                           whole_where(v->whole, WHOLE_DESTINATION_PORT, &ports, 1),
                                           region),
                                list, n);
        }
        return r;
}

bool reach_is_own(const Reach *x, U128 address) {
        const World *w = x->v.world;

        for (size_t i = 0; i < w->n_addresses; i++)
                if (w->addresses[i].family == x->v.family &&
                    u128_equal(w->addresses[i].address, address))
                        return true;
        return reach_is_loopback(x->v.family, address);
}

static int compare_places(const void *a, const void *b) {
        const ReachPlace *x = a, *y = b;

        if (x->proto != y->proto)
                return x->proto < y->proto ? -1 : 1;
        if (x->low != y->low)
                return x->low < y->low ? -1 : 1;
        if (x->high != y->high)
                return x->high < y->high ? -1 : 1;
        if (u128_compare(x->address, y->address) != 0)
                return u128_compare(x->address, y->address);
        if (x->port != y->port)
                return x->port < y->port ? -1 : 1;
        return u128_compare(x->dialled, y->dialled);
}

static int list_translations(Reach *x, ReachPlace **ret, size_t *ret_n) {
        const WholeEnd *arrived;
        size_t n_arrived = 0;
        int r = whole_find_arrived(x->v.whole, &arrived, &n_arrived);

        for (size_t i = 0; i < n_arrived && r == 0; i++) {
                const WholeChange *c = &arrived[i].change;
                bool known = !c->any_address && !c->any_else;
                ReachPlace p = {.kind = REACH_TRANSLATED,
                                .any_address = !known,
                                .address = c->address,
                                .port = c->has_port && !c->any_port ? c->port : 0};

                if (!verify_is_translated(c) || c->here ||
                    (known && (!c->has_address || reach_is_own(x, c->address))))
                        continue;
                for (size_t j = 0; j < ARRAY_SIZE(reach_protocols) && r == 0; j++) {
                        DiagramId region =
                                verify_and(&x->v, reach_where_protocol(x, reach_protocols[j]),
                                           arrived[i].region);

                        p.proto = reach_protocols[j];
                        region = verify_and(&x->v, x->begin, region);
                        r = add_translations(x, &p, region, ret, ret_n);
                }
        }
        return r < 0 ? r : whole_error(x->v.whole);
}

static DiagramId care_for_none(void *context, const WholeChange *c, bool here) {
        (void)context;
        (void)c;
        (void)here;
        return DIAGRAM_EMPTY;
}

int reach_find_translations(const Policy *policy,
                            const World *w,
                            Family family,
                            Arena *a,
                            const ReachPlace **ret,
                            size_t *ret_n) {
        _cleanup_(whole_freep) Whole *whole = whole_new(w, family);
        Reach x = {
                .v = {.policy = policy, .world = w, .arena = a, .family = family, .whole = whole}};
        ReachPlace *list = NULL;
        size_t n = 0, kept = 0;
        int r = whole && reach_cut(&x) == 0 ? 0 : -ENOMEM;

        if (r < 0)
                return r;
        x.v.diagram = whole_diagram(whole);
        r = whole_finish(whole);
        if (r == 0)
                r = reach_find_clients(&x);
        if (r == 0)
                r = whole_walk(whole, care_for_none, NULL, &x.ends, &x.n_ends);
        if (r == 0)
                r = list_translations(&x, &list, &n);
        if (r == -E2BIG || r == -ELOOP)
                r = n = 0;
        if (r < 0)
                return r;
        if (n > 0)
                qsort(list, n, sizeof(*list), compare_places);
        /* ways that differ in marks alone */
        for (size_t i = 0; i < n; i++)
                if (kept == 0 || compare_places(&list[kept - 1], &list[i]) != 0)
                        list[kept++] = list[i];
        *ret = list;
        *ret_n = kept;
        return 0;
}
