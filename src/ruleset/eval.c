/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/packet.h"

/* The kernel's walk through our table, in user space: first rule that matches and ends wins; jump
 * comes back, goto does not; a field that the packet lacks makes its rule pass over. Statements
 * always go on: no limit is ever reached here. */

typedef struct Walk {
        Arena *arena;
        const Packet *packet;
        Evaluation *result;
        unsigned int depth;
} Walk;

typedef enum WalkEnd {
        WALK_RETURNED, /* the chain's end or a return: go on in the caller */
        WALK_DECIDED,
} WalkEnd;

static bool load_key(const Packet *p, const FieldId *list, size_t n, U128 *ret_key) {
        for (size_t i = 0; i < n; i++) {
                if (!p->present[list[i]])
                        return false;
                ret_key[i] = p->values[list[i]];
        }
        return true;
}

/* Whether the match holds; the set's element that made it so goes to ret_element. */
static bool match_holds(const Match *m, const Packet *p, const Element **ret_element) {
        U128 key[RULESET_FIELDS_MAX];

        if (m->op == MATCH_UNKNOWN || !load_key(p, m->fields, m->n_fields, key))
                return false;
        switch (m->op) {
        case MATCH_IN: {
                const Element *e = set_find(m->set, key);

                /* one that knows its line is worth more than one that does not */
                if (e && (!*ret_element || e->origin.at.source))
                        *ret_element = e;
                return e != NULL;
        }
        case MATCH_NOT_IN:
                return !set_find(m->set, key);
        case MATCH_BITS:
                return !u128_is_zero(u128_and(key[0], m->mask));
        case MATCH_NO_BITS:
                return u128_is_zero(u128_and(key[0], m->mask));
        case MATCH_UNKNOWN:
                break;
        }
        return false;
}

bool packet_matches(const Packet *p, const Match *m) {
        const Element *element = NULL;

        return match_holds(m, p, &element);
}

static bool rule_holds(const Rule *rule, Walk *w, const Element **ret_element) {
        for (size_t i = 0; i < rule->n_matches; i++) {
                if (rule->matches[i].op == MATCH_UNKNOWN)
                        w->result->unknown = true;
                if (!match_holds(&rule->matches[i], w->packet, ret_element))
                        return false;
        }
        return true;
}

static int add_step(Walk *w, const Chain *chain, const Rule *rule, const Element *element) {
        Step s = {.chain = chain, .rule = rule, .element = element};

        return arena_append(w->arena, w->result->steps, w->result->n_steps, s) ? 0 : -ENOMEM;
}

static int walk_chain(Walk *w, const Chain *chain);

/* What the verdict does in this chain: WALK_DECIDED, WALK_RETURNED to leave the chain, or 2 to go
 * on with its next rule. */
static int apply_verdict(Walk *w, Verdict v) {
        int r;

        switch (v.kind) {
        case VERDICT_ACCEPT:
        case VERDICT_DROP:
        case VERDICT_REJECT:
        case VERDICT_REJECT_RESET:
                w->result->verdict = v.kind;
                return WALK_DECIDED;
        case VERDICT_RETURN:
                return WALK_RETURNED;
        case VERDICT_MASQUERADE: /* a connection is translated once */
        case VERDICT_DNAT:
                return WALK_DECIDED;
        case VERDICT_GOTO:
                return walk_chain(w, v.chain);
        case VERDICT_JUMP:
                r = walk_chain(w, v.chain);
                return r == WALK_RETURNED ? 2 : r;
        case VERDICT_CONTINUE:
        case VERDICT_MAP:
        case _VERDICT_MAX:
        case _VERDICT_INVALID:
                break;
        }
        return 2;
}

static int apply_rule(Walk *w, const Chain *chain, const Rule *rule) {
        const Element *element = NULL;
        U128 key[RULESET_FIELDS_MAX];

        if (!rule_holds(rule, w, &element))
                return 2;
        if (rule->verdict.kind == VERDICT_MAP) {
                if (!load_key(w->packet, rule->map_fields, rule->n_map_fields, key))
                        return 2;
                element = set_find(rule->map, key);
                if (!element)
                        return 2;
        }
        if (add_step(w, chain, rule, element) < 0)
                return -ENOMEM;
        if (rule_has_state(rule))
                w->result->limited = true;
        return apply_verdict(w, element && rule->verdict.kind == VERDICT_MAP ? element->verdict
                                                                             : rule->verdict);
}

