/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The inside of ruleset_lower(), shared by the files that make it up. */

#include "ruleset/pass.h"

/* Where a connection's destination is read: in the packet, or in what the client dialled before the
 * kernel translated it. */
typedef struct View {
        FieldId address[_FAMILY_MAX];
        FieldId port;
} View;

extern const View view_header;
extern const View view_dialled;

/* The chain of a rule that was already made. */
typedef struct RuleChain RuleChain;

/* A zone's set that was already made. */
typedef struct ZoneSet ZoneSet;

/* What of a section stands in sets of pairs. */
typedef struct SectionPairs SectionPairs;

typedef struct Lower {
        const Policy *policy;
        Ruleset *rs;
        Arena *arena;
        Arena *scratch;     /* emptied after each condition */
        ZoneSet *zone_sets; /* a uthash table; its items live in the arena */
        const KernelFeatures *features;
        bool pair_rules;             /* see lower_pairs() */
        bool has[_RULE_VERB_MAX][2]; /* of the section's rules: by verb, and whether limited */
        SectionPairs *pairs[_SECTION_MAX];
        bool mute;               /* in a hook where the kernel can refuse without an answer only */
        Chain *refuse;           /* rejects; made when the first rule needs it */
        RuleChain *rule_chains;  /* of rules with limits or a log: likewise */
        struct TakenName *names; /* of their chains: likewise */
} Lower;

/* What a rule asks of a connection; pointers are borrowed from the Policy and may be NULL. */
typedef struct Condition {
        const ServiceSet *services; /* NULL: any */
        const ZoneExpression *from, *to, *except;
        const RangeSet *in, *out;
        const RangeSet *users, *groups; /* empty: any */
        int64_t until;                  /* seconds since 1970; 0: for ever */
        bool except_destination;        /* `except` is about the server, not the client */
} Condition;

/* Rules on ports go one way, all others another: see lower_section(). */
typedef enum ServicePart {
        PART_PORTS = 1 << 0,
        PART_OTHERS = 1 << 1,
} ServicePart;

/* Appends the rules that give the verdict to what fulfils the condition, as far as its services are
 * of the given parts. 0 or -ENOMEM. */
int lower_condition(Lower *l,
                    Chain *chain,
                    const View *view,
                    const Condition *c,
                    unsigned int parts,
                    Verdict verdict,
                    Origin origin);

/* A text that can stand between nft's quotation marks. NULL for NULL, and without memory. */
const char *lower_comment(Lower *l, const char *text);

/* Whether the verdict on what matches the rule needs a chain of its own: for a limit or a log. */
bool lower_needs_chain(const PolicyRule *rule);
/* That chain, which ends in the verdict; it gives none beyond the rule's limits. Made at the first
 * call for a rule and a kind of verdict. NULL without memory. */
const Chain *
lower_rule_chain(Lower *l, SectionId id, const PolicyRule *rule, Verdict verdict, Origin origin);
/* Likewise a chain that logs what the section's default refuses. */
const Chain *lower_default_chain(Lower *l, SectionId id, Verdict verdict, Origin origin);

/* The chains of `nat`; nothing without it. 0 or -ENOMEM. */
int lower_nat(Lower *l);

/* Where all rules of a section that the pass `pair` would take are of its simplest kind, appends
 * the lookups of their pairs; which rules have been taken by that goes to ret_taken, NULL if none.
 * The pairs are those of the first call for a section, whatever the view. 0 or -ENOMEM. */
int lower_pairs(Lower *l, SectionId id, Chain *chain, const View *view, const bool **ret_taken);

/* The set of a zone's interfaces or addresses, made at the first call. NULL without memory. */
const Set *lower_zone_set(Lower *l, const Zone *zone, const RangeSet *ranges, TypeId type);
void lower_done(Lower *l);
void lower_limits_done(Lower *l); /* likewise */

/* What passes without being asked for, delivered here or sent by this host. 0 or -ENOMEM. */
int lower_essentials(Lower *l, Chain *chain, bool in);
/* Leads there what may be one of them. */
int lower_essentials_jumps(Lower *l, Chain *chain, const Chain *to, bool in);

/* Fills the chain of a section, its last rule the default. protect: put `protected` in front. */
int lower_section(Lower *l, SectionId id, Chain *chain, const View *view, bool protect);
/* Drops what is protected, by the view's port. */
int lower_protected(Lower *l, Chain *chain, const View *view, unsigned int parts);
