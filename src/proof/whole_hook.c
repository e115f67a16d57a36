/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "proof/whole_state.h"

#define FLAGS_OFFSET 13 /* of TCP's header */

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

/* Of chains that frames go through, before IP sees a packet or behind it. */
typedef enum Effect {
        EFFECT_MARK = 1, /* the packet's mark */
        EFFECT_ELSE = 2,
        EFFECT_REWRITE = 4, /* where it goes, or to which port */
        EFFECT_ALL = EFFECT_MARK | EFFECT_ELSE | EFFECT_REWRITE,
} Effect;

#define BEFORE_ADDRESSES                                                                           \
        12 /* bytes of IPv4's header; of IPv6's there are four of the source more */

static bool is_rewrite(const WorldExpr *e) {
        return e->kind == WORLD_SET_PAYLOAD &&
               !(e->base == WORLD_NETWORK && e->offset + e->size <= BEFORE_ADDRESSES) &&
               !(e->base == WORLD_TRANSPORT && e->offset >= 4);
}

/* A program may do anything to what it is handed. */
static Effect effect_of_verdict(const WorldVerdict *v) {
        return v->kind == WORLD_QUEUE ? EFFECT_ALL : 0;
}

static Effect effect_of(const WorldExpr *e) {
        if (e->kind == WORLD_IS)
                return effect_of_verdict(&e->verdict);
        if (e->kind == WORLD_UNKNOWN)
                return startswith(e->name, "xt match") ? 0 : EFFECT_ALL;
        if (is_rewrite(e))
                return EFFECT_REWRITE | EFFECT_ELSE;
        if (e->kind == WORLD_SET_META && e->key == NFT_META_MARK)
                return EFFECT_MARK;
        if (e->kind == WORLD_SET_META &&
            (e->key == NFT_META_PRIORITY || e->key == NFT_META_NFTRACE))
                return 0;
        if (e->kind == WORLD_SET_META || e->kind == WORLD_SET_CT || e->kind == WORLD_SET_PAYLOAD ||
            e->kind == WORLD_NOTRACK || e->kind == WORLD_NAT)
                return EFFECT_ELSE;
        return 0;
}

static void add_effects(const WorldChain *c, bool *seen, Effect *sum);

static void add_effects_of(const WorldExpr *e, bool *seen, Effect *sum) {
        *sum |= effect_of(e);
        if (e->kind == WORLD_IS && e->verdict.chain)
                add_effects(e->verdict.chain, seen, sum);
        if (e->kind != WORLD_LOOKUP || !e->set->is_verdict_map)
                return;
        if (e->set->unknown || e->set->dynamic)
                *sum |= EFFECT_ALL;
        for (size_t i = 0; i < e->set->n_elements; i++) {
                *sum |= effect_of_verdict(&e->set->elements[i].verdict);
                if (e->set->elements[i].verdict.chain)
                        add_effects(e->set->elements[i].verdict.chain, seen, sum);
        }
}

static void add_effects(const WorldChain *c, bool *seen, Effect *sum) {
        if (seen[c->number])
                return;
        seen[c->number] = true;
        for (size_t i = 0; i < c->n_rules; i++)
                for (size_t j = 0; j < c->rules[i].n_exprs; j++)
                        add_effects_of(&c->rules[i].exprs[j], seen, sum);
}

static Effect chain_effects(const Whole *x, const WorldChain *c) {
        bool *seen = arena_alloc_array(x->arena, x->world->n_chains + 1, sizeof(*seen));
        Effect sum = 0;

        if (!seen)
                return EFFECT_ALL;
        add_effects(c, seen, &sum);
        return sum;
}

bool whole_rewrites(Whole *x, int hook) {
        const WorldChain **list;
        size_t n = whole_list_chains(x, hook, false, &list);

        for (size_t i = 0; i < n; i++)
                if (chain_effects(x, list[i]) & EFFECT_REWRITE)
                        return true;
        return false;
}

static bool is_outside(const WorldChain *c) {
        return c->is_base && !whole_is_dormant(c->table) &&
               (c->ingress || c->egress || c->table->family == NFPROTO_BRIDGE ||
                c->table->family == NFPROTO_NETDEV);
}

bool whole_routes_anew(const Whole *x) {
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];

                if (c->is_base && c->type == WORLD_ROUTE && whole_sees_family(x, c) &&
                    !whole_is_dormant(c->table) && chain_effects(x, c) != 0)
                        return true;
        }
        return false;
}

