/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/diagram_state.h"

#include <assert.h>

/* What makes diagrams of diagrams. */

static Cached *cached(Diagram *d, uint32_t key, DiagramId x, DiagramId y) {
        return &d->cache[diagram_cache_slot(d->cache_size, key, x, y)];
}

static DiagramId leaf_union(Diagram *d, DiagramId x, DiagramId y, const uint16_t *without) {
        const Node *a = &d->nodes[x], *b = &d->nodes[y];
        uint16_t labels[LABELS_OF_LEAF_MAX];
        size_t n = 0, i = 0, j = 0;

        if ((size_t)a->n + b->n > LABELS_OF_LEAF_MAX)
                return diagram_fail(d, -E2BIG);
        while (i < a->n || j < b->n) {
                if (i < a->n && without && a->labels[i] == *without)
                        i++;
                else if (j == b->n || (i < a->n && a->labels[i] < b->labels[j]))
                        labels[n++] = a->labels[i++];
                else {
                        i += i < a->n && a->labels[i] == b->labels[j];
                        labels[n++] = b->labels[j++];
                }
        }
        return diagram_intern_labels(d, labels, n);
}

static bool replace_ends(Diagram *d, uint16_t label, DiagramId x, DiagramId y, DiagramId *ret) {
        if (!diagram_ends(d, x))
                return false;
        if (!diagram_leaf_has(d, x, label))
                *ret = x;
        else if (d->nodes[x].n == 1)
                *ret = y;
        else if (diagram_ends(d, y))
                *ret = leaf_union(d, x, y, &label);
        else
                return false;
        return true;
}

/* True if the result is known without looking further. */
static bool apply_ends(Diagram *d, uint32_t key, DiagramId x, DiagramId y, DiagramId *ret) {
        Operation operation = key & 0xff;
        bool leaves = diagram_ends(d, x) && diagram_ends(d, y);

        switch (operation) {
        case OPERATION_UNION:
                if (x == DIAGRAM_EMPTY || y == DIAGRAM_EMPTY || x == y) {
                        *ret = x == DIAGRAM_EMPTY ? y : x;
                        return true;
                }
                if (leaves)
                        *ret = leaf_union(d, x, y, NULL);
                return leaves;
        case OPERATION_AND:
                if (diagram_ends(d, x) || y == DIAGRAM_EMPTY) {
                        *ret = x == DIAGRAM_EMPTY ? DIAGRAM_EMPTY : y;
                        return true;
                }
                return false;
        case OPERATION_MINUS:
                if (diagram_ends(d, y) || x == DIAGRAM_EMPTY) {
                        *ret = y == DIAGRAM_EMPTY ? x : DIAGRAM_EMPTY;
                        return true;
                }
                return false;
        case OPERATION_ELSE:
                if (diagram_ends(d, x) || y == DIAGRAM_EMPTY) {
                        *ret = x == DIAGRAM_EMPTY ? y : x;
                        return true;
                }
                return false;
        case OPERATION_REPLACE:
                return replace_ends(d, (uint16_t)(key >> 8), x, y, ret);
        case OPERATION_DIFFERENCE:
                if (x == y || leaves) {
                        *ret = x == y ? DIAGRAM_EMPTY : DIAGRAM_ALL;
                        return true;
                }
                return false;
        case OPERATION_NONE:
        case OPERATION_MAY:
        case OPERATION_MUST:
        case OPERATION_RELABEL:
        case OPERATION_EXISTS:
        case OPERATION_FOR_ALL:
        case OPERATION_FORGET:
        case OPERATION_MEETS:
                break;
        }
        return true;
}

/* The edge that the coordinate lies on, one of those from `e` to before `end`. */
static const Edge *skip_to(const Edge *e, const Edge *end, uint32_t coordinate) {
        size_t low = 0, step = 1;

        /* first in leaps, as it is near in most cases */
        while (step < (size_t)(end - e) && e[step].last < coordinate) {
                low = step;
                step *= 2;
        }
        for (size_t high = MIN(step, (size_t)(end - e) - 1); low < high;) {
                size_t middle = low + (high - low) / 2;

                if (e[middle].last < coordinate)
                        low = middle + 1;
                else
                        high = middle;
        }
        return &e[low];
}

static bool take_step(Diagram *d) {
        if (d->steps == 0)
                (void)diagram_fail(d, -E2BIG);
        else
                d->steps--;
        return d->steps > 0;
}

