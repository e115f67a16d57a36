/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/drift.h"

#include "nft/owner.h"
#include "ruleset/plan.h"

#define SHOWN_MAX 3 /* changes that are told of; the others are counted */

typedef struct Words {
        Arena *arena;
        const char *text;
        size_t n; /* changes, told of or not */
} Words;

static int add(Words *w, const char *what) {
        if (!what)
                return -ENOMEM;
        if (w->n++ >= SHOWN_MAX)
                return 0;
        w->text = w->text ? arena_printf(w->arena, "%s, %s", w->text, what) : what;
        return w->text ? 0 : -ENOMEM;
}

static int add_rule(Words *w, const PlanRule *rule) {
        static const char *const words[_PLAN_CHANGE_MAX] = {
                [PLAN_COMES] = "came to",
                [PLAN_GOES] = "is gone from",
                [PLAN_CHANGES] = "was changed in",
                [PLAN_MOVES] = "was renamed in",
        };

        return add(w, arena_printf(w->arena, "'%s' %s %s", rule->text, words[rule->change],
                                   rule->section));
}

static int add_set(Words *w, const PlanSet *set) {
        if (set->set->is_unlisted)
                return add(w, arena_printf(w->arena, "set %s was changed", set->set->name));
        return add(w, arena_printf(w->arena, "set %s: %zu came, %zu are gone", set->set->name,
                                   set->n_come, set->n_go));
}

static int add_chain(Words *w, const PlanChain *chain) {
        const char *name = chain->chain->name;

        if (chain->change == PLAN_COMES)
                return add(w, arena_printf(w->arena, "chain %s came", name));
        if (chain->change == PLAN_GOES)
                return add(w, arena_printf(w->arena, "chain %s is gone", name));
        if (chain->rehooked)
                return add(w, arena_printf(w->arena, "chain %s was made to let through", name));
        /* of rules that stand in several chains: the policy's are told of by themselves */
        if (!w->text && chain->n_go > 0)
                return add(w, arena_printf(w->arena, "%zu of its rules are gone from %s",
                                           chain->n_go, name));
        if (!w->text && chain->n_come > 0)
                return add(w, arena_printf(w->arena, "%zu rules came to %s", chain->n_come, name));
        return chain->reordered
                       ? add(w, arena_printf(w->arena, "the order of chain %s's rules", name))
                       : 0; /* its rules are told of by themselves */
}

static bool is_empty(const Ruleset *rs) {
        for (size_t i = 0; i < rs->n_chains; i++)
                if (rs->chains[i]->n_rules > 0)
                        return false;
        return true;
}

const char *drift_describe(Arena *a, const Ruleset *live, const Ruleset *desired) {
        Words w = {.arena = a};
        Plan *plan;
        int r;

        if (!live->exists)
                return "all of them were removed";
        if (live->flags & TABLE_DORMANT)
                return "all of them were put to sleep";
        if (is_empty(live))
                return "all of them were flushed";
        r = plan_make(a, desired, live, &plan); /* from what was in force to what is */
        for (size_t i = 0; r == 0 && i < plan->n_rules; i++)
                r = add_rule(&w, &plan->rules[i]);
        for (size_t i = 0; r == 0 && i < plan->n_sets; i++)
                r = add_set(&w, &plan->sets[i]);
        for (size_t i = 0; r == 0 && i < plan->n_chains; i++)
                r = add_chain(&w, &plan->chains[i]);
        if (r < 0)
                return NULL;
        if (!w.text)
                return "something that no rule of the policy stands for";
        return w.n <= SHOWN_MAX
                       ? w.text
                       : arena_printf(a, "%s, and %zu more changes", w.text, w.n - SHOWN_MAX);
}
