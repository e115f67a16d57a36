/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "base/util.h"

/* "90s", "10m", "2h" or "3d": how many seconds; 0 if it is none of them. */
uint64_t age_parse(const char *text);
