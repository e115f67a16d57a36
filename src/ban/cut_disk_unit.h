/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For ban_store_cut_test.c: a disk between SQLite and the system, which keeps apart what it was
 * told to sync. When its power is cut, each sector that was not synced is there or not by lot, and
 * so is each file's name in the folder. There is one. */

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unit.h"

#define SECTOR 512
#define FILES_MAX 4096
#define FDS_MAX 1024

static uint64_t cut_disk_lot; /* what is drawn from here on hangs on it alone */

/* what is drawn from here on hangs on it alone */
static inline uint64_t cut_disk_draw(uint64_t below) {
        uint64_t x = cut_disk_lot += UINT64_C(0x9e3779b97f4a7c15);

        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        return (x ^ (x >> 31)) % below;
}

typedef struct Piece {
        bool truncates; /* to offset */
        size_t offset, size;
        unsigned char *bytes;
} Piece;

typedef struct File {
        char name[64];
        unsigned char *platter; /* what is there for good */
        size_t size;
        Piece *pending;
        size_t n_pending;
} File;

/* A name that came into the folder, or went. */
typedef struct Entry {
        size_t file;
        bool goes;
} Entry;

static struct Disk {
        char folder[64]; /* that SQLite believes to write to */
        Arena *arena;    /* of one life */
        File files[FILES_MAX];
        size_t n_files;
        bool is_listed[FILES_MAX], is_live[FILES_MAX];
        Entry *entries; /* not yet synced */
        size_t n_entries;
        int of_fd[FDS_MAX]; /* file + 1, -1: the folder, 0: another's */
        bool is_on, lies;   /* lies: it says that it has synced, and has not */
        uint64_t cut_after; /* so many calls from now; 0: not now */
        char cut_to[64];    /* a folder with what is left */
} disk;

static void apply(unsigned char **bytes, size_t *size, const Piece *p, bool torn) {
        size_t end = p->truncates ? p->offset : p->offset + p->size;

        if (p->truncates ? end != *size : end > *size) {
                unsigned char *grown = arena_alloc(disk.arena, end + 1);

                assert_non_null(grown);
                memset(grown, 0, end + 1);
                memcpy(grown, *bytes, MIN(*size, end));
                *bytes = grown;
                *size = end;
        }
        for (size_t at = 0, n; at < p->size; at += n) {
                n = MIN(p->size - at, SECTOR - (p->offset + at) % SECTOR);
                if (!torn || cut_disk_draw(2))
                        memcpy(*bytes + p->offset + at, p->bytes + at, n);
        }
}

static void write_file(const char *folder, const File *f) {
        unsigned char *bytes = arena_alloc(disk.arena, f->size + 1);
        size_t size = f->size;
        uint64_t how = cut_disk_draw(4); /* all, nothing, or by lot */
        char path[256];
        int fd;

        assert_non_null(bytes);
        memcpy(bytes, f->platter, size);
        for (size_t i = 0; i < f->n_pending; i++)
                if (how == 0 || (how > 1 && cut_disk_draw(4) > 0))
                        apply(&bytes, &size, &f->pending[i], how > 1);
        (void)snprintf(path, sizeof(path), "%s/%s", folder, f->name);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, size), (ssize_t)size);
        assert_int_equal(close(fd), 0);
}

/* Puts what would be found when the power is back into a new folder. */
static inline void cut_disk_cut(const char *folder) {
        bool listed[FILES_MAX];

        memcpy(listed, disk.is_listed, sizeof(listed));
        for (size_t i = 0; i < disk.n_entries; i++)
                if (cut_disk_draw(2))
                        listed[disk.entries[i].file] = !disk.entries[i].goes;
        assert_int_equal(mkdir(folder, 0700), 0);
        for (size_t i = disk.n_files; i-- > 0;) {
                bool is_hidden = false; /* by a later one of that name */

                for (size_t j = i + 1; j < disk.n_files; j++)
                        is_hidden |= listed[j] && streq(disk.files[i].name, disk.files[j].name);
                if (listed[i] && !is_hidden)
                        write_file(folder, &disk.files[i]);
        }
}

static void tick(void) {
        if (disk.cut_after > 0 && --disk.cut_after == 0)
                cut_disk_cut(disk.cut_to);
}

static File *file_of(int fd) {
        return disk.is_on && fd >= 0 && fd < FDS_MAX && disk.of_fd[fd] > 0
                       ? &disk.files[disk.of_fd[fd] - 1]
                       : NULL;
}

static void note(int fd, bool truncates, size_t offset, const void *bytes, size_t size) {
        Piece p = {.truncates = truncates, .offset = offset, .size = size};
        File *f = file_of(fd);

        if (!f)
                return;
        tick();
        p.bytes = arena_alloc(disk.arena, size + 1);
        assert_non_null(p.bytes);
        if (size > 0)
                memcpy(p.bytes, bytes, size);
        assert_non_null(arena_append(disk.arena, f->pending, f->n_pending, p));
}

static void note_sync(int fd) {
        bool is_folder = disk.is_on && fd >= 0 && fd < FDS_MAX && disk.of_fd[fd] == -1;
        File *f = file_of(fd);

        if (!f && !is_folder)
                return;
        tick();
        if (disk.lies)
                return;
        if (is_folder) {
                memcpy(disk.is_listed, disk.is_live, sizeof(disk.is_listed));
                disk.n_entries = 0;
                return;
        }
        for (size_t i = 0; i < f->n_pending; i++)
                apply(&f->platter, &f->size, &f->pending[i], false);
        f->n_pending = 0;
}

