/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "proof/whole_state.h"

/* What rules change: marks, addresses, ports. */

#define BASE_MAX 64 /* ports of a range that are followed one by one */

void whole_set_mark(
        const Whole *x, Registers *r, const WorldExpr *e, bool connection, WholeChange *c) {
        uint32_t value = 0;
        bool known = whole_known_value(r, e->source, 4, (uint8_t *)&value);

        if (e->key != (connection ? (uint32_t)NFT_CT_MARK : (uint32_t)NFT_META_MARK)) {
                /* what else is set may be asked for later */
                c->any_else |=
                        !(e->key == NFT_META_NFTRACE || e->key == NFT_META_PRIORITY) || connection;
                return;
        }
        if (connection) {
                if (x->stage <= STAGE_RAW || c->untracked)
                        return; /* there is no connection yet, or ever */
                c->ct_mark = known ? value : 0;
                c->any_ct_mark = !known;
        } else {
                c->mark = known ? value : 0;
                c->any_mark = !known;
        }
}

/* The region of packets whose destination is the same already: for them nothing is translated. */
static DiagramId same_destination(Whole *x, const WholeChange *c) {
        DiagramId same = DIAGRAM_ALL;
        Range r = range_single(c->address), port = range_single(u128(c->port));

        if (c->has_address)
                same = whole_where(x, WHOLE_DESTINATION, &r, 1);
        if (c->has_port)
                same = diagram_and(x->diagram, same,
                                   whole_where(x, WHOLE_DESTINATION_PORT, &port, 1));
        return same;
}

/* Destinations of IPv6 that a redirect has only addresses of the same scope for. Of those to many
 * the scope is not looked at: as if there were none. */
static const struct {
        Range range;
        bool unicast;
} scopes[] = {
        {{{UINT64_C(0xfe80) << 48, 0}, {UINT64_C(0xfebfffffffffffff), UINT64_MAX}}, true},
        {{{UINT64_C(0xfec0) << 48, 0}, {UINT64_C(0xfeffffffffffffff), UINT64_MAX}}, true},
        {{{0, 1}, {0, 1}}, true},
        {{{UINT64_C(0xff) << 56, 0}, {UINT64_MAX, UINT64_MAX}}, false},
};

static bool is_within(U128 address, const Range *r) {
        return u128_compare(address, r->low) >= 0 && u128_compare(address, r->high) <= 0;
}

/* Whether the interface surely has an address that a redirect of what was sent into the range takes
 * (scope NULL: of what has no scope). */
static bool has_address_for(const Whole *x, const WorldInterface *in, const Range *scope) {
        for (size_t i = 0; i < x->world->n_addresses; i++) {
                const WorldAddress *a = &x->world->addresses[i];
                bool v4 = a->family == FAMILY_IPV4;

                if (a->family != x->family || a->index != in->index || a->tentative ||
                    (!v4 && a->address.high == 0 && a->address.low >> 32 == 0xffff))
                        continue;
                if (v4 || (scope ? is_within(a->address, scope)
                                 : !is_within(a->address, &scopes[0].range)))
                        return true;
        }
        return false;
}

/* Packets that arrive by an interface which may have no address for them: a redirect drops those
 * (nf_nat_redirect.c). */
static DiagramId without_address(Whole *x) {
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < x->n_arrivals && !x->sent; i++) {
                const WorldInterface *interface = &x->world->interfaces[x->arrivals[i].interface];
                Range one = range_single(u128(i));
                DiagramId in = whole_where(x, WHOLE_IN, &one, 1);

                if (!has_address_for(x, interface, NULL))
                        sum = whole_join(x, sum, in);
                for (size_t s = 0; s < ARRAY_SIZE(scopes) && x->family == FAMILY_IPV6; s++) {
                        const Range *scope = &scopes[s].range;
                        DiagramId to = whole_where(x, WHOLE_DESTINATION, scope, 1);

                        if (!scopes[s].unicast || !has_address_for(x, interface, scope))
                                sum = whole_join(x, sum, diagram_and(x->diagram, to, in));
                }
        }
        return sum;
}

/* The value that both registers hold, if it is known. */
static bool same_value(Registers *r, int8_t low, int8_t high, size_t size, uint8_t *ret) {
        uint8_t last[16] = {0};

        return whole_known_value(r, low, size, ret) &&
               (high < 0 ||
                (whole_known_value(r, high, size, last) && memcmp(ret, last, size) == 0));
}

