/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world/hooks.h"

#include <linux/netfilter_ipv4.h>

/* The newer first: of one table the handle tells, of two the order in which they were made. */
static int compare_newer(const WorldChain *a, const WorldChain *b) {
        if (a->table != b->table)
                return a->table > b->table ? -1 : 1;
        if (a->handle != b->handle)
                return a->handle > b->handle ? -1 : 1;
        return a->number > b->number ? -1 : 1;
}

static int compare_chains(const void *a, const void *b) {
        const WorldChain *x = *(WorldChain *const *)a, *y = *(WorldChain *const *)b;

        if (x->priority != y->priority)
                return x->priority < y->priority ? -1 : 1;
        return x == y ? 0 : compare_newer(x, y);
}

static int compare_stops(const void *a, const void *b) {
        const Stop *x = a, *y = b;

        if (x->priority != y->priority)
                return x->priority < y->priority ? -1 : 1;
        if (!x->chain || !y->chain)
                return (x->chain != NULL) - (y->chain != NULL);
        return x == y ? 0 : compare_newer(x->chain, y->chain);
}

#define TABLE_DORMANT 1U

static bool is_awake(const WorldChain *chain) {
        return chain->is_base && !(chain->table->flags & TABLE_DORMANT);
}

static bool is_at(const WorldChain *chain, Family family, int hook) {
        uint8_t own = family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;

        return is_awake(chain) && !chain->ingress && !chain->egress && chain->hook == hook &&
               (chain->table->family == own || chain->table->family == NFPROTO_INET);
}

static bool add_stop(WorldWalker *x, HookList *list, Stop stop) {
        return arena_append(x->arena, list->stops, list->n_stops, stop);
}

/* The kernel looks at connections where an expression needs them, wherever it stands; a chain of
 * type nat alone does not ask for that, and is then not called (nf_nat_inet_fn). */
static bool needs_connections(const WorldExpr *e, uint8_t own) {
        if (e->kind == WORLD_NAT)
                return e->nat.kind != WORLD_TPROXY &&
                       (e->nat.family == own || e->nat.family == NFPROTO_INET);
        return e->kind == WORLD_CT || e->kind == WORLD_SET_CT;
}

static bool has_connections(const World *w, Family family) {
        uint8_t own = family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;

        for (size_t i = 0; i < w->n_chains; i++) {
                const WorldChain *c = w->chains[i];

                if (c->table->family != own && c->table->family != NFPROTO_INET)
                        continue;
                for (size_t j = 0; j < c->n_rules; j++)
                        for (size_t k = 0; k < c->rules[j].n_exprs; k++)
                                if (needs_connections(&c->rules[j].exprs[k], own))
                                        return true;
        }
        return false;
}

static bool has_nat(const World *w, Family family) {
        for (size_t i = 0; i < w->n_chains; i++)
                for (int hook = 0; hook < NF_INET_NUMHOOKS; hook++)
                        if (w->chains[i]->type == WORLD_NATS && is_at(w->chains[i], family, hook))
                                return true;
        return false;
}

static bool fill_list(WorldWalker *x, Family family, int hook, bool nat) {
        HookList *list = &x->lists[family][hook];
        const World *w = x->world;

        for (size_t i = 0; i < w->n_chains; i++) {
                const WorldChain *chain = w->chains[i];

                if (!is_at(chain, family, hook))
                        continue;
                if (chain->type == WORLD_NATS) {
                        if (!arena_append(x->arena, list->nat, list->n_nat, chain))
                                return false;
                } else if (!add_stop(x, list, (Stop){STOP_CHAIN, chain->priority, chain}))
                        return false;
        }
        if ((hook == NF_INET_PRE_ROUTING || hook == NF_INET_LOCAL_OUT) &&
            !add_stop(x, list, (Stop){STOP_CONNTRACK, NF_IP_PRI_CONNTRACK, NULL}))
                return false;
        if (nat && hook != NF_INET_FORWARD) {
                bool early = hook == NF_INET_PRE_ROUTING || hook == NF_INET_LOCAL_OUT;

                if (!add_stop(
                            x, list,
                            (Stop){STOP_NAT, early ? NF_IP_PRI_NAT_DST : NF_IP_PRI_NAT_SRC, NULL}))
                        return false;
        }
        if (list->n_stops > 0)
                qsort(list->stops, list->n_stops, sizeof(list->stops[0]), compare_stops);
        if (list->n_nat > 0)
                qsort(list->nat, list->n_nat, sizeof(list->nat[0]), compare_chains);
        return true;
}

