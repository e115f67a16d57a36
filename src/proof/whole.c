/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include <linux/netfilter.h>

#include "proof/whole_state.h"

/* The way of first packets from outside through the hooks. */

#define PRIORITY_CONNTRACK (-200)
#define PRIORITY_DESTINATIONS (-100)
#define PRIORITY_SOURCES 100
#define ROUTE_UNICAST 1 /* RTN_ */
#define ROUTE_LOCAL 2
#define ROUTE_BROADCAST 3
#define ROUTE_ANYCAST 4
#define ROUTE_MULTICAST 5
#define ROUTE_UNREACHABLE 7
#define TIES_MAX 3 /* chains of one priority that are tried in every order */
#define TABLE_LOCAL 255
#define TABLE_MAIN 254
#define TABLE_DEFAULT 253

DiagramId whole_fail(Whole *x, int error) {
        if (x->error == 0)
                x->error = error;
        return DIAGRAM_EMPTY;
}

int whole_error(const Whole *x) {
        return x->error < 0 ? x->error : diagram_error(x->diagram);
}

void whole_note(Whole *x, const char *what) {
        for (size_t i = 0; i < x->n_unknown; i++)
                if (streq(x->unknown[i], what))
                        return;
        if (!arena_append(x->arena, x->unknown, x->n_unknown, what))
                (void)whole_fail(x, -ENOMEM);
}

size_t whole_change(Whole *x, const WholeChange *c) {
        for (size_t i = 0; i < x->n_changes; i++)
                if (memcmp(&x->changes[i], c, sizeof(*c)) == 0)
                        return i;
        if (x->n_changes == WHOLE_CHANGES_MAX) {
                (void)whole_fail(x, -E2BIG);
                return 0;
        }
        if (!arena_append(x->arena, x->changes, x->n_changes, *c)) {
                (void)whole_fail(x, -ENOMEM);
                return 0;
        }
        return x->n_changes - 1;
}

static bool make_maps(Whole *x) {
        size_t n = LABEL_FIRST + WHOLE_CHANGES_MAX * 4;

        x->fall_to_return = arena_alloc_array(x->arena, n, sizeof(uint16_t));
        x->return_to_fall = arena_alloc_array(x->arena, n, sizeof(uint16_t));
        x->fall_to_pending = arena_alloc_array(x->arena, n, sizeof(uint16_t));
        if (!x->fall_to_return || !x->return_to_fall || !x->fall_to_pending)
                return false;
        for (size_t i = 0; i < n; i++) {
                unsigned int kind = i < LABEL_FIRST ? 9 : i % 4;

                x->fall_to_return[i] =
                        (uint16_t)(kind == LABEL_FALL ? i - LABEL_FALL + LABEL_RETURN : i);
                x->return_to_fall[i] =
                        (uint16_t)(kind == LABEL_RETURN ? i - LABEL_RETURN + LABEL_FALL : i);
                x->fall_to_pending[i] =
                        (uint16_t)(kind == LABEL_FALL ? i - LABEL_FALL + LABEL_PENDING : i);
        }
        return true;
}

static int find_arrivals(Whole *x);
static bool has_nat(const Whole *x);
static bool has_conntrack(const Whole *x);

static bool keeps_marks(const WorldInterface *i) {
        static const char *const others[] = {"veth",  "bridge",    "vlan",   "macvlan",
                                             "dummy", "bond",      "team",   "tun",
                                             "ifb",   "wireguard", "ipvlan", "macvtap"};

        for (size_t j = 0; j < ARRAY_SIZE(others); j++)
                if (!i->kind || streq(i->kind, others[j]))
                        return false;
        return true;
}

Whole *whole_new(const World *w, Family family) {
        Whole *x = calloc(1, sizeof(*x));
        unsigned int address = family == FAMILY_IPV4 ? 4 : 16;
        const unsigned int widths[_WHOLE_VARIABLE_MAX] = {address, address, 1, 2, 2, 1, 4, 4};

        if (!x)
                return NULL;
        x->world = w;
        x->family = family;
        x->arena = arena_new(0);
        x->scratch = arena_new(0);
        x->diagram = diagram_new(0);
        x->n_variables = _WHOLE_VARIABLE_MAX;
        for (unsigned int i = 0; i < _WHOLE_VARIABLE_MAX; i++)
                x->variables[i].width = widths[i];
        if (!x->arena || !x->scratch || !x->diagram || !make_maps(x) || whole_find_routes(x) < 0 ||
            find_arrivals(x) < 0 || whole_change(x, &(WholeChange){0}) != 0)
                return whole_free(x);
        x->has_nat = has_nat(x);
        x->defragments = x->has_nat || has_conntrack(x);
        /* what comes out of a tunnel bears the mark of its outer packet */
        for (size_t i = 0; i < w->n_interfaces; i++)
                x->changes[0].any_mark |= keeps_marks(&w->interfaces[i]);
        return x;
}

Whole *whole_free(Whole *x) {
        if (!x)
                return NULL;
        x->diagram = diagram_free(x->diagram);
        x->scratch = arena_free(x->scratch);
        x->arena = arena_free(x->arena);
        free(x->memos);
        free(x);
        return NULL;
}

/* Addresses. */

static Range prefix_range(const Whole *x, U128 address, unsigned int prefix) {
        unsigned int bits = x->family == FAMILY_IPV4 ? 32 : 128;
        U128 host = u128_low_mask(bits - MIN(prefix, bits));

        return (Range){{address.high & ~host.high, address.low & ~host.low},
                       u128_or(address, host)};
}

