/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/claim_state.h"

#include <netinet/in.h>

/* Regions of packets that claims speak of, and the cuts that they need. */

static DiagramId
where_protocol(Claims *c, uint8_t protocol, MeaningVariable v, const RangeSet *set) {
        if (set->n_items == 0)
                return DIAGRAM_EMPTY;
        return claim_both(c, claim_where(c, MEANING_PROTOCOL, protocol),
                          meaning_where(c->m, v, set));
}

DiagramId claim_where_services(Claims *c, const ServiceSet *s, MeaningVariable port) {
        const struct {
                uint8_t protocol;
                MeaningVariable variable;
                const RangeSet *set;
        } rows[] = {
                {IPPROTO_TCP, port, &s->tcp},
                {IPPROTO_UDP, port, &s->udp},
                {IPPROTO_SCTP, port, &s->sctp},
                {c->family == FAMILY_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, MEANING_ICMP,
                 c->family == FAMILY_IPV4 ? &s->icmp : &s->icmpv6},
        };
        DiagramId x = meaning_where(c->m, MEANING_PROTOCOL, &s->protocols);

        if (s->any)
                return DIAGRAM_ALL;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                x = diagram_union(
                        c->diagram, x,
                        where_protocol(c, rows[i].protocol, rows[i].variable, rows[i].set));
        return x;
}

static DiagramId
where_part(Claims *c, const ZonePart *p, MeaningVariable address, MeaningVariable interface) {
        DiagramId x = DIAGRAM_ALL;

        if (!p->any_interface)
                x = meaning_where(c->m, interface, &p->interfaces);
        if (!p->any_address)
                x = claim_both(c, meaning_where(c->m, address, &p->addresses[c->family]), x);
        return x;
}

DiagramId claim_where_zone(Claims *c,
                           const ZoneExpression *e,
                           MeaningVariable address,
                           MeaningVariable interface) {
        DiagramId x = e->restricts ? DIAGRAM_EMPTY : DIAGRAM_ALL;

        for (size_t i = 0; i < e->n_terms; i++) {
                const ZoneTerm *t = &e->terms[i];
                RangeSet one = {.items = (Range *)(uintptr_t)&t->range, .n_items = 1};

                if (!t->zone && t->family == c->family)
                        x = diagram_union(c->diagram, x, meaning_where(c->m, address, &one));
                for (size_t j = 0; t->zone && j < t->zone->n_parts; j++)
                        x = diagram_union(c->diagram, x,
                                          where_part(c, &t->zone->parts[j], address, interface));
        }
        return x;
}

/* Loopback addresses never come from outside, nor those of IPv4 within IPv6 (RFC 4291, 2.5.5.2). */
static const Range loopback4 = {{0, 0x7f000000}, {0, 0x7fffffff}};
static const Range inside6[] = {
        {{0, 1}, {0, 1}},
        {{0, UINT64_C(0xffff00000000)}, {0, UINT64_C(0xffffffffffff)}},
};

static RangeSet inside(Family f) {
        const Range *r = f == FAMILY_IPV4 ? &loopback4 : inside6;

        return (RangeSet){.items = (Range *)(uintptr_t)r, .n_items = f == FAMILY_IPV4 ? 1 : 2};
}

DiagramId claim_without_value(Claims *c, DiagramId x, MeaningVariable v, U128 value) {
        return diagram_minus(c->diagram, x, meaning_where_value(c->m, v, value));
}

DiagramId claim_outside(Claims *c, DiagramId x, MeaningVariable v) {
        RangeSet set = inside(c->family);

        return diagram_minus(c->diagram, x, meaning_where(c->m, v, &set));
}

static int
cut_zone(Claims *c, const ZoneExpression *e, MeaningVariable address, MeaningVariable in) {
        for (size_t i = 0; i < e->n_terms; i++) {
                const ZoneTerm *t = &e->terms[i];

                if (!t->zone && t->family == c->family && meaning_cut(c->m, address, t->range) < 0)
                        return -ENOMEM;
                for (size_t j = 0; t->zone && j < t->zone->n_parts; j++)
                        if (meaning_cut_all(c->m, address,
                                            &t->zone->parts[j].addresses[c->family]) < 0 ||
                            meaning_cut_all(c->m, in, &t->zone->parts[j].interfaces) < 0)
                                return -ENOMEM;
        }
        return 0;
}

