/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <jansson.h>

#include "cli/input.h"

/* Who says what changes. */
typedef struct PlanVoice {
        const char *verb;  /* that changes it */
        bool would;        /* or would, if it were asked to */
        bool applies;      /* by way of the daemon, which cuts connections */
        bool is_confirmed; /* which needs no confirmation */
        bool tells_ways;   /* how connections to sshd fare, which the daemon's answer has, too */
        bool is_plan;      /* `ringwall plan` itself, which has options */
        const char *runtime_dir; /* of the daemon, as of remote_call() */
} PlanVoice;

/* Of a policy that was read already, with its messages printed: prints what putting it in force
 * changes, as `ringwall plan` does. An ExitCode; EXIT_INVALID: the policy is not valid, which has
 * been printed. */
int plan_show(Input *input, const PlanVoice *voice);
/* The same as JSON: "meaning" and "connections" into object; an ExitCode. Prints no message about
 * the policy. */
int plan_add_json(Input *input, const PlanVoice *voice, json_t *object);
