/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/way_in.h"

#include "guard/place.h"

static const char *deciding(const Evaluation *e) {
        for (size_t i = e->n_steps; i > 0; i--)
                if (e->steps[i - 1].rule && e->steps[i - 1].rule->origin.text)
                        return e->steps[i - 1].rule->origin.text;
        return NULL;
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
        if (!peer.is_own) {
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
