/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include <linux/netfilter.h>

#include "proof/whole_state.h"

/* The way of first packets from outside through the hooks. */

#define PRIORITY_DEFRAGMENTATION (-400)
#define PRIORITY_CONNTRACK (-200)
#define PRIORITY_DESTINATIONS (-100)
#define TIES_MAX 3 /* chains of one priority that are tried in every order */

/* Packets that come by one of the chain's devices. */
static DiagramId where_device(Whole *x, const WorldChain *c) {
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < x->n_arrivals; i++) {
                Range one = range_single(u128(i));

                for (size_t j = 0; j < c->n_devices; j++)
                        if (streq(x->world->interfaces[x->arrivals[i].interface].name,
                                  c->devices[j]))
                                sum = diagram_union(x->diagram, sum,
                                                    whole_where(x, WHOLE_IN, &one, 1));
        }
        return sum;
}

static DiagramId run_base(Whole *x, const void *context, size_t change, DiagramId care) {
        const WorldChain *c = context;
        WholeChange ch = x->changes[change];
        DiagramId others = DIAGRAM_EMPTY, r;

        if ((x->stage == STAGE_NAT && (ch.untracked || ch.done)) ||
            (x->stage == STAGE_INGRESS && ch.turned))
                return whole_leaf(x, care, change, LABEL_ACCEPT);
        if (x->stage == STAGE_INGRESS) {
                DiagramId on = where_device(x, c);

                others = whole_leaf(x, diagram_minus(x->diagram, care, on), change, LABEL_ACCEPT);
                care = diagram_and(x->diagram, on, care);
                x->pf = c->table->family == NFPROTO_NETDEV ? NFPROTO_NETDEV : 0;
        }
        r = whole_chain(x, c, change, care);
        /* what has no connection comes by no such chain; and chains alone ask for none */
        if (x->stage == STAGE_NAT)
                r = whole_join(
                        x, r,
                        whole_leaf(x,
                                   x->tracks ? diagram_and(x->diagram, whole_where_odd(x), care)
                                             : care,
                                   change, LABEL_ACCEPT));
        /* what falls out, whatever changed on the way */
        for (size_t i = 0; i < x->n_changes; i++)
                r = diagram_replace(x->diagram, r, label_of(i, LABEL_FALL),
                                    diagram_leaf(x->diagram, c->policy_drop
                                                                     ? LABEL_DROP
                                                                     : label_of(i, LABEL_ACCEPT)));
        return whole_join(x, others, r);
}

/* In every order: which one is the kernel's is not known. */
static DiagramId run_tied(Whole *x, DiagramId now, const WorldChain **list, size_t n) {
        DiagramId sum = DIAGRAM_EMPTY;

        if (n == 0)
                return now;
        for (size_t i = 0; i < n; i++) {
                const WorldChain *first = list[i];
                DiagramId then;

                list[i] = list[0];
                list[0] = first;
                then = whole_then(x, now, LABEL_ACCEPT, run_base, first);
                sum = diagram_union(x->diagram, sum, run_tied(x, then, list + 1, n - 1));
                list[0] = list[i];
                list[i] = first;
        }
        return sum;
}

static DiagramId
run_chains(Whole *x, DiagramId now, const WorldChain **list, size_t n, int from, int to) {
        for (size_t i = 0, k; i < n; i += k) {
                for (k = 1; i + k < n && list[i + k]->priority == list[i]->priority;)
                        k++;
                if (list[i]->priority < from || list[i]->priority >= to)
                        continue;
                if (whole_order_matters(x, list + i, k) && k <= TIES_MAX) {
                        now = run_tied(x, now, list + i, k);
                        continue;
                }
                if (whole_order_matters(x, list + i, k))
                        whole_note_order(x,
                                         arena_printf(x->arena,
                                                      "the order of %zu chains of one priority, of "
                                                      "which one is '%s'",
                                                      k, list[i]->name));
                for (size_t j = 0; j < k; j++)
                        now = whole_then(x, now, LABEL_ACCEPT, run_base, list[i + j]);
        }
        return now;
}

static void note_place(Whole *x, const WorldChain *c) {
        whole_note_order(x, arena_printf(x->arena,
                                         "whether chain '%s' comes before what the kernel does at "
                                         "its priority",
                                         c->name));
}

/* Only where refusals count: for what may come in, nothing hangs on them, and fragments are not put
 * together yet. */
static DiagramId run_ingress(Whole *x, DiagramId now) {
        const WorldChain **list;
        size_t n = whole_list_ingress(x, &list);

        x->stage = STAGE_INGRESS;
        return run_chains(x, now, list, n, INT32_MIN, INT32_MAX);
}

