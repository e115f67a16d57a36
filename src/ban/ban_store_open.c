/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "ban/ban_log.h"
#include "ban/ban_store_parts.h"

/* The store's file: made, opened, put aside where it is damaged, copied. */

#define VERSION 1 /* of the tables; user_version of the file */

/* Exclusive: nobody else writes to it, and no shared memory is needed. Each commit waits for the
 * disk. A row of `past` is what is remembered of a ban that is over. */
static const char schema[] =
        "PRAGMA locking_mode = EXCLUSIVE;"
        "PRAGMA journal_mode = WAL;"
        "PRAGMA synchronous = FULL;"
        "PRAGMA cache_size = -16384;"
        "PRAGMA trusted_schema = OFF;"
        "PRAGMA cell_size_check = ON;"
        "CREATE TABLE IF NOT EXISTS bans (key BLOB NOT NULL, jail TEXT NOT NULL,"
        " since INTEGER NOT NULL, until INTEGER NOT NULL, times INTEGER NOT NULL,"
        " uid INTEGER NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL,"
        " PRIMARY KEY (key, jail)) WITHOUT ROWID;"
        "CREATE INDEX IF NOT EXISTS ends ON bans (until);"
        "CREATE TABLE IF NOT EXISTS past (key BLOB PRIMARY KEY NOT NULL,"
        " times INTEGER NOT NULL, last INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE INDEX IF NOT EXISTS lasts ON past (last);"
        "PRAGMA user_version = 1;";

/* Reads every page that a start needs, so that damage is met here and not when somebody is banned.
 */
static int read_all(BanStore *s) {
        sqlite3_stmt *check = NULL;
        int r = -EBADMSG;

        if (sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &check, NULL) != SQLITE_OK)
                return ban_store_errno(s);
        if (sqlite3_step(check) != SQLITE_ROW)
                r = ban_store_errno(s);
        else if (streq((const char *)sqlite3_column_text(check, 0), "ok"))
                r = 0;
        (void)sqlite3_finalize(check);
        return r;
}

static int check_version(BanStore *s) {
        sqlite3_stmt *version = NULL;
        int number = -1;

        if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &version, NULL) == SQLITE_OK &&
            sqlite3_step(version) == SQLITE_ROW)
                number = sqlite3_column_int(version, 0);
        (void)sqlite3_finalize(version);
        if (number < 0)
                return ban_store_errno(s);
        return number <= VERSION ? 0 : -EOPNOTSUPP;
}

static int try_open(const char *path, BanStore **ret) {
        _cleanup_(ban_store_closep) BanStore *s = calloc(1, sizeof(*s));
        mode_t before = umask(0077);
        char log[4096];
        int r = 0;

        (void)snprintf(log, sizeof(log), "%s-wal", path);
        if (s) /* one that cannot be read SQLite will complain about */
                (void)ban_log_read(log, &s->lacks_something);
        if (s && sqlite3_open_v2(path, &s->db,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW |
                                         SQLITE_OPEN_NOMUTEX, /* one thread */
                                 NULL) != SQLITE_OK)
                r = s->db ? ban_store_errno(s) : -ENOMEM;
        if (s && r == 0) {
                (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
                r = check_version(s);
        }
        if (s && r == 0 && sqlite3_exec(s->db, schema, NULL, NULL, NULL) != SQLITE_OK)
                r = ban_store_errno(s);
        (void)umask(before);
        if (!s || r < 0)
                return s ? r : -ENOMEM;
        r = read_all(s);
        if (r == 0)
                *ret = TAKE_PTR(s);
        return r;
}

/* The file, and what SQLite keeps beside it. 0 or a negative errno. */
static int put_aside(const char *path, char **ret) {
        static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
        char *aside = NULL, from[4096], to[4096];

        for (long long when = (long long)time(NULL);; when++) { /* an earlier one is kept */
                if (asprintf(&aside, "%s.damaged-%lld", path, when) < 0)
                        return -ENOMEM;
                if (access(aside, F_OK) < 0)
                        break;
                free(aside);
        }
        for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
                (void)snprintf(from, sizeof(from), "%s%s", path, suffixes[i]);
                (void)snprintf(to, sizeof(to), "%s%s", aside, suffixes[i]);
                if (rename(from, to) < 0 && errno != ENOENT) {
                        int r = -errno;

                        free(aside);
                        return r;
                }
        }
        *ret = aside;
        return 0;
}

int ban_store_open(const char *folder, BanStore **ret, char **ret_aside, Diag *d) {
        char path[4096 - 64];
        char *aside = NULL;
        int r;

        if ((size_t)snprintf(path, sizeof(path), "%s/" BAN_STORE_FILE, folder) >= sizeof(path))
                return -ENAMETOOLONG;
        r = try_open(path, ret);
        if (r == -EBADMSG) {
                r = put_aside(path, &aside);
                if (r == 0)
                        r = try_open(path, ret);
        }
        if (r == 0)
                *ret_aside = aside;
        else
                free(aside);
        if (r == -EOPNOTSUPP)
                (void)diag_error(d, (Span){0}, "the bans in %s are of a later version of ringwall",
                                 path);
        else if (r < 0)
                (void)diag_error(d, (Span){0}, "the bans in %s cannot be opened: %s", path,
                                 strerror(-r));
        return r;
}

/* 1: there is none of that name. */
static int copy_file(int from, int to, const char *name) {
        _cleanup_close_ int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), out = -1;
        char buf[65536];
        ssize_t n;

        if (in < 0 && errno != ENOENT)
                return -errno;
        if (unlinkat(to, name, 0) < 0 && errno != ENOENT)
                return -errno;
        if (in < 0)
                return 1;
        out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (out < 0)
                return -errno;
        while ((n = read(in, buf, sizeof(buf))) > 0)
                if (write(out, buf, (size_t)n) != n)
                        return -ENOSPC;
        return n < 0 ? -errno : 0;
}

int ban_store_copy(const char *from, const char *to) {
        _cleanup_close_ int in = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC), out = -1;
        int r;

        out = in >= 0 ? open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (out < 0)
                return -errno;
        r = copy_file(in, out, BAN_STORE_FILE);
        if (r == 0) /* what was committed last is there alone */
                r = copy_file(in, out, BAN_STORE_FILE "-wal");
        else if (r > 0)
                return -ENOENT;
        return MIN(r, 0);
}

bool ban_store_lacks_something(const BanStore *s) {
        return s->lacks_something;
}

BanStore *ban_store_close(BanStore *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < _QUERY_MAX; i++)
                (void)sqlite3_finalize(s->statements[i]);
        (void)sqlite3_close_v2(s->db); /* what was committed is on disk */
        free(s);
        return NULL;
}
