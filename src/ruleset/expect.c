/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/expect.h"

#include <netinet/in.h>

#include "ruleset/packet.h"

/* What is told apart, a field at a time. */
typedef enum Dimension {
        DIMENSION_SOURCE4,
        DIMENSION_SOURCE6,
        DIMENSION_DESTINATION4,
        DIMENSION_DESTINATION6,
        DIMENSION_IN,
        DIMENSION_OUT,
        DIMENSION_PORT,
        DIMENSION_ICMP,
        DIMENSION_ICMPV6,
        DIMENSION_PROTOCOL,
        DIMENSION_USER,
        DIMENSION_GROUP,
        _DIMENSION_MAX,
        DIMENSION_NONE = -EINVAL,
} Dimension;

/* The first values of all the intervals into which the rules and the expectation cut a field. */
typedef struct Cuts {
        U128 *values;
        size_t n_values;
} Cuts;

typedef struct Service1 {
        uint8_t protocol;
        uint16_t port; /* or ICMP's type */
} Service1;

typedef struct Check {
        const Policy *policy;
        const Ruleset *rs;
        const Expect *expect;
        Arena *arena; /* emptied after each expectation */
        Arena *steps; /* emptied after each connection */
        Diag *d;
        Cuts cuts[_DIMENSION_MAX];
        size_t n_cases;
} Check;

static Dimension dimension_of(FieldId field) {
        static const struct {
                FieldId field;
                Dimension dimension;
        } rows[] = {
                {FIELD_IP_SADDR, DIMENSION_SOURCE4},
                {FIELD_IP6_SADDR, DIMENSION_SOURCE6},
                {FIELD_IP_DADDR, DIMENSION_DESTINATION4},
                {FIELD_CT_IP_DADDR, DIMENSION_DESTINATION4},
                {FIELD_IP6_DADDR, DIMENSION_DESTINATION6},
                {FIELD_CT_IP6_DADDR, DIMENSION_DESTINATION6},
                {FIELD_IIFNAME, DIMENSION_IN},
                {FIELD_OIFNAME, DIMENSION_OUT},
                {FIELD_DPORT, DIMENSION_PORT},
                {FIELD_CT_DPORT, DIMENSION_PORT},
                {FIELD_ICMP_TYPE, DIMENSION_ICMP},
                {FIELD_ICMPV6_TYPE, DIMENSION_ICMPV6},
                {FIELD_L4PROTO, DIMENSION_PROTOCOL},
                {FIELD_SKUID, DIMENSION_USER},
                {FIELD_SKGID, DIMENSION_GROUP},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].field == field)
                        return rows[i].dimension;
        return DIMENSION_NONE;
}

static int cut(Check *c, Dimension dimension, Range r) {
        Cuts *cuts = &c->cuts[dimension];

        if (!arena_append(c->arena, cuts->values, cuts->n_values, r.low))
                return -ENOMEM;
        if (u128_equal(r.high, U128_MAX))
                return 0;
        return arena_append(c->arena, cuts->values, cuts->n_values, u128_next(r.high)) ? 0
                                                                                       : -ENOMEM;
}

static int cut_ranges(Check *c, Dimension dimension, const RangeSet *set) {
        for (size_t i = 0; i < set->n_items; i++)
                if (cut(c, dimension, set->items[i]) < 0)
                        return -ENOMEM;
        return 0;
}

static int cut_by_set(Check *c, const Set *set, const FieldId *list, size_t n) {
        for (size_t i = 0; set && i < n; i++) {
                Dimension dimension = dimension_of(list[i]);

                for (size_t j = 0; dimension != DIMENSION_NONE && j < set->n_elements; j++)
                        if (cut(c, dimension, set->elements[j].key[i]) < 0)
                                return -ENOMEM;
        }
        return 0;
}

static int cut_by_rules(Check *c) {
        for (size_t i = 0; i < c->rs->n_chains; i++)
                for (size_t j = 0; j < c->rs->chains[i]->n_rules; j++) {
                        const Rule *rule = &c->rs->chains[i]->rules[j];

                        if (cut_by_set(c, rule->map, rule->map_fields, rule->n_map_fields) < 0)
                                return -ENOMEM;
                        for (size_t k = 0; k < rule->n_matches; k++)
                                if (cut_by_set(c, rule->matches[k].set, rule->matches[k].fields,
                                               rule->matches[k].n_fields) < 0)
                                        return -ENOMEM;
                }
        return 0;
}

