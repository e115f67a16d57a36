/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/file.h"

#include <fcntl.h>
#include <limits.h>

int file_read_fd(Arena *a, int fd, size_t limit, char **ret, size_t *ret_size) {
        _cleanup_free_ char *buf = NULL;
        size_t size = 0, capacity = 0, first = (size_t)16 * 1024;
        struct stat st;
        char *text;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (S_ISREG(st.st_mode) && (uintmax_t)st.st_size > limit)
                return -EFBIG;
        if (S_ISREG(st.st_mode) && st.st_size > 0)
                first = (size_t)st.st_size + 1; /* so that its end is met without growing */
        for (;;) {
                ssize_t n;

                if (size == capacity) {
                        size_t wanted = MAX(capacity * 2, first);
                        char *grown = realloc(buf, wanted);

                        if (!grown)
                                return -ENOMEM;
                        buf = grown;
                        capacity = wanted;
                }
                n = read(fd, buf + size, capacity - size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                size += (size_t)n;
                if (size > limit)
                        return -EFBIG;
        }
        text = arena_strndup(a, buf ? buf : "", size);
        if (!text)
                return -ENOMEM;
        *ret = text;
        *ret_size = size;
        return 0;
}

int file_open(const char *path) {
        _cleanup_close_ int fd = -1;
        int flags, result;
        struct stat st;

        /* O_NONBLOCK: opening a FIFO that nobody writes to must not hang. Reading then waits,
         * because the writer behind a <(command) may be slow. */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        flags = S_ISREG(st.st_mode) ? 0 : fcntl(fd, F_GETFL);
        if (flags < 0 || (flags > 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0))
                return -errno;
        result = fd;
        fd = -1;
        return result;
}

int file_read(Arena *a, const char *path, size_t limit, char **ret, size_t *ret_size) {
        _cleanup_close_ int fd = file_open(path);

        return fd < 0 ? fd : file_read_fd(a, fd, limit, ret, ret_size);
}

static int write_all(int fd, const void *bytes, size_t size) {
        const char *at = bytes;

        while (size > 0) {
                ssize_t n = write(fd, at, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                at += n;
                size -= (size_t)n;
        }
        return 0;
}

static int sync_folder(int folder) {
        return fsync(folder) < 0 ? -errno : 0;
}

/* Nobody else can read it before it is its owner's. */
static int set_like(int fd, const struct stat *like) {
        if (fchown(fd, like->st_uid, like->st_gid) < 0 || fchmod(fd, like->st_mode & 07777) < 0)
                return -errno;
        return 0;
}

static int write_beside(
        int folder, const char *name, const void *bytes, size_t size, const struct stat *like) {
        _cleanup_close_ int fd = -1;
        int r;

        if (unlinkat(folder, name, 0) < 0 && errno != ENOENT) /* of one who was killed */
                return -errno;
        fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        r = write_all(fd, bytes, size);
        if (r == 0 && like)
                r = set_like(fd, like);
        if (r == 0 && fsync(fd) < 0)
                r = -errno;
        return r;
}

int file_replace(int folder, const char *name, const void *bytes, size_t size) {
        return file_replace_like(folder, name, bytes, size, NULL);
}

int file_replace_like(
        int folder, const char *name, const void *bytes, size_t size, const struct stat *like) {
        char beside[NAME_MAX + 1];
        int n = snprintf(beside, sizeof(beside), "%s" FILE_UNFINISHED, name), r;

        if (n < 0 || (size_t)n >= sizeof(beside))
                return -ENAMETOOLONG;
        r = write_beside(folder, beside, bytes, size, like);
        if (r == 0 && renameat(folder, beside, folder, name) < 0)
                r = -errno;
        if (r < 0) {
                (void)unlinkat(folder, beside, 0); /* its room, at least, can be used */
                return r;
        }
        return sync_folder(folder);
}

int file_rename(int folder, const char *from, const char *to) {
        if (renameat(folder, from, folder, to) < 0)
                return -errno;
        return sync_folder(folder);
}

int file_remove(int folder, const char *name) {
        if (unlinkat(folder, name, 0) < 0)
                return errno == ENOENT ? 0 : -errno;
        return sync_folder(folder);
}
