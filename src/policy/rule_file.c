/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/rule_file.h"

#include "policy/loader.h"

#define HEAD                                                                                       \
        "# Rules that `ringwall allow` and `ringwall deny` have written, a line each; `ringwall "  \
        "remove`\n"                                                                                \
        "# lists them, and takes them out. Whatever else stands here stays as it is.\n"            \
        "ringwall: 1\n"
#define INDENT "  "

/* The new text as it grows, in as much room as it can need. */
typedef struct Text {
        char *bytes;
        size_t size;
} Text;

static void put_bytes(Text *t, const char *s, size_t size) {
        memcpy(t->bytes + t->size, s, size);
        t->size += size;
        t->bytes[t->size] = '\0';
}

static void put(Text *t, const char *s) {
        put_bytes(t, s, strlen(s));
}

/* ---- what is in the file */

/* The line of this number (the first is 1) without its end; NULL if there are not so many. */
static const char *find_line(const char *text, size_t size, unsigned int number, size_t *ret_len) {
        const char *end, *stop;

        if (!text) /* there is no file */
                return NULL;
        end = text + size;
        for (unsigned int i = 1; text && text < end; i++) {
                stop = memchr(text, '\n', (size_t)(end - text));
                if (i == number) {
                        *ret_len = (size_t)((stop ? stop : end) - text);
                        return text;
                }
                text = stop ? stop + 1 : NULL;
        }
        return NULL;
}

static RuleKey key_from_string(const char *s) {
        for (RuleKey key = RULE_KEY_SERVICES + 1; key < _RULE_KEY_MAX; key++)
                if (streq(rule_key_to_string(key), s))
                        return key;
        return _RULE_KEY_INVALID;
}

/* 1 if these are words, 0 if they are something else. */
static int read_value(Arena *a, const Node *n, RuleValue *ret) {
        const Node *const *items = n->kind == NODE_SEQUENCE ? n->items : &n;
        size_t n_items = n->kind == NODE_SEQUENCE ? n->n_items : 1;

        for (size_t i = 0; i < n_items; i++) {
                RuleWord word = {.text = items[i]->text};

                if (items[i]->kind != NODE_SCALAR)
                        return 0;
                if (!arena_append(a, ret->words, ret->n_words, word))
                        return -ENOMEM;
        }
        return 1;
}

/* 1 if commands could have written it; else 0. */
static int read_rule(Arena *a, const Node *n, FileRule *ret) {
        bool has_verb = false;

        for (size_t i = 0; i < n->n_entries; i++) {
                const NodeEntry *entry = &n->entries[i];
                bool allows = streq(entry->key->text, "allow");
                RuleKey key = key_from_string(entry->key->text);
                int r;

                if (allows || streq(entry->key->text, "deny")) {
                        ret->verb = allows ? RULE_ALLOW : RULE_DENY;
                        key = RULE_KEY_SERVICES;
                        has_verb = true;
                }
                if (key == _RULE_KEY_INVALID)
                        return 0;
                r = read_value(a, entry->value, &ret->values[key]);
                if (r <= 0)
                        return r;
        }
        return has_verb;
}

static bool is_line(const RuleFile *file, unsigned int number, const char *text) {
        size_t len, n = strlen(text);
        const char *line = find_line(file->source.text, file->source.size, number, &len);
        size_t blanks = line ? strspn(line, " ") : 0;

        return line && len == blanks + 2 + n && memcmp(line + blanks, "- ", 2) == 0 &&
               memcmp(line + blanks + 2, text, n) == 0;
}

static bool is_over(Arena *a, const Node *item, int64_t now) {
        Loader l = {.arena = a, .d = diag_new(a), .now = now};
        const NodeEntry *entry = node_find(item, "until");
        int64_t until;

        return entry && l.d && until_decode(&l, entry, &until) == 0 && until <= now;
}

static int add_rule(Arena *a, RuleFile *file, const Node *item, int64_t now) {
        FileRule rule = {.line = item->at.line};
        const char *text;
        int r = item->kind == NODE_MAPPING ? read_rule(a, item, &rule) : 0;

        if (r < 0)
                return r;
        if (r > 0) {
                text = file_rule_text(a, &rule);
                if (!text)
                        return -ENOMEM;
                rule.is_own = is_line(file, rule.line, text);
                rule.is_over = is_over(a, item, now);
        }
        return arena_append(a, file->rules, file->n_rules, rule) ? 0 : -ENOMEM;
}

