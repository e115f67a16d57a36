/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/ban_store.h"

#include "ban/ban_store_parts.h"

/* What is asked of the store and changes nothing. */

const char *ban_store_text(sqlite3_stmt *statement, int i) {
        const unsigned char *text = sqlite3_column_text(statement, i);

        return text ? (const char *)text : "";
}

bool ban_store_key(sqlite3_stmt *q, BanEntry *ret) {
        return ban_key_read(sqlite3_column_blob(q, 0), (size_t)sqlite3_column_bytes(q, 0), ret);
}

/* Keys from low to high. The statement finds where to begin by ?4, behind which it lists: a key
 * that is cut off stands before all that begin so. */
static void
bind_keys(sqlite3_stmt *q, const BanFilter *f, const BanEntry *first, const BanEntry *last) {
        unsigned char low[BAN_KEY_BYTES_MAX], high[BAN_KEY_BYTES_MAX];
        size_t size = ban_key_write(first, low);

        (void)ban_key_write(last, high);
        (void)sqlite3_bind_blob(q, 6, low, (int)size, SQLITE_TRANSIENT);
        (void)sqlite3_bind_blob(q, 7, high, (int)size, SQLITE_TRANSIENT);
        if (!f->after)
                (void)sqlite3_bind_blob(q, 4, low, (int)size - 1, SQLITE_TRANSIENT);
}

/* The keys of an address, whichever services they are about, stand in a row; and those of
 * neighbouring addresses. */
static void bind_range(sqlite3_stmt *q, const BanFilter *f) {
        static const unsigned char end[] = {0xff};
        BanEntry first = {.family = f->family}, last = first;

        if (f->address) {
                first = last = *f->address;
                if (last.protocol == 0) {
                        last.protocol = UINT8_MAX;
                        last.port = UINT16_MAX;
                }
        } else if (f->within) {
                first.address = f->within->low;
                last.address = f->within->high;
                last.prefix = last.protocol = UINT8_MAX;
                last.port = UINT16_MAX;
        } else {
                (void)sqlite3_bind_blob(q, 6, "", 0, SQLITE_STATIC);
                (void)sqlite3_bind_blob(q, 7, end, sizeof(end), SQLITE_STATIC);
                return;
        }
        bind_keys(q, f, &first, &last);
}

static void bind_filter(sqlite3_stmt *q, const BanFilter *f, int64_t now_usec) {
        (void)sqlite3_bind_int64(q, 1, now_usec);
        (void)sqlite3_bind_int64(q, 2, f->since_usec);
        if (f->jail)
                (void)sqlite3_bind_text(q, 3, f->jail, -1, SQLITE_TRANSIENT);
        else
                (void)sqlite3_bind_null(q, 3);
        (void)sqlite3_bind_blob(q, 4, f->after ? (const void *)f->after : "",
                                f->after ? (int)f->after_size : 0, SQLITE_TRANSIENT);
        (void)sqlite3_bind_text(q, 5, f->after_jail ? f->after_jail : "", -1, SQLITE_TRANSIENT);
        bind_range(q, f);
        (void)sqlite3_bind_int64(q, 8, f->limit > 0 ? (sqlite3_int64)f->limit : -1);
}

int ban_store_read(BanStore *s,
                   const BanFilter *f,
                   int64_t now_usec,
                   int (*take)(const Ban *ban, void *to),
                   void *to) {
        sqlite3_stmt *q = ban_store_query(s, QUERY_LIST);
        int step = SQLITE_DONE, r = 0;

        if (!q)
                return ban_store_errno(s);
        bind_filter(q, f, now_usec);
        while (r == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
                Ban ban = {
                        .jail = ban_store_text(q, 1),
                        .since_usec = sqlite3_column_int64(q, 2),
                        .until_usec = sqlite3_column_int64(q, 3),
                        .times = sqlite3_column_int64(q, 4),
                        .uid = sqlite3_column_int64(q, 5),
                        .source = ban_store_text(q, 6),
                        .reason = ban_store_text(q, 7),
                };

                if (ban_store_key(q, &ban.key))
                        r = take(&ban, to);
        }
        if (r == 0 && step != SQLITE_DONE)
                r = ban_store_errno(s);
        (void)sqlite3_reset(q);
        return r;
}

int ban_store_read_kernel(BanStore *s,
                          int64_t now_usec,
                          int (*take)(const BanEntry *e, void *to),
                          void *to) {
        sqlite3_stmt *q = ban_store_query(s, QUERY_KERNEL);
        int step = SQLITE_DONE, r = 0;

        if (!q)
                return ban_store_errno(s);
        (void)sqlite3_bind_int64(q, 1, now_usec);
        while (r == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
                int64_t until = sqlite3_column_int64(q, 1);
                BanEntry e;

                if (!ban_store_key(q, &e))
                        continue;
                e.timeout_ms = ban_timeout(until, now_usec);
                r = take(&e, to);
        }
        if (r == 0 && step != SQLITE_DONE)
                r = ban_store_errno(s);
        (void)sqlite3_reset(q);
        return r;
}

int ban_store_count(BanStore *s, int64_t now_usec, int64_t *ret_bans, int64_t *ret_keys) {
        sqlite3_stmt *q = ban_store_query(s, QUERY_COUNT);
        int r = 0;

        if (!q)
                return ban_store_errno(s);
        (void)sqlite3_bind_int64(q, 1, now_usec);
        if (sqlite3_step(q) == SQLITE_ROW) {
                *ret_bans = sqlite3_column_int64(q, 0);
                *ret_keys = sqlite3_column_int64(q, 1);
        } else
                r = ban_store_errno(s);
        (void)sqlite3_reset(q);
        return r;
}

int ban_store_count_of(BanStore *s, const char *name, int64_t now_usec, int64_t *ret) {
        sqlite3_stmt *q = ban_store_query(s, QUERY_COUNT_OF);
        int r = 0;

        if (!q)
                return ban_store_errno(s);
        (void)sqlite3_bind_int64(q, 1, now_usec);
        (void)sqlite3_bind_text(q, 2, name, -1, SQLITE_TRANSIENT);
        if (sqlite3_step(q) == SQLITE_ROW)
                *ret = sqlite3_column_int64(q, 0);
        else
                r = ban_store_errno(s);
        (void)sqlite3_reset(q);
        return r;
}

int ban_store_next_end(BanStore *s, int64_t *ret) {
        sqlite3_stmt *q = ban_store_query(s, QUERY_NEXT_END);
        int r = 0;

        if (!q)
                return ban_store_errno(s);
        if (sqlite3_step(q) == SQLITE_ROW)
                *ret = sqlite3_column_type(q, 0) == SQLITE_NULL ? BAN_EVER
                                                                : sqlite3_column_int64(q, 0);
        else
                r = ban_store_errno(s);
        (void)sqlite3_reset(q);
        return r;
}
