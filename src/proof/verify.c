/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/verify.h"

#include <netinet/in.h>

#include "proof/whole.h"

#define SAMPLES 200
#define TRIES_MAX 200 /* packets that are tried to refute one claim, a family */
#define REASONS_MAX 12

typedef struct Verify {
        const Policy *policy;
        const World *world;
        Arena *arena;
        Family family;
        Whole *whole;
        Diagram *diagram;
        WorldWalker *walker;
        VerifyAnswer *answers;
        DiagramId *bad; /* a claim */
        size_t n_compared;
        uint64_t random;
        const char *what;
} Verify;

static DiagramId where(Verify *v, WholeVariable variable, Range r) {
        return whole_where(v->whole, variable, &r, 1);
}

static DiagramId any_of(Verify *v, DiagramId x, DiagramId y) {
        return diagram_union(v->diagram, x, y);
}

static DiagramId both(Verify *v, DiagramId x, DiagramId y) {
        return diagram_and(v->diagram, x, y);
}

/* Regions. */

static DiagramId where_types(Verify *v, const RangeSet *types) {
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < types->n_items; i++)
                sum = any_of(v, sum,
                             where(v, WHOLE_SOURCE_PORT,
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

static DiagramId where_services(Verify *v, const ServiceSet *s, const WholeChange *c, bool final) {
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
                sum = any_of(v, sum,
                             both(v, where(v, WHOLE_PROTOCOL, range_single(u128(rows[i].protocol))),
                                  where_ports(v, rows[i].ports, c, final)));
        return any_of(v, sum,
                      both(v, where(v, WHOLE_PROTOCOL, range_single(u128(icmp))),
                           where_types(v, v4 ? &s->icmp : &s->icmpv6)));
}

static DiagramId
where_part(Verify *v, const ZonePart *p, WholeVariable address, DiagramId interface) {
        DiagramId x = p->any_interface ? DIAGRAM_ALL : interface;
        const RangeSet *set = &p->addresses[v->family];

        return p->any_address
                       ? x
                       : both(v, whole_where(v->whole, address, set->items, set->n_items), x);
}

static DiagramId where_clients(Verify *v, const ZoneExpression *e) {
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < e->n_terms; i++) {
                const ZoneTerm *t = &e->terms[i];

                if (!t->zone && t->family == v->family)
                        sum = any_of(v, sum, where(v, WHOLE_SOURCE, t->range));
                for (size_t j = 0; t->zone && j < t->zone->n_parts; j++) {
                        const ZonePart *p = &t->zone->parts[j];

                        sum = any_of(v, sum,
                                     where_part(v, p, WHOLE_SOURCE,
                                                whole_where_in(v->whole, &p->interfaces)));
                }
        }
        return sum;
}

/* Packets that go to the networks of containers and VMs. */
static DiagramId where_attached(Verify *v, const WholeChange *c) {
        const Zone *zones[] = {v->policy->containers, v->policy->vms};
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < ARRAY_SIZE(zones); i++)
                for (size_t j = 0; zones[i] && j < zones[i]->n_parts; j++) {
                        const ZonePart *p = &zones[i]->parts[j];

                        sum = any_of(v, sum,
                                     where_part(v, p, WHOLE_DESTINATION,
                                                whole_where_out(v->whole, c, &p->interfaces)));
                }
        return sum;
}

/* What passes unasked, whatever is protected. */
static DiagramId where_essential(Verify *v) {
        DiagramId udp = where(v, WHOLE_PROTOCOL, range_single(u128(IPPROTO_UDP)));
        Range types[] = {{u128(130U << 8), u128(136U << 8 | 0xff)},
                         {u128(143U << 8), u128(143U << 8 | 0xff)}};
        DiagramId x;

        if (v->family == FAMILY_IPV4) {
                x = both(v, where(v, WHOLE_SOURCE_PORT, range_single(u128(67))), udp);
                x = both(v, where(v, WHOLE_DESTINATION_PORT, range_single(u128(68))), x);
                return any_of(v, x, where(v, WHOLE_PROTOCOL, range_single(u128(IPPROTO_IGMP))));
        }
        x = both(v, where(v, WHOLE_DESTINATION_PORT, range_single(u128(546))), udp);
        return any_of(v, x,
                      both(v, where(v, WHOLE_PROTOCOL, range_single(u128(IPPROTO_ICMPV6))),
                           whole_where(v->whole, WHOLE_SOURCE_PORT, types, 2)));
}

