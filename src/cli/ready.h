/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The ready policies that are installed beside the catalogue. */

#include "base/arena.h"

typedef struct ReadyPolicy {
        const char *name; /* the file's, without ".yaml" */
        const char *path;
        const char *text; /* the whole file */
        size_t size;
        const char *summary; /* the first sentence of its comment; "" if it has none */
} ReadyPolicy;

/* All of them, sorted by name, in the arena. 0, -ENOMEM, or what reading the folder said; what a
 * file's reading said, with its path in ret_failed. */
int ready_read(Arena *a, ReadyPolicy **ret, size_t *ret_n, const char **ret_failed);