static int cut_by_part(Check *c, const ZonePart *part, Dimension address, Dimension interface) {
        if (cut_ranges(c, address, &part->addresses[FAMILY_IPV4]) < 0 ||
            cut_ranges(c, address + 1, &part->addresses[FAMILY_IPV6]) < 0)
                return -ENOMEM;
        return cut_ranges(c, interface, &part->interfaces);
}

static int cut_by_zones(Check *c, const ZoneExpression *e, Dimension address, Dimension interface) {
        for (size_t i = 0; i < e->n_terms; i++) {
                const ZoneTerm *term = &e->terms[i];

                if (!term->zone && cut(c, address + (int)term->family, term->range) < 0)
                        return -ENOMEM;
                for (size_t j = 0; term->zone && j < term->zone->n_parts; j++)
                        if (cut_by_part(c, &term->zone->parts[j], address, interface) < 0)
                                return -ENOMEM;
        }
        return 0;
}

static int cut_by_expectation(Check *c) {
        const PolicyRule *rule = &c->expect->rule;
        const ServiceSet *s = &rule->services.set;

        if (cut_by_zones(c, &rule->from, DIMENSION_SOURCE4, DIMENSION_IN) < 0 ||
            cut_by_zones(c, &rule->to, DIMENSION_DESTINATION4, DIMENSION_OUT) < 0 ||
            cut_ranges(c, DIMENSION_IN, &rule->in) < 0 ||
            cut_ranges(c, DIMENSION_OUT, &rule->out) < 0 ||
            cut_ranges(c, DIMENSION_PORT, &s->tcp) < 0 ||
            cut_ranges(c, DIMENSION_PORT, &s->udp) < 0 ||
            cut_ranges(c, DIMENSION_PORT, &s->sctp) < 0 ||
            cut_ranges(c, DIMENSION_ICMP, &s->icmp) < 0 ||
            cut_ranges(c, DIMENSION_ICMPV6, &s->icmpv6) < 0)
                return -ENOMEM;
        return cut_ranges(c, DIMENSION_PROTOCOL, &s->protocols);
}

static int compare_values(const void *a, const void *b) {
        const U128 *x = a, *y = b;

        return u128_compare(*x, *y);
}

/* The largest value that each field can have. */
static U128 maximum(Dimension dimension) {
        switch (dimension) {
        case DIMENSION_SOURCE4:
        case DIMENSION_DESTINATION4:
        case DIMENSION_USER:
        case DIMENSION_GROUP:
                return u128(UINT32_MAX);
        case DIMENSION_PORT:
                return u128(UINT16_MAX);
        case DIMENSION_ICMP:
        case DIMENSION_ICMPV6:
        case DIMENSION_PROTOCOL:
                return u128(UINT8_MAX);
        case DIMENSION_SOURCE6:
        case DIMENSION_DESTINATION6:
        case DIMENSION_IN:
        case DIMENSION_OUT:
        case _DIMENSION_MAX:
        case DIMENSION_NONE:
                break;
        }
        return U128_MAX;
}

/* Sorts, drops what stands twice or is no value of the field, and adds the lowest one. */
static int finish_cuts(Check *c) {
        for (Dimension i = 0; i < _DIMENSION_MAX; i++) {
                Cuts *cuts = &c->cuts[i];
                U128 lowest = u128(i == DIMENSION_PORT);
                size_t n = 0;

                if (cut(c, i, range_single(lowest)) < 0)
                        return -ENOMEM;
                qsort(cuts->values, cuts->n_values, sizeof(cuts->values[0]), compare_values);
                for (size_t j = 0; j < cuts->n_values; j++)
                        if (u128_compare(cuts->values[j], maximum(i)) <= 0 &&
                            u128_compare(cuts->values[j], lowest) >= 0 &&
                            (n == 0 || !u128_equal(cuts->values[j], cuts->values[n - 1])))
                                cuts->values[n++] = cuts->values[j];
                cuts->n_values = n;
        }
        return 0;
}

