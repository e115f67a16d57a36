/* SPDX-License-Identifier: GPL-2.0-or-later */
#define HASH_NONFATAL_OOM 1
#include <netinet/in.h>
/* clang takes the falls through the cases of the default function for mistakes */
#define HASH_FUNCTION HASH_FNV
#include <uthash.h>

#include <linux/netfilter.h>

#include "ruleset/lower.h"

/* A condition is an AND of dimensions (client, server, service, interfaces), each an OR of
 * alternatives, each an AND of literals. A kernel rule is an AND, so the product is written out: a
 * rule for each choice of one alternative a dimension whose families agree. */

#define FAMILY_ANY (-1)
#define SECOND UINT64_C(1000000000) /* in nanoseconds */

typedef struct Literal {
        FieldId field;
        MatchOp op;
        const Set *set;
} Literal;

typedef struct Alternative {
        int family; /* or FAMILY_ANY */
        Literal literals[3];
        size_t n_literals;
} Alternative;

typedef struct Dimension {
        Alternative *items;
        size_t n_items;
} Dimension;

struct ZoneSet {
        const RangeSet *ranges; /* the key: each belongs to one part of one zone */
        const Set *set;
        UT_hash_handle hh;
};

const View view_header = {
        .address = {[FAMILY_IPV4] = FIELD_IP_DADDR, [FAMILY_IPV6] = FIELD_IP6_DADDR},
        .port = FIELD_DPORT,
};

const View view_dialled = {
        .address = {[FAMILY_IPV4] = FIELD_CT_IP_DADDR, [FAMILY_IPV6] = FIELD_CT_IP6_DADDR},
        .port = FIELD_CT_DPORT,
};

static const FieldId source_fields[_FAMILY_MAX] = {
        [FAMILY_IPV4] = FIELD_IP_SADDR,
        [FAMILY_IPV6] = FIELD_IP6_SADDR,
};

static const TypeId address_types[_FAMILY_MAX] = {
        [FAMILY_IPV4] = TYPE_IPV4_ADDR,
        [FAMILY_IPV6] = TYPE_IPV6_ADDR,
};

static const char *zone_set_suffix(TypeId type) {
        return type == TYPE_IFNAME ? "interfaces" : type == TYPE_IPV4_ADDR ? "ipv4" : "ipv6";
}

/* What the set follows, if the part is of networks that are on link. What they are now is among the
 * part's addresses, in the first place. */
static int zone_part_source(Lower *l, const ZonePart *part, TypeId type, Set *set) {
        Family family = type == TYPE_IPV4_ADDR ? FAMILY_IPV4 : FAMILY_IPV6;
        SetSource *source;

        if (part->connected.n_items == 0)
                return 0;
        source = arena_new0(l->arena, SetSource);
        if (!source)
                return -ENOMEM;
        source->interfaces = part->connected;
        source->fixed = part->fixed[family];
        source->without = part->without[family];
        set->source = source;
        set->interval = true; /* whatever they will be */
        return 0;
}

/* Whether the part has, or may come to have, addresses of the family. */
static bool has_family(const ZonePart *part, Family f) {
        return part->addresses[f].n_items > 0 || part->connected.n_items > 0;
}

const Set *lower_zone_set(Lower *l, const Zone *zone, const RangeSet *ranges, TypeId type) {
        const char *name;
        ZoneSet *known;
        size_t part = 0;
        Set *set;

        HASH_FIND_PTR(l->zone_sets, &ranges, known);
        if (known)
                return known->set;
        while (part < zone->n_parts && &zone->parts[part].interfaces != ranges &&
               &zone->parts[part].addresses[FAMILY_IPV4] != ranges &&
               &zone->parts[part].addresses[FAMILY_IPV6] != ranges)
                part++;
        /* a slash stands in no zone's name, so no other zone's set has this name */
        name = part == 0 ? arena_printf(l->arena, "%s-%s", zone->name, zone_set_suffix(type))
                         : arena_printf(l->arena, "%s/%zu-%s", zone->name, part + 1,
                                        zone_set_suffix(type));
        known = arena_new0(l->arena, ZoneSet);
        set = name && known ? ruleset_set_of_ranges(l->rs, name, type, ranges) : NULL;
        if (!set)
                return NULL;
        set->origin.at = zone->at;
        if (type != TYPE_IFNAME && zone_part_source(l, &zone->parts[part], type, set) < 0)
                return NULL;
        known->ranges = ranges;
        known->set = set;
        HASH_ADD_PTR(l->zone_sets, ranges, known);
        return set;
}

