/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of meanings share. */

#include "proof/meaning.h"

/* What becomes of packets of some `care`; it says nothing of others. A packet may be in both, where
 * it is not known which, or a limit decides. */
typedef struct MeaningFate {
        DiagramId ends; /* what rules say */
        DiagramId left; /* where none does: a set */
} MeaningFate;

typedef struct Known {
        const Chain *chain; /* NULL: a free place */
        MeaningWay way;
        DiagramId care;
        MeaningFate fate;
} Known;

typedef struct LargeSet {
        const Set *set;
        MeaningVariable variable;
} LargeSet;

struct Meaning {
        LargeSet *large; /* that were cut */
        size_t n_large;
        const Ruleset *rs;
        Family family;
        bool is_of_family[_FIELD_MAX]; /* not the other one's alone */
        Arena *arena, *scratch;        /* scratch: of one literal */
        Diagram *diagram;
        Axis axes[_MEANING_VARIABLE_MAX];
        DiagramId domain;
        const NatTarget **targets;
        size_t n_targets;
        Packet classes[_MEANING_WAY_MAX][_MEANING_CLASS_MAX]; /* the fields that nobody varies */
        MeaningWay way;                                       /* that is being walked */
        bool tell_limits;
        const char *told;    /* see meaning_tell_rule(); or NULL */
        const char **limits; /* what they say */
        size_t n_limits;
        size_t n_chains; /* of all rulesets */
        size_t *weights; /* of chains, by Chain.scratch; 0: not known yet */
        Known *known;    /* an open hash of chains' meanings */
        size_t n_known, known_size;
        int error;
};

/* meaning_field.c */

/* False of fields that are the same in all packets of a class. */
bool meaning_find_variable(FieldId field, MeaningVariable *ret);
/* Which variable the way's packets have for it: without a translation, one address and one port. */
MeaningVariable meaning_seen_as(MeaningWay way, MeaningVariable v);
/* Fills in m->is_of_family. */
void meaning_find_families(Meaning *m);
/* The addresses of which the field, which may look at a prefix alone, has a value in the range;
 * runs backwards if none has. */
Range meaning_of_prefixes(FieldId field, Range r);
/* The fields that make no difference within a class. */
void meaning_make_classes(Meaning *m, MeaningWay way);

/* meaning_cut.c */

int meaning_cut_rules(Meaning *m);

/* meaning.c */

DiagramId meaning_fail(Meaning *m, int error);
/* What lies in m->scratch then is the caller's to reset. */
DiagramId meaning_literal(Meaning *m,
                          MeaningVariable v,
                          const Range *items,
                          size_t n,
                          DiagramId inside,
                          DiagramId outside);

/* meaning_condition.c */

/* YES where packets of this way have the field at all. */
DiagramId meaning_presence(Meaning *m, FieldId field);
/* Where the key of several fields may be this element's. */
DiagramId
meaning_element_condition(Meaning *m, const Element *e, const FieldId *list, size_t n_fields);
/* Whether the match may hold or not for one and the same packet, as far as is known here. */
bool meaning_is_unsure(const Match *match);
/* x where the rule's matches hold; EMPTY as soon as none of the packets is left. */
DiagramId meaning_rule_condition(Meaning *m, const Rule *rule, DiagramId x);

/* meaning_sieve.c */

typedef struct MeaningSieve {
        Meaning *m;
        DiagramId care;
        Arena *arena;
        bool known[_MEANING_VARIABLE_MAX];
        RangeSet values[_MEANING_VARIABLE_MAX]; /* that packets of `care` have */
} MeaningSieve;

/* NULL where it is not worth it to look at n rules or elements: all of them are for `care` then. */
MeaningSieve *meaning_sieve_new(Meaning *m, DiagramId care, size_t n);
MeaningSieve *meaning_sieve_free(MeaningSieve *s);
/* False of what matches no packet of `care`, or does nothing. */
bool meaning_sieve_holds_rule(MeaningSieve *s, const Rule *rule);
bool meaning_sieve_holds_element(MeaningSieve *s,
                                 const Element *e,
                                 const FieldId *list,
                                 size_t n_fields);

static inline void meaning_sieve_freep(MeaningSieve **s) {
        (void)meaning_sieve_free(*s);
}

/* meaning_fold.c. Everything from here on is about the packets of `care` alone, and nothing of
 * others: what earlier rules have decided is no longer cared about, so that rules behind them cost
 * next to nothing. */

typedef MeaningFate (*Piece)(Meaning *m, const void *context, size_t i, DiagramId care);

typedef struct Pieces {
        Piece piece;
        const void *context;
        const size_t *weights; /* sums, one more than there are pieces */
} Pieces;

typedef struct Elements {
        const Set *set;
        const FieldId *fields;
        size_t n_fields;
        bool is_map;
} Elements;

DiagramId meaning_narrow(Meaning *m, DiagramId care, DiagramId left);
MeaningFate meaning_within(Meaning *m, MeaningFate fate, DiagramId x);
/* A fate of those that hold, put among all that are cared about; sure: those surely hold. */
MeaningFate
meaning_or_past(Meaning *m, MeaningFate fate, DiagramId holds, DiagramId care, bool sure);
/* The pieces one after the other, each where the ones before fell through. */
MeaningFate meaning_fold(Meaning *m, const Pieces *p, size_t first, size_t n, DiagramId care);
MeaningFate meaning_of_elements(Meaning *m, const Elements *s, DiagramId care);

/* meaning_rule.c */

size_t meaning_chain_weight(Meaning *m, const Chain *chain);
MeaningFate meaning_of_verdict(Meaning *m, Verdict v, const Rule *rule, DiagramId care);
MeaningFate meaning_of_chain(Meaning *m, const Chain *chain, DiagramId care);
/* The same as one function: MEANING_FALL where no rule says anything. */
static inline DiagramId meaning_of_all(Meaning *m, MeaningFate fate) {
        return diagram_union(m->diagram, fate.ends, fate.left);
}
/* What passes there is always so. */
static inline bool meaning_is_essential(const Chain *chain) {
        return startswith(chain->name, "essentials-");
}

/* meaning_way.c */

/* The hook's chains that filter, one after the other; NULL behind the last. */
const Chain *meaning_next_chain(const Ruleset *rs, Hook hook, const Chain *last);
