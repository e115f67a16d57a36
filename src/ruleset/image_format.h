/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What image_write.c and image_read.c agree on. The image, in this order:
 *
 *   IMAGE_MAGIC, the version
 *   each vocabulary: how many words, the words
 *   features: how many, which
 *   strings: how many, each; later on a string is its number here plus one, and 0 is none
 *   limits: how many, each with its name, number, seconds, burst
 *   chains: whether elements count; how many; each but for its rules, of which only the number
 *   sets: how many have a name, how many have none; each with its elements
 *   the rules of each chain
 *
 * Numbers, counts and strings are those of base/bytes.h. Of an enumeration's value stands the
 * number of its word in the vocabulary. A new member of a structure is a new version. */

#include "base/bytes.h"
#include "ruleset/pass.h"

#define IMAGE_MAGIC "rwimage" /* with its NUL */
#define IMAGE_VERSION 1
#define IMAGE_WORDS_MAX 250  /* of one vocabulary */
#define IMAGE_MATCHES_MAX 64 /* of one rule; statements, too */

typedef enum Vocabulary {
        VOCABULARY_FIELDS,
        VOCABULARY_TYPES,
        VOCABULARY_VERDICTS,
        VOCABULARY_OPS,
        VOCABULARY_STATEMENTS,
        VOCABULARY_HOOKS,
        VOCABULARY_CHAINS,
        VOCABULARY_FAMILIES,
        VOCABULARY_FEATURES,
        _VOCABULARY_MAX,
} Vocabulary;

/* How many words there are, and each; NULL for what no image may hold. */
size_t image_n_words(Vocabulary v);
const char *image_word(Vocabulary v, size_t i);

/* The feature with the number of its word. */
bool *image_feature(KernelFeatures *features, size_t i);

enum {
        IMAGE_SET_MAP = 1 << 0,
        IMAGE_SET_INTERVAL = 1 << 1,
        IMAGE_SET_COUNTED = 1 << 2,
        IMAGE_SET_DYNAMIC = 1 << 3,
        IMAGE_SET_SOURCE = 1 << 4,
        IMAGE_SET_ORIGINS = 1 << 5, /* the elements have origins */
        _IMAGE_SET_MAX = 1 << 6,
};

enum {
        IMAGE_RULE_COUNTED = 1 << 0,
        IMAGE_RULE_STATEMENTS = 1 << 1,
        _IMAGE_RULE_MAX = 1 << 2,
};
