/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter.h>

#include "proof/whole_state.h"

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
        if (e->kind == WORLD_REJECT || e->kind == WORLD_FORWARD)
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

/* Where chains translate sources of what comes in, those behind them are not walked: whom such a
 * chain asks for is not who sent the packet any more. That hides nothing that could let in, as our
 * own chain has judged the packet by then. */
static bool is_behind_sources(const Whole *x, const WorldChain *c) {
        bool found = false;

        if (c->priority < PRIORITY_SOURCES)
                return false;
        for (size_t i = 0; i < x->world->n_chains && !found; i++) {
                const WorldChain *other = x->world->chains[i];

                found = other->is_base && other->type == WORLD_NATS &&
                        other->hook == NF_INET_LOCAL_IN && whole_sees_family(x, other) &&
                        !whole_is_dormant(other->table);
        }
        return found;
}

static bool is_left_out(const Whole *x, const WorldChain *c) {
        if (!c->is_base || whole_is_dormant(c->table) || whole_walks_device(x, c) ||
            whole_is_bans(x, c->table))
                return false;
        /* what is sent meets no chain that it would arrive by */
        if (x->sent && (c->ingress || (c->hook != NF_INET_POST_ROUTING &&
                                       c->hook != NF_INET_LOCAL_OUT && !c->egress)))
                return false;
        if (c->table->family == NFPROTO_BRIDGE)
                return c->hook != NF_INET_FORWARD; /* of frames from port to port */
        if (c->ingress || c->egress || c->table->family == NFPROTO_NETDEV)
                return true;
        if (!whole_sees_family(x, c))
                return false;
        return (c->hook == NF_INET_POST_ROUTING &&
                (c->type == WORLD_NATS || c->priority >= PRIORITY_SOURCES)) ||
               (c->hook == NF_INET_LOCAL_IN && (c->type == WORLD_NATS || is_behind_sources(x, c)));
}

static bool is_bridge(const WorldInterface *i) {
        return i->kind && streq(i->kind, "bridge");
}

static bool is_device(const WorldChain *c, const WorldInterface *i) {
        for (size_t k = 0; k < c->n_devices; k++)
                if (streq(c->devices[k], i->name))
                        return true;
        return false;
}

/* Whether what comes by the interface may have come through the chain's device, or the bridge. */
static bool comes_through(const Whole *x, const WorldChain *c, const WorldInterface *i) {
        const World *w = x->world;
        bool found = c->ingress ? is_device(c, i) : is_bridge(i);

        for (size_t k = 0; k < w->n_interfaces && !found; k++) {
                const WorldInterface *other = &w->interfaces[k];

                if (other->index != i->lower && other->master != i->index)
                        continue;
                /* what stands upon something that stands upon it, and so on, is not followed */
                found = c->ingress ? is_device(c, other) || other->lower || other->master
                                   : is_bridge(other) || other->lower;
        }
        return found;
}

/* Packets that the chain may see: all, where only the interface by which they leave would tell. */
static DiagramId where_seen(Whole *x, const WorldChain *c) {
        bool bridge = c->table->family == NFPROTO_BRIDGE;
        DiagramId sum = DIAGRAM_EMPTY;

        if (!c->ingress &&
            !(bridge && (c->hook == NF_INET_PRE_ROUTING || c->hook == NF_INET_LOCAL_IN)))
                return DIAGRAM_ALL;
        for (size_t i = 0; i < x->n_arrivals; i++) {
                Range one = range_single(u128(i));

                if (comes_through(x, c, &x->world->interfaces[x->arrivals[i].interface]))
                        sum = diagram_union(x->diagram, sum, whole_where(x, WHOLE_IN, &one, 1));
        }
        return sum;
}

int whole_find_refusals(Whole *x, Arena *a, WholeRefusal **ret, size_t *ret_n) {
        bool *seen = arena_alloc_array(x->arena, x->world->n_chains + 1, sizeof(*seen));

        *ret = NULL;
        *ret_n = 0;
        for (size_t i = 0; i < x->world->n_chains && seen; i++) {
                const WorldChain *c = x->world->chains[i];
                WholeRefusal refusal;

                memset(seen, 0, x->world->n_chains + 1);
                if (!is_left_out(x, c) || !chain_refuses(c, seen))
                        continue;
                refusal.text = arena_printf(a, "what chain '%s' of table '%s' refuses", c->name,
                                            c->table->name);
                refusal.region = where_seen(x, c);
                if (!refusal.text || !arena_append(a, *ret, *ret_n, refusal))
                        return -ENOMEM;
        }
        return seen ? 0 : -ENOMEM;
}