void lower_done(Lower *l) {
        HASH_CLEAR(hh, l->zone_sets);
}

static const Set *set_of_value(Lower *l, TypeId type, uint64_t value) {
        Range r = range_single(u128(value));
        RangeSet one = {.items = &r, .n_items = 1};

        return ruleset_set_of_ranges(l->rs, NULL, type, &one);
}

static int add_alternative(Lower *l, Dimension *d, const Alternative *alternative) {
        for (size_t i = 0; i < alternative->n_literals; i++)
                if (!alternative->literals[i].set)
                        return -ENOMEM;
        return arena_append(l->scratch, d->items, d->n_items, *alternative) ? 0 : -ENOMEM;
}

static int add_one(Lower *l, Dimension *d, int family, FieldId field, MatchOp op, const Set *set) {
        Alternative a = {
                .family = family,
                .literals = {{field, op, set}},
                .n_literals = 1,
        };

        return add_alternative(l, d, &a);
}

static int add_free(Lower *l, Dimension *d, int family) {
        Alternative a = {.family = family};

        return add_alternative(l, d, &a);
}

static int add_ranges(Lower *l, Dimension *d, const RangeSet *ranges, FieldId field) {
        if (!ranges || ranges->n_items == 0)
                return add_free(l, d, FAMILY_ANY);
        return add_one(l, d, FAMILY_ANY, field, MATCH_IN,
                       ruleset_set_of_ranges(l->rs, NULL, fields[field].type, ranges));
}

/* Up to that very second: the kernel looks at its clock for each packet. Its nanoseconds end in the
 * year 2554; what ends later than they do does not end. */
static int add_until(Lower *l, Dimension *d, int64_t until) {
        bool ends = until > 0 && (uint64_t)until <= UINT64_MAX / SECOND;
        Range r = {U128_ZERO, u128((uint64_t)until * SECOND)};
        RangeSet set = {.items = &r, .n_items = 1};

        return add_ranges(l, d, ends ? &set : NULL, FIELD_TIME);
}

/* One side of the connection: which fields tell its addresses and its interface. */
typedef struct Side {
        const FieldId *address;
        FieldId interface;
} Side;

/* Of a zone's interfaces some may have been taken away. */
static int add_zone_interfaces(
        Lower *l, Alternative *a, const Zone *zone, const RangeSet *interfaces, FieldId field) {
        RangeSet base, minus;

        if (interface_set_split(l->scratch, interfaces, &base, &minus) < 0)
                return -ENOMEM;
        if (minus.n_items == 0)
                a->literals[a->n_literals++] = (Literal){
                        field, MATCH_IN, lower_zone_set(l, zone, interfaces, TYPE_IFNAME)};
        else {
                if (!interface_set_is_open(&base))
                        a->literals[a->n_literals++] =
                                (Literal){field, MATCH_IN,
                                          ruleset_set_of_ranges(l->rs, NULL, TYPE_IFNAME, &base)};
                a->literals[a->n_literals++] =
                        (Literal){field, MATCH_NOT_IN,
                                  ruleset_set_of_ranges(l->rs, NULL, TYPE_IFNAME, &minus)};
        }
        return 0;
}

