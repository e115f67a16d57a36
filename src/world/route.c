/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world/machine.h"

#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

/* What the kernel does between the hooks: which packets it refuses, which are for this host, and
 * where the others go. */

enum { /* include/uapi/linux/rtnetlink.h */
       ROUTE_UNSPEC,
       ROUTE_UNICAST,
       ROUTE_LOCAL,
       ROUTE_BROADCAST,
       ROUTE_ANYCAST,
       ROUTE_MULTICAST,
       ROUTE_BLACKHOLE,
       ROUTE_UNREACHABLE,
};

#define TABLE_LOCAL 255

const WorldInterface *world_find_interface(const World *w, const char *name) {
        for (size_t i = 0; i < w->n_interfaces; i++)
                if (streq(w->interfaces[i].name, name))
                        return &w->interfaces[i];
        return NULL;
}

const WorldInterface *world_interface_at(const World *w, int index) {
        for (size_t i = 0; i < w->n_interfaces; i++)
                if (w->interfaces[i].index == index)
                        return &w->interfaces[i];
        return NULL;
}

static U128 network_of(U128 address, unsigned int prefix, unsigned int width) {
        U128 host = u128_low_mask(width - prefix);

        return u128_and(address, (U128){~host.high, ~host.low});
}

static unsigned int scope_of(U128 address) {
        return address.high >> 54 == 0x3fa ? 1 : 0; /* fe80::/10 */
}

static bool is_own(const World *w, Family family, U128 address) {
        for (size_t i = 0; i < w->n_addresses; i++)
                if (w->addresses[i].family == family &&
                    u128_equal(w->addresses[i].address, address))
                        return true;
        return false;
}

static bool same_network(const WorldAddress *a, U128 address) {
        unsigned int width = family_width(a->family);

        return a->prefix <= width && u128_equal(network_of(a->address, a->prefix, width),
                                                network_of(address, a->prefix, width));
}

/* ipv6_addr_scope(): of multicast addresses, too. */
typedef enum Scope { SCOPE_WIDE, SCOPE_HOST, SCOPE_LINK, SCOPE_SITE } Scope;

static Scope v6_scope(U128 a) {
        static const Scope of_many[16] = {[1] = SCOPE_HOST, [2] = SCOPE_LINK, [5] = SCOPE_SITE};

        if (a.high >> 56 == 0xff)
                return of_many[a.high >> 48 & 0xf];
        if (a.high == 0 && a.low == 1)
                return SCOPE_HOST;
        return a.high >> 54 == 0x3fa ? SCOPE_LINK : a.high >> 54 == 0x3fb ? SCOPE_SITE : SCOPE_WIDE;
}

/* nf_nat_redirect_ipv6_usable() */
static bool may_redirect_to(const WorldAddress *a, U128 dialled) {
        Scope wanted = v6_scope(dialled);

        if (a->family == FAMILY_IPV4)
                return true;
        return !a->tentative && !(a->address.high == 0 && a->address.low >> 32 == 0xffff) &&
               (wanted == SCOPE_WIDE || v6_scope(a->address) == wanted);
}

bool world_redirect_address(const World *w, int index, Family family, U128 dialled, U128 *ret) {
        for (size_t i = 0; i < w->n_addresses; i++) {
                const WorldAddress *a = &w->addresses[i];

                if (a->index != index || a->family != family || !may_redirect_to(a, dialled))
                        continue;
                *ret = a->address;
                return true;
        }
        return false;
}

/* An address of another interface's is taken where `index` has none that others know. */
bool world_masquerade_address(const World *w, int index, Family family, U128 to, U128 *ret) {
        const WorldAddress *best = NULL;

        if (family == FAMILY_IPV6 && is_own(w, family, to)) {
                *ret = to;
                return true;
        }
        for (size_t i = 0; i < w->n_addresses; i++) {
                const WorldAddress *a = &w->addresses[i];
                bool loopback = family == FAMILY_IPV4 ? a->address.low >> 24 == 127
                                                      : a->address.high == 0 && a->address.low == 1;

                if (a->family != family || loopback ||
                    (family == FAMILY_IPV6 && scope_of(a->address) != scope_of(to)))
                        continue;
                if (!best || (best->index != index && a->index == index) ||
                    (best->index == index && a->index == index && !same_network(best, to) &&
                     same_network(a, to)))
                        best = a;
        }
        if (best)
                *ret = best->address;
        return best != NULL;
}

