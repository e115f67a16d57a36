/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* From a mapping to a struct by a table of its keys: which there are, which must be, what decodes
 * each, into which member. One table serves the decoder, the messages and the documentation. */

#include "doc/node.h"

typedef struct SchemaField SchemaField;

/* Decodes entry->value into *ret, the member at the field's offset. context is what the caller of
 * schema_decode() gave. 0, -EBADMSG with a message in d, or -ENOMEM. */
typedef int (*SchemaDecoder)(
        const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d);

typedef enum SchemaFlags {
        SCHEMA_REQUIRED = 1 << 0,
        SCHEMA_LATER = 1 << 1,     /* a known word of the language that is not built yet */
        SCHEMA_ELSEWHERE = 1 << 2, /* a known word that has no place here; help says why */
} SchemaFlags;

struct SchemaField {
        const char *key;
        SchemaDecoder decode; /* NULL if the flags refuse the key */
        size_t offset;
        SchemaFlags flags;
        const char *help;         /* a line for people, never NULL */
        const char *const *words; /* of schema_decode_word(): what may stand here, NULL-ended */
};

typedef struct Schema {
        const char *what; /* "a rule": for messages */
        const SchemaField *fields;
        size_t n_fields;
        const char *example; /* how one is written, for hints; or NULL */
} Schema;

/* Decodes the mapping n into target. Goes on after a mistake; -EBADMSG if there was any. Members
 * whose keys are absent stay as they are. */
int schema_decode(const Schema *schema, const Node *n, void *context, void *target, Diag *d);

/* Decoders for members of the types named. */
int schema_decode_entry(const SchemaField *field, /* const NodeEntry *: as it stands */
                        const NodeEntry *entry,
                        void *context,
                        void *ret,
                        Diag *d);
int schema_decode_boolean(const SchemaField *field, /* bool */
                          const NodeEntry *entry,
                          void *context,
                          void *ret,
                          Diag *d);
/* unsigned int, or an enum: the number of the word among field->words. */
int schema_decode_word(
        const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d);

/* Looks a scalar up among words, which end with NULL; its number goes to ret. `what` is what the
 * message says it should have been: "'drift' is", "an essential is". */
int schema_find_word(
        const char *what, const Node *n, const char *const *words, unsigned int *ret, Diag *d);
/* 0 if the value is of the kind; else says so, and what was expected ("a list of rules"). An empty
 * value is reported at its key. */
int schema_expect(const NodeEntry *entry, NodeKind kind, const char *expected, Diag *d);
/* Reports that the entry has no value if so. */
int schema_expect_value(const NodeEntry *entry, Diag *d);