static int compare_cuts(const void *a, const void *b) {
        return u128_compare(*(const U128 *)a, *(const U128 *)b);
}

/* What the tables say about one address: the type, and the interface that it leaves by (-1: none,
 * -2: not known). */
static void ask_routes(const Whole *x, U128 address, int *ret_type, int *ret_out) {
        const World *w = x->world;
        int best = -1, best_local = -1;
        bool tie = false; /* link-local networks are at every interface, and never forwarded to */

        for (size_t i = 0; i < w->n_routes; i++) {
                const WorldRoute *r = &w->routes[i];
                Range range = prefix_range(x, r->destination, r->prefix);
                int *slot = r->table == TABLE_LOCAL ? &best_local : &best;

                if (r->family != x->family || u128_compare(address, range.low) < 0 ||
                    u128_compare(address, range.high) > 0 ||
                    (r->table != TABLE_LOCAL && r->table != TABLE_MAIN &&
                     r->table != TABLE_DEFAULT))
                        continue;
                if (*slot < 0 || r->prefix > w->routes[*slot].prefix ||
                    (r->prefix == w->routes[*slot].prefix && r->metric < w->routes[*slot].metric)) {
                        tie = tie && slot != &best;
                        *slot = (int)i;
                } else if (slot == &best && r->prefix == w->routes[*slot].prefix &&
                           r->metric == w->routes[*slot].metric)
                        tie = true;
        }
        *ret_type = best_local >= 0 ? w->routes[best_local].type : ROUTE_UNICAST;
        *ret_out = best < 0 ? -1 : -2;
        for (size_t i = 0; best >= 0 && i < w->n_interfaces; i++)
                if (w->routes[best].type == ROUTE_UNICAST && !w->routes[best].several &&
                    w->interfaces[i].index == w->routes[best].index)
                        *ret_out = (int)i;
        if (best >= 0 && w->routes[best].type != ROUTE_UNICAST)
                *ret_out = -1;
        else if (best >= 0 && (tie || w->routes[best].table == TABLE_DEFAULT) &&
                 !(x->family == FAMILY_IPV6 && address.high >> 54 == 0x3fa))
                *ret_out = -2;
        for (size_t i = 0; i < w->n_addresses; i++)
                if (w->addresses[i].family == x->family &&
                    u128_equal(w->addresses[i].address, address))
                        *ret_type = ROUTE_LOCAL;
}

static bool cut_at(Whole *x, U128 **cuts, size_t *n, Range r) {
        if (!arena_append(x->arena, *cuts, *n, r.low))
                return false;
        return u128_equal(r.high, U128_MAX) || arena_append(x->arena, *cuts, *n, u128_next(r.high));
}

/* Of IPv6: addresses whose type depends on the interface, or that have none. */
static const Range special[] = {
        {{0, 0}, {0, 0}},
        {{0, UINT64_C(0xffff) << 32}, {0, UINT64_C(0xffffffffffff)}},
        {{UINT64_C(0xfe80) << 48, 0}, {UINT64_C(0xfebfffffffffffff), UINT64_MAX}},
        {{UINT64_C(0xff) << 56, 0}, {UINT64_MAX, UINT64_MAX}},
};

static bool is_special(U128 a) {
        for (size_t i = 0; i < ARRAY_SIZE(special); i++)
                if (u128_compare(a, special[i].low) >= 0 && u128_compare(a, special[i].high) <= 0)
                        return true;
        return false;
}

/* What fib's type is for IPv6, where an address without a route is not like others. */
static int fib_type(const Whole *x, U128 address, int type, int route) {
        if (x->world->has_route_rules)
                return WHOLE_OPEN;
        if (type == ROUTE_ANYCAST)
                return type;
        if (type != ROUTE_UNICAST)
                return WHOLE_OPEN;
        for (size_t i = 0; i < x->world->n_routes && route == -1; i++) {
                const WorldRoute *r = &x->world->routes[i];
                Range range = prefix_range(x, r->destination, r->prefix);

                /* there is one, of another kind */
                if (r->family == x->family && u128_compare(address, range.low) >= 0 &&
                    u128_compare(address, range.high) <= 0)
                        return WHOLE_OPEN;
        }
        return route == -1 ? ROUTE_UNREACHABLE : ROUTE_UNICAST;
}

