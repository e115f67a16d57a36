/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doc/node.h"

#include <yaml.h>

#include "doc/syntax.h"
#include "doc/text_check.h"

#define FEW_KEYS 8   /* of a mapping: each can be compared with each */
#define SHOWN_MAX 60 /* characters of a scalar that a message shows */

typedef struct Anchor {
        const char *name;
        const Node *node; /* NULL while it is being built */
} Anchor;

typedef struct Builder {
        Arena *arena, *texts;
        const Source *source;
        Diag *d;
        yaml_parser_t parser;
        Anchor anchors[NODE_ANCHORS_MAX];
        size_t n_anchors;
        const Node *
                *open; /* what has been read of the nodes that are open, the innermost one's last */
        size_t n_open, n_open_max;
        bool incomplete; /* something was left out without which the rest would be misread */
} Builder;

static const char *const kind_names[_NODE_KIND_MAX] = {
        [NODE_SCALAR] = "a word",
        [NODE_SEQUENCE] = "a list",
        [NODE_MAPPING] = "a mapping",
};

const char *node_kind_to_string(NodeKind kind) {
        return kind_names[kind];
}

static int build(Builder *b, yaml_event_t *event, unsigned int depth, const Node **ret);

static Span span_at(const Builder *b, yaml_mark_t mark) {
        return (Span){
                .source = b->source,
                .line = (unsigned int)mark.line + 1,
                .column = (unsigned int)mark.column + 1,
                .length = 1,
        };
}

/* From start to end if that is on one line; else the first character. */
static Span span_between(const Builder *b, yaml_mark_t start, yaml_mark_t end) {
        Span at = span_at(b, start);

        if (end.line == start.line && end.column > start.column)
                at.length = (unsigned int)(end.column - start.column);
        return at;
}

static int next_event(Builder *b, yaml_event_t *ret) {
        const yaml_parser_t *p = &b->parser;
        SyntaxError e;

        if (yaml_parser_parse(&b->parser, ret))
                return 0;
        if (p->error == YAML_MEMORY_ERROR)
                return -ENOMEM;
        e = (SyntaxError){.problem = p->problem, .at = span_at(b, p->problem_mark)};
        if (p->context) {
                e.context = p->context;
                e.context_at = span_at(b, p->context_mark);
        }
        return syntax_report(&e, b->d);
}

static Node *node_new(Builder *b, NodeKind kind, const yaml_event_t *event) {
        Node *n = arena_new0(b->arena, Node);

        if (!n)
                return NULL;
        n->kind = kind;
        n->at = span_between(b, event->start_mark, event->end_mark);
        n->height = n->size = 1;
        return n;
}

/* Makes room for child in its parent's counts. */
static int account(Builder *b, Node *parent, const Node *child, Span at) {
        parent->height = MAX(parent->height, child->height + 1U);
        parent->size += child->size;
        if (parent->size > NODE_COUNT_MAX)
                return diag_error(b->d, at, "this file holds more than %d values%s", NODE_COUNT_MAX,
                                  b->n_anchors > 0 ? ", its aliases counted" : "");
        return 0;
}

static int add_child(Builder *b, const Node *child) {
        if (b->n_open == b->n_open_max) {
                size_t n = MAX(2 * b->n_open_max, 64UL);
                const Node **grown = reallocarray(b->open, n, sizeof(grown[0]));

                if (!grown)
                        return -ENOMEM;
                b->open = grown;
                b->n_open_max = n;
        }
        b->open[b->n_open++] = child;
        return 0;
}

/* What was added since there were n_before; their place is free from now on. */
static const Node *const *take_children(Builder *b, size_t n_before, size_t *ret_n) {
        *ret_n = b->n_open - n_before;
        b->n_open = n_before;
        return b->open ? b->open + n_before : NULL;
}

static int close_sequence(Builder *b, Node *n, size_t n_before) {
        size_t n_items;
        const Node *const *children = take_children(b, n_before, &n_items);
        const Node **items = arena_alloc_array(b->arena, n_items, sizeof(items[0]));

        if (!items)
                return -ENOMEM;
        for (size_t i = 0; i < n_items; i++)
                items[i] = children[i];
        n->items = items;
        n->n_items = (unsigned int)n_items;
        return 0;
}

static int too_deep(Builder *b, Span at) {
        return diag_error(b->d, at, "nested more than %d levels deep", NODE_DEPTH_MAX);
}

/* Says so; the value can still be read. */
static void refuse_tag(Builder *b, const yaml_event_t *event, const yaml_char_t *tag) {
        static const char standard[] = "tag:yaml.org,2002:";
        const char *name = (const char *)tag;
        bool is_standard;

        if (!tag)
                return;
        is_standard = startswith(name, standard);
        diag_error(b->d, span_at(b, event->start_mark), "tags such as '%s%.40s' mean nothing here",
                   is_standard ? "!!" : "", is_standard ? name + sizeof(standard) - 1 : name);
        diag_hint(b->d, "quote the word if it is meant as it stands");
}

