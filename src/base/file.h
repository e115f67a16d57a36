/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Reading whole files, with a limit; replacing them whole. */

#include <sys/stat.h>

#include "base/arena.h"

/* Opens the file at path for reading, without waiting for a FIFO's writer. The descriptor is the
 * caller's; or what open() said. */
int file_open(const char *path);
/* Reads the regular file (or pipe) at path, NUL-terminated behind ret_size bytes. -EFBIG if it is
 * larger than limit bytes, -EISDIR for a directory, else what open() or read() said. */
int file_read(Arena *a, const char *path, size_t limit, char **ret, size_t *ret_size);
/* The same from an open descriptor, which stays open. */
int file_read_fd(Arena *a, int fd, size_t limit, char **ret, size_t *ret_size);

/* In an open folder, so that whatever happens, a power failure included, a file is there in its old
 * form or in its new one. Once they return 0 the change lasts; if not, it may have been made all
 * the same only where the folder itself could not be synced. Errors are those of open(), write(),
 * fsync(), rename() and unlink(). */

/* Writes beside the file, syncs, renames; the owner alone may read it. */
int file_replace(int folder, const char *name, const void *bytes, size_t size);
/* The same, with the mode and the owner of `like`: of the file as it was, say. */
int file_replace_like(
        int folder, const char *name, const void *bytes, size_t size, const struct stat *like);
/* Renames within the folder, over what may be there. */
int file_rename(int folder, const char *from, const char *to);
/* 0 also if there is no such file. */
int file_remove(int folder, const char *name);

#define FILE_UNFINISHED ".new" /* what the name of a file that is being written ends in */