int whole_find_routes(Whole *x) {
        const World *w = x->world;
        bool v4 = x->family == FAMILY_IPV4;
        U128 *cuts = NULL, last = u128_low_mask(v4 ? 32 : 128);
        Range multicast = v4 ? (Range){u128(0xe0000000), u128(0xefffffff)}
                             : (Range){{UINT64_C(0xff) << 56, 0}, U128_MAX};
        Range zero = range_single(U128_ZERO);
        size_t n = 0;

        x->routes_known = x->deliveries_known = !w->has_route_rules;
        for (size_t i = 0; i < w->n_routes; i++)
                x->deliveries_known &=
                        w->routes[i].family != x->family || w->routes[i].table == TABLE_LOCAL ||
                        (w->routes[i].type != ROUTE_LOCAL && w->routes[i].type != ROUTE_ANYCAST);
        if (!cut_at(x, &cuts, &n, (Range){U128_ZERO, last}) || !cut_at(x, &cuts, &n, multicast) ||
            !cut_at(x, &cuts, &n, zero) || !cut_at(x, &cuts, &n, range_single(last)))
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(special) && !v4; i++)
                if (!cut_at(x, &cuts, &n, special[i]))
                        return -ENOMEM;
        for (size_t i = 0; i < w->n_routes; i++)
                if (w->routes[i].family == x->family &&
                    !cut_at(x, &cuts, &n,
                            prefix_range(x, w->routes[i].destination, w->routes[i].prefix)))
                        return -ENOMEM;
        for (size_t i = 0; i < w->n_addresses; i++)
                if (w->addresses[i].family == x->family &&
                    !cut_at(x, &cuts, &n, range_single(w->addresses[i].address)))
                        return -ENOMEM;
        qsort(cuts, n, sizeof(*cuts), compare_cuts);
        for (size_t i = 0; i < n; i++) {
                U128 end = last;
                Piece type, route, fib;

                if (u128_compare(cuts[i], last) > 0 ||
                    (i + 1 < n && u128_equal(cuts[i], cuts[i + 1])))
                        continue;
                if (i + 1 < n && u128_compare(cuts[i + 1], last) <= 0)
                        end = u128_previous(cuts[i + 1]);
                type.range = route.range = (Range){cuts[i], end};
                ask_routes(x, cuts[i], &type.value, &route.value);
                if (u128_compare(cuts[i], multicast.low) >= 0 &&
                    u128_compare(cuts[i], multicast.high) <= 0)
                        type.value = ROUTE_MULTICAST;
                else if (v4 && (u128_compare(cuts[i], zero.high) <= 0 || u128_equal(cuts[i], last)))
                        type.value = ROUTE_BROADCAST;
                fib = type;
                if (!v4 && type.value != ROUTE_LOCAL)
                        fib.value = fib_type(x, cuts[i], type.value, route.value);
                if (!v4 && is_special(cuts[i]))
                        fib.value = WHOLE_OPEN;
                if (!arena_append(x->arena, x->fib_types, x->n_fib_types, fib))
                        return -ENOMEM;
                if (route.value == -2)
                        x->routes_known = false;
                if (!arena_append(x->arena, x->types, x->n_types, type) ||
                    !arena_append(x->arena, x->routes, x->n_routes, route))
                        return -ENOMEM;
        }
        return 0;
}

int whole_piece_at(const Piece *pieces, size_t n, U128 address) {
        for (size_t i = 0; i < n; i++)
                if (u128_compare(address, pieces[i].range.low) >= 0 &&
                    u128_compare(address, pieces[i].range.high) <= 0)
                        return pieces[i].value;
        return -1;
}

/* Cuts, and the packets that there can be. */

int whole_cut(Whole *x, WholeVariable variable, Range r) {
        return axis_cut(x->arena, &x->variables[variable].axis, r);
}

static DiagramId without(Whole *x, DiagramId d, WholeVariable v, Range r) {
        return diagram_minus(x->diagram, d, whole_where(x, v, &r, 1));
}

static const Range flag_ranges[] = {
        /* SYN without ACK, RST, FIN, whatever else is set */
        {{0, 0x02}, {0, 0x02}}, {{0, 0x0a}, {0, 0x0a}}, {{0, 0x22}, {0, 0x22}},
        {{0, 0x2a}, {0, 0x2a}}, {{0, 0x42}, {0, 0x42}}, {{0, 0x4a}, {0, 0x4a}},
        {{0, 0x62}, {0, 0x62}}, {{0, 0x6a}, {0, 0x6a}}, {{0, 0x82}, {0, 0x82}},
        {{0, 0x8a}, {0, 0x8a}}, {{0, 0xa2}, {0, 0xa2}}, {{0, 0xaa}, {0, 0xaa}},
        {{0, 0xc2}, {0, 0xc2}}, {{0, 0xca}, {0, 0xca}}, {{0, 0xe2}, {0, 0xe2}},
        {{0, 0xea}, {0, 0xea}},
};

/* Sources that the kernel itself refuses from outside, measured; and destinations, before any rule
 * could translate them: IPv4's are looked at behind prerouting. */
static const struct {
        Family family;
        WholeVariable variable;
        Range range;
} impossible[] = {

        {FAMILY_IPV4, WHOLE_SOURCE, {{0, 0x7f000000}, {0, 0x7fffffff}}},
        {FAMILY_IPV4, WHOLE_SOURCE, {{0, 0xe0000000}, {0, 0xefffffff}}},
        {FAMILY_IPV4, WHOLE_SOURCE, {{0, 0xffffffff}, {0, 0xffffffff}}},
        {FAMILY_IPV6, WHOLE_SOURCE, {{0, 1}, {0, 1}}},
        {FAMILY_IPV6, WHOLE_SOURCE, {{UINT64_C(0xff) << 56, 0}, {UINT64_MAX, UINT64_MAX}}},
        {FAMILY_IPV6, WHOLE_DESTINATION, {{0, 1}, {0, 1}}},
};

static const uint8_t known_protocols[] = {IPPROTO_ICMP, IPPROTO_TCP,    IPPROTO_UDP,
                                          IPPROTO_SCTP, IPPROTO_ICMPV6, IPPROTO_UDPLITE,
                                          IPPROTO_DCCP};

static DiagramId where_protocols(Whole *x, bool with_icmp) {
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < ARRAY_SIZE(known_protocols); i++) {
                Range r = range_single(u128(known_protocols[i]));

                if (with_icmp ||
                    (known_protocols[i] != IPPROTO_ICMP && known_protocols[i] != IPPROTO_ICMPV6))
                        sum = diagram_union(x->diagram, sum, whole_where(x, WHOLE_PROTOCOL, &r, 1));
        }
        return sum;
}

static const Range loopback4 = {{0, 0x7f000000}, {0, 0x7fffffff}};

