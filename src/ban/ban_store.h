/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Every ban, on disk: a database in the state directory (SQLite, synced at each commit). What was
 * committed is there after a crash or a power failure. One process at a time. Times are
 * microseconds since 1970. */

#include "ban/ban.h"
#include "base/diag.h"

#define BAN_STORE_FILE "bans.sqlite"
#define BAN_STORE_FORGET_DAYS 30 /* after its last ban a former one is forgotten */

typedef struct BanStore BanStore;

/* Makes the file if need be. A damaged one is put aside under another name, and told of in
 * ret_aside (malloc'ed; NULL: there was none such), and an empty one takes its place. Or a negative
 * errno, and why in d. */
int ban_store_open(const char *folder, BanStore **ret, char **ret_aside, Diag *d);
BanStore *ban_store_close(BanStore *s); /* accepts NULL, returns NULL */
/* Something that was committed is gone: SQLite took its damaged log to end before that. After a
 * loss of power it may look so, although nothing is. */
bool ban_store_lacks_something(const BanStore *s) _pure_;
/* As it is in a folder that cannot be written to, nobody having it open: for ban_store_open() in
 * another one. What was copied there earlier is replaced. 0 or a negative errno. */
int ban_store_copy(const char *from, const char *to);

/* What stands between is there as a whole, and for ever once commit has returned 0; or not at all.
 */
int ban_store_begin(BanStore *s);
int ban_store_commit(BanStore *s);
void ban_store_rollback(BanStore *s);
/* The library's words for what went wrong last. */
const char *ban_store_error(const BanStore *s);

/* What became of one. */
typedef struct BanChange {
        BanEntry key;
        bool was_there;      /* the jail's ban: it was extended, or left alone if it ended later */
        int64_t before_usec; /* when the last of all jails' bans ended until now; 0: there was none
                              */
        int64_t until_usec;  /* the jail's ban's now */
        int64_t kernel_usec; /* when the last of all jails' bans ends; 0: none is left */
        int64_t times;
} BanChange;

/* Between begin and commit. An end that is earlier than that of the jail's ban changes nothing. */
int ban_store_put(BanStore *s, const Ban *ban, int64_t now_usec, BanChange *ret);
/* Whether any jail bans just that. */
int ban_store_holds(BanStore *s, const BanEntry *key, int64_t now_usec, bool *ret);
/* How often the address was banned before, not counting a ban that goes on, nor what is to be
 * forgotten. */
int ban_store_count_past(BanStore *s, const BanEntry *key, int64_t now_usec, int64_t *ret);

/* NULL and zero: not asked for. */
typedef struct BanFilter {
        const char *jail;
        const BanEntry *address; /* that address, all its services included */
        Family family;           /* if within: bans whose first address is one of these */
        const Range *within;
        int64_t since_usec;         /* that began then or later */
        const unsigned char *after; /* a key and */
        size_t after_size;
        const char *after_jail; /* a jail, behind which it begins */
        size_t limit;           /* 0: none */
} BanFilter;

/* In the order of addresses; those alone that are not over at now. 0, what take returned if not 0,
 * or a negative errno. */
int ban_store_read(BanStore *s,
                   const BanFilter *f,
                   int64_t now_usec,
                   int (*take)(const Ban *ban, void *to),
                   void *to);
/* Between begin and commit: ends them, and hands over each one's key, with what is left of it; also
 * if they cannot be written down, which is told by a negative errno behind the last one. */
int ban_store_drop(BanStore *s,
                   const BanFilter *f,
                   int64_t now_usec,
                   int (*take)(const BanChange *c, void *to),
                   void *to);

/* Between begin and commit: ends all there are, however many, and counts them. */
int ban_store_drop_all(BanStore *s, int64_t now_usec, int64_t *ret_bans);

/* What the kernel is to hold: each key once, with the latest end as timeout_ms from now on. */
int ban_store_read_kernel(BanStore *s,
                          int64_t now_usec,
                          int (*take)(const BanEntry *e, void *to),
                          void *to);

/* Between begin and commit: removes what is over, and forgets what has been over for long. Counts
 * bans that were removed, and keys that nobody bans any more. */
int ban_store_expire(BanStore *s, int64_t now_usec, int64_t *ret_bans, int64_t *ret_keys);
/* Between begin and commit: removes so many of those that would end first; never one that does not
 * end. */
int ban_store_trim(BanStore *s,
                   int64_t n,
                   int64_t now_usec,
                   int (*take)(const BanChange *c, void *to),
                   void *to);
/* Bans of jails, and different keys among them: looks at all of them. */
int ban_store_count(BanStore *s, int64_t now_usec, int64_t *ret_bans, int64_t *ret_keys);
/* How many a jail has, or, of those that are no jail's, a program: looks at all of them. */
int ban_store_count_of(BanStore *s, const char *name, int64_t now_usec, int64_t *ret);
/* Keys that nobody bans beyond then. */
int ban_store_count_ending(BanStore *s, int64_t until_usec, int64_t *ret);
/* When the next one ends; BAN_EVER: none does. */
int ban_store_next_end(BanStore *s, int64_t *ret);

static inline void ban_store_closep(BanStore **s) {
        (void)ban_store_close(*s);
}
