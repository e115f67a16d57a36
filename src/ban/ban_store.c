/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/ban_store.h"

#include "ban/ban_store_parts.h"

#define DAY_USEC (INT64_C(86400) * 1000000)

#define KEEP                                                                                       \
        " ON CONFLICT (key) DO UPDATE SET times = max(times, excluded.times),"                     \
        " last = max(last, excluded.last)"

/* Of the tables that ban_store_open.c makes. */
static const char *const texts[_QUERY_MAX] = {
        [QUERY_BEGIN] = "BEGIN IMMEDIATE",
        [QUERY_COMMIT] = "COMMIT",
        [QUERY_ROLLBACK] = "ROLLBACK",
        [QUERY_OF_KEY] = "SELECT jail, until, times, since, source, reason FROM bans"
                         " WHERE key = ?1",
        [QUERY_PAST] = "SELECT times FROM past WHERE key = ?1 AND last >= ?2",
        [QUERY_PUT] = "INSERT OR REPLACE INTO bans VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        [QUERY_DELETE] = "DELETE FROM bans WHERE key = ?1 AND jail = ?2",
        [QUERY_KEEP_PAST] = "INSERT INTO past VALUES (?1, ?2, ?3)" KEEP,
        [QUERY_KEEP_ALL_PAST] = "INSERT INTO past SELECT key, times, until FROM bans"
                                " WHERE until <= ?1" KEEP,
        [QUERY_KEEP_EACH] = "INSERT INTO past SELECT key, times, ?1 FROM bans WHERE true" KEEP,
        [QUERY_DELETE_ALL] = "DELETE FROM bans",
        [QUERY_COUNT_ENDED] =
                "SELECT count(*) FROM (SELECT max(until) AS last FROM bans WHERE key IN"
                " (SELECT key FROM bans WHERE until <= ?1) GROUP BY key)"
                " WHERE last <= ?1",
        [QUERY_EXPIRE] = "DELETE FROM bans WHERE until <= ?1",
        [QUERY_FORGET] = "DELETE FROM past WHERE last < ?1 OR last <"
                         " (SELECT last FROM past ORDER BY last DESC LIMIT 1 OFFSET 1000000)",
        /* along the primary key: DISTINCT would sort all keys once more */
        [QUERY_COUNT] = "SELECT coalesce(sum(n), 0), count(*) FROM"
                        " (SELECT count(*) AS n FROM bans WHERE until > ?1 GROUP BY key)",
        [QUERY_COUNT_OF] = "SELECT count(*) FROM bans WHERE until > ?1"
                           " AND (jail = ?2 OR (jail = '' AND source = ?2))",
        [QUERY_FIRST_TO_END] = "SELECT key, jail FROM bans WHERE until < 9223372036854775807"
                               " ORDER BY until LIMIT ?1",
        [QUERY_NEXT_END] = "SELECT min(until) FROM bans",
        /* a number of zero bytes stands for what is not asked for */
        [QUERY_LIST] = "SELECT key, jail, since, until, times, uid, source, reason FROM bans"
                       " WHERE until > ?1 AND since >= ?2 AND (?3 IS NULL OR jail = ?3)"
                       " AND (key, jail) > (?4, ?5) AND key >= ?6 AND key <= ?7"
                       " ORDER BY key, jail LIMIT ?8",
        [QUERY_KERNEL] = "SELECT key, max(until) FROM bans WHERE until > ?1 GROUP BY key",
};

int ban_store_errno(const BanStore *s) {
        switch (sqlite3_errcode(s->db)) {
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
        case SQLITE_FORMAT:
                return -EBADMSG;
        case SQLITE_FULL:
                return -ENOSPC;
        case SQLITE_READONLY:
                return -EROFS;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_BUSY:
                return -EBUSY;
        default:
                return -EIO;
        }
}

const char *ban_store_error(const BanStore *s) {
        return sqlite3_errmsg(s->db);
}