static int cut_services(Claims *c, const ServiceSet *s) {
        const RangeSet *ports[] = {&s->tcp, &s->udp, &s->sctp};

        for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
                if (meaning_cut_all(c->m, MEANING_FINAL_PORT, ports[i]) < 0)
                        return -ENOMEM;
        if (meaning_cut_all(c->m, MEANING_ICMP, &s->icmp) < 0 ||
            meaning_cut_all(c->m, MEANING_ICMP, &s->icmpv6) < 0)
                return -ENOMEM;
        return meaning_cut_all(c->m, MEANING_PROTOCOL, &s->protocols);
}

static int cut_rule(Claims *c, const PolicyRule *r) {
        if (cut_services(c, &r->services.set) < 0 ||
            cut_zone(c, &r->from, MEANING_SOURCE, MEANING_IN) < 0 ||
            cut_zone(c, &r->to, MEANING_FINAL, MEANING_OUT) < 0 ||
            meaning_cut_all(c->m, MEANING_IN, &r->in) < 0)
                return -ENOMEM;
        return meaning_cut_all(c->m, MEANING_OUT, &r->out);
}

/* Documentation addresses (RFC 5737, RFC 3849), which stand for a container's. */
const U128 claim_published[_FAMILY_MAX] = {
        [FAMILY_IPV4] = {0, 0xc0000201},
        [FAMILY_IPV6] = {UINT64_C(0x20010db800000000), 1},
};

/* A port that no claim protects; 0 if there is none. */
uint16_t claim_unprotected_port(const Policy *p) {
        for (uint16_t port = UINT16_MAX; port > 0; port--) {
                bool taken = false;

                for (size_t i = 0; i < p->n_protected && !taken; i++) {
                        const ServiceSet *s = &p->protected[i].services.set;

                        taken = s->any || range_set_contains(&s->tcp, u128(port)) ||
                                range_set_contains(&s->udp, u128(port)) ||
                                range_set_contains(&s->sctp, u128(port));
                }
                if (!taken)
                        return port;
        }
        return 0;
}

static int cut_networks(Claims *c) {
        const Zone *zones[] = {c->policy->containers, c->policy->vms};

        for (size_t i = 0; i < ARRAY_SIZE(zones); i++) {
                ZoneTerm term = {.zone = zones[i]};
                ZoneExpression e = {.terms = &term, .n_terms = 1};

                if (zones[i] && cut_zone(c, &e, MEANING_FINAL, MEANING_OUT) < 0)
                        return -ENOMEM;
        }
        return 0;
}

int claim_cut(Claims *c) {
        const Policy *p = c->policy;
        RangeSet set = inside(c->family);
        Range hops = range_single(u128(64));

        for (size_t i = 0; i < p->n_protected; i++)
                if (cut_services(c, &p->protected[i].services.set) < 0 ||
                    cut_zone(c, &p->protected[i].only_from, MEANING_SOURCE, MEANING_IN) < 0)
                        return -ENOMEM;
        for (size_t i = 0; i < p->n_expects; i++)
                if (cut_rule(c, &p->expects[i].rule) < 0)
                        return -ENOMEM;
        if (meaning_cut_all(c->m, MEANING_SOURCE, &set) < 0 ||
            meaning_cut_all(c->m, MEANING_FINAL, &set) < 0 ||
            meaning_cut(c->m, MEANING_HOPS, hops) < 0 ||
            meaning_cut(c->m, MEANING_LINK, range_single(U128_ZERO)) < 0 ||
            meaning_cut(c->m, MEANING_OUT, range_single(U128_ZERO)) < 0 ||
            meaning_cut(c->m, MEANING_IN, range_single(interface_value("lo"))) < 0 ||
            meaning_cut(c->m, MEANING_OUT, range_single(interface_value("lo"))) < 0 ||
            meaning_cut(c->m, MEANING_SOURCE_PORT, range_single(u128(49152))) < 0 ||
            meaning_cut(c->m, MEANING_FINAL, range_single(claim_published[c->family])) < 0 ||
            meaning_cut(c->m, MEANING_FINAL_PORT, range_single(u128(claim_unprotected_port(p)))) <
                    0)
                return -ENOMEM;
        return cut_networks(c);
}
