/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/effect_state.h"

#include <netinet/in.h>

#include "ruleset/pass.h"

/* The packets that a rule means, in the terms of the compiled rules. */

#define STEPS_MAX ((size_t)12 << 20) /* edges that are looked at, a section and family */
#define UNKNOWNS_MAX 200
#define FEW_RULES 100
#define SMALL 6000 /* edges of a region that makes the search narrower */

EffectSide effect_side(const Effect *e, const PolicyRule *rule, bool server) {
        bool outbound = e->id == SECTION_OUTBOUND;

        return (EffectSide){
                .zones = server ? &rule->to : &rule->from,
                .except = server == outbound ? &rule->except : NULL,
                .interfaces = server ? &rule->out : &rule->in,
                .address = server ? MEANING_DIALLED : MEANING_SOURCE,
                .interface = server ? MEANING_OUT : MEANING_IN,
        };
}

int effect_error(const Effect *e) {
        for (Family f = 0; f < _FAMILY_MAX; f++)
                if (e->m[f] && meaning_error(e->m[f]) < 0)
                        return meaning_error(e->m[f]);
        return 0;
}

/* Zones. */

static bool is_moving(const ZonePart *p) {
        return !p->any_address && (p->listed || p->connected.n_items > 0);
}

static DiagramId where(Effect *e, Family f, MeaningVariable v, const RangeSet *set) {
        return meaning_where(e->m[f], v, set);
}

/* Where the part has an address that it may have: a variable of its own. */
static DiagramId where_unknown(Effect *e, Family f, const ZonePart *p, bool server) {
        DiagramRange yes = {1, UINT32_MAX};
        EffectUnknown unknown = {p, server};
        size_t i = 0;

        while (i < e->n_unknowns && (e->unknowns[i].part != p || e->unknowns[i].server != server))
                i++;
        if (i == e->n_unknowns &&
            (i == UNKNOWNS_MAX || !arena_append(e->arena, e->unknowns, e->n_unknowns, unknown))) {
                e->too_complex = true;
                return DIAGRAM_EMPTY;
        }
        return diagram_literal(meaning_diagram(e->m[f]), (unsigned int)(_MEANING_VARIABLE_MAX + i),
                               &yes, 1, DIAGRAM_ALL, DIAGRAM_EMPTY);
}

/* What lists hold and networks are on link is one of all that may be. */
static DiagramId where_moving(Effect *e, Family f, const ZonePart *p, const EffectSide *side) {
        Diagram *d = meaning_diagram(e->m[f]);
        DiagramId may = where_unknown(e, f, p, side->address == MEANING_DIALLED);

        if (p->listed && p->connected.n_items == 0)
                may = diagram_and(d, where(e, f, side->address, &p->possible[f]), may);
        else if (!p->listed)
                may = diagram_minus(d, may, where(e, f, side->address, &p->without[f]));
        return diagram_union(d, may,
                             where(e, f, side->address, p->listed ? &p->certain[f] : &p->fixed[f]));
}

static DiagramId where_part(Effect *e, Family f, const ZonePart *p, const EffectSide *side) {
        Diagram *d = meaning_diagram(e->m[f]);
        DiagramId x = DIAGRAM_ALL;

        if (!p->any_interface)
                x = where(e, f, side->interface, &p->interfaces);
        if (is_moving(p))
                return diagram_and(d, where_moving(e, f, p, side), x);
        return p->any_address ? x : diagram_and(d, where(e, f, side->address, &p->addresses[f]), x);
}

/* The addresses that are written out, all at once. */
static DiagramId
where_written(Effect *e, Family f, const ZoneExpression *z, const EffectSide *side) {
        RangeSet set = {0};
        DiagramId x;

        for (size_t i = 0; i < z->n_terms; i++)
                if (!z->terms[i].zone && z->terms[i].family == f &&
                    range_set_add(e->scratch, &set, z->terms[i].range) < 0)
                        e->too_complex = true;
        range_set_normalise(&set);
        x = where(e, f, side->address, &set);
        arena_reset(e->scratch);
        return x;
}

