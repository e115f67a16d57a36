/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/verify_state.h"

#include <netinet/in.h>

/* Packets that claims are tried with: those that people would send first. */

#define TRIES_MAX 600 /* packets that are tried to refute one claim, a family */

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

static U128 value_at(Verify *v, unsigned int variable, const uint32_t *point) {
        return axis_values(whole_axis(v->whole, variable), point[variable]).low;
}

void verify_make_packet(Verify *v,
                        const uint32_t *point,
                        const VerifyLiked *liked,
                        WorldPacket *ret,
                        WorldFields *f) {
        unsigned int bits = v->family == FAMILY_IPV4 ? 32 : 128;
        uint64_t in = value_at(v, WHOLE_IN, point).low, user;
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
        arrival = v->sent ? NULL : whole_arrival(v->whole, in, &address);
        *ret = (WorldPacket){.in = arrival ? arrival->name : NULL};
        if (v->sent) {
                user = value_at(v, WHOLE_USER, point).low;
                ret->has_owner = user < WHOLE_NOBODY;
                ret->uid = (uint32_t)user;
                ret->gid = (uint32_t)value_at(v, WHOLE_GROUP, point).low;
        }
        world_packet_fill(ret, f);
        if (address)
                memcpy(ret->link, address, 6);
}

const char *
verify_describe(Verify *v, const WorldFields *f, const WorldPacket *p, const WorldOutcome *o) {
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
        if (text && p->in)
                text = arena_printf(v->arena, "%s, arriving by %s", text, p->in);
        else if (text && p->has_owner)
                text = arena_printf(v->arena, "%s, sent by user %u, group %u", text, p->uid,
                                    p->gid);
        if (text && moved)
                text = arena_printf(v->arena, "%s, which ends at %s port %u", text,
                                    address_print(f->family, o->destination, end),
                                    o->destination_port);
        return text;
}

bool verify_misses(const ServiceSet *s, const WorldFields *f, const WorldOutcome *o) {
        const RangeSet *set = f->protocol == IPPROTO_TCP    ? &s->tcp
                              : f->protocol == IPPROTO_UDP  ? &s->udp
                              : f->protocol == IPPROTO_SCTP ? &s->sctp
                                                            : NULL;

        return set && !s->any && !o->unknown &&
               (o->where == WORLD_DELIVERED || o->where == WORLD_LEFT) &&
               !range_set_contains(set, u128(o->destination_port)) &&
               !range_set_contains(set, u128(f->destination_port));
}

uint32_t verify_draw(Verify *v, uint32_t below) {
        v->random ^= v->random >> 12;
        v->random ^= v->random << 25;
        v->random ^= v->random >> 27;
        return (uint32_t)((v->random * UINT64_C(2685821657736338717)) >> 33) % below;
}

static const U128 sources[_FAMILY_MAX][4] = {
        /* documentation addresses (RFC 5737, RFC 3849), private ones, and what else may be routed
         */
        [FAMILY_IPV4] = {{0, 0xcb007109}, {0, 0xc6336407}, {0, 0x0a010203}, {0, 0xc0a80117}},
        [FAMILY_IPV6] = {{UINT64_C(0x20010db800000000), 9},
                         {UINT64_C(0x2001067c00000000), 9},
                         {UINT64_C(0xfd00000000000000), 9},
                         {UINT64_C(0xfe80000000000000), 9}},
};

/* Candidates of what is sent: from each own address, to each of these places. */
static bool next_sent(const Verify *v, size_t try, VerifyLiked *ret) {
        const World *w = v->world;
        size_t number = try / 4;

        if (number >= w->n_addresses || try >= TRIES_MAX)
                return false;
        *ret = (VerifyLiked){.destination = sources[v->family][try % 4]};
        if (w->addresses[number].family == v->family)
                ret->source = w->addresses[number].address;
        for (size_t i = 0; i < w->n_interfaces; i++)
                if (w->interfaces[i].index == w->addresses[number].index)
                        ret->out = (uint32_t)i;
        return true;
}

