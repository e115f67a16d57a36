/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The host's files, under a root that tests put in the place of the real one. What is read is
 * written by others and is never trusted: it is short, and clean() makes it fit for a terminal. */

#include "base/arena.h"

#define TREE_TEXT_MAX ((size_t)64 * 1024) /* bytes of a file; what is behind them is left out */

typedef struct Tree {
        Arena *arena;
        const char *root; /* "" is the real one */
} Tree;

/* The path of a file of the host ("/proc/1/comm") in the tree; NULL without memory, which the
 * functions below take for -ENOMEM. */
const char *tree_path(const Tree *t, const char *format, ...) _printf_(2, 3);

/* A regular file's text, NUL-terminated behind ret_size bytes (which may hold NULs). Or what open()
 * or read() said; -EINVAL if it is something else than a file. */
int tree_read(const Tree *t, const char *path, char **ret, size_t *ret_size);
/* The first word of a file that holds a number or a name, as those in /proc/sys do. */
int tree_read_word(const Tree *t, const char *path, const char **ret);
/* Where a symbolic link points to. */
int tree_read_link(const Tree *t, const char *path, const char **ret);
/* The first file whose path in the tree fits the pattern (glob(7)), as the host knows it; NULL if
 * there is none. 0 or -ENOMEM. */
int tree_find(const Tree *t, const char *pattern, const char **ret);
/* 1 if there is such a file, whatever it is; 0 if not; negative errno if it cannot be told. */
int tree_has(const char *path);

/* 1 if a shell-like file of the host assigns the value, quoted or not, capital or small: its last
 * line of that name counts. 0 if not, or if there is no such file; or what reading it said. */
int tree_assigns(const Tree *t, const char *path, const char *name, const char *value);

/* Replaces what could not stand in one line of a message by question marks, in place. */
void tree_clean(char *text);