sqlite3_stmt *ban_store_query(BanStore *s, Query which) {
        sqlite3_stmt **p = &s->statements[which];

        if (!*p && sqlite3_prepare_v3(s->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, p,
                                      NULL) != SQLITE_OK)
                return NULL;
        return *p;
}

int ban_store_run(BanStore *s, sqlite3_stmt *statement) {
        int r = statement && sqlite3_step(statement) == SQLITE_DONE ? 0 : ban_store_errno(s);

        if (statement)
                (void)sqlite3_reset(statement); /* says the same again */
        return r;
}

/* ---- transactions */

int ban_store_begin(BanStore *s) {
        return ban_store_run(s, ban_store_query(s, QUERY_BEGIN));
}

int ban_store_commit(BanStore *s) {
        return ban_store_run(s, ban_store_query(s, QUERY_COMMIT));
}

void ban_store_rollback(BanStore *s) {
        if (!sqlite3_get_autocommit(s->db)) /* else an error has done it already */
                (void)ban_store_run(s, ban_store_query(s, QUERY_ROLLBACK));
}

/* ---- changes */

static void bind_key(sqlite3_stmt *statement, int index, const BanEntry *key) {
        unsigned char bytes[BAN_KEY_BYTES_MAX];
        size_t size = ban_key_write(key, bytes);

        (void)sqlite3_bind_blob(statement, index, bytes, (int)size, SQLITE_TRANSIENT);
}

static void bind_text(sqlite3_stmt *statement, int index, const char *text) {
        (void)sqlite3_bind_text(statement, index, text, -1, SQLITE_TRANSIENT);
}

/* What is known of a key: the jail's own ban, and when the last of the others' ends. */
typedef struct Known {
        bool is_there; /* and not over */
        int64_t since_usec, until_usec, times;
        int64_t others_usec; /* 0: there is none */
        char source[BAN_NAME_MAX + 1], reason[BAN_REASON_MAX + 1];
} Known;

static int look_up(BanStore *s, const BanEntry *key, const char *jail, int64_t now, Known *ret) {
        sqlite3_stmt *q = ban_store_query(s, QUERY_OF_KEY);
        int step = SQLITE_DONE;

        *ret = (Known){0};
        if (!q)
                return ban_store_errno(s);
        bind_key(q, 1, key);
        while ((step = sqlite3_step(q)) == SQLITE_ROW) {
                int64_t until = sqlite3_column_int64(q, 1);

                ret->times = MAX(ret->times, (int64_t)sqlite3_column_int64(q, 2));
                if (until <= now)
                        continue;
                if (!streq(ban_store_text(q, 0), jail)) {
                        ret->others_usec = MAX(ret->others_usec, until);
                        continue;
                }
                ret->is_there = true;
                ret->until_usec = until;
                ret->since_usec = sqlite3_column_int64(q, 3);
                (void)snprintf(ret->source, sizeof(ret->source), "%s", ban_store_text(q, 4));
                (void)snprintf(ret->reason, sizeof(ret->reason), "%s", ban_store_text(q, 5));
        }
        (void)sqlite3_reset(q);
        return step == SQLITE_DONE ? 0 : ban_store_errno(s);
}

int ban_store_holds(BanStore *s, const BanEntry *key, int64_t now_usec, bool *ret) {
        Known known;
        int r = look_up(s, key, "", now_usec, &known);

        if (r == 0)
                *ret = known.is_there || known.others_usec > 0;
        return r;
}

static int64_t forgotten_usec(int64_t now_usec) {
        return now_usec - BAN_STORE_FORGET_DAYS * DAY_USEC;
}

int ban_store_count_past(BanStore *s, const BanEntry *key, int64_t now_usec, int64_t *ret) {
        sqlite3_stmt *q = ban_store_query(s, QUERY_PAST);
        int step, r = 0;

        *ret = 0;
        if (!q)
                return ban_store_errno(s);
        bind_key(q, 1, key);
        (void)sqlite3_bind_int64(q, 2, forgotten_usec(now_usec));
        step = sqlite3_step(q);
        if (step == SQLITE_ROW)
                *ret = sqlite3_column_int64(q, 0);
        else if (step != SQLITE_DONE)
                r = ban_store_errno(s);
        (void)sqlite3_reset(q);
        return r;
}

