/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Other programs, at fixed paths and with an environment of their own: nothing of the caller's
 * decides what runs as root. */

#include "base/arena.h"

#define PROGRAM_SECONDS 120 /* that one may take; then it is ended */
#define PROGRAM_OUTPUT_MAX ((size_t)16 << 20)

/* Runs words[0] (absolute) with words[1] ... up to NULL, and input (or NULL) as its standard input.
 * *ret (or NULL) is what it printed on standard output, NUL-terminated; with `all`, on standard
 * error, too. Its exit status; or -ETIMEDOUT, -EIO where a signal ended it, -EFBIG, or why it
 * cannot be run. Signals that the caller ignores it ignores, too. */
int program_run(Arena *a, const char *const *words, const char *input, bool all, const char **ret);