static bool is_of_a_link(const Run *r, U128 address) {
        return r->family == FAMILY_IPV6 && (scope_of(address) != 0 || address.high >> 56 == 0xff);
}

/* The route of the packet itself. */
static const WorldRoute *find_way(Run *r) {
        RunFlow f = {.to = run_address_value(r, false),
                     .from = run_address_value(r, true),
                     .in = r->packet->in ? r->in : NULL,
                     .mark = r->mark,
                     .mark_unknown = r->mark_unknown};

        f.from_unknown = !f.in; /* the route may be what its source comes from */
        if (f.in && is_of_a_link(r, f.to))
                f.device = f.in->index;
        return run_find_route(r, &f);
}

/* The route back to where it comes from, as if this host sent something there. */
static const WorldRoute *find_way_back(Run *r, const WorldInterface *out) {
        /* (whether its mark counts is a setting) */
        RunFlow f = {.to = run_address_value(r, true),
                     .from = run_address_value(r, false),
                     .in = out,
                     .mark_unknown = true};

        return run_find_route(r, &f);
}

/* --- IPv4 --- */

static bool v4_is_multicast(uint64_t a) {
        return a >> 28 == 0xe;
}

static bool v4_is_loopback(uint64_t a) {
        return a >> 24 == 127;
}

#define V4_EVERYBODY UINT64_C(0xffffffff)

/* With a look at the routes, __fib_validate_source(): whether the source has one, or, if the tables
 * have nothing to say, whether nobody asks for one. */
static bool v4_has_way_back(Run *r, const WorldInterface *out) {
        const WorldInterface *in = r->in;
        const WorldRoute *route = find_way_back(r, out);

        if (!route || route->type >= ROUTE_BLACKHOLE)
                return in->rp_filter == 0;
        if (route->type != ROUTE_UNICAST && (route->type != ROUTE_LOCAL || !in->accept_local))
                return false;
        if (route->several) {
                r->unknown = true;
                return run_choose(r, 2) == 0;
        }
        return route->index == in->index || in->rp_filter != 1;
}

/* Addresses of many are no sources, where the kernel looks at the routes at all; whether it does,
 * depends also on whether there ever was a rule of policy routing. */
static bool v4_is_taken_unseen(Run *r, U128 source) {
        const WorldRoute *local =
                world_find_in_table(r->world, FAMILY_IPV4, source, TABLE_LOCAL, 0);

        if (!local || local->type != ROUTE_BROADCAST)
                return true;
        r->unknown = true;
        return run_choose(r, 2) == 0;
}

/* fib_validate_source(): whether a packet from there may come in here. out: where it would leave;
 * NULL: it is for this host. */
static bool v4_source_is_valid(Run *r, const WorldInterface *out) {
        const WorldInterface *in = r->in;
        U128 source = run_address_value(r, true);

        if (in->rp_filter > 0 || (out == in && in->send_redirects))
                return v4_has_way_back(r, out);
        if (in->accept_local)
                return true;
        if (r->world->has_route_rules[FAMILY_IPV4])
                return v4_has_way_back(r, out);
        return !is_own(r->world, FAMILY_IPV4, source) && v4_is_taken_unseen(r, source);
}

static Decision v4_multicast(Run *r, uint64_t source, uint64_t destination) {
        if (v4_is_multicast(source) || source == V4_EVERYBODY ||
            (v4_is_loopback(source) && !r->in->route_localnet))
                return DECIDED_REFUSED;
        if (source == 0 && destination >> 8 != 0xe00000)
                return DECIDED_REFUSED;
        if (source != 0 && !v4_source_is_valid(r, NULL))
                return DECIDED_REFUSED;
        return run_choose(r, 2) == 0 ? DECIDED_REFUSED : DECIDED_HERE; /* who is in the group? */
}

