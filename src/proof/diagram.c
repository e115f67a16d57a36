/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/diagram.h"

#include <assert.h>

/* One array of nodes, leaves among them; an open hash of their numbers; a cache of results that
 * forgets. Operations write a node's edges on a stack first, since how many there will be is known
 * only when all children are. */

#define VARIABLE_LEAF UINT8_MAX
#define CACHE_SIZE ((size_t)1 << 17)
#define MAPS_MAX 64
#define EDGES_A_LEAF 2 /* labels count as edges, so that leaves have a limit, too */

typedef struct Edge {
        uint32_t last; /* coordinate; the first edge begins at 0 */
        DiagramId child;
} Edge;

typedef struct Node {
        union {
                const Edge *edges;
                const uint16_t *labels;
        };
        uint32_t n;
        uint32_t hash : 24;
        uint32_t variable : 8;
} Node;

typedef enum Operation {
        OPERATION_NONE,
        OPERATION_UNION,
        OPERATION_AND,
        OPERATION_MINUS,
        OPERATION_ELSE,
        OPERATION_REPLACE,
        OPERATION_DIFFERENCE,
        OPERATION_MAY,
        OPERATION_MUST,
        OPERATION_RELABEL,
        OPERATION_EXISTS,
        OPERATION_FOR_ALL,
} Operation;

typedef struct Cached {
        uint32_t key; /* Operation, and its label, variable or epoch above */
        DiagramId x, y, result;
} Cached;

struct Diagram {
        Arena *arena; /* of edges and labels */
        Node *nodes;
        size_t n_nodes, room;
        DiagramId *table; /* number + 1; 0 is free */
        size_t table_size;
        Cached *cache;
        Edge *stack;
        size_t n_stack, stack_room;
        size_t n_edges, limit;
        uint32_t epoch;
        int error;
        const uint16_t *maps[MAPS_MAX]; /* that were used for relabelling */
        size_t n_maps;
        const uint16_t *map; /* of the relabelling that is under way */
        size_t n_map;
        uint32_t *marks; /* of a visit: the epoch in which a node was seen */
        size_t n_marks;
};

static DiagramId fail(Diagram *d, int error) {
        if (d->error == 0)
                d->error = error;
        return DIAGRAM_EMPTY;
}

int diagram_error(const Diagram *d) {
        return d->error;
}

size_t diagram_edges(const Diagram *d) {
        return d->n_edges;
}

static uint64_t mix(uint64_t hash, uint64_t value) {
        hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
        return hash ^ hash >> 29;
}

static uint64_t hash_edges(unsigned int variable, const Edge *edges, size_t n) {
        uint64_t hash = mix(variable, n);

        for (size_t i = 0; i < n; i++)
                hash = mix(hash, (uint64_t)edges[i].last << 32 | edges[i].child);
        return hash;
}

static uint64_t hash_labels(const uint16_t *labels, size_t n) {
        uint64_t hash = mix(VARIABLE_LEAF, n);

        for (size_t i = 0; i < n; i++)
                hash = mix(hash, labels[i]);
        return hash;
}

static bool grow_table(Diagram *d) {
        size_t size = d->table_size ? d->table_size * 2 : 1024;
        DiagramId *table = calloc(size, sizeof(*table));

        if (!table)
                return false;
        for (size_t i = 0; i < d->n_nodes; i++) {
                const Node *n = &d->nodes[i];
                size_t slot =
                        (n->variable == VARIABLE_LEAF ? hash_labels(n->labels, n->n)
                                                      : hash_edges(n->variable, n->edges, n->n)) &
                        (size - 1);

                while (table[slot])
                        slot = (slot + 1) & (size - 1);
                table[slot] = (DiagramId)i + 1;
        }
        free(d->table);
        d->table = table;
        d->table_size = size;
        return true;
}

static bool grow_nodes(Diagram *d) {
        size_t room = d->room ? d->room * 2 : 512;
        Node *nodes = reallocarray(d->nodes, room, sizeof(*nodes));

        if (!nodes)
                return false;
        d->nodes = nodes;
        d->room = room;
        return true;
}

