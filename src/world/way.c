/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world/hooks.h"

/* One way of a packet through the hooks. */

#define TYPE_ETHERNET 1      /* ARPHRD_ETHER */
#define RULES_RUN_MAX 200000 /* on one way; loops, which no kernel takes, end there */
#define TIES_MAX 5           /* chains of one priority whose order is tried */
#define STATUS_CONFIRMED (1U << 3)
#define STATUS_ASSURED_REPLIED (1U << 1 | 1U << 2)
#define STATUS_SOURCE_DONE (1U << 7) /* IPS_SRC_NAT_DONE */
#define STATUS_DESTINATION_DONE (1U << 8)
#define STATUS_BOTH_DONE (STATUS_SOURCE_DONE | STATUS_DESTINATION_DONE)
#define STATUS_DESTINATION_NAT (1U << 5)
#define STATE_INVALID 1U
#define STATE_ESTABLISHED 2U
#define STATE_RELATED 4U
#define STATE_NEW 8U

bool run_add_step(Run *r,
                  const WorldChain *chain,
                  const WorldRule *rule,
                  WorldVerdict v,
                  const WorldNat *nat) {
        WorldStep step = {.chain = chain, .rule = rule, .verdict = v, .nat = nat};

        return arena_append(r->arena, r->steps, r->n_steps, step);
}

/* What a chain's end means to whoever jumped there. */
typedef struct Frame {
        const WorldChain *chain;
        size_t next;
} Frame;

static WorldVerdictKind end_of_base(Run *r, const WorldChain *base) {
        WorldVerdictKind kind = base->policy_drop ? WORLD_DROP : WORLD_ACCEPT;

        if (!run_add_step(r, base, NULL, (WorldVerdict){.kind = kind}, NULL))
                r->error = -ENOMEM;
        return kind;
}

WorldVerdictKind run_chain(Run *r, const WorldChain *base) {
        Frame stack[WORLD_JUMPS_MAX];
        const WorldChain *chain = base;
        size_t depth = 0, i = 0;

        while (r->error == 0) {
                WorldVerdict v = {.kind = WORLD_RETURN};

                if (i < chain->n_rules)
                        v = run_rule(r, &chain->rules[i++]);
                if (++r->n_rules > RULES_RUN_MAX) {
                        r->error = -ELOOP;
                        break;
                }
                switch (v.kind) {
                case WORLD_CONTINUE:
                case WORLD_BREAK:
                        break;
                case WORLD_ACCEPT:
                case WORLD_DROP:
                        return v.kind;
                case WORLD_QUEUE:
                        r->unknown = true;
                        return run_choose(r, 2) == 0 ? WORLD_DROP : WORLD_ACCEPT;
                case WORLD_STOLEN:
                        return WORLD_DROP;
                case WORLD_JUMP:
                        if (depth == WORLD_JUMPS_MAX) {
                                r->error = -ELOOP;
                                break;
                        }
                        stack[depth++] = (Frame){chain, i};
                        chain = v.chain;
                        i = 0;
                        break;
                case WORLD_GOTO:
                        chain = v.chain;
                        i = 0;
                        break;
                case WORLD_RETURN:
                        if (depth == 0)
                                return end_of_base(r, base);
                        chain = stack[--depth].chain;
                        i = stack[depth].next;
                        break;
                }
        }
        return WORLD_DROP;
}

static void track(Run *r) {
        const WorldPacket *p = r->packet;
        uint32_t state = 0;

        if (r->tracking != NOT_TRACKED_YET)
                return;
        r->has_template = false;
        switch (p->state) {
        case WORLD_STATE_FIRST:
                state = run_first_state(r);
                break;
        case WORLD_STATE_NEW:
                state = STATE_NEW;
                break;
        case WORLD_STATE_ESTABLISHED:
                state = STATE_ESTABLISHED;
                r->status |= STATUS_CONFIRMED | STATUS_ASSURED_REPLIED | STATUS_BOTH_DONE;
                break;
        case WORLD_STATE_RELATED:
                state = STATE_RELATED;
                break;
        case WORLD_STATE_INVALID:
                state = STATE_INVALID;
                break;
        case WORLD_STATE_UNTRACKED:
                break;
        }
        if (state == STATE_INVALID)
                return; /* as before conntrack */
        r->tracking = state == 0 ? UNTRACKED : TRACKED;
        r->state = state;
        r->original = run_tuple(r);
        if (p->translated && state != STATE_NEW)
                r->status |= STATUS_DESTINATION_NAT;
}

