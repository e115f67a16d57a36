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
        if (e->kind == WORLD_REJECT)
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

static bool is_left_out(const Whole *x, const WorldChain *c) {
        if (!c->is_base || whole_is_dormant(c->table))
                return false;
        /* what is sent meets no chain that it would arrive by */
        if (x->sent && (c->ingress || (c->hook != NF_INET_POST_ROUTING &&
                                       c->hook != NF_INET_LOCAL_OUT && !c->egress)))
                return false;
        if (c->ingress || c->egress || c->table->family == NFPROTO_BRIDGE ||
            c->table->family == NFPROTO_NETDEV)
                return true;
        if (!whole_sees_family(x, c))
                return false;
        return (c->hook == NF_INET_POST_ROUTING &&
                (c->type == WORLD_NATS || c->priority >= PRIORITY_SOURCES)) ||
               (c->hook == NF_INET_LOCAL_IN && c->type == WORLD_NATS);
}

int whole_find_refusals(Whole *x, Arena *a, const char ***ret, size_t *ret_n) {
        bool *seen = arena_alloc_array(x->arena, x->world->n_chains + 1, sizeof(*seen));

        *ret = NULL;
        *ret_n = 0;
        for (size_t i = 0; i < x->world->n_chains && seen; i++) {
                const WorldChain *c = x->world->chains[i];
                const char *text;

                memset(seen, 0, x->world->n_chains + 1);
                if (!is_left_out(x, c) || !chain_refuses(c, seen))
                        continue;
                text = arena_printf(a, "what chain '%s' of table '%s' refuses", c->name,
                                    c->table->name);
                if (!text || !arena_append(a, *ret, *ret_n, text))
                        return -ENOMEM;
        }
        return seen ? 0 : -ENOMEM;
}
