/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/expect.h"

#include <netinet/in.h>

#include "ruleset/cuts.h"

typedef struct Service1 {
        uint8_t protocol;
        uint16_t port; /* or ICMP's type */
} Service1;

typedef struct Check {
        const Policy *policy;
        const Expect *expect;
        Arena *arena; /* emptied after each expectation */
        Arena *slice; /* emptied after each service */
        Arena *steps; /* emptied after each connection */
        Diag *d;
        Cutter cutter;
        Cuts services[_DIMENSION_MAX]; /* cuts of ports, types and protocols by all rules */
        Cuts own[_DIMENSION_MAX];      /* by the expectation */
        Cuts cuts[_DIMENSION_MAX];     /* by the expectation, and by the rules for one service */
        RangeSet ranges[_DIMENSION_MAX];
        const RangeSet *within[_DIMENSION_MAX]; /* what the expectation is about; NULL: all */
        size_t n_cases;
} Check;

static int cut_by_part(Check *c, const ZonePart *part, Dimension address, Dimension interface) {
        if (cuts_add_ranges(c->arena, &c->own[address], &part->addresses[FAMILY_IPV4]) < 0 ||
            cuts_add_ranges(c->arena, &c->own[address + 1], &part->addresses[FAMILY_IPV6]) < 0)
                return -ENOMEM;
        return cuts_add_ranges(c->arena, &c->own[interface], &part->interfaces);
}

static int cut_by_zones(Check *c, const ZoneExpression *e, Dimension address, Dimension interface) {
        for (size_t i = 0; i < e->n_terms; i++) {
                const ZoneTerm *term = &e->terms[i];

                if (!term->zone &&
                    cuts_add(c->arena, &c->own[address + (int)term->family], term->range) < 0)
                        return -ENOMEM;
                for (size_t j = 0; term->zone && j < term->zone->n_parts; j++)
                        if (cut_by_part(c, &term->zone->parts[j], address, interface) < 0)
                                return -ENOMEM;
        }
        return 0;
}

static int cut_by_expectation(Check *c) {
        const PolicyRule *rule = &c->expect->rule;

        memset(c->own, 0, sizeof(c->own));
        if (cut_by_zones(c, &rule->from, DIMENSION_SOURCE4, DIMENSION_IN) < 0 ||
            cut_by_zones(c, &rule->to, DIMENSION_DESTINATION4, DIMENSION_OUT) < 0 ||
            cuts_add_ranges(c->arena, &c->own[DIMENSION_IN], &rule->in) < 0)
                return -ENOMEM;
        return cuts_add_ranges(c->arena, &c->own[DIMENSION_OUT], &rule->out);
}

/* The addresses that the expression means behind some interface; all if it names none. */
static int add_within(Check *c, const ZoneExpression *e, Dimension address) {
        for (Family f = 0; f < _FAMILY_MAX; f++) {
                RangeSet *set = &c->ranges[address + (int)f];
                bool all = !e->restricts;

                for (size_t i = 0; i < e->n_terms; i++) {
                        const ZoneTerm *t = &e->terms[i];

                        if (!t->zone && t->family == f &&
                            range_set_add(c->arena, set, t->range) < 0)
                                return -ENOMEM;
                        for (size_t j = 0; t->zone && j < t->zone->n_parts; j++) {
                                const ZonePart *p = &t->zone->parts[j];

                                all |= p->any_address;
                                if (range_set_add_all(c->arena, set, &p->addresses[f]) < 0)
                                        return -ENOMEM;
                        }
                }
                range_set_normalise(set);
                c->within[address + (int)f] = all ? NULL : set;
        }
        return 0;
}

static int find_within(Check *c) {
        const PolicyRule *rule = &c->expect->rule;

        memset(c->ranges, 0, sizeof(c->ranges));
        memset(c->within, 0, sizeof(c->within));
        if (add_within(c, &rule->from, DIMENSION_SOURCE4) < 0 ||
            add_within(c, &rule->to, DIMENSION_DESTINATION4) < 0)
                return -ENOMEM;
        c->within[DIMENSION_IN] = rule->in.n_items > 0 ? &rule->in : NULL;
        c->within[DIMENSION_OUT] = rule->out.n_items > 0 ? &rule->out : NULL;
        return 0;
}

/* Loopback addresses never come from outside, nor those of IPv4 within IPv6 (RFC 4291, 2.5.5.2):
 * what is always so is not the policy's to test. */
