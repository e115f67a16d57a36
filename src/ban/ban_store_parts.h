/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of the store share: its statements. */

#include <sqlite3.h>

#include "ban/ban_store.h"

typedef enum Query {
        QUERY_BEGIN,
        QUERY_COMMIT,
        QUERY_ROLLBACK,
        QUERY_OF_KEY,
        QUERY_PAST,
        QUERY_PUT,
        QUERY_DELETE,
        QUERY_KEEP_PAST,
        QUERY_KEEP_ALL_PAST,
        QUERY_KEEP_EACH,
        QUERY_DELETE_ALL,
        QUERY_COUNT_ENDED,
        QUERY_EXPIRE,
        QUERY_FORGET,
        QUERY_COUNT,
        QUERY_COUNT_OF,
        QUERY_FIRST_TO_END,
        QUERY_NEXT_END,
        QUERY_LIST,
        QUERY_KERNEL,
        _QUERY_MAX,
} Query;

struct BanStore {
        sqlite3 *db;
        bool lacks_something;                 /* its log was damaged when it was opened */
        sqlite3_stmt *statements[_QUERY_MAX]; /* made when they are first needed */
};

/* The statement, ready to be bound; NULL: ban_store_errno() says why. */
sqlite3_stmt *ban_store_query(BanStore *s, Query which);
/* Runs one that gives no rows, and makes it ready again. 0 or a negative errno. */
int ban_store_run(BanStore *s, sqlite3_stmt *statement);
/* What went wrong last: -EBADMSG for a damaged file, -ENOSPC, -EROFS, -ENOMEM, -EIO. */
int ban_store_errno(const BanStore *s);
/* A column; "" for none. Valid until the next step. */
const char *ban_store_text(sqlite3_stmt *statement, int i);
/* The key in the first column; false: it is none. */
bool ban_store_key(sqlite3_stmt *q, BanEntry *ret);
