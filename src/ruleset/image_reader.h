/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The inside of ruleset_read_image(), shared by the files that make it up. Mistakes stay in the
 * ByteReader; whoever reads goes on with what is harmless. */

#include "ruleset/image_format.h"

typedef struct ImageReader {
        ByteReader bytes;
        Arena *arena;
        Ruleset *rs;
        /* What the numbers of each vocabulary mean here; _INVALID is a word that nobody knows. */
        int16_t words[_VOCABULARY_MAX][IMAGE_WORDS_MAX];
        size_t n_words[_VOCABULARY_MAX];
        const char **strings;
        const Source **sources; /* of the string with that number, once there is one */
        size_t n_strings;
        Set **sets; /* those with a name first */
        size_t n_sets;
} ImageReader;

#define IMAGE_WORD_UNKNOWN (-1)

/* Room in which a later arena_grow() finds what it expects; never NULL but with the mistake noted.
 */
void *image_read_array(ImageReader *r, size_t n, size_t size);
/* A value of the enumeration, or 0. */
unsigned int image_read_word(ImageReader *r, Vocabulary v);
/* One of the strings, or NULL. */
const char *image_read_string(ImageReader *r);
/* The same, if nothing in it would end nft's quotation marks. */
const char *image_read_text(ImageReader *r);
/* Likewise, and it has to be there. max: bytes. */
const char *image_read_name(ImageReader *r, size_t max);
uint32_t image_read_u32(ImageReader *r);
/* Some of n things, by its number; 0 if there is none. */
size_t image_read_index(ImageReader *r, size_t n);
U128 image_read_value(ImageReader *r, TypeId type);
Origin image_read_origin(ImageReader *r);
/* in_map: only what an element of a map can say. */
Verdict image_read_verdict(ImageReader *r, bool in_map);
PacketLimit image_read_limit(ImageReader *r);
bool image_limit_is_sound(PacketLimit limit);

void image_read_sets(ImageReader *r);
void image_read_rules(ImageReader *r);
