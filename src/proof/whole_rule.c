/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "proof/whole_state.h"

/* Rules and chains. A rule's packets end with labels: accepted, dropped, on to the next rule, back
 * to the caller; each but the drop with what has been changed. */

#define BRANCHES_MAX 256 /* values of a map that are followed one by one */

static DiagramId verdict(Whole *x, WorldVerdict v, size_t change, DiagramId care) {
        DiagramId r;

        if (care == DIAGRAM_EMPTY || (x->collecting && v.chain))
                return DIAGRAM_EMPTY;
        if ((v.kind == WORLD_JUMP || v.kind == WORLD_GOTO) && !v.chain) {
                /* to a chain that was not read: anything may be */
                r = whole_join(x, whole_dropped(x, care),
                               whole_leaf(x, care, whole_anything(x, change), LABEL_ACCEPT));
                return whole_join(x, r, whole_leaf(x, care, whole_anything(x, change), LABEL_FALL));
        }
        switch (v.kind) {
        case WORLD_ACCEPT:
                return whole_leaf(x, care, change, LABEL_ACCEPT);
        case WORLD_DROP:
                return whole_dropped(x, care);
        case WORLD_QUEUE:
        case WORLD_STOLEN:
                /* by a program, which may also change the packet */
                r = whole_join(x, whole_dropped(x, care),
                               whole_leaf(x, care, change, LABEL_ACCEPT));
                return whole_join(x, r,
                                  whole_leaf(x, care, whole_anything(x, change), LABEL_ACCEPT));
        case WORLD_JUMP:
                return diagram_and(x->diagram, care, whole_chain(x, v.chain, change, care));
        case WORLD_GOTO:
                r = diagram_and(x->diagram, care, whole_chain(x, v.chain, change, care));
                return whole_relabel(x, r, true);
        case WORLD_RETURN:
                return whole_leaf(x, care, change, LABEL_RETURN);
        case WORLD_CONTINUE:
        case WORLD_BREAK:
                break;
        }
        return whole_leaf(x, care, change, LABEL_FALL);
}

static DiagramId unknown(Whole *x, const WorldExpr *e, size_t change, DiagramId guard) {
        DiagramId r = whole_leaf(x, guard, change, LABEL_FALL);

        if (!x->collecting)
                whole_note(x, e->name);
        /* a match holds or not; a target may do and change anything */
        if (startswith(e->name, "xt match"))
                return r;
        r = whole_join(x, r, whole_dropped(x, guard));
        r = whole_join(x, r, whole_leaf(x, guard, change, LABEL_ACCEPT));
        r = whole_join(x, r, whole_leaf(x, guard, change, LABEL_RETURN));

        r = whole_join(x, r, whole_leaf(x, guard, whole_anything(x, change), LABEL_FALL));
        return whole_join(x, r, whole_leaf(x, guard, whole_anything(x, change), LABEL_ACCEPT));
}

/* What a rule is about while its expressions are run one after the other. */
typedef struct Run {
        const WorldRule *rule;
        size_t i; /* the expression */
        Registers *registers;
        size_t change;
        DiagramId guard; /* packets that go on */
        DiagramId sum;   /* what became of others */
} Run;

static void become(Whole *x, Run *run, DiagramId what) {
        run->sum = whole_join(x, run->sum, what);
}

static void fall(Whole *x, Run *run, DiagramId packets) {
        become(x, run, whole_leaf(x, packets, run->change, LABEL_FALL));
}

/* Nothing behind it in the rule matters. */
static void end(Whole *x, Run *run, DiagramId what) {
        become(x, run, what);
        run->guard = DIAGRAM_EMPTY;
}

static DiagramId exec(Whole *x, Run run);

/* What becomes of some of the packets behind this expression, with other registers. */
static DiagramId rest_of(Whole *x, const Run *run, Registers *r, DiagramId packets) {
        Run rest = {run->rule, run->i + 1, r, run->change, packets, DIAGRAM_EMPTY};

        return exec(x, rest);
}