/* Of a connection that is translated already. */
static void translate_known(Run *r) {
        uint8_t *port = run_port(r, false);

        if (!r->packet->translated || r->packet->reply || r->hook != NF_INET_PRE_ROUTING)
                return;
        u128_to_bytes(r->packet->translated_to, run_address(r, false), run_address_size(r));
        if (port && r->packet->translated_port > 0) {
                port[0] = (uint8_t)(r->packet->translated_port >> 8);
                port[1] = (uint8_t)r->packet->translated_port;
        }
}

/* Puts them into one of the orders that are possible: those of one table stay as they are. */
static void reorder(Run *r, Stop *stops, size_t n) {
        size_t left = n;

        for (size_t i = 0; i + 1 < n; i++, left--) {
                size_t which = i + run_choose(r, (unsigned int)left);
                Stop taken = stops[which];

                for (size_t j = i; j < which; j++)
                        if (stops[j].chain && taken.chain &&
                            stops[j].chain->table == taken.chain->table) {
                                which = j;
                                taken = stops[j];
                        }
                memmove(&stops[i + 1], &stops[i], (which - i) * sizeof(*stops));
                stops[i] = taken;
        }
}

/* The first chain that translates ends it: of those of one priority any may be the first. */
static bool
run_nat_ties(const WorldWalker *x, Run *r, const WorldChain **chains, size_t n, const bool *done) {
        Stop ties[TIES_MAX];

        for (size_t i = 0; i < MIN(n, (size_t)TIES_MAX); i++)
                ties[i] = (Stop){STOP_CHAIN, chains[i]->priority, chains[i]};
        if (n > TIES_MAX)
                r->choices->missed = true;
        else if (n > 1 && walker_order_is_open(x, ties, n))
                reorder(r, ties, n);
        for (size_t i = 0; i < n && !*done; i++)
                if (run_chain(r, n > TIES_MAX ? chains[i] : ties[i].chain) != WORLD_ACCEPT)
                        return false;
        return true;
}

static WorldVerdictKind run_nat_chains(const WorldWalker *x, Run *r, const HookList *list) {
        bool source = r->hook == NF_INET_POST_ROUTING || r->hook == NF_INET_LOCAL_IN;
        bool *done = source ? &r->source_done : &r->destination_done;

        if (r->tracking != TRACKED)
                return WORLD_ACCEPT;
        if (r->state != STATE_NEW && r->state != STATE_RELATED) {
                translate_known(r);
                return WORLD_ACCEPT;
        }
        for (size_t i = 0, n; i < list->n_nat && !*done; i += n) {
                for (n = 1;
                     i + n < list->n_nat && list->nat[i + n]->priority == list->nat[i]->priority;)
                        n++;
                if (!run_nat_ties(x, r, &list->nat[i], n, done))
                        return WORLD_DROP;
        }
        *done = true;
        r->status |= source ? STATUS_SOURCE_DONE : STATUS_DESTINATION_DONE;
        return WORLD_ACCEPT;
}

static WorldVerdictKind
run_stop(const WorldWalker *x, Run *r, const HookList *list, const Stop *stop) {
        switch (stop->kind) {
        case STOP_CHAIN:
                return run_chain(r, stop->chain);
        case STOP_CONNTRACK:
                track(r);
                return WORLD_ACCEPT;
        case STOP_NAT:
                return run_nat_chains(x, r, list);
        }
        return WORLD_DROP;
}

