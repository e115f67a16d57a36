/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/ends.h"

#include <netinet/in.h>

#include "base/address.h"

typedef struct Ends {
        Whole *whole;
        Family family;
        Arena *arena;
        End *items;
        size_t n_items;
} Ends;

static bool is_translated(const WholeChange *c) {
        return c->has_address || c->has_port || c->any_address || c->any_port || c->here;
}

static DiagramId care(void *context, const WholeChange *change, bool here) {
        Ends *e = context;

        return is_translated(change) ? whole_where_local(e->whole) : DIAGRAM_EMPTY;
}

static int compare(const void *a, const void *b) {
        const End *x = a, *y = b;

        if (x->family != y->family)
                return x->family < y->family ? -1 : 1;
        if (x->protocol != y->protocol)
                return x->protocol < y->protocol ? -1 : 1;
        if (x->low != y->low)
                return x->low < y->low ? -1 : 1;
        if (x->high != y->high)
                return x->high < y->high ? -1 : 1;
        if (!u128_equal(x->address, y->address))
                return u128_compare(x->address, y->address);
        if (x->port != y->port)
                return x->port < y->port ? -1 : 1;
        if (x->any_address != y->any_address)
                return x->any_address ? 1 : -1;
        if (x->any_port != y->any_port)
                return x->any_port ? 1 : -1;
        return 0;
}

static int add(Ends *e, const WholeEnd *end, uint8_t protocol, Range ports) {
        const WholeChange *c = &end->change;
        const End item = {
                .family = e->family,
                .protocol = protocol,
                .low = (uint16_t)ports.low.low,
                .high = (uint16_t)ports.high.low,
                .here = end->here,
                .has_address = c->has_address && !c->any_address,
                .any_address = c->any_address,
                .has_port = c->has_port && !c->any_port,
                .any_port = c->any_port,
                .address = c->has_address && !c->any_address ? c->address : u128(0),
                .port = c->has_port && !c->any_port ? c->port : 0,
        };

        for (size_t i = 0; i < e->n_items; i++)
                if (compare(&e->items[i], &item) == 0)
                        return 0;
        if (e->n_items == ENDS_MAX)
                return 0;
        return arena_append(e->arena, e->items, e->n_items, item) ? 0 : -ENOMEM;
}

static int add_ports(Ends *e, const WholeEnd *end, uint8_t protocol) {
        Diagram *d = whole_diagram(e->whole);
        const Axis *axis = whole_axis(e->whole, WHOLE_DESTINATION_PORT);
        Range one = range_single(u128(protocol));
        DiagramId region =
                diagram_and(d, end->region, whole_where(e->whole, WHOLE_PROTOCOL, &one, 1));
        DiagramRange *ranges;
        size_t n;
        int r = diagram_project(d, region, WHOLE_DESTINATION_PORT, e->arena, &ranges, &n);

        for (size_t i = 0; i < n && r == 0; i++)
                r = add(e, end, protocol,
                        (Range){axis_values(axis, ranges[i].low).low,
                                axis_values(axis, ranges[i].high).high});
        return r;
}

static int find_in_family(Ends *e) {
        static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
        const WholeEnd *ends;
        size_t n;
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(protocols) && r == 0; i++)
                r = whole_cut(e->whole, WHOLE_PROTOCOL, range_single(u128(protocols[i])));
        if (r == 0)
                r = whole_finish(e->whole);
        if (r == 0)
                r = whole_walk(e->whole, care, e, &ends, &n);
        for (size_t i = 0; r == 0 && i < n; i++)
                for (size_t j = 0; j < ARRAY_SIZE(protocols) && r == 0; j++)
                        if (is_translated(&ends[i].change))
                                r = add_ports(e, &ends[i], protocols[j]);
        return r == 0 ? whole_error(e->whole) : r == -ELOOP ? -E2BIG : r;
}

int ends_find(const World *w, Arena *a, End **ret, size_t *ret_n) {
        Ends e = {.arena = a};

        for (Family f = 0; f < _FAMILY_MAX; f++) {
                _cleanup_(whole_freep) Whole *whole = whole_new(w, f);
                int r;

                e.whole = whole;
                e.family = f;
                r = whole ? find_in_family(&e) : -ENOMEM;
                if (r < 0)
                        return r;
        }
        if (e.n_items > 1)
                qsort(e.items, e.n_items, sizeof(*e.items), compare);
        *ret = e.items;
        *ret_n = e.n_items;
        return 0;
}

const char *end_describe_dialled(Arena *a, const End *e) {
        const char *protocol = e->protocol == IPPROTO_TCP ? "tcp" : "udp";
        const char *family = e->family == FAMILY_IPV4 ? "IPv4" : "IPv6";

        return e->low == e->high
                       ? arena_printf(a, "%s port %u (%s)", protocol, e->low, family)
                       : arena_printf(a, "%s ports %u-%u (%s)", protocol, e->low, e->high, family);
}

const char *end_describe_target(Arena *a, const End *e) {
        char buf[ADDRESS_TEXT_MAX];
        const char *address = e->any_address   ? "an address that is not known"
                              : e->has_address ? address_print(e->family, e->address, buf)
                                               : "this host";

        return e->any_port   ? arena_printf(a, "%s, at a port that is not known", address)
               : e->has_port ? arena_printf(a, "%s port %u", address, e->port)
                             : arena_strdup(a, address);
}
