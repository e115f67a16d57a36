/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the search for rules that have no effect is made of. Private to src/policy.
 *
 * A rule means, for each family, a product: some services x some clients x some servers x some
 * owners. One rule covers another if each of its factors does, for each family that the other one
 * can match at all. Factors are shared by the rules that say the same and are indexed by what they
 * contain, so that no rule has to be compared with all others. */

#include "policy/loader.h"

/* Where the search stops without a word, rather than to take the time that only policies made for
 * it ask for. Both are far beyond 10,000 rules of any ordinary kind. */
#define COVER_RANGES_MAX 500000 /* ranges of addresses that are copied for one section's rules */
#define COVER_WORK_MAX 5000000  /* steps for one section, of some nanoseconds each */

/* ---- region.c: places, an interface and an address each */

/* One side of a rule: which clients, or which servers. */
typedef struct Side {
        const ZoneExpression *zones;   /* absent: anywhere */
        const ZoneExpression *except;  /* NULL or absent: nothing */
        const RangeSet *interfaces;    /* NULL or empty: any */
        const ZoneExpression *without; /* zones that are left out where `zones` names them too */
} Side;

/* Interfaces, and the addresses behind each of them. */
typedef struct Slice {
        RangeSet interfaces;
        RangeSet addresses[_FAMILY_MAX];
} Slice;

/* No two slices have an interface in common. */
typedef struct Region {
        Slice *slices;
        size_t n_slices;
} Region;

/* What a list in a file holds, or which networks are on link, may be different tomorrow. */
typedef enum Bound {
        BOUND_CERTAIN,  /* the places that are meant whatever they hold */
        BOUND_POSSIBLE, /* the places that may be meant */
} Bound;

/* Whether the side depends on what is not known for ever. */
bool side_moves(const Side *side);
/* How many ranges region_build() copies, and the comparisons that it makes. */
size_t side_cost(const Side *side);
/* Sets of zones are borrowed where they can be. 0 or -ENOMEM. */
int region_build(Arena *a, const Side *side, Bound bound, Region *ret);
bool region_has_family(const Region *region, Family family);
/* Whether outer holds every place of inner that has the family: 1, 0 or -ENOMEM. */
int region_covers(Arena *scratch, const Region *outer, const Region *inner, Family family);
/* The same for sides, whatever lists and networks hold. */
int side_covers(Arena *scratch, const Side *outer, const Side *inner, Family family);

/* ---- interval_index.c */

typedef struct Interval {
        U128 low, high;
        uint32_t owner;
} Interval;

/* Intervals by what they contain. */
typedef struct IntervalIndex {
        Interval *items;      /* sorted by low once it is built */
        U128 *highest;        /* of the items of which this one is the middle */
        size_t n_items;       /* at most UINT32_MAX */
        uint32_t *everywhere; /* owners that contain everything */
        size_t n_everywhere;
} IntervalIndex;

/* Makes room for as many as n_items and n_everywhere say, which are counted anew then. */
int interval_index_reserve(Arena *a, IntervalIndex *index);
void interval_index_add(IntervalIndex *index, Range r, uint32_t owner);
void interval_index_add_everywhere(IntervalIndex *index, uint32_t owner);
void interval_index_build(IntervalIndex *index);
/* Writes at most `limit` of the owners of an interval that contains r; false if there are more. */
bool interval_index_find(
        const IntervalIndex *index, Range r, size_t limit, uint32_t *ret, size_t *ret_n);

/* ---- cover_key.c: factors */

typedef enum Dimension {
        DIMENSION_SERVICE,
        DIMENSION_CLIENT,
        DIMENSION_SERVER,
        DIMENSION_OWNER,
        _DIMENSION_MAX,
} Dimension;

#define AXES_MAX _SERVICE_CLASS_MAX /* of one dimension */

/* Who may cover: each is looked for by itself. */
typedef enum Role {
        ROLE_PROTECTED,
        ROLE_DENY,
        ROLE_ALLOW,
        _ROLE_MAX,
        ROLE_NONE = -1, /* a rule with a limit */
} Role;

typedef struct Entry Entry;