/* Reserves the anchor's name; its place in b->anchors goes to ret, NULL if there is no anchor. */
static int
anchor_open(Builder *b, const yaml_event_t *event, const yaml_char_t *name, Anchor **ret) {
        *ret = NULL;
        if (!name)
                return 0;
        if (b->n_anchors == NODE_ANCHORS_MAX)
                return diag_error(b->d, span_at(b, event->start_mark), "more than %d anchors",
                                  NODE_ANCHORS_MAX);
        *ret = &b->anchors[b->n_anchors++];
        (*ret)->node = NULL;
        (*ret)->name = arena_strdup(b->arena, (const char *)name);
        return (*ret)->name ? 0 : -ENOMEM;
}

static int
build_alias(Builder *b, const yaml_event_t *event, unsigned int depth, const Node **ret) {
        const char *name = (const char *)event->data.alias.anchor;
        Span at = span_between(b, event->start_mark, event->end_mark);

        for (size_t i = b->n_anchors; i > 0; i--) {
                const Node *n = b->anchors[i - 1].node;

                if (!streq(b->anchors[i - 1].name, name))
                        continue;
                if (!n)
                        return diag_error(b->d, at, "'*%.60s' stands within itself", name);
                if (depth + n->height - 1 > NODE_DEPTH_MAX)
                        return too_deep(b, at);
                *ret = n;
                return 0;
        }
        diag_error(b->d, at, "'*%.60s' is an alias, but there is no anchor '&%.60s' before it",
                   name, name);
        diag_hint(b->d, "quote it: \"*%.60s\"", name);
        return -EBADMSG;
}

static int check_scalar(Builder *b, const Node *n, size_t size) {
        const char *p = n->text, *end = p + size;
        uint32_t c;
        size_t len;

        for (p += text_plain(p, end); p < end; p += len) {
                len = text_decode(p, (size_t)(end - p), &c);
                if (len == 0 || !text_character_is_fit(c) || c == '\r')
                        return diag_error(b->d, n->at,
                                          "this text holds an invisible character, U+%04X",
                                          len == 0 ? 0xfffd : c);
        }
        return 0;
}

static int build_scalar(Builder *b, const yaml_event_t *event, const Node **ret) {
        size_t size = event->data.scalar.length;
        Node *n = node_new(b, NODE_SCALAR, event);
        Anchor *anchor = NULL;
        int r;

        if (!n)
                return -ENOMEM;
        n->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        n->text = arena_strndup(b->texts, (const char *)event->data.scalar.value, size);
        if (!n->text)
                return -ENOMEM;
        refuse_tag(b, event, event->data.scalar.tag);
        /* without quotes nothing is in it but what text_check() has seen */
        r = n->plain ? 0 : check_scalar(b, n, size);
        if (r == 0)
                r = anchor_open(b, event, event->data.scalar.anchor, &anchor);
        if (r < 0)
                return r;
        if (anchor)
                anchor->node = n;
        *ret = n;
        return 0;
}

static int build_sequence(Builder *b, yaml_event_t *start, unsigned int depth, const Node **ret) {
        Node *n = node_new(b, NODE_SEQUENCE, start);
        size_t n_before = b->n_open;
        Anchor *anchor;
        int r;

        if (!n)
                return -ENOMEM;
        if (depth > NODE_DEPTH_MAX)
                return too_deep(b, n->at);
        refuse_tag(b, start, start->data.sequence_start.tag);
        r = anchor_open(b, start, start->data.sequence_start.anchor, &anchor);
        while (r == 0) {
                _cleanup_(yaml_event_delete) yaml_event_t event = {0};
                const Node *item;

                r = next_event(b, &event);
                if (r == 0 && event.type == YAML_SEQUENCE_END_EVENT) {
                        if (start->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE)
                                n->at = span_between(b, start->start_mark, event.end_mark);
                        break;
                }
                if (r == 0)
                        r = build(b, &event, depth + 1, &item);
                if (r == 0)
                        r = account(b, n, item, span_at(b, event.start_mark));
                if (r == 0)
                        r = add_child(b, item);
        }
        if (r == 0)
                r = close_sequence(b, n, n_before);
        if (r < 0)
                return r;
        if (anchor)
                anchor->node = n;
        *ret = n;
        return 0;
}

typedef struct KeyIndex {
        const char *text;
        size_t index;
} KeyIndex;

static int compare_keys(const void *a, const void *b) {
        const KeyIndex *x = a, *y = b;
        int r = strcmp(x->text, y->text);

        return r != 0 ? r : x->index < y->index ? -1 : x->index > y->index;
}

