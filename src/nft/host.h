/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a compiled Ruleset takes from the host that it is for. */

#include "ruleset/ruleset.h"

/* Fills the sets of bridges, and those that follow networks, with what this network namespace has
 * now. Their elements live in a; on an error they are those of before. 0, -ENOMEM, or what the
 * kernel said. */
int nft_add_host(Arena *a, Ruleset *rs);