static DiagramId where_zones(Effect *e, Family f, const ZoneExpression *z, const EffectSide *side) {
        Diagram *d = meaning_diagram(e->m[f]);
        DiagramId x;

        if (!z->restricts)
                return DIAGRAM_ALL;
        x = where_written(e, f, z, side);
        for (size_t i = 0; i < z->n_terms; i++)
                for (size_t j = 0; z->terms[i].zone && j < z->terms[i].zone->n_parts; j++)
                        x = diagram_union(d, x,
                                          where_part(e, f, &z->terms[i].zone->parts[j], side));
        return x;
}

Packets effect_of_side(Effect *e, const EffectSide *side) {
        Packets result;

        for (Family f = 0; f < _FAMILY_MAX; f++) {
                Diagram *d = meaning_diagram(e->m[f]);
                DiagramId x = where_zones(e, f, side->zones, side);

                if (side->except && side->except->given)
                        x = diagram_minus(d, x, where_zones(e, f, side->except, side));
                if (side->interfaces && side->interfaces->n_items > 0)
                        x = diagram_and(d, x, where(e, f, side->interface, side->interfaces));
                result.of[f] = x;
        }
        return result;
}

/* Services and owners. */

Packets effect_of_services(Effect *e, const ServiceSet *s) {
        Packets result;

        for (Family f = 0; f < _FAMILY_MAX; f++) {
                const struct {
                        uint8_t protocol;
                        MeaningVariable variable;
                        const RangeSet *set;
                } rows[] = {
                        {IPPROTO_TCP, MEANING_DIALLED_PORT, &s->tcp},
                        {IPPROTO_UDP, MEANING_DIALLED_PORT, &s->udp},
                        {IPPROTO_SCTP, MEANING_DIALLED_PORT, &s->sctp},
                        {f == FAMILY_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, MEANING_ICMP,
                         f == FAMILY_IPV4 ? &s->icmp : &s->icmpv6},
                };
                Diagram *d = meaning_diagram(e->m[f]);
                DiagramId x = where(e, f, MEANING_PROTOCOL, &s->protocols);

                for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                        if (rows[i].set->n_items > 0)
                                x = diagram_union(
                                        d, x,
                                        diagram_and(d,
                                                    meaning_where_value(e->m[f], MEANING_PROTOCOL,
                                                                        u128(rows[i].protocol)),
                                                    where(e, f, rows[i].variable, rows[i].set)));
                result.of[f] = s->any ? DIAGRAM_ALL : x;
        }
        return result;
}

static Packets of_owners(Effect *e, const PolicyRule *rule) {
        Range before = {U128_ZERO, u128((uint64_t)rule->until - 1)};
        RangeSet time = {.items = &before, .n_items = 1};
        Packets result;

        for (Family f = 0; f < _FAMILY_MAX; f++) {
                DiagramId x = DIAGRAM_ALL;

                if (rule->until > 0)
                        x = where(e, f, MEANING_TIME, &time);
                if (rule->groups.n_items > 0)
                        x = diagram_and(meaning_diagram(e->m[f]),
                                        where(e, f, MEANING_GROUP, &rule->groups), x);
                if (rule->users.n_items > 0)
                        x = diagram_and(meaning_diagram(e->m[f]),
                                        where(e, f, MEANING_USER, &rule->users), x);
                result.of[f] = x;
        }
        return result;
}

Packets effect_of_rule(Effect *e, const PolicyRule *rule) {
        EffectSide client = effect_side(e, rule, false), server = effect_side(e, rule, true);
        Packets x = effect_both(e, effect_of_services(e, &rule->services.set), of_owners(e, rule));

        x = effect_both(e, effect_of_side(e, &server), x);
        return effect_both(e, effect_of_side(e, &client), x);
}

