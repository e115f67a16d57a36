/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "ruleset/ruleset.h"

/* What of live is not as desired, in the operator's words: "tcp dport 22 accept came to inbound,
 * and 2 more changes". Lives in a; NULL without memory. */
const char *drift_describe(Arena *a, const Ruleset *live, const Ruleset *desired);