static bool is_outside(Dimension d, U128 value) {
        if (d == DIMENSION_SOURCE4 || d == DIMENSION_DESTINATION4)
                return value.low >> 24 != 127;
        if (d == DIMENSION_SOURCE6 || d == DIMENSION_DESTINATION6)
                return !u128_equal(value, u128(1)) &&
                       !(value.high == 0 && value.low >> 32 == UINT64_C(0xffff));
        return true;
}

static void filter(const Check *c, Cuts *cuts, Dimension d) {
        size_t n = 0;

        for (size_t i = 0; i < cuts->n_values; i++)
                if ((!c->within[d] || range_set_contains(c->within[d], cuts->values[i])) &&
                    is_outside(d, cuts->values[i]))
                        cuts->values[n++] = cuts->values[i];
        cuts->n_values = n;
}

static int
add_service(Check *c, Service1 **list, size_t *n, uint8_t protocol, bool is_protocol, U128 value) {
        Service1 s = {protocol, (uint16_t)value.low};

        if (is_protocol) {
                s = (Service1){.protocol = (uint8_t)value.low};
                if (protocol_has_ports(s.protocol) || s.protocol == IPPROTO_ICMP ||
                    s.protocol == IPPROTO_ICMPV6)
                        return 0;
        }
        return arena_append(c->arena, *list, *n, s) ? 0 : -ENOMEM;
}

/* Of what is wanted (NULL: all there is), the first value and every cut. */
static int add_services(Check *c,
                        Service1 **list,
                        size_t *n,
                        uint8_t protocol,
                        Dimension dimension,
                        const RangeSet *wanted) {
        const Cuts *cuts = &c->services[dimension];
        Range all = {U128_ZERO, U128_MAX};
        RangeSet everything = {&all, 1};

        wanted = wanted ? wanted : &everything;
        for (size_t i = 0; i < wanted->n_items; i++) {
                Range r = wanted->items[i];
                size_t low = 0, high = cuts->n_values;

                if (wanted != &everything &&
                    add_service(c, list, n, protocol, dimension == DIMENSION_PROTOCOL, r.low) < 0)
                        return -ENOMEM;
                while (low < high) {
                        size_t middle = low + (high - low) / 2;

                        if (u128_compare(cuts->values[middle], r.low) < 0)
                                low = middle + 1;
                        else
                                high = middle;
                }
                for (; low < cuts->n_values && u128_compare(cuts->values[low], r.high) <= 0; low++)
                        if ((wanted == &everything || !u128_equal(cuts->values[low], r.low)) &&
                            add_service(c, list, n, protocol, dimension == DIMENSION_PROTOCOL,
                                        cuts->values[low]) < 0)
                                return -ENOMEM;
        }
        return 0;
}

static int list_services(Check *c, Service1 **ret, size_t *ret_n) {
        const ServiceSet *s = &c->expect->rule.services.set;
        const struct {
                uint8_t protocol;
                Dimension dimension;
                const RangeSet *wanted;
        } rows[] = {
                {IPPROTO_TCP, DIMENSION_PORT, &s->tcp},
                {IPPROTO_UDP, DIMENSION_PORT, &s->udp},
                {IPPROTO_SCTP, DIMENSION_PORT, &s->sctp},
                {IPPROTO_ICMP, DIMENSION_ICMP, &s->icmp},
                {IPPROTO_ICMPV6, DIMENSION_ICMPV6, &s->icmpv6},
                {0, DIMENSION_PROTOCOL, &s->protocols},
        };
        Service1 *list = NULL;
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (add_services(c, &list, &n, rows[i].protocol, rows[i].dimension,
                                 s->any ? NULL : rows[i].wanted) < 0)
                        return -ENOMEM;
        *ret = list;
        *ret_n = n;
        return 0;
}

static int report(Check *c, const PacketQuestion *q, U128 in, U128 out, const Evaluation *e) {
        const Origin *origin = evaluation_origin(e);
        _cleanup_free_ char *example = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&example, &size);

        if (!f)
                return -ENOMEM;
        question_describe(q, in, out, f);
        (void)fclose(f); /* fails only without memory, and then leaves example NULL */
        (void)diag_error(c->d, c->expect->rule.at, "this does not hold: %s is %s",
                         example ? example : "a connection",
                         e->verdict == VERDICT_ACCEPT ? "allowed" : "refused");
        if (origin && origin->at.source)
                diag_note(c->d, origin->at, "this decides");
        else if (origin && origin->text)
                diag_hint(c->d, "what decides: %s", origin->text);
        return -EBADMSG;
}

