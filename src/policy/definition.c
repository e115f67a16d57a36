/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

/* Words of the language, which no definition may hide. */
static const char *const reserved[] = {"any", "anywhere", "host"};

static int check_name(Loader *l, const Definitions *defs, const Node *key) {
        uint8_t protocol;
        int r = name_check(l, key, defs->what);

        if (r < 0)
                return r;
        for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
                if (streq(key->text, reserved[i]))
                        return diag_error(l->d, key->at, "'%s' is a word of the language, no name",
                                          key->text);
        if (defs == &l->services && protocol_from_string(key->text, &protocol))
                return diag_error(l->d, key->at, "'%s' is the name of an IP protocol already",
                                  key->text);
        return 0;
}

static Definition *definition_new(Loader *l, Definitions *defs, const NodeEntry *entry) {
        Definition *def = arena_new0(l->arena, Definition);

        if (!def)
                return NULL;
        def->name = entry->key->text;
        def->at = entry->key->at;
        def->value = entry->value;
        if (defs == &l->zones)
                def->zone = arena_new0(l->arena, Zone);
        else
                def->service = arena_new0(l->arena, Service);
        return def->zone || def->service ? def : NULL;
}

int definition_collect(Loader *l,
                       Definitions *defs,
                       const PolicyFile *file,
                       const NodeEntry *entry) {
        int r = schema_expect(entry, NODE_MAPPING, "a mapping of names", l->d);

        if (r < 0)
                return r;
        for (size_t i = 0; i < entry->value->n_entries; i++) {
                const NodeEntry *e = &entry->value->entries[i];
                Definition *def;

                if (check_name(l, defs, e->key) < 0)
                        continue;
                def = definition_new(l, defs, e);
                if (!def)
                        return -ENOMEM;
                def->file = file;
                def->from_catalogue = file->is_catalogue;
                def->number = defs->n_items;
                if (!arena_append(l->arena, defs->items, defs->n_items, def))
                        return -ENOMEM;
        }
        return 0;
}

/* Of two with one name, the policy's comes first, and what was read first. */
static int compare(const void *a, const void *b) {
        const Definition *x = *(const Definition *const *)a, *y = *(const Definition *const *)b;
        int r = strcmp(x->name, y->name);

        if (r != 0 || x->from_catalogue != y->from_catalogue)
                return r != 0 ? r : x->from_catalogue - y->from_catalogue;
        return x->number < y->number ? -1 : x->number > y->number;
}

/* Only what the catalogue defines may be defined again. */
static void report_second(Loader *l, const Definition *first, const Definition *def) {
        if (first->from_catalogue != def->from_catalogue)
                return;
        diag_error(l->d, def->at, "%s '%s' is defined by another file already",
                   def->zone ? "zone" : "service", def->name);
        diag_note(l->d, first->at, "first defined here");
}

int definition_index(Loader *l, Definitions *defs) {
        size_t n_read = defs->n_items, n = 0;

        defs->order = arena_alloc_array(l->arena, n_read + 1, sizeof(*defs->order));
        if (!defs->order)
                return -ENOMEM;
        if (n_read == 0)
                return 0;
        memcpy(defs->order, defs->items, n_read * sizeof(*defs->order));
        qsort(defs->items, n_read, sizeof(defs->items[0]), compare);
        for (size_t i = 0; i < n_read; i++)
                if (n == 0 || !streq(defs->items[i]->name, defs->items[n - 1]->name))
                        defs->items[n++] = defs->items[i];
                else
                        report_second(l, defs->items[n - 1], defs->items[i]);
        defs->n_items = n;
        for (size_t i = 0, kept = 0; i < n_read; i++)
                if (definition_find(defs, defs->order[i]->name) == defs->order[i])
                        defs->order[kept++] = defs->order[i];
        return 0;
}

Definition *definition_find(const Definitions *defs, const char *name) {
        size_t low = 0, high = defs->n_items;

        if (*name >= '0' && *name <= '9')
                return NULL; /* an address or a port: names begin with a letter */
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int r = strcmp(name, defs->items[middle]->name);

                if (r == 0)
                        return defs->items[middle];
                if (r < 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        return NULL;
}

static int report_cycle(Loader *l, const Definitions *defs, const Definition *def, Span use) {
        const char *path = NULL;
        size_t i = 0;

        while (i < defs->n_path && defs->path[i] != def)
                i++;
        if (i + 1 == defs->n_path)
                return diag_error(l->d, use, "%s '%s' contains itself", defs->what, def->name);
        for (; i < defs->n_path; i++)
                path = arena_printf(l->arena, "%s%s -> ", path ? path : "", defs->path[i]->name);
        return diag_error(l->d, use, "%s '%s' contains itself: %s%s", defs->what, def->name,
                          path ? path : "", def->name);
}

static int too_deep(Loader *l, const Definitions *defs, Span use) {
        return diag_error(l->d, use, "%ss are nested more than %d levels deep here", defs->what,
                          DEFINITION_DEPTH_MAX);
}

int definition_resolve(Loader *l,
                       Definitions *defs,
                       Definition *def,
                       Span use,
                       int (*resolve)(Loader *l, Definition *def)) {
        int r = 0;

        if (def->state == DEFINITION_OPEN)
                return report_cycle(l, defs, def, use);
        if (def->state == DEFINITION_WAITING) {
                if (defs->n_path == DEFINITION_DEPTH_MAX)
                        return too_deep(l, defs, use);
                defs->path[defs->n_path++] = def;
                def->state = DEFINITION_OPEN;
                def->height = 1;
                r = resolve(l, def);
                def->state = DEFINITION_DONE;
                def->broken = r < 0;
                defs->n_path--;
                if (r == -ENOMEM)
                        return r;
        }
        if (defs->n_path > 0) {
                Definition *parent = defs->path[defs->n_path - 1];

                parent->height = MAX(parent->height, def->height + 1);
                if (parent->height > DEFINITION_DEPTH_MAX)
                        return too_deep(l, defs, use);
        }
        return def->broken ? -EBADMSG : 0;
}

int definition_resolve_all(Loader *l,
                           Definitions *defs,
                           int (*resolve)(Loader *l, Definition *def)) {
        for (size_t i = 0; i < defs->n_items; i++)
                if (definition_resolve(l, defs, defs->order[i], defs->order[i]->at, resolve) ==
                    -ENOMEM)
                        return -ENOMEM;
        return 0;
}

void definition_suggest(const Loader *l,
                        const Definitions *defs,
                        const char *word,
                        const char *const *words,
                        size_t n_words) {
        Nearest n;

        if (l->d->n_errors > DIAG_ERRORS_MAX) /* nobody would see it */
                return;
        nearest_init(&n, word);
        for (size_t i = 0; i < n_words; i++)
                nearest_consider(&n, words[i]);
        for (size_t i = 0; i < defs->n_items; i++)
                nearest_consider(&n, defs->items[i]->name);
        if (n.best)
                diag_hint(l->d, "did you mean '%s'?", n.best);
}
