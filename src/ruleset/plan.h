/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What would change if one Ruleset took another's place, in two languages: the operator's, by the
 * rules of the policy (their origins, which a ruleset read from the kernel still bears as
 * comments), and nftables', by chains, rules and sets. Pure; the plan lives in the arena and
 * borrows from both rulesets. */

#include "ruleset/ruleset.h"

typedef enum PlanChange {
        PLAN_COMES,
        PLAN_GOES,
        PLAN_CHANGES, /* stays, and means something else */
        PLAN_MOVES,   /* stays and means the same, only its place in the policy is another */
        _PLAN_CHANGE_MAX,
} PlanChange;

/* A rule of the policy, which may be many rules for the kernel; or what ringwall, or somebody else,
 * put there without the policy saying so. */
typedef struct PlanRule {
        PlanChange change;
        bool from_policy;
        const char *section; /* "inbound", "protected", ...; else the chain it stands in */
        const char *text;    /* as it will be called; of PLAN_GOES, as it was */
        const char *was;     /* as it was called before; of PLAN_CHANGES and PLAN_MOVES */
        const char **before; /* conditions that it has no longer, in nft's words */
        size_t n_before;
        const char **after; /* conditions that are new to it */
        size_t n_after;
} PlanRule;

/* A named set, or the map of a lookup. */
typedef struct PlanSet {
        PlanChange change;
        const Set *set; /* the new one; of PLAN_GOES, the old one */
        size_t n_come, n_go;
} PlanSet;

typedef struct PlanChain {
        PlanChange change;
        const Chain *chain;      /* likewise */
        const Rule **come, **go; /* rules that only the new, only the old one has */
        size_t n_come, n_go;
        bool reordered; /* nothing comes or goes, but the order is another */
        bool rehooked;  /* it hangs elsewhere, or lets through what it should not */
} PlanChain;

typedef struct Plan {
        bool differs; /* nothing below if not */
        const PacketLimit *log_before,
                *log_after; /* where log-limit changes; NULL: there is none */
        bool log_changes;
        bool wakes; /* the old table is asleep (dormant): its rules judge nothing */
        PlanRule *rules;
        size_t n_rules;
        PlanSet *sets;
        size_t n_sets;
        PlanChain *chains;
        size_t n_chains;
} Plan;

/* 0 or -ENOMEM. */
int plan_make(Arena *a, const Ruleset *live, const Ruleset *desired, Plan **ret);

const char *plan_change_to_string(PlanChange change); /* "comes" */
/* Where the policy's own words begin in an origin's text: behind "policy.yaml:9: ". The text itself
 * where there is no place in front. */
const char *plan_words(const char *text);
