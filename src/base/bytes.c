/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"

#define NUMBER_MAX 10 /* bytes of one number */

static bool make_room(ByteWriter *w, size_t size) {
        size_t capacity = MAX(w->capacity, (size_t)4096);
        unsigned char *grown;

        if (w->failed)
                return false;
        if (w->capacity - w->size >= size)
                return true;
        while (capacity - w->size < size && capacity <= SIZE_MAX / 2)
                capacity *= 2;
        grown = capacity - w->size >= size ? realloc(w->bytes, capacity) : NULL;
        if (!grown) {
                w->failed = true;
                return false;
        }
        w->bytes = grown;
        w->capacity = capacity;
        return true;
}

void bytes_put(ByteWriter *w, const void *bytes, size_t size) {
        if (size == 0 || !make_room(w, size))
                return;
        memcpy(w->bytes + w->size, bytes, size);
        w->size += size;
}

void bytes_put_number(ByteWriter *w, uint64_t value) {
        if (!make_room(w, NUMBER_MAX))
                return;
        for (; value >= 0x80; value >>= 7)
                w->bytes[w->size++] = (unsigned char)(value | 0x80);
        w->bytes[w->size++] = (unsigned char)value;
}

void bytes_put_string(ByteWriter *w, const char *s) {
        size_t len = strlen(s);

        bytes_put_number(w, len);
        bytes_put(w, s, len);
}

void byte_writer_done(ByteWriter *w) {
        free(w->bytes);
        *w = (ByteWriter){0};
}

void bytes_fail(ByteReader *r, const char *what) {
        if (!r->wrong) {
                r->wrong = what;
                r->wrong_at = (size_t)(r->at - r->start);
        }
        r->at = r->end;
}

const unsigned char *bytes_get(ByteReader *r, size_t size) {
        const unsigned char *at = r->at;

        if (r->wrong || (size_t)(r->end - at) < size) {
                bytes_fail(r, "it ends too early");
                return NULL;
        }
        r->at += size;
        return at;
}

uint64_t bytes_get_number(ByteReader *r, uint64_t max) {
        uint64_t value = 0;

        for (unsigned int shift = 0; shift < 64; shift += 7) {
                const unsigned char *byte = bytes_get(r, 1);
                uint64_t bits = byte ? *byte & 0x7f : 0;

                if (shift == 63 && bits > 1)
                        break;
                value |= bits << shift;
                if (byte && *byte & 0x80)
                        continue;
                if (value <= max)
                        return value;
                break;
        }
        bytes_fail(r, "a number is too large");
        return 0;
}

bool bytes_get_bool(ByteReader *r) {
        return bytes_get_number(r, 1) == 1;
}

size_t bytes_get_count(ByteReader *r, size_t item_size) {
        uint64_t n = bytes_get_number(r, SIZE_MAX);

        if (n <= (size_t)(r->end - r->at) / item_size)
                return (size_t)n;
        bytes_fail(r, "it has room for fewer items than it says");
        return 0;
}

const char *bytes_get_string(ByteReader *r, Arena *a) {
        size_t size = bytes_get_count(r, 1);
        const unsigned char *at = bytes_get(r, size);
        char *copy = NULL;

        if (at && memchr(at, '\0', size))
                bytes_fail(r, "a string has a NUL byte");
        else if (at) {
                copy = arena_strndup(a, (const char *)at, size);
                if (!copy)
                        bytes_fail(r, "there is not enough memory");
        }
        return copy;
}
