/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* How long a ban lasts of whom was banned before. Pure: no clock, no store. */

#include <stdint.h>

#include "policy/policy.h"

/* Seconds, for what was asked for (0: for ever, and stays so) when it is the times-th ban (from 1)
 * of that address. Never less than was asked for, and never more than e->longest unless that was.
 */
int64_t escalate_seconds(const Escalation *e, int64_t seconds, int64_t times) _pure_;
