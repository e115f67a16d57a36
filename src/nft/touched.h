/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What of the table inet ringwall some transactions touched, by name: what is not in it they left
 * as it was. Without order, and what was made and removed again stays in it: whoever wants to know
 * what has become of it reads that. The table itself, which chains and sets there are, and its
 * objects are not kept here: they are read in any case. */

#include "base/util.h"

#define TOUCHED_MAX 32        /* names of a kind; further ones stand for all */
#define TOUCHED_NAME_SIZE 256 /* NFT_NAME_MAXLEN, with its NUL */

typedef enum TouchedKind {
        TOUCHED_CHAIN, /* its rules */
        TOUCHED_SET,   /* its elements */
        _TOUCHED_KIND_MAX,
} TouchedKind;

typedef struct TouchedNames {
        bool all;
        size_t n;
        char names[TOUCHED_MAX][TOUCHED_NAME_SIZE];
} TouchedNames;

typedef struct Touched {
        TouchedNames of[_TOUCHED_KIND_MAX]; /* begins as zero: nothing */
} Touched;

void touched_clear(Touched *t);
/* NULL, or a name that the kernel could not have, stands for all of that kind. */
void touched_add(Touched *t, TouchedKind kind, const char *name);
void touched_add_all(Touched *t);
void touched_merge(Touched *t, const Touched *other);
bool touched_has(const Touched *t, TouchedKind kind, const char *name);
/* Of every kind: there is nothing that is known to be as it was. */
bool touched_is_all(const Touched *t);