static bool is_impossible(const Whole *x, size_t i) {
        bool loopback = impossible[i].range.low.low >> 24 == 0x7f;

        /* settings of the kernel's may let IPv4's loopback addresses in; a bridge calls prerouting
         * before IPv6 looks at the packet */
        if (impossible[i].variable == WHOLE_DESTINATION && x->world->bridge_calls_iptables)
                return false;
        return impossible[i].family == x->family && !(loopback && x->world->route_localnet);
}

static void make_domain(Whole *x) {
        Diagram *d = x->diagram;
        Range tcp = range_single(u128(IPPROTO_TCP)), protocols = {U128_ZERO, u128(255)};
        Range ports = {U128_ZERO, u128(65535)};
        Range addresses = {U128_ZERO, u128_low_mask(x->family == FAMILY_IPV4 ? 32 : 128)};
        DiagramId domain = whole_where(x, WHOLE_FLAGS, flag_ranges, ARRAY_SIZE(flag_ranges));
        DiagramId in = DIAGRAM_EMPTY, out = DIAGRAM_EMPTY;

        domain = diagram_union(
                d, domain, diagram_minus(d, DIAGRAM_ALL, whole_where(x, WHOLE_PROTOCOL, &tcp, 1)));
        domain = diagram_and(d, whole_where(x, WHOLE_PROTOCOL, &protocols, 1), domain);
        domain = diagram_and(d, whole_where(x, WHOLE_DESTINATION_PORT, &ports, 1), domain);
        domain = diagram_and(d, whole_where(x, WHOLE_SOURCE_PORT, &ports, 1), domain);
        domain = diagram_and(d, whole_where(x, WHOLE_DESTINATION, &addresses, 1), domain);
        domain = diagram_and(d, whole_where(x, WHOLE_SOURCE, &addresses, 1), domain);
        for (size_t i = 0; i < ARRAY_SIZE(impossible); i++)
                if (is_impossible(x, i))
                        domain = without(x, domain, impossible[i].variable, impossible[i].range);
        for (size_t i = 0; i < x->world->n_interfaces; i++) {
                Range r = range_single(u128(i));

                out = diagram_union(d, out, whole_where(x, WHOLE_OUT, &r, 1));
        }
        for (size_t i = 0; i < x->n_arrivals; i++) {
                Range r = range_single(u128(i));

                in = diagram_union(d, in, whole_where(x, WHOLE_IN, &r, 1));
        }
        x->domain = diagram_and(d, domain, diagram_and(d, in, out));
}

DiagramId whole_domain(Whole *x) {
        return x->domain;
}

Diagram *whole_diagram(Whole *x) {
        return x->diagram;
}

const Axis *whole_axis(const Whole *x, unsigned int variable) {
        return &x->variables[variable].axis;
}

const char *whole_variable_name(const Whole *x, unsigned int variable) {
        return variable < x->n_variables ? x->variables[variable].name : NULL;
}

bool whole_is_open(const Whole *x) {
        return x->order_open;
}

const char *whole_unknown(const Whole *x, const char *const **ret, size_t *ret_n) {
        *ret = x->unknown;
        *ret_n = x->n_unknown;
        return x->n_unknown > 0 ? x->unknown[0] : NULL;
}

static int find_arrivals(Whole *x) {
        const World *w = x->world;

        for (size_t i = 0; i < w->n_interfaces; i++)
                for (size_t j = 0; j < w->n_interfaces; j++) {
                        Arrival a = {i, w->interfaces[j].address};

                        if ((i == j || (w->interfaces[j].master == w->interfaces[i].index &&
                                        w->interfaces[i].index > 0)) &&
                            !w->interfaces[i].loopback &&
                            !arena_append(x->arena, x->arrivals, x->n_arrivals, a))
                                return -ENOMEM;
                }
        return 0;
}

const WorldInterface *whole_arrival(const Whole *x, uint64_t number, const uint8_t **ret_address) {
        if (number >= x->n_arrivals)
                return NULL;
        *ret_address = x->arrivals[number].address;
        return &x->world->interfaces[x->arrivals[number].interface];
}

static DiagramId where_interface(Whole *x, unsigned int variable, const RangeSet *names) {
        DiagramId sum = DIAGRAM_EMPTY;

        size_t n = variable == WHOLE_IN ? x->n_arrivals : x->world->n_interfaces;

        for (size_t i = 0; i < n; i++) {
                size_t number = variable == WHOLE_IN ? x->arrivals[i].interface : i;
                char name[16] = {0};
                Range r = range_single(u128(i));

                (void)snprintf(name, sizeof(name), "%s", x->world->interfaces[number].name);
                if (range_set_contains(names, u128_from_bytes(name, sizeof(name))))
                        sum = diagram_union(x->diagram, sum, whole_where(x, variable, &r, 1));
        }
        return sum;
}

DiagramId whole_where_in(Whole *x, const RangeSet *names) {
        return where_interface(x, WHOLE_IN, names);
}

static bool is_named(const Whole *x, int i, const RangeSet *names) {
        char name[16] = {0};

        if (i < 0)
                return false;
        (void)snprintf(name, sizeof(name), "%s", x->world->interfaces[i].name);
        return range_set_contains(names, u128_from_bytes(name, sizeof(name)));
}

