/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Words: numbers read strictly, and the nearest word to a misspelt one. */

#include "base/util.h"

#define TEXT_NUMBER_MAX 21 /* bytes of a number, NUL included */

/* A decimal number from min to max without sign, spaces or leading zeros. */
bool text_to_number(const char *s, uint64_t min, uint64_t max, uint64_t *ret);

/* The number in decimal, at the end of buf: returns where it begins. */
const char *text_from_number(uint64_t n, char buf[static TEXT_NUMBER_MAX]);

/* Feeds candidates one by one; the nearest to `word` stays in `best`. Limits how far away it may
 * be, so that nothing far-fetched is suggested. */
typedef struct Nearest {
        const char *word;
        const char *best; /* borrowed from a candidate; NULL if none is near */
        unsigned int distance;
} Nearest;

void nearest_init(Nearest *n, const char *word);
void nearest_consider(Nearest *n, const char *candidate);

/* How many characters must be inserted, removed, replaced or swapped to turn a into b, where
 * capital and small letters are the same; words longer than TEXT_DISTANCE_MAX are as far apart as
 * can be. */
unsigned int text_distance(const char *a, const char *b);

#define TEXT_DISTANCE_MAX 64