/* Edges or labels: what is compared and copied is bytes. */
static DiagramId
intern(Diagram *d, unsigned int variable, const void *data, size_t n, size_t size, uint64_t hash) {
        size_t slot, cost = variable == VARIABLE_LEAF ? EDGES_A_LEAF + n : n + 2;
        void *copy;

        if (d->error < 0)
                return DIAGRAM_EMPTY;
        if (d->n_nodes * 2 >= d->table_size && !grow_table(d))
                return fail(d, -ENOMEM);
        for (slot = hash & (d->table_size - 1); d->table[slot];
             slot = (slot + 1) & (d->table_size - 1)) {
                const Node *known = &d->nodes[d->table[slot] - 1];

                if (known->hash == (hash >> 40) && known->variable == variable && known->n == n &&
                    (n == 0 || memcmp(known->edges, data, n * size) == 0))
                        return d->table[slot] - 1;
        }
        if (d->n_edges + cost > d->limit || d->n_nodes >= UINT32_MAX / 2 || n > UINT32_MAX)
                return fail(d, -E2BIG);
        if (d->n_nodes == d->room && !grow_nodes(d))
                return fail(d, -ENOMEM);
        copy = arena_alloc_array(d->arena, n > 0 ? n : 1, size);
        if (!copy)
                return fail(d, -ENOMEM);
        if (n > 0)
                memcpy(copy, data, n * size);
        d->n_edges += cost;
        d->nodes[d->n_nodes] = (Node){
                .edges = copy, .n = (uint32_t)n, .hash = hash >> 40, .variable = (uint8_t)variable};
        d->table[slot] = (DiagramId)++d->n_nodes;
        return (DiagramId)d->n_nodes - 1;
}

static DiagramId intern_labels(Diagram *d, const uint16_t *labels, size_t n) {
        return intern(d, VARIABLE_LEAF, labels, n, sizeof(*labels), hash_labels(labels, n));
}

Diagram *diagram_new(size_t limit) {
        Diagram *d = calloc(1, sizeof(*d));
        uint16_t all = 0;

        if (!d)
                return NULL;
        d->limit = limit ? limit : DIAGRAM_EDGES_MAX;
        d->arena = arena_new(SIZE_MAX / 4);
        d->cache = calloc(CACHE_SIZE, sizeof(*d->cache));
        if (!d->arena || !d->cache || intern_labels(d, NULL, 0) != DIAGRAM_EMPTY ||
            intern_labels(d, &all, 1) != DIAGRAM_ALL)
                return diagram_free(d);
        return d;
}

Diagram *diagram_free(Diagram *d) {
        if (!d)
                return NULL;
        d->arena = arena_free(d->arena);
        free(d->nodes);
        free(d->table);
        free(d->cache);
        free(d->stack);
        free(d->marks);
        free(d);
        return NULL;
}

DiagramId diagram_leaf(Diagram *d, uint16_t label) {
        return intern_labels(d, &label, 1);
}

bool diagram_is_leaf(const Diagram *d, DiagramId x) {
        return d->nodes[x].variable == VARIABLE_LEAF;
}

bool diagram_asks_after(const Diagram *d, DiagramId x, unsigned int variable) {
        return d->nodes[x].variable > variable;
}

bool diagram_leaf_has(const Diagram *d, DiagramId leaf, uint16_t label) {
        const Node *n = &d->nodes[leaf];

        for (size_t i = 0; i < n->n; i++)
                if (n->labels[i] == label)
                        return true;
        return false;
}

size_t diagram_leaf_labels(const Diagram *d, DiagramId leaf, const uint16_t **ret) {
        *ret = d->nodes[leaf].labels;
        return d->nodes[leaf].n;
}

/* The stack of edges under construction. */

static bool push(Diagram *d, size_t base, uint32_t last, DiagramId child) {
        if (d->n_stack > base && d->stack[d->n_stack - 1].child == child) {
                d->stack[d->n_stack - 1].last = last;
                return true;
        }
        if (d->n_stack == d->stack_room) {
                size_t room = d->stack_room ? d->stack_room * 2 : 1024;
                Edge *stack = reallocarray(d->stack, room, sizeof(*stack));

                if (!stack) {
                        (void)fail(d, -ENOMEM);
                        return false;
                }
                d->stack = stack;
                d->stack_room = room;
        }
        d->stack[d->n_stack++] = (Edge){last, child};
        return true;
}

