/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

#define ZONES_NOTED_MAX                                                                            \
        32 /* of one only-from; a longer list is a list of hosts, and notes are noise */

/* A connection that one rule allows and one claim refuses. */
typedef struct Conflict {
        Witness client;
        ServiceClass class;  /* _SERVICE_CLASS_INVALID: any */
        unsigned int number; /* a port, type or protocol */
} Conflict;

/* The families that a service can be reached by. */
static void set_families(const ServiceSet *set, bool *families) {
        bool any = set->any;

        for (ServiceClass c = 0; c < _SERVICE_CLASS_MAX; c++)
                any |= c != SERVICE_ICMP && c != SERVICE_ICMPV6 &&
                       service_set_class_const(set, c)->n_items > 0;
        families[FAMILY_IPV4] = any || set->icmp.n_items > 0;
        families[FAMILY_IPV6] = any || set->icmpv6.n_items > 0;
}

/* Any one of the services that can be reached by the family. */
static void choose_service(const ServiceSet *set, Family family, Conflict *ret) {
        ServiceClass other = family == FAMILY_IPV4 ? SERVICE_ICMPV6 : SERVICE_ICMP;

        ret->class = _SERVICE_CLASS_INVALID;
        for (ServiceClass c = 0; c < _SERVICE_CLASS_MAX; c++) {
                const RangeSet *ranges = service_set_class_const(set, c);

                if (c == other || ranges->n_items == 0)
                        continue;
                ret->class = c;
                ret->number = (unsigned int)ranges->items[0].low.low;
                return;
        }
}

/* A claim, with its only-from made quick to ask. */
typedef struct Claim {
        const Protected *protected;
        ZoneExpression only_from;
} Claim;

/* Whether the claim refuses what the rule's item allows to somebody: 1, 0 or -ENOMEM. */
static int find_conflict(Arena *a,
                         const PolicyRule *rule,
                         const ServiceSet *services,
                         const Claim *claim,
                         Conflict *ret) {
        WitnessQuery q = {
                .inside = {&rule->from},
                .outside = {&rule->except, &claim->only_from},
                .interfaces = &rule->in,
        };
        ServiceSet common;
        int r = service_set_intersect(a, services, &claim->protected->services.set, &common);

        if (r < 0)
                return r;
        set_families(&common, q.families);
        r = witness_find(a, &q, &ret->client);
        if (r > 0)
                choose_service(&common, ret->client.family, ret);
        return r;
}

static const char *describe_client(Arena *a, const Witness *w) {
        char buf[ADDRESS_TEXT_MAX];

        return arena_strdup(a, address_print(w->family, w->address, buf));
}

/* "tcp from 10.40.10.7 to port 11434 in wg0" */
static const char *describe(Arena *a, const Conflict *c) {
        const char *client = describe_client(a, &c->client), *in = c->client.interface;
        Family family = c->class == SERVICE_ICMP ? FAMILY_IPV4 : FAMILY_IPV6;
        const char *name, *text = NULL;
        uint8_t number = (uint8_t)c->number;

        if (!client)
                return NULL;
        switch (c->class) {
        case SERVICE_TCP:
        case SERVICE_UDP:
        case SERVICE_SCTP:
                text = arena_printf(a, "%s from %s to port %u", service_class_to_string(c->class),
                                    client, c->number);
                break;
        case SERVICE_ICMP:
        case SERVICE_ICMPV6:
                name = icmp_type_to_string(family, number);
                text = name ? arena_printf(a, "%s %s from %s", service_class_to_string(c->class),
                                           name, client)
                            : arena_printf(a, "%s %u from %s", service_class_to_string(c->class),
                                           c->number, client);
                break;
        case SERVICE_PROTOCOL:
                name = protocol_to_string(number);
                text = name ? arena_printf(a, "%s from %s", name, client)
                            : arena_printf(a, "protocol %u from %s", c->number, client);
                break;
        case _SERVICE_CLASS_MAX:
        case _SERVICE_CLASS_INVALID:
                text = arena_printf(a, "anything from %s", client);
                break;
        }
        return text && in ? arena_printf(a, "%s in %s", text, in) : text;
}

static int report(Loader *l,
                  const ServiceTerm *term,
                  const Protected *claim,
                  const Conflict *conflict,
                  bool nothing_else) {
        const char *example = describe(l->arena, conflict);

        if (!example)
                return -ENOMEM;
        if (nothing_else) {
                diag_error(
                        l->d, term->at,
                        "this allows '%s' to clients whom 'protected' keeps out, for example: %s",
                        term->text, example);
                diag_hint(l->d, "narrow the rule, or widen 'only-from'");
        } else
                diag_remark(l->d, term->at,
                            "'%s' includes what 'protected' keeps closed, for example: %s",
                            term->text, example);
        if (claim->only_from.given)
                diag_note(l->d, claim->services.at, "protected here, only from %s",
                          claim->only_from.text);
        else
                diag_note(l->d, claim->services.at, "protected here, for this host itself alone");
        return 0;
}

static bool overlaps(const RangeSet *x, const RangeSet *y) {
        size_t i = 0, j = 0;

        while (i < x->n_items && j < y->n_items) {
                if (u128_compare(x->items[i].high, y->items[j].low) < 0)
                        i++;
                else if (u128_compare(y->items[j].high, x->items[i].low) < 0)
                        j++;
                else
                        return true;
        }
        return false;
}