/* Where the translation leads. */
static void set_destination(const Whole *x, const WorldNat *nat, Registers *r, WholeChange *c) {
        size_t width = x->family == FAMILY_IPV4 ? 4 : 16;
        uint8_t bytes[16] = {0};

        c->translated = true;
        c->here = nat->kind == WORLD_REDIRECT;
        if (nat->address_low >= 0) {
                c->has_address = same_value(r, nat->address_low, nat->address_high, width, bytes);
                c->any_address = !c->has_address;
                c->address = c->has_address ? u128_from_bytes(bytes, width) : U128_ZERO;
        }
        if (nat->port_low >= 0) {
                c->has_port = same_value(r, nat->port_low, nat->port_high, 2, bytes);
                c->any_port = !c->has_port;
                c->port = c->has_port ? (uint16_t)(bytes[0] << 8 | bytes[1]) : 0;
        }
}

/* To some address or port that is not known here. */
static DiagramId translate_somewhere(Whole *x, const WholeChange *c, DiagramId care) {
        WholeChange same = *c; /* as before, by chance: then it counts as not translated */
        DiagramId to;

        same.translated = false;
        to = whole_join(x, whole_leaf(x, care, whole_change(x, c), LABEL_ACCEPT),
                        whole_leaf(x, care, whole_change(x, &same), LABEL_ACCEPT));
        if (!c->here)
                return to;
        return whole_join(x, whole_dropped(x, diagram_and(x->diagram, without_address(x), care)),
                          to);
}

static DiagramId
translate_tracked(Whole *x, const WorldExpr *e, Registers *r, size_t change, DiagramId care);

static void put_port(Registers *r, int8_t number, uint32_t port) {
        Byte *to = whole_register_at(r, number, 2);

        to[0].known = (uint8_t)(port >> 8);
        to[1].known = (uint8_t)port;
}

/* Each port to its own; what is left to any of the range. */
static DiagramId
translate_by_base(Whole *x, const WorldExpr *e, Registers *r, size_t change, DiagramId care) {
        const WorldNat *nat = &e->nat;
        WorldExpr one = *e;
        uint8_t low[2], high[2];
        DiagramId sum = DIAGRAM_EMPTY;
        uint32_t port, end;

        one.nat.has_base = false;
        if (!whole_known_value(r, nat->port_low, 2, low) ||
            !whole_known_value(r, nat->port_high, 2, high))
                return translate_tracked(x, &one, r, change, care);
        port = (uint32_t)(low[0] << 8 | low[1]);
        end = (uint32_t)(high[0] << 8 | high[1]);
        for (uint32_t i = 0; port + i <= end && i < BASE_MAX && nat->base + i <= UINT16_MAX; i++) {
                Range dialled = range_single(u128(nat->base + i));
                DiagramId here = diagram_and(
                        x->diagram, whole_where(x, WHOLE_DESTINATION_PORT, &dialled, 1), care);
                Registers own = *r;

                put_port(&own, nat->port_low, port + i);
                put_port(&own, nat->port_high, port + i);
                sum = whole_join(x, sum, translate_tracked(x, &one, &own, change, here));
                if (!x->collecting)
                        care = diagram_minus(x->diagram, care, here);
        }
        return whole_join(x, sum, translate_tracked(x, &one, r, change, care));
}

