/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world/walk.h"

#include "world/hooks.h"

/* All ways of a packet, one after the other, and how each of them ends. */

#define RULES_ALL_MAX 2000000 /* on all ways: then those that are left are not tried */

unsigned int run_choose(Run *r, unsigned int n) {
        Choices *c = r->choices;

        if (n <= 1)
                return 0;
        if (r->next_choice < c->n)
                return c->list[r->next_choice++].taken;
        if (c->n == CHOICES_MAX) {
                c->missed = true;
                return 0;
        }
        c->list[c->n++] = (Choice){.n = (uint16_t)n};
        r->next_choice++;
        return 0;
}

/* A World of a compiled Ruleset has no interfaces: then the question's names are all there is. */
static int get_interface(WorldWalker *x, const char *name, size_t i, const WorldInterface **ret) {
        *ret = NULL;
        if (!name)
                return 0;
        *ret = world_find_interface(x->world, name);
        if (!*ret && x->world->n_interfaces > 0)
                return -EINVAL;
        if (!*ret) {
                x->named[i] = (WorldInterface){.index = (int)i + 1,
                                               .name = name,
                                               .type = 1, /* ARPHRD_ETHER */
                                               .loopback = streq(name, "lo"),
                                               .up = true};
                *ret = &x->named[i];
        }
        return 0;
}

static int run_init(WorldWalker *x, Run *r, const WorldPacket *p, Arena *steps) {
        int e;

        *r = (Run){.world = x->world, .packet = p, .choices = &x->choices, .arena = steps};
        if (p->size > sizeof(r->bytes))
                return -EINVAL;
        memcpy(r->bytes, p->bytes, p->size);
        r->size = p->size;
        if (!run_parse(r))
                return -EINVAL;
        r->mark = p->mark;
        r->ct_mark = p->ct_mark;
        r->status = p->ct_status;
        r->has_link = p->has_link;
        memcpy(r->link, p->link, sizeof(r->link));
        e = get_interface(x, p->in, 0, &r->in);
        return e < 0 ? e : get_interface(x, p->out, 1, &r->out);
}

static WorldOutcome outcome_of(const Run *r, WorldWhere where) {
        return (WorldOutcome){
                .where = where,
                .out = where == WORLD_LEFT && r->out && !r->out_unknown ? r->out->name : NULL,
                .source = run_address_value(r, true),
                .destination = run_address_value(r, false),
                .source_port = run_port_value(r, true),
                .destination_port = run_port_value(r, false),
                .mark = r->mark,
                .unknown = r->unknown,
                .doubtful = r->doubtful,
                .sent_on = r->sent_on,
        };
}

static bool same_outcome(const WorldOutcome *a, const WorldOutcome *b) {
        return a->where == b->where && a->sent_on == b->sent_on && streq_null(a->out, b->out) &&
               u128_equal(a->destination, b->destination) &&
               a->destination_port == b->destination_port;
}

static bool passes(const WorldOutcome *o) {
        return o->where == WORLD_DELIVERED || o->where == WORLD_LEFT;
}

static void keep_outcome(WorldWalker *x, WorldWalk *w, const WorldOutcome *found) {
        w->may_pass |= passes(found);
        w->may_drop |= !passes(found);
        for (size_t i = 0; i < w->n_outcomes; i++)
                if (same_outcome(&x->outcomes[i], found)) {
                        x->outcomes[i].unknown &= found->unknown;
                        x->outcomes[i].doubtful &= found->doubtful;
                        return;
                }
        if (w->n_outcomes == WORLD_OUTCOMES_MAX)
                w->incomplete = true;
        else
                x->outcomes[w->n_outcomes++] = *found;
}

const WorldOutcome *world_walk_passing(const WorldWalk *w, bool here) {
        bool all = w->n_outcomes > 0 && !w->incomplete;

        for (size_t i = 0; i < w->n_outcomes; i++) {
                const WorldOutcome *o = &w->outcomes[i];

                bool through = o->where == WORLD_LEFT || (here && o->where == WORLD_DELIVERED);

                if (through && !o->unknown && !o->doubtful)
                        return o;
                all &= through && !o->unknown;
        }
        return all ? &w->outcomes[0] : NULL; /* whatever the doubtful is */
}

/* The next way: the last choice that has another side takes it. False if all were tried. */
static bool next_way(Choices *c) {
        while (c->n > 0) {
                Choice *last = &c->list[c->n - 1];

                if (last->taken + 1 < last->n) {
                        last->taken++;
                        return true;
                }
                c->n--;
        }
        return false;
}

int world_walk(WorldWalker *x, const WorldPacket *p, WorldWalk *ret) {
        WorldWalk w = {.outcomes = x->outcomes};

        x->choices.n = 0;
        x->choices.missed = false;
        arena_reset(x->plain);
        for (size_t n = 0, n_rules = 0;; n++) {
                WorldOutcome found;
                WorldWhere where;
                Run r;
                int e = run_init(x, &r, p, n == 0 ? x->plain : x->scratch);

                if (e < 0)
                        return e;
                where = run_way(x, &r);
                if (r.error < 0)
                        return r.error;
                found = outcome_of(&r, where);
                keep_outcome(x, &w, &found);
                if (n == 0) {
                        w.steps = r.steps;
                        w.n_steps = r.n_steps;
                } else
                        arena_reset(x->scratch);
                if (!next_way(&x->choices))
                        break;
                n_rules += r.n_rules;
                if (n + 1 == WORLD_RUNS_MAX || n_rules > RULES_ALL_MAX) {
                        w.incomplete = true;
                        break;
                }
        }
        w.incomplete |= x->choices.missed;
        *ret = w;
        return 0;
}
