/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of the search for rules without effect share. */

#include "proof/effect.h"
#include "proof/meaning.h"

/* A set of packets of each family. */
typedef struct Packets {
        DiagramId of[_FAMILY_MAX];
} Packets;

/* A rule, or a claim of `protected`. */
typedef struct EffectItem {
        const PolicyRule *rule;
        const Protected *claim; /* NULL for a rule */
        Packets packets;
        double size;              /* about what part of all packets they are */
        bool limited;             /* its packets are admitted for a while only */
        bool dead;                /* all of them are decided before, or there are none */
        bool covered;             /* by others, which stay */
        struct EffectList *group; /* it is in; NULL of claims and of what is dead */
} EffectItem;

typedef struct EffectList {
        EffectItem *items;
        size_t n;
        EffectItem **sorted; /* those that are not dead, the largest first; of two alike, the one
                              * that is read first */
        size_t n_sorted;
        Packets *tree; /* unions of halves of them, and of halves of these, ...: a heap */
        struct EffectList *groups; /* none has a packet that is in another one, too */
        size_t n_groups;
} EffectList;

/* Whether addresses are in the part is another matter each day: a variable says it. */
typedef struct EffectUnknown {
        const ZonePart *part;
        bool server; /* whether it is the server's address that is asked for */
} EffectUnknown;

/* One section. */
typedef struct Effect {
        const Policy *policy;
        const Section *section;
        SectionId id;
        Diag *d;
        Arena *arena, *scratch; /* scratch: of one set of addresses */
        Meaning *m[_FAMILY_MAX];
        bool forget[DIAGRAM_VARIABLES_MAX]; /* variables that no rule asks for */
        EffectUnknown *unknowns;
        size_t n_unknowns;
        Packets loopback; /* what is never judged, since it goes from this host to itself */
        Packets before;  /* what no rule is asked about: that, what passes unasked, and what no rule
                            is about */
        Packets refused; /* and what `protected` refuses */
        Packets denied;  /* and what denies refuse */
        Packets containers; /* what containers may do unasked */
        EffectList claims, denies, allows;
        bool too_complex;
} Effect;

static inline Packets effect_union(Effect *e, Packets x, Packets y) {
        for (Family f = 0; f < _FAMILY_MAX; f++)
                x.of[f] = diagram_union(meaning_diagram(e->m[f]), x.of[f], y.of[f]);
        return x;
}

/* Packets of y that are also of x. */
static inline Packets effect_both(Effect *e, Packets x, Packets y) {
        for (Family f = 0; f < _FAMILY_MAX; f++)
                x.of[f] = diagram_and(meaning_diagram(e->m[f]), x.of[f], y.of[f]);
        return x;
}

static inline bool effect_within(Effect *e, Packets x, Packets y, Packets z) {
        for (Family f = 0; f < _FAMILY_MAX; f++)
                if (!diagram_within(meaning_diagram(e->m[f]), x.of[f], y.of[f], z.of[f]))
                        return false;
        return true;
}

static inline bool effect_meets(Effect *e, Packets x, Packets y) {
        for (Family f = 0; f < _FAMILY_MAX; f++)
                if (diagram_meets(meaning_diagram(e->m[f]), x.of[f], y.of[f]))
                        return true;
        return false;
}

static inline bool effect_is_none(Packets x) {
        return x.of[FAMILY_IPV4] == DIAGRAM_EMPTY && x.of[FAMILY_IPV6] == DIAGRAM_EMPTY;
}

/* Clients or servers that the rule means. */
typedef struct EffectSide {
        const ZoneExpression *zones, *except; /* except: NULL or absent: nothing */
        const RangeSet *interfaces;
        MeaningVariable address, interface;
} EffectSide;

/* effect_region.c */

EffectSide effect_side(const Effect *e, const PolicyRule *rule, bool server);
/* Makes e->m with all cuts of the section. -E2BIG where there is too much to tell apart. */
int effect_open(Effect *e);
/* What is decided before any rule; of packets that no rule of the lists is about, it says so, too.
 */
int effect_find_before(Effect *e);
Packets effect_of_rule(Effect *e, const PolicyRule *rule);
/* What the claim refuses in this section. */
Packets effect_of_claim(Effect *e, const Protected *claim);
/* What containers may do unasked. */
Packets effect_of_containers(Effect *e);
Packets effect_of_side(Effect *e, const EffectSide *side);
Packets effect_of_services(Effect *e, const ServiceSet *s);
/* 0, -E2BIG or -ENOMEM: no diagram means anything before it was asked. */
int effect_error(const Effect *e);

/* effect_group.c */

/* Puts what is sorted in groups, each of them in the same order. 0 or -ENOMEM. */
int effect_group(Effect *e, EffectList *l);

/* effect.c */

/* From here on the list has those that stay, and cover others: others may be looked for in it. 0 or
 * -ENOMEM. */
int effect_keep(Effect *e, EffectList *l);

/* effect_report.c */

/* Says why the rule has no effect. 0 or what effect_error() says. */
int effect_report(Effect *e, const EffectItem *item);
