/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/whole_state.h"

/* Regions of packets: by the interfaces that they come and leave by, and by where they go. */

DiagramId whole_without(Whole *x, DiagramId d, WholeVariable v, Range r) {
        return diagram_minus(x->diagram, d, whole_where(x, v, &r, 1));
}

/* What comes in by a port is the bridge's. */
static bool is_port(const World *w, const WorldInterface *i) {
        for (size_t j = 0; j < w->n_interfaces && i->master > 0; j++)
                if (w->interfaces[j].index == i->master && w->interfaces[j].kind &&
                    streq(w->interfaces[j].kind, "bridge"))
                        return true;
        return false;
}

/* A bridge leads to containers and machines, and its ports hand all they get to it. */
static bool is_inner(const WorldInterface *i) {
        return i->master > 0 || (i->kind && streq(i->kind, "bridge"));
}

/* Those from outside first: with them the search for a packet begins. */
int whole_find_arrivals(Whole *x) {
        const World *w = x->world;

        for (size_t n = 0; n < 2 * w->n_interfaces; n++) {
                size_t i = n % w->n_interfaces;

                if (w->interfaces[i].loopback ||
                    is_inner(&w->interfaces[i]) != (n >= w->n_interfaces))
                        continue;
                for (size_t j = 0; j < w->n_interfaces; j++) {
                        Arrival a = {i, w->interfaces[j].address};

                        if ((i == j || (w->interfaces[j].master == w->interfaces[i].index &&
                                        w->interfaces[i].index > 0)) &&
                            !is_port(w, &w->interfaces[i]) &&
                            !arena_append(x->arena, x->arrivals, x->n_arrivals, a))
                                return -ENOMEM;
                }
        }
        return 0;
}

const WorldInterface *whole_arrival(const Whole *x, uint64_t number, const uint8_t **ret_address) {
        if (number >= x->n_arrivals)
                return NULL;
        *ret_address = x->arrivals[number].address;
        return &x->world->interfaces[x->arrivals[number].interface];
}

static DiagramId where_interface(Whole *x, unsigned int variable, const RangeSet *names) {
        DiagramId sum = DIAGRAM_EMPTY;

        size_t n = variable == WHOLE_IN ? x->n_arrivals : x->world->n_interfaces;

        for (size_t i = 0; i < n; i++) {
                size_t number = variable == WHOLE_IN ? x->arrivals[i].interface : i;
                char name[16] = {0};
                Range r = range_single(u128(i));

                (void)snprintf(name, sizeof(name), "%s", x->world->interfaces[number].name);
                if (range_set_contains(names, u128_from_bytes(name, sizeof(name))))
                        sum = diagram_union(x->diagram, sum, whole_where(x, variable, &r, 1));
        }
        return sum;
}

DiagramId whole_where_in(Whole *x, const RangeSet *names) {
        return where_interface(x, WHOLE_IN, names);
}

static bool is_named(const Whole *x, int i, const RangeSet *names) {
        char name[16] = {0};

        if (i < 0)
                return false;
        (void)snprintf(name, sizeof(name), "%s", x->world->interfaces[i].name);
        return range_set_contains(names, u128_from_bytes(name, sizeof(name)));
}

DiagramId whole_where_out(Whole *x, const WholeChange *c, const RangeSet *names) {
        DiagramId sum = DIAGRAM_EMPTY;

        if (x->sent || !x->routes_known || c->any_address || c->any_else)
                return where_interface(x, WHOLE_OUT, names);
        if (c->has_address)
                return is_named(x, whole_piece_at(x->routes, x->n_routes, c->address), names)
                               ? DIAGRAM_ALL
                               : DIAGRAM_EMPTY;
        for (size_t i = 0; i < x->n_routes; i++)
                if (is_named(x, x->routes[i].value, names))
                        sum = diagram_union(
                                x->diagram, sum,
                                whole_where(x, WHOLE_DESTINATION, &x->routes[i].range, 1));
        return sum;
}