/* Essentials pass whatever the policy says, so no expectation is about them. */
static bool is_essential(const Evaluation *e) {
        for (size_t i = 0; i < e->n_steps; i++)
                if (e->verdict == VERDICT_ACCEPT && e->steps[i].rule &&
                    e->steps[i].rule->verdict.kind == VERDICT_ACCEPT &&
                    startswith(e->steps[i].chain->name, "essentials-"))
                        return true;
        return false;
}

/* Where a port is published, the connection ends elsewhere, at a port that is not protected: what
 * counts is what was dialled. False if there is no such port. */
static bool publish(const Check *c, PacketQuestion *q) {
        /* documentation addresses (RFC 5737, RFC 3849), which stand for a container's */
        static const U128 ends[_FAMILY_MAX] = {
                [FAMILY_IPV4] = {0, 0xc0000201},
                [FAMILY_IPV6] = {UINT64_C(0x20010db800000000), 1},
        };

        q->translated = true;
        q->hook = HOOK_FORWARD;
        q->dialled = q->destination;
        q->dialled_port = q->destination_port;
        q->destination = ends[q->family];
        for (uint16_t port = UINT16_MAX; port > 0; port--) {
                bool taken = false;

                for (size_t i = 0; i < c->policy->n_protected && !taken; i++) {
                        const ServiceSet *s = &c->policy->protected[i].services.set;

                        taken = s->any || range_set_contains(&s->tcp, u128(port)) ||
                                range_set_contains(&s->udp, u128(port)) ||
                                range_set_contains(&s->sctp, u128(port));
                }
                q->destination_port = port;
                if (!taken)
                        return true;
        }
        return false;
}

/* 0 if the connection fares as expected. */
static int try_packet(Check *c, PacketQuestion *q, U128 in, U128 out) {
        bool wanted = c->expect->rule.verb == RULE_ALLOW;
        Evaluation e;
        Packet p;
        int r;

        arena_reset(c->steps);
        packet_init(&p, q);
        if (p.present[FIELD_IIFNAME])
                p.values[FIELD_IIFNAME] = in;
        if (p.present[FIELD_OIFNAME])
                p.values[FIELD_OIFNAME] = out;
        r = ruleset_eval(&c->cutter.base, c->steps, q->hook, &p, &e);
        if (r < 0)
                return r;
        if ((e.verdict == VERDICT_ACCEPT) == wanted || is_essential(&e))
                return 0;
        return report(c, q, in, out, &e);
}

/* An inbound connection may also be one that is published, or that the policy itself forwards. */
static int try_connection(Check *c, PacketQuestion *q, U128 in, U128 out) {
        PacketQuestion other = *q;
        int r;

        if (++c->n_cases > EXPECT_CASES_MAX)
                return -E2BIG;
        if (c->policy->n_forwards > 0) {
                r = ruleset_translate(&c->cutter.base, &in, &other);
                if (r != 0)
                        return r < 0 ? r : try_packet(c, &other, in, out);
        }
        r = try_packet(c, q, in, out);
        if (r == 0 && q->hook == HOOK_INPUT && protocol_has_ports(q->protocol) &&
            publish(c, &other))
                r = try_packet(c, &other, in, out);
        return r;
}

/* Every owner that the rules tell apart, and the kernel's own sockets. */
static int try_owners(Check *c, PacketQuestion *q, U128 in, U128 out) {
        const Cuts *users = &c->cuts[DIMENSION_USER], *groups = &c->cuts[DIMENSION_GROUP];
        int r = try_connection(c, q, in, out);

        /* zero alone: no rule asks who owns the socket */
        if (q->hook != HOOK_OUTPUT || users->n_values + groups->n_values == 2)
                return r;
        q->has_user = q->has_group = true;
        for (size_t i = 0; i < users->n_values && r == 0; i++)
                for (size_t j = 0; j < groups->n_values && r == 0; j++) {
                        q->user = (uint32_t)users->values[i].low;
                        q->group = (uint32_t)groups->values[j].low;
                        r = try_connection(c, q, in, out);
                }
        q->has_user = q->has_group = false;
        return r;
}

static bool fits(const Check *c, const PacketQuestion *q, U128 in, U128 out) {
        const PolicyRule *rule = &c->expect->rule;

        if (rule->from.restricts &&
            !zone_expression_contains(&rule->from, &in, q->family, q->source))
                return false;
        return !rule->to.restricts ||
               zone_expression_contains(&rule->to, &out, q->family, q->destination);
}

