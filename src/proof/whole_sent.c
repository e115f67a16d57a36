/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/whole_state.h"

/* What this host's own processes send. */

int whole_take_sent(Whole *x) {
        Range nobody = range_single(u128(WHOLE_NOBODY));

        x->sent = true;
        x->remembers = x->changes[0].any_ct_mark = false;
        /* a process may mark its packets; few do */
        x->changes[0].any_mark = !x->plain;
        for (size_t i = 0; i < x->n_types; i++)
                if (whole_cut(x, WHOLE_SOURCE, x->types[i].range) < 0)
                        return -ENOMEM;
        if (whole_cut(x, WHOLE_USER, nobody) < 0)
                return -ENOMEM;
        return whole_cut(x, WHOLE_GROUP, nobody);
}

static DiagramId one_of(Whole *x, WholeVariable v, uint64_t value) {
        Range r = range_single(u128(value));

        return whole_where(x, v, &r, 1);
}

DiagramId whole_where_owned(Whole *x) {
        Range owners = {U128_ZERO, u128(UINT32_MAX)};

        return whole_where(x, WHOLE_USER, &owners, 1);
}

/* A socket has both a user and a group, or neither. */
DiagramId whole_where_sockets(Whole *x) {
        Range groups = {U128_ZERO, u128(UINT32_MAX)};
        Diagram *d = x->diagram;

        return diagram_union(
                d, diagram_and(d, whole_where_owned(x), whole_where(x, WHOLE_GROUP, &groups, 1)),
                diagram_and(d, one_of(x, WHOLE_USER, WHOLE_NOBODY),
                            one_of(x, WHOLE_GROUP, WHOLE_NOBODY)));
}

static bool is_link_local(const Whole *x, U128 address) {
        return x->family == FAMILY_IPV6 && address.high >> 54 == 0x3fa;
}

/* Of the interface, or of all: link-local ones only if they are asked for. */
static DiagramId own_addresses(Whole *x, const WorldInterface *of, bool link_local) {
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < x->world->n_addresses; i++) {
                const WorldAddress *a = &x->world->addresses[i];
                Range r = range_single(a->address);

                if (a->family == x->family && (!of || a->index == of->index) &&
                    is_link_local(x, a->address) == link_local)
                        sum = diagram_union(x->diagram, sum, whole_where(x, WHOLE_SOURCE, &r, 1));
        }
        return sum;
}

/* Destinations that the interface leads to. */
static DiagramId led_to(Whole *x, int interface, bool link_local) {
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < x->n_types; i++) {
                Range r = x->types[i].range;
                int to = x->routes[i].value;

                if (x->types[i].value != ROUTE_UNICAST || to == -1 ||
                    is_link_local(x, r.low) != link_local)
                        continue;
                /* link-local networks are at every interface */
                if (to == interface || to == -2 || link_local || !x->routes_known)
                        sum = diagram_union(x->diagram, sum,
                                            whole_where(x, WHOLE_DESTINATION, &r, 1));
        }
        return sum;
}

DiagramId whole_where_plainly_sent(Whole *x) {
        Diagram *d = x->diagram;
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < x->world->n_interfaces; i++) {
                const WorldInterface *out = &x->world->interfaces[i];
                DiagramId own = own_addresses(x, out, false), way;

                if (out->loopback)
                        continue;
                if (own == DIAGRAM_EMPTY)
                        own = own_addresses(x, NULL, false);
                way = diagram_and(d, own, led_to(x, (int)i, false));
                way = diagram_union(
                        d, way,
                        diagram_and(d, own_addresses(x, out, true), led_to(x, (int)i, true)));
                sum = diagram_union(d, sum, diagram_and(d, way, one_of(x, WHOLE_OUT, (uint64_t)i)));
        }
        return sum;
}

bool whole_is_local(const Whole *x, U128 address) {
        return x->deliveries_known && whole_piece_at(x->types, x->n_types, address) == ROUTE_LOCAL;
}
