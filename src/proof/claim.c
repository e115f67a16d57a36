/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/claim.h"

#include <netinet/in.h>

#include "proof/meaning.h"
#include "ruleset/expect.h"

#define SMALL 6000 /* edges of a region that makes the search narrower */
#define SAMPLES 96 /* packets at the edges, a way */

/* A claim, one way: no packet of the region may fare wrongly. */
typedef struct Case {
        MeaningWay way;
        DiagramId region;
        uint16_t wrong; /* MEANING_ACCEPT or MEANING_DROP */
        Span at;
        bool *broken; /* of the claim, in whichever way and family */
} Case;

typedef struct Claims {
        const Policy *policy;
        const Ruleset *rs;
        Diag *d;
        Meaning *m;
        Diagram *diagram;
        Family family;
        MeaningWay way;        /* one at a time: diagrams of large sets are large */
        DiagramId translation; /* where our own chains send connections */
        Case *cases;           /* in an arena */
        size_t n_cases;
        Arena *arena;
        DiagramId ways[_MEANING_WAY_MAX];
        DiagramId care[_MEANING_WAY_MAX]; /* the regions of all cases of the way */
        bool *broken_protected, *broken_expects;
        uint64_t random;
        size_t n_compared;
} Claims;

/* Regions of packets. */

static DiagramId both(Claims *c, DiagramId x, DiagramId y) {
        return diagram_and(c->diagram, x, y);
}

static DiagramId where(Claims *c, MeaningVariable v, uint64_t value) {
        return meaning_where_value(c->m, v, u128(value));
}

static DiagramId
where_protocol(Claims *c, uint8_t protocol, MeaningVariable v, const RangeSet *set) {
        if (set->n_items == 0)
                return DIAGRAM_EMPTY;
        return both(c, where(c, MEANING_PROTOCOL, protocol), meaning_where(c->m, v, set));
}

static DiagramId where_services(Claims *c, const ServiceSet *s, MeaningVariable port) {
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
                x = both(c, meaning_where(c->m, address, &p->addresses[c->family]), x);
        return x;
}

static DiagramId
where_zone(Claims *c, const ZoneExpression *e, MeaningVariable address, MeaningVariable interface) {
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

static DiagramId without_value(Claims *c, DiagramId x, MeaningVariable v, U128 value) {
        return diagram_minus(c->diagram, x, meaning_where_value(c->m, v, value));
}

static DiagramId outside(Claims *c, DiagramId x, MeaningVariable v) {
        RangeSet set = inside(c->family);

        return diagram_minus(c->diagram, x, meaning_where(c->m, v, &set));
}

/* Cuts. */

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
static const U128 published[_FAMILY_MAX] = {
        [FAMILY_IPV4] = {0, 0xc0000201},
        [FAMILY_IPV6] = {UINT64_C(0x20010db800000000), 1},
};

/* A port that no claim protects; 0 if there is none. */
static uint16_t unprotected_port(const Policy *p) {
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

static int cut_claims(Claims *c) {
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
            meaning_cut(c->m, MEANING_FINAL, range_single(published[c->family])) < 0 ||
            meaning_cut(c->m, MEANING_FINAL_PORT, range_single(u128(unprotected_port(p)))) < 0)
                return -ENOMEM;
        return cut_networks(c);
}

/* Comparing with the evaluator. */

static uint32_t draw(Claims *c, uint32_t below) {
        c->random ^= c->random >> 12;
        c->random ^= c->random << 25;
        c->random ^= c->random >> 27;
        return (uint32_t)((c->random * UINT64_C(2685821657736338717)) >> 33) % below;
}

static int disagree(Claims *c, const PacketQuestion *q, U128 in, U128 out) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return -ENOMEM;
        question_describe(q, in, out, f);
        (void)fclose(f); /* fails only without memory, and then leaves text NULL */
        (void)diag_error(c->d, (Span){0},
                         "internal error: the proof and the evaluator do not agree about %s",
                         text ? text : "a connection");
        diag_hint(c->d, "nothing was decided; please report this, with the policy");
        return -EPROTO;
}

