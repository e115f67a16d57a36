/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Who is banned: one store on disk, and the kernel's table, which holds what the store says. All
 * that is asked for in one turn of the event loop is one transaction of each; nobody is answered
 * before both are done, the disk first. */

#include "ban/ban_store.h"
#include "ban/limits.h"
#include "ban/never.h"
#include "daemon/daemon.h"

/* A request that waits for the end of the turn. */
typedef struct BanCall {
        RpcCall *call; /* NULL: of BAN_SPOOL_FILE, in which only the daemon's own user can write */
        const struct BanAct *act; /* bans_act.h */
        const void *parameters;
        size_t n; /* bans that it may be about */
} BanCall;

typedef struct Bans {
        BanStore *store;
        BanTable *table;
        sd_event_source *flush, *timer;
        BanCall *calls; /* malloc'ed */
        size_t n_calls, calls_room;
        Limits *limits;                    /* of jails and programs */
        int64_t n_bans, n_keys;            /* in the store */
        bool has_prefix[_FAMILY_MAX][129]; /* that some ban has, or had since the table was made */
        uint32_t flags;                    /* that the table was made with */
        int64_t clock_usec;                /* bans_clock() when the table was made */
        bool is_suspended;                 /* unloaded on demand: nothing is in force */
        bool is_dirty;                     /* the kernel may hold something else than the store */
        bool is_unsaved;                   /* the kernel holds bans that could not be written */
        bool is_copy;                      /* the store's: the one on disk cannot be written */
        struct BanUndone *undone; /* malloc'ed: unbans that could not be written down, in order */
        size_t n_undone;
        bool is_spooled, is_spool_told; /* BAN_SPOOL_FILE is to be read again; cannot be read */
        bool is_foreign;                /* dirty because another program wrote; and who: */
        char by[64];
        uint64_t healed_usec; /* CLOCK_MONOTONIC: when another program's change was undone last */
        /* CLOCK_MONOTONIC: when it is looked whether another program wrote unheard; 0: it did not
         */
        uint64_t doubt_usec;
        uint64_t rebuilt_usec, rebuild_took_usec; /* CLOCK_MONOTONIC: when it ended; for how long */
} Bans;

/* For all that is decided in one turn. */
typedef struct BanTurn {
        Daemon *d;
        Arena *arena;
        Never never;
        int64_t now_usec;
        BanChange *changes; /* in order; the same key may come more than once */
        size_t n_changes;
        bool is_emptied;               /* all bans were ended before the changes */
        int64_t n_ended, n_ended_keys; /* bans, and keys of the kernel's, that were over */
        int64_t n_bans;                /* that are there with these changes */
        int error;                     /* of the store: what was asked for is not written down */
} BanTurn;

int64_t bans_now(void);
uint64_t bans_monotonic(void); /* CLOCK_MONOTONIC, microseconds */
/* By how much that differs from CLOCK_MONOTONIC, microseconds: changes if somebody sets the clock,
 * and while the machine sleeps. */
int64_t bans_clock(void);
/* Into the turn's arena. 0 or a negative errno: nobody knows, and nobody is banned. */
int bans_never_read(Daemon *d, Arena *a, bool with_sessions, Never *ret);
/* For the kernel. 0 or -ENOMEM. */
int bans_never_list(Arena *a, const Never *never, BanRange **ret, size_t *ret_n);

/* bans_kernel.c: brings the changes into the kernel, or makes its table anew from the store. 0 or a
 * negative errno. */
int bans_enforce(Daemon *d, BanTurn *turn);
int bans_rebuild(Daemon *d);
/* How many of the store's the kernel holds. */
int64_t bans_enforced(Daemon *d);
/* Writes down what the kernel holds and the store does not. How many, or a negative errno. */
int64_t bans_save_found(Daemon *d, const char *reason);

/* bans.c: the request is carried out with all others of this turn, or of one of the next. */
int bans_later(Daemon *d, RpcCall *call, const BanCall *what);
/* Counts what is in the store, which takes a second of a million. */
void bans_count(Daemon *d);
/* The timer is set for what comes next: an end, or another try. */
void bans_arm(Daemon *d);

/* bans_request.c: all that waits, and the answers. */
void bans_answer(Daemon *d);
/* What a transaction of the store begins and ends with; the kernel is brought up to it. now_usec,
 * d and arena are set; errors of the store are in turn->error. 0, or why it is not in force. */
void bans_begin(BanTurn *turn);
int bans_finish(BanTurn *turn);
/* A BanChange into the turn, of which this is `to`. 0 or -ENOMEM. */
int bans_note_change(const BanChange *change, void *to);

/* bans_rules.c: what the policy's `bans` makes of it. What is refused has a reason in *ret_why, of
 * the turn's arena; 0 or -ENOMEM. */

/* Whether the jail or program may ask for that now; nobody (""): by hand, always. */
int bans_charge(BanTurn *turn, const char *name, int64_t cost, const char **ret_why);
/* Notes that it has n more. */
void bans_charge_new(BanTurn *turn, const char *name, int64_t n);
/* Room for one more, unless the jail's ban of the key is there: what ends soonest goes. */
int bans_make_room(BanTurn *turn, const BanEntry *key, const char *jail, const char **ret_why);
/* Why no ban of that length can be added; NULL: it can. */
const char *bans_check_length(BanTurn *turn, const BanEntry *key);
/* After a ban of the key until then: bans what is to be banned with it. ret: the widest of those,
 * or unchanged. */
int bans_widen(BanTurn *turn, const BanEntry *key, int64_t until_usec, int64_t uid, BanEntry *ret);
/* After the end of bans of the key: ends what came of widening; by_hand: all of it that holds the
 * key, else what holds no other ban. */
int bans_narrow(BanTurn *turn, const BanEntry *key, bool by_hand);
/* Lets go whom the host or the policy never bans by now, and how many there are too many; says so.
 */
void bans_obey(Daemon *d);

typedef struct BanRequest {
        const char *address, *jail, *source, *reason;
        int64_t seconds;
        bool wide, restored;
        RpcStrings services;
} BanRequest;

typedef struct UnbanRequest {
        const char *address, *jail;
        bool all;
} UnbanRequest;

/* bans_undone.c: for unbans that are in force and could not be written down. Remembers one; 0 or
 * -ENOMEM. Writes them all down, between begin and commit; and forgets them after it. */
int bans_undone_add(Daemon *d, const UnbanRequest *request);
int bans_undone_write(Daemon *d, int64_t now_usec);
void bans_undone_clear(Bans *b);

/* bans_spool.c: does what was asked for while the daemon was away, if anything was. */
void bans_take_spool(Daemon *d);

typedef struct BanListRequest {
        const char *address, *jail, *after;
        int64_t since, limit;
} BanListRequest;

typedef struct BanImportRequest {
        const char *jail, *source, *reason;
        int64_t seconds;
        json_t *entries;
} BanImportRequest;

#define BAN_INVALID RPC_INTERFACE ".BanInvalid"
#define BAN_LIST_MAX 1000    /* of one answer */
#define BAN_IMPORT_MAX 10000 /* entries of one call */
#define BAN_TURN_MAX 20000   /* of the calls of one turn, if there is more than one */

int bans_request_ban(Daemon *d, RpcCall *call, const BanRequest *request);
int bans_request_unban(Daemon *d, RpcCall *call, const UnbanRequest *request);
/* bans_list.c */
int bans_request_list(Daemon *d, RpcCall *call, const BanListRequest *request);
int bans_request_import(Daemon *d, RpcCall *call, const BanImportRequest *request);
/* What status says of them. */
json_t *bans_status(Daemon *d);
