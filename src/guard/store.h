/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What survives the daemon: the state directory, root's alone.
 *
 *   sealed            a whole entry: what was confirmed last. Its place says so
 *   sealed.next       the entry that waits for its confirmation, ready to become `sealed`
 *   history/00000007  each entry that was ever applied, up to STORE_HISTORY_MAX
 *   pending           that something waits, until when, and what comes instead
 *   rescue            from where was confirmed
 *   armed             that something was confirmed once, if `sealed` should get lost
 *   lockdown.batch    what ringwall-lockdown sends to the kernel, see guard/lockdown_file.h
 *
 * Every file is written beside its place, synced, renamed and synced again, and bears a digest: it
 * is there whole, in its old or its new form, or is known to be damaged. An error says what to do,
 * and nothing has changed. */

#include "guard/confirm.h"
#include "policy/policy.h"

#define STORE_FOLDER "/var/lib/ringwall"
#define STORE_HISTORY_MAX 50
#define STORE_RESCUE_MAX 8
#define STORE_DIGEST_SIZE 32
#define STORE_TEXT_MAX 1024               /* bytes of a message or a user's name */
#define STORE_ENTRY_MAX ((size_t)1 << 30) /* bytes of one entry */

typedef struct Store Store;

/* Who did something, as the daemon saw it. */
typedef struct StoreCaller {
        uint32_t uid;
        const char *user; /* or NULL */
        bool has_peer;    /* came over SSH, from: */
        Family family;
        U128 peer;
        uint16_t port; /* of this host, that sshd answered at */
} StoreCaller;

/* What history tells of an entry. */
typedef struct StoreEntry {
        uint32_t number;       /* from 1 */
        uint64_t created_usec; /* since 1970 */
        StoreCaller by;
        const char *message; /* or NULL */
        bool confirmed;
        uint64_t confirmed_usec; /* 0: nobody knows */
        StoreCaller confirmed_by;
        unsigned char digest[STORE_DIGEST_SIZE]; /* of the content */
} StoreEntry;

/* The policy's `bans`. */
typedef struct StoreBans {
        BanSettings rules; /* without its `never`: */
        ZonePart *never;   /* addresses, and interfaces whose networks are meant as they are then:
                            * `fixed`, `connected`, `without` */
        size_t n_never;
} StoreBans;

/* Settings that must be known without a compiler. */
typedef struct StoreSettings {
        unsigned int confirm; /* seconds */
        ZonePart *rescue;     /* interfaces and addresses as they were then */
        size_t n_rescue;      /* 0: the peers that last confirmed */
        uint32_t mark;
        bool cut_denied;
        Ownership ownership;
        Drift drift;
        Alerts alerts;
        StoreBans bans;
} StoreSettings;

/* The entry itself: all that it takes to bring it into force, and to compile it anew. */
typedef struct StoreContent {
        PolicyTexts texts; /* the catalogue, the policy's own files, then lists */
        StoreSettings settings;
        const void *image; /* of ruleset_write_image() */
        size_t image_size;
} StoreContent;

typedef enum StoreMode {
        STORE_WRITE, /* one process at a time; -EBUSY for the next */
        STORE_READ,
} StoreMode;

/* Makes the directory if need be. -EBADMSG with the reason in d: it belongs to others, or others
 * can read it; -EBUSY likewise; -ENOENT of STORE_READ. With STORE_WRITE, finishes what was broken
 * off; on a read-only disk that waits. */
int store_open(const char *folder, StoreMode mode, Store **ret, Diag *d);
Store *store_close(Store *s); /* accepts NULL, returns NULL */

static inline void store_closep(Store **s) {
        (void)store_close(*s);
}

/* What the policy's settings say; lives in a and points into the policy. 0 or -ENOMEM. */
int store_settings(Arena *a, const Policy *policy, StoreSettings *ret);
/* A copy that lives as long as the arena. 0 or -ENOMEM. */
int store_bans_copy(Arena *a, const StoreBans *from, StoreBans *ret);

/* Appends an entry to the history, not confirmed; entry's number and digest are set. Entries beyond
 * STORE_HISTORY_MAX go, unconfirmed ones first, the oldest first; never the sealed one, one that
 * waits, or one that is fallen back to. 0, or -EBADMSG. */
int store_add(Store *s, StoreEntry *entry, const StoreContent *content, Diag *d);

/* Reads an entry, from history or from the sealed copy. ret_content may be NULL. -ENOENT if there
 * is none; -EBADMSG if it is damaged: d says where. */
int store_read(
        Store *s, uint32_t number, Arena *a, StoreEntry *ret, StoreContent *ret_content, Diag *d);
/* The sealed copy; likewise. */
int store_read_sealed(Store *s, Arena *a, StoreEntry *ret, StoreContent *ret_content, Diag *d);

/* Makes sealed.next of an entry: from then on store_seal() needs no room on the disk. */
int store_stage(Store *s, uint32_t number, Diag *d);
/* The entry becomes the sealed one, whether staged or not. 0: it is, and history tells who and
 * when, or a warning in d tells why it does not. -EBADMSG: it is not. */
int store_seal(Store *s, uint32_t number, uint64_t now_usec, const StoreCaller *by, Diag *d);

typedef enum StoreMended {
        STORE_WELL,
        STORE_REMOVED, /* something was missing; of history the confirmed entry alone comes back */
        STORE_DAMAGED, /* `sealed` was there and not what was confirmed */
} StoreMended;

/* Writes again what somebody removed of what was confirmed, or damaged: the folder, `sealed`,
 * `armed`, and its entry in history. What was done (StoreMended), or a negative errno if it cannot
 * be. Costs next to nothing as long as nothing was touched. */
int store_mend(Store *s);
/* Whether store_mend() minds what becomes of the file of that name in the folder. */
bool store_minds(const char *name);

int store_write_pending(Store *s, const Pending *pending, Diag *d);
int store_remove_pending(Store *s, Diag *d);

/* For confirm_start(). What is damaged is told in d, as warnings. 0, -ENOMEM, or -EIO and the like:
 * nothing is known, then. */
int store_find(Store *s, ConfirmFound *ret, Diag *d);
/* Behind this entry in boot order: the sealed copy, then confirmed entries, newest first. The next
 * one that can be read, or 0. */
uint32_t store_next_copy(Store *s, uint32_t after);

typedef struct StoreListed {
        StoreEntry entry;   /* only its number, if damaged */
        const char *damage; /* or NULL */
        bool sealed;
} StoreListed;

/* The history, newest first, without looking into the contents. */
int store_list(Store *s, Arena *a, StoreListed **ret, size_t *ret_n, Diag *d);

typedef struct StorePeer {
        Family family;
        U128 address;
        uint16_t port; /* of this host, that sshd answered at; 0: not known */
} StorePeer;

/* From where was confirmed, latest first; none if the file is missing or damaged (d says so). */
int store_read_rescue(Store *s, Arena *a, StorePeer **ret, size_t *ret_n, Diag *d);
int store_remember_peer(Store *s, StorePeer peer, Diag *d);

/* The file of guard/lockdown_file.h. 0 or a negative errno; whether there is one, untouched since
 * it was written or the store opened; and whether there was one before. */
int store_write_lockdown(Store *s, const void *bytes, size_t size);
bool store_has_lockdown(const Store *s);
bool store_had_lockdown(const Store *s);
