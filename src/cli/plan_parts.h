/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Shared by the files that make up the verb `plan`. */

#include "cli/plan.h"
#include "cli/preview.h"
#include "guard/store_text.h"
#include "ruleset/plan.h"

typedef struct PlanInput {
        Input input;
        PlanVoice voice;
        const Ruleset *live;
        bool has_daemon; /* that would be asked */
        const Plan *plan;
        StoreChange *beside; /* what changes besides the rules */
        size_t n_beside;
        Preview preview; /* if the plan differs */
        size_t n_told;   /* rules that change, and that the meaning has told of already */
        bool in_detail;  /* the headline is printed */
        bool verbose, json;
} PlanInput;

/* What changes; an ExitCode. */
int plan_print(PlanInput *p);
int plan_print_json(const PlanInput *p);
