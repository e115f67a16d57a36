/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of claims about compiled rules share. */

#include "proof/claim.h"
#include "proof/meaning.h"

/* A claim, one way: no packet of the region may fare wrongly. */
typedef struct Case {
        MeaningWay way;
        DiagramId region;
        uint16_t wrong; /* MEANING_ACCEPT or MEANING_DROP */
        Span at;
        bool *broken; /* of the claim, in whichever way and family */
} Case;

typedef struct Claims {
        const Policy *policy;
        const Ruleset *rs;
        const Ruleset *entries; /* the same to the evaluator */
        Diag *d;
        Meaning *m;
        Diagram *diagram;
        Family family;
        MeaningWay way;        /* one at a time: diagrams of large sets are large */
        DiagramId translation; /* where our own chains send connections */
        Case *cases;           /* in an arena */
        size_t n_cases;
        Arena *arena;
        DiagramId ways[_MEANING_WAY_MAX];
        DiagramId care[_MEANING_WAY_MAX]; /* the regions of all cases of the way */
        bool *broken_protected, *broken_expects;
        uint64_t random;
        size_t n_compared;
} Claims;

static inline DiagramId claim_both(Claims *c, DiagramId x, DiagramId y) {
        return diagram_and(c->diagram, x, y);
}

static inline DiagramId claim_where(Claims *c, MeaningVariable v, uint64_t value) {
        return meaning_where_value(c->m, v, u128(value));
}

/* claim_region.c */

/* Documentation addresses (RFC 5737, RFC 3849), which stand for a container's. */
extern const U128 claim_published[_FAMILY_MAX];

int claim_cut(Claims *c);
DiagramId claim_where_services(Claims *c, const ServiceSet *s, MeaningVariable port);
DiagramId claim_where_zone(Claims *c,
                           const ZoneExpression *e,
                           MeaningVariable address,
                           MeaningVariable interface);
DiagramId claim_without_value(Claims *c, DiagramId x, MeaningVariable v, U128 value);
/* x without addresses that never come from outside. */
DiagramId claim_outside(Claims *c, DiagramId x, MeaningVariable v);
/* A port that no claim protects; 0 if there is none. */
uint16_t claim_unprotected_port(const Policy *p);

/* claim_case.c */

/* All claims' cases of the way. 0, -ENOMEM or what meaning_error() says. */
int claim_add_cases(Claims *c);
