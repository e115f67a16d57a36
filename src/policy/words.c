/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

#include <ctype.h>

const char *words_join(Arena *a, const Node *n) {
        size_t size = 1;
        char *text, *p;

        if (n->kind == NODE_SCALAR)
                return n->text;
        for (size_t i = 0; i < n->n_items; i++)
                if (n->items[i]->kind == NODE_SCALAR)
                        size += strlen(n->items[i]->text) + 2;
        text = p = arena_alloc(a, size);
        for (size_t i = 0; text && i < n->n_items; i++)
                if (n->items[i]->kind == NODE_SCALAR) {
                        if (p != text)
                                p = stpcpy(p, ", ");
                        p = stpcpy(p, n->items[i]->text);
                }
        return text;
}

static bool is_name(const char *s) {
        if (!isascii(*s) || !isalpha((unsigned char)*s))
                return false;
        for (; *s; s++)
                if (!isascii(*s) || (!isalnum((unsigned char)*s) && !strchr("-_.", *s)))
                        return false;
        return true;
}

int name_check(Loader *l, const Node *key, const char *what) {
        const char *name = key->text;
        size_t len = strlen(name);
        bool value;

        if (node_is_boolean(key, &value)) {
                diag_error(l->d, key->at, "YAML takes '%s' for a boolean, not for a %s's name",
                           name, what);
                diag_hint(l->d, "quote it: \"%s\"", name);
                return -EBADMSG;
        }
        if (len == 0)
                return diag_error(l->d, key->at, "a %s needs a name", what);
        if (len > POLICY_NAME_MAX)
                return diag_error(l->d, key->at, "a %s's name has at most %d characters", what,
                                  POLICY_NAME_MAX);
        if (!is_name(name)) {
                diag_error(l->d, key->at, "'%s' cannot name a %s", node_shown(l->arena, key), what);
                diag_hint(l->d, "a name is a letter, then letters, digits, '-', '_' or '.'");
                return -EBADMSG;
        }
        return 0;
}

const char *place_file(Span at) {
        const char *slash = strrchr(at.source->name, '/');

        return slash ? slash + 1 : at.source->name;
}

const char *place_describe(Arena *a, Span at) {
        return arena_printf(a, "%s:%u", place_file(at), at.line);
}
