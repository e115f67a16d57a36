/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For tests: rulesets that ruleset_verify() and the kernel accept. All return NULL without memory.
 */

#include "ruleset/ruleset.h"

/* Nothing that anyone would write. The same seed gives the same ruleset. */
Ruleset *sample_random(Arena *a, uint64_t seed);

/* What a small policy becomes: chains input (base), ssh and web; the set clients, of one address or
 * of two; the map services, to which the first rule of input leads, with the given comment. */
Ruleset *sample_services(Arena *a, bool second_client, const char *comment);

/* One base chain with every field compared in every way, none of which needs a set. */
Ruleset *sample_fields(Arena *a);

/* A table of one base chain, input, that drops everything. */
Ruleset *sample_closed(Arena *a);