/* All interfaces and destinations for one source and one service. */
static int try_places(Check *c, PacketQuestion *q, const Cuts *destinations) {
        const Cuts *in = &c->cuts[DIMENSION_IN], *out = &c->cuts[DIMENSION_OUT];
        size_t n_in = q->hook == HOOK_OUTPUT ? 1 : in->n_values;
        size_t n_out = q->hook == HOOK_INPUT ? 1 : out->n_values;

        for (size_t i = 0; i < destinations->n_values; i++)
                for (size_t j = 0; j < n_in; j++)
                        for (size_t k = 0; k < n_out; k++) {
                                U128 arrives = in->values[j], leaves = out->values[k];
                                int r;

                                q->destination = destinations->values[i];
                                if (u128_equal(arrives, interface_value("lo")) ||
                                    u128_equal(leaves, interface_value("lo")) ||
                                    !fits(c, q, arrives, leaves))
                                        continue;
                                r = try_owners(c, q, arrives, leaves);
                                if (r < 0)
                                        return r;
                        }
        return 0;
}

static Hook hook_of(SectionId section) {
        return section == SECTION_INBOUND    ? HOOK_INPUT
               : section == SECTION_OUTBOUND ? HOOK_OUTPUT
                                             : HOOK_FORWARD;
}

static const Dimension sliced[] = {
        DIMENSION_SOURCE4, DIMENSION_SOURCE6, DIMENSION_DESTINATION4, DIMENSION_DESTINATION6,
        DIMENSION_IN,      DIMENSION_OUT,     DIMENSION_USER,         DIMENSION_GROUP,
};

/* All packets that are tried as q is, whatever their addresses, interfaces and owners. */
static int cut_by_class(Check *c, const PacketQuestion *q) {
        static const FieldId varying[] = {FIELD_IP_SADDR, FIELD_IP6_SADDR, FIELD_CT_IP_DADDR,
                                          FIELD_CT_IP6_DADDR};
        PacketClass class = {.hook = q->hook, .within = c->within};

        packet_init(&class.packet, q);
        for (size_t i = 0; i < ARRAY_SIZE(varying); i++)
                class.varies[varying[i]] = class.packet.present[varying[i]];
        for (FieldId f = 0; f < _FIELD_MAX; f++)
                if (fields[f].prefix > 0)
                        class.varies[f] = class.packet.present[f];
        class.varies[FIELD_IIFNAME] = class.packet.present[FIELD_IIFNAME];
        class.varies[FIELD_OIFNAME] = class.packet.present[FIELD_OIFNAME];
        class.varies[FIELD_SKUID] = class.varies[FIELD_SKGID] = q->hook == HOOK_OUTPUT;
        class.varies[FIELD_IP_DADDR] = q->family == FAMILY_IPV4 && !q->translated;
        class.varies[FIELD_IP6_DADDR] = q->family == FAMILY_IPV6 && !q->translated;
        if (cutter_add_class(&c->cutter, &class) < 0)
                return -ENOMEM;
        return q->hook == HOOK_INPUT ? cutter_add_translation(&c->cutter, &class) : 0;
}

/* Where the policy itself sends the connection. */
static int cut_by_forward(Check *c, const Forward *f, const PacketQuestion *q) {
        PacketQuestion other = *q;

        if (f->family != q->family)
                return 0;
        other.translated = true;
        other.hook = HOOK_FORWARD;
        other.dialled_port = q->destination_port;
        other.destination = f->address;
        if (f->port > 0)
                other.destination_port = f->port;
        return cut_by_class(c, &other);
}