static WorldVerdictKind run_hook(WorldWalker *x, Run *r, int hook) {
        const HookList *list = &x->lists[r->family][hook];

        r->hook = hook;
        r->pf = r->family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
        for (size_t i = 0, n; i < list->n_stops; i += n) {
                Stop ties[TIES_MAX];

                for (n = 1; i + n < list->n_stops &&
                            list->stops[i + n].priority == list->stops[i].priority;)
                        n++;
                if (n > 1 && n <= TIES_MAX && walker_order_is_open(x, &list->stops[i], n)) {
                        memcpy(ties, &list->stops[i], n * sizeof(ties[0]));
                        reorder(r, ties, n);
                        for (size_t j = 0; j < n; j++)
                                if (run_stop(x, r, list, &ties[j]) != WORLD_ACCEPT)
                                        return WORLD_DROP;
                        continue;
                }
                if (n > TIES_MAX && walker_order_is_open(x, &list->stops[i], n))
                        r->choices->missed = true;
                for (size_t j = 0; j < n; j++)
                        if (run_stop(x, r, list, &list->stops[i + j]) != WORLD_ACCEPT)
                                return WORLD_DROP;
        }
        return WORLD_ACCEPT;
}

/* A frame that goes from port to port of its bridge. */
static bool is_frame(const Run *r) {
        return r->packet->bridged && !r->moved_on_bridge;
}

/* Where what a chain of a device did not let go on ended. What is sent by the loopback interface
 * comes back. */
static WorldWhere stopped(WorldWalker *x, Run *r) {
        if (!r->sent_on)
                return WORLD_DROPPED;
        r->unknown |= r->out_unknown || r->out->loopback;
        r->sent_on = false;
        if (run_device(r, &x->egress, r->out) != WORLD_ACCEPT && !r->sent_on)
                return WORLD_DROPPED;
        r->sent_on = true;
        return WORLD_LEFT;
}

static bool leaves_device(WorldWalker *x, Run *r) {
        bool frame = is_frame(r);

        if (!frame && run_device(r, &x->egress, r->out) != WORLD_ACCEPT)
                return false;
        if (run_bridge_of(r, r->out) &&
            ((!frame && run_bridge_hook(x, r, NF_INET_LOCAL_OUT) != WORLD_ACCEPT) ||
             run_bridge_hook(x, r, NF_INET_POST_ROUTING) != WORLD_ACCEPT))
                return false;
        return run_below(r, &x->egress, r->out) == WORLD_ACCEPT;
}

static WorldWhere leave(WorldWalker *x, Run *r) {
        if (r->moved_on_bridge ? r->out == r->in : r->packet->bridged)
                r->in = NULL; /* the bridge tells postrouting none */
        if (run_hook(x, r, NF_INET_POST_ROUTING) != WORLD_ACCEPT)
                return WORLD_DROPPED;
        return leaves_device(x, r) ? WORLD_LEFT : stopped(x, r);
}

static WorldWhere enter_host(WorldWalker *x, Run *r) {
        r->out = NULL;
        r->out_unknown = false;
        return run_hook(x, r, NF_INET_LOCAL_IN) == WORLD_ACCEPT ? WORLD_DELIVERED : WORLD_DROPPED;
}

static WorldWhere forward(WorldWalker *x, Run *r) {
        if (!r->packet->bridged || r->moved_on_bridge) {
                uint8_t *hops = &r->bytes[r->family == FAMILY_IPV4 ? 8 : 7];

                if (r->packet->routing == WORLD_ROUTED_BY_TABLES && !run_may_be_forwarded(r))
                        return WORLD_REFUSED;
                *hops = (uint8_t)(*hops - 1);
        }
        if (is_frame(r) && run_bridge_hook(x, r, NF_INET_FORWARD) != WORLD_ACCEPT)
                return WORLD_DROPPED;
        if (run_hook(x, r, NF_INET_FORWARD) != WORLD_ACCEPT)
                return WORLD_DROPPED;
        return leave(x, r);
}

static WorldWhere go_where(WorldWalker *x, Run *r, Decision decided) {
        switch (decided) {
        case DECIDED_REFUSED:
                break;
        case DECIDED_HERE:
                return enter_host(x, r);
        case DECIDED_ON:
                return forward(x, r);
        }
        return WORLD_REFUSED;
}

static bool is_bridge(const WorldInterface *i) {
        return i && i->kind && streq(i->kind, "bridge");
}