/* Most mappings are short. */
static bool has_duplicates(const Node *n) {
        if (n->n_entries > FEW_KEYS)
                return true; /* perhaps */
        for (size_t i = 1; i < n->n_entries; i++)
                for (size_t j = 0; j < i; j++)
                        if (streq(n->entries[i].key->text, n->entries[j].key->text))
                                return true;
        return false;
}

/* Reports every key that an earlier one equals, and takes it out. */
static int drop_duplicates(Builder *b, Node *n, NodeEntry *entries) {
        _cleanup_free_ KeyIndex *keys = calloc(n->n_entries + 1, sizeof(*keys));
        _cleanup_free_ size_t *first = calloc(n->n_entries + 1, sizeof(*first));
        unsigned int kept = 0;

        if (!keys || !first)
                return -ENOMEM;
        for (size_t i = 0; i < n->n_entries; i++)
                keys[i] = (KeyIndex){entries[i].key->text, i};
        qsort(keys, n->n_entries, sizeof(*keys), compare_keys);
        for (size_t i = 0; i < n->n_entries; i++) {
                bool repeated = i > 0 && streq(keys[i].text, keys[i - 1].text);

                first[keys[i].index] = repeated ? first[keys[i - 1].index] : keys[i].index;
        }
        for (size_t i = 0; i < n->n_entries; i++) {
                if (first[i] == i)
                        continue;
                diag_error(b->d, entries[i].key->at, "'%s' is given twice",
                           node_shown(b->arena, entries[i].key));
                diag_note(b->d, entries[first[i]].key->at, "first given here");
        }
        for (size_t i = 0; i < n->n_entries; i++)
                if (first[i] == i)
                        entries[kept++] = entries[i];
        n->n_entries = kept;
        return 0;
}

static int close_mapping(Builder *b, Node *n, size_t n_before) {
        size_t n_children;
        const Node *const *children = take_children(b, n_before, &n_children);
        NodeEntry *entries = arena_alloc_array(b->arena, n_children / 2, sizeof(entries[0]));

        if (!entries)
                return -ENOMEM;
        for (size_t i = 0; i < n_children / 2; i++)
                entries[i] = (NodeEntry){children[2 * i], children[2 * i + 1]};
        n->entries = entries;
        n->n_entries = (unsigned int)(n_children / 2);
        return has_duplicates(n) ? drop_duplicates(b, n, entries) : 0;
}

static int build_key(Builder *b, yaml_event_t *event, unsigned int depth, const Node **ret) {
        int r = build(b, event, depth, ret);

        if (r < 0)
                return r;
        if ((*ret)->kind != NODE_SCALAR) {
                diag_error(b->d, (*ret)->at, "a key is a word, not %s",
                           node_kind_to_string((*ret)->kind));
                diag_hint(b->d, "text that begins with '{' or '[' must be quoted");
                return -EBADMSG;
        }
        return 0;
}

static int build_mapping(Builder *b, yaml_event_t *start, unsigned int depth, const Node **ret) {
        bool flow = start->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
        Node *n = node_new(b, NODE_MAPPING, start);
        size_t n_before = b->n_open;
        Anchor *anchor;
        int r;

        if (!n)
                return -ENOMEM;
        if (depth > NODE_DEPTH_MAX)
                return too_deep(b, n->at);
        refuse_tag(b, start, start->data.mapping_start.tag);
        r = anchor_open(b, start, start->data.mapping_start.anchor, &anchor);
        while (r == 0) {
                _cleanup_(yaml_event_delete) yaml_event_t key = {0}, value = {0};
                NodeEntry entry = {0};

                r = next_event(b, &key);
                if (r == 0 && key.type == YAML_MAPPING_END_EVENT) {
                        if (flow)
                                n->at = span_between(b, start->start_mark, key.end_mark);
                        break;
                }
                if (r == 0)
                        r = build_key(b, &key, depth + 1, &entry.key);
                if (r == 0)
                        r = next_event(b, &value);
                if (r == 0)
                        r = build(b, &value, depth + 1, &entry.value);
                if (r == 0)
                        r = account(b, n, entry.value, entry.key->at);
                if (r < 0)
                        break;
                if (entry.key->plain && streq(entry.key->text, "<<")) {
                        diag_error(b->d, entry.key->at, "merge keys ('<<') are not taken here");
                        diag_hint(b->d, "write the keys out");
                        b->incomplete = true;
                        continue;
                }
                r = add_child(b, entry.key);
                if (r == 0)
                        r = add_child(b, entry.value);
        }
        if (r == 0)
                r = close_mapping(b, n, n_before);
        if (r < 0)
                return r;
        if (!flow && n->n_entries > 0)
                n->at = n->entries[0].key->at;
        if (anchor)
                anchor->node = n;
        *ret = n;
        return 0;
}

