/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Where two Rulesets may differ, without a look at what they have in common: for a Meaning that
 * both were cut for. Beside the packets that are returned, all of `care` fare alike, limits
 * included; where that is no smaller question, all of `care` is returned. */

#include "proof/changes.h"
#include "proof/meaning.h"

DiagramId meaning_of_changes(Meaning *m,
                             MeaningWay way,
                             const Changes *changes,
                             const Ruleset *before,
                             const Ruleset *after,
                             DiagramId care);
/* Of the chains that translate at the hook. */
DiagramId meaning_of_nat_changes(Meaning *m,
                                 Hook hook,
                                 const Changes *changes,
                                 const Ruleset *before,
                                 const Ruleset *after,
                                 DiagramId care);

/* Packets that are accepted as MEANING_ESSENTIAL if they come that far. */
DiagramId meaning_of_essentials(Meaning *m, MeaningWay way, const Ruleset *rs, DiagramId care);
