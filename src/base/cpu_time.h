/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* How much a computation may cost: in the time of this process's own, so that a busy machine makes
 * nothing too complex. */

#include <stdint.h>

/* Microseconds that this process has computed for. */
uint64_t cpu_time_usec(void);
