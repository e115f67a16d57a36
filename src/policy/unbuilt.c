/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

/* What is read and checked, but not compiled yet. A policy that says it is refused: what is not in
 * force must not look as if it were. Whoever compiles one of them takes its row away, and whoever
 * compiles the last takes the file away. */

// clang-format off
static const char *const rule_keys[] = {"connections", "group", "limit", "log", "until", "user", NULL};
static const char *const section_keys[] = {"log", NULL};
static const char *const zone_keys[] = {"connected", NULL};
// clang-format on

static void check_mapping(Loader *l, const Node *n, const char *const *keys) {
        for (size_t i = 0; keys[i]; i++) {
                const NodeEntry *entry = node_find(n, keys[i]);

                if (!entry)
                        continue;
                diag_error(l->d, entry->key->at, "'%s' is not built yet", keys[i]);
                diag_hint(l->d, "a later release brings it; until then, take it out");
        }
}

static void check_section(Loader *l, const NodeEntry *entry) {
        const NodeEntry *rules = node_find(entry->value, "rules");
        const Node *list = rules ? rules->value : entry->value;

        check_mapping(l, entry->value, section_keys);
        for (size_t i = 0; i < list->n_items; i++)
                check_mapping(l, list->items[i], rule_keys);
}

static void check_counters(Loader *l, const NodeEntry *entry) {
        if (!entry || entry->value->kind != NODE_SCALAR || !streq(entry->value->text, "each"))
                return;
        diag_error(l->d, entry->value->at, "'counters: each' is not built yet");
        diag_hint(l->d, "a later release brings it; until then: counters: rules");
}

void unbuilt_check(Loader *l) {
        for (size_t i = 0; i < l->n_files; i++) {
                const PolicyFile *file = l->files[i];

                for (SectionId id = 0; id < _SECTION_MAX; id++)
                        if (file->sections[id])
                                check_section(l, file->sections[id]);
                for (size_t j = 0; file->zones && j < file->zones->value->n_entries; j++)
                        check_mapping(l, file->zones->value->entries[j].value, zone_keys);
                if (file->settings)
                        check_counters(l, node_find(file->settings->value, "counters"));
        }
}