/* The hook at which a connection begins: prerouting, or output. */
static DiagramId run_first(Whole *x, DiagramId now, int hook) {
        const WorldChain **list, **nat;
        size_t n = whole_list_chains(x, hook, false, &list);
        size_t n_nat = whole_list_chains(x, hook, true, &nat);

        if (whole_error(x) < 0)
                return DIAGRAM_EMPTY;
        for (size_t i = 0; i < n; i++)
                if (list[i]->priority == PRIORITY_CONNTRACK ||
                    (list[i]->priority == PRIORITY_DESTINATIONS && n_nat > 0))
                        note_place(x, list[i]);
        /* a chain of that priority may come before or behind it */
        x->stage = STAGE_FRAGMENTS;
        now = run_chains(x, now, list, n, INT32_MIN, PRIORITY_DEFRAGMENTATION + 1);
        x->stage = STAGE_RAW;
        now = run_chains(x, now, list, n, PRIORITY_DEFRAGMENTATION + 1, PRIORITY_CONNTRACK);
        x->stage = STAGE_PREROUTING;
        now = run_chains(x, now, list, n, PRIORITY_CONNTRACK, PRIORITY_DESTINATIONS);
        x->stage = STAGE_NAT;
        now = run_chains(x, now, nat, n_nat, INT32_MIN, INT32_MAX);
        x->stage = STAGE_TRANSLATED;
        return run_chains(x, now, list, n, PRIORITY_DESTINATIONS, INT32_MAX);
}

/* Connections of TCP and SCTP are to one host: nobody answers them at an address of many. */
static DiagramId for_many(Whole *x, DiagramId region) {
        Range tcp = range_single(u128(IPPROTO_TCP)), sctp = range_single(u128(IPPROTO_SCTP));

        return whole_without(x, whole_without(x, region, WHOLE_PROTOCOL, tcp), WHOLE_PROTOCOL,
                             sctp);
}

/* Where packets with this change go: to this host, or on. */
static DiagramId routed(Whole *x, const WholeChange *c, bool here) {
        DiagramId sum = DIAGRAM_EMPTY;
        bool local;
        int type;

        if (c->here)
                return here ? DIAGRAM_ALL : DIAGRAM_EMPTY;
        if (c->any_address || c->any_else || !x->deliveries_known)
                return DIAGRAM_ALL;
        if (c->has_address) {
                type = whole_piece_at(x->types, x->n_types, c->address);
                local = type == ROUTE_LOCAL || type == ROUTE_BROADCAST || type == ROUTE_ANYCAST;
                return type == ROUTE_MULTICAST || type == ROUTE_BROADCAST || local == here
                               ? DIAGRAM_ALL
                               : DIAGRAM_EMPTY;
        }
        for (size_t i = 0; i < x->n_types; i++) {
                DiagramId to = whole_where(x, WHOLE_DESTINATION, &x->types[i].range, 1);

                type = x->types[i].value;
                local = type == ROUTE_LOCAL || type == ROUTE_BROADCAST || type == ROUTE_ANYCAST;
                if (type == ROUTE_MULTICAST || type == ROUTE_BROADCAST)
                        to = for_many(x, to);
                if (type == ROUTE_MULTICAST || type == ROUTE_BROADCAST || local == here)
                        sum = diagram_union(x->diagram, sum, to);
        }
        if (x->family == FAMILY_IPV4 && !x->world->route_localnet)
                sum = whole_without(x, sum, WHOLE_DESTINATION, whole_loopback4);
        return sum;
}

typedef struct Way {
        WholeCare care;
        void *context;
        bool here;
        bool rewrites; /* a chain that comes yet may change where packets end */
} Way;

/* Those that matter as they are, or as they may be later. */
static DiagramId cared(Whole *x, const Way *way, const WholeChange *c, bool here) {
        DiagramId r = way->care(way->context, c, here);
        WholeChange later = whole_anywhere(*c);

        if (!way->rewrites)
                return r;
        later.any_source = true;
        return diagram_union(x->diagram, r, way->care(way->context, &later, here));
}

static DiagramId choose_way(Whole *x, const void *context, size_t change, DiagramId care) {
        const Way *way = context;
        WholeChange c = x->changes[change];
        DiagramId r = diagram_and(x->diagram, routed(x, &c, way->here), care);

        r = diagram_and(x->diagram, cared(x, way, &c, way->here), r);
        return diagram_and(x->diagram, r, diagram_leaf(x->diagram, label_of(change, LABEL_ACCEPT)));
}

static DiagramId run_input(Whole *x, DiagramId now) {
        const WorldChain **list;
        bool translates = whole_list_chains(x, NF_INET_LOCAL_IN, true, &list) > 0;
        size_t n = whole_list_chains(x, NF_INET_LOCAL_IN, false, &list);

        for (size_t i = 0; i < n && x->has_nat && !translates; i++)
                if (list[i]->priority == PRIORITY_SOURCES)
                        note_place(x, list[i]);
        x->stage = STAGE_INPUT;
        now = run_chains(x, now, list, n, INT32_MIN, PRIORITY_SOURCES);
        x->stage = STAGE_INPUT_LATE;
        /* behind it sources may be others; more refusals there are not needed for any proof */
        return translates ? now : run_chains(x, now, list, n, PRIORITY_SOURCES, INT32_MAX);
}

