/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the consumers of a Ruleset share about statements. */

#include "ruleset/ruleset.h"

bool limit_equal(PacketLimit a, PacketLimit b);
/* Equal in everything that the kernel keeps. */
bool statement_equal(const Statement *a, const Statement *b);

/* In nft's syntax: `rate 10/minute burst 20 packets`, and the whole statement. */
void limit_print(PacketLimit limit, FILE *f);
void statement_print(const Statement *s, FILE *f);