/* Keeps the values that `keep` says yes to. */
static void filter(Cuts *cuts, bool (*keep)(const Check *c, U128 value), const Check *c) {
        size_t n = 0;

        for (size_t i = 0; i < cuts->n_values; i++)
                if (keep(c, cuts->values[i]))
                        cuts->values[n++] = cuts->values[i];
        cuts->n_values = n;
}

static bool keep_in(const Check *c, U128 value) {
        const RangeSet *in = &c->expect->rule.in;

        return in->n_items == 0 || range_set_contains(in, value);
}

static bool keep_out(const Check *c, U128 value) {
        const RangeSet *out = &c->expect->rule.out;

        return out->n_items == 0 || range_set_contains(out, value);
}

/* Loopback addresses never come from outside, nor those of IPv4 within IPv6 (RFC 4291, 2.5.5.2):
 * what is always so is not the policy's to test. */
static bool keep_outside4(const Check *c, U128 value) {
        return value.low >> 24 != 127;
}

static bool keep_outside6(const Check *c, U128 value) {
        return !u128_equal(value, u128(1)) &&
               !(value.high == 0 && value.low >> 32 == UINT64_C(0xffff));
}

static int add_services(Check *c,
                        Service1 **list,
                        size_t *n,
                        uint8_t protocol,
                        Dimension dimension,
                        const RangeSet *wanted) {
        const Cuts *cuts = &c->cuts[dimension];

        for (size_t i = 0; i < cuts->n_values; i++) {
                Service1 s = {protocol, (uint16_t)cuts->values[i].low};

                if (wanted && !range_set_contains(wanted, cuts->values[i]))
                        continue;
                if (!arena_append(c->arena, *list, *n, s))
                        return -ENOMEM;
        }
        return 0;
}

static int list_services(Check *c, Service1 **ret, size_t *ret_n) {
        const ServiceSet *s = &c->expect->rule.services.set;
        Service1 *list = NULL;
        size_t n = 0;

        if (add_services(c, &list, &n, IPPROTO_TCP, DIMENSION_PORT, s->any ? NULL : &s->tcp) < 0 ||
            add_services(c, &list, &n, IPPROTO_UDP, DIMENSION_PORT, s->any ? NULL : &s->udp) < 0 ||
            add_services(c, &list, &n, IPPROTO_SCTP, DIMENSION_PORT, s->any ? NULL : &s->sctp) <
                    0 ||
            add_services(c, &list, &n, IPPROTO_ICMP, DIMENSION_ICMP, s->any ? NULL : &s->icmp) <
                    0 ||
            add_services(c, &list, &n, IPPROTO_ICMPV6, DIMENSION_ICMPV6,
                         s->any ? NULL : &s->icmpv6) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < c->cuts[DIMENSION_PROTOCOL].n_values; i++) {
                U128 value = c->cuts[DIMENSION_PROTOCOL].values[i];
                Service1 one = {.protocol = (uint8_t)value.low};

                if (protocol_has_ports(one.protocol) || one.protocol == IPPROTO_ICMP ||
                    one.protocol == IPPROTO_ICMPV6 ||
                    (!s->any && !range_set_contains(&s->protocols, value)))
                        continue;
                if (!arena_append(c->arena, list, n, one))
                        return -ENOMEM;
        }
        *ret = list;
        *ret_n = n;
        return 0;
}

/* An interface's name as text; NULL for a value that stands for all names that nobody names. */
static const char *interface_name(U128 value, char *buf) {
        memset(buf, 0, 17);
        u128_to_bytes(value, buf, 16);
        for (size_t i = 0; i < 16; i++)
                if ((buf[i] && (unsigned char)buf[i] <= ' ') || (unsigned char)buf[i] >= 0x7f ||
                    (i > 0 && buf[i] && !buf[i - 1]))
                        return NULL;
        return buf[0] && !buf[15] ? buf : NULL;
}