static int refuse(Diag *d, Span at, const char *why) {
        diag_error(d, at, "%s", why);
        diag_hint(d, "change it by hand: ringwall edit %s", at.source->name);
        return -EBADMSG;
}

static int read_tree(Arena *a, RuleFile *file, int64_t now, Diag *d) {
        const NodeEntry *inbound;
        size_t n_errors = d->n_errors;
        int r = node_parse(a, a, &file->source, &file->root, d);

        if (r < 0)
                return r;
        if (d->n_errors > n_errors)
                return -EBADMSG;
        if (file->root->kind != NODE_MAPPING)
                return refuse(d, file->root->at, "this is no policy");
        inbound = node_find(file->root, "inbound");
        if (!inbound)
                return 0;
        file->inbound_at = inbound->key->at;
        if (inbound->value->kind != NODE_SEQUENCE)
                return refuse(d, inbound->key->at,
                              "inbound is no list of rules here, to which one could be added");
        file->inbound = inbound->value;
        for (size_t i = 0; i < file->inbound->n_items && r == 0; i++)
                r = add_rule(a, file, file->inbound->items[i], now);
        return r;
}

int rule_file_read(Arena *a, Source source, int64_t now, RuleFile *ret, Diag *d) {
        RuleFile *file = arena_new0(a, RuleFile); /* places point into it */
        int r = 0;

        if (!file)
                return -ENOMEM;
        file->source = source;
        if (source.text)
                r = read_tree(a, file, now, d);
        if (r == 0)
                *ret = *file;
        return r;
}

/* ---- another text of it */

/* Where lines come in, and what becomes of the one that says `inbound:`. */
typedef struct Place {
        unsigned int after; /* the number of a line */
        size_t indent;
        bool at_end;        /* there is no `inbound` yet */
        bool opens, closes; /* `inbound: []` becomes `inbound:`, or the other way round */
        unsigned int inbound_line;
} Place;

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\r';
}

/* The last line of what begins at `number` behind so many blanks. */
static unsigned int find_end(const Source *source, unsigned int number, size_t indent) {
        unsigned int last = number;
        const char *line;
        size_t len;

        while ((line = find_line(source->text, source->size, ++number, &len))) {
                size_t blanks = 0;

                while (blanks < len && is_blank(line[blanks]))
                        blanks++;
                if (blanks == len || line[blanks] == '#')
                        continue;
                if (blanks <= indent)
                        break;
                last = number;
        }
        return last;
}

static bool find_behind_last(const RuleFile *file, Place *ret) {
        const Node *last = file->inbound->items[file->inbound->n_items - 1];
        size_t len;
        const char *line = find_line(file->source.text, file->source.size, last->at.line, &len);

        if (!line)
                return false;
        while (ret->indent < len && line[ret->indent] == ' ')
                ret->indent++;
        if (ret->indent == len || line[ret->indent] != '-')
                return false;
        ret->after = find_end(&file->source, last->at.line, ret->indent);
        return true;
}

static bool find_place(const RuleFile *file, bool comes, Place *ret) {
        size_t n_left = comes, len;
        const char *line;

        *ret = (Place){.at_end = !file->inbound, .inbound_line = file->inbound_at.line};
        if (!file->inbound)
                return true;
        for (size_t i = 0; i < file->n_rules; i++)
                n_left += !file->rules[i].goes;
        line = find_line(file->source.text, file->source.size, ret->inbound_line, &len);
        if (file->inbound->n_items == 0) {
                ret->opens = comes;
                ret->after = ret->inbound_line;
                ret->indent = strlen(INDENT);
                return line && len >= 11 && memcmp(line, "inbound: []", 11) == 0;
        }
        ret->closes = n_left == 0;
        return find_behind_last(file, ret) &&
               (!ret->closes || (len >= 8 && memcmp(line, "inbound:", 8) == 0));
}

static bool is_gone(const RuleFile *file, unsigned int line) {
        for (size_t i = 0; i < file->n_rules; i++)
                if (file->rules[i].line == line && file->rules[i].goes && file->rules[i].is_own)
                        return true;
        return false;
}

static void put_line(Text *t, const Place *place, unsigned int number, const char *s, size_t len) {
        if (number != place->inbound_line || !(place->opens || place->closes)) {
                put_bytes(t, s, len);
                return;
        }
        put(t, place->opens ? "inbound:" : "inbound: []");
        len -= place->opens ? 11 : 8;
        put_bytes(t, s + (place->opens ? 11 : 8), len);
}

