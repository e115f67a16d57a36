/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* SQLite's write-ahead log. What was committed last stands there alone, and where the log is
 * damaged SQLite takes it for its end, without a word: what was acknowledged is gone. That is found
 * out here. After a loss of power it may look so, too, but only of what nobody was told was done.
 */

#include <stdbool.h>
#include <stddef.h>

/* Whether frames of the log that is being written stand behind one that does not fit. */
bool ban_log_is_damaged(const void *bytes, size_t size);
/* The same of a file, before SQLite opens it; none is whole. 0 or a negative errno. */
int ban_log_read(const char *path, bool *ret_damaged);