/* `protected` refuses what is routed only where this host is attached to the networks. */
Packets effect_of_claim(Effect *e, const Protected *claim) {
        const Zone *zones[] = {e->policy->containers, e->policy->vms};
        EffectSide client = {
                .zones = &claim->only_from, .address = MEANING_SOURCE, .interface = MEANING_IN};
        Packets x = effect_of_services(e, &claim->services.set), to = {0};

        for (size_t i = 0; i < ARRAY_SIZE(zones) && e->id == SECTION_ROUTED; i++) {
                ZoneTerm term = {.zone = zones[i]};
                ZoneExpression z = {.restricts = true, .terms = &term, .n_terms = 1};
                EffectSide server = {
                        .zones = &z, .address = MEANING_DIALLED, .interface = MEANING_OUT};

                if (zones[i])
                        to = effect_union(e, to, effect_of_side(e, &server));
        }
        if (e->id == SECTION_ROUTED)
                x = effect_both(e, to, x);
        for (Family f = 0; f < _FAMILY_MAX && claim->only_from.given; f++)
                x.of[f] = diagram_minus(meaning_diagram(e->m[f]), x.of[f],
                                        where_zones(e, f, &claim->only_from, &client));
        return x;
}

/* Cuts. */

static int cut_zones(Meaning *m, Family f, const ZoneExpression *z, const EffectSide *side) {
        for (size_t i = 0; i < z->n_terms; i++) {
                const ZoneTerm *t = &z->terms[i];

                if (!t->zone && t->family == f && meaning_cut(m, side->address, t->range) < 0)
                        return -ENOMEM;
                for (size_t j = 0; t->zone && j < t->zone->n_parts; j++) {
                        const ZonePart *p = &t->zone->parts[j];
                        bool moves = is_moving(p);
                        const RangeSet *sets[] = {
                                moves ? &p->certain[f] : &p->addresses[f],
                                &p->possible[f],
                                &p->fixed[f],
                                &p->without[f],
                        };

                        for (size_t k = 0; k < (moves ? ARRAY_SIZE(sets) : 1); k++)
                                if (!p->any_address &&
                                    meaning_cut_all(m, side->address, sets[k]) < 0)
                                        return -ENOMEM;
                        if (!p->any_interface &&
                            meaning_cut_all(m, side->interface, &p->interfaces) < 0)
                                return -ENOMEM;
                }
        }
        return 0;
}

static int cut_side(Meaning *m, Family f, const EffectSide *side) {
        if (cut_zones(m, f, side->zones, side) < 0 ||
            (side->except && cut_zones(m, f, side->except, side) < 0) ||
            (side->interfaces && meaning_cut_all(m, side->interface, side->interfaces) < 0))
                return -ENOMEM;
        return 0;
}