/* What the evaluator says of the packet at the point; -EPROTO where the diagram says otherwise. */
static int compare_at(Claims *c, MeaningWay way, const uint32_t *point, Arena *steps) {
        DiagramId leaf = diagram_at(c->diagram, c->ways[way], point);
        PacketQuestion q;
        U128 in, out;
        Evaluation e;
        bool agrees;
        Packet p;
        int r;

        meaning_packet(c->m, way, point, &q, &in, &out, &p);
        arena_reset(steps);
        r = ruleset_eval(c->rs, steps, q.hook, &p, &e);
        if (r < 0)
                return r;
        c->n_compared++;
        agrees = e.verdict == VERDICT_ACCEPT
                         ? diagram_leaf_has(c->diagram, leaf, MEANING_ACCEPT) ||
                                   diagram_leaf_has(c->diagram, leaf, MEANING_ESSENTIAL)
                         : diagram_leaf_has(c->diagram, leaf, MEANING_DROP);
        return agrees ? 0 : disagree(c, &q, in, out);
}

/* A coordinate that there can be of the variable. */
static uint32_t draw_coordinate(Claims *c, MeaningVariable v) {
        const Axis *axis = meaning_axis(c->m, v);

        return draw(c, (uint32_t)axis->n_lows);
}

static int compare_way(Claims *c, MeaningWay way) {
        _cleanup_(arena_freep) Arena *steps = arena_new(0);
        int r = steps ? 0 : -ENOMEM;

        for (size_t i = 0; i < SAMPLES && r == 0; i++) {
                uint32_t point[_MEANING_VARIABLE_MAX];

                for (MeaningVariable v = 0; v < _MEANING_VARIABLE_MAX; v++)
                        point[v] = draw_coordinate(c, v);
                /* towards what there can be: otherwise hardly a packet would be one */
                if (!diagram_witness(c->diagram, c->care[way], point, NULL, NULL))
                        return meaning_error(c->m);
                r = compare_at(c, way, point, steps);
        }
        return r;
}

/* Answers. */

static void start(Claims *c, uint32_t *point) {
        const struct {
                MeaningVariable variable;
                U128 value;
        } liked[] = {
                {MEANING_SOURCE_PORT, u128(49152)},
                {MEANING_HOPS, u128(64)},
                {MEANING_USER, u128(MEANING_NOBODY)},
                {MEANING_GROUP, u128(MEANING_NOBODY)},
                {MEANING_FIB_SOURCE_OUT, u128(1)},
                {MEANING_FIB_SOURCE_IN_OUT, u128(1)},
                {MEANING_FIB_SOURCE_TYPE, u128(FIB_TYPE_UNICAST)},
                {MEANING_FIB_DESTINATION_TYPE, u128(FIB_TYPE_LOCAL)},
        };

        memset(point, 0, _MEANING_VARIABLE_MAX * sizeof(*point));
        for (size_t i = 0; i < ARRAY_SIZE(liked); i++)
                point[liked[i].variable] =
                        axis_coordinate(meaning_axis(c->m, liked[i].variable), liked[i].value);
}

/* A claim that `bad` connections break: they fare as `wanted` says they must not. */
static int refute(Claims *c, MeaningWay way, DiagramId bad, Span at, bool accepted) {
        _cleanup_(arena_freep) Arena *steps = arena_new(0);
        uint32_t point[_MEANING_VARIABLE_MAX];
        _cleanup_free_ char *text = NULL;
        const Origin *origin;
        PacketQuestion q;
        size_t size = 0;
        Evaluation e;
        U128 in, out;
        Packet p;
        FILE *f;
        int r;

        start(c, point);
        if (!steps || !diagram_witness(c->diagram, bad, point, NULL, NULL))
                return -ENOMEM;
        meaning_packet(c->m, way, point, &q, &in, &out, &p);
        r = ruleset_eval(c->rs, steps, q.hook, &p, &e);
        if (r < 0)
                return r;
        if ((e.verdict == VERDICT_ACCEPT) != accepted)
                return disagree(c, &q, in, out);
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        question_describe(&q, in, out, f);
        (void)fclose(f); /* fails only without memory, and then leaves text NULL */
        (void)diag_error(c->d, at, "this does not hold: %s is %s", text ? text : "a connection",
                         accepted ? "allowed" : "refused");
        origin = evaluation_origin(&e);
        if (origin && origin->at.source)
                diag_note(c->d, origin->at, "this decides");
        else if (origin && origin->text)
                diag_hint(c->d, "what decides: %s", origin->text);
        return -EBADMSG;
}

