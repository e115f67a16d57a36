/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/verify_state.h"

#include <netinet/in.h>

/* Regions of packets that claims speak of, and the cuts that they need. */

DiagramId verify_where(Verify *v, WholeVariable variable, Range r) {
        return whole_where(v->whole, variable, &r, 1);
}

DiagramId verify_union(Verify *v, DiagramId x, DiagramId y) {
        return diagram_union(v->diagram, x, y);
}

DiagramId verify_and(Verify *v, DiagramId x, DiagramId y) {
        return diagram_and(v->diagram, x, y);
}

static DiagramId where_types(Verify *v, const RangeSet *types) {
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < types->n_items; i++)
                sum = verify_union(
                        v, sum,
                        verify_where(v, WHOLE_SOURCE_PORT,
                                     (Range){u128(types->items[i].low.low << 8),
                                             u128(types->items[i].high.low << 8 | 0xff)}));
        return sum;
}

/* final: by the port where it ends, which is not the dialled one if rules changed it. */
static DiagramId where_ports(Verify *v, const RangeSet *ports, const WholeChange *c, bool final) {
        if (ports->n_items == 0)
                return DIAGRAM_EMPTY;
        if (final && (c->any_port || c->any_else))
                return DIAGRAM_ALL;
        if (final && c->has_port)
                return range_set_contains(ports, u128(c->port)) ? DIAGRAM_ALL : DIAGRAM_EMPTY;
        return whole_where(v->whole, WHOLE_DESTINATION_PORT, ports->items, ports->n_items);
}

DiagramId verify_where_services(Verify *v, const ServiceSet *s, const WholeChange *c, bool final) {
        bool v4 = v->family == FAMILY_IPV4;
        uint8_t icmp = v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
        const struct {
                uint8_t protocol;
                const RangeSet *ports;
        } rows[] = {{IPPROTO_TCP, &s->tcp}, {IPPROTO_UDP, &s->udp}, {IPPROTO_SCTP, &s->sctp}};
        DiagramId sum =
                whole_where(v->whole, WHOLE_PROTOCOL, s->protocols.items, s->protocols.n_items);

        if (s->any)
                return DIAGRAM_ALL;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                sum = verify_union(v, sum,
                                   verify_and(v,
                                              verify_where(v, WHOLE_PROTOCOL,
                                                           range_single(u128(rows[i].protocol))),
                                              where_ports(v, rows[i].ports, c, final)));
        return verify_union(v, sum,
                            verify_and(v, verify_where(v, WHOLE_PROTOCOL, range_single(u128(icmp))),
                                       where_types(v, v4 ? &s->icmp : &s->icmpv6)));
}

DiagramId
verify_where_part(Verify *v, const ZonePart *p, WholeVariable address, DiagramId interface) {
        DiagramId x = p->any_interface ? DIAGRAM_ALL : interface;
        const RangeSet *set = &p->addresses[v->family];

        return p->any_address
                       ? x
                       : verify_and(v, whole_where(v->whole, address, set->items, set->n_items), x);
}

bool verify_is_translated(const WholeChange *c) {
        return c->translated || c->has_address || c->has_port || c->any_address || c->any_port ||
               c->here || c->any_else;
}

DiagramId verify_where_clients(Verify *v, const ZoneExpression *e) {
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < e->n_terms; i++) {
                const ZoneTerm *t = &e->terms[i];

                if (!t->zone && t->family == v->family)
                        sum = verify_union(v, sum, verify_where(v, WHOLE_SOURCE, t->range));
                for (size_t j = 0; t->zone && j < t->zone->n_parts; j++) {
                        const ZonePart *p = &t->zone->parts[j];

                        sum = verify_union(
                                v, sum,
                                verify_where_part(v, p, WHOLE_SOURCE,
                                                  whole_where_in(v->whole, &p->interfaces)));
                }
        }
        return sum;
}

/* What passes unasked, whatever is protected or denied: of a client's or a server's ports,
 * whichever is here. */
