/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What every file wants: cleanup attributes, array sizes, string comparison. Nothing here
 * allocates. */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_SIZE(x) (sizeof(x) / sizeof((x)[0]))
/* Both evaluate one argument twice: no calls in them. */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _const_ __attribute__((const))
#define _pure_ __attribute__((pure))
#define _packed_ __attribute__((packed)) /* of enums: no larger than their values need */
#define _noreturn_ __attribute__((noreturn))

/* Hands an owned pointer on: evaluates to its value and leaves NULL behind. */
#define TAKE_PTR(p)                                                                                \
        ({                                                                                         \
                __typeof__(p) _taken = (p);                                                        \
                (p) = NULL;                                                                        \
                _taken;                                                                            \
        })

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

/* Like streq(), but NULL is a value of its own: equal to itself alone. */
static inline bool streq_null(const char *a, const char *b) {
        return a == b || (a && b && streq(a, b));
}

static inline bool startswith(const char *s, const char *prefix) {
        return strncmp(s, prefix, strlen(prefix)) == 0;
}

static inline void freep(void *p) {
        free(*(void **)p);
}

static inline void closep(int *fd) {
        if (*fd >= 0)
                (void)close(*fd); /* nothing was written through it */
}

static inline void fclosep(FILE **f) {
        if (*f)
                (void)fclose(*f); /* read-only streams and memory streams only */
}

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
#define _cleanup_fclose_ _cleanup_(fclosep)
