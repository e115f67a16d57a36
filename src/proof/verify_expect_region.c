/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/verify_expect.h"

#include <netinet/in.h>

/* Which packets an expectation describes, and which of them break it. */

static DiagramId where_end(Expected *x, const ZoneExpression *e, const WholeChange *c) {
        Verify *v = x->v;
        DiagramId sum = DIAGRAM_EMPTY;

        if (!e->restricts)
                return DIAGRAM_ALL;
        for (size_t i = 0; i < e->n_terms; i++) {
                const ZoneTerm *t = &e->terms[i];

                if (!t->zone && t->family == v->family)
                        sum = verify_union(v, sum, verify_where(v, WHOLE_DESTINATION, t->range));
                for (size_t j = 0; t->zone && j < t->zone->n_parts; j++) {
                        const ZonePart *p = &t->zone->parts[j];
                        DiagramId out =
                                c ? whole_where_out(v->whole, c, &p->interfaces)
                                  : DIAGRAM_EMPTY; /* what is for this host leaves by none */

                        sum = verify_union(v, sum, verify_where_part(v, p, WHOLE_DESTINATION, out));
                }
        }
        return sum;
}

/* Loopback addresses never come from outside, nor those of IPv4 within IPv6 (RFC 4291, 2.5.5.2). */
static const struct {
        Family family;
        Range range;
} inside[] = {
        {FAMILY_IPV4, {{0, 0x7f000000}, {0, 0x7fffffff}}},
        {FAMILY_IPV6, {{0, 1}, {0, 1}}},
        {FAMILY_IPV6, {{0, UINT64_C(0xffff00000000)}, {0, UINT64_C(0xffffffffffff)}}},
};

static DiagramId outside(Verify *v, WholeVariable variable, DiagramId region) {
        for (size_t i = 0; i < ARRAY_SIZE(inside); i++)
                if (inside[i].family == v->family)
                        region = diagram_minus(v->diagram, region,
                                               verify_where(v, variable, inside[i].range));
        return region;
}

/* ICMP that conntrack takes for the first packet of a connection (nf_conntrack_proto_icmp.c). */
static const struct {
        Family family;
        uint8_t type;
} first_types[] = {{FAMILY_IPV4, 8},  {FAMILY_IPV4, 13},  {FAMILY_IPV4, 15},
                   {FAMILY_IPV4, 17}, {FAMILY_IPV6, 128}, {FAMILY_IPV6, 139}};

static Range type_range(uint8_t type) {
        return (Range){u128((uint64_t)type << 8), u128((uint64_t)type << 8 | 0xff)};
}

/* How a connection begins that somebody means: not every packet that can be thought of. */
static DiagramId where_meant(Verify *v) {
        static const Range flags[] = {{{0, 0x02}, {0, 0x02}}, {{0, 0xc2}, {0, 0xc2}}};
        static const uint8_t with_ports[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_DCCP,
                                             IPPROTO_UDPLITE};
        Range protocols[] = {range_single(u128(IPPROTO_ICMP)), range_single(u128(IPPROTO_ICMPV6))};
        Diagram *d = v->diagram;
        DiagramId tcp = verify_where(v, WHOLE_PROTOCOL, range_single(u128(IPPROTO_TCP)));
        DiagramId icmp = whole_where(v->whole, WHOLE_PROTOCOL, protocols, 2);
        DiagramId ports = DIAGRAM_EMPTY, types = DIAGRAM_EMPTY, sum = DIAGRAM_ALL;
        DiagramId zero = verify_where(v, WHOLE_SOURCE_PORT, range_single(U128_ZERO));

        for (size_t i = 0; i < ARRAY_SIZE(with_ports); i++)
                ports = verify_union(
                        v, ports,
                        verify_where(v, WHOLE_PROTOCOL, range_single(u128(with_ports[i]))));
        for (size_t i = 0; i < ARRAY_SIZE(first_types); i++)
                if (first_types[i].family == v->family)
                        types = verify_union(v, types,
                                             verify_where(v, WHOLE_SOURCE_PORT,
                                                          type_range(first_types[i].type)));
        sum = diagram_minus(d, sum,
                            diagram_minus(d, tcp, whole_where(v->whole, WHOLE_FLAGS, flags, 2)));
        sum = diagram_minus(d, sum, verify_and(v, ports, zero));
        return diagram_minus(d, sum, diagram_minus(d, icmp, types));
}

/* What the expectation describes, but for what it is sent to. */
static DiagramId where_from(Expected *x, const PolicyRule *rule) {
        Verify *v = x->v;
        DiagramId r = rule->from.restricts ? verify_where_clients(v, &rule->from) : DIAGRAM_ALL;

        if (rule->except.n_terms > 0)
                r = diagram_minus(v->diagram, r, verify_where_clients(v, &rule->except));
        if (rule->in.n_items > 0)
                r = verify_and(v, whole_where_in(v->whole, &rule->in), r);
        r = outside(v, WHOLE_SOURCE, outside(v, WHOLE_DESTINATION, r));
        if (!x->allow)
                return diagram_minus(v->diagram, r, verify_where_essential(v));
        r = verify_and(v, whole_where_plain(v->whole), r);
        return verify_and(v, where_meant(v), r);
}

