/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of differences share. */

#include "proof/difference.h"
#include "proof/meaning_change.h"

typedef struct Box {
        DiagramRange *ranges[_MEANING_VARIABLE_MAX];
        size_t n[_MEANING_VARIABLE_MAX];
} Box;

typedef struct Region {
        Box box;
        bool free_facts; /* what packets usually are does not matter to what it covers */
} Region;

typedef struct Search {
        const Ruleset *before, *after;
        const Changes *changes;
        Meaning *m;
        Diagram *d;
        Arena *arena, *scratch; /* scratch: of one family */
        Family family;
        DifferenceWay way;
        MeaningWay packets;
        bool input; /* whether packets of the way are seen at input; of outbound ones no matter */
        DiagramId care, usual; /* packets of the way; those that are what they seem */
        DiagramId asked;       /* those that are looked at: all others fare alike */
        Box there[2];          /* the values that packets have: of usual ones, and of all */
        DiagramId old, new;    /* meanings */
        size_t first, max; /* regions: those of other ways; and how many of this one may follow */
        uint64_t end_usec;
        Difference *result;
        uint64_t random;
} Search;

static inline DiagramId difference_both(Search *s, DiagramId x, DiagramId y) {
        return diagram_and(s->d, x, y);
}

static inline DiagramId difference_without(Search *s, DiagramId x, DiagramId y) {
        return diagram_minus(s->d, x, y);
}

/* difference_usual.c */

int difference_cut(Search *s);
/* Whether packets of the way differ in it: this host's own have no interface that they come by, and
 * others no owner. */
bool difference_has_variable(const Search *s, MeaningVariable v);
/* Finds s->care and s->usual. */
void difference_set_domain(Search *s);
/* The point of the values that packets usually have. */
void difference_start(Search *s, uint32_t *point);

/* difference_box.c */

/* skip: a variable that does not matter, or _MEANING_VARIABLE_MAX. */
DiagramId difference_box_diagram(Search *s, const Box *box, bool free_facts, MeaningVariable skip);
/* The largest box around the point that has none of the others. */
int difference_grow(Search *s, const uint32_t *point, DiagramId others, bool facts, Box *ret);
/* Which coordinates of x are among those of y. */
int difference_meet(Search *s, const Box *x, const Box *y, MeaningVariable v, Box *ret);
bool difference_equal_ranges(const Box *x, const Box *y, MeaningVariable v);
/* No word about values that no such packet has. */
int difference_trim(Search *s, Box *box, const Box *there);
/* The values that packets of x have. */
int difference_find_there(Search *s, DiagramId x, Box *ret);
int difference_fill_values(Search *s, const Region *region, DifferenceRegion *ret);

/* difference_cover.c */

/* Boxes around packets of x until none is left: first among those that are what they seem. */
int difference_cover(Search *s, DiagramId x, bool facts, Region **list, size_t *n);
/* Later ones may cover what an earlier one was made for; and of two that overlap, one need not tell
 * of what the other one does. */
int difference_thin_out(Search *s, DiagramId x, Region *list, size_t *n);

/* difference_compare.c */

/* Asks the evaluator, too. 0, -EPROTO with s->result->odd, or -ENOMEM. */
int difference_compare(Search *s);
