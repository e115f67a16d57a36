/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/difference_state.h"

/* The evaluator, another code, about packets at the edges of what the rules tell apart: that there
 * is no difference is an answer, too. */

#define SAMPLES 64 /* packets of a way and family */

static uint32_t draw(Search *s, uint32_t below) {
        s->random ^= s->random >> 12;
        s->random ^= s->random << 25;
        s->random ^= s->random >> 27;
        return (uint32_t)((s->random * UINT64_C(2685821657736338717)) >> 33) % below;
}

static bool may_accept(const Search *s, DiagramId leaf) {
        size_t n_limits;

        (void)meaning_limits(s->m, &n_limits);
        for (size_t i = 0; i < n_limits; i++)
                if (diagram_leaf_has(s->d, leaf, (uint16_t)(MEANING_LIMIT + i)))
                        return true;
        return diagram_leaf_has(s->d, leaf, MEANING_ACCEPT) ||
               diagram_leaf_has(s->d, leaf, MEANING_ESSENTIAL);
}

/* 1 if both codes agree, 0 if not. */
static int agrees_on_verdict(
        const Search *s, const Ruleset *rs, Arena *a, DiagramId leaf, Hook hook, const Packet *p) {
        Evaluation e;
        int r = ruleset_eval(rs, a, hook, p, &e);

        if (r < 0)
                return r;
        return e.verdict == VERDICT_ACCEPT ? may_accept(s, leaf)
                                           : diagram_leaf_has(s->d, leaf, MEANING_DROP);
}

/* Which of the targets the packet is sent to, and whether the leaf says the same. */
static int agrees_on_target(
        const Search *s, const Ruleset *rs, DiagramId leaf, const PacketQuestion *packet, U128 in) {
        PacketQuestion q = *packet;
        const NatTarget *const *targets;
        size_t n;
        int e = ruleset_translate(rs, &in, &q);

        targets = meaning_targets(s->m, &n);
        for (size_t i = 0; i < n && e >= 0; i++) {
                const NatTarget *t = targets[i];
                bool is_it = e > 0 && t->family == q.family &&
                             u128_equal(t->address, q.destination) &&
                             (t->port == 0 ? q.destination_port == packet->destination_port
                                           : q.destination_port == t->port);
                bool says_it = diagram_leaf_has(s->d, leaf, (uint16_t)(MEANING_TARGET + i));

                /* several targets may lead to one place */
                if (says_it && !is_it)
                        return 0;
                if (is_it && says_it)
                        return 1;
        }
        return e < 0 ? e : e == 0;
}

/* Of a packet that is not looked at: whether the evaluator, too, says the same of it twice. */
static int
agrees_on_both(const Search *s, Arena *a, const PacketQuestion *q, U128 in, const Packet *p) {
        PacketQuestion sent[] = {*q, *q};
        Evaluation old, new;
        int e, f;

        if (s->way == DIFFERENCE_FORWARD) {
                e = ruleset_translate(s->before, &in, &sent[0]);
                f = ruleset_translate(s->after, &in, &sent[1]);
                return e < 0   ? e
                       : f < 0 ? f
                               : e == f && u128_equal(sent[0].destination, sent[1].destination) &&
                                         sent[0].destination_port == sent[1].destination_port;
        }
        e = ruleset_eval(s->before, a, q->hook, p, &old);
        if (e == 0)
                e = ruleset_eval(s->after, a, q->hook, p, &new);
        return e < 0 ? e
                     : (old.verdict == VERDICT_ACCEPT) == (new.verdict == VERDICT_ACCEPT) &&
                               old.limited == new.limited;
}

static int disagree(Search *s, const PacketQuestion *q, U128 in, U128 out, int error) {
        s->result->odd = *q;
        s->result->odd_in = in;
        s->result->odd_out = out;
        return error < 0 ? error : -EPROTO;
}

static int compare_at(Search *s, Arena *a, const uint32_t *point) {
        const struct {
                const Ruleset *rs;
                DiagramId meaning;
        } sides[] = {{s->before, s->old}, {s->after, s->new}};
        PacketQuestion q;
        U128 in, out;
        Packet p;
        int r;

        meaning_packet(s->m, s->packets, point, &q, &in, &out, &p);
        if (diagram_at(s->d, s->asked, point) == DIAGRAM_EMPTY) {
                r = agrees_on_both(s, a, &q, in, &p);
                return r > 0 ? 0 : disagree(s, &q, in, out, r);
        }
        for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
                DiagramId leaf = diagram_at(s->d, sides[i].meaning, point);

                r = s->way == DIFFERENCE_FORWARD
                            ? agrees_on_target(s, sides[i].rs, leaf, &q, in)
                            : agrees_on_verdict(s, sides[i].rs, a, leaf, q.hook, &p);

                if (r <= 0)
                        return disagree(s, &q, in, out, r);
        }
        return 0;
}

int difference_compare(Search *s) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        DiagramId about = s->way == DIFFERENCE_FORWARD ? s->usual : s->care;
        int r = a ? 0 : -ENOMEM;

        s->random = UINT64_C(0x9e3779b97f4a7c15);
        for (size_t i = 0; i < SAMPLES && r == 0; i++) {
                uint32_t point[_MEANING_VARIABLE_MAX];

                for (MeaningVariable v = 0; v < _MEANING_VARIABLE_MAX; v++)
                        point[v] = draw(s, (uint32_t)meaning_axis(s->m, v)->n_lows);
                /* towards what there can be: otherwise hardly a packet would be one; who asks where
                 * one is sent means a usual one */
                if (!diagram_witness(s->d, about, point, NULL, NULL))
                        return diagram_error(s->d);
                r = compare_at(s, a, point);
                arena_reset(a);
        }
        return r;
}
