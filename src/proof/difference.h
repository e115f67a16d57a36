/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* In what two compiled Rulesets differ, for every first packet: as few regions of packets as a
 * greedy search finds, each with a packet that shows it and that both were asked about by the
 * evaluator, another code. Of one region all packets fare alike, as far as they are what they seem:
 * new, with a source that somebody routes, and so on; every packet that fares otherwise lies in
 * some region. How a packet is refused, with an answer or without, what is logged and what is
 * counted is no difference. */

#include "proof/meaning.h"

typedef enum DifferenceWay {
        DIFFERENCE_INBOUND,
        DIFFERENCE_DIALLED, /* dialled here, and sent elsewhere by whichever program */
        DIFFERENCE_ROUTED,
        DIFFERENCE_OUTBOUND,
        DIFFERENCE_FORWARD,    /* where our own table sends what is dialled here */
        DIFFERENCE_MASQUERADE, /* of what passes through */
        _DIFFERENCE_WAY_MAX,
} DifferenceWay;

typedef enum DifferenceKind {
        DIFFERENCE_GAINED,
        DIFFERENCE_GAINED_LIMITED,
        DIFFERENCE_LOST,
        DIFFERENCE_LIMITED,     /* was allowed without a limit */
        DIFFERENCE_UNLIMITED,   /* was allowed within one */
        DIFFERENCE_OTHER_LIMIT, /* within another one */
        DIFFERENCE_SENT,        /* to `target`, or masqueraded */
        DIFFERENCE_NOT_SENT,    /* no longer */
        _DIFFERENCE_KIND_MAX,
} DifferenceKind;

typedef struct DifferenceRegion {
        DifferenceWay way;
        DifferenceKind kind;
        Family family;
        RangeSet values[_MEANING_VARIABLE_MAX];
        RangeSet rest[_MEANING_VARIABLE_MAX]; /* the other values that packets have */
        bool all[_MEANING_VARIABLE_MAX];      /* whichever value it has */
        bool unusual;         /* says something about what packets usually are, too */
        Origin before, after; /* what decides about the packet: may be empty */
        const char *limit_before, *limit_after; /* or NULL */
        const NatTarget *target;                /* or NULL */
        PacketQuestion packet; /* that shows it; in and out: its interfaces' numbers */
        U128 in, out;
} DifferenceRegion;

typedef struct Difference {
        DifferenceRegion *regions; /* those of one way side by side */
        size_t n_regions;
        bool more;          /* than were asked for */
        PacketQuestion odd; /* with -EPROTO: the packet about which the two codes do not agree */
        U128 odd_in, odd_out;
} Difference;

/* Everything lives in the arena and in those of the rulesets. max: regions of a way and a family.
 * 0; -E2BIG if the rules are too complex; -EUNATCH if one of them holds a rule that is not ours;
 * -EPROTO if the two codes do not agree, which is an error of ours; -ENOMEM. */
int difference_find(
        const Ruleset *before, const Ruleset *after, size_t max, Arena *a, Difference *ret);
/* The same, given up with -E2BIG once cpu_time_usec() (base/cpu_time.h) says end_usec; 0: never. */
int difference_find_until(const Ruleset *before,
                          const Ruleset *after,
                          size_t max,
                          uint64_t end_usec,
                          Arena *a,
                          Difference *ret);

bool difference_is_fact(MeaningVariable v) _const_; /* about what packets usually are */

/* What the region is about, "tcp 5432 (postgresql) from 10.0.0.0/8", in the words of the policy's
 * zones and services. false if nothing in it tells which family is meant. */
bool difference_describe(const DifferenceRegion *r, const Policy *p, Arena *a, FILE *f);
/* "newly reachable" */
const char *difference_kind_to_string(DifferenceKind kind);
/* "inbound" */
const char *difference_way_to_string(DifferenceWay way);
