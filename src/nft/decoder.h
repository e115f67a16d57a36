/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the parts of the decoder share; see decode.h for its use. */

#include "nft/attribute.h"
#include "ruleset/ruleset.h"

/* Where an interval begins or ends, until all are there. */
typedef struct Boundary {
        U128 key;
        bool is_end;
        Element element; /* of a beginning: what holds from there on */
} Boundary;

/* The elements that a set should have, each found by its key. */
typedef struct Expected Expected;

typedef struct KnownSet {
        const char *name; /* the kernel's; sets without a name of ours have one, too */
        Set *set;
        Boundary *boundaries; /* of intervals of one field */
        size_t n_boundaries;
        Expected *expected; /* or NULL; what is of these is not in set->elements before the end */
} KnownSet;

typedef struct Decoder {
        Ruleset *rs;
        KnownSet *sets; /* sorted by name from decoder_sort() on */
        size_t n_sets;
        Chain **chains; /* likewise */
        size_t n_chains;
        const Ruleset *known;  /* what is not among the messages may be there; or NULL */
        Chain **known_chains;  /* once somebody has asked: likewise */
        const Ruleset *wanted; /* whose elements a set may borrow that has the same; or NULL */
} Decoder;

/* 0, -ENOMEM or -EPROTO each. A chain that exists for one rule alone is passed over. */
int decode_set(Decoder *d, const Attributes *a);
int decode_elements(Decoder *d, const Attributes *a);
/* Once all elements are in: joins the boundaries of intervals, and sorts. -EAGAIN for an element
 * that stands there twice. */
int decode_finish_set(Decoder *d, KnownSet *known);
int decode_rule(Decoder *d, const Attributes *a);
int decode_object(Decoder *d, const Attributes *a);

/* ---- decode_expected.c: most sets hold what they should, and need neither memory nor an order */

/* For `live`, which has no elements yet. *ret is NULL where the two are better compared as lists:
 * of maps, intervals, and few elements. 0 or -ENOMEM. */
int expected_new(Arena *a, const Ruleset *wanted, const Set *live, Expected **ret);
/* Whether the element is one of those, and was not there before. */
bool expected_take(Expected *x, const Element *e);
/* Once all are in, and what was not taken is in set->elements: 1 if those that are wanted are there
 * and no others, which the set then borrows, in their order; 0 if not, and all stand in
 * set->elements; -ENOMEM. */
int expected_finish(Arena *a, const Expected *x, Set *set);

KnownSet *decoder_find_set(const Decoder *d, const char *name);
Chain *decoder_find_chain(const Decoder *d, const char *name);
/* What something leads to or looks up, which may be of what is known only. */
KnownSet *decoder_find_named_set(Decoder *d, const char *name);
const Chain *decoder_find_target(Decoder *d, const char *name);

/* The verdict in a data attribute; false if it is none of ours or leads to an unknown chain. */
bool decode_verdict(Decoder *d, const Attributes *data, Verdict *ret);

/* Whether a set is one that ringwall could have made. */
static inline bool known_set_is_ours(const KnownSet *known) {
        return known->set->n_types > 0;
}