bool verify_leaves_by(Verify *v,
                      const uint32_t *point,
                      const WorldFields *f,
                      const WorldWalk *walk) {
        size_t out = v->sent ? value_at(v, WHOLE_OUT, point).low : 0;

        for (size_t i = 0; i < walk->n_outcomes && v->sent; i++) {
                const WorldOutcome *o = &walk->outcomes[i];

                if (o->where == WORLD_LEFT && u128_equal(o->destination, f->destination) &&
                    (!o->out || out >= v->world->n_interfaces ||
                     !streq(o->out, v->world->interfaces[out].name)))
                        return false;
        }
        return true;
}

static bool is_link_local(const WorldAddress *a) {
        return a->family == FAMILY_IPV6 && a->address.high >> 54 == 0x3fa;
}

/* Who could have that address for a neighbour. */
static U128 neighbour_of(const WorldAddress *a) {
        return (U128){a->address.high, a->address.low ^ 0x4d};
}

/* From a neighbour by its interface to a neighbour by another one. */
static bool next_routed(Verify *v, size_t try, size_t n_in, VerifyLiked *ret) {
        const World *w = v->world;
        const WorldInterface *in;
        const WorldAddress *to;
        const uint8_t *address;

        if (try / n_in >= w->n_addresses)
                return false;
        in = whole_arrival(v->whole, try % n_in, &address);
        to = &w->addresses[try / n_in];
        *ret = (VerifyLiked){.in = (uint32_t)(try % n_in)};
        for (size_t i = 0; i < w->n_addresses; i++)
                if (w->addresses[i].family == v->family && w->addresses[i].index == in->index &&
                    !is_link_local(&w->addresses[i]))
                        ret->source = neighbour_of(&w->addresses[i]);
        if (to->family == v->family && to->index != in->index && !is_link_local(to))
                ret->destination = neighbour_of(to);
        return true;
}

/* From each of these places, by each interface, to each own address. */
static bool next_own(Verify *v, size_t try, size_t n_in, VerifyLiked *ret) {
        const World *w = v->world;
        const WorldInterface *in;
        const uint8_t *address;
        size_t source = try / n_in;

        if (source >= 4 + w->n_addresses)
                return false;
        in = whole_arrival(v->whole, try % n_in, &address);
        *ret = (VerifyLiked){.in = (uint32_t)(try % n_in)};
        if (source < 4)
                ret->source = sources[v->family][source];
        else if (w->addresses[source - 4].family == v->family)
                ret->source = neighbour_of(&w->addresses[source - 4]);
        for (size_t i = 0; i < w->n_addresses; i++) {
                const WorldAddress *a = &w->addresses[i];

                /* link-local ones are of one link alone, and may not be in use yet */
                if (a->family == v->family && a->index == in->index &&
                    (u128_is_zero(ret->destination) || !is_link_local(a)))
                        ret->destination = a->address;
        }
        return true;
}

/* Candidates, of both kinds in turn. */
bool verify_next_liked(Verify *v, size_t try, VerifyLiked *ret) {
        const uint8_t *address;
        size_t n_in = 0;

        if (v->sent)
                return next_sent(v, try, ret);
        while (whole_arrival(v->whole, n_in, &address))
                n_in++;
        if (n_in == 0 || try >= TRIES_MAX)
                return false;
        return (try % 2 == 1 && next_routed(v, try / 2, n_in, ret)) ||
               next_own(v, try / 2, n_in, ret);
}

static void start(Verify *v, const VerifyLiked *liked, uint32_t *point) {
        const struct {
                WholeVariable variable;
                U128 value;
        } rows[] = {
                {WHOLE_SOURCE, liked->source},       {WHOLE_DESTINATION, liked->destination},
                {WHOLE_PROTOCOL, u128(IPPROTO_TCP)}, {WHOLE_SOURCE_PORT, u128(49152)},
                {WHOLE_DESTINATION_PORT, u128(80)},  {WHOLE_FLAGS, u128(2)},
                {WHOLE_IN, u128(liked->in)},         {WHOLE_OUT, u128(liked->out)},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                point[rows[i].variable] =
                        axis_coordinate(whole_axis(v->whole, rows[i].variable), rows[i].value);
}

bool verify_find(Verify *v, DiagramId region, const VerifyLiked *liked, uint32_t *point) {
        DiagramId by =
                verify_and(v, verify_where(v, WHOLE_IN, range_single(u128(liked->in))), region);

        start(v, liked, point);
        return diagram_witness(v->diagram, by, point, widest, v);
}
