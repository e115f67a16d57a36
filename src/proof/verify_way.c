/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/verify.h"

#include <netinet/in.h>

#define LOOPBACK4 0x7f
#define TABLE_MAIN 254
#define TCP_ACK 0x10

static bool is_own(const World *w, Family family, U128 address) {
        for (size_t i = 0; i < w->n_addresses; i++)
                if (w->addresses[i].family == family &&
                    u128_equal(w->addresses[i].address, address))
                        return true;
        return family == FAMILY_IPV4 ? address.low >> 24 == LOOPBACK4
                                     : address.high == 0 && address.low == 1;
}

/* The route back to the peer: -1 if there is none, or it is not known which. */
static int index_towards(const World *w, const VerifyWay *way) {
        const WorldRoute *best = NULL;
        bool tie = false;

        for (size_t i = 0; i < w->n_routes; i++) {
                const WorldRoute *r = &w->routes[i];
                unsigned int bits = way->family == FAMILY_IPV4 ? 32 : 128;
                U128 host;

                if (r->family != way->family || r->table != TABLE_MAIN || r->type != 1)
                        continue;
                host = u128_low_mask(bits - MIN((unsigned int)r->prefix, bits));
                if (!u128_equal(u128_or(way->peer, host), u128_or(r->destination, host)))
                        continue;
                if (best && (best->prefix > r->prefix ||
                             (best->prefix == r->prefix && best->metric < r->metric)))
                        continue;
                tie = best && best->prefix == r->prefix && best->metric == r->metric;
                best = r;
        }
        return best && !tie && !best->several && !w->has_route_rules[way->family] ? best->index
                                                                                  : -1;
}

/* What an administrator sends by the connection, or for a new one like it. */
typedef enum WayPacket {
        WAY_NEW,         /* the first packet of another connection */
        WAY_ESTABLISHED, /* the next one of this, */
        WAY_NEXT, /* and where conntrack knows nothing of it (any more): it is judged as new */
        _WAY_PACKET_MAX,
} WayPacket;

typedef struct Way {
        const World *world;
        const VerifyWay *way;
        Arena *arena;
        VerifyAnswer *answer;
        WorldWalker *walker;
        size_t n_good, n_bad, n; /* interfaces */
        size_t n_plain;          /* by which what is within all limits arrives */
        bool is_forgotten;       /* only WAY_NEXT is refused */
} Way;

static bool arrives(const Way *x, const WorldOutcome *o) {
        return o->where == WORLD_DELIVERED && u128_equal(o->destination, x->way->local) &&
               o->destination_port == x->way->port;
}

static int keep_refusal(Way *x, const WorldInterface *in, const WorldWalk *walk) {
        const WorldOutcome *o = &walk->outcomes[0];
        const char *how = o->where == WORLD_DROPPED   ? "refused"
                          : o->where == WORLD_REFUSED ? "refused by the kernel itself"
                                                      : "sent elsewhere";
        char peer[ADDRESS_TEXT_MAX];
        WorldStep *steps = arena_alloc_array(x->arena, walk->n_steps + 1, sizeof(*steps));

        x->answer->connection =
                in ? arena_printf(x->arena, "tcp from %s, arriving by %s: %s",
                                  address_print(x->way->family, x->way->peer, peer), in->name, how)
                   : arena_printf(x->arena, "tcp from this host itself: %s", how);
        if (!steps || !x->answer->connection)
                return -ENOMEM;
        if (walk->n_steps > 0)
                memcpy(steps, walk->steps, walk->n_steps * sizeof(*steps));
        x->answer->steps = steps;
        x->answer->n_steps = walk->n_steps;
        return 0;
}

/* What may become of one packet. */
typedef struct Fate {
        bool arrives, fails; /* surely */
        bool is_plain;       /* arrives if it is within the limits of other programs, too */
} Fate;

