/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/whole_state.h"

/* Where packets go, by their address: what the host's routes say. */

#define TABLE_LOCAL 255
#define TABLE_MAIN 254
#define TABLE_DEFAULT 253

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
        if (x->world->has_route_rules[x->family])
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

/* Where the answers of the tables may change, ascending. */
static int find_cuts(Whole *x, Range multicast, U128 last, U128 **ret, size_t *ret_n) {
        const World *w = x->world;
        const Range all = {U128_ZERO, last};
        U128 *cuts = NULL;
        size_t n = 0;

        if (!cut_at(x, &cuts, &n, all) || !cut_at(x, &cuts, &n, multicast) ||
            !cut_at(x, &cuts, &n, range_single(U128_ZERO)) ||
            !cut_at(x, &cuts, &n, range_single(last)))
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(special) && x->family == FAMILY_IPV6; i++)
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
        *ret = cuts;
        *ret_n = n;
        return 0;
}

/* Link-local addresses, those of IPv4 in IPv6 and none at all, that no table has as this host's
 * own. */
static bool is_away(const Whole *x, U128 address, int type) {
        bool is_link_local = address.high >> 54 == 0x3fa;
        bool is_mapped = address.high == 0 && address.low >> 32 == 0xffff;
        bool is_none = u128_is_zero(address);

        return (is_link_local || is_mapped || is_none) && type == ROUTE_UNICAST &&
               !x->world->has_route_rules[x->family];
}

static int add_piece(Whole *x, Range r, Range multicast, U128 last) {
        bool v4 = x->family == FAMILY_IPV4;
        Piece type = {.range = r}, route = {.range = r}, fib;

        ask_routes(x, r.low, &type.value, &route.value);
        if (u128_compare(r.low, multicast.low) >= 0 && u128_compare(r.low, multicast.high) <= 0)
                type.value = ROUTE_MULTICAST;
        else if (v4 && (u128_is_zero(r.low) || u128_equal(r.low, last)))
                type.value = ROUTE_BROADCAST;
        fib = type;
        if (!v4 && type.value != ROUTE_LOCAL)
                fib.value = fib_type(x, r.low, type.value, route.value);
        if (!v4 && is_special(r.low))
                fib.value = is_away(x, r.low, type.value) ? WHOLE_AWAY : WHOLE_OPEN;
        if (route.value == -2)
                x->routes_known = false;
        if (!arena_append(x->arena, x->fib_types, x->n_fib_types, fib) ||
            !arena_append(x->arena, x->types, x->n_types, type) ||
            !arena_append(x->arena, x->routes, x->n_routes, route))
                return -ENOMEM;
        return 0;
}

/* What the rules of policy routing say besides is then no matter for this host's own addresses. */
static bool asks_local_first(const Whole *x) {
        const World *w = x->world;

        for (size_t i = 0; i < w->n_route_rules; i++)
                if (w->route_rules[i].family == x->family)
                        return world_is_plain_rule(&w->route_rules[i]) &&
                               w->route_rules[i].table == TABLE_LOCAL;
        return false;
}

int whole_find_routes(Whole *x) {
        const World *w = x->world;
        bool v4 = x->family == FAMILY_IPV4;
        U128 *cuts = NULL, last = u128_low_mask(v4 ? 32 : 128);
        Range multicast = v4 ? (Range){u128(0xe0000000), u128(0xefffffff)}
                             : (Range){{UINT64_C(0xff) << 56, 0}, U128_MAX};
        size_t n = 0;

        x->routes_known = !w->has_route_rules[x->family];
        x->deliveries_known = x->routes_known || asks_local_first(x);
        for (size_t i = 0; i < w->n_routes; i++)
                x->deliveries_known &=
                        w->routes[i].family != x->family || w->routes[i].table == TABLE_LOCAL ||
                        (w->routes[i].type != ROUTE_LOCAL && w->routes[i].type != ROUTE_ANYCAST);
        if (find_cuts(x, multicast, last, &cuts, &n) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                Range r = {cuts[i], last};

                if (u128_compare(cuts[i], last) > 0 ||
                    (i + 1 < n && u128_equal(cuts[i], cuts[i + 1])))
                        continue;
                if (i + 1 < n && u128_compare(cuts[i + 1], last) <= 0)
                        r.high = u128_previous(cuts[i + 1]);
                if (add_piece(x, r, multicast, last) < 0)
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

bool whole_may_lead_back(const Whole *x, U128 source, const char *in) {
        int route = whole_piece_at(x->routes, x->n_routes, source);

        if (x->routes_known || route == -2 || !in)
                return true;
        /* link-local networks are at every interface */
        if (x->family == FAMILY_IPV6 && source.high >> 54 == 0x3fa)
                return true;
        return route >= 0 && streq(x->world->interfaces[route].name, in);
}

bool whole_leads(const Whole *x, U128 address) {
        return x->routes_known && (whole_piece_at(x->types, x->n_types, address) == ROUTE_LOCAL ||
                                   whole_piece_at(x->routes, x->n_routes, address) >= 0);
}