/* Bytes of an element, or of nothing that is known. */
static void put_bytes(Registers *r, int8_t target, const uint8_t *bytes, size_t n, bool known) {
        for (size_t k = 0; k < n && target >= 0 && (size_t)target * 4 + k < WORLD_REGISTERS * 4;
             k++)
                r->bytes[target * 4 + (int)k] =
                        known ? (Byte){.kind = BYTE_KNOWN, .known = bytes ? bytes[k] : 0}
                              : (Byte){.kind = BYTE_ANY};
}

/* A map: of verdicts, or of values that the rest of the rule goes on with. */

typedef struct Mapping {
        const WorldSet *set;
        const WorldElement *catch_all;
        DiagramId sum, rest; /* rest: packets that may be no element's */
        bool vague;          /* which element it is, is not known */
} Mapping;

static bool is_vague(const WorldExpr *e) {
        const WorldSet *set = e->set;

        return set->unknown || set->dynamic || e->source < 0 ||
               (size_t)e->source * 4 + set->key_size > WORLD_REGISTERS * 4 ||
               (!set->is_verdict_map && set->n_elements > BRANCHES_MAX);
}

static DiagramId
element_value(Whole *x, const Run *run, const WorldElement *el, DiagramId packets) {
        const WorldExpr *e = &run->rule->exprs[run->i];
        Registers next = *run->registers;

        if (e->set->is_verdict_map)
                return verdict(x, el->verdict, run->change, packets);
        put_bytes(&next, e->target, el->value, e->set->value_size, true);
        return rest_of(x, run, &next, packets);
}

static void map_element(Whole *x, const Run *run, const WorldElement *el, Mapping *m) {
        const WorldExpr *e = &run->rule->exprs[run->i];
        DiagramId here;

        if (el->catch_all) {
                m->catch_all = el;
                return;
        }
        x->vague = false;
        here = whole_element(x, m->set, el, run->registers->bytes + e->source * 4);
        arena_reset(x->scratch);
        m->vague = x->vague;
        here = diagram_and(x->diagram, here, run->guard);
        if (m->vague || here == DIAGRAM_EMPTY)
                return;
        if (!el->maybe && !x->collecting)
                m->rest = diagram_minus(x->diagram, m->rest, here);
        m->sum = whole_join(x, m->sum, element_value(x, run, el, here));
}

/* Behind all elements: any of them, or none; or the one for all others. */
static void map_rest(Whole *x, const Run *run, Mapping *m) {
        const WorldExpr *e = &run->rule->exprs[run->i];
        const WorldSet *set = m->set;
        Registers next = *run->registers;

        if (m->vague) {
                m->rest = run->guard;
                m->sum = whole_leaf(x, run->guard, run->change, LABEL_FALL);
        }
        for (size_t j = 0; j < set->n_elements && set->is_verdict_map; j++)
                if (m->vague || &set->elements[j] == m->catch_all)
                        m->sum = whole_join(
                                x, m->sum,
                                verdict(x, set->elements[j].verdict, run->change, m->rest));
        if (!set->is_verdict_map) {
                size_t n = m->vague ? 0 : set->value_size;

                put_bytes(&next, e->target, NULL, MAX(set->value_size, 4), !m->vague);
                put_bytes(&next, e->target, n > 0 ? m->catch_all->value : NULL, n, true);
                m->sum = whole_join(x, m->sum, rest_of(x, run, &next, m->rest));
        }
}

/* Nobody knows what the map holds. */
static void map_unknown(Whole *x, const Run *run, Mapping *m) {
        size_t change = run->change;

        whole_note(x, run->rule->exprs[run->i].name);
        m->sum = whole_join(x, m->sum,
                            whole_join(x, whole_dropped(x, run->guard),
                                       whole_leaf(x, run->guard, change, LABEL_ACCEPT)));
        if (m->set->is_verdict_map)
                m->sum = whole_join(
                        x, m->sum,
                        whole_leaf(x, run->guard, whole_anything(x, change), LABEL_FALL));
}

