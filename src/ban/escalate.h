/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Who comes back is banned for longer. */

#include "base/util.h"

typedef struct Escalation {
        uint32_t factor;     /* by which each further ban is longer; 0 or 1: none is */
        int64_t max_seconds; /* and no longer than that; a ban that was asked for longer stays so */
} Escalation;

/* How long the ban is to be that is asked for `seconds`, of somebody who was banned so often. */
int64_t escalate(const Escalation *e, int64_t seconds, int64_t times_before) _pure_;
