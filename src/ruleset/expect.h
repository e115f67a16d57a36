/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The policy's own tests. An expectation is about every connection that it describes; it is decided
 * by walking the compiled rules with one connection for each combination of what they tell apart:
 * where no rule that such a connection can meet distinguishes two values of a field, one of them
 * stands for both. */

#include "policy/policy.h"
#include "ruleset/ruleset.h"

#define EXPECT_CASES_MAX 4000000 /* connections tried for one expectation before it is given up */

/* Reports each expectation that does not hold, with a connection that shows it and the line that
 * decides. -EBADMSG if there is one (or one with too many cases to decide), or -ENOMEM. *ret_cases:
 * how many connections were tried. */
int ruleset_check_expectations(const Policy *policy, const Ruleset *rs, size_t *ret_cases, Diag *d);
