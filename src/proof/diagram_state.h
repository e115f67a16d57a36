/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of diagrams share. */

#include "proof/diagram.h"

#define VARIABLE_LEAF UINT8_MAX
#define CACHE_MIN ((size_t)1 << 10)
#define CACHE_MAX ((size_t)1 << 17)
#define KEPT_MIN ((size_t)2 * 1024) /* bytes for edges and labels that are asked for at once */
#define MAPS_MAX 64
#define LOOK_EVERY 1024 /* nodes: at the clock */
#define EDGES_A_LEAF 2  /* labels count as edges, so that leaves have a limit, too */

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
        OPERATION_FORGET,
        OPERATION_MEETS,
} Operation;

typedef struct Cached {
        uint32_t key; /* Operation, and its label, variable or epoch above */
        DiagramId x, y, result;
} Cached;

/* What diagram_within() found out. */
typedef struct Within {
        DiagramId x, y, z;
        bool known, result;
} Within;

struct Diagram {
        Arena *arena;        /* of edges and labels */
        unsigned char *free; /* the rest of the last piece of it */
        size_t n_free;
        Node *nodes;
        size_t n_nodes, room;
        DiagramId *table; /* number + 1; 0 is free */
        size_t table_size;
        Cached *cache; /* what was asked before; some of it */
        size_t cache_size;
        Edge *stack;
        size_t n_stack, stack_room;
        DiagramRange *choices;
        size_t choices_room;
        size_t n_edges, limit;
        uint64_t end_usec; /* 0: never */
        size_t n_made;     /* nodes, known ones too, since the end was set */
        uint32_t epoch;
        int error;
        const uint16_t *maps[MAPS_MAX]; /* that were used for relabelling */
        size_t n_maps;
        const uint16_t *map; /* of the relabelling that is under way */
        size_t n_map;
        const bool *forget; /* of diagram_forget() */
        size_t steps;       /* edges that may still be looked at */
        Within *within;     /* a cache as large as the other one; NULL until it is needed */
        size_t within_size;
        double *shares; /* of nodes, by diagram_share(); 0 where it is not known yet */
        size_t n_shares;
        uint32_t *marks; /* of a visit: the epoch in which a node was seen */
        size_t n_marks;
};

#define LABELS_OF_LEAF_MAX 1024

DiagramId diagram_fail(Diagram *d, int error);
DiagramId diagram_intern_labels(Diagram *d, const uint16_t *labels, size_t n);

/* Makes room for one more edge. */
bool diagram_grow_stack(Diagram *d);
/* Makes a node of what lies on the stack above base, and takes it off. */
DiagramId diagram_pop(Diagram *d, size_t base, unsigned int variable);

static inline uint64_t diagram_mix(uint64_t hash, uint64_t value) {
        hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
        return hash ^ hash >> 29;
}

static inline size_t diagram_cache_slot(size_t size, uint32_t key, DiagramId x, DiagramId y) {
        return (diagram_mix(diagram_mix(key, x), y) >> 20) & (size - 1);
}

/* What diagram_is_leaf() says. */
static inline bool diagram_ends(const Diagram *d, DiagramId x) {
        return d->nodes[x].variable == VARIABLE_LEAF;
}

/* The stack of edges under construction: what lies on it above `base` becomes a node. */
static inline bool diagram_push(Diagram *d, size_t base, uint32_t last, DiagramId child) {
        if (d->n_stack > base && d->stack[d->n_stack - 1].child == child) {
                d->stack[d->n_stack - 1].last = last;
                return true;
        }
        if (d->n_stack == d->stack_room && !diagram_grow_stack(d))
                return false;
        d->stack[d->n_stack++] = (Edge){last, child};
        return true;
}
