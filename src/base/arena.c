/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/arena.h"

#include <stdalign.h>

#define BLOCK_SIZE ((size_t)64 * 1024)

typedef struct Block Block;
struct Block {
        Block *next;
        size_t size, used;
        alignas(max_align_t) unsigned char data[];
};

struct Arena {
        Block *blocks; /* the newest first; only it is filled */
        size_t limit, used;
};

Arena *arena_new(size_t limit) {
        Arena *a = calloc(1, sizeof(*a));

        if (a)
                a->limit = limit ? limit : ARENA_LIMIT_DEFAULT;
        return a;
}

Arena *arena_free(Arena *a) {
        Block *next;

        if (!a)
                return NULL;
        for (Block *b = a->blocks; b; b = next) {
                next = b->next;
                free(b);
        }
        free(a);
        return NULL;
}

void arena_reset(Arena *a) {
        Block *next;

        for (Block *b = a->blocks; b; b = next) {
                next = b->next;
                if (next) {
                        free(b);
                        continue;
                }
                /* the oldest one stays; what is handed out is always zeroed */
                memset(b->data, 0, b->used);
                b->used = 0;
                a->blocks = b;
        }
        a->used = 0;
}

static Block *block_new(Arena *a, size_t size) {
        size_t room = MAX(size, BLOCK_SIZE);
        Block *b = calloc(1, sizeof(*b) + room);

        if (!b)
                return NULL;
        b->size = room;
        b->next = a->blocks;
        a->blocks = b;
        return b;
}

void *arena_alloc(Arena *a, size_t size) {
        size_t align = alignof(max_align_t);
        Block *b = a->blocks;
        void *p;

        if (size > SIZE_MAX - sizeof(Block) - align)
                return NULL;
        size = MAX((size + align - 1) & ~(align - 1), align);
        if (size > a->limit || a->used > a->limit - size)
                return NULL;
        if (!b || b->size - b->used < size) {
                b = block_new(a, size);
                if (!b)
                        return NULL;
        }
        p = b->data + b->used;
        b->used += size;
        a->used += size;
        return p;
}

void *arena_alloc_array(Arena *a, size_t n, size_t size) {
        size_t total;

        if (__builtin_mul_overflow(n, size, &total))
                return NULL;
        return arena_alloc(a, total);
}

char *arena_strndup(Arena *a, const char *s, size_t len) {
        char *copy = arena_alloc(a, len + 1);

        if (copy)
                memcpy(copy, s, len);
        return copy;
}

char *arena_strdup(Arena *a, const char *s) {
        return arena_strndup(a, s, strlen(s));
}

char *arena_vprintf(Arena *a, const char *format, va_list ap) {
        va_list again;
        int len;
        char *s;

        va_copy(again, ap);
        len = vsnprintf(NULL, 0, format, again);
        va_end(again);
        if (len < 0)
                return NULL;
        s = arena_alloc(a, (size_t)len + 1);
        if (s)
                (void)vsnprintf(s, (size_t)len + 1, format, ap); /* the room was measured above */
        return s;
}

char *arena_printf(Arena *a, const char *format, ...) {
        va_list ap;
        char *s;

        va_start(ap, format);
        s = arena_vprintf(a, format, ap);
        va_end(ap);
        return s;
}

void *arena_grow(Arena *a, void *items, size_t n, size_t size) {
        size_t capacity;
        void *grown;

        if (n >= 4 && (n & (n - 1)) != 0)
                return items;
        if (n > 0 && n < 4)
                return items;
        capacity = n == 0 ? 4 : n * 2;
        grown = arena_alloc_array(a, capacity, size);
        if (grown && n > 0)
                memcpy(grown, items, n * size);
        return grown;
}

size_t arena_used(const Arena *a) {
        return a->used;
}