static int write_row(BanStore *s, const Ban *ban) {
        sqlite3_stmt *put = ban_store_query(s, QUERY_PUT);

        if (!put)
                return ban_store_errno(s);
        bind_key(put, 1, &ban->key);
        bind_text(put, 2, ban->jail);
        (void)sqlite3_bind_int64(put, 3, ban->since_usec);
        (void)sqlite3_bind_int64(put, 4, ban->until_usec);
        (void)sqlite3_bind_int64(put, 5, ban->times);
        (void)sqlite3_bind_int64(put, 6, ban->uid);
        bind_text(put, 7, ban->source);
        bind_text(put, 8, ban->reason);
        return ban_store_run(s, put);
}

int ban_store_put(BanStore *s, const Ban *ban, int64_t now_usec, BanChange *ret) {
        Ban row = *ban;
        int64_t past = 0;
        Known known;
        int r = look_up(s, &ban->key, ban->jail, now_usec, &known);

        if (r == 0 && known.times == 0)
                r = ban_store_count_past(s, &ban->key, now_usec, &past);
        if (r < 0)
                return r;
        row.times = MAX(known.times, past);
        if (!known.is_there && known.others_usec == 0 && (!ban->is_restored || row.times == 0))
                row.times++;
        if (known.is_there) {
                row.since_usec = known.since_usec;
                row.until_usec = MAX(known.until_usec, row.until_usec);
                row.reason = *row.reason ? row.reason : known.reason;
                row.source = *row.source ? row.source : known.source;
        }
        *ret = (BanChange){
                .key = ban->key,
                .was_there = known.is_there,
                .before_usec = MAX(known.until_usec, known.others_usec),
                .until_usec = row.until_usec,
                .kernel_usec = MAX(row.until_usec, known.others_usec),
                .times = row.times,
        };
        return write_row(s, &row);
}

static int
remove_row(BanStore *s, const BanEntry *key, const char *jail, int64_t now, int64_t times) {
        sqlite3_stmt *keep = ban_store_query(s, QUERY_KEEP_PAST),
                     *drop = keep ? ban_store_query(s, QUERY_DELETE) : NULL;
        int r;

        if (!drop)
                return ban_store_errno(s);
        bind_key(keep, 1, key);
        (void)sqlite3_bind_int64(keep, 2, times);
        (void)sqlite3_bind_int64(keep, 3, now);
        r = ban_store_run(s, keep);
        if (r < 0)
                return r;
        bind_key(drop, 1, key);
        bind_text(drop, 2, jail);
        return ban_store_run(s, drop);
}

/* Rows that are to go, collected first: a statement that reads must not meet what it removes. */
typedef struct Doomed {
        Arena *arena;
        struct Row {
                BanEntry key;
                const char *jail;
        } * rows;
        size_t n;
} Doomed;

static int doom(const Ban *ban, void *to) {
        Doomed *d = to;
        struct Row row = {ban->key, arena_strdup(d->arena, ban->jail)};

        return row.jail && arena_append(d->arena, d->rows, d->n, row) ? 0 : -ENOMEM;
}

/* What cannot be written is told all the same, and nothing more is written then: the library may
 * have ended the transaction. */
static int remove_all(BanStore *s,
                      const Doomed *d,
                      int64_t now,
                      int (*take)(const BanChange *c, void *to),
                      void *to) {
        int written = 0;

        for (size_t i = 0; i < d->n; i++) {
                const struct Row *row = &d->rows[i];
                Known known;
                int r = look_up(s, &row->key, row->jail, now, &known);

                if (r == 0 && written == 0)
                        written = remove_row(s, &row->key, row->jail, now, known.times);
                if (r == 0)
                        r = take(&(BanChange){.key = row->key,
                                              .was_there = known.is_there,
                                              .before_usec =
                                                      MAX(known.until_usec, known.others_usec),
                                              .kernel_usec = known.others_usec,
                                              .times = known.times},
                                 to);
                if (r < 0)
                        return r;
        }
        return written;
}