/* `protected` does not ask how a connection comes to be, only where it comes from and ends. */
static DiagramId protected_domain(Claims *c, MeaningWay way) {
        const Zone *zones[] = {c->policy->containers, c->policy->vms};
        DiagramId x = without_value(c, meaning_domain(c->m), MEANING_IN, interface_value("lo"));
        DiagramId input = where(c, MEANING_HOOK, 0), icmp, networks = DIAGRAM_EMPTY;

        /* helpers announce no ICMP; what is related to a connection is no connection */
        icmp = diagram_union(c->diagram, where(c, MEANING_PROTOCOL, IPPROTO_ICMP),
                             where(c, MEANING_PROTOCOL, IPPROTO_ICMPV6));
        x = diagram_minus(c->diagram, x, both(c, icmp, where(c, MEANING_CLASS, MEANING_EXPECTED)));
        if (way == MEANING_TRANSLATED)
                return diagram_minus(c->diagram, x, where(c, MEANING_CLASS, MEANING_UNTRACKED));
        for (size_t i = 0; i < ARRAY_SIZE(zones); i++) {
                ZoneTerm term = {.zone = zones[i]};
                ZoneExpression e = {.restricts = true, .terms = &term, .n_terms = 1};

                if (zones[i])
                        networks = diagram_union(c->diagram, networks,
                                                 where_zone(c, &e, MEANING_DIALLED, MEANING_OUT));
        }
        return both(c, x, diagram_union(c->diagram, input, networks));
}

/* about: a simpler region that holds this one. */
static int add_case(Claims *c,
                    MeaningWay way,
                    DiagramId region,
                    DiagramId about,
                    uint16_t wrong,
                    Span at,
                    bool *broken) {
        Case case_ = {way, region, wrong, at, broken};

        if (meaning_error(c->m) < 0)
                return meaning_error(c->m);
        if (region == DIAGRAM_EMPTY)
                return 0;
        if (diagram_is_small(c->diagram, region, SMALL))
                about = region;
        c->care[way] = diagram_union(c->diagram, c->care[way], about);
        return arena_append(c->arena, c->cases, c->n_cases, case_) ? 0 : -ENOMEM;
}

static int add_protected(Claims *c, size_t i, MeaningWay way, DiagramId domain) {
        const Protected *p = &c->policy->protected[i];
        DiagramId bad = where_services(c, &p->services.set, MEANING_DIALLED_PORT), about;

        if (way == MEANING_TRANSLATED)
                bad = diagram_union(c->diagram, bad,
                                    where_services(c, &p->services.set, MEANING_FINAL_PORT));
        bad = both(c, bad, domain);
        about = bad;
        if (p->only_from.given)
                bad = diagram_minus(c->diagram, bad,
                                    where_zone(c, &p->only_from, MEANING_SOURCE, MEANING_IN));
        return add_case(c, way, bad, about, MEANING_ACCEPT, p->at, &c->broken_protected[i]);
}