static size_t find_live(const char *name) {
        for (size_t i = 0; i < disk.n_files; i++)
                if (disk.is_live[i] && streq(disk.files[i].name, name))
                        return i;
        return FILES_MAX;
}

static void note_entry(size_t file, bool goes) {
        Entry e = {file, goes};

        tick();
        disk.is_live[file] = !goes;
        assert_non_null(arena_append(disk.arena, disk.entries, disk.n_entries, e));
}

/* The name within the folder; NULL: it is elsewhere. */
static const char *name_of(const char *path) {
        size_t n = strlen(disk.folder);

        return disk.is_on && n > 0 && strncmp(path, disk.folder, n) == 0 && path[n] == '/'
                       ? path + n + 1
                       : NULL;
}

static size_t add_file(const char *name) {
        File *f = &disk.files[disk.n_files];

        assert_true(disk.n_files < FILES_MAX);
        *f = (File){.platter = arena_alloc(disk.arena, 1)};
        (void)snprintf(f->name, sizeof(f->name), "%s", name);
        return disk.n_files++;
}

/* ---- what SQLite calls instead of the system */

static int hook_open(const char *path, int flags, int mode) {
        const char *name = name_of(path);
        bool is_folder = disk.is_on && streq(path, disk.folder);
        int fd = open(path, flags, mode);
        size_t i;

        assert_true(fd < FDS_MAX);
        if (fd < 0)
                return fd;
        disk.of_fd[fd] = is_folder ? -1 : 0;
        if (!name)
                return fd;
        i = find_live(name);
        if (i == FILES_MAX) {
                i = add_file(name);
                note_entry(i, false);
        }
        disk.of_fd[fd] = (int)i + 1;
        return fd;
}

static ssize_t hook_pwrite(int fd, const void *bytes, size_t size, off_t offset) {
        note(fd, false, (size_t)offset, bytes, size);
        return pwrite(fd, bytes, size, offset);
}

static ssize_t hook_write(int fd, const void *bytes, size_t size) {
        if (file_of(fd))
                note(fd, false, (size_t)lseek(fd, 0, SEEK_CUR), bytes, size);
        return write(fd, bytes, size);
}

static int hook_ftruncate(int fd, off_t size) {
        note(fd, true, (size_t)size, NULL, 0);
        return ftruncate(fd, size);
}

static int hook_unlink(const char *path) {
        const char *name = name_of(path);
        size_t i = name ? find_live(name) : FILES_MAX;

        if (i < FILES_MAX)
                note_entry(i, true);
        return unlink(path);
}

/* These SQLite takes from the C library by name; the machine's own disk is not waited for. */
int fdatasync(int fd) {
        note_sync(fd);
        return 0;
}

int fsync(int fd) {
        note_sync(fd);
        return 0;
}

/* Once. */
static inline void cut_disk_put_hooks(void) {
        static const struct {
                const char *name;
                sqlite3_syscall_ptr call;
        } rows[] = {
                {"open", (sqlite3_syscall_ptr)(void *)hook_open},
                {"pwrite", (sqlite3_syscall_ptr)(void *)hook_pwrite},
                {"pwrite64", (sqlite3_syscall_ptr)(void *)hook_pwrite},
                {"write", (sqlite3_syscall_ptr)(void *)hook_write},
                {"ftruncate", (sqlite3_syscall_ptr)(void *)hook_ftruncate},
                {"unlink", (sqlite3_syscall_ptr)(void *)hook_unlink},
        };
        sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                assert_int_equal(vfs->xSetSystemCall(vfs, rows[i].name, rows[i].call), SQLITE_OK);
}

/* What is done to that folder is done to the disk; all that it holds is there for good. lies: it
 * says that it has synced, and has not. */
static inline void cut_disk_begin(const char *folder, bool lies) {
        DIR *d = opendir(folder);

        assert_non_null(d);
        memset(&disk, 0, sizeof(disk));
        disk.arena = arena_new(0);
        assert_non_null(disk.arena);
        (void)snprintf(disk.folder, sizeof(disk.folder), "%s", folder);
        for (struct dirent *e = readdir(d); e; e = readdir(d)) {
                struct stat st;
                File *f;
                int fd;

                if (e->d_name[0] == '.')
                        continue;
                f = &disk.files[add_file(e->d_name)];
                fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC);
                assert_int_equal(fstat(fd, &st), 0);
                f->size = (size_t)st.st_size;
                f->platter = arena_alloc(disk.arena, f->size + 1);
                assert_int_equal(read(fd, f->platter, f->size), (ssize_t)f->size);
                (void)close(fd);
                disk.is_listed[f - disk.files] = disk.is_live[f - disk.files] = true;
        }
        (void)closedir(d);
        disk.lies = lies;
        disk.is_on = true;
}

/* Meanwhile other folders are the system's own. */
static inline void cut_disk_look_away(bool away) {
        disk.is_on = !away;
}

/* What comes after is never seen. */
static inline void cut_disk_end(void) {
        disk.is_on = false;
        disk.arena = arena_free(disk.arena);
}

/* The same after so many calls of the system; 0: never. */
static inline void cut_disk_cut_after(uint64_t calls, const char *to) {
        disk.cut_after = calls;
        (void)snprintf(disk.cut_to, sizeof(disk.cut_to), "%s", to);
}
