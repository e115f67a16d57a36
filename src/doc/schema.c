/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doc/schema.h"

#include "base/text.h"

static const SchemaField *find_field(const Schema *schema, const char *key) {
        for (size_t i = 0; i < schema->n_fields; i++)
                /* most keys differ in their first letter */
                if (schema->fields[i].key[0] == key[0] && streq(schema->fields[i].key, key))
                        return &schema->fields[i];
        return NULL;
}

static int report_unknown_key(const Schema *schema, const Node *key, Diag *d) {
        bool value;
        Nearest n;

        diag_error(d, key->at, "'%s' is no key of %s", node_shown(d->arena, key), schema->what);
        nearest_init(&n, key->text);
        for (size_t i = 0; i < schema->n_fields; i++)
                if (!(schema->fields[i].flags & SCHEMA_ELSEWHERE))
                        nearest_consider(&n, schema->fields[i].key);
        if (n.best)
                diag_hint(d, "did you mean '%s'?", n.best);
        else if (node_is_boolean(key, &value))
                diag_hint(d, "YAML takes '%s' for a boolean", key->text);
        else if (schema->example)
                diag_hint(d, "%s is written %s", schema->what, schema->example);
        return -EBADMSG;
}

static int decode_entry(const Schema *schema,
                        const SchemaField *field,
                        const NodeEntry *entry,
                        void *context,
                        void *target,
                        Diag *d) {
        if (field->flags & SCHEMA_LATER) {
                diag_error(d, entry->key->at, "'%s' is not built yet", field->key);
                diag_hint(d, "a later release brings it; until then, take it out");
                return -EBADMSG;
        }
        if (field->flags & SCHEMA_ELSEWHERE) {
                diag_error(d, entry->key->at, "'%s' has no place in %s", field->key, schema->what);
                diag_hint(d, "%s", field->help);
                return -EBADMSG;
        }
        return field->decode(field, entry, context, (char *)target + field->offset, d);
}

/* `allow:ssh` is a word to YAML. */
static void hint_at_colon(const Schema *schema, const Node *n, Diag *d) {
        const char *colon = n->kind == NODE_SCALAR ? strchr(n->text, ':') : NULL;

        for (size_t i = 0; colon && i < schema->n_fields; i++) {
                const char *key = schema->fields[i].key;

                if (strlen(key) == (size_t)(colon - n->text) && startswith(n->text, key))
                        diag_hint(d, "a blank stands behind a key's colon: %s: %.60s", key,
                                  colon + 1);
        }
}

int schema_decode(const Schema *schema, const Node *n, void *context, void *target, Diag *d) {
        int result = 0, r;

        if (n->kind != NODE_MAPPING) {
                r = diag_error(d, n->at, "expected %s, found %s", schema->what,
                               node_is_empty(n) ? "nothing" : node_kind_to_string(n->kind));
                hint_at_colon(schema, n, d);
                if (schema->example)
                        diag_hint(d, "%s is written %s", schema->what, schema->example);
                return r;
        }
        for (size_t i = 0; i < n->n_entries; i++) {
                const NodeEntry *entry = &n->entries[i];
                const SchemaField *field = find_field(schema, entry->key->text);

                if (field)
                        r = decode_entry(schema, field, entry, context, target, d);
                else
                        r = report_unknown_key(schema, entry->key, d);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        for (size_t i = 0; i < schema->n_fields; i++) {
                const SchemaField *field = &schema->fields[i];

                if (!(field->flags & SCHEMA_REQUIRED) || node_find(n, field->key))
                        continue;
                result = diag_error(d, n->at, "%s needs '%s'", schema->what, field->key);
                diag_hint(d, "%s", field->help);
        }
        return result;
}

int schema_decode_entry(
        const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        *(const NodeEntry **)ret = entry;
        return 0;
}

int schema_decode_boolean(
        const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        int r = schema_expect(entry, NODE_SCALAR, "yes or no", d);

        if (r < 0)
                return r;
        if (!node_is_boolean(entry->value, ret))
                return diag_error(d, entry->value->at, "'%s' is yes or no, not '%s'", field->key,
                                  node_shown(d->arena, entry->value));
        return 0;
}

/* "heal or alert", "loose, strict or off" */
static const char *list_words(Arena *a, const char *const *words) {
        const char *text = words[0];

        for (size_t i = 1; words[i] && text; i++)
                text = arena_printf(a, "%s%s%s", text, words[i + 1] ? ", " : " or ", words[i]);
        return text ? text : "";
}

static void hint_at_word(const Node *n, const char *const *words, Diag *d) {
        bool value, other;
        Nearest nearest;

        nearest_init(&nearest, n->text);
        for (size_t i = 0; words[i]; i++)
                nearest_consider(&nearest, words[i]);
        if (nearest.best) {
                diag_hint(d, "did you mean '%s'?", nearest.best);
                return;
        }
        if (!node_is_boolean(n, &value))
                return;
        for (size_t i = 0; words[i]; i++) {
                const Node word = {.kind = NODE_SCALAR, .plain = true, .text = words[i]};

                if (node_is_boolean(&word, &other) && other == value)
                        diag_hint(d, "did you mean '%s'?", words[i]);
        }
        diag_hint(d, "YAML takes '%s' for a boolean", n->text);
}

int schema_find_word(
        const char *what, const Node *n, const char *const *words, unsigned int *ret, Diag *d) {
        for (unsigned int i = 0; words[i]; i++)
                if (streq(words[i], n->text)) {
                        *ret = i;
                        return 0;
                }
        diag_error(d, n->at, "%s %s, not '%s'", what, list_words(d->arena, words),
                   node_shown(d->arena, n));
        hint_at_word(n, words, d);
        return -EBADMSG;
}

int schema_decode_word(
        const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        int r = schema_expect(entry, NODE_SCALAR, list_words(d->arena, field->words), d);
        const char *what = arena_printf(d->arena, "'%s' is", field->key);

        if (r < 0)
                return r;
        return what ? schema_find_word(what, entry->value, field->words, ret, d) : -ENOMEM;
}

int schema_expect_value(const NodeEntry *entry, Diag *d) {
        if (!node_is_empty(entry->value))
                return 0;
        return diag_error(d, entry->key->at, "'%s' has no value", node_shown(d->arena, entry->key));
}

int schema_expect(const NodeEntry *entry, NodeKind kind, const char *expected, Diag *d) {
        int r = schema_expect_value(entry, d);

        if (r < 0 || entry->value->kind == kind)
                return r;
        return diag_error(d, entry->value->at, "'%s' is %s, not %s",
                          node_shown(d->arena, entry->key), expected,
                          node_kind_to_string(entry->value->kind));
}
