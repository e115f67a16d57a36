/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/diagram_state.h"

/* What can be asked of a diagram. */

/* Binary search: nodes may have millions of edges. */
static DiagramId child_at(const Node *n, uint32_t value) {
        size_t low = 0, high = n->n - 1;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (n->edges[middle].last < value)
                        low = middle + 1;
                else
                        high = middle;
        }
        return n->edges[low].child;
}

DiagramId diagram_at(const Diagram *d, DiagramId x, const uint32_t *point) {
        while (!diagram_ends(d, x))
                x = child_at(&d->nodes[x], point[d->nodes[x].variable]);
        return x;
}

#define CHOICES_MAX 4096

static uint32_t first_value(const Node *n) {
        return n->edges[0].child != DIAGRAM_EMPTY ? 0 : n->edges[0].last + 1;
}

static uint32_t choose_value(Diagram *d, const Node *n, DiagramChoose choose, void *context) {
        size_t n_ranges = 0, max = MIN(n->n, CHOICES_MAX);
        uint32_t low = 0;

        if (max > d->choices_room) {
                DiagramRange *grown = reallocarray(d->choices, max, sizeof(*grown));

                if (!grown) {
                        (void)diagram_fail(d, -ENOMEM);
                        return first_value(n);
                }
                d->choices = grown;
                d->choices_room = max;
        }
        for (size_t i = 0; i < n->n && n_ranges < max; i++) {
                if (n->edges[i].child != DIAGRAM_EMPTY)
                        d->choices[n_ranges++] = (DiagramRange){low, n->edges[i].last};
                low = n->edges[i].last + 1;
        }
        return choose(context, n->variable, d->choices, n_ranges);
}

bool diagram_witness(
        Diagram *d, DiagramId x, uint32_t *point, DiagramChoose choose, void *context) {
        if (d->error < 0 || x == DIAGRAM_EMPTY)
                return false;
        /* a node has two different children at least, so one of them is not empty */
        while (!diagram_ends(d, x)) {
                const Node *n = &d->nodes[x];

                if (child_at(n, point[n->variable]) == DIAGRAM_EMPTY)
                        point[n->variable] =
                                choose ? choose_value(d, n, choose, context) : first_value(n);
                x = child_at(n, point[n->variable]);
        }
        return true;
}

/* False if the node was seen before in this visit. */
static bool mark(Diagram *d, DiagramId x) {
        if (d->n_marks < d->n_nodes) {
                uint32_t *marks = reallocarray(d->marks, d->room, sizeof(*marks));

                if (!marks) {
                        (void)diagram_fail(d, -ENOMEM);
                        return false;
                }
                memset(marks + d->n_marks, 0, (d->room - d->n_marks) * sizeof(*marks));
                d->marks = marks;
                d->n_marks = d->room;
        }
        if (d->marks[x] == d->epoch)
                return false;
        d->marks[x] = d->epoch;
        return true;
}

static bool count_edges(Diagram *d, DiagramId x, size_t *left) {
        const Node *n = &d->nodes[x];

        if (diagram_ends(d, x) || !mark(d, x))
                return true;
        if (n->n > *left)
                return false;
        *left -= n->n;
        for (size_t i = 0; i < n->n; i++)
                if (!count_edges(d, n->edges[i].child, left))
                        return false;
        return true;
}

bool diagram_is_small(Diagram *d, DiagramId x, size_t max) {
        size_t left = max;

        if (d->n_edges <= max)
                return true; /* all diagrams together have no more */
        d->epoch++;
        return count_edges(d, x, &left);
}

static void visit_node(Diagram *d, DiagramId x, bool *support, DiagramVisit visit, void *context) {
        const Node *n = &d->nodes[x];

        if (!mark(d, x))
                return;
        if (diagram_ends(d, x)) {
                if (visit)
                        visit(context, x);
                return;
        }
        if (support)
                support[n->variable] = true;
        for (size_t i = 0; i < n->n; i++)
                if (i == 0 || n->edges[i].child != n->edges[i - 1].child)
                        visit_node(d, n->edges[i].child, support, visit, context);
}

