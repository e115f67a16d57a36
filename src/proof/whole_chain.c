/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/whole_state.h"

/* Chains: their rules one after the other, each with the packets that those before let go on. */

#define DEPTH_MAX 40

typedef struct Found {
        Whole *x;
        unsigned int kind;
        bool changes[WHOLE_CHANGES_MAX];
} Found;

static void find_changes(void *context, DiagramId node) {
        Found *f = context;
        const uint16_t *labels;
        size_t n = diagram_leaf_labels(f->x->diagram, node, &labels);

        for (size_t i = 0; i < n; i++)
                if (labels[i] >= LABEL_FIRST && (labels[i] - LABEL_FIRST) % 4U == f->kind)
                        f->changes[(labels[i] - LABEL_FIRST) / 4U] = true;
}

DiagramId
whole_then(Whole *x, DiagramId before, unsigned int kind, WholeNext next, const void *context) {
        Found *f = calloc(1, sizeof(*f));
        size_t n = x->n_changes;
        DiagramId result = before;

        if (!f)
                return whole_fail(x, -ENOMEM);
        f->x = x;
        f->kind = kind;
        diagram_visit_leaves(x->diagram, before, find_changes, f);
        /* what goes on is set aside first: what comes of one may look like another */
        for (size_t i = 0; i < n; i++)
                if (f->changes[i])
                        result = diagram_replace(
                                x->diagram, result, label_of(i, kind),
                                diagram_leaf(x->diagram, label_of(i, LABEL_PENDING)));
        for (size_t i = 0; i < n && whole_error(x) == 0; i++) {
                DiagramId care;

                if (!f->changes[i])
                        continue;
                care = diagram_where_may(x->diagram, before, label_of(i, kind));
                result = diagram_replace(x->diagram, result, label_of(i, LABEL_PENDING),
                                         next(x, context, i, care));
        }
        free(f);
        return result;
}

typedef struct Part {
        const WorldChain *chain;
        size_t first, n;
} Part;

static DiagramId run_part(Whole *x, const void *context, size_t change, DiagramId care) {
        const Part *p = context;
        Part left = {p->chain, p->first, p->n / 2},
             right = {p->chain, p->first + p->n / 2, p->n - p->n / 2};
        DiagramId r;

        if (care == DIAGRAM_EMPTY || whole_error(x) < 0)
                return DIAGRAM_EMPTY;
        if (p->n == 1)
                return whole_rule(x, &p->chain->rules[p->first], change, care);
        r = run_part(x, &left, change, care);
        return whole_then(x, r, LABEL_FALL, run_part, &right);
}

static Memo *find_memo(Whole *x, const WorldChain *c, size_t change, DiagramId care) {
        for (size_t i = x->n_memos; i-- > 0;)
                if (x->memos[i].chain == c && x->memos[i].stage == x->stage &&
                    x->memos[i].change == change && x->memos[i].care == care)
                        return &x->memos[i];
        return NULL;
}

static bool add_memo(Whole *x, Memo m) {
        if (x->n_memos == x->memo_size) {
                size_t size = x->memo_size ? x->memo_size * 2 : 64;
                Memo *memos = reallocarray(x->memos, size, sizeof(*memos));

                if (!memos)
                        return false;
                x->memos = memos;
                x->memo_size = size;
        }
        x->memos[x->n_memos++] = m;
        return true;
}

DiagramId whole_chain(Whole *x, const WorldChain *c, size_t change, DiagramId care) {
        Part all = {c, 0, c->n_rules};
        const Memo *known;
        DiagramId r;

        if (care == DIAGRAM_EMPTY || whole_error(x) < 0)
                return DIAGRAM_EMPTY;
        if (c->n_rules == 0)
                return whole_leaf(x, care, change, LABEL_FALL);
        if (x->collecting) {
                /* every rule by itself: nothing is put together yet */
                for (size_t i = 0; i < c->n_rules; i++) {
                        Part one = {c, i, 1};

                        (void)run_part(x, &one, change, care);
                }
                return DIAGRAM_EMPTY;
        }
        known = find_memo(x, c, change, care);
        if (known)
                return known->result;
        if (++x->depth > DEPTH_MAX)
                return whole_fail(x, -ELOOP);
        r = run_part(x, &all, change, care);
        x->depth--;
        r = whole_relabel(x, r, false);
        if (!add_memo(x, (Memo){c, x->stage, change, care, r}))
                return whole_fail(x, -ENOMEM);
        return r;
}
