/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The inside of the store, shared by the files that make it up. */

#include "base/bytes.h"
#include "guard/store.h"

struct Store {
        int folder; /* a descriptor */
        int lock;   /* likewise; -1 for a reader */
        const char *path;
};

/* ---- store_file.c: single files, with a digest each */

#define STORE_MAGIC_SIZE 8

/* Writes the file of that name anew: whole, or not at all. 0 or -EBADMSG with the reason in d. */
int store_write_file(Store *s, const char *name, const void *bytes, size_t size, Diag *d);
/* Reads a file into the arena. -ENOENT, or a negative errno with the reason in d. */
int store_read_file(
        Store *s, const char *name, size_t limit, Arena *a, void **ret, size_t *ret_size, Diag *d);
int store_rename_file(Store *s, const char *from, const char *to, Diag *d);
/* A file that is not there is removed already. */
int store_remove_file(Store *s, const char *name, Diag *d);
bool store_has_file(const Store *s, const char *name);

/* magic, size, payload, digest: what a small file holds. */
int store_write_small(
        Store *s, const char *name, const char *magic, const ByteWriter *payload, Diag *d);
/* 0; -ENOENT; -EBADMSG if it is damaged, with a warning in d. */
int store_read_small(
        Store *s, const char *name, const char *magic, Arena *a, ByteReader *ret, Diag *d);

void store_digest(const void *bytes, size_t size, unsigned char ret[STORE_DIGEST_SIZE]);

/* ---- store_entry.c: an entry as bytes */

/* The whole file of an entry; the digest of its content goes into entry. 0 or -ENOMEM. */
int store_encode_entry(StoreEntry *entry, const StoreContent *content, ByteWriter *w);
/* The same with the content as it was written before. */
int store_encode_header(const StoreEntry *entry, const void *content, size_t size, ByteWriter *w);
/* From the bytes of such a file, of which only the beginning may be there if ret_content is NULL.
 * ret_raw (may be NULL) is the content's bytes. -EBADMSG; what is wrong goes to ret_damage. */
int store_decode_entry(Arena *a,
                       const void *bytes,
                       size_t size,
                       StoreEntry *ret,
                       StoreContent *ret_content,
                       const void **ret_raw,
                       size_t *ret_raw_size,
                       const char **ret_damage);
#define STORE_HEADER_MAX ((size_t)8 * 1024) /* bytes in which every header ends */