int whole_take_plain(Whole *x) {
        x->plain = true;
        x->remembers = x->changes[0].any_ct_mark = false;
        if (x->family == FAMILY_IPV6 && whole_cut(x, WHOLE_DESTINATION, whole_link_local) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < x->n_types; i++)
                if (whole_cut(x, WHOLE_SOURCE, x->types[i].range) < 0)
                        return -ENOMEM;
        return 0;
}

static DiagramId where_type(Whole *x, int type, bool known) {
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < x->n_types; i++)
                /* (-2: it leads somewhere, and it is not known where) */
                if (x->types[i].value == type &&
                    (!known || x->world->has_route_rules[x->family] || x->routes[i].value != -1))
                        sum = diagram_union(
                                x->diagram, sum,
                                whole_where(x, WHOLE_DESTINATION, &x->types[i].range, 1));
        return sum;
}

DiagramId whole_where_local(Whole *x) {
        /* where rules choose the route, what is sent may go elsewhere */
        return x->sent && !x->deliveries_known ? DIAGRAM_EMPTY : where_type(x, ROUTE_LOCAL, false);
}

DiagramId whole_where_routed(Whole *x, bool known) {
        DiagramId r = where_type(x, ROUTE_UNICAST, known);

        /* a link's addresses are never routed on */
        return known && x->family == FAMILY_IPV6
                       ? whole_without(x, r, WHOLE_SOURCE, whole_link_local)
                       : r;
}

/* Packets in which a link-local address of this host's is one of the interface they arrive by. */
static DiagramId on_their_link(Whole *x, DiagramId region) {
        DiagramId sum = DIAGRAM_EMPTY;

        if (x->family != FAMILY_IPV6)
                return region;
        for (size_t i = 0; i < x->world->n_addresses; i++) {
                const WorldAddress *a = &x->world->addresses[i];
                Range to = range_single(a->address);

                for (size_t j = 0; j < x->n_arrivals && a->family == FAMILY_IPV6 &&
                                   a->address.high >> 54 == 0x3fa;
                     j++) {
                        Range one = range_single(u128(j));

                        if (x->world->interfaces[x->arrivals[j].interface].index != a->index)
                                continue;
                        sum = diagram_union(x->diagram, sum,
                                            diagram_and(x->diagram,
                                                        whole_where(x, WHOLE_DESTINATION, &to, 1),
                                                        whole_where(x, WHOLE_IN, &one, 1)));
                }
        }
        sum = diagram_and(x->diagram, sum, region);
        return diagram_union(x->diagram, sum,
                             whole_without(x, region, WHOLE_DESTINATION, whole_link_local));
}

DiagramId whole_where_plain(Whole *x) {
        DiagramId sum = DIAGRAM_EMPTY;

        if (x->sent)
                return whole_where_plainly_sent(x);

        for (size_t i = 0; i < x->n_types; i++) {
                const Range *r = &x->types[i].range;
                /* link-local networks are at every interface */
                bool anywhere = !x->routes_known ||
                                (x->family == FAMILY_IPV6 && r->low.high >> 54 == 0x3fa &&
                                 x->routes[i].value != -1);
                DiagramId in = anywhere ? DIAGRAM_ALL : DIAGRAM_EMPTY;

                if (x->types[i].value != ROUTE_UNICAST)
                        continue;
                for (size_t j = 0; j < x->n_arrivals && !anywhere; j++) {
                        Range one = range_single(u128(j));

                        if ((int)x->arrivals[j].interface == x->routes[i].value)
                                in = diagram_union(x->diagram, in,
                                                   whole_where(x, WHOLE_IN, &one, 1));
                }
                sum = diagram_union(
                        x->diagram, sum,
                        diagram_and(x->diagram, whole_where(x, WHOLE_SOURCE, r, 1), in));
        }
        return on_their_link(x, sum);
}
