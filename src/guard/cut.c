/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/cut.h"

#include <netinet/in.h>

#include "base/cpu_time.h"
#include "guard/place.h"
#include "nft/sockets.h"

#define LOOK_EVERY 256 /* connections: at the clock */
#define ROUNDS_MAX 5   /* each new one sees what the one before has left */

static bool is_loopback(Family family, U128 address) {
        return family == FAMILY_IPV4 ? address.low >> 24 == 127 : u128_equal(address, u128(1));
}

static bool is_bridge(const HostNet *net, const char *name) {
        for (size_t i = 0; i < net->n_links; i++)
                if (streq(net->links[i].name, name))
                        return streq(net->links[i].kind, "bridge");
        return false;
}

/* The first packet of the connection, where the rules would meet it. False if they would not. */
static bool describe(const CutHost *host, const Connection *c, PacketQuestion *ret) {
        Place from = place_find(host->net, c->family, c->source);
        Place to = place_find(host->net, c->family, c->destination);

        *ret = (PacketQuestion){
                .hook = from.is_own ? HOOK_OUTPUT
                        : to.is_own ? HOOK_INPUT
                                    : HOOK_FORWARD,
                .family = c->family,
                .in = from.is_own ? NULL : from.interface,
                .out = to.is_own ? NULL : to.interface,
                .source = c->source,
                .destination = c->destination,
                .protocol = c->protocol,
                .source_port = c->source_port,
                .destination_port = c->destination_port,
                .icmp_type = c->icmp_type,
                .ct_state = CT_STATE_NEW,
                .source_route = from.is_own ? SOURCE_LOCAL : SOURCE_ROUTED,
                .translated = c->translated,
                .dialled = c->dialled,
                .dialled_port = c->dialled_port,
        };
        if (is_loopback(c->family, c->source) || is_loopback(c->family, c->dialled) ||
            (from.is_own && to.is_own))
                return false;
        /* frames that a bridge passes between its own ports are none of our business */
        return ret->hook != HOOK_FORWARD || c->translated || !ret->in || !ret->out ||
               !streq(ret->in, ret->out) || !is_bridge(host->net, ret->in);
}

static bool find_owner(const CutHost *host, const Connection *c, PacketQuestion *q) {
        const HostSocket *s = NULL;

        if (host->sockets && c->protocol == IPPROTO_TCP)
                s = sockets_find_connection(host->sockets, c->family, c->source, c->source_port,
                                            c->dialled, c->dialled_port);
        if (!s)
                return false;
        q->has_user = true;
        q->user = s->uid;
        return true;
}

static int decide(const Ruleset *rs,
                  const CutHost *host,
                  const Connection *c,
                  Hook *ret_hook,
                  CutVerdict *ret) {
        bool is_certain = true;
        PacketQuestion q;
        Evaluation e;
        Packet p;
        int r;

        *ret = CUT_NO;
        if (!describe(host, c, &q))
                return 0;
        *ret_hook = q.hook;
        if (q.hook == HOOK_OUTPUT && (host->asks_user || host->asks_group))
                is_certain = find_owner(host, c, &q) && !host->asks_group;
        arena_reset(host->scratch);
        packet_init(&p, &q);
        r = ruleset_eval(rs, host->scratch, q.hook, &p, &e);
        if (r < 0)
                return r;
        if (e.verdict == VERDICT_ACCEPT)
                return 0;
        *ret = is_certain ? CUT_YES : CUT_UNKNOWN;
        return 0;
}

int cut_decide(const Ruleset *rs, const CutHost *host, const Connection *c, CutVerdict *ret) {
        Hook hook;

        return decide(rs, host, c, &hook, ret);
}

static bool asks(const Ruleset *rs, FieldId field) {
        for (size_t i = 0; i < rs->n_chains; i++)
                for (size_t j = 0; j < rs->chains[i]->n_rules; j++)
                        if (rule_has_match(&rs->chains[i]->rules[j], field))
                                return true;
        return false;
}

