/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The tree of a text that was known when the program was built, as constants: whoever reads that
 * very text later needs no parser. A text that differs in one byte has to be parsed. */

#include "doc/node.h"

/* One node; what is in it follows it, a mapping's keys and values by turns. No pointers: nothing
 * has to be relocated when a program starts that never looks at it. */
typedef struct RecordedNode {
        uint8_t kind;                  /* NodeKind */
        uint8_t plain;                 /* bool */
        uint16_t line, column, length; /* of Node.at */
        uint32_t value; /* of scalars: where in the words; else how many items or entries */
} RecordedNode;

typedef struct Recording {
        const char *text; /* that the tree was made of; NULL: nothing was recorded */
        size_t size;
        const RecordedNode *nodes; /* the whole document's first */
        size_t n_nodes;
        const char *words; /* what the scalars say, each with a NUL */
} Recording;

/* 1 and the tree that node_parse() would make of source, if that is the recorded text; 0 if it is
 * another one, or -ENOMEM. The tree lives in a, its words in the recording. */
int recording_replay(Arena *a, const Recording *recording, const Source *source, const Node **ret);

/* Writes the C source of a Recording `name` that is declared in the header. -EFBIG if a place in
 * the text is beyond what can be written down, or a negative errno if f takes it not. */
int recording_print(
        const Node *root, const Source *source, const char *header, const char *name, FILE *f);
