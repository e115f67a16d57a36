/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What of a Ruleset can be in force in an instant, where there is nothing: the base chains that do
 * not accept by themselves, with the rules that stand first in them and need nothing else (those
 * in between that only accept are left out), and a drop. It admits nothing that the whole does not;
 * mostly loopback, and what is established. */

#include "ruleset/ruleset.h"

/* Lives in a, and borrows from rs. NULL without memory. */
Ruleset *ruleset_shut(Arena *a, const Ruleset *rs);
