/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/file.h"
#include "guard/store_disk.h"

/* Whoever removes a file takes its name away, not what is in it as long as somebody has it open: so
 * what was confirmed can be written again. */

void store_hold_sealed(Store *s) {
        closep(&s->sealed);
        s->sealed = openat(s->folder, STORE_SEALED, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

/* Whether the name does not lead to the open folder any more; it may be a symbolic link. */
static bool is_gone(int folder, const char *name, int fd) {
        struct stat open, named;

        return fstat(fd, &open) == 0 &&
               (fstatat(folder, name, &named, 0) < 0 || open.st_ino != named.st_ino ||
                open.st_dev != named.st_dev);
}

static int make_folder(Store *s) {
        int fd;

        if (mkdir(s->path, 0700) < 0 && errno != EEXIST)
                return -errno;
        fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                int r = -errno;

                (void)close(fd); /* nothing was written through it */
                return r;
        }
        closep(&s->folder);
        s->folder = fd;
        return 1;
}

static int write_sealed(Store *s) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        const char *wrong;
        size_t size;
        char *bytes;
        Frame f;
        int r;

        if (!a)
                return -ENOMEM;
        if (lseek(s->sealed, 0, SEEK_SET) < 0)
                return -errno;
        r = file_read_fd(a, s->sealed, FRAME_HEAD_SIZE + FRAME_META_MAX + STORE_ENTRY_MAX, &bytes,
                         &size);
        if (r < 0)
                return r;
        wrong = store_get_frame(bytes, size, FRAME_ENTRY, true, &f);
        return wrong ? -EBADMSG : file_replace(s->folder, STORE_SEALED, bytes, size);
}

int store_mend(Store *s) {
        bool mended = false;
        int r = 0;

        if (s->sealed < 0) /* nothing was confirmed */
                return 0;
        if (is_gone(AT_FDCWD, s->path, s->folder)) {
                r = make_folder(s);
                mended = r > 0;
        }
        if (r >= 0 && s->history >= 0 && is_gone(s->folder, STORE_HISTORY, s->history)) {
                closep(&s->history);
                s->history = -1;
                mended = true;
        }
        if (r >= 0 && faccessat(s->folder, STORE_SEALED, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
                r = write_sealed(s);
                mended = true;
        }
        if (r < 0)
                return r;
        if (mended || faccessat(s->folder, STORE_ARMED, F_OK, 0) < 0) {
                store_finish_sealing(s);
                store_hold_sealed(s);
                mended = true;
        }
        /* only what is there was written again */
        if (mended && (s->sealed < 0 || faccessat(s->folder, STORE_ARMED, F_OK, 0) < 0))
                return -EIO;
        return mended;
}
