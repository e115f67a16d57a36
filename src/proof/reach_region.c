/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/reach_state.h"

#include <netinet/in.h>

#define WINDOW 128 /* ports that are looked at together, where there are more */

/* Packets: those that are meant, and those that end at a place. */

const Range reach_loopback[_FAMILY_MAX] = {
        [FAMILY_IPV4] = {{0, 0x7f000000}, {0, 0x7fffffff}},
        [FAMILY_IPV6] = {{0, 1}, {0, 1}},
};
const uint8_t reach_protocols[REACH_PROTOCOLS] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};

DiagramId reach_where_protocol(Reach *x, uint8_t proto) {
        return verify_where(&x->v, WHOLE_PROTOCOL, range_single(u128(proto)));
}

/* How a connection begins: SYN, and a source port that can be answered. */
DiagramId reach_where_begin(Reach *x) {
        static const Range flags[] = {{{0, 0x02}, {0, 0x02}}, {{0, 0xc2}, {0, 0xc2}}};
        static const Range mapped = {{0, UINT64_C(0xffff00000000)}, {0, UINT64_C(0xffffffffffff)}};
        Verify *v = &x->v;
        Diagram *d = v->diagram;
        DiagramId tcp = diagram_minus(d, reach_where_protocol(x, IPPROTO_TCP),
                                      whole_where(v->whole, WHOLE_FLAGS, flags, 2));
        DiagramId r = verify_and(v, whole_where_plain(v->whole), whole_domain(v->whole));

        r = diagram_minus(d, diagram_minus(d, r, tcp),
                          verify_where(v, WHOLE_SOURCE_PORT, range_single(U128_ZERO)));
        if (v->family == FAMILY_IPV6) /* RFC 4291, 2.5.5.2: never on a wire */
                r = diagram_minus(d, r, verify_where(v, WHOLE_SOURCE, mapped));
        return diagram_minus(d, r, verify_where_essential(v));
}

DiagramId reach_where_clients(Reach *x, const ReachClients *c) {
        Verify *v = &x->v;
        DiagramId r = c->to_loopback ? x->to_loopback : x->sent;

        if (c->from && c->from->restricts)
                r = verify_and(v, verify_where_clients(v, c->from), r);
        if (c->except && c->except->n_terms > 0)
                r = diagram_minus(v->diagram, r, verify_where_clients(v, c->except));
        return r;
}

static int compare_ranges(const void *a, const void *b) {
        return u128_compare(((const Range *)a)->low, ((const Range *)b)->low);
}

static int compare_ports(const void *a, const void *b) {
        return *(const uint16_t *)a - *(const uint16_t *)b;
}

static int list_ports(Reach *x) {
        size_t n = 0;

        x->ports = arena_alloc_array(x->v.arena, x->n_places + 1, sizeof(*x->ports));
        if (!x->ports)
                return -ENOMEM;
        for (size_t i = 0; i < x->n_places; i++)
                if (x->places[i].kind == REACH_SOCKET)
                        x->ports[n++] = x->places[i].port;
        qsort(x->ports, n, sizeof(*x->ports), compare_ports);
        for (size_t i = 0; i < n; i++)
                if (x->n_ports == 0 || x->ports[x->n_ports - 1] != x->ports[i])
                        x->ports[x->n_ports++] = x->ports[i];
        return 0;
}

/* What was dialled for sockets, by protocol and port. */
int reach_find_listened(Reach *x) {
        Verify *v = &x->v;

        x->listened = DIAGRAM_EMPTY;
        if (list_ports(x) < 0)
                return -ENOMEM;
        for (size_t p = 0; p < ARRAY_SIZE(reach_protocols); p++) {
                Range *list = arena_alloc_array(v->arena, x->n_places + 1, sizeof(*list));
                DiagramId proto = reach_where_protocol(x, reach_protocols[p]);
                size_t n = 0, kept = 0;

                if (!list)
                        return -ENOMEM;
                for (size_t i = 0; i < x->n_places; i++)
                        if (x->places[i].kind == REACH_SOCKET &&
                            x->places[i].proto == reach_protocols[p])
                                list[n++] = range_single(u128(x->places[i].port));
                qsort(list, n, sizeof(*list), compare_ranges);
                for (size_t i = 0; i < n; i++)
                        if (kept == 0 || !u128_equal(list[kept - 1].low, list[i].low))
                                list[kept++] = list[i];
                proto = verify_and(v, proto,
                                   whole_where(v->whole, WHOLE_DESTINATION_PORT, list, kept));
                x->listened = verify_union(v, x->listened, verify_and(v, proto, x->begin));
        }
        return 0;
}