/* Makes a node of what lies on the stack above base, and takes it off. */
static DiagramId pop(Diagram *d, size_t base, unsigned int variable) {
        size_t n = d->n_stack - base;
        DiagramId result;

        if (d->error < 0)
                result = DIAGRAM_EMPTY;
        else if (n == 1)
                result = d->stack[base].child;
        else
                result = intern(d, variable, d->stack + base, n, sizeof(Edge),
                                hash_edges(variable, d->stack + base, n));
        d->n_stack = base;
        return result;
}

DiagramId diagram_literal(Diagram *d,
                          unsigned int variable,
                          const DiagramRange *ranges,
                          size_t n_ranges,
                          DiagramId inside,
                          DiagramId outside) {
        size_t base = d->n_stack;
        uint64_t next = 0;

        assert(variable < DIAGRAM_VARIABLES_MAX);
        for (size_t i = 0; i < n_ranges; i++) {
                if (ranges[i].low > next && !push(d, base, ranges[i].low - 1, outside))
                        break;
                if (!push(d, base, ranges[i].high, inside))
                        break;
                next = (uint64_t)ranges[i].high + 1;
        }
        /* the last edge reaches to the end of all coordinates, however many there are */
        if (next <= UINT32_MAX)
                (void)push(d, base, UINT32_MAX, outside);
        return pop(d, base, variable);
}

static Cached *cached(Diagram *d, uint32_t key, DiagramId x, DiagramId y) {
        uint64_t hash = mix(mix(key, x), y);

        return &d->cache[(hash >> 20) & (CACHE_SIZE - 1)];
}

#define LABELS_OF_LEAF_MAX 1024

static DiagramId leaf_union(Diagram *d, DiagramId x, DiagramId y, const uint16_t *without) {
        const Node *a = &d->nodes[x], *b = &d->nodes[y];
        uint16_t labels[LABELS_OF_LEAF_MAX];
        size_t n = 0, i = 0, j = 0;

        if ((size_t)a->n + b->n > LABELS_OF_LEAF_MAX)
                return fail(d, -E2BIG);
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
        return intern_labels(d, labels, n);
}

/* True if the result is known without looking further. */
static bool apply_ends(Diagram *d, uint32_t key, DiagramId x, DiagramId y, DiagramId *ret) {
        Operation operation = key & 0xff;
        uint16_t label = (uint16_t)(key >> 8);
        bool leaves = diagram_is_leaf(d, x) && diagram_is_leaf(d, y);

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
                if (diagram_is_leaf(d, x) || y == DIAGRAM_EMPTY) {
                        *ret = x == DIAGRAM_EMPTY ? DIAGRAM_EMPTY : y;
                        return true;
                }
                return false;
        case OPERATION_MINUS:
                if (diagram_is_leaf(d, y) || x == DIAGRAM_EMPTY) {
                        *ret = y == DIAGRAM_EMPTY ? x : DIAGRAM_EMPTY;
                        return true;
                }
                return false;
        case OPERATION_ELSE:
                if (diagram_is_leaf(d, x) || y == DIAGRAM_EMPTY) {
                        *ret = x == DIAGRAM_EMPTY ? y : x;
                        return true;
                }
                return false;
        case OPERATION_REPLACE:
                if (diagram_is_leaf(d, x) && !diagram_leaf_has(d, x, label)) {
                        *ret = x;
                        return true;
                }
                if (diagram_is_leaf(d, x) && d->nodes[x].n == 1) {
                        *ret = y;
                        return true;
                }
                if (leaves)
                        *ret = leaf_union(d, x, y, &label);
                return leaves;
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
                break;
        }
        return true;
}

static DiagramId apply(Diagram *d, uint32_t key, DiagramId x, DiagramId y) {
        DiagramId result = DIAGRAM_EMPTY;
        const Edge *a, *b, one[2] = {{UINT32_MAX, x}, {UINT32_MAX, y}};
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
        for (;;) {
                uint32_t last = MIN(a->last, b->last);
                DiagramId child = apply(d, key, a->child, b->child);

                if (d->error < 0 || !push(d, base, last, child))
                        break;
                if (last == UINT32_MAX)
                        break;
                a += a->last == last;
                b += b->last == last;
        }
        result = pop(d, base, variable);
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

static DiagramId relabel_leaf(Diagram *d, DiagramId leaf) {
        const Node *n = &d->nodes[leaf];
        uint16_t labels[LABELS_OF_LEAF_MAX];
        size_t n_labels = n->n;
        size_t n_new = 0;

        if (n_labels > LABELS_OF_LEAF_MAX)
                return fail(d, -E2BIG);
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
        return intern_labels(d, labels, n_new);
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
                return relabel_leaf(d, leaf);
        case OPERATION_EXISTS:
        case OPERATION_FOR_ALL:
                return leaf == DIAGRAM_EMPTY ? DIAGRAM_EMPTY : DIAGRAM_ALL;
        case OPERATION_NONE:
        case OPERATION_UNION:
        case OPERATION_AND:
        case OPERATION_MINUS:
        case OPERATION_ELSE:
        case OPERATION_REPLACE:
        case OPERATION_DIFFERENCE:
                break;
        }
        return DIAGRAM_EMPTY;
}

