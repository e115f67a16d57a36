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
        if (!s || s->inode == 0) /* nobody's any more */
                return false;
        q->has_user = true;
        q->user = s->uid;
        return true;
}

static bool is_listening(const HostSockets *listening, Family family, U128 address, uint16_t port) {
        for (size_t i = 0; i < listening->n_items; i++) {
                const HostSocket *l = &listening->items[i];

                if (l->local_port == port && (l->family == family || l->is_dual) &&
                    (u128_is_zero(l->local) || u128_equal(l->local, address)))
                        return true;
        }
        return false;
}

/* Where conntrack had slept, whatever came next was taken for the first packet: if it was a
 * server's, the connection seems to be one that the server's side opened, and would be admitted as
 * such. */
typedef enum Turned {
        TURNED_NO,
        TURNED_YES, /* this host listens there */
        TURNED_PERHAPS,
} Turned;

/* Whether kernels hand out this port to whoever connects: Linux from 32768 on, others from 49152.
 */
static bool is_handed_out(uint16_t port) {
        return port >= 32768;
}

static Turned is_turned(const CutHost *host, const Connection *c) {
        if (!c->picked_up || c->protocol != IPPROTO_TCP)
                return TURNED_NO;
        if (place_find(host->net, c->family, c->source).is_own)
                return host->listening && is_listening(host->listening, c->family, c->source,
                                                       c->source_port)
                               ? TURNED_YES
                               : TURNED_NO;
        /* what was dialled here and sent elsewhere is the right way round: replies are not sent */
        if (c->translated || place_find(host->net, c->family, c->destination).is_own)
                return TURNED_NO;
        /* through this host: nobody knows the ends' sockets */
        return is_handed_out(c->source_port) && !is_handed_out(c->dialled_port) ? TURNED_NO
                                                                                : TURNED_PERHAPS;
}

static Connection turn(const Connection *c) {
        Connection turned = *c;

        turned.source = c->destination;
        turned.source_port = c->destination_port;
        turned.dialled = turned.destination = c->source;
        turned.dialled_port = turned.destination_port = c->source_port;
        turned.translated = false;
        return turned;
}

static int decide_as_is(const Ruleset *rs,
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

static int decide(const Ruleset *rs,
                  const CutHost *host,
                  const Connection *c,
                  Hook *ret_hook,
                  CutVerdict *ret) {
        Turned turned = is_turned(host, c);
        Connection other;
        int r = 0;

        *ret = CUT_NO;
        if (turned != TURNED_NO) {
                other = turn(c);
                r = decide_as_is(rs, host, &other, ret_hook, ret);
        }
        /* whoever may have opened it, the policy has to admit it */
        return r < 0 || turned == TURNED_YES || *ret == CUT_YES
                       ? r
                       : decide_as_is(rs, host, c, ret_hook, ret);
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
        size_t n_made;
        bool only_amidst; /* what conntrack saw begin is left alone */
        CutCounts counts;
} Cutter;

static int cut_one(const Connection *c, void *to) {
        Cutter *cutter = to;
        CutVerdict verdict;
        int r;

        cutter->counts.n_seen++;
        if (c->mark & cutter->mark || (cutter->only_amidst && !c->picked_up))
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
        HostSockets open = {0};
        int r = sockets_read_open(a, &open);

        for (size_t i = 0; i < open.n_items && r == 0; i++) {
                const HostSocket *s = &open.items[i];
                const Connection connection = connection_of(s);
                CutVerdict verdict;
                Connection known;
                int made;

                if (!is_listening(c->host.listening, s->family, s->local, s->local_port))
                        continue;
                r = cut_decide(c->rs, &c->host, &connection, &verdict);
                if (r < 0 || verdict != CUT_YES)
                        continue;
                made = conntrack_add(c->link, &connection, c->mark);
                if (made < 0) {
                        c->counts.n_failed++;
                        c->counts.error = made;
                } else if (made > 0)
                        c->n_made++;
                /* the server may have been quicker, after all was looked at */
                else if (conntrack_find(c->link, &connection, &known) > 0)
                        r = cut_one(&known, c);
        }
        return r;
}

static CutHost
host_of(const Ruleset *rs, const HostNet *net, const HostSockets *listening, Arena *scratch) {
        return (CutHost){
                .net = net,
                .scratch = scratch,
                .listening = listening,
                .asks_user = asks(rs, FIELD_SKUID),
                .asks_group = asks(rs, FIELD_SKGID),
        };
}

/* All that conntrack knows, until a round finds nothing more. */
static int cut_tracked(Cutter *c) {
        size_t n_cut = 0;
        int r = 0;

        for (int i = 0; i < ROUNDS_MAX && (r == 0 || r == -EINTR); i++) {
                c->counts = (CutCounts){0};
                c->n_marked = c->n_over = 0;
                r = conntrack_read(cut_one, c);
                n_cut += c->n_marked - c->n_over;
                if (r == 0 && c->n_marked == 0)
                        break;
        }
        c->n_marked = n_cut;
        c->n_over = 0;
        c->counts.is_fleeting = r == -EINTR;
        return r == -EINTR ? 0 : r;
}

static int cut(const Ruleset *rs, uint32_t mark, bool only_amidst, CutCounts *ret) {
        _cleanup_(conntrack_closep) ConntrackLink *link = NULL;
        _cleanup_(arena_freep) Arena *a = arena_new(0), *scratch = arena_new(0);
        Cutter c = {.rs = rs, .mark = mark, .only_amidst = only_amidst};
        HostSockets sockets = {0}, listening = {0};
        HostNet net;
        int r = a && scratch ? routes_read(a, &net) : -ENOMEM, listed;

        if (r == 0)
                r = conntrack_open(&link);
        if (r < 0)
                return r;
        listed = sockets_read_listening_tcp(a, &listening);
        c.link = link;
        c.host = host_of(rs, &net, &listening, scratch);
        /* what cannot be listed is not known, and left alone */
        if (c.host.asks_user && sockets_read_connected(a, 0, &sockets) == 0)
                c.host.sockets = &sockets;
        r = cut_tracked(&c);
        if (r == 0 && !only_amidst)
                r = listed < 0 ? listed : cut_untracked(&c, a);
        c.counts.n_cut = c.n_marked - c.n_over + c.n_made;
        *ret = c.counts;
        return r;
}

int cut_all(const Ruleset *rs, uint32_t mark, CutCounts *ret) {
        return cut(rs, mark, false, ret);
}

int cut_amidst(const Ruleset *rs, uint32_t mark, CutCounts *ret) {
        return cut(rs, mark, true, ret);
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

                if (!l->is_known[i] && is_listening(&l->listening, connection.family,
                                                    connection.dialled, connection.dialled_port))
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
                r = sockets_read_open(a, &l.connected);
        if (r < 0)
                return r;
        l.is_known = arena_alloc_array(a, l.connected.n_items + 1, sizeof(*l.is_known));
        if (!l.is_known)
                return -ENOMEM;
        l.host = host_of(rs, &net, &l.listening, scratch);
        l.host.sockets = &l.connected;
        r = conntrack_read(list_one, &l);
        if (r < 0 && r != -EINTR)
                return r;
        untracked = list_untracked(&l);
        return untracked < 0 ? untracked : r;
}
