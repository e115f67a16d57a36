/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "guard/lockdown_file.h"
#include "guard/store_disk.h"

/* Whoever removes a file takes its name away, not what is in it as long as somebody has it open: so
 * what was confirmed can be written again. Whoever writes into it takes that, too; then history has
 * the same. */

#define FRESH_NSEC (INT64_C(100) * 1000 * 1000) /* the kernel's ticks are shorter by far */

StoreMark store_mark(const Store *s, const char *name) {
        struct timespec now = {0};
        struct stat st;
        int64_t age;

        (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
        if (fstatat(s->folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return (StoreMark){0};
        age = (int64_t)(now.tv_sec - st.st_ctim.tv_sec) * 1000000000 + now.tv_nsec -
              st.st_ctim.tv_nsec;
        return (StoreMark){st.st_dev, st.st_ino, st.st_size, st.st_ctim, age < FRESH_NSEC};
}

bool store_is_marked(const Store *s, const char *name, const StoreMark *mark) {
        StoreMark now = store_mark(s, name);

        return now.inode != 0 && now.inode == mark->inode && now.device == mark->device &&
               now.size == mark->size && now.changed.tv_sec == mark->changed.tv_sec &&
               now.changed.tv_nsec == mark->changed.tv_nsec;
}

bool store_minds(const char *name) {
        static const char *const names[] = {STORE_SEALED, STORE_ARMED, STORE_HISTORY,
                                            LOCKDOWN_FILE};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (streq(name, names[i]))
                        return true;
        return false;
}

/* The mark is older than what is read: a write in between is seen next time. */
void store_hold_sealed(Store *s) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        StoreEntry entry;
        const char *wrong;

        closep(&s->sealed);
        s->sealed = openat(s->folder, STORE_SEALED, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        s->sealed_mark = store_mark(s, STORE_SEALED);
        s->sealed_number = 0;
        if (!a || store_read_entry(s, STORE_SEALED, a, &entry, NULL, &wrong) < 0)
                return;
        s->sealed_number = entry.number;
        memcpy(s->sealed_digest, entry.digest, sizeof(s->sealed_digest));
}

/* Whether the frame, which is whole, is what was sealed. */
static bool is_what_was_sealed(const Store *s, Arena *a, const Frame *f, StoreEntry *ret) {
        ByteReader meta = byte_reader(f->meta, f->meta_size);

        store_get_entry(&meta, a, ret);
        return !meta.wrong && ret->number == s->sealed_number &&
               memcmp(f->digest, s->sealed_digest, sizeof(s->sealed_digest)) == 0;
}

/* The frame of that name, if it is; lives in a. */
static int read_what_was_sealed(
        const Store *s, const char *name, Arena *a, StoreEntry *ret, Frame *ret_frame) {
        const char *wrong;
        int r = store_read_frame(s, name, FRAME_ENTRY, true, a, ret_frame, &wrong);

        return r < 0 || is_what_was_sealed(s, a, ret_frame, ret) ? r : -EBADMSG;
}

/* Looks into the file only if it was touched. */
static bool is_sealed_well(Store *s) {
        _cleanup_(arena_freep) Arena *a = NULL;
        StoreMark now;
        StoreEntry entry;
        Frame f;
        int r;

        if (s->sealed_number == 0 ||
            (!s->sealed_mark.is_fresh && store_is_marked(s, STORE_SEALED, &s->sealed_mark)))
                return true;
        now = store_mark(s, STORE_SEALED);
        a = arena_new(0);
        r = a ? read_what_was_sealed(s, STORE_SEALED, a, &entry, &f) : -ENOMEM;
        if (r == 0)
                s->sealed_mark = now;
        return r == 0 || r == -ENOMEM; /* the latter is looked at again */
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

/* The file that is held open is what it was, unless somebody wrote into it. */
static int write_held(Store *s, Arena *a) {
        StoreEntry entry;
        size_t size;
        char *bytes;
        Frame f;
        int r;

        if (lseek(s->sealed, 0, SEEK_SET) < 0)
                return -errno;
        r = file_read_fd(a, s->sealed, FRAME_HEAD_SIZE + FRAME_META_MAX + STORE_ENTRY_MAX, &bytes,
                         &size);
        if (r < 0)
                return r;
        if (store_get_frame(bytes, size, FRAME_ENTRY, true, &f) ||
            (s->sealed_number != 0 && !is_what_was_sealed(s, a, &f, &entry)))
                return -EBADMSG;
        return file_replace(s->folder, STORE_SEALED, bytes, size);
}

static int write_from_history(Store *s, Arena *a) {
        char name[STORE_NAME_MAX];
        StoreEntry entry;
        Frame f;
        int r = read_what_was_sealed(s, store_history_name(s->sealed_number, name), a, &entry, &f);

        return r < 0 ? r : store_write_entry(s, false, STORE_SEALED, &entry, f.body, f.body_size);
}

static int write_sealed(Store *s) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        int r = a ? write_held(s, a) : -ENOMEM;

        return r == -EBADMSG && s->sealed_number != 0 ? write_from_history(s, a) : r;
}

/* The folders, and the names in them. 1 if something was missing. */
static int mend_names(Store *s) {
        int mended = 0, r;

        if (is_gone(AT_FDCWD, s->path, s->folder)) {
                r = make_folder(s);
                if (r < 0)
                        return r;
                mended = 1;
        }
        if (s->history >= 0 && is_gone(s->folder, STORE_HISTORY, s->history)) {
                closep(&s->history);
                s->history = -1;
                mended = 1;
        }
        if (faccessat(s->folder, STORE_SEALED, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                return mended || faccessat(s->folder, STORE_ARMED, F_OK, 0) < 0;
        r = write_sealed(s);
        return r < 0 ? r : 1;
}

int store_mend(Store *s) {
        int removed, r = 0;
        bool damaged;

        if (s->sealed < 0) /* nothing was confirmed */
                return STORE_WELL;
        removed = mend_names(s);
        if (removed < 0)
                return removed;
        damaged = removed == 0 && !is_sealed_well(s);
        if (damaged)
                r = write_sealed(s);
        if (r < 0 || (!removed && !damaged))
                return r;
        store_finish_sealing(s);
        store_hold_sealed(s);
        /* only what is there was written again */
        if (s->sealed < 0 || faccessat(s->folder, STORE_ARMED, F_OK, 0) < 0)
                return -EIO;
        return damaged ? STORE_DAMAGED : STORE_REMOVED;
}