/* Children all in one: of a variable that is quantified. */
static DiagramId join(Diagram *d, uint32_t key, DiagramId sum, DiagramId child) {
        return (key & 0xff) == OPERATION_EXISTS ? diagram_union(d, sum, child)
                                                : diagram_and(d, sum, child);
}

static DiagramId change(Diagram *d, uint32_t key, DiagramId x) {
        Operation operation = key & 0xff;
        bool quantified = (operation == OPERATION_EXISTS || operation == OPERATION_FOR_ALL) &&
                          d->nodes[x].variable >= (uint8_t)(key >> 8);
        DiagramId result = operation == OPERATION_EXISTS ? DIAGRAM_EMPTY : DIAGRAM_ALL;
        size_t base = d->n_stack;
        Cached *c;

        if (d->error < 0)
                return DIAGRAM_EMPTY;
        if (diagram_is_leaf(d, x))
                return leaf_of(d, key, x);
        c = cached(d, key, x, x);
        if (c->key == key && c->x == x && c->y == x)
                return c->result;
        for (const Edge *e = d->nodes[x].edges;; e++) {
                DiagramId child = change(d, key, e->child);

                if (quantified)
                        result = join(d, key, result, child);
                else if (d->error < 0 || !push(d, base, e->last, child))
                        break;
                if (e->last == UINT32_MAX)
                        break;
        }
        if (!quantified)
                result = pop(d, base, d->nodes[x].variable);
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
                return fail(d, -E2BIG);
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
        while (!diagram_is_leaf(d, x))
                x = child_at(&d->nodes[x], point[d->nodes[x].variable]);
        return x;
}

#define CHOICES_MAX 4096

static uint32_t choose_value(Diagram *d, const Node *n, DiagramChoose choose, void *context) {
        DiagramRange ranges[CHOICES_MAX];
        size_t n_ranges = 0;
        uint32_t low = 0;

        for (size_t i = 0; i < n->n && n_ranges < CHOICES_MAX; i++) {
                if (n->edges[i].child != DIAGRAM_EMPTY)
                        ranges[n_ranges++] = (DiagramRange){low, n->edges[i].last};
                low = n->edges[i].last + 1;
        }
        return choose ? choose(context, n->variable, ranges, n_ranges) : ranges[0].low;
}

bool diagram_witness(
        Diagram *d, DiagramId x, uint32_t *point, DiagramChoose choose, void *context) {
        if (d->error < 0 || x == DIAGRAM_EMPTY)
                return false;
        /* a node has two different children at least, so one of them is not empty */
        while (!diagram_is_leaf(d, x)) {
                const Node *n = &d->nodes[x];

                if (child_at(n, point[n->variable]) == DIAGRAM_EMPTY)
                        point[n->variable] = choose_value(d, n, choose, context);
                x = child_at(n, point[n->variable]);
        }
        return true;
}

/* False if the node was seen before in this visit. */
static bool mark(Diagram *d, DiagramId x) {
        if (d->n_marks < d->n_nodes) {
                uint32_t *marks = reallocarray(d->marks, d->room, sizeof(*marks));

                if (!marks) {
                        (void)fail(d, -ENOMEM);
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

        if (diagram_is_leaf(d, x) || !mark(d, x))
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

        d->epoch++;
        return count_edges(d, x, &left);
}

static void visit_node(Diagram *d, DiagramId x, bool *support, DiagramVisit visit, void *context) {
        const Node *n = &d->nodes[x];

        if (!mark(d, x))
                return;
        if (diagram_is_leaf(d, x)) {
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