static DiagramId apply(Diagram *d, uint32_t key, DiagramId x, DiagramId y) {
        DiagramId result = DIAGRAM_EMPTY;
        const Edge *a, *b, *end, one[2] = {{UINT32_MAX, x}, {UINT32_MAX, y}};
        bool skips = (key & 0xff) == OPERATION_AND || (key & 0xff) == OPERATION_MINUS;
        size_t base = d->n_stack;
        unsigned int variable;
        Cached *c;

        if (d->error < 0 || apply_ends(d, key, x, y, &result))
                return d->error < 0 ? DIAGRAM_EMPTY : result;
        c = cached(d, key, x, y);
        if (c->key == key && c->x == x && c->y == y)
                return c->result;
        variable = MIN(d->nodes[x].variable, d->nodes[y].variable);
        a = d->nodes[x].variable == variable ? d->nodes[x].edges : &one[0];
        b = d->nodes[y].variable == variable ? d->nodes[y].edges : &one[1];
        end = d->nodes[y].variable == variable ? b + d->nodes[y].n : b + 1;
        for (;;) {
                uint32_t last = MIN(a->last, b->last);
                DiagramId child;

                if (skips && a->child == DIAGRAM_EMPTY) {
                        /* whatever y says there: a set of a million may be behind it */
                        last = a->last;
                        child = DIAGRAM_EMPTY;
                        b = skip_to(b, end, last);
                } else
                        child = apply(d, key, a->child, b->child);
                if (!take_step(d) || d->error < 0 || !diagram_push(d, base, last, child))
                        break;
                if (last == UINT32_MAX)
                        break;
                a += a->last == last;
                b += b->last == last;
        }
        result = diagram_pop(d, base, variable);
        if (d->error == 0)
                *cached(d, key, x, y) = (Cached){key, x, y, result};
        return result;
}

DiagramId diagram_union(Diagram *d, DiagramId x, DiagramId y) {
        /* x and y are alike: one place in the cache for both orders */
        return apply(d, OPERATION_UNION, MIN(x, y), MAX(x, y));
}

DiagramId diagram_and(Diagram *d, DiagramId x, DiagramId y) {
        return apply(d, OPERATION_AND, x, y);
}

DiagramId diagram_minus(Diagram *d, DiagramId x, DiagramId y) {
        return apply(d, OPERATION_MINUS, x, y);
}

DiagramId diagram_else(Diagram *d, DiagramId x, DiagramId y) {
        return apply(d, OPERATION_ELSE, x, y);
}

DiagramId diagram_replace(Diagram *d, DiagramId x, uint16_t label, DiagramId y) {
        return apply(d, OPERATION_REPLACE | (uint32_t)label << 8, x, y);
}

DiagramId diagram_difference(Diagram *d, DiagramId x, DiagramId y) {
        return apply(d, OPERATION_DIFFERENCE, x, y);
}

static DiagramId relabel_leaf(Diagram *d, uint32_t key, DiagramId leaf) {
        const Node *n = &d->nodes[leaf];
        const Cached *c = cached(d, key, leaf, leaf);
        uint16_t labels[LABELS_OF_LEAF_MAX];
        size_t n_labels = n->n;
        size_t n_new = 0;
        DiagramId result;

        if (c->key == key && c->x == leaf && c->y == leaf)
                return c->result;
        if (n_labels > LABELS_OF_LEAF_MAX)
                return diagram_fail(d, -E2BIG);
        for (size_t i = 0; i < n_labels; i++) {
                uint16_t label = n->labels[i] < d->n_map ? d->map[n->labels[i]] : n->labels[i];
                size_t at = 0;

                while (at < n_new && labels[at] < label)
                        at++;
                if (at < n_new && labels[at] == label)
                        continue;
                memmove(labels + at + 1, labels + at, (n_new - at) * sizeof(labels[0]));
                labels[at] = label;
                n_new++;
        }
        result = diagram_intern_labels(d, labels, n_new);
        if (d->error == 0)
                *cached(d, key, leaf, leaf) = (Cached){key, leaf, leaf, result};
        return result;
}

