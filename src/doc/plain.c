/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doc/plain.h"

#include <ctype.h>

#define KEY_MAX                                                                                    \
        1000       /* bytes; of longer ones libyaml has a limit, 1024 characters with the colon    \
                    */
#define FEW_KEYS 8 /* of a mapping: each can be compared with each */
#define GAVE_UP 0
#define READ 1

typedef struct Reader {
        Arena *arena, *texts;
        const Source *source;
        const char *p, *end, *line_start;
        unsigned int line;
} Reader;

/* Each function leaves the reader behind what it read, and returns READ, GAVE_UP or -ENOMEM. */
static int read_flow(Reader *r, unsigned int depth, const Node **ret);
static int read_block(Reader *r, unsigned int depth, const Node **ret);

/* The character so many bytes on; beyond the text the line ends. */
static char peek(const Reader *r, size_t n) {
        return (size_t)(r->end - r->p) > n ? r->p[n] : '\n';
}

static bool at_end(const Reader *r) {
        return r->p == r->end;
}

/* From 0. All that stands before on the line is ASCII, or this would have given up. */
static size_t column(const Reader *r) {
        return (size_t)(r->p - r->line_start);
}

static bool is_blank(char c) {
        return c == ' ' || c == '\n';
}

static bool is_entry(const Reader *r) {
        return peek(r, 0) == '-' && is_blank(peek(r, 1));
}

static bool ends_flow_word(char c) {
        return c == ',' || c == '[' || c == ']' || c == '{' || c == '}' || c == '?';
}

static void next_line(Reader *r) {
        r->p++;
        r->line_start = r->p;
        r->line++;
}

/* Up to whatever is no blank, newline or comment. False if a '#' touches what stands before it. */
static bool skip_space(Reader *r) {
        for (;; next_line(r)) {
                const char *newline;

                while (!at_end(r) && *r->p == ' ')
                        r->p++;
                if (at_end(r))
                        return true;
                if (*r->p == '#') {
                        if (r->p > r->line_start && r->p[-1] != ' ')
                                return false;
                        newline = memchr(r->p, '\n', (size_t)(r->end - r->p));
                        r->p = newline ? newline : r->end;
                        if (!newline)
                                return true;
                }
                if (*r->p != '\n')
                        return true;
        }
}

/* To the beginning of what stands on the next line that is not empty; nothing else may be left on
 * this one. */
static bool skip_line(Reader *r) {
        unsigned int line = r->line;

        return skip_space(r) && (at_end(r) || r->line > line);
}

static Node *node_new(Reader *r, NodeKind kind) {
        Node *n = arena_new0(r->arena, Node);

        if (!n)
                return NULL;
        n->kind = kind;
        n->at = (Span){
                .source = r->source,
                .line = r->line,
                .column = (unsigned int)column(r) + 1,
                .length = 1,
        };
        n->height = n->size = 1;
        return n;
}

/* Makes room for child in its parent's counts. */
static bool account(Node *parent, const Node *child) {
        parent->height = MAX(parent->height, child->height + 1);
        parent->size += child->size;
        return parent->size <= NODE_COUNT_MAX;
}

/* The end of the plain scalar that begins here, or NULL. */
static const char *find_word_end(const Reader *r, bool flow) {
        const char *end = r->p;

        for (const char *p = r->p; p < r->end && *p != '\n'; p++) {
                char next = p + 1 < r->end ? p[1] : '\n';

                if (*p == ' ') {
                        if (next == '#')
                                break;
                        continue;
                }
                if (*p < ' ' || *p > '~' || (flow && *p == '?'))
                        return NULL;
                if (*p == ':' && is_blank(next))
                        return end == p ? end : NULL;
                if (*p == ':' && flow && ends_flow_word(next))
                        return NULL;
                if (flow && ends_flow_word(*p))
                        break;
                end = p + 1;
        }
        return end;
}

/* The quotation mark that ends the text, or NULL. */
static const char *find_quote(const Reader *r) {
        char quote = *r->p;

        for (const char *p = r->p + 1; p < r->end && *p >= ' ' && *p <= '~'; p++) {
                if (quote == '"' && *p == '\\')
                        return NULL;
                if (*p == quote)
                        return p + 1 < r->end && p[1] == quote ? NULL : p;
        }
        return NULL;
}

static bool is_quote(char c) {
        return c == '"' || c == '\'';
}

/* The end of the scalar that begins here, quotation marks left out; NULL if none does. */
static const char *find_scalar_end(const Reader *r, bool flow) {
        char first = peek(r, 0);

        if (is_quote(first))
                return find_quote(r);
        if (!isalnum((unsigned char)first) && first != '/' && first != '.' && first != '_')
                return NULL;
        return find_word_end(r, flow);
}

