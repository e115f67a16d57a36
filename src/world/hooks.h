/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the kernel calls at each hook, in which order: made once for a World. */

#include <netinet/in.h>

#include <linux/netfilter.h>

#include "world/machine.h"

typedef enum StopKind {
        STOP_CHAIN,
        STOP_CONNTRACK,
        STOP_NAT, /* all chains of type nat, whatever their priorities */
} StopKind;

/* Something that is called at a hook. */
typedef struct Stop {
        StopKind kind;
        int priority;
        const WorldChain *chain; /* of STOP_CHAIN */
} Stop;

/* What is called at one hook for one family, in order. */
typedef struct HookList {
        Stop *stops;
        size_t n_stops;
        const WorldChain **nat; /* in order of their priorities */
        size_t n_nat;
} HookList;

struct WorldWalker {
        const World *world;
        Arena *arena;           /* of the lists */
        Arena *plain, *scratch; /* of the walk's result; of other ways */
        HookList lists[_FAMILY_MAX][NF_INET_NUMHOOKS];
        const WorldChain **ingress, **egress; /* by priority */
        size_t n_ingress, n_egress;
        bool *has_effects; /* by chain: of base chains, whether their table changes packets */
        Choices choices;
        WorldOutcome outcomes[WORLD_OUTCOMES_MAX];
        WorldInterface named[2]; /* of a World without interfaces: those of the question */
};

/* Whether it may matter in which order those of one priority are called, and is not known. */
bool walker_order_is_open(const WorldWalker *x, const Stop *stops, size_t n);