static DiagramId leaf_of(Diagram *d, uint32_t key, DiagramId leaf) {
        uint16_t label = (uint16_t)(key >> 8);
        bool has;

        switch ((Operation)(key & 0xff)) {
        case OPERATION_MAY:
                return diagram_leaf_has(d, leaf, label) ? DIAGRAM_ALL : DIAGRAM_EMPTY;
        case OPERATION_MUST:
                has = diagram_leaf_has(d, leaf, label) && d->nodes[leaf].n == 1;
                return has ? DIAGRAM_ALL : DIAGRAM_EMPTY;
        case OPERATION_RELABEL:
                return relabel_leaf(d, key, leaf);
        case OPERATION_EXISTS:
        case OPERATION_FOR_ALL:
        case OPERATION_FORGET:
                return leaf == DIAGRAM_EMPTY ? DIAGRAM_EMPTY : DIAGRAM_ALL;
        case OPERATION_NONE:
        case OPERATION_UNION:
        case OPERATION_AND:
        case OPERATION_MINUS:
        case OPERATION_ELSE:
        case OPERATION_REPLACE:
        case OPERATION_DIFFERENCE:
        case OPERATION_MEETS:
                break;
        }
        return DIAGRAM_EMPTY;
}

/* Children all in one: of a variable that is quantified. */
static DiagramId join(Diagram *d, uint32_t key, DiagramId sum, DiagramId child) {
        return (key & 0xff) == OPERATION_FOR_ALL ? diagram_and(d, sum, child)
                                                 : diagram_union(d, sum, child);
}

static bool is_quantified(const Diagram *d, uint32_t key, DiagramId x) {
        unsigned int variable = d->nodes[x].variable;
        Operation operation = key & 0xff;

        if (operation == OPERATION_FORGET)
                return d->forget[variable];
        return (operation == OPERATION_EXISTS || operation == OPERATION_FOR_ALL) &&
               variable >= (uint8_t)(key >> 8);
}

static DiagramId change(Diagram *d, uint32_t key, DiagramId x) {
        Operation operation = key & 0xff;
        DiagramId result = operation == OPERATION_FOR_ALL ? DIAGRAM_ALL : DIAGRAM_EMPTY;
        bool quantified;
        size_t base = d->n_stack;
        Cached *c;

        if (d->error < 0)
                return DIAGRAM_EMPTY;
        if (diagram_ends(d, x))
                return leaf_of(d, key, x);
        quantified = is_quantified(d, key, x);
        c = cached(d, key, x, x);
        if (c->key == key && c->x == x && c->y == x)
                return c->result;
        for (const Edge *e = d->nodes[x].edges;; e++) {
                DiagramId child = change(d, key, e->child);

                if (quantified)
                        result = join(d, key, result, child);
                else if (d->error < 0 || !diagram_push(d, base, e->last, child))
                        break;
                if (!take_step(d) || e->last == UINT32_MAX)
                        break;
        }
        if (!quantified)
                result = diagram_pop(d, base, d->nodes[x].variable);
        if (d->error == 0)
                *cached(d, key, x, x) = (Cached){key, x, x, result};
        return d->error < 0 ? DIAGRAM_EMPTY : result;
}

DiagramId diagram_where_may(Diagram *d, DiagramId x, uint16_t label) {
        return change(d, OPERATION_MAY | (uint32_t)label << 8, x);
}

DiagramId diagram_where_must(Diagram *d, DiagramId x, uint16_t label) {
        return change(d, OPERATION_MUST | (uint32_t)label << 8, x);
}

DiagramId diagram_relabel(Diagram *d, DiagramId x, const uint16_t *map, size_t n) {
        DiagramId result;
        size_t i = 0;

        while (i < d->n_maps && d->maps[i] != map)
                i++;
        if (i == MAPS_MAX)
                return diagram_fail(d, -E2BIG);
        d->maps[i] = map;
        d->n_maps = MAX(d->n_maps, i + 1);
        d->map = map;
        d->n_map = n;
        result = change(d, OPERATION_RELABEL | (uint32_t)i << 8, x);
        d->map = NULL;
        d->n_map = 0;
        return result;
}

DiagramId diagram_exists(Diagram *d, DiagramId x, unsigned int first) {
        return change(d, OPERATION_EXISTS | first << 8, x);
}

DiagramId diagram_for_all(Diagram *d, DiagramId x, unsigned int first) {
        return change(d, OPERATION_FOR_ALL | first << 8, x);
}

DiagramId diagram_forget(Diagram *d, DiagramId x, const bool forget[DIAGRAM_VARIABLES_MAX]) {
        assert(!d->forget || d->forget == forget);
        d->forget = forget;
        return change(d, OPERATION_FORGET, x);
}

/* Questions that need no new nodes, and end with the first packet that answers them. */

static Within *find_within(Diagram *d, DiagramId x, DiagramId y, DiagramId z) {
        uint64_t hash = diagram_mix(diagram_mix(diagram_mix(0, x), y), z);

        if (d->within_size < d->cache_size) {
                free(d->within);
                d->within = calloc(d->cache_size, sizeof(*d->within));
                d->within_size = d->within ? d->cache_size : 0;
        }
        return d->within ? &d->within[(hash >> 20) & (d->within_size - 1)] : NULL;
}