static void set_out(Run *r, const WorldRoute *route) {
        r->out = world_interface_at(r->world, route->index);
        r->out_unknown = route->several || !r->out;
        if (r->out_unknown)
                r->unknown = true;
}

bool run_may_be_forwarded(const Run *r) {
        U128 source = run_address_value(r, true);
        size_t hops = r->family == FAMILY_IPV4 ? 8 : 7;

        if (r->packet->type != 0 || r->bytes[hops] <= 1)
                return false;
        return r->family == FAMILY_IPV4 || r->out == r->in || r->moved_on_bridge ||
               (!u128_is_zero(source) && scope_of(source) == 0);
}

static Decision v4_route_input(Run *r) {
        uint64_t source = run_address_value(r, true).low;
        uint64_t destination = run_address_value(r, false).low;
        const WorldInterface *in = r->in;
        const WorldRoute *route;

        if (v4_is_multicast(destination))
                return v4_multicast(r, source, destination);
        if (v4_is_multicast(source) || source == V4_EVERYBODY)
                return DECIDED_REFUSED;
        if (destination == V4_EVERYBODY || (source == 0 && destination == 0))
                return source == 0 || v4_source_is_valid(r, NULL) ? DECIDED_HERE : DECIDED_REFUSED;
        if (source == 0 || destination == 0)
                return DECIDED_REFUSED;
        if ((v4_is_loopback(source) || v4_is_loopback(destination)) && !in->route_localnet &&
            !in->loopback)
                return DECIDED_REFUSED;
        route = find_way(r);
        if (!route)
                return DECIDED_REFUSED;
        if (route->type == ROUTE_BROADCAST || route->type == ROUTE_LOCAL)
                return v4_source_is_valid(r, NULL) ? DECIDED_HERE : DECIDED_REFUSED;
        if (!r->world->forwards4 || route->type != ROUTE_UNICAST)
                return DECIDED_REFUSED;
        set_out(r, route);
        return v4_source_is_valid(r, r->out) ? DECIDED_ON : DECIDED_REFUSED;
}

/* --- IPv6 --- */

static bool v6_is_multicast(U128 a) {
        return a.high >> 56 == 0xff;
}

static bool v6_is_loopback(U128 a) {
        return a.high == 0 && a.low == 1;
}

bool run_is_refused_at_once(const Run *r) {
        U128 source = run_address_value(r, true), destination = run_address_value(r, false);
        unsigned int scope = destination.high >> 48 & 0xf;

        if (r->family == FAMILY_IPV4 || r->packet->routing != WORLD_ROUTED_BY_TABLES)
                return false;
        return v6_is_multicast(source) ||
               ((v6_is_loopback(source) || v6_is_loopback(destination)) && !r->in->loopback) ||
               (v6_is_multicast(destination) && (scope == 0 || (scope == 1 && !r->in->loopback)));
}

static Decision v6_route_input(Run *r) {
        U128 destination = run_address_value(r, false);
        const WorldRoute *route;

        if (v6_is_multicast(destination)) /* who is in the group? */
                return run_choose(r, 2) == 0 ? DECIDED_REFUSED : DECIDED_HERE;
        route = find_way(r);
        if (!route || route->type >= ROUTE_BLACKHOLE)
                return DECIDED_REFUSED;
        if (route->type == ROUTE_LOCAL || route->type == ROUTE_ANYCAST)
                return DECIDED_HERE;
        if (!r->world->forwards6 || route->type != ROUTE_UNICAST)
                return DECIDED_REFUSED;
        set_out(r, route);
        return DECIDED_ON;
}

Decision run_route_input(Run *r) {
        const WorldPacket *p = r->packet;

        if (p->routing == WORLD_ROUTED_HERE)
                return DECIDED_HERE;
        if (p->routing == WORLD_ROUTED_ON)
                return DECIDED_ON;
        return r->family == FAMILY_IPV4 ? v4_route_input(r) : v6_route_input(r);
}

