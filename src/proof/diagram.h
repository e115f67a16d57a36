/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Functions of packets as decision diagrams: a node asks for one variable and has an edge for each
 * interval of its values, a leaf is a set of labels (what may become of the packet). Diagrams are
 * ordered, reduced and kept once, so that two functions are equal if and only if their numbers are.
 * Values are coordinates, see axis.h.
 *
 * Errors stick: past the limit every function returns DIAGRAM_EMPTY, and diagram_error() tells. No
 * answer may be taken from a diagram before it was asked. */

#include "base/arena.h"

#define DIAGRAM_EDGES_MAX ((size_t)48 << 20) /* of eight bytes each; more is "too complex" */
#define DIAGRAM_VARIABLES_MAX 250            /* 0 is asked first */
#define DIAGRAM_LABELS_MAX 60000

typedef struct Diagram Diagram;
typedef uint32_t DiagramId; /* of a node or leaf; means something within its Diagram alone */

#define DIAGRAM_EMPTY ((DiagramId)0) /* the leaf without labels: no packet */
#define DIAGRAM_ALL ((DiagramId)1)   /* the leaf of label 0: every packet */

/* Coordinates, both ends in. */
typedef struct DiagramRange {
        uint32_t low, high;
} DiagramRange;

/* limit: edges; 0 means DIAGRAM_EDGES_MAX. NULL without memory. */
Diagram *diagram_new(size_t limit);
Diagram *diagram_free(Diagram *d); /* accepts NULL, returns NULL */

/* How many edges may be looked at from now on: more is -E2BIG. For what has to end soon. */
void diagram_limit_steps(Diagram *d, size_t steps);
/* From when cpu_time_usec() says so (base/cpu_time.h), what is not done yet is past a limit, too.
 */
void diagram_end_at(Diagram *d, uint64_t usec);

/* 0, -E2BIG past a limit, or -ENOMEM. */
int diagram_error(const Diagram *d);
size_t diagram_edges(const Diagram *d); /* in all diagrams that were made */

/* The leaf of one label. */
DiagramId diagram_leaf(Diagram *d, uint16_t label);
bool diagram_is_leaf(const Diagram *d, DiagramId x);
bool diagram_leaf_has(const Diagram *d, DiagramId leaf, uint16_t label);
/* Whether x asks for no variable before this one. */
bool diagram_asks_after(const Diagram *d, DiagramId x, unsigned int variable);
/* The labels of a leaf, ascending. */
size_t diagram_leaf_labels(const Diagram *d, DiagramId leaf, const uint16_t **ret);

/* `inside` where the variable is in one of the ranges (ascending, disjoint), else `outside`; both
 * of them may ask for later variables alone. */
DiagramId diagram_literal(Diagram *d,
                          unsigned int variable,
                          const DiagramRange *ranges,
                          size_t n_ranges,
                          DiagramId inside,
                          DiagramId outside);

/* Both, as sets of labels. */
DiagramId diagram_union(Diagram *d, DiagramId x, DiagramId y);
/* y where x has any label, else nothing. */
DiagramId diagram_and(Diagram *d, DiagramId x, DiagramId y);
/* x where y has no label. */
DiagramId diagram_minus(Diagram *d, DiagramId x, DiagramId y);
/* x, and y where x has no label. */
DiagramId diagram_else(Diagram *d, DiagramId x, DiagramId y);
/* x, with what y says in the place of the label wherever x has it. */
DiagramId diagram_replace(Diagram *d, DiagramId x, uint16_t label, DiagramId y);
/* Where x and y differ. */
DiagramId diagram_difference(Diagram *d, DiagramId x, DiagramId y);

/* DIAGRAM_ALL where the leaf has the label, or has nothing but it, else nothing. */
DiagramId diagram_where_may(Diagram *d, DiagramId x, uint16_t label);
DiagramId diagram_where_must(Diagram *d, DiagramId x, uint16_t label);
/* Another label in the place of each: map[label]; labels from n on are left as they are. A map
 * lives as long as the Diagram and does not change: what was made with it is remembered. */
DiagramId diagram_relabel(Diagram *d, DiagramId x, const uint16_t *map, size_t n);

/* Of x as a set of packets (its leaves' labels do not count): those that are in it for some value,
 * or for each value, of all variables from `first` on. */
DiagramId diagram_exists(Diagram *d, DiagramId x, unsigned int first);
DiagramId diagram_for_all(Diagram *d, DiagramId x, unsigned int first);

/* x as a set of packets, whatever the variables are that `forget` marks: those that are in it for
 * some value of them. `forget` is the same in all calls for one Diagram, and lives as long. */
DiagramId diagram_forget(Diagram *d, DiagramId x, const bool forget[DIAGRAM_VARIABLES_MAX]);

/* Of x, y, z as sets of packets, without making a diagram of the answer: whether every packet of x
 * is in y or in z; and whether some packet is both in x and in y. Past the limit of steps the
 * answer is no, and yes. */
bool diagram_within(Diagram *d, DiagramId x, DiagramId y, DiagramId z);
bool diagram_meets(Diagram *d, DiagramId x, DiagramId y);

/* The leaf at a point: point[variable] is a coordinate. */
DiagramId diagram_at(const Diagram *d, DiagramId x, const uint32_t *point);

/* A point at which x is not empty; false if there is none. *point comes with the values that are
 * liked best, and is changed where those do not do; choose (or NULL) is asked for the coordinate to
 * take of a variable whose liked one does not: any of the n ranges will do. */
typedef uint32_t (*DiagramChoose)(void *context,
                                  unsigned int variable,
                                  const DiagramRange *ranges,
                                  size_t n_ranges);
bool diagram_witness(Diagram *d, DiagramId x, uint32_t *point, DiagramChoose choose, void *context);

/* The values of one variable that packets of x have: ascending, disjoint and not adjacent ranges.
 * 0 or -ENOMEM. */
int diagram_project(Diagram *d,
                    DiagramId x,
                    unsigned int variable,
                    Arena *a,
                    DiagramRange **ret,
                    size_t *ret_n);

/* Which part of all points x holds, about: `share` tells which part of a variable's values the
 * coordinates are. It is the same in all calls for one Diagram. */
typedef double (*DiagramShare)(const void *context,
                               unsigned int variable,
                               uint32_t low,
                               uint32_t high);
double diagram_share(Diagram *d, DiagramId x, DiagramShare share, const void *context);

/* Whether x has no more than max edges. */
bool diagram_is_small(Diagram *d, DiagramId x, size_t max);

/* Marks the variables that x depends on. */
void diagram_support(Diagram *d, DiagramId x, bool ret[DIAGRAM_VARIABLES_MAX]);

/* What the function `visit` is told: where x has which leaf, one box after the other would be too
 * many, so only the leaves. */
typedef void (*DiagramVisit)(void *context, DiagramId leaf);
void diagram_visit_leaves(Diagram *d, DiagramId x, DiagramVisit visit, void *context);

static inline void diagram_freep(Diagram **d) {
        (void)diagram_free(*d);
}