static int try_packet(Way *x, const WorldInterface *in, WayPacket kind, Fate *ret) {
        static const WorldState states[_WAY_PACKET_MAX] = {
                [WAY_ESTABLISHED] = WORLD_STATE_ESTABLISHED,
                [WAY_NEXT] = WORLD_STATE_NEW,
        };
        const WorldFields f = {
                .family = x->way->family,
                .source = x->way->peer,
                .destination = x->way->local,
                .protocol = IPPROTO_TCP,
                .source_port = 49152, /* a new connection has another one */
                .destination_port = x->way->port,
                .tcp_flags = kind == WAY_NEW ? 0 : TCP_ACK,
        };
        /* NULL: this host sends it */
        WorldPacket p = {.in = in ? in->name : NULL, .state = states[kind], .within_limits = true};
        Fate fate = {.arrives = true, .fails = true};
        WorldWalk walk;
        int r;

        world_packet_fill(&p, &f);
        if (in)
                memcpy(p.link, in->address, sizeof(in->address));
        r = world_walk(x->walker, &p, &walk);
        if (r == -ENOMEM)
                return r;
        *ret = (Fate){0};
        if (r < 0 || walk.n_outcomes == 0)
                return 0;
        fate.is_plain = arrives(x, &walk.outcomes[0]);
        for (size_t i = 0; i < walk.n_outcomes; i++) {
                const WorldOutcome *o = &walk.outcomes[i];

                fate.arrives &= arrives(x, o) && !o->unknown;
                fate.fails &= !arrives(x, o) && !o->unknown;
        }
        fate.arrives &= !walk.incomplete;
        fate.fails &= !walk.incomplete;
        *ret = fate;
        return fate.fails && kind != WAY_NEXT ? keep_refusal(x, in, &walk) : 0;
}

static int try_interface(Way *x, const WorldInterface *in) {
        bool good = true, bad = false, plain = true;

        for (WayPacket kind = 0; kind < _WAY_PACKET_MAX && !bad; kind++) {
                Fate fate;
                int r = try_packet(x, in, kind, &fate);

                if (r < 0)
                        return r;
                good &= fate.arrives;
                plain &= fate.is_plain;
                bad = fate.fails && kind != WAY_NEXT;
                x->is_forgotten |= fate.fails && kind == WAY_NEXT;
        }
        x->n++;
        x->n_good += good;
        x->n_bad += bad;
        x->n_plain += plain && !bad;
        return 0;
}

static int try_all(Way *x) {
        int towards = index_towards(x->world, x->way), r = 0;

        if (is_own(x->world, x->way->family, x->way->peer))
                return try_interface(x, NULL);
        for (size_t i = 0; i < x->world->n_interfaces && r == 0; i++) {
                const WorldInterface *in = &x->world->interfaces[i];

                if (x->way->in ? streq(in->name, x->way->in)
                               : !in->loopback && (towards < 0 ? in->up : in->index == towards))
                        r = try_interface(x, in);
        }
        return r;
}

static int add_reason(Way *x) {
        const char *reason =
                x->is_forgotten
                        ? "whether conntrack knows the open connection: what it does not know "
                          "is refused, though a new connection may come in"
                : x->n == 0 ? "by which interface the peer's packets come is not known"
                : x->n == 1 ? "another program's limit, an element that times out, or something "
                              "in the rules that is not understood"
                            : "by which interface the peer's packets come, and what the rules make "
                              "of them there";

        return arena_append(x->arena, x->answer->reasons, x->answer->n_reasons, reason) ? 0
                                                                                        : -ENOMEM;
}

int verify_way_in(const World *w, const VerifyWay *way, Arena *a, VerifyAnswer *ret) {
        _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
        VerifyAnswer answer = {.claim = VERIFY_WAY_IN};
        Way x = {.world = w, .way = way, .arena = a, .answer = &answer};
        char peer[ADDRESS_TEXT_MAX];
        int r = world_walker_new(w, &walker);

        if (r < 0)
                return r;
        x.walker = walker;
        answer.text = arena_printf(a, "your way in: %s → %u",
                                   address_print(way->family, way->peer, peer), way->port);
        if (!answer.text || try_all(&x) < 0)
                return -ENOMEM;
        answer.kind = x.n > 0 && x.n_good == x.n  ? VERIFY_PROVED
                      : x.n > 0 && x.n_bad == x.n ? VERIFY_REFUTED
                                                  : VERIFY_UNDECIDED;
        answer.is_plain = x.n > 0 && x.n_plain == x.n;
        if (answer.kind == VERIFY_UNDECIDED && add_reason(&x) < 0)
                return -ENOMEM;
        *ret = answer;
        return 0;
}