/* br_netfilter hands a packet that was translated to somewhere else on its bridge over as a frame:
 * to another port, as none goes back out of the one that it came in by. */
static WorldWhere turn_on_bridge(WorldWalker *x, Run *r) {
        r->unknown = true;
        if (run_hook(x, r, NF_INET_FORWARD) != WORLD_ACCEPT)
                return WORLD_DROPPED;
        return run_choose(r, 2) == 0 ? leave(x, r) : WORLD_REFUSED;
}

/* From port to port, and nothing but the bridge's own chains. */
static WorldWhere pass_bridge(WorldWalker *x, Run *r) {
        r->out = r->in;
        if (run_bridge_hook(x, r, NF_INET_FORWARD) != WORLD_ACCEPT ||
            run_bridge_hook(x, r, NF_INET_POST_ROUTING) != WORLD_ACCEPT)
                return WORLD_DROPPED;
        return run_below(r, &x->egress, r->out) == WORLD_ACCEPT ? WORLD_LEFT : stopped(x, r);
}

/* What a bridge hands to this host, which is then another frame of its own device. */
static bool enters_by_bridge(WorldWalker *x, Run *r) {
        return !run_bridge_of(r, r->in) || run_bridge_hook(x, r, NF_INET_LOCAL_IN) == WORLD_ACCEPT;
}

/* Whether every frame that comes by the interface is its own, and met no chain but its own. */
static bool stands_alone(const Run *r, const WorldInterface *i) {
        if (i->type != TYPE_ETHERNET || run_bridge_of(r, i) ||
            (i->lower > 0 && !(i->kind && streq(i->kind, "veth"))))
                return false;
        for (size_t k = 0; k < r->world->n_interfaces; k++)
                if (i->index > 0 && r->world->interfaces[k].master == i->index)
                        return false;
        return true;
}

/* Whom the frame is addressed to: the loopback interface looks at that again (eth_type_trans), and
 * has the address 0, so that only what a rule rewrote, or sent in a new frame, is taken. */
static bool is_taken_by(Run *r, const WorldInterface *loopback) {
        static const uint8_t none[6];
        const WorldPacket *p = r->packet;

        if (r->new_frame)
                return true;
        /* the packet did not say whom its frame was for, or it was for many */
        if (!p->has_link || memcmp(p->link, none, sizeof(none)) == 0 || r->link[0] & 1)
                r->unknown = true;
        return r->link[0] & 1 || memcmp(r->link, loopback->address, 6) == 0;
}

static bool is_loopback_address(const Run *r, bool source) {
        return r->family == FAMILY_IPV4 && run_address_value(r, source).low >> 24 == 127;
}

/* What a rule of the device sends on by the loopback interface arrives again, by that. */
static WorldWhere turn_back(WorldWalker *x, Run *r) {
        const WorldInterface *loopback = r->out;
        uint8_t *hops = &r->bytes[r->family == FAMILY_IPV4 ? 8 : 7];

        r->sent_on = false;
        r->unknown |= r->packet->type != 0 || is_loopback_address(r, true) ||
                      is_loopback_address(r, false);
        if (r->new_frame && *hops <= 1)
                return WORLD_DROPPED;
        if (r->new_frame)
                *hops = (uint8_t)(*hops - 1);
        if (run_device(r, &x->egress, loopback) != WORLD_ACCEPT)
                return stopped(x, r);
        if (!is_taken_by(r, loopback))
                return WORLD_REFUSED;
        r->in = loopback;
        r->out = NULL;
        if (run_device(r, &x->ingress, r->in) != WORLD_ACCEPT)
                return stopped(x, r);
        if (run_is_refused_at_once(r))
                return WORLD_REFUSED;
        if (run_hook(x, r, NF_INET_PRE_ROUTING) != WORLD_ACCEPT)
                return WORLD_DROPPED;
        return go_where(x, r, run_route_input(r));
}

