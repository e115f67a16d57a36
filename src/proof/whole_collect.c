/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/whole_state.h"

/* What the rules tell apart: all of them are walked, each by itself, and what they compare is cut.
 */

typedef struct CutVariable {
        Axis axis;
        const char *name;
        unsigned int width;
        Key key;
} CutVariable;

struct WholeCuts {
        CutVariable *variables;
        unsigned int n_variables;
        WholeChange *changes;
        size_t n_changes;
        const char **unknown;
        size_t n_unknown;
};

void whole_collect(Whole *x) {
        static const Stage of_arriving[] = {STAGE_FORWARD, STAGE_INPUT, STAGE_PREROUTING};
        static const Stage of_sent[] = {STAGE_POSTROUTING, STAGE_TRANSLATED, STAGE_PREROUTING};
        const Stage *stages = x->sent ? of_sent : of_arriving;
        const World *w = x->world;

        if (x->collected)
                return;
        x->collecting = true;
        for (size_t s = 0; s < ARRAY_SIZE(of_sent); s++) {
                x->stage = stages[s];
                x->again = s > 0;
                for (size_t i = 0; i < w->n_chains; i++)
                        (void)whole_chain(x, w->chains[i], 0, DIAGRAM_ALL);
        }
        x->collecting = false;
        x->collected = true;
}

static WholeCuts *keep(const Whole *x, Arena *a) {
        WholeCuts *cuts = arena_new0(a, WholeCuts);

        if (!cuts)
                return NULL;
        cuts->variables = arena_alloc_array(a, x->n_variables, sizeof(*cuts->variables));
        if (!cuts->variables)
                return NULL;
        for (unsigned int i = 0; i < x->n_variables; i++) {
                const Variable *from = &x->variables[i];
                CutVariable *to = &cuts->variables[cuts->n_variables++];

                *to = (CutVariable){.width = from->width, .key = from->key};
                to->name = from->name ? arena_strdup(a, from->name) : NULL;
                to->axis.lows = arena_alloc_array(a, from->axis.n_lows + 1, sizeof(*to->axis.lows));
                if (!to->axis.lows || (from->name && !to->name))
                        return NULL;
                to->axis.n_lows = from->axis.n_lows;
                if (from->axis.n_lows > 0)
                        memcpy(to->axis.lows, from->axis.lows,
                               from->axis.n_lows * sizeof(*to->axis.lows));
                /* each of them once */
                if (axis_finish(a, &to->axis) < 0)
                        return NULL;
        }
        for (size_t i = 0; i < x->n_changes; i++)
                if (!arena_append(a, cuts->changes, cuts->n_changes, x->changes[i]))
                        return NULL;
        for (size_t i = 0; i < x->n_unknown; i++) {
                const char *text = arena_strdup(a, x->unknown[i]);

                if (!text || !arena_append(a, cuts->unknown, cuts->n_unknown, text))
                        return NULL;
        }
        return cuts;
}

static int take(Whole *x, const WholeCuts *cuts) {
        for (unsigned int i = 0; i < cuts->n_variables; i++) {
                const CutVariable *from = &cuts->variables[i];
                Variable *to = &x->variables[i];

                *to = (Variable){.name = from->name, .width = from->width, .key = from->key};
                for (size_t j = 0; j < from->axis.n_lows; j++)
                        if (!arena_append(x->arena, to->axis.lows, to->axis.n_lows,
                                          from->axis.lows[j]))
                                return -ENOMEM;
        }
        x->n_variables = cuts->n_variables;
        for (size_t i = 0; i < cuts->n_changes; i++)
                (void)whole_change(x, &cuts->changes[i]);
        for (size_t i = 0; i < cuts->n_unknown; i++)
                whole_note(x, cuts->unknown[i]);
        x->collected = true;
        return 0;
}

int whole_share(Whole *x, Arena *a, WholeCuts **cuts) {
        if (*cuts)
                return take(x, *cuts);
        whole_collect(x);
        if (whole_error(x) < 0)
                return 0; /* whole_finish() says so */
        *cuts = keep(x, a);
        return *cuts ? 0 : -ENOMEM;
}
