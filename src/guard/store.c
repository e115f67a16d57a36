/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "guard/lockdown_file.h"
#include "guard/store_disk.h"

const char *store_entry_name(uint32_t number, char *buf) {
        (void)snprintf(buf, STORE_NAME_MAX, "%08" PRIu32, number);
        return buf;
}

const char *store_history_name(uint32_t number, char *buf) {
        (void)snprintf(buf, STORE_NAME_MAX, STORE_HISTORY "/%08" PRIu32, number);
        return buf;
}

/* Whoever can write here decides what is in force, and whoever can read knows where to attack. */
static int check_owner(const Store *s, Diag *d) {
        struct stat st;

        if (fstat(s->folder, &st) < 0)
                return -errno;
        if (st.st_uid != 0 && st.st_uid != geteuid()) {
                (void)diag_error(d, (Span){0}, "%s does not belong to root", s->path);
                diag_hint(d, "see who made it, and what it holds; then: chown root %s", s->path);
                return -EBADMSG;
        }
        if (st.st_mode & 022) {
                (void)diag_error(d, (Span){0}, "others than root may write in %s", s->path);
                diag_hint(d, "see what it holds; then: chmod 700 %s", s->path);
                return -EBADMSG;
        }
        /* as a restored backup leaves it: no reason to lock the administrator out */
        if (st.st_mode & 055 && s->writable && fchmod(s->folder, 0700) == 0)
                diag_warning(d, (Span){0}, "others than root could look into %s: mended", s->path);
        return 0;
}

#define LOCK_PAUSE_MSEC 10
#define LOCK_TRIES 200 /* two seconds */

/* A daemon that was killed leaves for a moment what it had just forked, with the lock. */
static int lock_folder(int fd) {
        const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MSEC * 1000000L};

        for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
                if (errno != EWOULDBLOCK || i == LOCK_TRIES)
                        return -1;
                (void)nanosleep(&pause, NULL);
        }
        return 0;
}

static int open_folders(Store *s, StoreMode mode, Diag *d) {
        int r;

        if (mode == STORE_WRITE && mkdir(s->path, 0700) < 0 && errno != EEXIST && errno != EROFS)
                return store_refuse(s, d, NULL, -errno);
        s->folder = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (s->folder < 0 && errno == ENOENT && mode == STORE_READ)
                return -ENOENT;
        if (s->folder < 0)
                return diag_error(d, (Span){0}, "cannot open %s: %s", s->path, strerror(errno));
        r = check_owner(s, d);
        if (r < 0)
                return r;
        if (mode == STORE_WRITE && lock_folder(s->folder) < 0) {
                (void)diag_error(d, (Span){0}, "%s is in use by another ringwalld", s->path);
                return -EBUSY;
        }
        s->history = openat(s->folder, STORE_HISTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return 0;
}

/* Files that were being written when somebody was killed. */
static void remove_unfinished(int folder) {
        int fd = folder < 0 ? -1 : openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);

        if (!dir) {
                if (fd >= 0)
                        (void)close(fd);
                return;
        }
        for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
                size_t len = strlen(entry->d_name), suffix = strlen(FILE_UNFINISHED);

                if (len > suffix && streq(entry->d_name + len - suffix, FILE_UNFINISHED))
                        (void)unlinkat(folder, entry->d_name, 0);
        }
        (void)closedir(dir);
}

void store_finish_sealing(Store *s) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        StoreEntry sealed, entry;
        const char *wrong;
        char name[STORE_NAME_MAX];

        if (!a || store_read_entry(s, STORE_SEALED, a, &sealed, NULL, &wrong) < 0)
                return;
        if (faccessat(s->folder, STORE_ARMED, F_OK, 0) < 0)
                (void)file_replace(s->folder, STORE_ARMED, "", 0);
        store_history_name(sealed.number, name);
        if (store_open_history(s) == 0 &&
            (store_read_entry(s, name, a, &entry, NULL, &wrong) < 0 || !entry.confirmed))
                (void)store_mark_confirmed(s, sealed.number, 0, NULL);
}

int store_open(const char *folder, StoreMode mode, Store **ret, Diag *d) {
        _cleanup_(store_closep) Store *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->folder = s->history = s->sealed = -1;
        s->writable = mode == STORE_WRITE;
        s->path = strdup(folder);
        if (!s->path || sodium_init() < 0)
                return -ENOMEM;
        r = open_folders(s, mode, d);
        if (r < 0)
                return r;
        if (s->writable) {
                remove_unfinished(s->folder);
                remove_unfinished(s->history);
                store_finish_sealing(s);
                store_hold_sealed(s);
        }
        s->lockdown_mark = store_mark(s, LOCKDOWN_FILE);
        *ret = TAKE_PTR(s);
        return 0;
}

Store *store_close(Store *s) {
        if (!s)
                return NULL;
        closep(&s->folder);
        closep(&s->history);
        closep(&s->sealed);
        free(s->path);
        free(s);
        return NULL;
}

/* The beginning of a file: what tells of the rest. */
static int read_start(int fd, Arena *a, char **ret, size_t *ret_size) {
        size_t size = FRAME_HEAD_SIZE + FRAME_META_MAX, n = 0;
        char *bytes = arena_alloc(a, size);

        if (!bytes)
                return -ENOMEM;
        while (n < size) {
                ssize_t got = read(fd, bytes + n, size - n);

                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return -errno;
                if (got == 0)
                        break;
                n += (size_t)got;
        }
        *ret = bytes;
        *ret_size = n;
        return 0;
}