static int cut_services(Meaning *m, const ServiceSet *s) {
        const struct {
                MeaningVariable variable;
                const RangeSet *set;
        } rows[] = {
                {MEANING_DIALLED_PORT, &s->tcp},  {MEANING_DIALLED_PORT, &s->udp},
                {MEANING_DIALLED_PORT, &s->sctp}, {MEANING_ICMP, &s->icmp},
                {MEANING_ICMP, &s->icmpv6},       {MEANING_PROTOCOL, &s->protocols},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (meaning_cut_all(m, rows[i].variable, rows[i].set) < 0)
                        return -ENOMEM;
        return 0;
}

static int cut_rule(Effect *e, Meaning *m, Family f, const PolicyRule *rule) {
        EffectSide client = effect_side(e, rule, false), server = effect_side(e, rule, true);

        if (cut_services(m, &rule->services.set) < 0 || cut_side(m, f, &client) < 0 ||
            cut_side(m, f, &server) < 0 || meaning_cut_all(m, MEANING_USER, &rule->users) < 0 ||
            meaning_cut_all(m, MEANING_GROUP, &rule->groups) < 0)
                return -ENOMEM;
        return rule->until > 0 ? meaning_cut(m, MEANING_TIME,
                                             (Range){U128_ZERO, u128((uint64_t)rule->until - 1)})
                               : 0;
}

/* Loopback addresses never come from outside, nor those of IPv4 within IPv6 (RFC 4291, 2.5.5.2). */
static const Range inside[_FAMILY_MAX] = {
        [FAMILY_IPV4] = {{0, 0x7f000000}, {0, 0x7fffffff}},
        [FAMILY_IPV6] = {{0, 1}, {0, 1}},
};

static int cut(Effect *e, Meaning *m, Family f) {
        const Zone *zones[] = {e->policy->containers, e->policy->vms};
        EffectSide client = {.address = MEANING_SOURCE, .interface = MEANING_IN};
        EffectSide server = {.address = MEANING_DIALLED, .interface = MEANING_OUT};
        Range lo = range_single(interface_value("lo"));
        int r = meaning_cut(m, MEANING_SOURCE, inside[f]);

        if (r == 0)
                r = meaning_cut(m, MEANING_DIALLED, inside[f]);
        if (r == 0)
                r = meaning_cut(m, MEANING_IN, lo);
        if (r == 0)
                r = meaning_cut(m, MEANING_OUT, lo);
        for (size_t i = 0; i < e->section->n_rules && r == 0; i++)
                r = cut_rule(e, m, f, &e->section->rules[i]);
        for (size_t i = 0; i < e->policy->n_protected && r == 0; i++) {
                r = cut_services(m, &e->policy->protected[i].services.set);
                if (r == 0)
                        r = cut_zones(m, f, &e->policy->protected[i].only_from, &client);
        }
        for (size_t i = 0; i < ARRAY_SIZE(zones) && r == 0; i++) {
                ZoneTerm term = {.zone = zones[i]};
                ZoneExpression z = {.terms = &term, .n_terms = 1};

                if (zones[i])
                        r = cut_zones(m, f, &z, &server);
                if (zones[i] && r == 0)
                        r = cut_zones(m, f, &z, &client);
        }
        return r;
}

/* What no rule is asked about. */

static const PolicyRule admit_all = {
        .verb = RULE_ALLOW,
        .services = {.set = {.any = true}, .text = "any"},
        .text = "the section's rules",
};

/* A policy that says nothing but its settings, and admits all that its section's rules are asked
 * about. */
static int compile(Effect *e, Ruleset **ret) {
        KernelFeatures features = {.fib_in_filter = true};
        Policy bare = *e->policy;

        memset(bare.sections, 0, sizeof(bare.sections));
        bare.n_protected = bare.n_masquerades = bare.n_forwards = bare.n_expects = 0;
        bare.settings.containers = CONTAINERS_CLOSED;
        bare.sections[e->id].rules = (PolicyRule *)(uintptr_t)&admit_all;
        bare.sections[e->id].n_rules = 1;
        return ruleset_lower(&bare, &features, e->arena, ret);
}

int effect_open(Effect *e) {
        Ruleset *all;
        int r = compile(e, &all);

        for (Family f = 0; f < _FAMILY_MAX && r == 0; f++) {
                e->m[f] = meaning_new(all, f);
                if (!e->m[f] || meaning_tell_rule(e->m[f], admit_all.text) < 0)
                        return -ENOMEM;
                r = cut(e, e->m[f], f);
                if (r == 0)
                        r = meaning_finish(e->m[f]);
                if (r == 0)
                        diagram_limit_steps(meaning_diagram(e->m[f]), STEPS_MAX);
        }
        return r;
}

/* What rules tell apart. */
static const MeaningVariable asked_for[] = {
        MEANING_SOURCE, MEANING_DIALLED, MEANING_PROTOCOL, MEANING_DIALLED_PORT, MEANING_ICMP,
        MEANING_IN,     MEANING_OUT,     MEANING_USER,     MEANING_GROUP,        MEANING_TIME,
};

/* Packets whose fate depends on the section's rules: they are admitted with them, and not without.
 */
static DiagramId where_asked(Effect *e, Family f, MeaningWay way, DiagramId care) {
        Diagram *d = meaning_diagram(e->m[f]);
        DiagramId x = meaning_of(e->m[f], way, care);

        return diagram_forget(d,
                              diagram_minus(d, diagram_where_may(d, x, MEANING_LIMIT),
                                            diagram_where_may(d, x, MEANING_ACCEPT)),
                              e->forget);
}

/* A socket has both a user and a group, or neither. */
static DiagramId of_sockets(Effect *e, Family f, DiagramId x) {
        Diagram *d = meaning_diagram(e->m[f]);
        DiagramId nobody = meaning_where_value(e->m[f], MEANING_USER, u128(MEANING_NOBODY));
        DiagramId none = meaning_where_value(e->m[f], MEANING_GROUP, u128(MEANING_NOBODY));

        return diagram_union(d, diagram_and(d, diagram_and(d, nobody, none), x),
                             diagram_minus(d, x, diagram_union(d, nobody, none)));
}

static DiagramId where_loopback(Effect *e, Family f) {
        Diagram *d = meaning_diagram(e->m[f]);
        U128 lo = interface_value("lo");
        RangeSet set = {.items = (Range *)(uintptr_t)&inside[f], .n_items = 1};
        DiagramId x;

        if (e->id == SECTION_OUTBOUND)
                return meaning_where_value(e->m[f], MEANING_OUT, lo);
        x = diagram_union(d, where(e, f, MEANING_SOURCE, &set),
                          meaning_where_value(e->m[f], MEANING_IN, lo));
        return e->id == SECTION_INBOUND ? diagram_union(d, where(e, f, MEANING_DIALLED, &set), x)
                                        : x;
}

/* What the rules are about, whatever holds of moving networks: nothing is asked of other packets.
 * All, where that would be a large diagram. */
static DiagramId where_rules(Effect *e, Family f) {
        const EffectList *lists[] = {&e->denies, &e->allows};
        Diagram *d = meaning_diagram(e->m[f]);
        DiagramId x = DIAGRAM_EMPTY;

        if (e->section->n_rules > FEW_RULES)
                return DIAGRAM_ALL;
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                for (size_t j = 0; j < lists[i]->n; j++)
                        x = diagram_union(d, x, lists[i]->items[j].packets.of[f]);
        return diagram_is_small(d, x, SMALL) ? diagram_exists(d, x, _MEANING_VARIABLE_MAX)
                                             : DIAGRAM_ALL;
}

/* Packets of `care` that the section's rules are asked about. */
static DiagramId where_section(Effect *e, Family f, DiagramId care) {
        Diagram *d = meaning_diagram(e->m[f]);
        DiagramId input = meaning_where_value(e->m[f], MEANING_HOOK, U128_ZERO), x;

        if (e->id == SECTION_OUTBOUND)
                return where_asked(e, f, MEANING_OUTPUT, of_sockets(e, f, care));
        care = diagram_minus(d, care, e->loopback.of[f]);
        if (e->id == SECTION_ROUTED)
                return where_asked(e, f, MEANING_PLAIN, diagram_minus(d, care, input));
        x = where_asked(e, f, MEANING_PLAIN, diagram_and(d, input, care));
        /* one way is enough */
        care = diagram_minus(d, care, x);
        return diagram_union(d, x, where_asked(e, f, MEANING_TRANSLATED, care));
}

int effect_find_before(Effect *e) {
        memset(e->forget, true, sizeof(e->forget));
        for (size_t i = 0; i < ARRAY_SIZE(asked_for); i++)
                e->forget[asked_for[i]] = false;
        for (Family f = 0; f < _FAMILY_MAX; f++) {
                Diagram *d = meaning_diagram(e->m[f]);
                DiagramId care = diagram_and(d, where_rules(e, f), meaning_domain(e->m[f]));

                e->loopback.of[f] = where_loopback(e, f);
                e->before.of[f] = diagram_minus(d, DIAGRAM_ALL, where_section(e, f, care));
        }
        return effect_error(e);
}

Packets effect_of_containers(Effect *e) {
        ZoneTerm term = {.zone = e->policy->containers};
        ZoneExpression z = {.restricts = true, .terms = &term, .n_terms = 1};
        EffectSide client = {.zones = &z, .address = MEANING_SOURCE, .interface = MEANING_IN};
        Packets nothing = {0};

        return e->id == SECTION_ROUTED && term.zone &&
                               e->policy->settings.containers == CONTAINERS_OPEN
                       ? effect_of_side(e, &client)
                       : nothing;
}