/* What a process opens, if it is not bound to a loopback address. */
static DiagramId where_opened(Expected *x, const PolicyRule *rule) {
        static const WholeChange none;
        Verify *v = x->v;
        DiagramId to = outside(v, WHOLE_DESTINATION, where_end(x, &rule->to, &none));

        if (rule->except.n_terms > 0)
                to = diagram_minus(v->diagram, to, where_end(x, &rule->except, &none));
        to = verify_where_sent(v, rule, to, x->allow);
        return x->allow ? verify_and(v, where_meant(v), to) : to;
}

DiagramId expected_where_dialled(Expected *x, const Expect *e) {
        static const WholeChange none;
        Verify *v = x->v;
        const PolicyRule *rule = &e->rule;
        bool routed = e->section == SECTION_ROUTED;
        DiagramId r;

        if (v->sent)
                return where_opened(x, rule);
        r = verify_and(v, verify_where_services(v, &rule->services.set, &none, false),
                       where_from(x, rule));

        r = verify_and(v, where_end(x, &rule->to, routed ? &none : NULL), r);
        if (!routed)
                return verify_and(v, whole_where_local(v->whole), r);
        if (rule->out.n_items > 0)
                r = verify_and(v, whole_where_out(v->whole, &none, &rule->out), r);
        return verify_and(v, whole_where_routed(v->whole, x->allow), r);
}

static bool ends_within(Expected *x, const ZoneExpression *e, const WholeChange *c) {
        return !e->restricts || !c->has_address ||
               zone_expression_contains(e, NULL, x->v->family, c->address);
}

/* Packets that break a `deny` if they end so: also those that another port was translated for. */
static DiagramId where_denied(Expected *x, const Expect *e, const WholeChange *c, bool here) {
        Verify *v = x->v;
        DiagramId r = expected_where_dialled(x, e), final;

        if (v->sent && verify_stays(v, c))
                return DIAGRAM_EMPTY;
        if (v->sent)
                return verify_union(v, r, verify_where_sent_on(v, &e->rule, c));
        if (!here || !verify_is_translated(c) || e->section != SECTION_INBOUND ||
            !ends_within(x, &e->rule.to, c))
                return r;
        final = verify_where_services(v, &e->rule.services.set, c, true);
        return verify_union(v, r, verify_and(v, final, where_from(x, &e->rule)));
}

DiagramId expected_care(void *context, const WholeChange *c, bool here) {
        Expected *x = context;
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < x->n; i++)
                sum = verify_union(x->v, sum,
                                   x->allow ? expected_where_dialled(x, x->expects[i])
                                            : where_denied(x, x->expects[i], c, here));
        return sum;
}

/* Whether packets that end so surely get anywhere. */
static bool gets_through(Expected *x, const WholeEnd *end) {
        const World *w = x->v->world;
        const WholeChange *c = &end->change;

        if (x->v->sent)
                return verify_gets_out(x->v, c);
        if (c->any_address || c->any_port || c->any_else)
                return false;
        if (end->here)
                return true;
        /* rules of policy routing may lead nowhere */
        return (x->v->family == FAMILY_IPV4 ? w->forwards4 : w->forwards6) &&
               (c->has_address ? whole_leads(x->v->whole, c->address)
                               : !w->has_route_rules[x->v->family]);
}

DiagramId expected_where_bad(Expected *x, const Expect *e, const WholeEnd *ends, size_t n) {
        Verify *v = x->v;
        DiagramId sum = DIAGRAM_EMPTY, region = expected_where_dialled(x, e);

        for (size_t i = 0; i < n && !x->allow; i++)
                sum = verify_union(v, sum,
                                   verify_and(v, where_denied(x, e, &ends[i].change, ends[i].here),
                                              ends[i].region));
        if (!x->allow)
                return sum;
        sum = whole_drops(v->whole);
        for (size_t i = 0; i < n; i++)
                if (!gets_through(x, &ends[i]))
                        sum = verify_union(v, sum, ends[i].region);
        return verify_and(v, region, sum);
}

int expected_cut(Expected *x) {
        Verify *v = x->v;

        for (size_t i = 0; i < x->n; i++) {
                const PolicyRule *rule = &x->expects[i]->rule;

                if (verify_cut_services(v, &rule->services.set) < 0 ||
                    verify_cut_clients(v, &rule->from, WHOLE_SOURCE) < 0 ||
                    verify_cut_clients(v, &rule->except, WHOLE_SOURCE) < 0 ||
                    verify_cut_clients(v, &rule->to, WHOLE_DESTINATION) < 0 ||
                    (v->sent && (verify_cut_clients(v, &rule->except, WHOLE_DESTINATION) < 0 ||
                                 verify_cut_sent(v) < 0)))
                        return -ENOMEM;
        }
        for (size_t i = 0; i < ARRAY_SIZE(inside); i++)
                if (inside[i].family == v->family &&
                    (whole_cut(v->whole, WHOLE_SOURCE, inside[i].range) < 0 ||
                     whole_cut(v->whole, WHOLE_DESTINATION, inside[i].range) < 0))
                        return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(first_types); i++)
                if (whole_cut(v->whole, WHOLE_SOURCE_PORT, type_range(first_types[i].type)) < 0)
                        return -ENOMEM;
        if (whole_cut(v->whole, WHOLE_PROTOCOL, range_single(u128(IPPROTO_DCCP))) < 0 ||
            whole_cut(v->whole, WHOLE_PROTOCOL, range_single(u128(IPPROTO_UDPLITE))) < 0)
                return -ENOMEM;
        return verify_cut_common(v);
}
