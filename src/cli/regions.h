/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The difference in meaning of two policies as lines for people, and as JSON: for all verbs that
 * show it. */

#include <jansson.h>

#include "proof/difference.h"

typedef struct RegionLine RegionLine;

typedef struct Regions {
        Arena *arena;         /* borrowed */
        const Policy *policy; /* in whose words it is told: the new one */
        Difference difference;
        RegionLine *lines;
        size_t n_lines;
        size_t n_usual;                        /* lines for people */
        size_t n_unusual[_DIFFERENCE_WAY_MAX]; /* about packets that are not what they seem */
} Regions;

/* Compares; seconds: of computing, then the search is given up; 0: never. Everything lives in the
 * arena. 0, or what difference_find() returns, see regions_describe_failure(). */
int regions_find(const Ruleset *before,
                 const Ruleset *after,
                 const Policy *policy,
                 unsigned int seconds,
                 Arena *a,
                 Regions *ret);

/* On standard output, a headline for each way and a line for each region. */
void regions_print(const Regions *r);
/* Whether regions_print() has a line of which this rule is what decides, or decided. */
bool regions_tell_of(const Regions *r, const char *rule);
/* {"same": ..., "more": ..., "regions": [...]} */
json_t *regions_json(const Regions *r);

/* Why nothing can be told: what there is to say, and what can be done, each a sentence. NULL if it
 * is none of the reasons that are about the policies. */
const char *regions_describe_failure(const Regions *r, int error, const char **ret_hint);