static bool services_overlap(const ServiceSet *x, const ServiceSet *y) {
        if (x->any || y->any)
                return true;
        /* asked for each rule and each claim */
        return overlaps(&x->tcp, &y->tcp) || overlaps(&x->udp, &y->udp) ||
               overlaps(&x->sctp, &y->sctp) || overlaps(&x->icmp, &y->icmp) ||
               overlaps(&x->icmpv6, &y->icmpv6) || overlaps(&x->protocols, &y->protocols);
}

/* One message an item: the first claim that refuses a part of it. */
static int check_term(Loader *l,
                      const PolicyRule *rule,
                      const ServiceTerm *term,
                      const Claim *claims,
                      const ServiceSet *all_protected) {
        if (!services_overlap(&term->set, all_protected))
                return 0;
        for (size_t i = 0; i < l->policy->n_protected; i++) {
                const Protected *p = claims[i].protected;
                _cleanup_(arena_freep) Arena *scratch = NULL;
                Conflict conflict;
                int r;

                if (!services_overlap(&term->set, &p->services.set))
                        continue;
                scratch = arena_new(0);
                r = scratch ? find_conflict(scratch, rule, &term->set, &claims[i], &conflict)
                            : -ENOMEM;
                if (r > 0)
                        return report(l, term, p, &conflict,
                                      service_set_covers(all_protected, &term->set));
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Whether a rule lets somebody of the zone (one term of only-from) use some of the services. */
static int is_let_in(Loader *l, const ServiceSet *services, const ZoneExpression *clients) {
        const Section *s = &l->policy->sections[SECTION_INBOUND];

        for (size_t i = 0; i < s->n_rules; i++) {
                const PolicyRule *rule = &s->rules[i];
                WitnessQuery q = {
                        .inside = {&rule->from, clients},
                        .outside = {&rule->except},
                        .interfaces = &rule->in,
                };
                _cleanup_(arena_freep) Arena *scratch = NULL;
                ServiceSet common;
                Witness w;
                int r;

                if (rule->verb != RULE_ALLOW || !services_overlap(services, &rule->services.set))
                        continue;
                scratch = arena_new(0);
                if (!scratch)
                        return -ENOMEM;
                r = service_set_intersect(scratch, services, &rule->services.set, &common);
                set_families(&common, q.families);
                if (r == 0)
                        r = witness_find(scratch, &q, &w);
                if (r != 0)
                        return r;
        }
        return 0;
}

/* `protected` opens nothing: whoever is named in only-from still needs a rule. */
static int note_unreachable(Loader *l, const Claim *claim) {
        const Protected *p = claim->protected;
        bool each = p->only_from.n_terms > 1 && p->only_from.n_terms <= ZONES_NOTED_MAX;
        int r = 0;

        for (size_t i = 0; i < p->services.n_terms && p->only_from.given && r >= 0; i++) {
                const ServiceTerm *t = &p->services.terms[i];

                r = is_let_in(l, &t->set, &claim->only_from);
                if (r == 0)
                        diag_remark(l->d, t->at, "no inbound rule lets '%s' use '%s'",
                                    p->only_from.text, t->text);
                each &= r > 0;
        }
        for (size_t i = 0; i < p->only_from.n_terms && each && r >= 0; i++) {
                ZoneExpression one = p->only_from;

                one.terms += i;
                one.n_terms = 1;
                r = is_let_in(l, &p->services.set, &one);
                if (r == 0)
                        diag_remark(l->d, one.terms->at,
                                    "no inbound rule lets these clients use '%s'",
                                    p->services.text);
        }
        return MIN(r, 0);
}

static int prepare(Loader *l, Claim **ret, ServiceSet *ret_all) {
        size_t n = l->policy->n_protected;
        Claim *claims = arena_alloc_array(l->arena, n + 1, sizeof(*claims));
        int r = claims ? 0 : -ENOMEM;

        for (size_t i = 0; i < n && r == 0; i++) {
                claims[i].protected = &l->policy->protected[i];
                r = zone_expression_flatten(l->arena, &claims[i].protected->only_from,
                                            &claims[i].only_from);
                if (r == 0)
                        r = service_set_add_all(l->arena, ret_all,
                                                &claims[i].protected->services.set);
        }
        service_set_normalise(ret_all);
        *ret = claims;
        return r;
}

int conflict_check(Loader *l) {
        const Section *s = &l->policy->sections[SECTION_INBOUND];
        ServiceSet all = {0};
        Claim *claims;
        int r = prepare(l, &claims, &all);

        for (size_t i = 0; i < s->n_rules && r == 0; i++) {
                if (s->rules[i].verb != RULE_ALLOW)
                        continue;
                for (size_t j = 0; j < s->rules[i].services.n_terms && r == 0; j++)
                        r = check_term(l, &s->rules[i], &s->rules[i].services.terms[j], claims,
                                       &all);
        }
        /* a rule that was left out for its mistakes may be the one that lets them in */
        for (size_t i = 0; i < l->policy->n_protected && r == 0 && l->d->n_errors == 0; i++)
                r = note_unreachable(l, &claims[i]);
        return r;
}