/* The node that begins with event. */
static int build(Builder *b, yaml_event_t *event, unsigned int depth, const Node **ret) {
        switch (event->type) {
        case YAML_ALIAS_EVENT:
                return build_alias(b, event, depth, ret);
        case YAML_SCALAR_EVENT:
                return build_scalar(b, event, ret);
        case YAML_SEQUENCE_START_EVENT:
                return build_sequence(b, event, depth, ret);
        case YAML_MAPPING_START_EVENT:
                return build_mapping(b, event, depth, ret);
        case YAML_NO_EVENT:
        case YAML_STREAM_START_EVENT:
        case YAML_STREAM_END_EVENT:
        case YAML_DOCUMENT_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT:
                break; /* the parser's grammar keeps these from standing where a node begins */
        }
        return diag_error(b->d, span_at(b, event->start_mark), "a value is missing here");
}

/* The next event that is not of the kind passed over. */
static int skip_event(Builder *b, yaml_event_type_t passed_over, yaml_event_t *ret) {
        int r = next_event(b, ret);

        if (r < 0 || ret->type != passed_over)
                return r;
        yaml_event_delete(ret);
        return next_event(b, ret);
}

static int parse_document(Builder *b, const Node **ret) {
        _cleanup_(yaml_event_delete) yaml_event_t start = {0}, event = {0}, next = {0};
        int r = skip_event(b, YAML_STREAM_START_EVENT, &start);

        if (r < 0)
                return r;
        if (start.type != YAML_DOCUMENT_START_EVENT)
                return diag_error(b->d, (Span){.source = b->source}, "this file is empty");
        r = next_event(b, &event);
        if (r == 0)
                r = build(b, &event, 1, ret);
        if (r == 0 && node_is_empty(*ret))
                return diag_error(b->d, (Span){.source = b->source}, "this file is empty");
        if (r == 0)
                r = skip_event(b, YAML_DOCUMENT_END_EVENT, &next);
        /* libyaml ends the document of its own accord and reports what follows afterwards */
        if (r == 0 && next.type != YAML_STREAM_END_EVENT) {
                diag_error(b->d, span_at(b, next.start_mark), "a second document begins here");
                diag_hint(b->d, "a file holds one: take the '---' or '...' out");
                return -EBADMSG;
        }
        return r;
}

int node_parse(Arena *a, Arena *texts, const Source *source, const Node **ret, Diag *d) {
        _cleanup_free_ Builder *b = NULL;
        const Node *n;
        int r;

        if (source->size > NODE_SIZE_MAX)
                return diag_error(d, (Span){.source = source}, "this file is larger than %zu MiB",
                                  NODE_SIZE_MAX >> 20);
        r = text_check(source, d);
        if (r < 0)
                return r;
        b = calloc(1, sizeof(*b));
        if (!b || !yaml_parser_initialize(&b->parser))
                return -ENOMEM;
        b->arena = a;
        b->texts = texts;
        b->source = source;
        b->d = d;
        yaml_parser_set_encoding(&b->parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&b->parser, (const unsigned char *)source->text, source->size);
        r = parse_document(b, &n);
        yaml_parser_delete(&b->parser);
        free(b->open);
        if (r == 0 && b->incomplete)
                r = -EBADMSG;
        if (r < 0)
                return r;
        *ret = n;
        return 0;
}

const NodeEntry *node_find(const Node *n, const char *key) {
        for (size_t i = 0; i < n->n_entries; i++)
                if (streq(n->entries[i].key->text, key))
                        return &n->entries[i];
        return NULL;
}

bool node_is_empty(const Node *n) {
        return n->kind == NODE_SCALAR && n->plain && n->text[0] == '\0';
}

bool node_is_boolean(const Node *n, bool *ret) {
        static const char *const words[][2] = {{"no", "yes"}, {"off", "on"}, {"false", "true"}};

        if (n->kind != NODE_SCALAR || !n->plain)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                for (size_t value = 0; value < 2; value++)
                        if (strcasecmp(n->text, words[i][value]) == 0) {
                                *ret = value == 1;
                                return true;
                        }
        return false;
}

const char *node_shown(Arena *a, const Node *n) {
        size_t size = 0, len = strlen(n->text);
        bool cut = false;
        char *s;

        for (unsigned int shown = 0; size < len && !cut; shown++) {
                uint32_t c;

                cut = shown == SHOWN_MAX;
                if (!cut)
                        size += text_decode(n->text + size, len - size, &c);
        }
        s = arena_printf(a, "%.*s%s", (int)size, n->text, cut ? "…" : "");
        for (char *p = s; p && *p; p++)
                if (*p == '\n' || *p == '\t')
                        *p = ' ';
        return s ? s : "?";
}