typedef struct Cutter {
        const Ruleset *rs;
        CutHost host;
        uint32_t mark;
        ConntrackLink *link;
        size_t n_marked, n_over; /* in this round */
        CutCounts counts;
} Cutter;

static int cut_one(const Connection *c, void *to) {
        Cutter *cutter = to;
        CutVerdict verdict;
        int r;

        cutter->counts.n_seen++;
        if (c->mark & cutter->mark)
                return 0;
        r = cut_decide(cutter->rs, &cutter->host, c, &verdict);
        if (r < 0)
                return r;
        if (verdict == CUT_UNKNOWN)
                cutter->counts.n_unknown++;
        if (verdict != CUT_YES)
                return 0;
        r = conntrack_mark(cutter->link, c, cutter->mark);
        if (r > 0) {
                cutter->n_marked++;
                cutter->n_over +=
                        c->is_over; /* nobody minds, unless somebody still sends over it */
        }
        if (r < 0) { /* the others are cut all the same */
                cutter->counts.n_failed++;
                cutter->counts.error = r;
        }
        return 0;
}

static bool is_listening(const HostSockets *listening, const HostSocket *s) {
        for (size_t i = 0; i < listening->n_items; i++) {
                const HostSocket *l = &listening->items[i];

                if (l->local_port == s->local_port && (l->family == s->family || l->is_dual) &&
                    (u128_is_zero(l->local) || u128_equal(l->local, s->local)))
                        return true;
        }
        return false;
}

static Connection connection_of(const HostSocket *s) {
        return (Connection){
                .family = s->family,
                .protocol = IPPROTO_TCP,
                .source = s->peer,
                .source_port = s->peer_port,
                .dialled = s->local,
                .dialled_port = s->local_port,
                .destination = s->local,
                .destination_port = s->local_port,
        };
}

/* Of connections to this host's own sockets that conntrack does not know: made while nothing asked
 * for it, because no rule that needs it was there. The server's next segment would be taken for the
 * first one of a connection of its own. So they become known, and cut. */
static int cut_untracked(Cutter *c, Arena *a) {
        HostSockets listening = {0}, connected = {0};
        int r = sockets_read_listening_tcp(a, &listening);

        if (r == 0)
                r = sockets_read_connected(a, 0, &connected);
        for (size_t i = 0; i < connected.n_items && r == 0; i++) {
                const Connection connection = connection_of(&connected.items[i]);
                CutVerdict verdict;
                int made;

                if (!is_listening(&listening, &connected.items[i]))
                        continue;
                r = cut_decide(c->rs, &c->host, &connection, &verdict);
                if (r < 0 || verdict != CUT_YES)
                        continue;
                made = conntrack_add(c->link, &connection, c->mark);
                if (made < 0) {
                        c->counts.n_failed++;
                        c->counts.error = made;
                        continue;
                }
                c->counts.n_cut += (size_t)made;
        }
        return r;
}

static CutHost host_of(const Ruleset *rs, const HostNet *net, Arena *scratch) {
        return (CutHost){
                .net = net,
                .scratch = scratch,
                .asks_user = asks(rs, FIELD_SKUID),
                .asks_group = asks(rs, FIELD_SKGID),
        };
}

int cut_all(const Ruleset *rs, uint32_t mark, CutCounts *ret) {
        _cleanup_(conntrack_closep) ConntrackLink *link = NULL;
        _cleanup_(arena_freep) Arena *a = arena_new(0), *scratch = arena_new(0);
        Cutter c = {.rs = rs, .mark = mark};
        size_t n_cut = 0;
        HostSockets sockets = {0};
        HostNet net;
        int r = a && scratch ? routes_read(a, &net) : -ENOMEM;

        if (r == 0)
                r = conntrack_open(&link);
        if (r < 0)
                return r;
        c.link = link;
        c.host = host_of(rs, &net, scratch);
        /* what cannot be listed is not known, and left alone */
        if (c.host.asks_user && sockets_read_connected(a, 0, &sockets) == 0)
                c.host.sockets = &sockets;
        for (int i = 0; i < ROUNDS_MAX && (r == 0 || r == -EINTR); i++) {
                c.counts = (CutCounts){0};
                c.n_marked = c.n_over = 0;
                r = conntrack_read(cut_one, &c);
                n_cut += c.n_marked - c.n_over;
                if (r == 0 && c.n_marked == 0)
                        break;
        }
        c.counts.n_cut = n_cut;
        c.counts.is_fleeting = r == -EINTR;
        if (r == 0 || r == -EINTR)
                r = cut_untracked(&c, a);
        *ret = c.counts;
        return r;
}

