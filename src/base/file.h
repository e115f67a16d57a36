/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Reading whole files, with a limit. */

#include "base/arena.h"

/* Opens the file at path for reading, without waiting for a FIFO's writer. The descriptor is the
 * caller's; or what open() said. */
int file_open(const char *path);
/* Reads the regular file (or pipe) at path, NUL-terminated behind ret_size bytes. -EFBIG if it is
 * larger than limit bytes, -EISDIR for a directory, else what open() or read() said. */
int file_read(Arena *a, const char *path, size_t limit, char **ret, size_t *ret_size);
/* The same from an open descriptor, which stays open. */
int file_read_fd(Arena *a, int fd, size_t limit, char **ret, size_t *ret_size);
