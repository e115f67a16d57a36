/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Shared by the files that make up the verb `takeover`. */

#include <jansson.h>

#include "cli/input.h"
#include "cli/rival.h"
#include "proof/verify.h"

typedef struct Takeover {
        Arena *arena;
        const char *runtime_dir, *state_dir;
        unsigned int mask;
        bool undo, yes, json, has_console;
        Rivals rivals;
        TakeoverPlan plan;
        Input input;
        VerifyReport report; /* of what will hold, then of what does */
        bool done[_TAKEOVER_RIVAL_MAX], taken_back;
        TakeoverChange *changes; /* that are to be expected of the plan */
        size_t n_changes;
        bool has_compared;
        bool has_begun; /* something may have been done */
} Takeover;

/* Each step, what it means, and what stands in its way. */
void takeover_print_plan(const Takeover *t);
/* What is reached then and was not, or the other way round. */
void takeover_print_changes(const Takeover *t);
/* Other firewalls that stay as they are, into the array if it is not NULL. An ExitCode. */
int takeover_print_beside(Takeover *t, json_t *to);
/* All of it as JSON; code, or EXIT_FAILED. */
int takeover_print_json(Takeover *t, int code);