/* ---- without doing it */

typedef struct Lister {
        const Ruleset *rs;
        CutHost host;
        uint32_t mark;
        uint64_t end_usec;
        size_t n_seen;
        HostSockets listening, connected;
        bool *is_known; /* which of the connected ones conntrack knows */
        CutTake take;
        void *to;
} Lister;

static bool is_late(Lister *l) {
        return l->end_usec > 0 && l->n_seen++ % LOOK_EVERY == 0 && cpu_time_usec() >= l->end_usec;
}

static int list(Lister *l, const Connection *c) {
        static const CutWay ways[] = {
                [HOOK_INPUT] = CUT_WAY_IN,
                [HOOK_FORWARD] = CUT_WAY_THROUGH,
                [HOOK_OUTPUT] = CUT_WAY_OUT,
        };
        CutVerdict verdict;
        Hook hook = HOOK_INPUT;
        int r = is_late(l) ? -ETIMEDOUT : decide(l->rs, &l->host, c, &hook, &verdict);

        return r < 0 || verdict == CUT_NO ? r : l->take(c, ways[hook], verdict, l->to);
}

/* The socket of either end, if it is this host's. */
static void know(Lister *l, const Connection *c) {
        const HostSocket *server =
                sockets_find_connection(&l->connected, c->family, c->destination,
                                        c->destination_port, c->source, c->source_port);
        const HostSocket *client =
                sockets_find_connection(&l->connected, c->family, c->source, c->source_port,
                                        c->destination, c->destination_port);

        if (server)
                l->is_known[server - l->connected.items] = true;
        if (client)
                l->is_known[client - l->connected.items] = true;
}

static int list_one(const Connection *c, void *to) {
        Lister *l = to;

        if (c->protocol == IPPROTO_TCP)
                know(l, c);
        return c->mark & l->mark || c->is_over ? 0 : list(l, c);
}

/* As cut_untracked(); which of these conntrack knows was seen before. */
static int list_untracked(Lister *l) {
        int r = 0;

        for (size_t i = 0; i < l->connected.n_items && r == 0; i++) {
                const Connection connection = connection_of(&l->connected.items[i]);

                if (!l->is_known[i] && is_listening(&l->listening, &l->connected.items[i]))
                        r = list(l, &connection);
        }
        return r;
}

int cut_list(const Ruleset *rs, uint32_t mark, uint64_t end_usec, CutTake take, void *to) {
        _cleanup_(arena_freep) Arena *a = arena_new(0), *scratch = arena_new(0);
        Lister l = {.rs = rs, .mark = mark, .end_usec = end_usec, .take = take, .to = to};
        HostNet net;
        int r = a && scratch ? routes_read(a, &net) : -ENOMEM, untracked;

        if (r == 0)
                r = sockets_read_listening_tcp(a, &l.listening);
        if (r == 0)
                r = sockets_read_connected(a, 0, &l.connected);
        if (r < 0)
                return r;
        l.is_known = arena_alloc_array(a, l.connected.n_items + 1, sizeof(*l.is_known));
        if (!l.is_known)
                return -ENOMEM;
        l.host = host_of(rs, &net, scratch);
        l.host.sockets = &l.connected;
        r = conntrack_read(list_one, &l);
        if (r < 0 && r != -EINTR)
                return r;
        untracked = list_untracked(&l);
        return untracked < 0 ? untracked : r;
}