/* WALK_DECIDED, WALK_RETURNED, -ENOMEM, or -ELOOP for a ruleset that ruleset_verify() refuses. */
static int walk_chain(Walk *w, const Chain *chain) {
        int r = WALK_RETURNED;

        if (++w->depth > 2 * RULESET_JUMPS_MAX)
                return -ELOOP;
        for (size_t i = 0; i < chain->n_rules; i++) {
                int end = apply_rule(w, chain, &chain->rules[i]);

                if (end != 2) {
                        r = end;
                        break;
                }
        }
        w->depth--;
        return r;
}

static int walk_base_chain(Walk *w, const Chain *chain) {
        int r = walk_chain(w, chain);

        if (r != WALK_RETURNED)
                return r;
        w->result->verdict = chain->policy_drop ? VERDICT_DROP : VERDICT_ACCEPT;
        return add_step(w, chain, NULL, NULL);
}

/* The next base chain of the hook behind `after` in the order of priority; NULL if there is none.
 */
static const Chain *
next_base_chain(const Ruleset *rs, Hook hook, ChainType type, const Chain *after) {
        const Chain *best = NULL;
        bool passed = after == NULL;

        for (size_t i = 0; i < rs->n_chains; i++) {
                const Chain *c = rs->chains[i];

                if (c == after) {
                        passed = true;
                        continue;
                }
                if (c->hook != hook || c->type != type ||
                    (after && c->priority < after->priority) ||
                    (after && c->priority == after->priority && !passed))
                        continue;
                if (!best || c->priority < best->priority)
                        best = c;
        }
        return best;
}

static const Hook ways[_HOOK_MAX][4] = {
        [HOOK_PREROUTING] = {HOOK_PREROUTING, HOOK_NONE},
        [HOOK_INPUT] = {HOOK_PREROUTING, HOOK_INPUT, HOOK_NONE},
        [HOOK_FORWARD] = {HOOK_PREROUTING, HOOK_FORWARD, HOOK_POSTROUTING, HOOK_NONE},
        [HOOK_OUTPUT] = {HOOK_OUTPUT, HOOK_POSTROUTING, HOOK_NONE},
        [HOOK_POSTROUTING] = {HOOK_POSTROUTING, HOOK_NONE},
};

const Hook *hook_way(Hook hook) {
        return ways[hook];
}

static int walk_hook(Walk *w, const Ruleset *rs, Hook hook) {
        for (const Chain *c = next_base_chain(rs, hook, CHAIN_FILTER, NULL); c;
             c = next_base_chain(rs, hook, CHAIN_FILTER, c)) {
                int r = walk_base_chain(w, c);

                if (r < 0)
                        return r;
                if (w->result->verdict != VERDICT_ACCEPT)
                        break;
                w->depth = 0;
        }
        return 0;
}

int ruleset_eval(const Ruleset *rs, Arena *a, Hook hook, const Packet *p, Evaluation *ret) {
        Evaluation result = {.verdict = VERDICT_ACCEPT};
        Walk w = {.arena = a, .packet = p, .result = &result};

        for (size_t i = 0; ways[hook][i] != HOOK_NONE && result.verdict == VERDICT_ACCEPT; i++) {
                int r = walk_hook(&w, rs, ways[hook][i]);

                if (r < 0)
                        return r;
        }
        result.limited &= result.verdict == VERDICT_ACCEPT;
        *ret = result;
        return 0;
}

/* Where our own chains send the connection whose first packet this is. */
int ruleset_translate(const Ruleset *rs, const U128 *in, PacketQuestion *q) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Packet p;

        if (!a)
                return -ENOMEM;
        if (q->hook != HOOK_INPUT || q->translated || q->ct_state != CT_STATE_NEW)
                return 0;
        packet_init(&p, q);
        if (in)
                p.values[FIELD_IIFNAME] = *in;
        for (const Chain *c = next_base_chain(rs, HOOK_PREROUTING, CHAIN_NAT, NULL); c;
             c = next_base_chain(rs, HOOK_PREROUTING, CHAIN_NAT, c)) {
                Evaluation result = {.verdict = VERDICT_ACCEPT};
                Walk w = {.arena = a, .packet = &p, .result = &result};
                const Rule *last;
                int r = walk_base_chain(&w, c);

                if (r < 0)
                        return r;
                last = result.steps[result.n_steps - 1].rule;
                if (!last || last->verdict.kind != VERDICT_DNAT)
                        continue;
                q->hook = HOOK_FORWARD;
                q->translated = true;
                q->dialled = q->destination;
                q->dialled_port = q->destination_port;
                q->destination = last->target->address;
                if (last->target->port > 0)
                        q->destination_port = last->target->port;
                return 1;
        }
        return 0;
}