static int read_scalar(Reader *r, bool flow, const Node **ret) {
        const char *end = find_scalar_end(r, flow), *start;
        char first = peek(r, 0);
        bool quoted = is_quote(first);
        Node *n;

        if (!end || (first == '.' && column(r) == 0)) /* "..." ends a document */
                return GAVE_UP;
        n = node_new(r, NODE_SCALAR);
        if (!n)
                return -ENOMEM;
        n->plain = !quoted;
        start = r->p + quoted;
        n->text = arena_strndup(r->texts, start, (size_t)(end - start));
        if (!n->text)
                return -ENOMEM;
        n->at.length = (unsigned int)(end + quoted - r->p);
        r->p = end + quoted;
        *ret = n;
        return READ;
}

/* A scalar, and the colon behind it. */
static int read_key(Reader *r, bool flow, const Node **ret) {
        const char *start = r->p;
        int result = read_scalar(r, flow, ret);

        if (result != READ)
                return result;
        if (peek(r, 0) != ':' || !is_blank(peek(r, 1)) || r->p - start > KEY_MAX)
                return GAVE_UP;
        r->p++;
        return READ;
}

static int compare_texts(const void *a, const void *b) {
        const char *const *x = a, *const *y = b;

        return strcmp(*x, *y);
}

/* READ if no two are equal. */
static int check_keys(const NodeEntry *entries, size_t n) {
        _cleanup_free_ const char **texts = NULL;

        if (n <= FEW_KEYS) {
                for (size_t i = 1; i < n; i++)
                        for (size_t j = 0; j < i; j++)
                                if (streq(entries[i].key->text, entries[j].key->text))
                                        return GAVE_UP;
                return READ;
        }
        texts = calloc(n, sizeof(*texts));
        if (!texts)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                texts[i] = entries[i].key->text;
        qsort(texts, n, sizeof(*texts), compare_texts);
        for (size_t i = 1; i < n; i++)
                if (streq(texts[i - 1], texts[i]))
                        return GAVE_UP;
        return READ;
}

static int finish_mapping(Node *n, NodeEntry *entries, const Node **ret) {
        n->entries = entries;
        *ret = n;
        return check_keys(entries, n->n_entries);
}

static int read_flow_value(Reader *r, unsigned int depth, const Node **ret) {
        char c = peek(r, 0);

        return c == '[' || c == '{' ? read_flow(r, depth, ret) : read_scalar(r, true, ret);
}

static int read_flow_item(Reader *r, unsigned int depth, Node *n, const Node ***items) {
        const Node *item;
        int result = read_flow_value(r, depth + 1, &item);

        if (result != READ)
                return result;
        if (!arena_append(r->arena, *items, n->n_items, item))
                return -ENOMEM;
        return account(n, item) ? READ : GAVE_UP;
}

static int read_flow_entry(Reader *r, unsigned int depth, Node *n, NodeEntry **entries) {
        NodeEntry entry;
        int result = read_key(r, true, &entry.key);

        if (result == READ && !skip_space(r))
                result = GAVE_UP;
        if (result == READ)
                result = read_flow_value(r, depth + 1, &entry.value);
        if (result != READ)
                return result;
        if (!arena_append(r->arena, *entries, n->n_entries, entry))
                return -ENOMEM;
        return account(n, entry.value) ? READ : GAVE_UP;
}

/* [a, b] or { a: b }, over lines if need be. */
static int read_flow(Reader *r, unsigned int depth, const Node **ret) {
        bool mapping = *r->p == '{';
        char close = mapping ? '}' : ']';
        const Node **items = NULL;
        NodeEntry *entries = NULL;
        const char *start = r->p;
        Node *n;

        if (depth > NODE_DEPTH_MAX)
                return GAVE_UP;
        n = node_new(r, mapping ? NODE_MAPPING : NODE_SEQUENCE);
        if (!n)
                return -ENOMEM;
        for (r->p++;; r->p++) {
                int result;

                if (!skip_space(r))
                        return GAVE_UP;
                if (peek(r, 0) == close && n->size == 1)
                        break; /* there is nothing in it */
                result = mapping ? read_flow_entry(r, depth, n, &entries)
                                 : read_flow_item(r, depth, n, &items);
                if (result != READ)
                        return result;
                if (!skip_space(r))
                        return GAVE_UP;
                if (peek(r, 0) == close)
                        break;
                if (peek(r, 0) != ',')
                        return GAVE_UP;
        }
        if (at_end(r))
                return GAVE_UP;
        r->p++;
        if (r->line == n->at.line)
                n->at.length = (unsigned int)(r->p - start);
        if (mapping)
                return finish_mapping(n, entries, ret);
        n->items = items;
        *ret = n;
        return READ;
}

