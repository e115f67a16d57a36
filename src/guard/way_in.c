/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/way_in.h"

#include "guard/judge.h"
#include "guard/place.h"
#include "nft/world_read.h"

#define TRIES 5 /* while links and addresses change */

static const char *deciding(const Evaluation *e) {
        for (size_t i = e->n_steps; i > 0; i--)
                if (e->steps[i - 1].rule && e->steps[i - 1].rule->origin.text)
                        return e->steps[i - 1].rule->origin.text;
        return NULL;
}

/* A new connection may not end here at all, whatever admits it. 1: ret tells where it does. */
static int
find_forward(const Ruleset *rs, const HostNet *net, Arena *a, PacketQuestion *q, const char **ret) {
        char buf[ADDRESS_TEXT_MAX];
        int r = ruleset_translate(rs, NULL, q);

        if (r <= 0)
                return r;
        if (place_find(net, q->family, q->destination).is_own) {
                q->hook = HOOK_INPUT;
                return 0;
        }
        *ret = arena_printf(a, "the policy forwards it to %s",
                            address_print(q->family, q->destination, buf));
        return *ret ? 1 : -ENOMEM;
}

int way_in_decide(
        const Ruleset *rs, const HostNet *net, const HostSocket *socket, Arena *a, WayIn *ret) {
        Place peer = place_find(net, socket->family, socket->peer);
        PacketQuestion q = {
                .hook = HOOK_INPUT,
                .family = socket->family,
                .in = peer.interface,
                .source = socket->peer,
                .destination = socket->local,
                .protocol = socket->proto,
                .source_port = 49152, /* a new connection has another one */
                .destination_port = socket->local_port,
                .ct_state = CT_STATE_NEW,
        };
        char buf[ADDRESS_TEXT_MAX];
        WayIn way = {0};
        Evaluation e;
        Packet p;
        int r;

        way.text = arena_printf(a, "%s → %u", address_print(socket->family, socket->peer, buf),
                                socket->local_port);
        if (!way.text)
                return -ENOMEM;
        /* who comes from an address of this host's own comes by loopback, which is free */
        way.admitted = peer.is_own;
        r = peer.is_own ? 1 : find_forward(rs, net, a, &q, &way.rule);
        if (r < 0)
                return r;
        if (r == 0) {
                packet_init(&p, &q);
                r = ruleset_eval(rs, a, q.hook, &p, &e);
                if (r < 0)
                        return r;
                way.admitted = e.verdict == VERDICT_ACCEPT;
                way.limited = e.limited;
                way.rule = deciding(&e);
        }
        *ret = way;
        return 0;
}

int way_in_world(const Ruleset *rs, Arena *a, World **ret) {
        int r = world_of_ruleset(a, rs, ret);

        for (int i = 0; i < TRIES && r == 0; i++) {
                r = world_read_surroundings(*ret);
                if (r != -EINTR)
                        break;
        }
        return r;
}

static const char *describe(const VerifyAnswer *answer, Arena *a) {
        const WorldStep *last = answer->n_steps > 0 ? &answer->steps[answer->n_steps - 1] : NULL;
        const char *step = last ? judge_describe_step(a, last) : NULL;

        if (answer->kind == VERIFY_REFUTED && answer->connection)
                return step ? arena_printf(a, "%s by %s", answer->connection, step)
                            : answer->connection;
        return answer->n_reasons > 0
                       ? arena_printf(a, "it is not proved; it hangs on %s", answer->reasons[0])
                       : "it is not proved";
}

int way_in_prove(
        const World *w, const HostNet *net, const HostSocket *socket, Arena *a, WayIn *way) {
        const VerifyWay proved = {
                .family = socket->family,
                .peer = socket->peer,
                .local = socket->local,
                .port = socket->local_port,
                .in = place_find(net, socket->family, socket->peer).interface,
        };
        VerifyAnswer answer;
        int r = verify_way_in(w, &proved, a, &answer);

        if (r < 0)
                return r;
        if (!way->admitted || answer.kind == VERIFY_PROVED ||
            (answer.kind == VERIFY_UNDECIDED && answer.is_plain))
                return 0;
        way->admitted = false;
        way->is_refuted = answer.kind == VERIFY_REFUTED;
        way->rule = describe(&answer, a);
        return way->rule ? 0 : -ENOMEM;
}