static void put_new(Text *t, const Place *place, const char *rule) {
        if (t->size > 0 && t->bytes[t->size - 1] != '\n')
                put(t, "\n");
        for (size_t i = 0; i < place->indent; i++)
                put(t, " ");
        put(t, "- ");
        put(t, rule);
        put(t, "\n");
}

/* Line for line; *ret_line is where the new rule stands. */
static void
put_file(Text *t, const RuleFile *file, Place *place, const char *rule, unsigned int *ret_line) {
        unsigned int number = 0, written = 0;
        const char *line;
        size_t len;

        while ((line = find_line(file->source.text, file->source.size, ++number, &len))) {
                const char *end = line + len;

                len += end < file->source.text + file->source.size; /* with its end */
                if (!is_gone(file, number)) {
                        put_line(t, place, number, line, len);
                        written++;
                }
                if (rule && !place->at_end && number == place->after) {
                        put_new(t, place, rule);
                        *ret_line = ++written;
                }
        }
        if (!rule || !place->at_end)
                return;
        if (!file->source.text) {
                put(t, HEAD);
                written = 3;
        } else if (t->size > 0 && t->bytes[t->size - 1] != '\n')
                put(t, "\n");
        put(t, "\ninbound:\n");
        place->indent = strlen(INDENT);
        put_new(t, place, rule);
        *ret_line = written + 3;
}

/* ---- and what it says */

static bool node_equal(const Node *a, const Node *b) {
        if (a->kind != b->kind || a->n_items != b->n_items || a->n_entries != b->n_entries ||
            a->plain != b->plain || (a->kind == NODE_SCALAR && !streq(a->text, b->text)))
                return false;
        for (size_t i = 0; i < a->n_items; i++)
                if (!node_equal(a->items[i], b->items[i]))
                        return false;
        for (size_t i = 0; i < a->n_entries; i++)
                if (!node_equal(a->entries[i].key, b->entries[i].key) ||
                    !node_equal(a->entries[i].value, b->entries[i].value))
                        return false;
        return true;
}

/* What does not go is there still, in the same order, and what comes is the last. */
static bool is_meant(const RuleFile *before, const FileRule *comes, const RuleFile *after) {
        size_t n = 0, n_entries = before->source.text ? before->root->n_entries : 1;

        if (after->root->n_entries != n_entries + (comes && !before->inbound))
                return false;
        for (size_t i = 0; before->source.text && i < n_entries; i++)
                if (!node_equal(before->root->entries[i].key, after->root->entries[i].key) ||
                    (before->root->entries[i].value != before->inbound &&
                     !node_equal(before->root->entries[i].value, after->root->entries[i].value)))
                        return false;
        for (size_t i = 0; i < before->n_rules; i++) {
                if (before->rules[i].goes)
                        continue;
                if (n == after->n_rules ||
                    !node_equal(before->inbound->items[i], after->inbound->items[n]))
                        return false;
                n++;
        }
        if (comes && (n == after->n_rules || !after->rules[n].is_own ||
                      !file_rule_equal(comes, &after->rules[n])))
                return false;
        return after->n_rules == n + (comes != NULL);
}

int rule_file_change(Arena *a,
                     const RuleFile *file,
                     const FileRule *comes,
                     const char **ret,
                     size_t *ret_size,
                     unsigned int *ret_line,
                     Diag *d) {
        const char *rule = comes ? file_rule_text(a, comes) : NULL;
        Source *source = arena_new0(a, Source);
        size_t capacity = 2 * file->source.size + sizeof(HEAD) + (rule ? strlen(rule) : 0) + 128;
        Text t = {.bytes = arena_alloc(a, capacity)};
        RuleFile after = {0};
        Place place;
        int r;

        if (!source || !t.bytes || (comes && !rule))
                return -ENOMEM;
        *source = file->source;
        for (size_t i = 0; i < file->n_rules; i++)
                if (file->rules[i].goes && !file->rules[i].is_own)
                        return refuse(d, (Span){source, file->rules[i].line, 1, 1},
                                      "people have written this rule, or changed it");
        if (!find_place(file, comes != NULL, &place))
                return refuse(d, (Span){source, place.inbound_line, 1, 1},
                              "these rules do not stand in lines of their own");
        put_file(&t, file, &place, rule, ret_line);
        r = rule_file_read(a, (Source){file->source.name, t.bytes, t.size}, 0, &after, diag_new(a));
        if (r == -ENOMEM)
                return r;
        if (r < 0 || !is_meant(file, comes, &after))
                return refuse(d, (Span){.source = source},
                              "this file cannot be changed without changing more of it");
        *ret = t.bytes;
        *ret_size = t.size;
        return 0;
}
