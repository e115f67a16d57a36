/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/claim_state.h"

#include <netinet/in.h>

/* What each claim says: packets of which region must not fare how. */

#define SMALL 6000 /* edges of a region that makes the search narrower */

/* `protected` does not ask how a connection comes to be, only where it comes from and ends. */
static DiagramId protected_domain(Claims *c, MeaningWay way) {
        const Zone *zones[] = {c->policy->containers, c->policy->vms};
        DiagramId x =
                claim_without_value(c, meaning_domain(c->m), MEANING_IN, interface_value("lo"));
        DiagramId input = claim_where(c, MEANING_HOOK, 0), icmp, networks = DIAGRAM_EMPTY;

        /* helpers announce no ICMP; what is related to a connection is no connection */
        icmp = diagram_union(c->diagram, claim_where(c, MEANING_PROTOCOL, IPPROTO_ICMP),
                             claim_where(c, MEANING_PROTOCOL, IPPROTO_ICMPV6));
        x = diagram_minus(c->diagram, x,
                          claim_both(c, icmp, claim_where(c, MEANING_CLASS, MEANING_EXPECTED)));
        if (way == MEANING_TRANSLATED)
                return diagram_minus(c->diagram, x,
                                     claim_where(c, MEANING_CLASS, MEANING_UNTRACKED));
        for (size_t i = 0; i < ARRAY_SIZE(zones); i++) {
                ZoneTerm term = {.zone = zones[i]};
                ZoneExpression e = {.restricts = true, .terms = &term, .n_terms = 1};

                if (zones[i])
                        networks = diagram_union(
                                c->diagram, networks,
                                claim_where_zone(c, &e, MEANING_DIALLED, MEANING_OUT));
        }
        return claim_both(c, x, diagram_union(c->diagram, input, networks));
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
        DiagramId bad = claim_where_services(c, &p->services.set, MEANING_DIALLED_PORT), about;

        if (way == MEANING_TRANSLATED)
                bad = diagram_union(c->diagram, bad,
                                    claim_where_services(c, &p->services.set, MEANING_FINAL_PORT));
        bad = claim_both(c, bad, domain);
        about = bad;
        if (p->only_from.given)
                bad = diagram_minus(c->diagram, bad,
                                    claim_where_zone(c, &p->only_from, MEANING_SOURCE, MEANING_IN));
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

        x = claim_both(c, claim_where(c, MEANING_LINK, 0), x);
        x = claim_both(c, claim_where(c, MEANING_HOOK, input ? 0 : 1), x);
        x = claim_both(c, claim_where(c, MEANING_CLASS, MEANING_NEW), x);
        x = claim_both(c, claim_where(c, MEANING_TIME, 0), x);
        x = claim_both(c, claim_where(c, MEANING_FIB_SOURCE_OUT, 1), x);
        x = claim_both(c, claim_where(c, MEANING_FIB_SOURCE_IN_OUT, 1), x);
        x = claim_both(c, claim_where(c, MEANING_FIB_SOURCE_TYPE, FIB_TYPE_UNICAST), x);
        return claim_both(c,
                          claim_where(c, MEANING_FIB_DESTINATION_TYPE,
                                      input ? FIB_TYPE_LOCAL : FIB_TYPE_UNICAST),
                          x);
}

/* What the expectation is about, whichever way it goes, but for where it comes from: that may be a
 * large set, and is put on top at last. */
