/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Files and folders that one ringwall at a time works on (flock). */

#include "base/util.h"

/* Takes the lock of what is at path, waiting so long for whoever has it. The descriptor is the
 * caller's, and closing it gives the lock back. -EWOULDBLOCK if somebody else has it still; else
 * what open() said. */
int lock_take(const char *path, unsigned int seconds);

/* "process 4711 on /dev/pts/3", or "another process" where that cannot be told: who holds it. */
const char *lock_holder(const char *path, char *buf, size_t size);
