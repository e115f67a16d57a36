/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world/hooks.h"

/* What frames go through: chains of devices, and of bridges. */

#define PORTS_MAX 32
#define DEPTH_MAX 8
#define PRIORITY_NETFILTER 0 /* br_netfilter's, NF_BR_PRI_BRNF */

static bool is_kind(const WorldInterface *i, const char *kind) {
        return i && i->kind && streq(i->kind, kind);
}

const WorldInterface *run_bridge_of(const Run *r, const WorldInterface *device) {
        const WorldInterface *lower;

        if (!device || is_kind(device, "bridge"))
                return device;
        if (device->lower == 0 || is_kind(device, "veth"))
                return NULL;
        lower = world_interface_at(r->world, device->lower);
        return is_kind(lower, "bridge") ? lower : NULL;
}

static bool is_on(const WorldChain *chain, const WorldInterface *device) {
        for (size_t i = 0; i < chain->n_devices; i++)
                if (streq(chain->devices[i], device->name))
                        return true;
        return false;
}

static bool has_chain(const DeviceList *list, const WorldInterface *device) {
        for (size_t i = 0; i < list->n; i++)
                if (is_on(list->chains[i], device))
                        return true;
        return false;
}

/* The chains of one device, which the packet comes or leaves by. */
static WorldVerdictKind run_on(Run *r, const DeviceList *list, const WorldInterface *device) {
        const WorldInterface **slot = list->egress ? &r->out : &r->in, *kept = *slot;
        WorldVerdictKind kind = WORLD_ACCEPT;

        *slot = device;
        for (size_t i = 0; i < list->n && kind == WORLD_ACCEPT; i++) {
                const WorldChain *c = list->chains[i];

                if (!is_on(c, device))
                        continue;
                r->hook = c->hook;
                r->pf = c->table->family == NFPROTO_NETDEV ? NFPROTO_NETDEV
                        : r->family == FAMILY_IPV4         ? NFPROTO_IPV4
                                                           : NFPROTO_IPV6;
                kind = run_chain(r, c);
        }
        if (!r->sent_on)
                *slot = kept;
        return kind;
}

/* One of the ports: which one is not known where there are several. */
static WorldVerdictKind run_on_port(Run *r, const DeviceList *list, const WorldInterface *device) {
        const WorldInterface *ports[PORTS_MAX];
        size_t n = 0, n_ports = 0;
        unsigned int which = 1;

        for (size_t i = 0; i < r->world->n_interfaces; i++) {
                const WorldInterface *port = &r->world->interfaces[i];

                if (port->master != device->index || device->index == 0)
                        continue;
                n_ports++;
                if (!has_chain(list, port))
                        continue;
                if (n == PORTS_MAX)
                        r->choices->missed = true;
                else
                        ports[n++] = port;
        }
        if (n == 0)
                return WORLD_ACCEPT;
        if (n_ports > 1) {
                r->unknown = true;
                which = run_choose(r, (unsigned int)n + 1);
        }
        return which == 0 ? WORLD_ACCEPT : run_on(r, list, ports[which - 1]);
}

WorldVerdictKind run_below(Run *r, const DeviceList *list, const WorldInterface *device) {
        const WorldInterface *below[DEPTH_MAX];
        size_t n = 0;

        for (const WorldInterface *i = device; i && list->n > 0 && n < DEPTH_MAX;
             i = i->lower && !is_kind(i, "veth") ? world_interface_at(r->world, i->lower) : NULL)
                below[n++] = i;
        /* what comes in meets the lowest first */
        for (size_t k = 0; k < n; k++) {
                const WorldInterface *i = below[list->egress ? k : n - 1 - k];

                if (list->egress && i != device && run_on(r, list, i) != WORLD_ACCEPT)
                        return WORLD_DROP;
                if (run_on_port(r, list, i) != WORLD_ACCEPT)
                        return WORLD_DROP;
                if (!list->egress && i != device && run_on(r, list, i) != WORLD_ACCEPT)
                        return WORLD_DROP;
        }
        return WORLD_ACCEPT;
}

WorldVerdictKind run_device(Run *r, const DeviceList *list, const WorldInterface *device) {
        return device ? run_on(r, list, device) : WORLD_ACCEPT;
}

/* A chain that br_netfilter calls behind IP's sees the packet as it was translated there, which is
 * not done here before its time: what becomes of it may be otherwise. */
static WorldVerdictKind run_of_frame(const WorldWalker *x, Run *r, const WorldChain *c) {
        WorldVerdictKind kind = run_chain(r, c);

        if (!r->world->bridge_calls_hooks[r->family] || c->hook != NF_INET_PRE_ROUTING ||
            c->priority <= PRIORITY_NETFILTER || x->lists[r->family][c->hook].n_nat == 0 ||
            run_choose(r, 2) == 0)
                return kind;
        r->unknown = true;
        return kind == WORLD_ACCEPT ? WORLD_DROP : WORLD_ACCEPT;
}

WorldVerdictKind run_bridge_hook(const WorldWalker *x, Run *r, int hook) {
        const DeviceList *list = &x->bridges[hook];

        r->hook = hook;
        r->pf = NFPROTO_BRIDGE;
        for (size_t i = 0; i < list->n; i++) {
                const WorldChain *c = list->chains[i];

                /* br_netfilter calls IP's hooks in the middle, and may then pass over some */
                if (r->world->bridge_calls_hooks[r->family]) {
                        r->unknown |= x->has_effects[c->number];
                        if (c->priority == PRIORITY_NETFILTER && run_choose(r, 2) == 1) {
                                r->unknown = true;
                                continue;
                        }
                }
                if (run_of_frame(x, r, c) != WORLD_ACCEPT)
                        return WORLD_DROP;
        }
        return WORLD_ACCEPT;
}