/* turned: those alone that a rule sent on by the loopback interface. */
static int collect(Whole *x, DiagramId now, bool turned, bool here, WholeEnd **ends, size_t *n) {
        for (size_t i = 0; i < x->n_changes; i++) {
                WholeEnd e = {
                        .region = diagram_where_may(x->diagram, now, label_of(i, LABEL_ACCEPT)),
                        .here = here,
                        .change = x->changes[i],
                };

                if (e.change.turned == turned && e.region != DIAGRAM_EMPTY &&
                    !arena_append(x->arena, *ends, *n, e))
                        return -ENOMEM;
        }
        return whole_error(x);
}

/* Packets that a device's rule sends on by the loopback interface: what becomes of them there is
 * not followed, so that all of them may end anywhere; whoever finds one asks the evaluator. */
static int collect_turned(Whole *x, DiagramId start, WholeEnd **ends, size_t *n) {
        const WorldChain **list;
        size_t n_list = whole_list_turning(x, &list);
        DiagramId now;
        int r;

        if (n_list == 0 || x->refusals)
                return whole_error(x);
        x->turning = true;
        x->stage = STAGE_INGRESS;
        now = run_chains(x, start, list, n_list, INT32_MIN, INT32_MAX);
        x->turning = false;
        r = collect(x, now, true, true, ends, n);
        return r == 0 ? collect(x, now, true, false, ends, n) : r;
}

static DiagramId choose_all(Whole *x, const void *context, size_t change, DiagramId care) {
        const Way *way = context;
        WholeChange c = x->changes[change];
        DiagramId r = diagram_and(x->diagram, cared(x, way, &c, false), care);

        return diagram_and(x->diagram, r, diagram_leaf(x->diagram, label_of(change, LABEL_ACCEPT)));
}

/* What this host sends. Packets are cared for from the start, as they were dialled; what is sent
 * elsewhere then may matter, too. */
static int walk_sent(Whole *x, const Way *way, DiagramId start, WholeEnd **ends, size_t *n) {
        DiagramId now = run_first(x, start, NF_INET_LOCAL_OUT);
        const WorldChain **list;
        size_t n_list;

        x->drops = diagram_where_may(x->diagram, now, LABEL_DROP);
        now = whole_then(x, now, LABEL_ACCEPT, choose_all, way);
        x->stage = STAGE_POSTROUTING;
        n_list = whole_list_chains(x, NF_INET_POST_ROUTING, false, &list);
        now = run_chains(x, now, list, n_list, INT32_MIN, PRIORITY_SOURCES);
        x->drops =
                diagram_union(x->diagram, x->drops, diagram_where_may(x->diagram, now, LABEL_DROP));
        return collect(x, now, false, false, ends, n);
}

int whole_walk(Whole *x, WholeCare care, void *context, const WholeEnd **ret, size_t *ret_n) {
        DiagramId start = diagram_and(x->diagram, x->domain,
                                      diagram_leaf(x->diagram, label_of(0, LABEL_ACCEPT)));
        Way way = {.care = care, .context = context, .here = true};
        DiagramId arrived, now;
        const WorldChain **list;
        WholeEnd *ends = NULL;
        size_t n = 0, n_list;
        int r;

        whole_note_outside(x);
        whole_note_helpers(x);
        if (x->sent) {
                way.rewrites = whole_rewrites(x, NF_INET_POST_ROUTING);
                r = walk_sent(x, &way, start, &ends, &n);
                *ret = ends;
                *ret_n = n;
                return r;
        }
        r = collect_turned(x, start, &ends, &n);
        if (r < 0)
                return r;
        arrived = x->arrived = run_first(x, run_ingress(x, start), NF_INET_PRE_ROUTING);
        way.rewrites = whole_rewrites(x, NF_INET_LOCAL_IN);
        now = whole_then(x, arrived, LABEL_ACCEPT, choose_way, &way);
        now = run_input(x, now);
        r = collect(x, now, false, true, &ends, &n);
        x->drops = diagram_where_may(x->diagram, now, LABEL_DROP);
        way.here = false;
        way.rewrites =
                whole_rewrites(x, NF_INET_FORWARD) || whole_rewrites(x, NF_INET_POST_ROUTING);
        now = whole_then(x, arrived, LABEL_ACCEPT, choose_way, &way);
        x->stage = STAGE_FORWARD;
        n_list = whole_list_chains(x, NF_INET_FORWARD, false, &list);
        now = run_chains(x, now, list, n_list, INT32_MIN, INT32_MAX);
        x->stage = STAGE_POSTROUTING;
        n_list = whole_list_chains(x, NF_INET_POST_ROUTING, false, &list);
        /* likewise */
        now = run_chains(x, now, list, n_list, INT32_MIN, PRIORITY_SOURCES);
        x->drops =
                diagram_union(x->diagram, x->drops, diagram_where_may(x->diagram, now, LABEL_DROP));
        if (r == 0)
                r = collect(x, now, false, false, &ends, &n);
        *ret = ends;
        *ret_n = n;
        return r < 0 ? r : whole_error(x);
}

int whole_find_arrived(Whole *x, const WholeEnd **ret, size_t *ret_n) {
        WholeEnd *ends = NULL;
        size_t n = 0;
        int r = collect(x, x->arrived, false, false, &ends, &n);

        *ret = ends;
        *ret_n = n;
        return r;
}

DiagramId whole_drops(const Whole *x) {
        return x->drops;
}
