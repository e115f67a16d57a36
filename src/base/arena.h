/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Memory that is built together and dies together. An arena has a hard limit, which is also the
 * limit of what a hostile input can make us hold; past it every allocation returns NULL. */

#include <stdarg.h>

#include "base/util.h"

typedef struct Arena Arena;

/* limit: bytes that the arena may hand out in all, what alignment costs included; 0 means
 * ARENA_LIMIT_DEFAULT. NULL without memory. */
Arena *arena_new(size_t limit);
Arena *arena_free(Arena *a); /* accepts NULL, returns NULL */

/* Takes back everything that was handed out; for scratch memory that is filled again and again. */
void arena_reset(Arena *a);

/* Zeroed memory, aligned for any type. NULL when the limit or the machine's memory is reached. */
void *arena_alloc(Arena *a, size_t size);
/* The same for n items of size bytes each; NULL also when the product overflows. */
void *arena_alloc_array(Arena *a, size_t n, size_t size);

char *arena_strdup(Arena *a, const char *s);
char *arena_strndup(Arena *a, const char *s, size_t len);
char *arena_printf(Arena *a, const char *format, ...) _printf_(2, 3);
/* The parts, one behind the other; NULL if one of them is. */
char *arena_join(Arena *a, const char *const *parts, size_t n_parts);
char *arena_vprintf(Arena *a, const char *format, va_list ap) _printf_(2, 0);

/* Room for one more item behind n: returns items itself, or a larger copy of it, or NULL; the
 * copied ones stay as they are. Items grown by this function have room for n rounded up to a power
 * of two, so n alone tells the capacity. */
void *arena_grow(Arena *a, void *items, size_t n, size_t size);

size_t arena_used(const Arena *a);

#define ARENA_LIMIT_DEFAULT ((size_t)1 << 30)

#define arena_new0(a, type) ((type *)arena_alloc((a), sizeof(type)))

/* Appends value to the array (items, n) that lives in the arena; true on success. */
#define arena_append(a, items, n, value)                                                           \
        ({                                                                                         \
                __typeof__(items) _grown = arena_grow((a), (items), (n), sizeof(*(items)));        \
                if (_grown) {                                                                      \
                        (items) = _grown;                                                          \
                        (items)[(n)++] = (value);                                                  \
                }                                                                                  \
                _grown != NULL;                                                                    \
        })

static inline void arena_freep(Arena **a) {
        (void)arena_free(*a);
}