static const Edge *first_edge(const Diagram *d, DiagramId x, unsigned int variable, Edge *one) {
        *one = (Edge){UINT32_MAX, x};
        return d->nodes[x].variable == variable ? d->nodes[x].edges : one;
}

static const Edge *
behind_last(const Diagram *d, DiagramId x, unsigned int variable, const Edge *e) {
        return d->nodes[x].variable == variable ? e + d->nodes[x].n : e + 1;
}

static bool within_edges(Diagram *d, DiagramId x, DiagramId y, DiagramId z) {
        unsigned int variable =
                MIN(d->nodes[x].variable, MIN(d->nodes[y].variable, d->nodes[z].variable));
        Edge one[3];
        const Edge *a = first_edge(d, x, variable, &one[0]);
        const Edge *b = first_edge(d, y, variable, &one[1]);
        const Edge *c = first_edge(d, z, variable, &one[2]);
        const Edge *end_b = behind_last(d, y, variable, b), *end_c = behind_last(d, z, variable, c);

        for (;;) {
                uint32_t last = MIN(a->last, MIN(b->last, c->last));

                if (!take_step(d))
                        return false;
                if (a->child == DIAGRAM_EMPTY) {
                        last = a->last;
                        b = skip_to(b, end_b, last);
                        c = skip_to(c, end_c, last);
                } else if (!diagram_within(d, a->child, b->child, c->child))
                        return false;
                if (last == UINT32_MAX)
                        return true;
                a += a->last == last;
                b += b->last == last;
                c += c->last == last;
        }
}

bool diagram_within(Diagram *d, DiagramId x, DiagramId y, DiagramId z) {
        Within *w;
        bool result;

        if (d->error < 0)
                return false;
        if (x == DIAGRAM_EMPTY || x == y || x == z || (diagram_ends(d, y) && y != DIAGRAM_EMPTY) ||
            (diagram_ends(d, z) && z != DIAGRAM_EMPTY))
                return true;
        if (y == DIAGRAM_EMPTY && z == DIAGRAM_EMPTY)
                return false;
        w = find_within(d, x, y, z);
        if (w && w->known && w->x == x && w->y == y && w->z == z)
                return w->result;
        result = within_edges(d, x, y, z);
        w = find_within(d, x, y, z);
        if (w && d->error == 0)
                *w = (Within){x, y, z, true, result};
        return result;
}

static bool meet_edges(Diagram *d, DiagramId x, DiagramId y) {
        unsigned int variable = MIN(d->nodes[x].variable, d->nodes[y].variable);
        Edge one[2];
        const Edge *a = first_edge(d, x, variable, &one[0]);
        const Edge *b = first_edge(d, y, variable, &one[1]);
        const Edge *end_a = behind_last(d, x, variable, a), *end_b = behind_last(d, y, variable, b);

        for (;;) {
                uint32_t last = MIN(a->last, b->last);

                if (!take_step(d))
                        return true;
                if (a->child == DIAGRAM_EMPTY) {
                        last = a->last;
                        b = skip_to(b, end_b, last);
                } else if (b->child == DIAGRAM_EMPTY) {
                        last = b->last;
                        a = skip_to(a, end_a, last);
                } else if (diagram_meets(d, a->child, b->child))
                        return true;
                if (last == UINT32_MAX)
                        return false;
                a += a->last == last;
                b += b->last == last;
        }
}

bool diagram_meets(Diagram *d, DiagramId x, DiagramId y) {
        Cached *c;
        bool result;

        if (d->error < 0)
                return true;
        if (x == DIAGRAM_EMPTY || y == DIAGRAM_EMPTY)
                return false;
        /* no diagram but that of nothing is empty everywhere */
        if (x == y || diagram_ends(d, x) || diagram_ends(d, y))
                return true;
        c = cached(d, OPERATION_MEETS, MIN(x, y), MAX(x, y));
        if (c->key == OPERATION_MEETS && c->x == MIN(x, y) && c->y == MAX(x, y))
                return c->result == DIAGRAM_ALL;
        result = meet_edges(d, x, y);
        if (d->error == 0)
                *cached(d, OPERATION_MEETS, MIN(x, y), MAX(x, y)) =
                        (Cached){OPERATION_MEETS, MIN(x, y), MAX(x, y),
                                 result ? DIAGRAM_ALL : DIAGRAM_EMPTY};
        return result;
}