static DiagramId map(Whole *x, const Run *run) {
        const WorldExpr *e = &run->rule->exprs[run->i];
        Mapping m = {.set = e->set, .sum = DIAGRAM_EMPTY, .rest = run->guard, .vague = is_vague(e)};

        for (size_t j = 0; j < m.set->n_elements && !m.vague; j++)
                map_element(x, run, &m.set->elements[j], &m);
        if (!m.vague && (!m.catch_all || m.catch_all->maybe))
                m.sum = whole_join(x, m.sum, whole_leaf(x, m.rest, run->change, LABEL_FALL));
        if (m.vague || m.catch_all)
                map_rest(x, run, &m);
        if (m.vague && (m.set->unknown || m.set->dynamic))
                map_unknown(x, run, &m);
        return m.sum;
}

/* What becomes besides of packets that may have no connection. */
static void load_odd(Whole *x, Run *run) {
        static const uint32_t states[] = {1, 64}; /* invalid, untracked */
        const WorldExpr *e = &run->rule->exprs[run->i];
        DiagramId odd = diagram_and(x->diagram, whole_where_odd(x), run->guard);

        if (odd == DIAGRAM_EMPTY || x->changes[run->change].untracked || x->stage <= STAGE_RAW)
                return;
        if (e->key != NFT_CT_STATE) {
                fall(x, run, odd);
                return;
        }
        for (size_t s = 0; s < ARRAY_SIZE(states); s++) {
                Registers next = *run->registers;

                if (whole_register_at(&next, e->target, 4))
                        put_bytes(&next, e->target, (const uint8_t *)&states[s], 4, true);
                become(x, run, rest_of(x, run, &next, odd));
        }
}

/* What becomes of packets with an address of another host's whose type is not known, as whether a
 * route leads to a link-local one hangs on the interface, but this host's own it is not. Those that
 * are left. */
static DiagramId load_away(Whole *x, Run *run, DiagramId others) {
        static const uint32_t types[] = {ROUTE_UNSPEC, ROUTE_UNICAST, ROUTE_UNREACHABLE,
                                         ROUTE_BLACKHOLE, ROUTE_PROHIBIT};
        const WorldExpr *e = &run->rule->exprs[run->i];
        DiagramId away =
                diagram_and(x->diagram, whole_where_away(x, e->offset & NFTA_FIB_F_SADDR), others);

        if (away == DIAGRAM_EMPTY)
                return others;
        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                Registers next = *run->registers;

                if (whole_register_at(&next, e->target, 4))
                        put_bytes(&next, e->target, (const uint8_t *)&types[i], 4, true);
                become(x, run, rest_of(x, run, &next, away));
        }
        return diagram_minus(x->diagram, others, away);
}

/* The steps: one for each kind of expression. */

static void step_load(Whole *x, Run *run, const WorldExpr *e) {
        WholeChange c = x->changes[run->change];
        Range tcp = range_single(u128(IPPROTO_TCP));
        DiagramId known, others;
        Registers any;
        int how;

        if (e->kind == WORLD_CT && !x->collecting)
                load_odd(x, run);
        how = whole_load(x, e, run->registers->bytes, &c);
        arena_reset(x->scratch);
        if (how == 0 || x->collecting)
                return;
        if (how == 1 || how == 2) {
                fall(x, run, run->guard);
                run->guard = how == 1 ? DIAGRAM_EMPTY : run->guard;
                return;
        }
        if (how == 7) {
                known = whole_where_owned(x);
                fall(x, run, diagram_minus(x->diagram, run->guard, known));
                run->guard = diagram_and(x->diagram, known, run->guard);
                return;
        }
        known = how == 6   ? whole_where_typed(x, e->offset & NFTA_FIB_F_SADDR)
                : how == 5 ? whole_where(x, WHOLE_PROTOCOL, &tcp, 1)
                           : whole_with_ports(x, how == 3);
        others = diagram_minus(x->diagram, run->guard, known);
        if (how == 6)
                others = load_away(x, run, others);
        fall(x, run, others);
        if (how == 3 || how == 5)
                return; /* and they go on, too */
        /* ports of what has none, a type that depends on more */
        run->guard = diagram_and(x->diagram, known, run->guard);
        if (others == DIAGRAM_EMPTY)
                return;
        any = *run->registers;
        put_bytes(&any, e->target, NULL, 4, false);
        become(x, run, rest_of(x, run, &any, others));
}

