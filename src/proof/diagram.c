/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/diagram_state.h"

#include <assert.h>
#include <stdalign.h>

#include "base/cpu_time.h"

/* One array of nodes, leaves among them; an open hash of their numbers; a cache of results that
 * forgets. Operations write a node's edges on a stack first, since how many there will be is known
 * only when all children are. */

DiagramId diagram_fail(Diagram *d, int error) {
        if (d->error == 0)
                d->error = error;
        return DIAGRAM_EMPTY;
}

void diagram_end_at(Diagram *d, uint64_t usec) {
        d->end_usec = usec;
        d->n_made = 0;
}

static void look_at_clock(Diagram *d) {
        if (d->end_usec > 0 && d->n_made++ % LOOK_EVERY == 0 && cpu_time_usec() >= d->end_usec)
                (void)diagram_fail(d, -E2BIG);
}

int diagram_error(const Diagram *d) {
        return d->error;
}

void diagram_limit_steps(Diagram *d, size_t steps) {
        d->steps = steps;
}

size_t diagram_edges(const Diagram *d) {
        return d->n_edges;
}

static uint64_t hash_edges(unsigned int variable, const Edge *edges, size_t n) {
        uint64_t hash = diagram_mix(variable, n);

        for (size_t i = 0; i < n; i++)
                hash = diagram_mix(hash, (uint64_t)edges[i].last << 32 | edges[i].child);
        return hash;
}

static uint64_t hash_labels(const uint16_t *labels, size_t n) {
        uint64_t hash = diagram_mix(VARIABLE_LEAF, n);

        for (size_t i = 0; i < n; i++)
                hash = diagram_mix(hash, labels[i]);
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

/* As diagrams grow: most are small, and memory that is not touched costs nothing. */
static bool grow_cache(Diagram *d) {
        size_t size = d->cache ? d->cache_size * 2 : CACHE_MIN;
        Cached *cache = calloc(size, sizeof(*cache));

        if (!cache)
                return false;
        for (size_t i = 0; i < d->cache_size; i++) {
                const Cached *c = &d->cache[i];

                if (c->key != OPERATION_NONE)
                        cache[diagram_cache_slot(size, c->key, c->x, c->y)] = *c;
        }
        free(d->cache);
        d->cache = cache;
        d->cache_size = size;
        return true;
}

/* A copy that lives as long as the diagrams. */
static void *keep(Diagram *d, const void *data, size_t size) {
        size_t rounded = (MAX(size, 1UL) + alignof(Edge) - 1) & ~(alignof(Edge) - 1);
        unsigned char *copy;

        if (rounded > d->n_free) {
                size_t room = MAX(rounded, KEPT_MIN);

                d->free = arena_alloc(d->arena, room);
                d->n_free = d->free ? room : 0;
        }
        if (!d->free)
                return NULL;
        copy = d->free;
        if (size > 0)
                memcpy(copy, data, size);
        d->free += rounded;
        d->n_free -= rounded;
        return copy;
}

/* Edges or labels: what is compared and copied is bytes. */
static DiagramId
intern(Diagram *d, unsigned int variable, const void *data, size_t n, size_t size, uint64_t hash) {
        size_t slot, cost = variable == VARIABLE_LEAF ? EDGES_A_LEAF + n : n + 2;
        void *copy;

        if (d->error < 0)
                return DIAGRAM_EMPTY;
        if (d->n_nodes * 2 >= d->table_size && !grow_table(d))
                return diagram_fail(d, -ENOMEM);
        for (slot = hash & (d->table_size - 1); d->table[slot];
             slot = (slot + 1) & (d->table_size - 1)) {
                const Node *known = &d->nodes[d->table[slot] - 1];

                if (known->hash == (hash >> 40) && known->variable == variable && known->n == n &&
                    (n == 0 || memcmp(known->edges, data, n * size) == 0))
                        return d->table[slot] - 1;
        }
        if (d->n_edges + cost > d->limit || d->n_nodes >= UINT32_MAX / 2 || n > UINT32_MAX)
                return diagram_fail(d, -E2BIG);
        if (d->n_nodes == d->room && !grow_nodes(d))
                return diagram_fail(d, -ENOMEM);
        if (d->n_nodes > d->cache_size && d->cache_size < CACHE_MAX && !grow_cache(d))
                return diagram_fail(d, -ENOMEM);
        copy = keep(d, data, n * size);
        if (!copy)
                return diagram_fail(d, -ENOMEM);
        d->n_edges += cost;
        d->nodes[d->n_nodes] = (Node){
                .edges = copy, .n = (uint32_t)n, .hash = hash >> 40, .variable = (uint8_t)variable};
        d->table[slot] = (DiagramId)++d->n_nodes;
        return (DiagramId)d->n_nodes - 1;
}

DiagramId diagram_intern_labels(Diagram *d, const uint16_t *labels, size_t n) {
        return intern(d, VARIABLE_LEAF, labels, n, sizeof(*labels), hash_labels(labels, n));
}

Diagram *diagram_new(size_t limit) {
        Diagram *d = calloc(1, sizeof(*d));
        uint16_t all = 0;

        if (!d)
                return NULL;
        d->limit = limit ? limit : DIAGRAM_EDGES_MAX;
        d->steps = SIZE_MAX;
        d->arena = arena_new(SIZE_MAX / 4);
        if (!d->arena || !grow_cache(d) || diagram_intern_labels(d, NULL, 0) != DIAGRAM_EMPTY ||
            diagram_intern_labels(d, &all, 1) != DIAGRAM_ALL)
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
        free(d->within);
        free(d->shares);
        free(d->choices);
        free(d->marks);
        free(d);
        return NULL;
}

DiagramId diagram_leaf(Diagram *d, uint16_t label) {
        return diagram_intern_labels(d, &label, 1);
}

bool diagram_is_leaf(const Diagram *d, DiagramId x) {
        return diagram_ends(d, x);
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

bool diagram_grow_stack(Diagram *d) {
        size_t room = d->stack_room ? d->stack_room * 2 : 1024;
        Edge *stack = reallocarray(d->stack, room, sizeof(*stack));

        if (!stack) {
                (void)diagram_fail(d, -ENOMEM);
                return false;
        }
        d->stack = stack;
        d->stack_room = room;
        return true;
}

DiagramId diagram_pop(Diagram *d, size_t base, unsigned int variable) {
        size_t n = d->n_stack - base;
        DiagramId result;

        look_at_clock(d);
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
                if (ranges[i].low > next && !diagram_push(d, base, ranges[i].low - 1, outside))
                        break;
                if (!diagram_push(d, base, ranges[i].high, inside))
                        break;
                next = (uint64_t)ranges[i].high + 1;
        }
        /* the last edge reaches to the end of all coordinates, however many there are */
        if (next <= UINT32_MAX)
                (void)diagram_push(d, base, UINT32_MAX, outside);
        return diagram_pop(d, base, variable);
}