static DiagramId
translate_tracked(Whole *x, const WorldExpr *e, Registers *r, size_t change, DiagramId care) {
        const WorldNat *nat = &e->nat;
        WholeChange c = x->changes[change], none = c;
        DiagramId same, ports;

        if (care == DIAGRAM_EMPTY)
                return DIAGRAM_EMPTY;
        if (nat->has_base)
                return translate_by_base(x, e, r, change, care);
        none.done = c.done = true;
        ports = whole_with_ports(x, false);
        if (nat->port_low >= 0 && !x->collecting &&
            diagram_minus(x->diagram, care, ports) != DIAGRAM_EMPTY) {
                /* what has no ports gets no other one */
                WorldExpr without_port = *e;

                without_port.nat.port_low = without_port.nat.port_high = -1;
                return whole_join(
                        x, translate_tracked(x, e, r, change, diagram_and(x->diagram, ports, care)),
                        translate_tracked(x, &without_port, r, change,
                                          diagram_minus(x->diagram, care, ports)));
        }
        if (c.has_address || c.has_port) {
                c.any_address = c.any_port = c.any_else = true;
                c.translated = true;
                return whole_leaf(x, care, whole_change(x, &c), LABEL_ACCEPT);
        }
        set_destination(x, nat, r, &c);
        if (c.any_address || c.any_port || c.here)
                return translate_somewhere(x, &c, care);
        same = same_destination(x, &c);
        if (x->collecting)
                return DIAGRAM_EMPTY;
        return whole_join(x,
                          whole_leaf(x, diagram_and(x->diagram, same, care), whole_change(x, &none),
                                     LABEL_ACCEPT),
                          whole_leaf(x, diagram_minus(x->diagram, care, same), whole_change(x, &c),
                                     LABEL_ACCEPT));
}

DiagramId
whole_translate(Whole *x, const WorldExpr *e, Registers *r, size_t change, DiagramId care) {
        const WorldNat *nat = &e->nat;
        WholeChange c = x->changes[change], none = c;

        if (care == DIAGRAM_EMPTY)
                return DIAGRAM_EMPTY;
        none.done = c.done = true;
        if (nat->kind == WORLD_SNAT || nat->kind == WORLD_MASQUERADE) {
                c.any_source = true;
                return whole_leaf(x, care, whole_change(x, &c), LABEL_ACCEPT);
        }
        if (!x->collecting) {
                /* without a connection nothing is translated */
                DiagramId odd = diagram_and(x->diagram, whole_where_odd(x), care);

                if (odd != DIAGRAM_EMPTY && nat->kind != WORLD_SNAT)
                        return whole_join(x,
                                          whole_leaf(x, odd, whole_change(x, &none), LABEL_ACCEPT),
                                          translate_tracked(x, e, r, change, care));
        }
        return translate_tracked(x, e, r, change, care);
}

size_t whole_anything(Whole *x, size_t change) {
        WholeChange c = x->changes[change];

        c.any_address = c.any_port = c.any_source = c.any_mark = c.any_ct_mark = c.any_else = true;
        c.has_address = c.has_port = false;
        c.address = U128_ZERO;
        c.port = 0;
        return whole_change(x, &c);
}

DiagramId whole_with_ports(Whole *x, bool icmp) {
        static const uint8_t protocols[] = {IPPROTO_TCP,     IPPROTO_UDP,  IPPROTO_SCTP,
                                            IPPROTO_UDPLITE, IPPROTO_DCCP, IPPROTO_ICMP,
                                            IPPROTO_ICMPV6};
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < (icmp ? 7 : 5); i++) {
                Range r = range_single(u128(protocols[i]));

                sum = whole_join(x, sum, whole_where(x, WHOLE_PROTOCOL, &r, 1));
        }
        return sum;
}

/* What conntrack may hold for no beginning of anything: messages of ICMP, and datagrams of UDP over
 * IPv6 whose length is 0, as of jumbograms: they are invalid to it and delivered all the same
 * (udp_error of nf_conntrack_proto_udp.c, __udp6_lib_rcv). Nobody's plain connection begins so. */
DiagramId whole_where_odd(Whole *x) {
        static const uint8_t asks4[] = {8, 13, 15, 17}, asks6[] = {128, 139};
        bool v4 = x->family == FAMILY_IPV4;
        Range icmp = range_single(u128(v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6));
        Range udp = range_single(u128(IPPROTO_UDP));
        DiagramId odd = whole_where(x, WHOLE_PROTOCOL, &icmp, 1);

        for (size_t i = 0; i < (v4 ? ARRAY_SIZE(asks4) : ARRAY_SIZE(asks6)); i++) {
                unsigned int type = (v4 ? asks4[i] : asks6[i]);
                Range r = {u128(type << 8), u128(type << 8 | 0xff)};

                odd = diagram_minus(x->diagram, odd, whole_where(x, WHOLE_SOURCE_PORT, &r, 1));
        }
        if (!v4 && !x->plain && !x->sent)
                odd = diagram_union(x->diagram, odd, whole_where(x, WHOLE_PROTOCOL, &udp, 1));
        return odd;
}