int ban_store_drop_all(BanStore *s, int64_t now_usec, int64_t *ret_bans) {
        sqlite3_stmt *keep = ban_store_query(s, QUERY_KEEP_EACH),
                     *drop = keep ? ban_store_query(s, QUERY_DELETE_ALL) : NULL;
        int r;

        *ret_bans = 0;
        if (!drop)
                return ban_store_errno(s);
        (void)sqlite3_bind_int64(keep, 1, now_usec);
        r = ban_store_run(s, keep);
        if (r == 0)
                r = ban_store_run(s, drop);
        if (r == 0)
                *ret_bans = sqlite3_changes64(s->db);
        return r;
}

int ban_store_drop(BanStore *s,
                   const BanFilter *f,
                   int64_t now_usec,
                   int (*take)(const BanChange *c, void *to),
                   void *to) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Doomed d = {.arena = a};
        int r = a ? ban_store_read(s, f, now_usec, doom, &d) : -ENOMEM;

        return r < 0 ? r : remove_all(s, &d, now_usec, take, to);
}

int ban_store_trim(BanStore *s,
                   int64_t n,
                   int64_t now_usec,
                   int (*take)(const BanChange *c, void *to),
                   void *to) {
        _cleanup_(arena_freep) Arena *a = n > 0 ? arena_new(0) : NULL;
        Doomed d = {.arena = a};
        sqlite3_stmt *q;
        int step, r = 0;

        if (n <= 0)
                return 0;
        q = a ? ban_store_query(s, QUERY_FIRST_TO_END) : NULL;
        if (!q)
                return a ? ban_store_errno(s) : -ENOMEM;
        (void)sqlite3_bind_int64(q, 1, n);
        while ((step = sqlite3_step(q)) == SQLITE_ROW && r == 0) {
                Ban ban = {.jail = ban_store_text(q, 1)};

                if (ban_store_key(q, &ban.key))
                        r = doom(&ban, &d);
        }
        (void)sqlite3_reset(q);
        if (r == 0 && step != SQLITE_DONE)
                r = ban_store_errno(s);
        return r < 0 ? r : remove_all(s, &d, now_usec, take, to);
}

int ban_store_count_ending(BanStore *s, int64_t until_usec, int64_t *ret) {
        sqlite3_stmt *q = ban_store_query(s, QUERY_COUNT_ENDED);
        int r = 0;

        if (!q)
                return ban_store_errno(s);
        (void)sqlite3_bind_int64(q, 1, until_usec);
        if (sqlite3_step(q) == SQLITE_ROW)
                *ret = sqlite3_column_int64(q, 0);
        else
                r = ban_store_errno(s);
        (void)sqlite3_reset(q);
        return r;
}

int ban_store_expire(BanStore *s, int64_t now_usec, int64_t *ret_bans, int64_t *ret_keys) {
        static const Query order[] = {QUERY_KEEP_ALL_PAST, QUERY_EXPIRE, QUERY_FORGET};
        int64_t next, bans = 0, keys = 0;
        int r = ban_store_next_end(s, &next);

        *ret_bans = *ret_keys = 0;
        if (r < 0 || next > now_usec)
                return r;
        r = ban_store_count_ending(s, now_usec, &keys);
        for (size_t i = 0; i < ARRAY_SIZE(order) && r == 0; i++) {
                int64_t forgotten = forgotten_usec(now_usec);
                sqlite3_stmt *q = ban_store_query(s, order[i]);

                if (q)
                        (void)sqlite3_bind_int64(q, 1,
                                                 order[i] == QUERY_FORGET ? forgotten : now_usec);
                r = ban_store_run(s, q);
                if (order[i] == QUERY_EXPIRE)
                        bans = sqlite3_changes64(s->db);
        }
        if (r == 0) {
                *ret_bans = bans;
                *ret_keys = keys;
        }
        return r;
}
