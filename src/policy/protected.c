/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

typedef struct ProtectedShape {
        const NodeEntry *services, *only_from;
} ProtectedShape;

// clang-format off
static const SchemaField protected_fields[] = {
        {"only-from", schema_decode_entry, offsetof(ProtectedShape, only_from), 0,
         "who may connect; absent: this host itself alone"},
        {"services", schema_decode_entry, offsetof(ProtectedShape, services), SCHEMA_REQUIRED,
         "name what is protected: 'services: [ollama, n8n]'"},
};

const Schema protected_schema = {
        "a claim of 'protected'", protected_fields, ARRAY_SIZE(protected_fields),
        "{ services: postgresql, only-from: lan }",
};
// clang-format on

static int decode_only_from(Loader *l, const NodeEntry *entry, ZoneExpression *ret) {
        int r = zone_expression_decode(l, entry, ret);

        if (entry->value->kind == NODE_SEQUENCE && entry->value->n_items == 0)
                diag_hint(l->d, "leave 'only-from' out to mean this host itself alone");
        if (r < 0 || ret->restricts)
                return r;
        diag_error(l->d, entry->value->at, "'only-from: anywhere' protects nothing");
        diag_hint(l->d, "leave 'only-from' out to mean this host itself alone");
        return -EBADMSG;
}

static int decode_claim(Loader *l, const Node *n, Protected *ret) {
        ProtectedShape shape = {0};
        int result = schema_decode(&protected_schema, n, l, &shape, l->d), r = 0;
        const char *place;

        if (n->kind != NODE_MAPPING || result == -ENOMEM)
                return result;
        *ret = (Protected){.at = n->n_entries > 0 ? n->entries[0].key->at : n->at};
        if (shape.services)
                r = service_expression_decode(l, shape.services, &ret->services);
        result = r < 0 ? r : result;
        if (shape.only_from && result != -ENOMEM) {
                r = decode_only_from(l, shape.only_from, &ret->only_from);
                result = r < 0 ? r : result;
        }
        if (result < 0)
                return result;
        place = place_describe(l->arena, ret->at);
        ret->text = place ? arena_printf(l->arena, "%s: protected %s", place, ret->services.text)
                          : NULL;
        return ret->text ? 0 : -ENOMEM;
}

int protected_decode(Loader *l, const PolicyFile *file) {
        const NodeEntry *entry = file->protected;
        Policy *p = l->policy;
        int result = 0, r;

        if (!entry)
                return 0;
        r = schema_expect(entry, NODE_SEQUENCE, "a list", l->d);
        if (r < 0) {
                diag_hint(l->d, "%s is written - %s", protected_schema.what,
                          protected_schema.example);
                return r;
        }
        for (size_t i = 0; i < entry->value->n_items; i++) {
                Protected claim;

                r = decode_claim(l, entry->value->items[i], &claim);
                if (r == 0 && !arena_append(l->arena, p->protected, p->n_protected, claim))
                        r = -ENOMEM;
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}
