/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ban/ban_store_parts.h"
#include "base/unit.h"

/* The power fails, at the file system: what SQLite writes goes to a disk that keeps apart what it
 * was told to sync. When it is cut off, each sector that was not synced is there or not by lot, and
 * so is each file's name in the folder. Then the store is opened on what is left: whatever was
 * acknowledged is there, and of what was not all or nothing.
 *
 * RINGWALL_CUTS and RINGWALL_SEED say how often, and which; the seed is printed. */

#define SECTOR 512
#define FILES_MAX 4096
#define FDS_MAX 1024
#define ADDRESSES 200
#define NOW (INT64_C(1800000000) * INT64_C(1000000))
#define CHECKPOINT_PAGES 12 /* often, for that is when most can go wrong */
#define LIFE 40             /* transactions until a cut is the end of the process, too */

static uint64_t lot;

static uint64_t draw(uint64_t below) {
        uint64_t x = lot += UINT64_C(0x9e3779b97f4a7c15);

        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        return (x ^ (x >> 31)) % below;
}

/* ---- a disk */

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
                if (!torn || draw(2))
                        memcpy(*bytes + p->offset + at, p->bytes + at, n);
        }
}

static void write_file(const char *folder, const File *f) {
        unsigned char *bytes = arena_alloc(disk.arena, f->size + 1);
        size_t size = f->size;
        uint64_t how = draw(4); /* all, nothing, or by lot */
        char path[256];
        int fd;

        assert_non_null(bytes);
        memcpy(bytes, f->platter, size);
        for (size_t i = 0; i < f->n_pending; i++)
                if (how == 0 || (how > 1 && draw(4) > 0))
                        apply(&bytes, &size, &f->pending[i], how > 1);
        (void)snprintf(path, sizeof(path), "%s/%s", folder, f->name);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, size), (ssize_t)size);
        assert_int_equal(close(fd), 0);
}