/* A value on the rest of the line, of what stands at that column; what is deeper on the next line
 * would go on with it. */
static int read_rest(Reader *r, unsigned int depth, size_t indent, const Node **ret) {
        char c = peek(r, 0);
        int result = c == '[' || c == '{' ? read_flow(r, depth, ret) : read_scalar(r, false, ret);

        if (result != READ)
                return result;
        return skip_line(r) && (at_end(r) || column(r) <= indent) ? READ : GAVE_UP;
}

static void skip_blanks(Reader *r) {
        while (!at_end(r) && *r->p == ' ')
                r->p++;
}

static bool at_line_end(const Reader *r) {
        return peek(r, 0) == '\n' || (peek(r, 0) == '#' && r->p[-1] == ' ');
}

static int read_sequence(Reader *r, unsigned int depth, bool within, const Node **ret);

static int read_entry(Reader *r, unsigned int depth, size_t indent, NodeEntry *ret) {
        int result = read_key(r, false, &ret->key);

        if (result != READ)
                return result;
        skip_blanks(r);
        if (!at_line_end(r))
                return read_rest(r, depth + 1, indent, &ret->value);
        if (!skip_line(r) || at_end(r))
                return GAVE_UP;
        if (column(r) > indent)
                return read_block(r, depth + 1, &ret->value);
        return column(r) == indent && is_entry(r) ? read_sequence(r, depth + 1, true, &ret->value)
                                                  : GAVE_UP;
}

static int read_mapping(Reader *r, unsigned int depth, const Node **ret) {
        size_t indent = column(r);
        NodeEntry *entries = NULL;
        Node *n;

        if (depth > NODE_DEPTH_MAX)
                return GAVE_UP;
        n = node_new(r, NODE_MAPPING);
        if (!n)
                return -ENOMEM;
        do {
                NodeEntry entry;
                int result = read_entry(r, depth, indent, &entry);

                if (result != READ)
                        return result;
                if (!account(n, entry.value))
                        return GAVE_UP;
                if (!arena_append(r->arena, entries, n->n_entries, entry))
                        return -ENOMEM;
        } while (!at_end(r) && column(r) == indent);
        if (!at_end(r) && column(r) > indent)
                return GAVE_UP;
        n->at = entries[0].key->at;
        return finish_mapping(n, entries, ret);
}

/* Whether a key begins here. */
static bool is_key(const Reader *r) {
        const char *end = find_scalar_end(r, false);

        if (!end)
                return false;
        end += is_quote(peek(r, 0));
        return end < r->end && *end == ':' && is_blank(end + 1 < r->end ? end[1] : '\n');
}

static int read_item(Reader *r, unsigned int depth, size_t indent, const Node **ret) {
        r->p++;
        skip_blanks(r);
        if (at_line_end(r))
                return skip_line(r) && !at_end(r) && column(r) > indent ? read_block(r, depth, ret)
                                                                        : GAVE_UP;
        if (is_entry(r) || is_key(r))
                return read_block(r, depth, ret);
        return read_rest(r, depth, indent, ret);
}

/* within: a mapping whose keys stand at the same column. */
static int read_sequence(Reader *r, unsigned int depth, bool within, const Node **ret) {
        size_t indent = column(r);
        const Node **items = NULL;
        Node *n;

        if (depth > NODE_DEPTH_MAX)
                return GAVE_UP;
        n = node_new(r, NODE_SEQUENCE);
        if (!n)
                return -ENOMEM;
        do {
                const Node *item;
                int result = read_item(r, depth + 1, indent, &item);

                if (result != READ)
                        return result;
                if (!account(n, item))
                        return GAVE_UP;
                if (!arena_append(r->arena, items, n->n_items, item))
                        return -ENOMEM;
        } while (!at_end(r) && column(r) == indent && is_entry(r));
        if (!at_end(r) && (column(r) > indent || (column(r) == indent && !within)))
                return GAVE_UP;
        n->items = items;
        *ret = n;
        return READ;
}

static int read_block(Reader *r, unsigned int depth, const Node **ret) {
        return is_entry(r) ? read_sequence(r, depth, false, ret) : read_mapping(r, depth, ret);
}

int plain_parse(Arena *a, Arena *texts, const Source *source, const Node **ret) {
        Reader r = {
                .arena = a,
                .texts = texts,
                .source = source,
                .p = source->text,
                .end = source->text + source->size,
                .line_start = source->text,
                .line = 1,
        };
        const Node *n;
        int result;

        if (!skip_space(&r) || at_end(&r) || column(&r) > 0)
                return GAVE_UP;
        result = read_block(&r, 1, &n);
        if (result == READ && !at_end(&r))
                result = GAVE_UP;
        if (result == READ)
                *ret = n;
        return result;
}
