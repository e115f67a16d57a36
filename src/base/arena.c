/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/arena.h"

#include <stdalign.h>
#include <sys/mman.h>

/* Blocks grow with the arena, so that a small one costs little, and what is never used of the last
 * one. What is larger than LARGE gets a
 * block of its own, which leaves the newest one to the small pieces. Blocks from MAPPED on are
 * mapped: what of the large ones is never used takes no memory, and nobody has to zero them. */
#define BLOCK_MIN ((size_t)8 * 1024)
#define BLOCK_MAX ((size_t)256 * 1024)
#define LARGE ((size_t)64 * 1024)
#define MAPPED ((size_t)128 * 1024)
#define SHARE 4   /* a new block has so much of what the arena has handed out */
#define GROWTH 16 /* a large array that grows has room for so many times its size, if it can be */

typedef struct Block Block;
struct Block {
        Block *next;
        size_t size, used;
        alignas(max_align_t) unsigned char data[];
};

struct Arena {
        Block *blocks; /* of small pieces, the newest first; only it is filled */
        Block *large;  /* of one piece each */
        size_t limit, used;
};

Arena *arena_new(size_t limit) {
        Arena *a = calloc(1, sizeof(*a));

        if (a)
                a->limit = limit ? limit : ARENA_LIMIT_DEFAULT;
        return a;
}

static void free_blocks(Block *b) {
        Block *next;

        for (; b; b = next) {
                next = b->next;
                if (b->size < MAPPED)
                        free(b);
                else
                        (void)munmap(b, sizeof(*b) + b->size); /* it is ours, as it was mapped */
        }
}

Arena *arena_free(Arena *a) {
        if (!a)
                return NULL;
        free_blocks(a->blocks);
        free_blocks(a->large);
        free(a);
        return NULL;
}

void arena_reset(Arena *a) {
        Block *b = a->blocks;

        free_blocks(a->large);
        a->large = NULL;
        a->used = 0;
        if (!b)
                return;
        free_blocks(b->next);
        b->next = NULL;
        /* the largest one stays; what is handed out is always zeroed */
        memset(b->data, 0, b->used);
        b->used = 0;
}

static Block *block_new(Block **list, size_t room) {
        Block *b;

        if (room < MAPPED)
                b = calloc(1, sizeof(*b) + room);
        else {
                /* a block of small pieces will be full soon: one call instead of a fault a page */
                b = mmap(NULL, sizeof(*b) + room, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | (room == BLOCK_MAX ? MAP_POPULATE : 0), -1,
                         0);
                if (b == MAP_FAILED)
                        return NULL;
        }
        if (!b)
                return NULL;
        b->size = room;
        b->next = *list;
        *list = b;
        return b;
}

static size_t round_up(size_t size, size_t align) {
        return (size + align - 1) & ~(align - 1);
}

/* room: of the block, if it is a new one of its own; at least size. */
static void *take(Arena *a, size_t size, size_t align, size_t room) {
        Block *b = size > LARGE ? NULL : a->blocks;
        size_t start = b ? round_up(b->used, align) : 0, taken;

        if (b && (start > b->size || b->size - start < size))
                b = NULL;
        taken = b ? start + size - b->used : size;
        if (taken > a->limit || a->used > a->limit - taken)
                return NULL;
        if (!b) {
                start = 0;
                b = size > LARGE
                            ? block_new(&a->large, room)
                            : block_new(&a->blocks,
                                        MAX(size, MIN(MAX(a->used / SHARE, BLOCK_MIN), BLOCK_MAX)));
        }
        if (!b)
                return NULL;
        b->used = start + size;
        a->used += taken;
        return b->data + start;
}

static bool size_fits(size_t *size) {
        size_t align = alignof(max_align_t);

        if (*size > SIZE_MAX / GROWTH - sizeof(Block) - align)
                return false;
        *size = MAX(round_up(*size, align), align);
        return true;
}

void *arena_alloc(Arena *a, size_t size) {
        return size_fits(&size) ? take(a, size, alignof(max_align_t), size) : NULL;
}

void *arena_alloc_array(Arena *a, size_t n, size_t size) {
        size_t total;

        if (__builtin_mul_overflow(n, size, &total))
                return NULL;
        return arena_alloc(a, total);
}

/* Characters need no alignment, and policies consist of short words. */
static char *alloc_text(Arena *a, size_t len) {
        size_t size = len + 1;

        return size > 0 && size_fits(&size) ? take(a, len + 1, 1, len + 1) : NULL;
}

char *arena_strndup(Arena *a, const char *s, size_t len) {
        char *copy = alloc_text(a, len);

        if (copy)
                memcpy(copy, s, len);
        return copy;
}

char *arena_strdup(Arena *a, const char *s) {
        return arena_strndup(a, s, strlen(s));
}

char *arena_join(Arena *a, const char *const *parts, size_t n_parts) {
        size_t len = 0;
        char *s, *p;

        for (size_t i = 0; i < n_parts; i++) {
                if (!parts[i])
                        return NULL;
                len += strlen(parts[i]);
        }
        s = p = alloc_text(a, len);
        for (size_t i = 0; i < n_parts && s; i++)
                p = stpcpy(p, parts[i]);
        return s;
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
        s = alloc_text(a, (size_t)len);
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

/* The block that ends with the piece of that size; NULL if something stands behind the piece. */
static Block *find_end(Arena *a, const unsigned char *piece, size_t size) {
        if (size <= LARGE)
                return a->blocks && a->blocks->data + a->blocks->used == piece + size ? a->blocks
                                                                                      : NULL;
        for (Block *b = a->large; b; b = b->next)
                if (b->data == piece)
                        return b;
        return NULL;
}

void *arena_grow(Arena *a, void *items, size_t n, size_t size) {
        size_t total, before = n * size, room;
        void *grown;
        Block *b;

        if (n & (n - 1))
                return items;
        if (__builtin_mul_overflow(MAX(n * 2, 1UL), size, &total) || !size_fits(&total))
                return NULL;
        b = n > 0 && size_fits(&before) ? find_end(a, items, before) : NULL;
        if (b && b->size - b->used >= total - before) {
                if (total - before > a->limit - a->used)
                        return NULL;
                b->used += total - before;
                a->used += total - before;
                return items;
        }
        room = MIN(total * GROWTH, MAX(a->limit, total));
        grown = take(a, total, alignof(max_align_t), room);
        if (!grown)
                grown = take(a, total, alignof(max_align_t), total);
        if (grown && n > 0)
                memcpy(grown, items, n * size);
        return grown;
}

size_t arena_used(const Arena *a) {
        return a->used;
}