static void describe(FILE *f, const PacketQuestion *packet, U128 in, U128 out) {
        PacketQuestion dialled = *packet, *q = &dialled;
        const char *protocol = protocol_to_string(q->protocol);
        char buf[ADDRESS_TEXT_MAX], name[17];

        if (q->translated) {
                q->destination = q->dialled;
                q->destination_port = q->dialled_port;
        }
        if (protocol)
                fputs(protocol, f);
        else
                fprintf(f, "%u", q->protocol);
        if (q->protocol == IPPROTO_ICMP || q->protocol == IPPROTO_ICMPV6)
                fprintf(f, " %u", q->icmp_type);
        if (q->hook == HOOK_OUTPUT)
                fputs(" from host", f);
        else
                fprintf(f, " from %s", address_print(q->family, q->source, buf));
        /* the lowest address stands for all that no rule names */
        if (!u128_is_zero(q->destination))
                fprintf(f, " to %s", address_print(q->family, q->destination, buf));
        if (protocol_has_ports(q->protocol))
                fprintf(f, "%s port %u", u128_is_zero(q->destination) ? " to" : "",
                        q->destination_port);
        if (q->hook != HOOK_OUTPUT && interface_name(in, name))
                fprintf(f, " in %s", name);
        if (q->hook != HOOK_INPUT && !q->translated && interface_name(out, name))
                fprintf(f, " out %s", name);
        if (q->translated)
                fprintf(f, ", which ends at %s port %u",
                        address_print(q->family, packet->destination, buf),
                        packet->destination_port);
        if (q->has_user)
                fprintf(f, " user %u group %u", q->user, q->group);
}

static const Origin *deciding(const Evaluation *e) {
        for (size_t i = e->n_steps; i > 0; i--) {
                const Step *s = &e->steps[i - 1];

                if (s->element && s->element->origin.at.source)
                        return &s->element->origin;
                if (s->rule && s->rule->origin.text)
                        return &s->rule->origin;
        }
        return NULL;
}

static int report(Check *c, const PacketQuestion *q, U128 in, U128 out, const Evaluation *e) {
        const Origin *origin = deciding(e);
        _cleanup_free_ char *example = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&example, &size);

        if (!f)
                return -ENOMEM;
        describe(f, q, in, out);
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
        r = ruleset_eval(c->rs, c->steps, q->hook, &p, &e);
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
                r = ruleset_translate(c->rs, &other);
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

static int try_family(Check *c, Family family, const Service1 *services, size_t n_services) {
        const Cuts *sources = &c->cuts[DIMENSION_SOURCE4 + (int)family];
        const Cuts *destinations = &c->cuts[DIMENSION_DESTINATION4 + (int)family];
        PacketQuestion q = {
                .hook = hook_of(c->expect->section),
                .family = family,
                .source_port = 49152,
                .ct_state = CT_STATE_NEW,
        };
        size_t n_sources = q.hook == HOOK_OUTPUT ? 1 : sources->n_values;

        if (c->cuts[DIMENSION_IN].n_values == 0 || c->cuts[DIMENSION_OUT].n_values == 0)
                return 0;
        for (size_t i = 0; i < n_services; i++) {
                uint8_t other = family == FAMILY_IPV4 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;

                if (services[i].protocol == other)
                        continue;
                q.protocol = services[i].protocol;
                q.destination_port = services[i].port;
                q.icmp_type = (uint8_t)services[i].port;
                for (size_t j = 0; j < n_sources; j++) {
                        int r;

                        q.source = sources->values[j];
                        r = try_places(c, &q, destinations);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int check_one(Check *c) {
        Service1 *services;
        size_t n_services;
        int r;

        memset(c->cuts, 0, sizeof(c->cuts));
        if (cut_by_rules(c) < 0 || cut_by_expectation(c) < 0 || finish_cuts(c) < 0)
                return -ENOMEM;
        filter(&c->cuts[DIMENSION_IN], keep_in, c);
        filter(&c->cuts[DIMENSION_OUT], keep_out, c);
        filter(&c->cuts[DIMENSION_SOURCE4], keep_outside4, c);
        filter(&c->cuts[DIMENSION_SOURCE6], keep_outside6, c);
        filter(&c->cuts[DIMENSION_DESTINATION4], keep_outside4, c);
        filter(&c->cuts[DIMENSION_DESTINATION6], keep_outside6, c);
        if (list_services(c, &services, &n_services) < 0)
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

int ruleset_check_expectations(const Policy *policy,
                               const Ruleset *rs,
                               size_t *ret_cases,
                               Diag *d) {
        _cleanup_(arena_freep) Arena *arena = arena_new(0), *steps = arena_new(0);
        Check c = {.policy = policy, .rs = rs, .arena = arena, .steps = steps, .d = d};
        size_t n_cases = 0;
        int result = 0;

        if (!arena || !steps)
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
