/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/store_internal.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>

#include "base/file.h"

#define TEMPORARY ".new"
#define SMALL_MAX ((size_t)64 * 1024)

void store_digest(const void *bytes, size_t size, unsigned char ret[STORE_DIGEST_SIZE]) {
        /* cannot fail with these sizes */
        (void)crypto_generichash(ret, STORE_DIGEST_SIZE, bytes, size, NULL, 0);
}

static int report(Store *s, const char *name, const char *what, int error, Diag *d) {
        (void)diag_error(d, (Span){0}, "cannot %s %s/%s: %s", what, s->path, name, strerror(error));
        if (error == ENOSPC || error == EDQUOT)
                diag_hint(d, "the disk is full: make room, and try again");
        else if (error == EROFS)
                diag_hint(d,
                          "the disk is read-only: nothing can be written down, and so nothing is "
                          "changed");
        return -EBADMSG;
}

static int write_all(int fd, const unsigned char *bytes, size_t size) {
        while (size > 0) {
                ssize_t n = write(fd, bytes, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno;
                bytes += n;
                size -= (size_t)n;
        }
        return 0;
}

/* Written beside its place and synced: 0 or an errno. */
static int write_beside(Store *s, const char *temporary, const void *bytes, size_t size) {
        _cleanup_close_ int fd = openat(
                s->folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        int error;

        if (fd < 0)
                return errno;
        error = write_all(fd, bytes, size);
        if (error == 0 && fsync(fd) < 0)
                error = errno;
        if (error != 0)
                (void)unlinkat(s->folder, temporary, 0); /* it is only half of what was meant */
        return error;
}

int store_write_file(Store *s, const char *name, const void *bytes, size_t size, Diag *d) {
        char temporary[64];
        int error;

        (void)snprintf(temporary, sizeof(temporary), "%s" TEMPORARY, name);
        error = write_beside(s, temporary, bytes, size);
        if (error != 0)
                return report(s, name, "write", error, d);
        return store_rename_file(s, temporary, name, d);
}

int store_rename_file(Store *s, const char *from, const char *to, Diag *d) {
        if (renameat(s->folder, from, s->folder, to) < 0)
                return report(s, to, "write", errno, d);
        /* history's own folder is synced by its parent's name being there already */
        if (fsync(s->folder) < 0)
                return report(s, to, "write", errno, d);
        return 0;
}

int store_remove_file(Store *s, const char *name, Diag *d) {
        if (unlinkat(s->folder, name, 0) < 0 && errno != ENOENT)
                return report(s, name, "remove", errno, d);
        if (fsync(s->folder) < 0)
                return report(s, name, "remove", errno, d);
        return 0;
}

bool store_has_file(const Store *s, const char *name) {
        return faccessat(s->folder, name, F_OK, 0) == 0;
}

int store_read_file(
        Store *s, const char *name, size_t limit, Arena *a, void **ret, size_t *ret_size, Diag *d) {
        _cleanup_close_ int fd = openat(s->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        char *text = NULL;
        int r;

        if (fd < 0 && errno == ENOENT)
                return -ENOENT;
        r = fd < 0 ? -errno : file_read_fd(a, fd, limit, &text, ret_size);
        if (r < 0) {
                (void)report(s, name, "read", -r, d);
                return r;
        }
        *ret = text;
        return 0;
}

int store_write_small(
        Store *s, const char *name, const char *magic, const ByteWriter *payload, Diag *d) {
        _cleanup_(byte_writer_donep) ByteWriter w = {0};
        unsigned char digest[STORE_DIGEST_SIZE];

        bytes_put(&w, magic, STORE_MAGIC_SIZE);
        bytes_put(&w, payload->bytes, payload->size);
        if (w.failed || payload->failed)
                return -ENOMEM;
        store_digest(w.bytes, w.size, digest);
        bytes_put(&w, digest, sizeof(digest));
        return w.failed ? -ENOMEM : store_write_file(s, name, w.bytes, w.size, d);
}

int store_read_small(
        Store *s, const char *name, const char *magic, Arena *a, ByteReader *ret, Diag *d) {
        unsigned char digest[STORE_DIGEST_SIZE];
        const unsigned char *bytes;
        size_t size = 0, body;
        void *read;
        int r = store_read_file(s, name, SMALL_MAX, a, &read, &size, d);

        if (r < 0)
                return r;
        bytes = read;
        body = size < STORE_MAGIC_SIZE + STORE_DIGEST_SIZE ? 0 : size - STORE_DIGEST_SIZE;
        if (body > 0)
                store_digest(bytes, body, digest);
        if (body == 0 || memcmp(bytes, magic, STORE_MAGIC_SIZE) != 0 ||
            sodium_memcmp(digest, bytes + body, sizeof(digest)) != 0) {
                diag_warning(d, (Span){0}, "%s/%s is damaged", s->path, name);
                return -EBADMSG;
        }
        *ret = byte_reader(bytes + STORE_MAGIC_SIZE, body - STORE_MAGIC_SIZE);
        return 0;
}
