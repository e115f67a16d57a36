/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A World as text, a line for each thing: for tests, and for whoever looks for a mistake. Sets that
 * belong to one rule are written out in it, and handles are left out: what is printed of two Worlds
 * is equal if they mean the same rules in the same order. */

#include "world/walk.h"

void world_print(const World *w, FILE *f);
void world_print_expr(const WorldExpr *x, FILE *f);

const char *world_verdict_to_string(WorldVerdictKind kind); /* "accept", "jump" */
const char *world_family_to_string(uint8_t family);         /* "ip", "inet"; "?" */
const char *world_hook_to_string(const WorldChain *chain);  /* "prerouting", "ingress" */
/* The program that a chain belongs to, by its name or its table's; NULL where it cannot be told. */
const char *world_chain_owner(const WorldChain *chain);
/* What a step's rule does to the packet beside its verdict: "rewrites it", "hides it from
 * conntrack", and "translates"; NULL if it does none of these. Marks are none of them. */
const char *world_step_effect(const WorldStep *s);
