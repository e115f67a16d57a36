/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Which of a policy's rules have no effect: no first packet gets as far as the rule, or all of its
 * packets would fare alike without it. It is decided for every packet, and whatever lists of files
 * hold and networks are on link.
 *
 * All that are told can be taken out at once, and none of the others can be taken out then: of two
 * rules that mean the same, one is told. */

#include "policy/policy.h"

/* Warns of each such rule, with the lines that are the reason. Where there is too much to look at,
 * a remark says so and some rules are not decided. 0 or -ENOMEM. */
int effect_check(const Policy *policy, Diag *d);