Decision run_route_output(Run *r) {
        const WorldRoute *route;

        if (r->packet->routing == WORLD_ROUTED_ON)
                return DECIDED_ON;
        route = find_way(r);
        if (!route || route->type >= ROUTE_BLACKHOLE)
                return DECIDED_REFUSED;
        if (route->type == ROUTE_LOCAL) {
                for (size_t i = 0; i < r->world->n_interfaces; i++)
                        if (r->world->interfaces[i].loopback)
                                r->out = &r->world->interfaces[i];
                return DECIDED_ON;
        }
        set_out(r, route);
        return DECIDED_ON;
}

/* --- the fib expression --- */

#define NO_INTERFACE (-1)

/* The interface that a route has to be of; a link-local address is looked for where the packet came
 * in, asked or not. Of what is bridged that is the port, which has no routes. */
static int fib_device(const Run *r, U128 address, const WorldInterface *device) {
        bool link = scope_of(address) != 0 || (address.high >> 48 & 0xff0f) == 0xff02;

        if (device || r->family != FAMILY_IPV6 || !link)
                return device ? device->index : 0;
        if (r->hook == NF_INET_FORWARD && r->out == r->in && r->packet->bridged)
                return NO_INTERFACE;
        return r->in ? r->in->index : 0;
}

/* As if this host sent something there (nft_fib_ipv4.c, nft_fib_ipv6.c). */
static const WorldRoute *
find_asked(Run *r, const WorldExpr *x, U128 address, const WorldInterface *device) {
        RunFlow f = {.to = address, .from = run_address_value(r, !(x->offset & NFTA_FIB_F_SADDR))};

        if (x->offset & NFTA_FIB_F_MARK) {
                f.mark = r->mark;
                f.mark_unknown = r->mark_unknown;
        }
        if (r->hook == NF_INET_FORWARD && x->offset & NFTA_FIB_F_IIF)
                f.in = r->out;
        if (is_of_a_link(r, address))
                f.device = fib_device(r, address, device);
        return run_find_route(r, &f);
}

uint32_t run_address_type(Run *r, const WorldExpr *x, U128 address, const WorldInterface *device) {
        const WorldRoute *route;

        if (r->family == FAMILY_IPV4) {
                if (address.low == 0 || address.low == V4_EVERYBODY)
                        return ROUTE_BROADCAST;
                if (v4_is_multicast(address.low))
                        return ROUTE_MULTICAST;
                route = world_find_in_table(r->world, FAMILY_IPV4, address, TABLE_LOCAL, 0);
                return route && (!device || route->index == device->index) ? route->type
                                                                           : ROUTE_UNICAST;
        }
        if (device) {
                for (size_t i = 0; i < r->world->n_addresses; i++) {
                        const WorldAddress *a = &r->world->addresses[i];

                        if (a->family == FAMILY_IPV6 && a->index == device->index &&
                            u128_equal(a->address, address))
                                return ROUTE_LOCAL;
                }
        }
        route = find_asked(r, x, address, device);
        if (!route || route->type >= ROUTE_BLACKHOLE)
                return ROUTE_UNREACHABLE;
        if (route->type == ROUTE_ANYCAST || (route->type == ROUTE_LOCAL && !device))
                return route->type;
        if (address.high == 0 && address.low >> 32 == 0xffff) /* an IPv4 address in IPv6 */
                return ROUTE_UNSPEC;
        return v6_is_multicast(address) ? ROUTE_MULTICAST
               : u128_is_zero(address)  ? ROUTE_UNSPEC
                                        : ROUTE_UNICAST;
}

const WorldInterface *
run_fib_interface(Run *r, const WorldExpr *x, U128 address, const WorldInterface *device) {
        const WorldRoute *route = find_asked(r, x, address, device);
        const WorldInterface *found;

        if (!route || route->type == ROUTE_LOCAL || route->type == ROUTE_ANYCAST ||
            route->type >= ROUTE_BLACKHOLE)
                return NULL;
        if (x->unit && r->family == FAMILY_IPV4 && route->type != ROUTE_UNICAST)
                return NULL;
        found = world_interface_at(r->world, route->index);
        if (route->several) {
                r->unknown = true;
                if (run_choose(r, 2) == 1)
                        return NULL;
                return device ? device : found ? found : r->in; /* some interface it is */
        }
        return device && found != device ? NULL : found;
}