static void step_bitwise(Whole *x, Run *run, const WorldExpr *e) {
        whole_bitwise(run->registers, e);
}

static void step_byteorder(Whole *x, Run *run, const WorldExpr *e) {
        whole_byteorder(run->registers, e);
}

static void step_test(Whole *x, Run *run, const WorldExpr *e) {
        DiagramId may, not ;

        whole_test(x, e, run->registers->bytes, &may, &not );
        if (x->collecting)
                return;
        fall(x, run, diagram_and(x->diagram, not, run->guard));
        run->guard = diagram_and(x->diagram, may, run->guard);
}

static void step_lookup(Whole *x, Run *run, const WorldExpr *e) {
        if (e->set->is_map && !e->inverted && (e->set->is_verdict_map || e->target >= 0))
                end(x, run, map(x, run));
        else
                step_test(x, run, e);
}

static void step_ports(Whole *x, Run *run, const WorldExpr *e) {
        WholeChange c = x->changes[run->change];
        DiagramId may = whole_ports_hold(x, e->ports, &c);

        if (x->collecting)
                return;
        if (c.any_port || c.any_else) {
                fall(x, run, run->guard);
                return;
        }
        if (e->inverted)
                may = diagram_minus(x->diagram, DIAGRAM_ALL, may);
        fall(x, run,
             whole_sees_fragments(x) ? run->guard : diagram_minus(x->diagram, run->guard, may));
        run->guard = diagram_and(x->diagram, may, run->guard);
}

/* What is exempt from tracking may be tracked all the same. */
static void step_template(Whole *x, Run *run) {
        WholeChange c = x->changes[run->change];
        Registers same = *run->registers;

        if (!c.untracked)
                return;
        become(x, run, rest_of(x, run, &same, run->guard));
        c.untracked = false;
        run->change = whole_change(x, &c);
}

static void step_set(Whole *x, Run *run, const WorldExpr *e) {
        WholeChange c;

        if (world_makes_template(e))
                step_template(x, run);
        c = x->changes[run->change];
        whole_set_mark(x, run->registers, e, e->kind == WORLD_SET_CT, &c);
        run->change = whole_change(x, &c);
}

WholeChange whole_anywhere(WholeChange c) {
        c.any_address = c.any_port = c.any_else = true;
        c.has_address = c.has_port = false;
        c.address = U128_ZERO;
        c.port = 0;
        return c;
}

static void step_set_payload(Whole *x, Run *run, const WorldExpr *e) {
        bool frame = x->turning && e->base == WORLD_LINK;
        WholeChange c = x->changes[run->change];

        if (!frame)
                c = whole_anywhere(c);
        c.any_link |= frame;
        c.any_source |= !frame;
        run->change = whole_change(x, &c);
}

static void step_notrack(Whole *x, Run *run, const WorldExpr *e) {
        WholeChange c = x->changes[run->change];
        Registers same = *run->registers;

        /* what has a template already stays tracked */
        if (x->has_templates)
                become(x, run, rest_of(x, run, &same, run->guard));
        c.untracked |= x->stage <= STAGE_RAW;
        run->change = whole_change(x, &c);
}

static void step_nat(Whole *x, Run *run, const WorldExpr *e) {
        uint8_t family = x->family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
        WholeChange c;

        if (e->nat.family != NFPROTO_INET && e->nat.family != family)
                return;
        if (e->nat.kind != WORLD_TPROXY) {
                end(x, run, whole_translate(x, e, run->registers, run->change, run->guard));
                return;
        }
        /* for some socket of this host, if there is one */
        fall(x, run, run->guard);
        c = whole_anywhere(x->changes[run->change]);
        run->change = whole_change(x, &c);
}