/* Stopped by a chain of the device that it arrived by. */
static WorldWhere stopped_at_device(WorldWalker *x, Run *r) {
        bool turns = r->sent_on && !r->out_unknown && r->out->loopback && !r->packet->bridged &&
                     r->tracking == NOT_TRACKED_YET && stands_alone(r, r->in);

        return turns ? turn_back(x, r) : stopped(x, r);
}

static WorldWhere arrive(WorldWalker *x, Run *r) {
        U128 dialled = run_address_value(r, false);
        /* the bridge calls prerouting, before IP looks at the packet */
        bool by_bridge = x->world->bridge_calls_hooks[r->family] && is_bridge(r->in);
        Decision decided = DECIDED_REFUSED;

        if (run_below(r, &x->ingress, r->in) != WORLD_ACCEPT)
                return stopped(x, r);
        if (run_bridge_of(r, r->in) && run_bridge_hook(x, r, NF_INET_PRE_ROUTING) != WORLD_ACCEPT)
                return WORLD_DROPPED;
        if (r->packet->bridged && !x->world->bridge_calls_hooks[r->family])
                return pass_bridge(x, r);
        if (!by_bridge &&
            (!enters_by_bridge(x, r) || run_device(r, &x->ingress, r->in) != WORLD_ACCEPT))
                return stopped_at_device(x, r);
        if (!by_bridge && run_is_refused_at_once(r))
                return WORLD_REFUSED;
        if (run_hook(x, r, NF_INET_PRE_ROUTING) != WORLD_ACCEPT)
                return WORLD_DROPPED;
        r->moved_on_bridge = by_bridge && !u128_equal(dialled, run_address_value(r, false));
        if (is_frame(r)) {
                r->out = r->in;
                return forward(x, r);
        }
        /* what was translated is routed at once, and passed on as a frame if it stays on the
         * bridge: then nobody hands it up, and IP does not look at it */
        if (r->moved_on_bridge) {
                decided = run_route_input(r);
                if (decided == DECIDED_ON && r->out == r->in)
                        return turn_on_bridge(x, r);
        }
        if (by_bridge &&
            (!enters_by_bridge(x, r) || run_device(r, &x->ingress, r->in) != WORLD_ACCEPT))
                return stopped(x, r);
        if (by_bridge && run_is_refused_at_once(r))
                return WORLD_REFUSED;
        if (!r->moved_on_bridge)
                decided = run_route_input(r);
        return go_where(x, r, decided);
}

/* What the host sends to itself comes back by lo, with its connection. */
static WorldWhere come_back(WorldWalker *x, Run *r) {
        r->status |= STATUS_CONFIRMED; /* as at the end of postrouting */
        r->in = r->out;
        r->out = NULL;
        r->has_link = true;
        memset(r->link, 0, sizeof(r->link));
        memcpy(r->link + 12, r->family == FAMILY_IPV4 ? "\x08\x00" : "\x86\xdd", 2);
        if (run_device(r, &x->ingress, r->in) != WORLD_ACCEPT)
                return stopped(x, r);
        if (run_hook(x, r, NF_INET_PRE_ROUTING) != WORLD_ACCEPT)
                return WORLD_DROPPED;
        return enter_host(x, r);
}

static WorldWhere send_out(WorldWalker *x, Run *r) {
        WorldWhere where;
        U128 to;

        if (run_route_output(r) == DECIDED_REFUSED)
                return WORLD_REFUSED;
        to = run_address_value(r, false);
        if (run_hook(x, r, NF_INET_LOCAL_OUT) != WORLD_ACCEPT)
                return WORLD_DROPPED;
        if (!u128_equal(to, run_address_value(r, false)) && run_route_output(r) == DECIDED_REFUSED)
                return WORLD_REFUSED;
        if (x->world->has_route_rules[r->family] &&
            (r->mark_unknown || r->mark != r->packet->mark)) {
                /* another way, or none */
                r->out_unknown = r->unknown = true;
                if (run_choose(r, 2) == 1)
                        return WORLD_REFUSED;
        }
        where = leave(x, r);
        return where == WORLD_LEFT && r->out && r->out->loopback ? come_back(x, r) : where;
}

WorldWhere run_way(WorldWalker *x, Run *r) {
        return r->in ? arrive(x, r) : send_out(x, r);
}
