/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The files of the store as bytes. Each is a frame: a head, which says what it is, how long and
 * with which digests; a short part that tells of the rest; the rest. Nothing here reads a disk. */

#include "base/bytes.h"
#include "guard/store.h"

#define FRAME_HEAD_SIZE 96
#define FRAME_META_MAX ((size_t)16 * 1024)

typedef enum FrameKind {
        FRAME_ENTRY = 1,
        FRAME_PENDING = 2,
        FRAME_RESCUE = 3,
} FrameKind;

typedef struct Frame {
        const unsigned char *meta, *body; /* borrowed */
        size_t meta_size, body_size;
        unsigned char digest[STORE_DIGEST_SIZE]; /* of the body */
} Frame;

/* Appends a frame to out. */
void store_put_frame(ByteWriter *out,
                     FrameKind kind,
                     const ByteWriter *meta,
                     const void *body,
                     size_t body_size);

/* Reads a frame's head and meta, with their digest; whole: its body, too, which has to end where
 * the bytes end. NULL, or what is wrong. */
const char *store_get_frame(const void *bytes, size_t size, FrameKind kind, bool whole, Frame *ret);

/* Whether there is memory to write them shows in the writer. */
void store_put_entry(ByteWriter *out, const StoreEntry *entry);
void store_put_content(ByteWriter *out, const StoreContent *content);
void store_put_pending(ByteWriter *out, const Pending *pending);
void store_put_rescue(ByteWriter *out, const StorePeer *peers, size_t n);

/* Any bytes are a value, or a mistake in r. Texts are copied to a, but those of the content, and
 * the image, which stay where they are. */
void store_get_entry(ByteReader *r, Arena *a, StoreEntry *ret);
void store_get_content(ByteReader *r, Arena *a, StoreContent *ret);
void store_get_pending(ByteReader *r, Pending *ret);
/* ret: room for STORE_RESCUE_MAX. */
size_t store_get_rescue(ByteReader *r, StorePeer *ret);