static int add_all_protected(Claims *c) {
        static const MeaningWay ways[] = {MEANING_PLAIN, MEANING_TRANSLATED};

        for (size_t w = 0; w < ARRAY_SIZE(ways); w++) {
                DiagramId domain;

                if (ways[w] != c->way)
                        continue;
                domain = protected_domain(c, ways[w]);

                for (size_t i = 0; i < c->policy->n_protected; i++) {
                        int r = add_protected(c, i, ways[w], domain);

                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

/* What is not the policy's to test: that packets are what they seem, and the time. */
static DiagramId plain_facts(Claims *c, bool input) {
        DiagramId x = meaning_domain(c->m);

        x = both(c, where(c, MEANING_LINK, 0), x);
        x = both(c, where(c, MEANING_HOOK, input ? 0 : 1), x);
        x = both(c, where(c, MEANING_CLASS, MEANING_NEW), x);
        x = both(c, where(c, MEANING_TIME, 0), x);
        x = both(c, where(c, MEANING_FIB_SOURCE_OUT, 1), x);
        x = both(c, where(c, MEANING_FIB_SOURCE_IN_OUT, 1), x);
        x = both(c, where(c, MEANING_FIB_SOURCE_TYPE, FIB_TYPE_UNICAST), x);
        return both(
                c,
                where(c, MEANING_FIB_DESTINATION_TYPE, input ? FIB_TYPE_LOCAL : FIB_TYPE_UNICAST),
                x);
}

/* What the expectation is about, whichever way it goes, but for where it comes from: that may be a
 * large set, and is put on top at last. */
static DiagramId expected_region(Claims *c, const Expect *e) {
        const PolicyRule *rule = &e->rule;
        DiagramId x = where_services(c, &rule->services.set, MEANING_DIALLED_PORT);

        x = both(c, where_zone(c, &rule->to, MEANING_DIALLED, MEANING_OUT), x);
        x = outside(c, x, MEANING_DIALLED);
        if (e->section == SECTION_OUTBOUND) {
                DiagramId nobody = where(c, MEANING_USER, MEANING_NOBODY);
                DiagramId none = where(c, MEANING_GROUP, MEANING_NOBODY);

                /* a socket has both a user and a group, or neither */
                x = diagram_union(
                        c->diagram, both(c, both(c, nobody, none), x),
                        diagram_minus(c->diagram, x, diagram_union(c->diagram, nobody, none)));
        } else {

                x = outside(c, x, MEANING_SOURCE);
                x = without_value(c, x, MEANING_IN, interface_value("lo"));
        }
        if (rule->in.n_items > 0)
                x = both(c, meaning_where(c->m, MEANING_IN, &rule->in), x);
        if (rule->out.n_items > 0)
                x = both(c, meaning_where(c->m, MEANING_OUT, &rule->out), x);
        return without_value(c, x, MEANING_OUT, interface_value("lo"));
}

static int add_expected(Claims *c, const Expect *e, MeaningWay way, DiagramId region, bool input) {
        DiagramId facts = way == c->way ? plain_facts(c, input) : DIAGRAM_EMPTY;
        DiagramId services = where_services(c, &e->rule.services.set, MEANING_DIALLED_PORT);

        if (way != c->way)
                return 0;
        region = both(c, region, facts);
        if (way != MEANING_OUTPUT)
                region = both(c, where_zone(c, &e->rule.from, MEANING_SOURCE, MEANING_IN), region);
        return add_case(c, way, region, both(c, services, facts),
                        e->rule.verb == RULE_ALLOW ? MEANING_DROP : MEANING_ACCEPT, e->rule.at,
                        &c->broken_expects[e - c->policy->expects]);
}

/* Connections that go to the target instead of here. */
static DiagramId sent_to(Claims *c, size_t target) {
        DiagramId x =
                diagram_where_may(c->diagram, c->translation, (uint16_t)(MEANING_TARGET + target));

        return diagram_exists(c->diagram, both(c, x, plain_facts(c, true)), MEANING_HOOK);
}

static int add_forwarded(Claims *c, const Expect *e, DiagramId *region) {
        DiagramId rest = *region;
        size_t n_targets;
        const NatTarget *const *targets = meaning_targets(c->m, &n_targets);

        for (size_t i = 0; i < n_targets; i++) {
                const NatTarget *t = targets[i];
                DiagramId sent = sent_to(c, i), x = both(c, sent, *region);
                int r;

                if (t->family != c->family)
                        continue;

                rest = diagram_minus(c->diagram, rest, sent);
                x = both(c, meaning_where_value(c->m, MEANING_FINAL, t->address), x);
                if (t->port > 0)
                        x = both(c, where(c, MEANING_FINAL_PORT, t->port), x);
                x = both(c, where(c, MEANING_OUT, 0), x);
                r = add_expected(c, e, t->port > 0 ? MEANING_TRANSLATED : MEANING_PORT_KEPT, x,
                                 false);
                if (r < 0)
                        return r;
        }
        *region = rest;
        return 0;
}

/* A port may be published: it then ends at some container, at a port that is not protected. */
static int add_published(Claims *c, const Expect *e, DiagramId region) {
        static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_DCCP,
                                            IPPROTO_UDPLITE};
        uint16_t port = unprotected_port(c->policy);
        DiagramId with_ports = DIAGRAM_EMPTY;

        if (port == 0)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
                with_ports = diagram_union(c->diagram, with_ports,
                                           where(c, MEANING_PROTOCOL, protocols[i]));
        region = both(c, with_ports, region);
        region = both(c, meaning_where_value(c->m, MEANING_FINAL, published[c->family]), region);
        region = both(c, where(c, MEANING_FINAL_PORT, port), region);
        return add_expected(c, e, MEANING_TRANSLATED, both(c, where(c, MEANING_OUT, 0), region),
                            false);
}

static int add_expect(Claims *c, const Expect *e) {
        DiagramId region = expected_region(c, e);
        int r;

        if (e->section == SECTION_OUTBOUND)
                return add_expected(c, e, MEANING_OUTPUT, region, false);
        if (e->section == SECTION_ROUTED)
                return add_expected(c, e, MEANING_PLAIN, region, false);
        r = add_forwarded(c, e, &region);
        if (r == 0)
                r = add_expected(c, e, MEANING_PLAIN, region, true);
        return r == 0 ? add_published(c, e, region) : r;
}

static int add_cases(Claims *c) {
        int r = add_all_protected(c);

        if (r == 0 && c->policy->n_expects > 0)
                c->translation = meaning_of_translation(c->m, meaning_domain(c->m));
        for (size_t i = 0; i < c->policy->n_expects && r == 0; i++)
                r = add_expect(c, &c->policy->expects[i]);
        return r;
}

static int answer(Claims *c, const Case *case_) {
        DiagramId bad = both(c, case_->region,
                             diagram_where_may(c->diagram, c->ways[case_->way], case_->wrong));

        if (meaning_error(c->m) < 0)
                return meaning_error(c->m);
        if (bad == DIAGRAM_EMPTY || *case_->broken)
                return 0;
        *case_->broken = true;
        return refute(c, case_->way, bad, case_->at, case_->wrong == MEANING_ACCEPT);
}

static int check_way(Claims *c) {
        int r;

        if (cut_claims(c) < 0 || meaning_finish(c->m) < 0)
                return -ENOMEM;
        c->diagram = meaning_diagram(c->m);
        r = add_cases(c);
        if (r == 0 && c->care[c->way] != DIAGRAM_EMPTY) {
                c->ways[c->way] = meaning_of(c->m, c->way, c->care[c->way]);
                r = meaning_error(c->m);
                if (r == 0)
                        r = compare_way(c, c->way);
        }
        for (size_t i = 0; i < c->n_cases && (r == 0 || r == -EBADMSG); i++)
                r = answer(c, &c->cases[i]);
        return r == -EBADMSG ? 0 : r;
}

static int check_one(Claims *c) {
        _cleanup_(meaning_freep) Meaning *m = meaning_new(c->rs, c->family);
        _cleanup_(arena_freep) Arena *a = arena_new(0);

        c->m = m;
        c->arena = a;
        return m && a ? check_way(c) : -ENOMEM;
}

/* Whether a claim is about packets that go this way. */
static bool is_asked_for(const Policy *p, MeaningWay way) {
        bool asked = p->n_protected > 0 && (way == MEANING_PLAIN || way == MEANING_TRANSLATED);

        for (size_t i = 0; i < p->n_expects; i++)
                asked |= (p->expects[i].section == SECTION_OUTBOUND) == (way == MEANING_OUTPUT);
        return asked && (way != MEANING_PORT_KEPT || p->n_forwards > 0);
}

static int check(const Policy *policy, const Ruleset *rs, ClaimReport *ret, Diag *d) {
        _cleanup_free_ bool *broken = calloc(policy->n_protected + policy->n_expects + 1, 1);
        size_t n = policy->n_protected + policy->n_expects;
        ClaimReport report = {0};

        if (!broken)
                return -ENOMEM;
        for (Family f = 0; f < _FAMILY_MAX && n > 0; f++)
                for (MeaningWay w = 0; w < _MEANING_WAY_MAX; w++) {
                        Claims c = {
                                .policy = policy,
                                .rs = rs,
                                .d = d,
                                .family = f,
                                .way = w,
                                .broken_protected = broken,
                                .broken_expects = broken + policy->n_protected,
                                .random = UINT64_C(0x9e3779b97f4a7c15),
                        };
                        int r = is_asked_for(policy, w) ? check_one(&c) : 0;

                        if (r < 0)
                                return r;
                        report.n_compared += c.n_compared;
                }
        for (size_t i = 0; i < n; i++)
                report.n_proved += !broken[i];
        *ret = report;
        return report.n_proved == n ? 0 : -EBADMSG;
}

int claim_check(const Policy *policy, const Ruleset *rs, ClaimReport *ret, Diag *d) {
        ClaimReport report = {0};
        size_t n_cases;
        size_t n_errors = d->n_errors;
        int r = check(policy, rs, &report, d);

        if (r == -EPROTO && d->n_errors == n_errors)
                (void)diag_error(d, (Span){0},
                                 "internal error: the proof compares values that it has not told "
                                 "apart");

        if (r == -E2BIG) {
                report.undecided = policy->n_protected > 0;
                if (report.undecided)
                        diag_warning(d, policy->protected[0].at,
                                     "the rules are too complex for the proof that what is "
                                     "protected stays closed; they refuse it all the same");
                r = ruleset_check_expectations(policy, rs, &n_cases, d);
                report.n_proved = r == 0 ? policy->n_expects : 0;
        }
        *ret = report;
        return r;
}