DiagramId whole_where_out(Whole *x, const WholeChange *c, const RangeSet *names) {
        DiagramId sum = DIAGRAM_EMPTY;

        if (!x->routes_known || c->any_address || c->any_else)
                return where_interface(x, WHOLE_OUT, names);
        if (c->has_address)
                return is_named(x, whole_piece_at(x->routes, x->n_routes, c->address), names)
                               ? DIAGRAM_ALL
                               : DIAGRAM_EMPTY;
        for (size_t i = 0; i < x->n_routes; i++)
                if (is_named(x, x->routes[i].value, names))
                        sum = diagram_union(
                                x->diagram, sum,
                                whole_where(x, WHOLE_DESTINATION, &x->routes[i].range, 1));
        return sum;
}

/* fe80::/10 */
static const Range link_local = {{UINT64_C(0xfe80) << 48, 0},
                                 {UINT64_C(0xfebfffffffffffff), UINT64_MAX}};

int whole_take_plain(Whole *x) {
        x->plain = true;
        if (x->family == FAMILY_IPV6 && whole_cut(x, WHOLE_DESTINATION, link_local) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < x->n_types; i++)
                if (whole_cut(x, WHOLE_SOURCE, x->types[i].range) < 0)
                        return -ENOMEM;
        return 0;
}

static DiagramId where_type(Whole *x, int type, bool known) {
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < x->n_types; i++)
                if (x->types[i].value == type &&
                    (!known || !x->routes_known || x->routes[i].value >= 0))
                        sum = diagram_union(
                                x->diagram, sum,
                                whole_where(x, WHOLE_DESTINATION, &x->types[i].range, 1));
        return sum;
}

DiagramId whole_where_local(Whole *x) {
        return where_type(x, ROUTE_LOCAL, false);
}

DiagramId whole_where_routed(Whole *x, bool known) {
        return where_type(x, ROUTE_UNICAST, known);
}

/* Packets in which a link-local address of this host's is one of the interface they arrive by. */
static DiagramId on_their_link(Whole *x, DiagramId region) {
        DiagramId sum = DIAGRAM_EMPTY;

        if (x->family != FAMILY_IPV6)
                return region;
        for (size_t i = 0; i < x->world->n_addresses; i++) {
                const WorldAddress *a = &x->world->addresses[i];
                Range to = range_single(a->address);

                for (size_t j = 0; j < x->n_arrivals && a->family == FAMILY_IPV6 &&
                                   a->address.high >> 54 == 0x3fa;
                     j++) {
                        Range one = range_single(u128(j));

                        if (x->world->interfaces[x->arrivals[j].interface].index != a->index)
                                continue;
                        sum = diagram_union(x->diagram, sum,
                                            diagram_and(x->diagram,
                                                        whole_where(x, WHOLE_DESTINATION, &to, 1),
                                                        whole_where(x, WHOLE_IN, &one, 1)));
                }
        }
        sum = diagram_and(x->diagram, sum, region);
        return diagram_union(x->diagram, sum, without(x, region, WHOLE_DESTINATION, link_local));
}

DiagramId whole_where_plain(Whole *x) {
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < x->n_types; i++) {
                const Range *r = &x->types[i].range;
                /* link-local networks are at every interface */
                bool anywhere = !x->routes_known ||
                                (x->family == FAMILY_IPV6 && r->low.high >> 54 == 0x3fa &&
                                 x->routes[i].value != -1);
                DiagramId in = anywhere ? DIAGRAM_ALL : DIAGRAM_EMPTY;

                if (x->types[i].value != ROUTE_UNICAST)
                        continue;
                for (size_t j = 0; j < x->n_arrivals && !anywhere; j++) {
                        Range one = range_single(u128(j));

                        if ((int)x->arrivals[j].interface == x->routes[i].value)
                                in = diagram_union(x->diagram, in,
                                                   whole_where(x, WHOLE_IN, &one, 1));
                }
                sum = diagram_union(
                        x->diagram, sum,
                        diagram_and(x->diagram, whole_where(x, WHOLE_SOURCE, r, 1), in));
        }
        return on_their_link(x, sum);
}

bool whole_leads(const Whole *x, U128 address) {
        return x->routes_known && (whole_piece_at(x->types, x->n_types, address) == ROUTE_LOCAL ||
                                   whole_piece_at(x->routes, x->n_routes, address) >= 0);
}

int whole_finish(Whole *x) {
        static const Stage stages[] = {STAGE_FORWARD, STAGE_INPUT, STAGE_PREROUTING};
        const World *w = x->world;

        x->collecting = true;
        for (size_t s = 0; s < ARRAY_SIZE(stages); s++) {
                x->stage = stages[s];
                x->again = s > 0;
                for (size_t i = 0; i < w->n_chains; i++)
                        (void)whole_chain(x, w->chains[i], 0, DIAGRAM_ALL);
        }
        make_domain(x); /* cuts */
        (void)where_protocols(x, true);
        (void)whole_where_odd(x);
        if (x->family == FAMILY_IPV4)
                (void)whole_where(x, WHOLE_DESTINATION, &loopback4, 1);
        for (size_t i = 0; i < x->n_types; i++)
                (void)whole_where(x, WHOLE_DESTINATION, &x->types[i].range, 1);
        x->collecting = false;
        for (unsigned int i = 0; i < x->n_variables; i++) {
                if (x->variables[i].ready)
                        continue;
                if (axis_finish(x->arena, &x->variables[i].axis) < 0)
                        return -ENOMEM;
                x->variables[i].ready = true;
        }
        make_domain(x);
        return whole_error(x);
}

/* The hooks. */

static void note_order(Whole *x, const char *what) {
        x->order_open = true;
        whole_note(x, what ? what : "the order of chains");
}

