/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "host/takeover.h"
#include "world/walk.h"

#define SOURCE_PORT 40000

/* Documentation's networks: nobody's rules name them, and nothing but a default route leads there.
 */
static const U128 far4 = {0, UINT64_C(0xc633644d)}; /* 198.51.100.77 */
static const U128 far6 = {UINT64_C(0x20010db8ffff0000), UINT64_C(0x4d)};

typedef struct Compare {
        const World *now, *then;
        WorldWalker *walk_now, *walk_then;
        Arena *arena;
        size_t n_walks;
        TakeoverChange *changes;
        size_t n_changes;
} Compare;

static const WorldInterface *find_interface(const World *w, int index) {
        for (size_t i = 0; i < w->n_interfaces; i++)
                if (w->interfaces[i].index == index)
                        return &w->interfaces[i];
        return NULL;
}

static bool has_default_route(const World *w, Family family, int index) {
        for (size_t i = 0; i < w->n_routes; i++)
                if (w->routes[i].family == family && w->routes[i].prefix == 0 &&
                    w->routes[i].index == index)
                        return true;
        return false;
}

/* Somebody in the network of an address. */
static U128 neighbour_of(const WorldAddress *at) {
        unsigned int host_bits = (at->family == FAMILY_IPV4 ? 32U : 128U) - at->prefix;
        U128 other = at->address;

        other.low ^= host_bits > 1 ? 3 : 1; /* of ...1 and ...2, the other */
        return other;
}

/* 1: one way at least leads to this host's own socket, or to where it is translated. */
static int passes(WorldWalker *walker, const char *in, const WorldFields *f) {
        WorldPacket p = {.in = in};
        WorldWalk walk;
        int r;

        world_packet_fill(&p, f);
        r = world_walk(walker, &p, &walk);
        return r == 0 ? walk.may_pass : r == -ENOMEM ? r : 0;
}

static bool is_alike(const TakeoverChange *x, const TakeoverChange *y) {
        return x->proto == y->proto && x->port == y->port && streq(x->interface, y->interface) &&
               x->is_far == y->is_far && x->opens == y->opens;
}

/* One for both families. */
static int note(Compare *c, const TakeoverChange *found, Family family) {
        size_t i = 0;

        while (i < c->n_changes && !is_alike(&c->changes[i], found))
                i++;
        if (i == c->n_changes && !arena_append(c->arena, c->changes, c->n_changes, *found))
                return -ENOMEM;
        c->changes[i].ipv4 |= family == FAMILY_IPV4;
        c->changes[i].ipv6 |= family == FAMILY_IPV6;
        return 0;
}

static int try_at(Compare *c, const HostSocket *s, const WorldAddress *at) {
        const WorldInterface *in = find_interface(c->now, at->index);
        bool is_far = has_default_route(c->now, at->family, at->index);
        WorldFields f = {.family = at->family,
                         .source = neighbour_of(at),
                         .destination = at->address,
                         .protocol = s->proto,
                         .source_port = SOURCE_PORT,
                         .destination_port = s->local_port};
        TakeoverChange change = {.proto = s->proto, .port = s->local_port, .is_far = is_far};
        int before, after;

        if (is_far)
                f.source = at->family == FAMILY_IPV4 ? far4 : far6;
        if (!in || in->loopback || !in->up || c->n_walks++ >= TAKEOVER_WALKS_MAX)
                return 0;
        before = passes(c->walk_now, in->name, &f);
        after = passes(c->walk_then, in->name, &f);
        if (before < 0 || after < 0)
                return -ENOMEM;
        if (before == after)
                return 0;
        change.interface = arena_strdup(c->arena, in->name);
        change.opens = after > 0;
        return change.interface ? note(c, &change, at->family) : -ENOMEM;
}

static bool is_reached_at(const HostSocket *s, const WorldAddress *at) {
        static const U128 any;

        if (s->link != 0 && s->link != (uint32_t)at->index)
                return false;
        if (at->family != s->family && !s->is_dual)
                return false;
        return u128_equal(s->local, any) ||
               (s->family == at->family && u128_equal(s->local, at->address));
}

static int compare_all(Compare *c, const HostSockets *sockets) {
        for (size_t i = 0; i < sockets->n_items; i++)
                for (size_t j = 0; j < c->now->n_addresses; j++) {
                        int r = is_reached_at(&sockets->items[i], &c->now->addresses[j])
                                        ? try_at(c, &sockets->items[i], &c->now->addresses[j])
                                        : 0;

                        if (r < 0)
                                return r;
                }
        return 0;
}

static int by_port(const void *a, const void *b) {
        const TakeoverChange *x = a, *y = b;

        if (x->proto != y->proto)
                return x->proto - y->proto;
        return x->port != y->port ? x->port - y->port : strcmp(x->interface, y->interface);
}

int takeover_compare(const World *now,
                     const World *then,
                     const HostSockets *sockets,
                     Arena *a,
                     TakeoverChange **ret,
                     size_t *ret_n) {
        _cleanup_(world_walker_freep) WorldWalker *walk_now = NULL, *walk_then = NULL;
        Compare c = {.now = now, .then = then, .arena = a};
        int r = world_walker_new(now, &walk_now);

        if (r == 0)
                r = world_walker_new(then, &walk_then);
        c.walk_now = walk_now;
        c.walk_then = walk_then;
        if (r == 0)
                r = compare_all(&c, sockets);
        if (r < 0)
                return -ENOMEM;
        if (c.n_changes > 0)
                qsort(c.changes, c.n_changes, sizeof(c.changes[0]), by_port);
        *ret = c.changes;
        *ret_n = c.n_changes;
        return 0;
}