bool reach_is_loopback(Family family, U128 address) {
        return u128_compare(address, reach_loopback[family].low) >= 0 &&
               u128_compare(address, reach_loopback[family].high) <= 0;
}

/* Whether packets that end so surely get anywhere. */
static bool gets_through(Reach *x, const WholeEnd *end) {
        const World *w = x->v.world;
        const WholeChange *c = &end->change;

        if (c->any_address || c->any_port || c->any_else)
                return false;
        if (c->has_address && reach_is_loopback(x->v.family, c->address))
                return false;
        return end->here || !c->has_address || whole_leads(x->v.whole, c->address) ||
               w->has_route_rules[x->v.family];
}

static bool forwards(const Reach *x) {
        return x->v.family == FAMILY_IPV4 ? x->v.world->forwards4 : x->v.world->forwards6;
}

static RangeSet names_of(Reach *x, const char *interface) {
        Range *r = arena_new0(x->v.arena, Range);
        char name[16] = {0};

        (void)snprintf(name, sizeof(name), "%s", interface);
        if (!r)
                return (RangeSet){0};
        *r = range_single(u128_from_bytes(name, sizeof(name)));
        return (RangeSet){.items = r, .n_items = 1};
}

static DiagramId
where_socket(Reach *x, const ReachPlace *p, const WholeChange *c, DiagramId region) {
        Verify *v = &x->v;

        if (!c->any_port && !c->any_else) {
                if (c->has_port && c->port != p->port)
                        return DIAGRAM_EMPTY;
                if (!c->has_port)
                        region = verify_and(v,
                                            verify_where(v, WHOLE_DESTINATION_PORT,
                                                         range_single(u128(p->port))),
                                            region);
        }
        if (!p->any_address && !c->any_address && !c->any_else && !c->here) {
                if (c->has_address && !u128_equal(c->address, p->address))
                        return DIAGRAM_EMPTY;
                if (!c->has_address)
                        region = verify_and(
                                v, verify_where(v, WHOLE_DESTINATION, range_single(p->address)),
                                region);
        }
        if (p->interface) {
                RangeSet names = names_of(x, p->interface);

                region = verify_and(v, whole_where_in(v->whole, &names), region);
        }
        return region;
}

/* Whether packets that were changed so can be what is asked for; it saves looking at them. */
static bool is_meant(const ReachPlace *p, const WholeChange *c) {
        bool known = !c->any_address && !c->any_else;

        switch (p->kind) {
        case REACH_SOCKET:
                return true;
        case REACH_ROUTED:
                return !verify_is_translated(c);
        case REACH_TRANSLATED:
                break;
        }
        if (!verify_is_translated(c) || c->here || known == p->any_address)
                return false;
        return !known || (c->has_address && u128_equal(c->address, p->address) &&
                          (c->any_port || (c->has_port ? c->port : 0) == p->port));
}

/* What was dialled where the destination is translated to elsewhere. */
static DiagramId where_translated(Reach *x, const ReachPlace *p, DiagramId region) {
        Verify *v = &x->v;

        region = verify_and(
                v, verify_where(v, WHOLE_DESTINATION_PORT, (Range){u128(p->low), u128(p->high)}),
                region);
        if (p->has_dialled)
                region = verify_and(v, verify_where(v, WHOLE_DESTINATION, range_single(p->dialled)),
                                    region);
        return region;
}

static DiagramId where_routed(Reach *x, const ReachPlace *p, DiagramId region) {
        Verify *v = &x->v;

        region = verify_and(v, verify_where(v, WHOLE_DESTINATION_PORT, range_single(u128(p->port))),
                            region);
        return verify_and(v, verify_where(v, WHOLE_DESTINATION, range_single(p->address)), region);
}