static int
add_zone_part(Lower *l, Dimension *d, const Zone *zone, const ZonePart *part, Side side) {
        Alternative base = {.family = FAMILY_ANY};

        if (!part->any_interface &&
            add_zone_interfaces(l, &base, zone, &part->interfaces, side.interface) < 0)
                return -ENOMEM;
        if (part->any_address)
                return add_alternative(l, d, &base);
        for (Family f = 0; f < _FAMILY_MAX; f++) {
                Alternative a = base;

                if (!has_family(part, f))
                        continue;
                a.family = (int)f;
                a.literals[a.n_literals++] = (Literal){
                        side.address[f],
                        MATCH_IN,
                        lower_zone_set(l, zone, &part->addresses[f], address_types[f]),
                };
                if (add_alternative(l, d, &a) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* Addresses that the expression writes out itself, a family at a time. */
static int written_addresses(Lower *l, const ZoneExpression *e, Family family, RangeSet *ret) {
        *ret = (RangeSet){0};
        for (size_t i = 0; i < e->n_terms; i++)
                if (!e->terms[i].zone && e->terms[i].family == family &&
                    range_set_add(l->scratch, ret, e->terms[i].range) < 0)
                        return -ENOMEM;
        return 0;
}

static int add_zones(Lower *l, Dimension *d, const ZoneExpression *e, Side side) {
        if (!e || !e->restricts)
                return add_free(l, d, FAMILY_ANY);
        for (Family f = 0; f < _FAMILY_MAX; f++) {
                RangeSet written;

                if (written_addresses(l, e, f, &written) < 0)
                        return -ENOMEM;
                if (written.n_items > 0 &&
                    add_one(l, d, (int)f, side.address[f], MATCH_IN,
                            ruleset_set_of_ranges(l->rs, NULL, address_types[f], &written)) < 0)
                        return -ENOMEM;
        }
        for (size_t i = 0; i < e->n_terms; i++) {
                const Zone *zone = e->terms[i].zone;

                for (size_t j = 0; zone && j < zone->n_parts; j++)
                        if (add_zone_part(l, d, zone, &zone->parts[j], side) < 0)
                                return -ENOMEM;
        }
        return 0;
}

static int add_outside_addresses(Lower *l,
                                 Dimension *d,
                                 const Zone *zone,
                                 const RangeSet *addresses,
                                 Family family,
                                 Side side) {
        const Set *set;

        if (!addresses)
                return add_free(l, d, (int)family);
        set = zone ? lower_zone_set(l, zone, addresses, address_types[family])
                   : ruleset_set_of_ranges(l->rs, NULL, address_types[family], addresses);
        return add_one(l, d, (int)family, side.address[family], MATCH_NOT_IN, set);
}

/* What is behind none of the interfaces: behind others, or behind what was taken away from them. */
static int add_outside_interfaces(Lower *l,
                                  Dimension *d,
                                  int family,
                                  const Zone *zone,
                                  const RangeSet *interfaces,
                                  FieldId field) {
        RangeSet base, minus;

        if (interface_set_split(l->scratch, interfaces, &base, &minus) < 0)
                return -ENOMEM;
        if (minus.n_items == 0)
                return add_one(l, d, family, field, MATCH_NOT_IN,
                               lower_zone_set(l, zone, interfaces, TYPE_IFNAME));
        if (add_one(l, d, family, field, MATCH_IN,
                    ruleset_set_of_ranges(l->rs, NULL, TYPE_IFNAME, &minus)) < 0)
                return -ENOMEM;
        return interface_set_is_open(&base)
                       ? 0
                       : add_one(l, d, family, field, MATCH_NOT_IN,
                                 ruleset_set_of_ranges(l->rs, NULL, TYPE_IFNAME, &base));
}

/* What is outside one part of an excepted zone: NOT (interface AND address) is an OR, and of a
 * family of which the part has no addresses (NULL) everything is outside. addresses NULL: the part
 * has them all. */
static int add_outside(Lower *l,
                       Dimension *d,
                       const Zone *zone,
                       const RangeSet *interfaces,
                       const RangeSet *const *addresses,
                       Side side) {
        for (Family f = 0; addresses && f < _FAMILY_MAX; f++)
                if (add_outside_addresses(l, d, zone, addresses[f], f, side) < 0)
                        return -ENOMEM;
        for (Family f = 0; interfaces && f < _FAMILY_MAX; f++) {
                bool whole = !addresses || (addresses[FAMILY_IPV4] && addresses[FAMILY_IPV6]);

                if (whole)
                        return add_outside_interfaces(l, d, FAMILY_ANY, zone, interfaces,
                                                      side.interface);
                if (addresses[f] &&
                    add_outside_interfaces(l, d, (int)f, zone, interfaces, side.interface) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* How many dimensions add_exceptions() may want. */
static size_t count_exceptions(const ZoneExpression *e) {
        size_t n = 1;

        for (size_t i = 0; i < e->n_terms; i++)
                n += e->terms[i].zone ? e->terms[i].zone->n_parts : 0;
        return n;
}

/* Appends one dimension for each part that is taken away. */
static int
add_exceptions(Lower *l, Dimension *list, size_t *n, const ZoneExpression *e, Side side) {
        const RangeSet *both[_FAMILY_MAX] = {NULL, NULL};
        RangeSet written[_FAMILY_MAX];

        for (Family f = 0; f < _FAMILY_MAX; f++) {
                if (written_addresses(l, e, f, &written[f]) < 0)
                        return -ENOMEM;
                if (written[f].n_items > 0)
                        both[f] = &written[f];
        }
        if ((both[FAMILY_IPV4] || both[FAMILY_IPV6]) &&
            add_outside(l, &list[(*n)++], NULL, NULL, both, side) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < e->n_terms; i++) {
                const Zone *zone = e->terms[i].zone;

                for (size_t j = 0; zone && j < zone->n_parts; j++) {
                        const ZonePart *p = &zone->parts[j];
                        const RangeSet *interfaces = p->any_interface ? NULL : &p->interfaces;

                        for (Family f = 0; f < _FAMILY_MAX; f++)
                                both[f] = has_family(p, f) ? &p->addresses[f] : NULL;
                        if (add_outside(l, &list[(*n)++], zone, interfaces,
                                        p->any_address ? NULL : both, side) < 0)
                                return -ENOMEM;
                }
        }
        return 0;
}

/* A protocol, and what of it is meant. */
static int add_protocol(Lower *l,
                        Dimension *d,
                        int family,
                        uint8_t protocol,
                        FieldId field,
                        const RangeSet *ranges) {
        Alternative a = {.family = family, .n_literals = 2};

        if (ranges->n_items == 0)
                return 0;
        a.literals[0] =
                (Literal){FIELD_L4PROTO, MATCH_IN, set_of_value(l, TYPE_INET_PROTO, protocol)};
        a.literals[1] = (Literal){field, MATCH_IN,
                                  ruleset_set_of_ranges(l->rs, NULL, fields[field].type, ranges)};
        return add_alternative(l, d, &a);
}

static int
add_ports(Lower *l, Dimension *d, uint8_t protocol, const RangeSet *ports, FieldId field) {
        return add_protocol(l, d, FAMILY_ANY, protocol, field, ports);
}

static int add_icmp(Lower *l, Dimension *d, Family family, const RangeSet *messages) {
        bool v4 = family == FAMILY_IPV4;

        return add_protocol(l, d, (int)family, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6,
                            v4 ? FIELD_ICMP_TYPE : FIELD_ICMPV6_TYPE, messages);
}

static int
add_services(Lower *l, Dimension *d, const ServiceSet *s, const View *view, unsigned int parts) {
        if (!s || s->any)
                return parts & PART_OTHERS ? add_free(l, d, FAMILY_ANY) : 0;
        if ((parts & PART_PORTS) && (add_ports(l, d, IPPROTO_TCP, &s->tcp, view->port) < 0 ||
                                     add_ports(l, d, IPPROTO_UDP, &s->udp, view->port) < 0 ||
                                     add_ports(l, d, IPPROTO_SCTP, &s->sctp, view->port) < 0))
                return -ENOMEM;
        if (!(parts & PART_OTHERS))
                return 0;
        if (add_icmp(l, d, FAMILY_IPV4, &s->icmp) < 0 ||
            add_icmp(l, d, FAMILY_IPV6, &s->icmpv6) < 0)
                return -ENOMEM;
        if (s->protocols.n_items == 0)
                return 0;
        return add_one(l, d, FAMILY_ANY, FIELD_L4PROTO, MATCH_IN,
                       ruleset_set_of_ranges(l->rs, NULL, TYPE_INET_PROTO, &s->protocols));
}

typedef struct Product {
        Lower *l;
        Chain *chain;
        const Dimension *dimensions;
        size_t n_dimensions; /* the last one is the services' */
        Verdict verdict;
        Origin origin;
        const Alternative **chosen;
} Product;

static int emit(const Product *p, int family) {
        Rule *rule = chain_add_rule(p->l->rs, p->chain, p->verdict, p->origin);

        if (!rule)
                return -ENOMEM;
        rule->counted = p->l->policy->settings.counters != COUNTERS_OFF;
        for (size_t i = 0; i < p->n_dimensions; i++) {
                const Alternative *a = p->chosen[i];

                if (i + 1 == p->n_dimensions && family != FAMILY_ANY &&
                    !rule_has_match(rule, FIELD_NFPROTO) &&
                    rule_match_value(p->l->rs, rule, FIELD_NFPROTO,
                                     family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6) < 0)
                        return -ENOMEM;
                for (size_t j = 0; j < a->n_literals; j++)
                        if (rule_match_set(p->l->rs, rule, a->literals[j].field, a->literals[j].op,
                                           a->literals[j].set) < 0)
                                return -ENOMEM;
        }
        return 0;
}

static int write_product(Product *p, size_t depth, int family) {
        if (depth == p->n_dimensions)
                return emit(p, family);
        for (size_t i = 0; i < p->dimensions[depth].n_items; i++) {
                const Alternative *a = &p->dimensions[depth].items[i];
                int r;

                if (family != FAMILY_ANY && a->family != FAMILY_ANY && a->family != family)
                        continue;
                p->chosen[depth] = a;
                r = write_product(p, depth + 1, a->family == FAMILY_ANY ? family : a->family);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Everything but the services; the dimensions' number, or -ENOMEM. */
static int
add_dimensions(Lower *l, Dimension *list, const View *view, const Condition *c, bool excepted) {
        Side client = {.address = source_fields, .interface = FIELD_IIFNAME};
        Side server = {.address = view->address, .interface = FIELD_OIFNAME};
        size_t n = 0;

        if (add_until(l, &list[n++], c->until) < 0 ||
            add_ranges(l, &list[n++], c->users, FIELD_SKUID) < 0 ||
            add_ranges(l, &list[n++], c->groups, FIELD_SKGID) < 0 ||
            add_ranges(l, &list[n++], c->in, FIELD_IIFNAME) < 0 ||
            add_ranges(l, &list[n++], c->out, FIELD_OIFNAME) < 0 ||
            add_zones(l, &list[n++], c->from, client) < 0 ||
            add_zones(l, &list[n++], c->to, server) < 0)
                return -ENOMEM;
        if (excepted &&
            add_exceptions(l, list, &n, c->except, c->except_destination ? server : client) < 0)
                return -ENOMEM;
        return (int)n;
}

int lower_condition(Lower *l,
                    Chain *chain,
                    const View *view,
                    const Condition *c,
                    unsigned int parts,
                    Verdict verdict,
                    Origin origin) {
        bool excepted = c->except && c->except->given;
        size_t max = 8 + (excepted ? count_exceptions(c->except) : 0);
        Dimension *list, services = {0};
        Product p = {.l = l, .chain = chain, .verdict = verdict, .origin = origin};
        int n;

        if (excepted && !c->except->restricts)
                return 0; /* everybody is excepted */
        arena_reset(l->scratch);
        list = arena_alloc_array(l->scratch, max, sizeof(*list));
        p.chosen = arena_alloc_array(l->scratch, max, sizeof(*p.chosen));
        if (!list || !p.chosen || add_services(l, &services, c->services, view, parts) < 0)
                return -ENOMEM;
        if (services.n_items == 0)
                return 0; /* all its services are of the other part */
        n = add_dimensions(l, list, view, c, excepted);
        if (n < 0)
                return n;
        list[n++] = services;
        p.dimensions = list;
        p.n_dimensions = (size_t)n;
        return write_product(&p, 0, FAMILY_ANY);
}
