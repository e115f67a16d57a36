/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A YAML document as a tree that remembers where each part stands. Scalars stay text: whoever reads
 * the tree knows what a word means there. Only the plain part of YAML is taken: no tags, no merge
 * keys, one document; anchors and aliases work, an alias shares its anchor's node. The tree lives
 * in an arena and borrows the Source, which must live as long; what its scalars say may live in
 * another one, longer than the tree. */

#include "base/diag.h"

#define NODE_SIZE_MAX ((size_t)16 << 20) /* bytes of text */
#define NODE_DEPTH_MAX 64                /* nodes within nodes, aliases followed */
#define NODE_COUNT_MAX 2000000           /* nodes, each alias counted with all that it stands for */
#define NODE_ANCHORS_MAX 256             /* anchors in a document */

typedef enum NodeKind {
        NODE_SCALAR,
        NODE_SEQUENCE,
        NODE_MAPPING,
        _NODE_KIND_MAX,
        _NODE_KIND_INVALID = -EINVAL,
} NodeKind;

typedef struct Node Node;

/* Keys are scalars, and no two of a mapping are equal. */
typedef struct NodeEntry {
        const Node *key, *value;
} NodeEntry;

/* Of each line of a policy there are several: they are kept small. */
struct Node {
        Span at; /* of what spans several lines: its first word or character */
        union {
                /* of scalars; no NUL in it, no control characters but tab and newline */
                const char *text;
                const Node *const *items; /* of sequences */
                const NodeEntry *entries; /* of mappings, in the order of the text */
        };
        unsigned int n_items, n_entries; /* 0 where there are none */
        unsigned int size;               /* nodes in it, aliases followed */
        NodeKind kind : 8;
        bool plain : 1;           /* of scalars: written without quotes */
        unsigned int height : 16; /* levels of nodes below and including this one */
};

/* Parses the one document of source; texts may be a itself. -EBADMSG with messages in d if there is
 * no tree, or -ENOMEM. Mistakes beside which the rest can still be read (a key given twice, a tag)
 * are errors in d, too, but 0 is returned: what has to be free of them looks at d->n_errors. */
int node_parse(Arena *a, Arena *texts, const Source *source, const Node **ret, Diag *d);

/* NULL if n is no mapping or has no such key. */
const NodeEntry *node_find(const Node *n, const char *key);
/* A key with nothing behind it, or an item with nothing in it. */
bool node_is_empty(const Node *n);
/* A plain scalar that YAML 1.1 reads as a boolean: yes, no, on, off, true, false. */
bool node_is_boolean(const Node *n, bool *ret);

/* "a list", "a mapping", "a word": for messages. */
const char *node_kind_to_string(NodeKind kind);
/* A scalar's text, fit for one line of a message: shortened if long, newlines and tabs as blanks.
 */
const char *node_shown(Arena *a, const Node *n);