/* What is told apart among the connections to one service. */
static int slice(Check *c, const PacketQuestion *q) {
        PacketQuestion other = *q;

        arena_reset(c->slice);
        memset(c->cuts, 0, sizeof(c->cuts));
        for (size_t i = 0; i < ARRAY_SIZE(sliced); i++) {
                const Cuts *own = &c->own[sliced[i]];

                for (size_t j = 0; j < own->n_values; j++)
                        if (!arena_append(c->slice, c->cuts[sliced[i]].values,
                                          c->cuts[sliced[i]].n_values, own->values[j]))
                                return -ENOMEM;
        }
        c->cutter.arena = c->slice;
        c->cutter.cuts = c->cuts;
        if (cut_by_class(c, q) < 0)
                return -ENOMEM;
        if (q->hook == HOOK_INPUT && protocol_has_ports(q->protocol)) {
                if (publish(c, &other) && cut_by_class(c, &other) < 0)
                        return -ENOMEM;
                for (size_t i = 0; i < c->policy->n_forwards; i++)
                        if (cut_by_forward(c, &c->policy->forwards[i], q) < 0)
                                return -ENOMEM;
        }
        for (size_t i = 0; i < ARRAY_SIZE(sliced); i++) {
                if (cuts_finish(c->slice, &c->cuts[sliced[i]], sliced[i]) < 0)
                        return -ENOMEM;
                filter(c, &c->cuts[sliced[i]], sliced[i]);
        }
        return 0;
}

static int try_service(Check *c, PacketQuestion *q) {
        const Cuts *sources = &c->cuts[DIMENSION_SOURCE4 + (int)q->family];
        const Cuts *destinations = &c->cuts[DIMENSION_DESTINATION4 + (int)q->family];
        size_t n_sources;
        int r = slice(c, q);

        if (r < 0 || c->cuts[DIMENSION_IN].n_values == 0 || c->cuts[DIMENSION_OUT].n_values == 0)
                return r;
        n_sources = q->hook == HOOK_OUTPUT ? 1 : sources->n_values;
        for (size_t i = 0; i < n_sources && r == 0; i++) {
                q->source = sources->values[i];
                r = try_places(c, q, destinations);
        }
        return r;
}

static int try_family(Check *c, Family family, const Service1 *services, size_t n_services) {
        PacketQuestion q = {
                .hook = hook_of(c->expect->section),
                .family = family,
                .source_port = 49152,
                .ct_state = CT_STATE_NEW,
        };

        for (size_t i = 0; i < n_services; i++) {
                uint8_t other = family == FAMILY_IPV4 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
                int r;

                if (services[i].protocol == other)
                        continue;
                q.protocol = services[i].protocol;
                q.destination_port = services[i].port;
                q.icmp_type = (uint8_t)services[i].port;
                r = try_service(c, &q);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_one(Check *c) {
        Service1 *services;
        size_t n_services;
        int r;

        if (cut_by_expectation(c) < 0 || find_within(c) < 0 ||
            list_services(c, &services, &n_services) < 0)
                return -ENOMEM;
        c->n_cases = 0;
        r = try_family(c, FAMILY_IPV4, services, n_services);
        if (r == 0)
                r = try_family(c, FAMILY_IPV6, services, n_services);
        if (r == -E2BIG) {
                r = diag_error(
                        c->d, c->expect->rule.at,
                        "this expectation has more than %d cases to try, so it is not decided",
                        EXPECT_CASES_MAX);
                diag_hint(c->d, "make it narrower: name a service, a zone or an interface");
        }
        return r;
}

/* Once for all expectations: which services the rules tell apart. */
static int cut_services(Check *c, Arena *a) {
        c->cutter.arena = a;
        c->cutter.cuts = c->services;
        if (cutter_add_all(&c->cutter, DIMENSION_PORT, DIMENSION_PROTOCOL) < 0)
                return -ENOMEM;
        for (Dimension d = DIMENSION_PORT; d <= DIMENSION_PROTOCOL; d++)
                if (cuts_finish(a, &c->services[d], d) < 0)
                        return -ENOMEM;
        return 0;
}

int ruleset_check_expectations(const Policy *policy,
                               const Ruleset *rs,
                               size_t *ret_cases,
                               Diag *d) {
        _cleanup_(arena_freep) Arena *arena = arena_new(0), *slices = arena_new(0);
        _cleanup_(arena_freep) Arena *steps = arena_new(0), *services = arena_new(0);
        Check c = {.policy = policy, .arena = arena, .slice = slices, .steps = steps, .d = d};
        size_t n_cases = 0;
        int result = 0;

        *ret_cases = 0;
        if (policy->n_expects == 0)
                return 0;
        if (!arena || !slices || !steps || !services || cutter_init(&c.cutter, rs, services) < 0 ||
            cut_services(&c, services) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < policy->n_expects; i++) {
                int r;

                c.expect = &policy->expects[i];
                r = check_one(&c);
                arena_reset(arena);
                n_cases += c.n_cases;
                if (r < 0 && r != -EBADMSG)
                        return r;
                if (r < 0)
                        result = r;
        }
        *ret_cases = n_cases;
        return result;
}