static bool sees_family(const Whole *x, const WorldChain *c) {
        uint8_t f = c->table->family;

        return f == NFPROTO_INET || f == (x->family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
}

static bool is_dormant(const WorldTable *t) {
        return t->flags & 1U; /* NFT_TABLE_F_DORMANT */
}

static bool has_nat(const Whole *x) {
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];

                if (c->is_base && c->type == WORLD_NATS && sees_family(x, c) &&
                    !is_dormant(c->table))
                        return true;
        }
        return false;
}

/* Whether anything in the table changes what other tables' rules may see. */
static bool has_effects(const Whole *x, const WorldTable *t) {
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];

                for (size_t j = 0; c->table == t && j < c->n_rules; j++)
                        for (size_t k = 0; k < c->rules[j].n_exprs; k++) {
                                const WorldExpr *e = &c->rules[j].exprs[k];

                                if (e->kind == WORLD_SET_META || e->kind == WORLD_SET_CT ||
                                    e->kind == WORLD_SET_PAYLOAD || e->kind == WORLD_NOTRACK ||
                                    (e->kind == WORLD_UNKNOWN && !startswith(e->name, "xt match")))
                                        return true;
                        }
        }
        return false;
}

/* A rule that asks for connections turns conntrack on, and packets are put together first. */
static bool has_conntrack(const Whole *x) {
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];

                for (size_t j = 0; j < c->n_rules && sees_family(x, c); j++)
                        for (size_t k = 0; k < c->rules[j].n_exprs; k++)
                                if (c->rules[j].exprs[k].kind == WORLD_CT)
                                        return true;
        }
        return false;
}

static int compare_chains(const void *a, const void *b) {
        const WorldChain *x = *(const WorldChain *const *)a, *y = *(const WorldChain *const *)b;

        if (x->priority != y->priority)
                return x->priority < y->priority ? -1 : 1;
        return x->number < y->number ? -1 : x->number > y->number;
}

static size_t list_chains(Whole *x, int hook, bool nat, const WorldChain ***ret) {
        const World *w = x->world;
        const WorldChain **list = arena_alloc_array(x->arena, w->n_chains + 1, sizeof(*list));
        size_t n = 0;

        if (!list)
                return whole_fail(x, -ENOMEM);
        for (size_t i = 0; i < w->n_chains; i++) {
                const WorldChain *c = w->chains[i];

                if (c->is_base && !c->ingress && !c->egress && c->hook == hook &&
                    sees_family(x, c) && !is_dormant(c->table) && (c->type == WORLD_NATS) == nat)
                        list[n++] = c;
        }
        qsort(list, n, sizeof(*list), compare_chains);
        *ret = list;
        return n;
}

static DiagramId run_base(Whole *x, const void *context, size_t change, DiagramId care) {
        const WorldChain *c = context;
        WholeChange ch = x->changes[change];
        DiagramId accept = diagram_and(x->diagram, care,
                                       diagram_leaf(x->diagram, label_of(change, LABEL_ACCEPT)));
        DiagramId r;

        if (x->stage == STAGE_NAT && (ch.untracked || ch.done))
                return accept;
        r = whole_chain(x, c, change, care);
        /* what falls out, whatever changed on the way */
        for (size_t i = 0; i < x->n_changes; i++)
                r = diagram_replace(x->diagram, r, label_of(i, LABEL_FALL),
                                    diagram_leaf(x->diagram, c->policy_drop
                                                                     ? LABEL_DROP
                                                                     : label_of(i, LABEL_ACCEPT)));
        return r;
}

/* In every order: which one is the kernel's is not known. */
static DiagramId run_tied(Whole *x, DiagramId now, const WorldChain **list, size_t n) {
        DiagramId sum = DIAGRAM_EMPTY;

        if (n == 0)
                return now;
        for (size_t i = 0; i < n; i++) {
                const WorldChain *first = list[i];
                DiagramId then;

                list[i] = list[0];
                list[0] = first;
                then = whole_then(x, now, LABEL_ACCEPT, run_base, first);
                sum = diagram_union(x->diagram, sum, run_tied(x, then, list + 1, n - 1));
                list[0] = list[i];
                list[i] = first;
        }
        return sum;
}

static bool order_matters(const Whole *x, const WorldChain **list, size_t n) {
        bool matters = x->stage == STAGE_NAT; /* the first chain that translates ends it */

        for (size_t i = 0; i < n; i++)
                matters |= has_effects(x, list[i]->table);
        return n > 1 && matters;
}

static DiagramId
run_chains(Whole *x, DiagramId now, const WorldChain **list, size_t n, int from, int to) {
        for (size_t i = 0, k; i < n; i += k) {
                for (k = 1; i + k < n && list[i + k]->priority == list[i]->priority;)
                        k++;
                if (list[i]->priority < from || list[i]->priority >= to)
                        continue;
                if (order_matters(x, list + i, k) && k <= TIES_MAX) {
                        now = run_tied(x, now, list + i, k);
                        continue;
                }
                if (order_matters(x, list + i, k))
                        note_order(x, arena_printf(x->arena,
                                                   "the order of %zu chains of one priority, of "
                                                   "which one is '%s'",
                                                   k, list[i]->name));
                for (size_t j = 0; j < k; j++)
                        now = whole_then(x, now, LABEL_ACCEPT, run_base, list[i + j]);
        }
        return now;
}

