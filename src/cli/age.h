/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/util.h"

/* "90s", "10m", "2h" or "3d": how many seconds; 0 if it is none of them. */
uint64_t age_parse(const char *text);

#define AGE_TEXT_MAX 24

/* The same the other way round, for a table: the smallest unit of which there are fewer than a
 * hundred, rounded down; or days. */
const char *age_print(uint64_t seconds, char buf[static AGE_TEXT_MAX]);