static void step_nothing(Whole *x, Run *run, const WorldExpr *e) {
        if (world_makes_template(e))
                step_template(x, run);
}

static void step_forward(Whole *x, Run *run, const WorldExpr *e) {
        WholeChange c = x->changes[run->change];

        if (e->unit && (e->unit == NFPROTO_IPV4) != (x->family == FAMILY_IPV4)) {
                fall(x, run, run->guard);
                run->guard = DIAGRAM_EMPTY;
                return;
        }
        if (!x->turning || !whole_turns(x, run->rule, run->i)) {
                end(x, run, whole_dropped(x, run->guard));
                return;
        }
        c.turned = true;
        end(x, run, whole_leaf(x, run->guard, whole_change(x, &c), LABEL_ACCEPT));
}

static void step_choice(Whole *x, Run *run, const WorldExpr *e) {
        if (x->plain && world_is_own_limit(run->rule, e))
                return;
        if (e->fixed || (startswith(e->name, "xt match") && !x->collecting))
                whole_note(x, e->name);
        fall(x, run, run->guard);
}

static void step_verdict(Whole *x, Run *run, const WorldExpr *e) {
        if (e->verdict.kind == WORLD_QUEUE && !x->collecting)
                whole_note_queue(x, run->rule->chain);
        end(x, run, verdict(x, e->verdict, run->change, run->guard));
}

static void step_reject(Whole *x, Run *run, const WorldExpr *e) {
        end(x, run, whole_dropped(x, run->guard));
}

/* What stands behind it in the rule counts as well. */
static void step_unknown(Whole *x, Run *run, const WorldExpr *e) {
        become(x, run, unknown(x, e, run->change, run->guard));
}

static void (*const steps[])(Whole *x, Run *run, const WorldExpr *e) = {
        [WORLD_PAYLOAD] = step_load,
        [WORLD_META] = step_load,
        [WORLD_CT] = step_load,
        [WORLD_FIB] = step_load,
        [WORLD_EXTHDR] = step_load,
        [WORLD_DATA] = step_load,
        [WORLD_LOAD_ANY] = step_load,
        [WORLD_BITWISE] = step_bitwise,
        [WORLD_BYTEORDER] = step_byteorder,
        [WORLD_CMP] = step_test,
        [WORLD_RANGE] = step_test,
        [WORLD_LOOKUP] = step_lookup,
        [WORLD_PORTS] = step_ports,
        [WORLD_SET_META] = step_set,
        [WORLD_SET_CT] = step_set,
        [WORLD_SET_PAYLOAD] = step_set_payload,
        [WORLD_NOTRACK] = step_notrack,
        [WORLD_NAT] = step_nat,
        [WORLD_COPY] = step_nothing,    /* see whole_copy.c */
        [WORLD_FORWARD] = step_forward, /* likewise */
        [WORLD_NOTHING] = step_nothing,
        [WORLD_CHOICE] = step_choice,
        [WORLD_IS] = step_verdict,
        [WORLD_REJECT] = step_reject,
        [WORLD_UNKNOWN] = step_unknown,
};

static DiagramId exec(Whole *x, Run run) {
        for (; run.i < run.rule->n_exprs && run.guard != DIAGRAM_EMPTY && whole_error(x) == 0;
             run.i++) {
                const WorldExpr *e = &run.rule->exprs[run.i];

                /* a kind that has no row is not understood */
                if ((size_t)e->kind < ARRAY_SIZE(steps) && steps[e->kind])
                        steps[e->kind](x, &run, e);
                else
                        step_unknown(x, &run, e);
        }
        fall(x, &run, run.guard);
        return run.sum;
}

DiagramId whole_rule(Whole *x, const WorldRule *rule, size_t change, DiagramId care) {
        Registers r;
        Run run = {rule, 0, &r, change, care, DIAGRAM_EMPTY};

        put_bytes(&r, 0, NULL, ARRAY_SIZE(r.bytes), false);
        return diagram_and(x->diagram, care, exec(x, run));
}
