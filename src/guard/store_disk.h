/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The inside of the store, shared by the files that make it up. */

#include <sys/stat.h>

#include "guard/store_codec.h"

#define STORE_SEALED "sealed"
#define STORE_STAGED "sealed.next"
#define STORE_PENDING "pending"
#define STORE_RESCUE "rescue"
#define STORE_ARMED "armed"
#define STORE_HISTORY "history"
#define STORE_NAME_MAX 32 /* bytes of "history/4294967295" */

/* A file as it was when it was seen to be well; all zero: it never was. */
typedef struct StoreMark {
        dev_t device;
        ino_t inode;
        off_t size;
        struct timespec changed; /* st_ctim, which nobody can set */
        bool is_fresh; /* just then: the clock of files may not have gone on before the next write
                        */
} StoreMark;

struct Store {
        int folder;  /* open, and locked of STORE_WRITE */
        int history; /* open, or -1 as long as there is none */
        int sealed;  /* likewise; of STORE_WRITE */
        /* What is sealed, as long as it could be read when it was opened; else 0. */
        uint32_t sealed_number;
        unsigned char sealed_digest[STORE_DIGEST_SIZE];
        StoreMark sealed_mark, lockdown_mark;
        bool writable;
        char *path;
};

/* "history/00000007", or the second half of it. */
const char *store_history_name(uint32_t number, char *buf);
const char *store_entry_name(uint32_t number, char *buf);

/* Reads a file of the store; whole: as of store_get_frame(). What frame points to lives in a. 0;
 * -ENOENT; -ENOMEM; -EBADMSG, and *ret_wrong says why. */
int store_read_frame(const Store *s,
                     const char *name,
                     FrameKind kind,
                     bool whole,
                     Arena *a,
                     Frame *ret,
                     const char **ret_wrong);
/* The same of an entry, decoded. The content may be NULL: then it is not looked at. */
int store_read_entry(const Store *s,
                     const char *name,
                     Arena *a,
                     StoreEntry *ret,
                     StoreContent *ret_content,
                     const char **ret_wrong);
/* Whether the entry can be read from there, and is the one with that number. */
bool store_holds(const Store *s, const char *name, uint32_t number);

/* The file as it is now, all zero if there is none; and whether it is still that. */
StoreMark store_mark(const Store *s, const char *name);
bool store_is_marked(const Store *s, const char *name, const StoreMark *mark);
/* Opens what is sealed now, for store_mend(). */
void store_hold_sealed(Store *s);
/* After store_seal() was broken off, or could not finish on a full disk. */
void store_finish_sealing(Store *s);
/* Makes the folder of history if there is none. 0 or a negative errno. */
int store_open_history(Store *s);

/* The numbers of all entries in history, the lowest first. 0, -ENOMEM, or what reading said. */
int store_read_numbers(const Store *s, Arena *a, uint32_t **ret, size_t *ret_n);
/* Of `pending`. 0, -ENOENT, -ENOMEM, or -EBADMSG. */
int store_read_pending(const Store *s, Pending *ret, const char **ret_wrong);

/* Tells why a file (NULL: the folder) could not be written, and what to do. -ENOMEM as it is, else
 * -EBADMSG. */
int store_refuse(const Store *s, Diag *d, const char *name, int error);

/* Frames and writes an entry. history: into it, else into the folder. */
int store_write_entry(const Store *s,
                      bool history,
                      const char *name,
                      const StoreEntry *entry,
                      const void *body,
                      size_t size);
/* Notes in history that the sealed entry was confirmed; now_usec 0: nobody knows when or by whom.
 */
int store_mark_confirmed(const Store *s, uint32_t number, uint64_t now_usec, const StoreCaller *by);