static bool is_translated(const WholeChange *c) {
        return c->translated || c->has_address || c->has_port || c->any_address || c->any_port ||
               c->here || c->any_else;
}

/* Packets that break the claim if they are let through. */
static DiagramId where_wrong(Verify *v, const Protected *p, const WholeChange *c, bool here) {
        DiagramId x = where_services(v, &p->services.set, c, true);

        if (is_translated(c))
                x = any_of(v, x, where_services(v, &p->services.set, c, false));
        else if (!here)
                x = both(v, where_attached(v, c), x);
        if (p->only_from.given)
                x = diagram_minus(v->diagram, x, where_clients(v, &p->only_from));
        /* what is sent elsewhere is what it is there */
        return is_translated(c) ? x : diagram_minus(v->diagram, x, where_essential(v));
}

static DiagramId care(void *context, const WholeChange *c, bool here) {
        Verify *v = context;
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < v->policy->n_protected; i++)
                sum = any_of(v, sum, where_wrong(v, &v->policy->protected[i], c, here));
        return sum;
}

/* Cuts. */

static int cut_set(Verify *v, WholeVariable variable, const RangeSet *set) {
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

static int cut_zone(Verify *v, const Zone *z, WholeVariable variable) {
        for (size_t i = 0; z && i < z->n_parts; i++)
                if (cut_set(v, variable, &z->parts[i].addresses[v->family]) < 0)
                        return -ENOMEM;
        return 0;
}

static int cut_claim(Verify *v, const Protected *p) {
        const ServiceSet *s = &p->services.set;

        if (cut_set(v, WHOLE_DESTINATION_PORT, &s->tcp) < 0 ||
            cut_set(v, WHOLE_DESTINATION_PORT, &s->udp) < 0 ||
            cut_set(v, WHOLE_DESTINATION_PORT, &s->sctp) < 0 ||
            cut_set(v, WHOLE_PROTOCOL, &s->protocols) < 0 || cut_types(v, &s->icmp) < 0 ||
            cut_types(v, &s->icmpv6) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < p->only_from.n_terms; i++) {
                const ZoneTerm *t = &p->only_from.terms[i];

                if (!t->zone && t->family == v->family &&
                    whole_cut(v->whole, WHOLE_SOURCE, t->range) < 0)
                        return -ENOMEM;
                if (cut_zone(v, t->zone, WHOLE_SOURCE) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int cut_all(Verify *v) {
        static const uint16_t ports[] = {67, 68, 546};
        static const uint8_t protocols[] = {1, 2, 6, 17, 58, 132};

        for (size_t i = 0; i < v->policy->n_protected; i++)
                if (cut_claim(v, &v->policy->protected[i]) < 0)
                        return -ENOMEM;
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
            cut_zone(v, v->policy->containers, WHOLE_DESTINATION) < 0)
                return -ENOMEM;
        return cut_zone(v, v->policy->vms, WHOLE_DESTINATION);
}

/* Packets. */

/* An address of the coordinate that a host could have: not the first one of a network. */
static U128 pick(Range r, U128 liked, unsigned int bits) {
        U128 last = u128_low_mask(bits), third = u128_next(u128_next(r.low));

        if (u128_compare(liked, r.low) >= 0 && u128_compare(liked, r.high) <= 0)
                return liked;
        if (u128_compare(r.high, last) > 0)
                r.high = last;
        return u128_compare(third, r.high) < 0 && !u128_is_zero(r.low) ? third : r.low;
}

/* The widest interval: one address that stands apart is a network's own, or this host's. */
static uint32_t widest(void *context, unsigned int variable, const DiagramRange *ranges, size_t n) {
        Verify *v = context;
        const Axis *axis = whole_axis(v->whole, variable);
        uint32_t best = ranges[0].low;
        U128 width = U128_ZERO;

        for (size_t i = 0; i < n; i++)
                for (uint32_t j = ranges[i].low;
                     j <= ranges[i].high && j < axis->n_lows && j - ranges[i].low < 64; j++) {
                        Range r = axis_values(axis, j);
                        U128 w = {r.high.high - r.low.high - (r.high.low < r.low.low),
                                  r.high.low - r.low.low};

                        if (u128_compare(w, width) > 0 && (variable <= WHOLE_DESTINATION)) {
                                width = w;
                                best = j;
                        }
                }
        return best;
}

typedef struct Liked {
        U128 source, destination;
        uint32_t in;
} Liked;

static U128 value_at(Verify *v, unsigned int variable, const uint32_t *point) {
        return axis_values(whole_axis(v->whole, variable), point[variable]).low;
}

static void make_packet(
        Verify *v, const uint32_t *point, const Liked *liked, WorldPacket *ret, WorldFields *f) {
        unsigned int bits = v->family == FAMILY_IPV4 ? 32 : 128;
        uint64_t in = value_at(v, WHOLE_IN, point).low;
        const WorldInterface *arrival;
        const uint8_t *address = NULL;

        *f = (WorldFields){
                .family = v->family,
                .source = pick(axis_values(whole_axis(v->whole, WHOLE_SOURCE), point[WHOLE_SOURCE]),
                               liked->source, bits),
                .destination = pick(axis_values(whole_axis(v->whole, WHOLE_DESTINATION),
                                                point[WHOLE_DESTINATION]),
                                    liked->destination, bits),
                .protocol = (uint8_t)value_at(v, WHOLE_PROTOCOL, point).low,
                .source_port = (uint16_t)value_at(v, WHOLE_SOURCE_PORT, point).low,
                .destination_port = (uint16_t)value_at(v, WHOLE_DESTINATION_PORT, point).low,
                .tcp_flags = (uint8_t)value_at(v, WHOLE_FLAGS, point).low,
        };
        f->icmp_type = (uint8_t)(f->source_port >> 8);
        f->icmp_code = (uint8_t)f->source_port;
        arrival = whole_arrival(v->whole, in, &address);
        *ret = (WorldPacket){.in = arrival ? arrival->name : NULL};
        world_packet_fill(ret, f);
        if (address)
                memcpy(ret->link, address, 6);
}

static const char *
describe(Verify *v, const WorldFields *f, const WorldPacket *p, const WorldOutcome *o) {
        char from[ADDRESS_TEXT_MAX], to[ADDRESS_TEXT_MAX], end[ADDRESS_TEXT_MAX];
        const char *protocol = protocol_to_string(f->protocol);
        bool ports = f->protocol == IPPROTO_TCP || f->protocol == IPPROTO_UDP ||
                     f->protocol == IPPROTO_SCTP;
        bool moved = !u128_equal(o->destination, f->destination) ||
                     (ports && o->destination_port != f->destination_port);
        const char *text =
                arena_printf(v->arena, "%s from %s to %s", protocol ? protocol : "a packet",
                             address_print(f->family, f->source, from),
                             address_print(f->family, f->destination, to));

        if (text && ports)
                text = arena_printf(v->arena, "%s port %u", text, f->destination_port);
        if (text)
                text = arena_printf(v->arena, "%s, arriving by %s", text, p->in);
        if (text && moved)
                text = arena_printf(v->arena, "%s, which ends at %s port %u", text,
                                    address_print(f->family, o->destination, end),
                                    o->destination_port);
        return text;
}

static bool is_own(const Verify *v, U128 address) {
        for (size_t i = 0; i < v->world->n_addresses; i++)
                if (v->world->addresses[i].family == v->family &&
                    u128_equal(v->world->addresses[i].address, address))
                        return true;
        return false;
}

/* Whether the outcome breaks the claim, judged by the packet and the policy alone. */
static bool is_wrong(Verify *v,
                     const Protected *p,
                     const WorldFields *f,
                     const WorldPacket *packet,
                     const WorldOutcome *o) {
        const ServiceSet *s = &p->services.set;
        const RangeSet *set = f->protocol == IPPROTO_TCP   ? &s->tcp
                              : f->protocol == IPPROTO_UDP ? &s->udp
                                                           : &s->sctp;
        char name[16] = {0};
        bool moved = !u128_equal(o->destination, f->destination) ||
                     o->destination_port != f->destination_port;
        U128 in;

        if (f->protocol != IPPROTO_TCP && f->protocol != IPPROTO_UDP && f->protocol != IPPROTO_SCTP)
                return false; /* ports are what is compared */
        if (o->unknown || o->where != WORLD_DELIVERED)
                return false;
        /* nobody answers a connection to many */
        if (f->protocol != IPPROTO_UDP && !is_own(v, o->destination))
                return false;
        (void)snprintf(name, sizeof(name), "%s", packet->in);
        in = u128_from_bytes(name, sizeof(name));
        if (p->only_from.given &&
            zone_expression_contains(&p->only_from, &in, f->family, f->source))
                return false;
        if (f->family == FAMILY_IPV4 && f->protocol == IPPROTO_UDP && !moved &&
            f->source_port == 67 && f->destination_port == 68)
                return false;
        if (f->family == FAMILY_IPV6 && f->protocol == IPPROTO_UDP && !moved &&
            f->destination_port == 546)
                return false;
        return s->any || range_set_contains(set, u128(o->destination_port)) ||
               range_set_contains(set, u128(f->destination_port));
}

static uint32_t draw(Verify *v, uint32_t below) {
        v->random ^= v->random >> 12;
        v->random ^= v->random << 25;
        v->random ^= v->random >> 27;
        return (uint32_t)((v->random * UINT64_C(2685821657736338717)) >> 33) % below;
}

/* Packets at the edges of what rules tell apart: what the evaluator lets through must not be what
 * the proof rules out. */
static int compare(Verify *v) {
        for (size_t i = 0; i < SAMPLES; i++) {
                uint32_t point[DIAGRAM_VARIABLES_MAX] = {0};
                Liked liked = {0};
                WorldPacket packet;
                WorldFields f;
                WorldWalk walk;
                int r;

                for (unsigned int j = 0; j < _WHOLE_VARIABLE_MAX; j++)
                        point[j] = draw(v, (uint32_t)whole_axis(v->whole, j)->n_lows);
                if (v->world->n_addresses > 0 && draw(v, 4) > 0) {
                        const WorldAddress *own =
                                &v->world->addresses[draw(v, (uint32_t)v->world->n_addresses)];

                        if (own->family == v->family)
                                point[WHOLE_DESTINATION] = axis_coordinate(
                                        whole_axis(v->whole, WHOLE_DESTINATION), own->address);
                }
                if (!diagram_witness(v->diagram, whole_domain(v->whole), point, NULL, NULL))
                        return whole_error(v->whole);
                make_packet(v, point, &liked, &packet, &f);
                r = world_walk(v->walker, &packet, &walk);
                if (r < 0)
                        return r == -ENOMEM ? r : 0;
                v->n_compared++;
                for (size_t c = 0; c < v->policy->n_protected; c++)
                        for (size_t o = 0; o < walk.n_outcomes; o++)
                                if (is_wrong(v, &v->policy->protected[c], &f, &packet,
                                             &walk.outcomes[o]) &&
                                    diagram_at(v->diagram,
                                               diagram_exists(v->diagram, v->bad[c],
                                                              _WHOLE_VARIABLE_MAX),
                                               point) == DIAGRAM_EMPTY) {
                                        v->what = describe(v, &f, &packet, &walk.outcomes[o]);
                                        return -EPROTO;
                                }
        }
        return 0;
}

/* Answers. */

static const U128 sources[_FAMILY_MAX][4] = {
        /* documentation addresses (RFC 5737, RFC 3849), private ones, and what else may be routed
         */
        [FAMILY_IPV4] = {{0, 0xcb007109}, {0, 0xc6336407}, {0, 0x0a010203}, {0, 0xc0a80117}},
        [FAMILY_IPV6] = {{UINT64_C(0x20010db800000000), 9},
                         {UINT64_C(0x2001067c00000000), 9},
                         {UINT64_C(0xfd00000000000000), 9},
                         {UINT64_C(0xfe80000000000000), 9}},
};

/* Candidates: from each of these places, by each interface, to each own address. */
static bool next_liked(Verify *v, size_t try, Liked *ret) {
        const World *w = v->world;
        const WorldInterface *in;
        const uint8_t *address;
        size_t n_in = 0, n_sources = 4 + w->n_addresses, source;

        while (whole_arrival(v->whole, n_in, &address))
                n_in++;
        if (n_in == 0)
                return false;
        in = whole_arrival(v->whole, try % n_in, &address);
        source = try / n_in;

        if (source >= n_sources || try >= TRIES_MAX)
                return false;
        *ret = (Liked){.in = (uint32_t)(try % n_in)};
        if (source < 4)
                ret->source = sources[v->family][source];
        else if (w->addresses[source - 4].family == v->family)
                /* a neighbour of this host */
                ret->source = (U128){w->addresses[source - 4].address.high,
                                     w->addresses[source - 4].address.low ^ 0x4d};
        for (size_t i = 0; i < w->n_addresses; i++)
                if (w->addresses[i].family == v->family && w->addresses[i].index == in->index)
                        ret->destination = w->addresses[i].address;
        return true;
}

static int copy_steps(Verify *v, VerifyAnswer *answer, const WorldWalk *walk) {
        WorldStep *steps = arena_alloc_array(v->arena, MAX(walk->n_steps, 1UL), sizeof(*steps));

        if (!steps)
                return -ENOMEM;
        if (walk->n_steps > 0)
                memcpy(steps, walk->steps, walk->n_steps * sizeof(*steps));
        answer->steps = steps;
        answer->n_steps = walk->n_steps;
        return 0;
}

/* 1 if a packet of the region really comes through. */
static int refute(Verify *v, size_t claim, VerifyAnswer *answer) {
        Liked liked;

        for (size_t try = 0; next_liked(v, try, &liked); try++) {
                uint32_t point[DIAGRAM_VARIABLES_MAX] = {0};
                WorldPacket packet;
                WorldFields f;
                WorldWalk walk;
                int r;

                point[WHOLE_SOURCE] =
                        axis_coordinate(whole_axis(v->whole, WHOLE_SOURCE), liked.source);
                point[WHOLE_DESTINATION] =
                        axis_coordinate(whole_axis(v->whole, WHOLE_DESTINATION), liked.destination);
                point[WHOLE_PROTOCOL] =
                        axis_coordinate(whole_axis(v->whole, WHOLE_PROTOCOL), u128(IPPROTO_TCP));
                point[WHOLE_SOURCE_PORT] =
                        axis_coordinate(whole_axis(v->whole, WHOLE_SOURCE_PORT), u128(49152));
                point[WHOLE_FLAGS] = axis_coordinate(whole_axis(v->whole, WHOLE_FLAGS), u128(2));
                point[WHOLE_IN] = axis_coordinate(whole_axis(v->whole, WHOLE_IN), u128(liked.in));
                if (!diagram_witness(v->diagram, v->bad[claim], point, widest, v))
                        return 0;
                make_packet(v, point, &liked, &packet, &f);
                r = world_walk(v->walker, &packet, &walk);
                if (r == -ENOMEM)
                        return r;
                for (size_t o = 0; r == 0 && o < walk.n_outcomes; o++) {
                        const WorldOutcome *out = &walk.outcomes[o];

                        if (out->unknown ||
                            (out->where != WORLD_DELIVERED && out->where != WORLD_LEFT))
                                continue;
                        answer->connection = describe(v, &f, &packet, out);
                        r = copy_steps(v, answer, &walk);
                        return r < 0 ? r : 1;
                }
        }
        return 0;
}

static int add_reason(Verify *v, VerifyAnswer *answer, const char *reason) {
        for (size_t i = 0; i < answer->n_reasons; i++)
                if (streq(answer->reasons[i], reason))
                        return 0;
        if (answer->n_reasons >= REASONS_MAX)
                return 0;
        return arena_append(v->arena, answer->reasons, answer->n_reasons, reason) ? 0 : -ENOMEM;
}

static int explain(Verify *v, DiagramId bad, VerifyAnswer *answer) {
        bool support[DIAGRAM_VARIABLES_MAX] = {0};
        const char *const *names;
        size_t n;

        diagram_support(v->diagram, bad, support);
        for (unsigned int i = 0; i < DIAGRAM_VARIABLES_MAX; i++) {
                const char *name = support[i] ? whole_variable_name(v->whole, i) : NULL;

                if (!name)
                        continue;
                /* the proof's own strings end with it */
                name = arena_strdup(v->arena, name);
                if (!name || add_reason(v, answer, name) < 0)
                        return -ENOMEM;
        }
        (void)whole_unknown(v->whole, &names, &n);
        for (size_t i = 0; i < n; i++) {
                const char *copy = arena_strdup(v->arena, names[i]);

                if (!copy || add_reason(v, answer, copy) < 0)
                        return -ENOMEM;
        }
        if (answer->n_reasons == 0)
                return add_reason(
                        v, answer,
                        "no packet was found that the rules surely let through, nor a proof "
                        "that there is none");
        return 0;
}

static int answer_claim(Verify *v, size_t i) {
        VerifyAnswer *answer = &v->answers[i];
        int r;

        if (answer->kind == VERIFY_REFUTED)
                return 0;
        if (v->bad[i] == DIAGRAM_EMPTY && !whole_is_open(v->whole))
                return 0;
        r = v->bad[i] == DIAGRAM_EMPTY ? 0 : refute(v, i, answer);
        if (r < 0)
                return r;
        answer->kind = r > 0 ? VERIFY_REFUTED : VERIFY_UNDECIDED;
        return r > 0 ? 0 : explain(v, v->bad[i], answer);
}

static int give_up(Verify *v) {
        for (size_t i = 0; i < v->policy->n_protected; i++) {
                VerifyAnswer *answer = &v->answers[i];

                if (answer->kind == VERIFY_REFUTED)
                        continue;
                answer->kind = VERIFY_UNDECIDED;
                if (add_reason(v, answer, "the rules are too complex") < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int verify_family(Verify *v) {
        const WholeEnd *ends;
        size_t n_ends;
        int r;

        if (cut_all(v) < 0)
                return -ENOMEM;
        v->diagram = whole_diagram(v->whole);
        r = whole_finish(v->whole);
        if (r == 0)
                r = whole_walk(v->whole, care, v, &ends, &n_ends);
        if (r == -E2BIG || r == -ELOOP)
                return give_up(v);
        if (r < 0)
                return r;
        for (size_t i = 0; i < v->policy->n_protected; i++) {
                v->bad[i] = DIAGRAM_EMPTY;
                for (size_t j = 0; j < n_ends; j++)
                        v->bad[i] = any_of(v, v->bad[i],
                                           both(v,
                                                where_wrong(v, &v->policy->protected[i],
                                                            &ends[j].change, ends[j].here),
                                                ends[j].region));
        }
        r = whole_error(v->whole);
        if (r == 0)
                r = compare(v);
        for (size_t i = 0; i < v->policy->n_protected && r == 0; i++)
                r = answer_claim(v, i);
        if (r == 0)
                r = whole_error(v->whole);
        return r == -E2BIG ? give_up(v) : r;
}

int verify_protected(
        const Policy *policy, const World *w, Arena *a, VerifyReport *ret, const char **ret_what) {
        _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
        Verify v = {
                .policy = policy, .world = w, .arena = a, .random = UINT64_C(0x9e3779b97f4a7c15)};
        size_t n = policy->n_protected;
        int r = world_walker_new(w, &walker);

        v.walker = walker;
        v.answers = arena_alloc_array(a, MAX(n, 1UL), sizeof(*v.answers));
        v.bad = arena_alloc_array(a, MAX(n, 1UL), sizeof(*v.bad));
        if (r < 0 || !v.answers || !v.bad)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                v.answers[i].claim = &policy->protected[i];
        for (Family f = 0; f < _FAMILY_MAX && n > 0 && r == 0; f++) {
                _cleanup_(whole_freep) Whole *whole = whole_new(w, f);

                v.family = f;
                v.whole = whole;
                r = whole ? verify_family(&v) : -ENOMEM;
        }
        *ret_what = v.what;
        if (r < 0)
                return r;
        *ret = (VerifyReport){.answers = v.answers, .n_answers = n, .n_compared = v.n_compared};
        return 0;
}
