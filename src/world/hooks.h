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

/* Chains by their priorities: of devices, or of one hook of bridges. */
typedef struct DeviceList {
        const WorldChain **chains;
        size_t n;
        bool egress;
} DeviceList;

struct WorldWalker {
        const World *world;
        Arena *arena;           /* of the lists */
        Arena *plain, *scratch; /* of the walk's result; of other ways */
        HookList lists[_FAMILY_MAX][NF_INET_NUMHOOKS];
        DeviceList ingress, egress, bridges[NF_INET_NUMHOOKS];
        bool *has_effects; /* by chain: of base chains, whether their table changes packets */
        Choices choices;
        WorldOutcome outcomes[WORLD_OUTCOMES_MAX];
        WorldInterface named[2]; /* of a World without interfaces: those of the question */
};

/* The chains of that device; NULL: none. */
WorldVerdictKind run_device(Run *r, const DeviceList *list, const WorldInterface *device);
/* Those of the devices below it: a bridge's ports, what a VLAN stands on. */
WorldVerdictKind run_below(Run *r, const DeviceList *list, const WorldInterface *device);
WorldVerdictKind run_bridge_hook(const WorldWalker *x, Run *r, int hook);
/* The bridge that frames of the device go through; or NULL. */
const WorldInterface *run_bridge_of(const Run *r, const WorldInterface *device);

/* From where the packet comes to where it ends, with the choices that were made so far. */
WorldWhere run_way(WorldWalker *x, Run *r);

/* Whether it may matter in which order those of one priority are called, and is not known. */
bool walker_order_is_open(const WorldWalker *x, const Stop *stops, size_t n);