/* A factor, shared by all rules that write the same. */
typedef struct Key {
        Dimension dimension;
        uint32_t number;
        uint64_t hash;
        const PolicyRule *rule; /* the first that has it */
        Region region;          /* of a side: the places that may be meant */
        const Region *certain;  /* of a side: those that are meant in any case */
        uint32_t n_ranges;      /* of region */
        bool moves;             /* side_moves() */
        bool too_large;         /* there is no region: rules with the key are left out */
        uint32_t mark;          /* of a search: contains the value that is asked for */
        struct {
                Entry *first; /* in reading order, by Entry.next */
                size_t n_entries;
        } roles[_ROLE_MAX];
} Key;

/* A rule, or a claim of `protected` in the form of one. */
struct Entry {
        const PolicyRule *rule;
        const Protected *claim; /* NULL for a rule */
        Role role;
        bool live[_FAMILY_MAX]; /* can match anything of it */
        bool left_out;          /* matches nothing, or is too large to be compared */
        Key *keys[_DIMENSION_MAX];
        Entry *cover;                /* this one has no effect since that one covers it */
        Entry *next[_DIMENSION_MAX]; /* of the same role and with the same key */
};

typedef struct CoverMemo {
        uint32_t outer, inner;
        Family family;
        bool known, result;
} CoverMemo;

#define COVER_MEMOS 256

#define CANDIDATES_MAX 64 /* keys that are looked at in one dimension */

/* The keys of one dimension that may cover a rule's. */
typedef struct Candidates {
        uint32_t keys[CANDIDATES_MAX];
        size_t n_keys;
        size_t n_entries; /* that have them */
        bool complete;    /* there are no others */
} Candidates;

typedef struct Cover {
        Loader *loader;
        SectionId section;
        Arena *arena;   /* lives as long as this */
        Arena *scratch; /* emptied after each use */
        Entry *entries; /* the rules in reading order, then the claims */
        size_t n_entries, n_rules;
        Key **keys;
        size_t n_keys;
        uint32_t *slots; /* numbers of keys plus one by their hashes; 0: free */
        size_t n_slots;  /* a power of two */
        size_t n_ranges; /* counted against COVER_RANGES_MAX */
        IntervalIndex axes[_ROLE_MAX][_DIMENSION_MAX][AXES_MAX];
        CoverMemo memos[COVER_MEMOS];
        size_t n_by_role[_ROLE_MAX];
        /* of one search: here, since to clear so much on the stack each time takes longer than most
         * searches */
        Candidates candidates[_DIMENSION_MAX], others;
        uint32_t search; /* its number: what keys are marked with */
        size_t work;     /* counted against COVER_WORK_MAX */
} Cover;

/* The key that the rule has in the dimension. 0 or -ENOMEM. */
int cover_key_find(Cover *c, const PolicyRule *rule, Dimension dimension, Key **ret);
/* Of DIMENSION_CLIENT or DIMENSION_SERVER. */
Side cover_key_side(const Cover *c, const Key *key);
bool cover_key_has_family(const Key *key, Family family);
/* Whether the factor `outer` covers the factor `inner` for one family: 1, 0 or -ENOMEM. */
int cover_key_covers(Cover *c, const Key *outer, const Key *inner, Family family);
/* Makes all keys known to the index of every role in which a rule has them. 0 or -ENOMEM. */
int cover_key_index_all(Cover *c);

/* A range on an axis that every key has that covers the one it was asked for. */
typedef struct Probe {
        unsigned int axis;
        Range range;
} Probe;

#define COVER_PROBES_MAX 8

size_t cover_key_probes(const Key *key, Family family, Probe *ret);

/* ---- cover_find.c */

/* Whether outer, which has no limit, covers inner for as long as that one lasts: 1, 0 or -ENOMEM.
 */
int cover_entry_covers(Cover *c, const Entry *outer, const Entry *inner);
/* Any one that covers e; of two alike, the one that is read first. 1, 0 or -ENOMEM. */
int cover_find(Cover *c, const Entry *e, Role role, Entry **ret);

/* ---- cover_report.c */

/* Says that the rule has no effect since e->cover covers it. */
void cover_report(Cover *c, Entry *e);
/* Says that the rule's own conditions leave nothing. 0 or -ENOMEM. */
int cover_report_dead(Cover *c, const Entry *e);
/* Whether the rule's own conditions leave nothing, or loopback alone, which is not judged. */
bool cover_is_dead(const Cover *c, const Entry *e);
