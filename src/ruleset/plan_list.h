/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The inside of plan_make(): plan_rule.c compares by the rules' origins, plan.c the rest. */

#include "ruleset/plan.h"

int plan_rules(Arena *a, const Ruleset *live, const Ruleset *desired, Plan *plan);
