/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a policy would do to people: which connections would fare otherwise than under the rules
 * that are in force, and which of those that are open right now it does not admit. The time is
 * bounded: what takes longer is not known, and that is said. */

#include "cli/regions.h"
#include "guard/cut_groups.h"
#include "ruleset/plan.h"

#define PREVIEW_SECONDS 5 /* of computing, for each of the two */

typedef struct Preview {
        bool has_base;     /* something is in force, to be compared with */
        int meaning_error; /* of regions_find() */
        Regions regions;   /* unless that */
        int groups_error;  /* of cut_list(): what groups has may not be all of it */
        CutGroups groups;
        bool cuts; /* settings.cut-denied: apply cuts them */
        const Policy *policy;
        json_t *ways; /* connections to sshd as io.ringwall.Apply answers; NULL: not known */
} Preview;

/* Of the policy's Ruleset `after`, complete with what the host adds, and the one that the kernel
 * holds. plan: what of the rules
 * differs; if nothing does, only the ways are looked at. Lives as long as the arena, until
 * preview_done(). 0 or -ENOMEM. */
int preview_make(const Ruleset *live,
                 const Ruleset *after,
                 const Plan *plan,
                 const Policy *policy,
                 Arena *a,
                 Preview *ret);
void preview_done(Preview *p);

/* The difference in meaning; nothing where nothing is in force. */
void preview_print_meaning(const Preview *p);
/* The open connections, if there are any. fate: what becomes of them: "to be cut". */
void preview_print_connections(const Preview *p, const char *fate);
/* How each way in would fare. ways: as io.ringwall.Apply answers. */
void preview_print_ways(const json_t *ways);
/* "meaning" and "connections" into object. */
void preview_add_json(const Preview *p, json_t *object);