static DiagramId run_prerouting(Whole *x, DiagramId now) {
        const WorldChain **list, **nat;
        size_t n = list_chains(x, NF_INET_PRE_ROUTING, false, &list);
        size_t n_nat = list_chains(x, NF_INET_PRE_ROUTING, true, &nat);

        if (whole_error(x) < 0)
                return DIAGRAM_EMPTY;
        for (size_t i = 0; i < n; i++)
                if (list[i]->priority == PRIORITY_CONNTRACK ||
                    (list[i]->priority == PRIORITY_DESTINATIONS && n_nat > 0))
                        note_order(x,
                                   arena_printf(x->arena,
                                                "whether chain '%s' comes before what the kernel "
                                                "does at its priority",
                                                list[i]->name));
        x->stage = STAGE_RAW;
        now = run_chains(x, now, list, n, INT32_MIN, PRIORITY_CONNTRACK);
        x->stage = STAGE_PREROUTING;
        now = run_chains(x, now, list, n, PRIORITY_CONNTRACK, PRIORITY_DESTINATIONS);
        x->stage = STAGE_NAT;
        now = run_chains(x, now, nat, n_nat, INT32_MIN, INT32_MAX);
        x->stage = STAGE_TRANSLATED;
        return run_chains(x, now, list, n, PRIORITY_DESTINATIONS, INT32_MAX);
}

/* Connections of TCP and SCTP are to one host: nobody answers them at an address of many. */
static DiagramId for_many(Whole *x, DiagramId region) {
        Range tcp = range_single(u128(IPPROTO_TCP)), sctp = range_single(u128(IPPROTO_SCTP));

        return without(x, without(x, region, WHOLE_PROTOCOL, tcp), WHOLE_PROTOCOL, sctp);
}

/* Where packets with this change go: to this host, or on. */
static DiagramId routed(Whole *x, const WholeChange *c, bool here) {
        DiagramId sum = DIAGRAM_EMPTY;
        bool local;
        int type;

        if (c->here)
                return here ? DIAGRAM_ALL : DIAGRAM_EMPTY;
        if (c->any_address || c->any_else || !x->deliveries_known)
                return DIAGRAM_ALL;
        if (c->has_address) {
                type = whole_piece_at(x->types, x->n_types, c->address);
                local = type == ROUTE_LOCAL || type == ROUTE_BROADCAST || type == ROUTE_ANYCAST;
                return type == ROUTE_MULTICAST || type == ROUTE_BROADCAST || local == here
                               ? DIAGRAM_ALL
                               : DIAGRAM_EMPTY;
        }
        for (size_t i = 0; i < x->n_types; i++) {
                DiagramId to = whole_where(x, WHOLE_DESTINATION, &x->types[i].range, 1);

                type = x->types[i].value;
                local = type == ROUTE_LOCAL || type == ROUTE_BROADCAST || type == ROUTE_ANYCAST;
                if (type == ROUTE_MULTICAST || type == ROUTE_BROADCAST)
                        to = for_many(x, to);
                if (type == ROUTE_MULTICAST || type == ROUTE_BROADCAST || local == here)
                        sum = diagram_union(x->diagram, sum, to);
        }
        if (x->family == FAMILY_IPV4 && !x->world->route_localnet)
                sum = without(x, sum, WHOLE_DESTINATION, loopback4);
        return sum;
}

typedef struct Way {
        WholeCare care;
        void *context;
        bool here;
} Way;

static DiagramId choose_way(Whole *x, const void *context, size_t change, DiagramId care) {
        const Way *way = context;
        WholeChange c = x->changes[change];
        DiagramId r = diagram_and(x->diagram, routed(x, &c, way->here), care);

        r = diagram_and(x->diagram, way->care(way->context, &c, way->here), r);

        return diagram_and(x->diagram, r, diagram_leaf(x->diagram, label_of(change, LABEL_ACCEPT)));
}

static bool copies(const WorldExpr *e) {
        return streq(e->name, "dup") || streq(e->name, "xt target TEE");
}

/* Connections that a helper announces are not new ones to the rules; those that SYN proxies make
 * come past them; and a copy may come back by the loopback interface. */
static void note_helpers(Whole *x) {
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];

                for (size_t j = 0; j < c->n_rules; j++)
                        for (size_t k = 0; k < c->rules[j].n_exprs; k++)
                                if (strstr(c->rules[j].exprs[k].name, "helper") &&
                                    c->rules[j].exprs[k].kind != WORLD_CT &&
                                    c->rules[j].exprs[k].kind != WORLD_CHOICE)
                                        note_order(x,
                                                   "connections that a protocol helper announces");
                                else if (c->rules[j].exprs[k].kind == WORLD_UNKNOWN &&
                                         (strcasestr(c->rules[j].exprs[k].name, "synproxy") ||
                                          streq(c->rules[j].exprs[k].name, "objref")))
                                        note_order(x, "connections that a SYN proxy makes");
                                else if (copies(&c->rules[j].exprs[k]))
                                        note_order(x, "where copies of packets go");
        }
}

static void note_outside(Whole *x) {
        for (size_t i = 0; i < x->world->n_interfaces; i++)
                if (x->world->interfaces[i].kind && streq(x->world->interfaces[i].kind, "vrf"))
                        note_order(x, "by which interface packets of a VRF come in");
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];
                bool early = c->ingress || c->table->family == NFPROTO_BRIDGE ||
                             c->table->family == NFPROTO_NETDEV;

                if (c->is_base && early && !is_dormant(c->table) && has_effects(x, c->table))
                        note_order(x, arena_printf(x->arena,
                                                   "what chain '%s' of table '%s' changes before",
                                                   c->name, c->table->name));
        }
}

