/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Where one packet can stand for many. A cut is the first value of an interval that no rule tells
 * apart any further, a field at a time: trying each cut of each field tries everything. Only rules
 * that a packet of the class in question can meet are asked, which keeps the cuts of one service
 * few, however many rules there are for others. */

#include "ruleset/packet.h"

/* What is told apart. */
typedef enum Dimension {
        DIMENSION_SOURCE4,
        DIMENSION_SOURCE6,
        DIMENSION_DESTINATION4,
        DIMENSION_DESTINATION6,
        DIMENSION_IN,
        DIMENSION_OUT,
        DIMENSION_PORT,
        DIMENSION_ICMP,
        DIMENSION_ICMPV6,
        DIMENSION_PROTOCOL,
        DIMENSION_USER,
        DIMENSION_GROUP,
        _DIMENSION_MAX,
        DIMENSION_NONE = -EINVAL,
} Dimension;

typedef struct Cuts {
        U128 *values;
        size_t n_values;
} Cuts;

/* Packets that differ in some fields alone. */
typedef struct PacketClass {
        Hook hook;
        Packet packet;                 /* what they have in common */
        bool varies[_FIELD_MAX];       /* fields that are any value, or absent ... */
        const RangeSet *const *within; /* ... of these ranges, by dimension; NULL: any at all */
} PacketClass;

typedef struct Cutter {
        const Ruleset *rs;
        Ruleset base; /* the same with nothing but base chains: where every packet begins */
        Arena *arena; /* of the cuts; the caller's */
        Cuts *cuts;   /* one for each dimension; the caller's */
        size_t epoch; /* counts the classes: what a chain's scratch says is of one of them */
} Cutter;

/* Uses the chains' scratch from now on. a: of what lives as long as the cutter. 0 or -ENOMEM, as
 * all that follow. */
int cutter_init(Cutter *c, const Ruleset *rs, Arena *a);

/* The interval begins and ends at a cut. */
int cuts_add(Arena *a, Cuts *cuts, Range r);
int cuts_add_ranges(Arena *a, Cuts *cuts, const RangeSet *ranges);
/* Sorts, adds the lowest value, and drops what stands twice or is no value of the field. */
int cuts_finish(Arena *a, Cuts *cuts, Dimension dimension);

/* The fields that have cuts by these dimensions of every rule there is. */
int cutter_add_all(Cutter *c, Dimension first, Dimension last);
/* The fields in which packets of the class differ, by every rule that one of them can meet on its
 * way, as ruleset_eval() knows it. */
int cutter_add_class(Cutter *c, const PacketClass *class);
/* Likewise by the rules that ruleset_translate() asks. */
int cutter_add_translation(Cutter *c, const PacketClass *class);
