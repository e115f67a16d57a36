/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Values as bytes, the same on every machine. A number takes seven of its bits a byte, the lowest
 * first, so that small ones are short. Both ends remember what went wrong and go on with nothing:
 * whoever writes or reads looks once, at the end. */

#include "base/range.h"

typedef struct ByteWriter {
        unsigned char *bytes; /* owned */
        size_t size, capacity;
        bool failed; /* no memory */
} ByteWriter;

void bytes_put(ByteWriter *w, const void *bytes, size_t size);
void bytes_put_number(ByteWriter *w, uint64_t value);
/* Its length, then the string. */
void bytes_put_string(ByteWriter *w, const char *s);
void byte_writer_done(ByteWriter *w);

/* What is read was written by nobody knows whom. After the first mistake everything that is read is
 * zero, and counts are, so that loops end. */
typedef struct ByteReader {
        const unsigned char *start, *at, *end; /* borrowed */
        const char *wrong;                     /* the first mistake, or NULL */
        size_t wrong_at;                       /* bytes from the start */
} ByteReader;

static inline ByteReader byte_reader(const void *bytes, size_t size) {
        const unsigned char *at = bytes;

        return (ByteReader){.start = at, .at = at, .end = at + size};
}

/* Notes the mistake; what: "a set of no fields". */
void bytes_fail(ByteReader *r, const char *what);

/* The next bytes, within what is read; NULL if there are not so many. */
const unsigned char *bytes_get(ByteReader *r, size_t size);
/* A number from 0 to max. */
uint64_t bytes_get_number(ByteReader *r, uint64_t max);
bool bytes_get_bool(ByteReader *r);
/* How many items follow, of at least item_size bytes each: never more than what there is to read
 * allows, so that it can be allocated for. */
size_t bytes_get_count(ByteReader *r, size_t item_size);
/* A string without NUL bytes, copied; NULL if there is none, with -ENOMEM's mistake included. */
const char *bytes_get_string(ByteReader *r, Arena *a);

static inline void byte_writer_donep(ByteWriter *w) {
        byte_writer_done(w);
}
