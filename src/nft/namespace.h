/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <sys/types.h>

/* Whether a mistake here would cut off the machine, or only a namespace made for trying. */

/* 1 if this process stands in process 1's network namespace, 0 if surely not; negative errno if it
 * cannot be told, which callers take for a yes. */
int namespace_is_init(void);
/* The same of any process's network namespace. */
int namespace_is_of(pid_t pid);
