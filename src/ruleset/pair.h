/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Rules that admit a few sources each to a port of its own, as sets of pairs: one lookup of source
 * and port together for each length of prefix. These are hash tables, to which the kernel adds an
 * element, and from which it takes one, whatever their size. Where many sources share few ports,
 * other forms do better, so it takes two rounds: all rules are counted, then each is asked whether
 * it is worth it, and taken. */

#include "ruleset/pass.h"

#define PAIRS_MIN 64         /* of a set; below, each rule keeps a counter of its own */
#define PAIRS_OF_RULE_MAX 16 /* what is larger is no few sources and ports */
#define PAIR_GROUPS_MAX 16   /* each is a lookup more for packets */

typedef struct Pair {
        FieldId source; /* whose prefix is as long as it is looked up by */
        U128 address;
        uint16_t port;
} Pair;

/* By what field a prefix of a length is looked up. */
typedef struct PairField {
        FieldId source;      /* of whole addresses */
        unsigned int length; /* in bits */
        FieldId field;       /* _FIELD_INVALID: by none */
        bool is_known;       /* all this is so */
} PairField;

/* What a rule asks for, if it is sources, a protocol and ports alone. */
typedef struct PairRule {
        Verdict verdict;
        Origin origin;
        bool counted;
        uint8_t protocol;
        FieldId source, port; /* of whole addresses */
        size_t n_pairs;
        Pair pairs[PAIRS_OF_RULE_MAX];
        PairField last; /* that was asked for: most rules have prefixes of one length */
} PairRule;

/* Pairs that one lookup decides. */
typedef struct PairGroup {
        uint8_t protocol;
        FieldId source, port;
        bool counted;
        size_t n_pairs, n_ports, n_rules;
        uint64_t ports[(UINT16_MAX + 1) / 64]; /* a bit each */
        Set *set;
        Verdict verdict; /* of the first rule that has a pair in it */
        Origin origin;   /* likewise */
} PairGroup;

/* Of rules that may change places. */
typedef struct Pairs {
        Ruleset *rs;
        const char *chain;   /* after which the sets are named */
        unsigned int number; /* of such rules of that chain that became pairs, from 1 */
        PairGroup *groups;   /* room for PAIR_GROUPS_MAX, the caller's */
        size_t n_groups;
} Pairs;

/* Adds the pairs of a source, which must be a prefix, and of each of the ports. False if they are
 * too many, or not looked up like this. */
bool pair_rule_add(PairRule *p, Range source, Range ports);
/* Whether that protocol has ports. */
bool pair_has_ports(uint8_t protocol);

void pairs_count(Pairs *pairs, const PairRule *p);
/* Of one that was counted: whether there are enough like each of its pairs. */
bool pairs_is_worth(const Pairs *pairs, const PairRule *p);
/* Puts one that is worth it into the sets, which are made with their first pair. 0 or -ENOMEM.
 */
int pairs_take(Pairs *pairs, const PairRule *p);
/* Sorts the sets; of those that the ruleset has already, that one is taken. */
void pairs_finish(Pairs *pairs);
/* Appends the lookups to a chain, by the groups' own field of the port or, if it is valid, by that
 * one. 0 or -ENOMEM. */
int pairs_add_lookups(const Pairs *pairs, FieldId port, Chain *into);
