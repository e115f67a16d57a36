/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"
#include "policy/rule_file.h"

/* One rule as words: how it is written, said, and compared with others. */

// clang-format off
static const struct {
        const char *name;
        bool is_list;    /* else one word, which may hold blanks */
        bool is_boolean; /* perhaps: yes, rather than a word that is written so */
} keys[_RULE_KEY_MAX] = {
        [RULE_KEY_SERVICES] =    {"service", true},
        [RULE_KEY_FROM] =        {"from", true},
        [RULE_KEY_TO] =          {"to", true},
        [RULE_KEY_EXCEPT] =      {"except", true},
        [RULE_KEY_IN] =          {"in", true},
        [RULE_KEY_LIMIT] =       {"limit", false},
        [RULE_KEY_CONNECTIONS] = {"connections", false},
        [RULE_KEY_LOG] =         {"log", false, true},
        [RULE_KEY_UNTIL] =       {"until", false},
};
// clang-format on

const char *rule_key_to_string(RuleKey key) {
        return keys[key].name;
}

bool rule_key_is_list(RuleKey key) {
        return keys[key].is_list;
}

/* ---- a rule's text */

typedef struct Text {
        Arena *arena;
        char *bytes;
        size_t size, capacity;
        bool failed;
        /* what is in a column, if that is the question */
        unsigned int wanted, column; /* column: of what comes next */
        Span found;
} Text;

static void put_bytes(Text *t, const char *s, size_t size) {
        if (t->size + size + 1 > t->capacity && !t->failed) {
                size_t capacity = MAX(2 * t->capacity, t->size + size + 128);
                char *grown = arena_alloc(t->arena, capacity);

                t->failed = !grown;
                if (grown && t->size > 0)
                        memcpy(grown, t->bytes, t->size);
                t->bytes = grown;
                t->capacity = capacity;
        }
        if (t->failed)
                return;
        memcpy(t->bytes + t->size, s, size);
        t->size += size;
        t->bytes[t->size] = '\0';
        for (size_t i = 0; i < size; i++)
                t->column += ((unsigned char)s[i] & 0xc0) != 0x80; /* characters, not bytes */
}

static void put(Text *t, const char *s) {
        put_bytes(t, s, strlen(s));
}

static bool is_plain(const char *s, bool may_be_boolean) {
        const Node n = {.kind = NODE_SCALAR, .plain = true, .text = s};
        bool value;

        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", s[0]))
                return false;
        for (const char *p = s; *p; p++)
                if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/-",
                            *p))
                        return false;
        return s[0] != '\0' && (may_be_boolean || !node_is_boolean(&n, &value));
}

static void put_word(Text *t, const RuleWord *word, bool may_be_boolean) {
        unsigned int start = t->column;

        if (is_plain(word->text, may_be_boolean))
                put(t, word->text);
        else {
                put(t, "\"");
                for (const char *p = word->text; *p; p++) {
                        if (*p == '"' || *p == '\\')
                                put(t, "\\");
                        put_bytes(t, p, 1);
                }
                put(t, "\"");
        }
        if (t->wanted >= start && t->wanted < t->column)
                t->found = word->at;
}

static void put_value(Text *t, RuleKey key, const RuleValue *value) {
        unsigned int start = t->column;
        bool brackets = value->n_words != 1;

        if (brackets)
                put(t, "[");
        for (size_t i = 0; i < value->n_words; i++) {
                if (i > 0)
                        put(t, ", ");
                put_word(t, &value->words[i], keys[key].is_boolean);
        }
        if (brackets)
                put(t, "]");
        /* what is wrong with a list is said at its bracket */
        if (t->wanted >= start && t->wanted < t->column && !t->found.source && value->n_words > 0)
                t->found = span_join(value->words[0].at, value->words[value->n_words - 1].at);
}

static void put_rule(Text *t, const FileRule *rule) {
        unsigned int start;

        t->column = 1;
        put(t, "{ ");
        for (RuleKey key = 0; key < _RULE_KEY_MAX; key++) {
                const RuleValue *value = &rule->values[key];

                if (value->n_words == 0 && key != RULE_KEY_SERVICES)
                        continue;
                if (key != RULE_KEY_SERVICES)
                        put(t, ", ");
                start = t->column;
                put(t, key == RULE_KEY_SERVICES ? rule_verb_to_string(rule->verb) : keys[key].name);
                if (t->wanted >= start && t->wanted < t->column && value->n_words > 0)
                        t->found = value->words[0].at;
                put(t, ": ");
                put_value(t, key, value);
        }
        put(t, " }");
}

const char *file_rule_text(Arena *a, const FileRule *rule) {
        Text t = {.arena = a};

        put_rule(&t, rule);
        return t.failed ? NULL : t.bytes;
}

Span file_rule_find(const FileRule *rule, unsigned int column) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Text t = {.arena = a, .wanted = column};

        if (a)
                put_rule(&t, rule);
        return t.found;
}

const char *file_rule_describe(Arena *a, const FileRule *rule) {
        Text t = {.arena = a};

        put(&t, rule_verb_to_string(rule->verb));
        for (RuleKey key = 0; key < _RULE_KEY_MAX; key++) {
                const RuleValue *value = &rule->values[key];

                if (value->n_words > 0 && key != RULE_KEY_SERVICES) {
                        put(&t, " ");
                        put(&t, keys[key].name);
                }
                for (size_t i = 0; i < value->n_words; i++) {
                        put(&t, i == 0 ? " " : ", ");
                        put(&t, value->words[i].text);
                }
        }
        return t.failed ? NULL : t.bytes;
}

/* ---- rules beside rules */

static bool has_word(const RuleValue *value, const char *word) {
        for (size_t i = 0; i < value->n_words; i++)
                if (streq(value->words[i].text, word))
                        return true;
        return false;
}

static bool value_has_all(const RuleValue *outer, const RuleValue *inner) {
        for (size_t i = 0; i < inner->n_words; i++)
                if (!has_word(outer, inner->words[i].text))
                        return false;
        return true;
}

/* A list means its items, in whatever order. */
static bool value_equal(const RuleValue *a, const RuleValue *b) {
        return value_has_all(a, b) && value_has_all(b, a);
}

bool file_rule_is_about(const FileRule *a, const FileRule *b) {
        for (RuleKey key = RULE_KEY_SERVICES; key <= RULE_KEY_IN; key++)
                if (!value_equal(&a->values[key], &b->values[key]))
                        return false;
        return true;
}

bool file_rule_equal(const FileRule *a, const FileRule *b) {
        if (a->verb != b->verb)
                return false;
        for (RuleKey key = 0; key < _RULE_KEY_MAX; key++) {
                if (a->values[key].n_words != b->values[key].n_words)
                        return false;
                for (size_t i = 0; i < a->values[key].n_words; i++)
                        if (!streq(a->values[key].words[i].text, b->values[key].words[i].text))
                                return false;
        }
        return true;
}