/* What would be found when the power is back. */
static void cut(const char *folder) {
        bool listed[FILES_MAX];

        memcpy(listed, disk.is_listed, sizeof(listed));
        for (size_t i = 0; i < disk.n_entries; i++)
                if (draw(2))
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
                cut(disk.cut_to);
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

static void put_hooks(void) {
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

/* ---- lives of a store on it */

typedef struct Truth {
        int64_t until[ADDRESSES]; /* 0: not banned */
} Truth;

typedef struct Trial {
        char folder[64]; /* of folders */
        BanStore *store;
        Truth acknowledged, wanted;
        uint64_t number; /* of the next folder */
        uint64_t cuts, lost;
} Trial;

static void clear(const char *folder) {
        DIR *d = opendir(folder);

        assert_non_null(d);
        for (struct dirent *e = readdir(d); e; e = readdir(d))
                if (e->d_name[0] != '.')
                        assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
        (void)closedir(d);
        assert_int_equal(rmdir(folder), 0);
}

static void new_folder(Trial *t, char ret[static 64]) {
        (void)snprintf(ret, 64, "%.40s/%llu", t->folder, (unsigned long long)t->number++);
}

/* All that the folder holds is there for good. */
static void begin_life(Trial *t, const char *folder) {
        DIR *d = opendir(folder);

        assert_non_null(d);
        memset(&disk, 0, offsetof(struct Disk, lies));
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
        t->wanted = t->acknowledged;
        disk.is_on = true;
}

static int open_store(const char *folder, BanStore **ret) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        char *aside = NULL;
        int r = ban_store_open(folder, ret, &aside, diag_new(a));

        if (r == 0 && aside) {
                free(aside);
                return -EBADMSG;
        }
        return r;
}

static BanEntry address(size_t i) {
        return (BanEntry){.family = FAMILY_IPV4, .prefix = 32, .address = {0, 0xc6336400 + i}};
}

static int take(const Ban *ban, void *to) {
        Truth *truth = to;
        size_t i = (size_t)(ban->key.address.low - 0xc6336400);

        assert_true(i < ADDRESSES);
        truth->until[i] = ban->until_usec;
        return 0;
}

/* Whether the store that is left is one of the two. */
static bool is_whole(const char *folder, const Truth *a, const Truth *b) {
        Truth found = {0};
        BanStore *s = NULL;
        bool was_on = disk.is_on;
        int r;

        disk.is_on = false;
        r = open_store(folder, &s);
        if (r == 0)
                r = ban_store_read(s, &(BanFilter){0}, NOW, take, &found);
        (void)ban_store_close(s);
        disk.is_on = was_on;
        return r == 0 &&
               (memcmp(&found, a, sizeof(found)) == 0 || memcmp(&found, b, sizeof(found)) == 0);
}

static int take_change(const BanChange *c, void *to) {
        (void)c;
        (void)to;
        return 0;
}

/* Some are banned, some unbanned: the one is as often as the other in the long run. */
static int change(Trial *t) {
        size_t n = 1 + draw(draw(3) == 0 ? 40 : 4);
        int r = ban_store_begin(t->store);

        for (size_t k = 0; k < n && r == 0; k++) {
                size_t i = draw(ADDRESSES);
                BanEntry key = address(i);
                Ban ban = {.key = key, .jail = "sshd", .source = "trial", .reason = "by lot"};
                BanChange c;

                ban.since_usec = NOW;
                ban.until_usec = NOW + 1000000 + (int64_t)draw(1U << 30);
                if (draw(2)) {
                        r = ban_store_put(t->store, &ban, NOW, &c);
                        t->wanted.until[i] = MAX(t->wanted.until[i], ban.until_usec);
                } else {
                        r = ban_store_drop(t->store, &(BanFilter){.address = &key}, NOW,
                                           take_change, NULL);
                        t->wanted.until[i] = 0;
                }
        }
        return r == 0 ? ban_store_commit(t->store) : r;
}

static void look(Trial *t, const char *folder, const Truth *a, const Truth *b, bool keep) {
        char copy[64];

        t->cuts++;
        if (!keep) {
                t->lost += !is_whole(folder, a, b);
                clear(folder);
                return;
        }
        /* looking changes it: the next life begins with another cut of the same moment */
        new_folder(t, copy);
        cut(copy);
        t->lost += !is_whole(folder, a, b);
        clear(folder);
        (void)snprintf(disk.cut_to, sizeof(disk.cut_to), "%s", copy);
}

/* Until its last transaction is acknowledged; the folder that the next one begins with. */
static void live(Trial *t, char folder[static 64]) {
        uint64_t n = 1 + draw(LIFE);
        char left[64], old[64];

        begin_life(t, folder);
        for (uint64_t i = 0; i <= n; i++) {
                new_folder(t, disk.cut_to);
                disk.cut_after = draw(2) ? 1 + draw(i == 0 ? 12 : 25) : 0;
                if (i == 0) {
                        assert_int_equal(open_store(folder, &t->store), 0);
                        (void)sqlite3_wal_autocheckpoint(t->store->db, CHECKPOINT_PAGES);
                } else
                        assert_int_equal(change(t), 0);
                disk.cut_after = 0;
                if (access(disk.cut_to, F_OK) == 0)
                        look(t, disk.cut_to, &t->acknowledged, &t->wanted, false);
                t->acknowledged = t->wanted;
                new_folder(t, left);
                cut(left);
                look(t, left, &t->acknowledged, &t->acknowledged, i == n);
        }
        (void)snprintf(old, sizeof(old), "%s", folder);
        (void)snprintf(folder, 64, "%s", disk.cut_to);
        disk.is_on = false; /* it was cut off: what closing writes is never seen */
        t->store = ban_store_close(t->store);
        clear(old);
        disk.arena = arena_free(disk.arena);
}

static uint64_t number(const char *name, uint64_t otherwise) {
        const char *text = getenv(name);

        return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void run(Trial *t, uint64_t cuts, bool lies) {
        char folder[64];

        *t = (Trial){0};
        (void)snprintf(t->folder, sizeof(t->folder), "/tmp/ringwall-cuts-XXXXXX");
        assert_non_null(mkdtemp(t->folder));
        new_folder(t, folder);
        assert_int_equal(mkdir(folder, 0700), 0);
        disk.lies = lies;
        while (t->cuts < cuts && !(lies && t->lost > 0))
                live(t, folder);
        clear(folder);
        assert_int_equal(rmdir(t->folder), 0);
}

static void whenever_the_power_fails_nothing_that_was_acknowledged_is_lost(void **state) {
        uint64_t seed = number("RINGWALL_SEED", (uint64_t)time(NULL));
        Trial t;

        (void)state;
        lot = seed;
        run(&t, number("RINGWALL_CUTS", 300), false);
        print_message("# RINGWALL_SEED=%llu: %llu cuts, %llu of them lost something\n",
                      (unsigned long long)seed, (unsigned long long)t.cuts,
                      (unsigned long long)t.lost);
        assert_int_equal(t.lost, 0);
}

/* Else the other test could not fail. */
static void a_disk_that_does_not_sync_is_found_out(void **state) {
        Trial t;

        (void)state;
        lot = 1;
        run(&t, 200, true);
        assert_int_not_equal(t.lost, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(whenever_the_power_fails_nothing_that_was_acknowledged_is_lost),
                cmocka_unit_test(a_disk_that_does_not_sync_is_found_out),
        };

        put_hooks();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
