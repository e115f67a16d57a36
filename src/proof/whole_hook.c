/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter.h>

#include "proof/whole_state.h"

/* The chains of the hooks: which there are, what may be known of them without a walk, and in which
 * order they are called. */

void whole_note_order(Whole *x, const char *what) {
        x->order_open = true;
        whole_note(x, what ? what : "the order of chains");
}

bool whole_sees_family(const Whole *x, const WorldChain *c) {
        uint8_t f = c->table->family;

        return f == NFPROTO_INET || f == (x->family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
}

bool whole_is_dormant(const WorldTable *t) {
        return t->flags & 1U; /* NFT_TABLE_F_DORMANT */
}

bool whole_has_nat(const Whole *x) {
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];

                if (c->is_base && c->type == WORLD_NATS && whole_sees_family(x, c) &&
                    !whole_is_dormant(c->table))
                        return true;
        }
        return false;
}

/* Whether anything in the table changes what other tables' rules may see. */
static bool has_effects(const Whole *x, const WorldTable *t) {
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];

                for (size_t j = 0; c->table == t && j < c->n_rules; j++)
                        for (size_t k = 0; k < c->rules[j].n_exprs; k++) {
                                const WorldExpr *e = &c->rules[j].exprs[k];

                                if (e->kind == WORLD_SET_META || e->kind == WORLD_SET_CT ||
                                    e->kind == WORLD_SET_PAYLOAD || e->kind == WORLD_NOTRACK ||
                                    (e->kind == WORLD_UNKNOWN && !startswith(e->name, "xt match")))
                                        return true;
                        }
        }
        return false;
}

bool whole_has_conntrack(const Whole *x) {
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];

                for (size_t j = 0; j < c->n_rules && whole_sees_family(x, c); j++)
                        for (size_t k = 0; k < c->rules[j].n_exprs; k++)
                                if (c->rules[j].exprs[k].kind == WORLD_CT)
                                        return true;
        }
        return false;
}

static int compare_chains(const void *a, const void *b) {
        const WorldChain *x = *(const WorldChain *const *)a, *y = *(const WorldChain *const *)b;

        if (x->priority != y->priority)
                return x->priority < y->priority ? -1 : 1;
        return x->number < y->number ? -1 : x->number > y->number;
}

size_t whole_list_chains(Whole *x, int hook, bool nat, const WorldChain ***ret) {
        const World *w = x->world;
        const WorldChain **list = arena_alloc_array(x->arena, w->n_chains + 1, sizeof(*list));
        size_t n = 0;

        if (!list)
                return whole_fail(x, -ENOMEM);
        for (size_t i = 0; i < w->n_chains; i++) {
                const WorldChain *c = w->chains[i];

                if (c->is_base && !c->ingress && !c->egress && c->hook == hook &&
                    whole_sees_family(x, c) && !whole_is_dormant(c->table) &&
                    (c->type == WORLD_NATS) == nat)
                        list[n++] = c;
        }
        qsort(list, n, sizeof(*list), compare_chains);
        *ret = list;
        return n;
}

bool whole_order_matters(const Whole *x, const WorldChain **list, size_t n) {
        bool matters = x->stage == STAGE_NAT; /* the first chain that translates ends it */

        for (size_t i = 0; i < n; i++)
                matters |= has_effects(x, list[i]->table);
        return n > 1 && matters;
}

static bool copies(const WorldExpr *e) {
        return streq(e->name, "dup") || streq(e->name, "xt target TEE");
}

/* Connections that a helper announces are not new ones to the rules; those that SYN proxies make
 * come past them; and a copy may come back by the loopback interface. */
void whole_note_helpers(Whole *x) {
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];

                for (size_t j = 0; j < c->n_rules; j++)
                        for (size_t k = 0; k < c->rules[j].n_exprs; k++)
                                if (strstr(c->rules[j].exprs[k].name, "helper") &&
                                    c->rules[j].exprs[k].kind != WORLD_CT &&
                                    c->rules[j].exprs[k].kind != WORLD_CHOICE)
                                        whole_note_order(
                                                x, "connections that a protocol helper announces");
                                else if (c->rules[j].exprs[k].kind == WORLD_UNKNOWN &&
                                         (strcasestr(c->rules[j].exprs[k].name, "synproxy") ||
                                          streq(c->rules[j].exprs[k].name, "objref")))
                                        whole_note_order(x, "connections that a SYN proxy makes");
                                else if (copies(&c->rules[j].exprs[k]))
                                        whole_note_order(x, "where copies of packets go");
        }
}

void whole_note_outside(Whole *x) {
        for (size_t i = 0; i < x->world->n_interfaces; i++)
                if (x->world->interfaces[i].kind && streq(x->world->interfaces[i].kind, "vrf"))
                        whole_note_order(x, "by which interface packets of a VRF come in");
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];
                bool early = c->ingress || c->table->family == NFPROTO_BRIDGE ||
                             c->table->family == NFPROTO_NETDEV;

                if (c->is_base && early && !whole_is_dormant(c->table) && has_effects(x, c->table))
                        whole_note_order(
                                x, arena_printf(x->arena,
                                                "what chain '%s' of table '%s' changes before",
                                                c->name, c->table->name));
        }
}