/* The kernel forwards nothing from a link-local address of IPv6's. */
DiagramId reach_where_forwarded(Reach *x, DiagramId region) {
        static const Range link_local = {{UINT64_C(0xfe80) << 48, 0},
                                         {UINT64_C(0xfebfffffffffffff), UINT64_MAX}};
        Verify *v = &x->v;

        return v->family == FAMILY_IPV4 ? region
                                        : diagram_minus(v->diagram, region,
                                                        verify_where(v, WHOLE_SOURCE, link_local));
}

/* Packets that end there with this change. */
static DiagramId where_end(Reach *x, const ReachPlace *p, const WholeEnd *end, DiagramId region) {
        const WholeChange *c = &end->change;

        if (end->here != (p->kind == REACH_SOCKET) || (!end->here && !forwards(x)))
                return DIAGRAM_EMPTY;
        /* the kernel takes nothing from outside for a loopback address, unless it was told to */
        if (c->has_address && x->v.family == FAMILY_IPV4 && !x->v.world->route_localnet &&
            reach_is_loopback(FAMILY_IPV4, c->address))
                return DIAGRAM_EMPTY;
        if (!is_meant(p, c))
                return DIAGRAM_EMPTY;
        region = verify_and(&x->v, reach_where_protocol(x, p->proto), region);
        switch (p->kind) {
        case REACH_SOCKET:
                return where_socket(x, p, c, region);
        case REACH_TRANSLATED:
                return reach_where_forwarded(x, where_translated(x, p, region));
        case REACH_ROUTED:
                return reach_where_forwarded(x, where_routed(x, p, region));
        }
        return DIAGRAM_EMPTY;
}

/* Whether packets that end so have the port that they end at from the start. */
static bool keeps_port(const WholeEnd *end) {
        const WholeChange *c = &end->change;

        return end->here && !c->has_port && !c->any_port && !c->any_else;
}

static int move_window(Reach *x, uint16_t port) {
        ReachWindow *w = &x->window;
        size_t at = 0;
        DiagramId within;

        if (x->n_ports <= WINDOW || (w->high > 0 && w->low <= port && port <= w->high))
                return 0;
        while (at + 1 < x->n_ports && x->ports[at] < port)
                at++;
        if (!w->regions)
                w->regions = arena_alloc_array(x->v.arena, x->n_ends + 1, sizeof(*w->regions));
        if (!w->regions)
                return -ENOMEM;
        w->low = x->ports[at];
        w->high = x->ports[MIN(at + WINDOW, x->n_ports) - 1];
        within = verify_where(&x->v, WHOLE_DESTINATION_PORT, (Range){u128(w->low), u128(w->high)});
        for (size_t i = 0; i < x->n_ends; i++)
                w->regions[i] = keeps_port(&x->ends[i])
                                        ? verify_and(&x->v, within, x->ends[i].region)
                                        : x->ends[i].region;
        w->drops = verify_and(&x->v, within, whole_drops(x->v.whole));
        return 0;
}

static int settle_one(Reach *x, const ReachPlace *p) {
        Verify *v = &x->v;
        bool near = p->kind == REACH_SOCKET && x->n_ports > WINDOW;
        DiagramId sure[2] = {DIAGRAM_EMPTY, DIAGRAM_EMPTY}; /* at that port all along, or moved */

        if (near && move_window(x, p->port) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < x->n_ends; i++) {
                DiagramId region = where_end(x, p, &x->ends[i],
                                             near ? x->window.regions[i] : x->ends[i].region);
                bool moved = !near || !keeps_port(&x->ends[i]);

                x->may = verify_union(v, x->may, region);
                if (gets_through(x, &x->ends[i]))
                        sure[moved] = verify_union(v, sure[moved], region);
        }
        for (size_t i = 0; i < ARRAY_SIZE(sure); i++)
                if (sure[i] != DIAGRAM_EMPTY)
                        x->sure = verify_union(
                                v, x->sure,
                                diagram_minus(v->diagram, sure[i],
                                              i == 0 ? x->window.drops : whole_drops(v->whole)));
        return 0;
}

int reach_settle(Reach *x, const ReachPlace *places, size_t n) {
        int r = 0;

        x->may = x->sure = DIAGRAM_EMPTY;
        for (size_t i = 0; i < n && r == 0; i++)
                r = settle_one(x, &places[i]);
        x->sure = diagram_for_all(x->v.diagram, x->sure, _WHOLE_VARIABLE_MAX);
        return r < 0 ? r : whole_error(x->v.whole);
}