bool whole_is_marked_before(const Whole *x) {
        for (size_t i = 0; i < x->world->n_chains; i++)
                if (is_outside(x->world->chains[i]) && !x->world->chains[i]->egress &&
                    chain_effects(x, x->world->chains[i]) & EFFECT_MARK)
                        return true;
        return false;
}

/* Whether a base chain of the table is at the hook. */
static bool is_called_by(const Whole *x, const WorldTable *t, int hook) {
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];

                if (c->table == t && c->is_base && !c->ingress && !c->egress && c->hook == hook)
                        return !whole_is_dormant(t);
        }
        return false;
}

static bool may_change_source(const WorldExpr *e) {
        if (e->kind == WORLD_SET_PAYLOAD) /* bytes of IPv4's header */
                return e->base == WORLD_NETWORK && e->offset < 16 && e->offset + e->size > 12;
        if (e->kind == WORLD_IS)
                return e->verdict.kind == WORLD_QUEUE;
        return e->kind == WORLD_UNKNOWN && !startswith(e->name, "xt match");
}

bool whole_changes_sources(const Whole *x) {
        bool found = false;

        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];

                for (size_t j = 0; j < c->n_rules && whole_sees_family(x, c); j++)
                        for (size_t k = 0; k < c->rules[j].n_exprs; k++)
                                if (may_change_source(&c->rules[j].exprs[k]))
                                        found |= is_called_by(x, c->table, NF_INET_PRE_ROUTING);
        }
        return found;
}

/* What makes the kernel look at connections of its family (nf_ct_netns_get). */
static bool asks_conntrack(const Whole *x, const WorldExpr *e) {
        uint8_t family = x->family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;

        return e->kind == WORLD_CT || e->kind == WORLD_SET_CT ||
               (e->kind == WORLD_NAT && e->nat.kind != WORLD_TPROXY &&
                (e->nat.family == family || e->nat.family == NFPROTO_INET));
}

/* Whether the expression tells the beginning of a connection of TCP from other packets. */
static bool asks_flags(const Whole *x, const WorldExpr *e) {
        uint32_t header = x->family == FAMILY_IPV4 ? 20 : 40;

        return e->kind == WORLD_PAYLOAD && e->base != WORLD_LINK &&
               e->offset + e->size > (e->base == WORLD_NETWORK ? header : 0) + FLAGS_OFFSET;
}

static bool marks_connection(const Whole *x, const WorldExpr *e) {
        return e->kind == WORLD_SET_CT && e->key == NFT_CT_MARK;
}

/* Whether it is so of any expression for this family. */
static bool any_expression(const Whole *x, bool (*is_so)(const Whole *x, const WorldExpr *e)) {
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];

                for (size_t j = 0; j < c->n_rules && whole_sees_family(x, c); j++)
                        for (size_t k = 0; k < c->rules[j].n_exprs; k++)
                                if (is_so(x, &c->rules[j].exprs[k]))
                                        return true;
        }
        return false;
}

bool whole_has_conntrack(const Whole *x) {
        return any_expression(x, asks_conntrack);
}

bool whole_remembers(const Whole *x) {
        return x->tracks && any_expression(x, asks_flags);
}

bool whole_marks_connections(const Whole *x) {
        return any_expression(x, marks_connection);
}

bool whole_has_templates(const Whole *x) {
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];
                bool bridge = c->table->family == NFPROTO_BRIDGE;

                for (size_t j = 0; j < c->n_rules && (bridge || whole_sees_family(x, c)); j++)
                        for (size_t k = 0; k < c->rules[j].n_exprs; k++) {
                                const WorldExpr *e = &c->rules[j].exprs[k];

                                if (world_makes_template(e) ||
                                    (bridge && (e->kind == WORLD_CT || e->kind == WORLD_SET_CT)))
                                        return true;
                        }
        }
        return false;
}

static int compare_chains(const void *a, const void *b) {
        const WorldChain *x = *(const WorldChain *const *)a, *y = *(const WorldChain *const *)b;

        if (x->priority != y->priority)
                return x->priority < y->priority ? -1 : 1;
        return x->number < y->number ? -1 : x->number > y->number;
}

bool whole_is_bans(const Whole *x, const WorldTable *t) {
        if (t->family != NFPROTO_INET ||
            !(streq(t->name, "ringwall_bans") || streq(t->name, "ringwall_bans_beside")) ||
            has_effects(x, t))
                return false;
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];

                for (size_t j = 0; c->table == t && j < c->n_rules; j++)
                        for (size_t k = 0; k < c->rules[j].n_exprs; k++)
                                if (c->rules[j].exprs[k].kind == WORLD_IS &&
                                    c->rules[j].exprs[k].verdict.kind == WORLD_QUEUE)
                                        return false;
        }
        return true;
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
                    (c->type == WORLD_NATS) == nat && (nat || !whole_is_bans(x, c->table)))
                        list[n++] = c;
        }
        qsort(list, n, sizeof(*list), compare_chains);
        *ret = list;
        return n;
}