DiagramId verify_where_essential(Verify *v) {
        Range from = range_single(u128(v->sent ? 68 : 67)),
              to = range_single(u128(v->sent ? 67 : 68));
        Range to6 = range_single(u128(v->sent ? 547 : 546));
        DiagramId udp = verify_where(v, WHOLE_PROTOCOL, range_single(u128(IPPROTO_UDP)));
        Range types[] = {{u128(130U << 8), u128(136U << 8 | 0xff)},
                         {u128(143U << 8), u128(143U << 8 | 0xff)}};
        DiagramId x;

        if (v->family == FAMILY_IPV4) {
                x = verify_and(v, verify_where(v, WHOLE_SOURCE_PORT, from), udp);
                x = verify_and(v, verify_where(v, WHOLE_DESTINATION_PORT, to), x);
                return verify_union(
                        v, x, verify_where(v, WHOLE_PROTOCOL, range_single(u128(IPPROTO_IGMP))));
        }
        x = verify_and(v, verify_where(v, WHOLE_DESTINATION_PORT, to6), udp);
        return verify_union(
                v, x,
                verify_and(v, verify_where(v, WHOLE_PROTOCOL, range_single(u128(IPPROTO_ICMPV6))),
                           whole_where(v->whole, WHOLE_SOURCE_PORT, types, 2)));
}

/* Cuts. */

int verify_cut_set(Verify *v, WholeVariable variable, const RangeSet *set) {
        for (size_t i = 0; i < set->n_items; i++)
                if (whole_cut(v->whole, variable, set->items[i]) < 0)
                        return -ENOMEM;
        return 0;
}

static int cut_types(Verify *v, const RangeSet *types) {
        for (size_t i = 0; i < types->n_items; i++)
                if (whole_cut(v->whole, WHOLE_SOURCE_PORT,
                              (Range){u128(types->items[i].low.low << 8),
                                      u128(types->items[i].high.low << 8 | 0xff)}) < 0)
                        return -ENOMEM;
        return 0;
}

int verify_cut_zone(Verify *v, const Zone *z, WholeVariable variable) {
        for (size_t i = 0; z && i < z->n_parts; i++)
                if (verify_cut_set(v, variable, &z->parts[i].addresses[v->family]) < 0)
                        return -ENOMEM;
        return 0;
}

int verify_cut_services(Verify *v, const ServiceSet *s) {
        const RangeSet *ports[] = {&s->tcp, &s->udp, &s->sctp};

        for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
                if (verify_cut_set(v, WHOLE_DESTINATION_PORT, ports[i]) < 0)
                        return -ENOMEM;
        if (cut_types(v, &s->icmp) < 0 || cut_types(v, &s->icmpv6) < 0)
                return -ENOMEM;
        return verify_cut_set(v, WHOLE_PROTOCOL, &s->protocols);
}

int verify_cut_clients(Verify *v, const ZoneExpression *e, WholeVariable address) {
        for (size_t i = 0; i < e->n_terms; i++) {
                const ZoneTerm *t = &e->terms[i];

                if (!t->zone && t->family == v->family &&
                    whole_cut(v->whole, address, t->range) < 0)
                        return -ENOMEM;
                if (verify_cut_zone(v, t->zone, address) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* What all claims tell apart. */
int verify_cut_common(Verify *v) {
        static const uint16_t ports[] = {67, 68, 546};
        static const uint8_t protocols[] = {1, 2, 6, 17, 58, 132};

        for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
                if (whole_cut(v->whole, WHOLE_SOURCE_PORT, range_single(u128(ports[i]))) < 0 ||
                    whole_cut(v->whole, WHOLE_DESTINATION_PORT, range_single(u128(ports[i]))) < 0)
                        return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
                if (whole_cut(v->whole, WHOLE_PROTOCOL, range_single(u128(protocols[i]))) < 0)
                        return -ENOMEM;
        if (whole_cut(v->whole, WHOLE_SOURCE_PORT,
                      (Range){u128(130U << 8), u128(136U << 8 | 0xff)}) < 0 ||
            whole_cut(v->whole, WHOLE_SOURCE_PORT,
                      (Range){u128(143U << 8), u128(143U << 8 | 0xff)}) < 0 ||
            whole_cut(v->whole, WHOLE_SOURCE_PORT, range_single(U128_ZERO)) < 0)
                return -ENOMEM;
        return 0;
}