void diagram_support(Diagram *d, DiagramId x, bool ret[DIAGRAM_VARIABLES_MAX]) {
        d->epoch++;
        visit_node(d, x, ret, NULL, NULL);
}

void diagram_visit_leaves(Diagram *d, DiagramId x, DiagramVisit visit, void *context) {
        d->epoch++;
        visit_node(d, x, NULL, visit, context);
}

typedef struct Projection {
        unsigned int variable;
        Arena *arena;
        DiagramRange *ranges;
        size_t n_ranges;
        bool all;
} Projection;

static int project(Diagram *d, DiagramId x, Projection *p) {
        const Node *n = &d->nodes[x];
        uint32_t low = 0;

        if (x == DIAGRAM_EMPTY || p->all || !mark(d, x))
                return 0;
        if (n->variable > p->variable) {
                p->all = true;
                return 0;
        }
        for (size_t i = 0; i < n->n; i++) {
                DiagramRange r = {low, n->edges[i].last};
                int e = 0;

                if (n->variable < p->variable)
                        e = project(d, n->edges[i].child, p);
                else if (n->edges[i].child != DIAGRAM_EMPTY)
                        e = arena_append(p->arena, p->ranges, p->n_ranges, r) ? 0 : -ENOMEM;
                if (e < 0)
                        return e;
                low = n->edges[i].last + 1;
        }
        return 0;
}

static int compare_ranges(const void *a, const void *b) {
        const DiagramRange *x = a, *y = b;

        return x->low < y->low ? -1 : x->low > y->low;
}

int diagram_project(Diagram *d,
                    DiagramId x,
                    unsigned int variable,
                    Arena *a,
                    DiagramRange **ret,
                    size_t *ret_n) {
        Projection p = {.variable = variable, .arena = a};
        DiagramRange all = {0, UINT32_MAX};
        size_t n = 0;
        int r;

        d->epoch++;
        r = project(d, x, &p);
        if (r < 0 || d->error < 0)
                return r < 0 ? r : d->error;
        if (p.all)
                p.n_ranges = 0;
        if (p.all && !arena_append(a, p.ranges, p.n_ranges, all))
                return -ENOMEM;
        if (p.n_ranges > 1)
                qsort(p.ranges, p.n_ranges, sizeof(p.ranges[0]), compare_ranges);
        for (size_t i = 0; i < p.n_ranges; i++)
                if (n > 0 && (p.ranges[n - 1].high == UINT32_MAX ||
                              p.ranges[i].low <= p.ranges[n - 1].high + 1))
                        p.ranges[n - 1].high = MAX(p.ranges[n - 1].high, p.ranges[i].high);
                else
                        p.ranges[n++] = p.ranges[i];
        *ret = p.ranges;
        *ret_n = n;
        return 0;
}

static bool make_room(Diagram *d) {
        double *shares;

        if (d->n_shares >= d->n_nodes)
                return true;
        shares = reallocarray(d->shares, d->room, sizeof(*shares));
        if (!shares) {
                (void)diagram_fail(d, -ENOMEM);
                return false;
        }
        for (size_t i = d->n_shares; i < d->room; i++)
                shares[i] = 0;
        d->shares = shares;
        d->n_shares = d->room;
        return true;
}

double diagram_share(Diagram *d, DiagramId x, DiagramShare share, const void *context) {
        const Node *n = &d->nodes[x];
        uint32_t low = 0;
        double sum = 0;

        if (diagram_ends(d, x))
                return x == DIAGRAM_EMPTY ? 0 : 1;
        if (!make_room(d))
                return 0;
        if (d->shares[x] > 0)
                return d->shares[x];
        for (size_t i = 0; i < n->n; i++) {
                if (n->edges[i].child != DIAGRAM_EMPTY)
                        sum += share(context, n->variable, low, n->edges[i].last) *
                               diagram_share(d, n->edges[i].child, share, context);
                low = n->edges[i].last + 1;
        }
        d->shares[x] = sum;
        return sum;
}