/* What comes in by a port, or for what stands on the device, is not told apart from what else does.
 */
static bool stands_alone(const World *w, const char *device) {
        const WorldInterface *found = NULL;

        for (size_t i = 0; i < w->n_interfaces; i++)
                if (streq(w->interfaces[i].name, device))
                        found = &w->interfaces[i];
        for (size_t i = 0; found && i < w->n_interfaces; i++) {
                const WorldInterface *x = &w->interfaces[i];

                if (x->lower == found->index && !(x->kind && streq(x->kind, "veth")))
                        return false;
        }
        return !found || found->master == 0;
}

bool whole_walks_device(const Whole *x, const WorldChain *c) {
        if (!x->refusals || !c->is_base || !c->ingress || whole_is_dormant(c->table))
                return false;
        for (size_t i = 0; i < c->n_devices; i++)
                if (!stands_alone(x->world, c->devices[i]))
                        return false;
        return true;
}

size_t whole_list_ingress(Whole *x, const WorldChain ***ret) {
        const World *w = x->world;
        const WorldChain **list = arena_alloc_array(x->arena, w->n_chains + 1, sizeof(*list));
        size_t n = 0;

        *ret = list;
        if (!list)
                return whole_fail(x, -ENOMEM);
        for (size_t i = 0; i < w->n_chains; i++)
                if (whole_walks_device(x, w->chains[i]))
                        list[n++] = w->chains[i];
        qsort(list, n, sizeof(*list), compare_chains);
        return n;
}

static bool has_turns(const Whole *x) {
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];

                for (size_t j = 0; j < c->n_rules; j++)
                        for (size_t k = 0; k < c->rules[j].n_exprs; k++)
                                if (whole_turns(x, &c->rules[j], k))
                                        return true;
        }
        return false;
}

size_t whole_list_turning(Whole *x, const WorldChain ***ret) {
        const World *w = x->world;
        const WorldChain **list = arena_alloc_array(x->arena, w->n_chains + 1, sizeof(*list));
        bool turns = has_turns(x);
        size_t n = 0;

        *ret = list;
        if (!list)
                return whole_fail(x, -ENOMEM);
        for (size_t i = 0; i < w->n_chains && turns; i++)
                if (w->chains[i]->is_base && w->chains[i]->ingress &&
                    !whole_is_dormant(w->chains[i]->table) &&
                    !whole_is_bans(x, w->chains[i]->table))
                        list[n++] = w->chains[i];
        qsort(list, n, sizeof(*list), compare_chains);
        return n;
}

bool whole_order_matters(const Whole *x, const WorldChain **list, size_t n) {
        bool matters = x->stage == STAGE_NAT; /* the first chain that translates ends it */

        for (size_t i = 0; i < n; i++)
                matters |= has_effects(x, list[i]->table);
        return n > 1 && matters;
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
                                else if ((c->rules[j].exprs[k].kind == WORLD_COPY ||
                                          c->rules[j].exprs[k].kind == WORLD_FORWARD) &&
                                         !x->refusals && whole_copy_matters(x, &c->rules[j], k))
                                        whole_note_order(
                                                x, arena_printf(x->arena,
                                                                "where chain '%s' of table '%s' "
                                                                "sends packets, or copies of them",
                                                                c->name, c->table->name));
        }
}

void whole_note_outside(Whole *x) {
        if (x->world->assigns_helpers)
                whole_note_order(x, "connections that a protocol helper announces "
                                    "(nf_conntrack_helper)");
        for (size_t i = 0; i < x->world->n_interfaces; i++)
                if (x->world->interfaces[i].kind && streq(x->world->interfaces[i].kind, "vrf"))
                        whole_note_order(x, "by which interface packets of a VRF come in");
        if (x->world->routes_unpack)
                whole_note_order(x, "what routes unpack (seg6local, BPF)");
        if (x->family == FAMILY_IPV4 ? x->world->source_routes4 : x->world->source_routes6)
                whole_note_order(x, "where source routes lead (accept_source_route, seg6_enabled)");
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];

                if (is_outside(c) && chain_effects(x, c) & EFFECT_ELSE)
                        whole_note_order(
                                x, arena_printf(x->arena,
                                                "what chain '%s' of table '%s' changes before",
                                                c->name, c->table->name));
        }
}