static DiagramId expected_region(Claims *c, const Expect *e) {
        const PolicyRule *rule = &e->rule;
        DiagramId x = claim_where_services(c, &rule->services.set, MEANING_DIALLED_PORT);

        x = claim_both(c, claim_where_zone(c, &rule->to, MEANING_DIALLED, MEANING_OUT), x);
        x = claim_outside(c, x, MEANING_DIALLED);
        if (e->section == SECTION_OUTBOUND) {
                DiagramId nobody = claim_where(c, MEANING_USER, MEANING_NOBODY);
                DiagramId none = claim_where(c, MEANING_GROUP, MEANING_NOBODY);

                /* a socket has both a user and a group, or neither */
                x = diagram_union(
                        c->diagram, claim_both(c, claim_both(c, nobody, none), x),
                        diagram_minus(c->diagram, x, diagram_union(c->diagram, nobody, none)));
        } else {

                x = claim_outside(c, x, MEANING_SOURCE);
                x = claim_without_value(c, x, MEANING_IN, interface_value("lo"));
        }
        if (rule->in.n_items > 0)
                x = claim_both(c, meaning_where(c->m, MEANING_IN, &rule->in), x);
        if (rule->out.n_items > 0)
                x = claim_both(c, meaning_where(c->m, MEANING_OUT, &rule->out), x);
        return claim_without_value(c, x, MEANING_OUT, interface_value("lo"));
}

static int add_expected(Claims *c, const Expect *e, MeaningWay way, DiagramId region, bool input) {
        DiagramId facts = way == c->way ? plain_facts(c, input) : DIAGRAM_EMPTY;
        DiagramId services = claim_where_services(c, &e->rule.services.set, MEANING_DIALLED_PORT);

        if (way != c->way)
                return 0;
        region = claim_both(c, region, facts);
        if (way != MEANING_OUTPUT)
                region = claim_both(
                        c, claim_where_zone(c, &e->rule.from, MEANING_SOURCE, MEANING_IN), region);
        return add_case(c, way, region, claim_both(c, services, facts),
                        e->rule.verb == RULE_ALLOW ? MEANING_DROP : MEANING_ACCEPT, e->rule.at,
                        &c->broken_expects[e - c->policy->expects]);
}

/* Connections that go to the target instead of here. */
static DiagramId sent_to(Claims *c, size_t target) {
        DiagramId x =
                diagram_where_may(c->diagram, c->translation, (uint16_t)(MEANING_TARGET + target));

        return diagram_forget(c->diagram, claim_both(c, x, plain_facts(c, true)), meaning_facts);
}

static int add_forwarded(Claims *c, const Expect *e, DiagramId *region) {
        DiagramId rest = *region;
        size_t n_targets;
        const NatTarget *const *targets = meaning_targets(c->m, &n_targets);

        for (size_t i = 0; i < n_targets; i++) {
                const NatTarget *t = targets[i];
                DiagramId sent = sent_to(c, i), x = claim_both(c, sent, *region);
                int r;

                if (t->family != c->family)
                        continue;

                rest = diagram_minus(c->diagram, rest, sent);
                x = claim_both(c, meaning_where_value(c->m, MEANING_FINAL, t->address), x);
                if (t->port > 0)
                        x = claim_both(c, claim_where(c, MEANING_FINAL_PORT, t->port), x);
                x = claim_both(c, claim_where(c, MEANING_OUT, 0), x);
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
        uint16_t port = claim_unprotected_port(c->policy);
        DiagramId with_ports = DIAGRAM_EMPTY;

        if (port == 0)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
                with_ports = diagram_union(c->diagram, with_ports,
                                           claim_where(c, MEANING_PROTOCOL, protocols[i]));
        region = claim_both(c, with_ports, region);
        region = claim_both(c, meaning_where_value(c->m, MEANING_FINAL, claim_published[c->family]),
                            region);
        region = claim_both(c, claim_where(c, MEANING_FINAL_PORT, port), region);
        return add_expected(c, e, MEANING_TRANSLATED,
                            claim_both(c, claim_where(c, MEANING_OUT, 0), region), false);
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

int claim_add_cases(Claims *c) {
        int r = add_all_protected(c);

        if (r == 0 && c->policy->n_expects > 0)
                c->translation = meaning_of_translation(c->m, meaning_domain(c->m));
        for (size_t i = 0; i < c->policy->n_expects && r == 0; i++)
                r = add_expect(c, &c->policy->expects[i]);
        return r;
}