static int collect(Whole *x, DiagramId now, bool here, WholeEnd **ends, size_t *n) {
        for (size_t i = 0; i < x->n_changes; i++) {
                WholeEnd e = {
                        .region = diagram_where_may(x->diagram, now, label_of(i, LABEL_ACCEPT)),
                        .here = here,
                        .change = x->changes[i],
                };

                if (e.region != DIAGRAM_EMPTY && !arena_append(x->arena, *ends, *n, e))
                        return -ENOMEM;
        }
        return whole_error(x);
}

int whole_walk(Whole *x, WholeCare care, void *context, const WholeEnd **ret, size_t *ret_n) {
        DiagramId start = diagram_and(x->diagram, x->domain,
                                      diagram_leaf(x->diagram, label_of(0, LABEL_ACCEPT)));
        Way way = {care, context, true};
        DiagramId arrived = run_prerouting(x, start), now;
        const WorldChain **list;
        WholeEnd *ends = NULL;
        size_t n = 0, n_list, n_nat;
        int r;

        note_outside(x);
        note_helpers(x);
        now = whole_then(x, arrived, LABEL_ACCEPT, choose_way, &way);
        x->stage = STAGE_INPUT;
        n_nat = list_chains(x, NF_INET_LOCAL_IN, true, &list);
        n_list = list_chains(x, NF_INET_LOCAL_IN, false, &list);
        /* likewise: behind it sources may be others */
        now = run_chains(x, now, list, n_list, INT32_MIN, n_nat > 0 ? PRIORITY_SOURCES : INT32_MAX);
        r = collect(x, now, true, &ends, &n);
        x->drops = diagram_where_may(x->diagram, now, LABEL_DROP);
        way.here = false;
        now = whole_then(x, arrived, LABEL_ACCEPT, choose_way, &way);
        x->stage = STAGE_FORWARD;
        n_list = list_chains(x, NF_INET_FORWARD, false, &list);
        now = run_chains(x, now, list, n_list, INT32_MIN, INT32_MAX);
        x->stage = STAGE_POSTROUTING;
        n_list = list_chains(x, NF_INET_POST_ROUTING, false, &list);
        /* behind it sources are others; more refusals there are not needed for any proof */
        now = run_chains(x, now, list, n_list, INT32_MIN, PRIORITY_SOURCES);
        x->drops =
                diagram_union(x->diagram, x->drops, diagram_where_may(x->diagram, now, LABEL_DROP));
        if (r == 0)
                r = collect(x, now, false, &ends, &n);
        *ret = ends;
        *ret_n = n;
        return r < 0 ? r : whole_error(x);
}

DiagramId whole_drops(const Whole *x) {
        return x->drops;
}

/* What is not walked, and may refuse. */

static bool refuses(const WorldVerdict *v) {
        return v->kind == WORLD_DROP || v->kind == WORLD_QUEUE || v->kind == WORLD_STOLEN ||
               ((v->kind == WORLD_JUMP || v->kind == WORLD_GOTO) && !v->chain);
}

static bool chain_refuses(const WorldChain *c, bool *seen);

static bool verdict_refuses(const WorldVerdict *v, bool *seen) {
        return refuses(v) || (v->chain && chain_refuses(v->chain, seen));
}

static bool expr_refuses(const WorldExpr *e, bool *seen) {
        if (e->kind == WORLD_REJECT)
                return true;
        if (e->kind == WORLD_UNKNOWN)
                return !startswith(e->name, "xt match");
        if (e->kind == WORLD_IS)
                return verdict_refuses(&e->verdict, seen);
        if (e->kind != WORLD_LOOKUP || !e->set->is_verdict_map)
                return false;
        if (e->set->unknown || e->set->dynamic)
                return true;
        for (size_t i = 0; i < e->set->n_elements; i++)
                if (verdict_refuses(&e->set->elements[i].verdict, seen))
                        return true;
        return false;
}

static bool chain_refuses(const WorldChain *c, bool *seen) {
        if (seen[c->number])
                return false;
        seen[c->number] = true;
        for (size_t i = 0; i < c->n_rules; i++)
                for (size_t j = 0; j < c->rules[i].n_exprs; j++)
                        if (expr_refuses(&c->rules[i].exprs[j], seen))
                                return true;
        return c->is_base && c->policy_drop;
}

static bool is_left_out(const Whole *x, const WorldChain *c) {
        if (!c->is_base || is_dormant(c->table))
                return false;
        if (c->ingress || c->egress || c->table->family == NFPROTO_BRIDGE ||
            c->table->family == NFPROTO_NETDEV)
                return true;
        if (!sees_family(x, c))
                return false;
        return (c->hook == NF_INET_POST_ROUTING &&
                (c->type == WORLD_NATS || c->priority >= PRIORITY_SOURCES)) ||
               (c->hook == NF_INET_LOCAL_IN && c->type == WORLD_NATS);
}

int whole_find_refusals(Whole *x, Arena *a, const char ***ret, size_t *ret_n) {
        bool *seen = arena_alloc_array(x->arena, x->world->n_chains + 1, sizeof(*seen));

        *ret = NULL;
        *ret_n = 0;
        for (size_t i = 0; i < x->world->n_chains && seen; i++) {
                const WorldChain *c = x->world->chains[i];
                const char *text;

                memset(seen, 0, x->world->n_chains + 1);
                if (!is_left_out(x, c) || !chain_refuses(c, seen))
                        continue;
                text = arena_printf(a, "what chain '%s' of table '%s' refuses", c->name,
                                    c->table->name);
                if (!text || !arena_append(a, *ret, *ret_n, text))
                        return -ENOMEM;
        }
        return seen ? 0 : -ENOMEM;
}