static bool changes_packets(const WorldChain *chain) {
        for (size_t i = 0; i < chain->n_rules; i++)
                for (size_t j = 0; j < chain->rules[i].n_exprs; j++)
                        switch (chain->rules[i].exprs[j].kind) {
                        case WORLD_SET_META:
                        case WORLD_SET_CT:
                        case WORLD_SET_PAYLOAD:
                        case WORLD_NOTRACK:
                        case WORLD_NAT:
                        case WORLD_UNKNOWN:
                                return true;
                        case WORLD_PAYLOAD:
                        case WORLD_META:
                        case WORLD_CT:
                        case WORLD_FIB:
                        case WORLD_EXTHDR:
                        case WORLD_DATA:
                        case WORLD_LOAD_ANY:
                        case WORLD_BITWISE:
                        case WORLD_BYTEORDER:
                        case WORLD_CMP:
                        case WORLD_RANGE:
                        case WORLD_LOOKUP:
                        case WORLD_PORTS:
                        case WORLD_COPY:
                        case WORLD_FORWARD:
                        case WORLD_NOTHING:
                        case WORLD_CHOICE:
                        case WORLD_IS:
                        case WORLD_REJECT:
                                break;
                        }
        return false;
}

static bool fill_effects(WorldWalker *x) {
        const World *w = x->world;
        bool *tables = arena_alloc_array(x->arena, w->n_tables, sizeof(*tables));

        x->has_effects = arena_alloc_array(x->arena, w->n_chains, sizeof(*x->has_effects));
        if (!tables || !x->has_effects)
                return false;
        for (size_t i = 0; i < w->n_chains; i++)
                tables[w->chains[i]->table - w->tables] |= changes_packets(w->chains[i]);
        for (size_t i = 0; i < w->n_chains; i++)
                x->has_effects[i] = tables[w->chains[i]->table - w->tables];
        return true;
}

static bool add_chain(WorldWalker *x, DeviceList *list, const WorldChain *chain) {
        return arena_append(x->arena, list->chains, list->n, chain);
}

static void sort_chains(DeviceList *list) {
        if (list->n > 0)
                qsort(list->chains, list->n, sizeof(list->chains[0]), compare_chains);
}

static bool fill_devices(WorldWalker *x) {
        const World *w = x->world;

        x->egress.egress = true;
        for (size_t i = 0; i < w->n_chains; i++) {
                const WorldChain *chain = w->chains[i];

                if (!is_awake(chain))
                        continue;
                if (chain->ingress && !add_chain(x, &x->ingress, chain))
                        return false;
                if (chain->egress && !add_chain(x, &x->egress, chain))
                        return false;
                if (chain->table->family == NFPROTO_BRIDGE && chain->hook < NF_INET_NUMHOOKS &&
                    !add_chain(x, &x->bridges[chain->hook], chain))
                        return false;
        }
        sort_chains(&x->ingress);
        sort_chains(&x->egress);
        for (size_t i = 0; i < NF_INET_NUMHOOKS; i++)
                sort_chains(&x->bridges[i]);
        return true;
}

int world_walker_new(const World *w, WorldWalker **ret) {
        WorldWalker *x = calloc(1, sizeof(*x));
        bool ok = x != NULL;

        if (ok) {
                x->world = w;
                x->arena = arena_new(0);
                x->plain = arena_new(0);
                x->scratch = arena_new(0);
                ok = x->arena && x->plain && x->scratch && fill_devices(x) && fill_effects(x);
        }
        for (Family family = 0; family < _FAMILY_MAX && ok; family++) {
                bool nat = has_nat(w, family) && has_connections(w, family);

                for (int hook = 0; hook < NF_INET_NUMHOOKS && ok; hook++)
                        ok = fill_list(x, family, hook, nat);
        }
        if (!ok) {
                (void)world_walker_free(x);
                return -ENOMEM;
        }
        *ret = x;
        return 0;
}

WorldWalker *world_walker_free(WorldWalker *x) {
        if (!x)
                return NULL;
        (void)arena_free(x->arena);
        (void)arena_free(x->plain);
        (void)arena_free(x->scratch);
        free(x);
        return NULL;
}

bool walker_order_is_open(const WorldWalker *x, const Stop *stops, size_t n) {
        bool differ = false, effects = false;

        for (size_t i = 0; i < n; i++) {
                if (!stops[i].chain)
                        return n > 1;
                differ |= stops[i].chain->table != stops[0].chain->table;
                effects |= x->has_effects[stops[i].chain->number];
        }
        return differ && effects;
}