static int
read_bytes(const Store *s, const char *name, bool whole, Arena *a, char **ret, size_t *ret_size) {
        _cleanup_close_ int fd =
                openat(s->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        size_t limit = FRAME_HEAD_SIZE + FRAME_META_MAX + STORE_ENTRY_MAX;

        if (fd < 0)
                return -errno;
        return whole ? file_read_fd(a, fd, limit, ret, ret_size) : read_start(fd, a, ret, ret_size);
}

int store_read_frame(const Store *s,
                     const char *name,
                     FrameKind kind,
                     bool whole,
                     Arena *a,
                     Frame *ret,
                     const char **ret_wrong) {
        const char *wrong;
        size_t size;
        char *bytes;
        int r = read_bytes(s, name, whole, a, &bytes, &size);

        if (r == -ENOENT || r == -ENOMEM)
                return r;
        wrong = r < 0 ? strerrordesc_np(-r) : store_get_frame(bytes, size, kind, whole, ret);
        if (!wrong)
                return 0;
        *ret_wrong = wrong;
        return -EBADMSG;
}

int store_read_entry(const Store *s,
                     const char *name,
                     Arena *a,
                     StoreEntry *ret,
                     StoreContent *ret_content,
                     const char **ret_wrong) {
        ByteReader meta, body = {0};
        StoreContent content;
        StoreEntry entry;
        Frame f;
        int r = store_read_frame(s, name, FRAME_ENTRY, ret_content, a, &f, ret_wrong);

        if (r < 0)
                return r;
        meta = byte_reader(f.meta, f.meta_size);
        store_get_entry(&meta, a, &entry);
        if (ret_content) {
                body = byte_reader(f.body, f.body_size);
                store_get_content(&body, a, &content);
        }
        if (meta.wrong || body.wrong) {
                *ret_wrong = meta.wrong ? meta.wrong : body.wrong;
                return -EBADMSG;
        }
        memcpy(entry.digest, f.digest, sizeof(entry.digest));
        *ret = entry;
        if (ret_content)
                *ret_content = content;
        return 0;
}

bool store_holds(const Store *s, const char *name, uint32_t number) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        StoreContent content;
        StoreEntry entry;
        const char *wrong;

        return a && number > 0 && store_read_entry(s, name, a, &entry, &content, &wrong) == 0 &&
               entry.number == number;
}

static int report_damage(const Store *s, Diag *d, const char *name, int r, const char *wrong) {
        if (r == -EBADMSG)
                (void)diag_error(d, (Span){0}, "%s/%s is damaged: %s", s->path, name, wrong);
        return r;
}

/* The sealed copy says that it was confirmed by being it; history knows when and by whom. */
static void complete_sealed(const Store *s, Arena *a, StoreEntry *entry) {
        char name[STORE_NAME_MAX];
        const char *wrong;
        StoreEntry other;

        entry->confirmed = true;
        store_history_name(entry->number, name);
        if (store_read_entry(s, name, a, &other, NULL, &wrong) == 0 && other.confirmed) {
                entry->confirmed_usec = other.confirmed_usec;
                entry->confirmed_by = other.confirmed_by;
        }
}

int store_read_sealed(Store *s, Arena *a, StoreEntry *ret, StoreContent *ret_content, Diag *d) {
        const char *wrong = NULL;
        int r = store_read_entry(s, STORE_SEALED, a, ret, ret_content, &wrong);

        if (r == 0)
                complete_sealed(s, a, ret);
        return report_damage(s, d, STORE_SEALED, r, wrong);
}

int store_read(
        Store *s, uint32_t number, Arena *a, StoreEntry *ret, StoreContent *ret_content, Diag *d) {
        const char *wrong = NULL, *ignored;
        StoreContent content;
        StoreEntry sealed;
        char name[STORE_NAME_MAX];
        int r;

        store_history_name(number, name);
        r = store_read_entry(s, name, a, ret, ret_content, &wrong);
        if (r == 0 && ret->number != number) {
                r = -EBADMSG;
                wrong = "it is another one";
        }
        if (r == -ENOMEM ||
            store_read_entry(s, STORE_SEALED, a, &sealed, ret_content && r < 0 ? &content : NULL,
                             &ignored) < 0 ||
            sealed.number != number)
                return report_damage(s, d, name, r, wrong);
        if (r < 0) {
                *ret = sealed;
                if (ret_content)
                        *ret_content = content;
        }
        ret->confirmed = true;
        return 0;
}

static int compare_numbers(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return x < y ? -1 : x > y;
}

/* Only names that an entry with that number has. */
static uint32_t number_of(const char *name) {
        char buf[STORE_NAME_MAX];
        unsigned long number =
                strspn(name, "0123456789") == strlen(name) ? strtoul(name, NULL, 10) : 0;

        if (number == 0 || number > UINT32_MAX ||
            !streq(store_entry_name((uint32_t)number, buf), name))
                return 0;
        return (uint32_t)number;
}

int store_read_numbers(const Store *s, Arena *a, uint32_t **ret, size_t *ret_n) {
        int fd = s->history < 0 ? -1 : openat(s->history, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        uint32_t *numbers = NULL;
        bool failed = false;
        size_t n = 0;

        *ret = NULL;
        *ret_n = 0;
        if (!dir) {
                int r = s->history < 0 ? 0 : -errno;

                closep(&fd);
                return r;
        }
        for (struct dirent *entry = readdir(dir); entry && !failed; entry = readdir(dir)) {
                uint32_t number = number_of(entry->d_name);

                failed = number > 0 && !arena_append(a, numbers, n, number);
        }
        (void)closedir(dir);
        if (failed)
                return -ENOMEM;
        if (n > 1)
                qsort(numbers, n, sizeof(numbers[0]), compare_numbers);
        *ret = numbers;
        *ret_n = n;
        return 0;
}
