/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

typedef struct ZoneShape {
        const NodeEntry *addresses, *interfaces;
} ZoneShape;

#define LATER(key, help)                                                                           \
        { key, NULL, 0, SCHEMA_LATER, help }

// clang-format off
static const SchemaField zone_fields[] = {
        {"addresses", schema_decode_entry, offsetof(ZoneShape, addresses), 0,
         "addresses, CIDRs, ranges A-B, or other zones' names"},
        LATER("connected", "interfaces whose own networks are meant, as they change"),
        LATER("except", "what is taken away"),
        LATER("file", "a list of addresses, one a line"),
        {"interfaces", schema_decode_entry, offsetof(ZoneShape, interfaces), 0,
         "interfaces behind which the addresses are; a final '*' is a wildcard"},
};
// clang-format on

static const Schema zone_schema = {
        "a zone",
        zone_fields,
        ARRAY_SIZE(zone_fields),
        "[10.0.0.0/8, \"fd00::/8\"], or { interfaces: [wg0] }",
};

static int count_ranges(Loader *l, Span at, const ZonePart *part) {
        for (Family f = 0; f < _FAMILY_MAX; f++)
                l->n_ranges += part->addresses[f].n_items;
        if (l->n_ranges > ZONE_RANGES_MAX)
                return diag_error(l->d, at, "the zones hold more than %d ranges together",
                                  ZONE_RANGES_MAX);
        return 0;
}

/* Adds a box to the zone, into one that has the same interfaces if there is one. */
static int add_part(Loader *l, Zone *z, const ZonePart *part, Span at) {
        int r = count_ranges(l, at, part);

        for (size_t i = 0; i < z->n_parts && r == 0; i++) {
                ZonePart *p = &z->parts[i];

                if (p->any_interface != part->any_interface ||
                    !range_set_equal(&p->interfaces, &part->interfaces))
                        continue;
                p->any_address |= part->any_address;
                for (Family f = 0; f < _FAMILY_MAX && r == 0; f++)
                        r = range_set_add_all(l->arena, &p->addresses[f], &part->addresses[f]);
                return r;
        }
        if (r == 0 && z->n_parts == ZONE_PARTS_MAX)
                return diag_error(l->d, at, "zone '%s' has more than %d combinations of interfaces",
                                  z->name, ZONE_PARTS_MAX);
        if (r == 0 && !arena_append(l->arena, z->parts, z->n_parts, *part))
                return -ENOMEM;
        return r;
}

/* The nested zone's boxes, as far as their interfaces are among the zone's own. */
static int add_nested(Loader *l, Zone *z, const Zone *nested, const ZonePart *own, Span at) {
        bool added = false;
        int r = 0;

        for (size_t i = 0; i < nested->n_parts && r == 0; i++) {
                ZonePart part = {.any_address = nested->parts[i].any_address};
                const ZonePart *inner = &nested->parts[i];

                if (own->any_interface) {
                        part.any_interface = inner->any_interface;
                        part.interfaces = inner->interfaces;
                } else if (inner->any_interface)
                        part.interfaces = own->interfaces;
                else
                        r = range_set_intersect(l->arena, &own->interfaces, &inner->interfaces,
                                                &part.interfaces);
                if (r < 0)
                        return r;
                if (!part.any_interface && part.interfaces.n_items == 0)
                        continue;
                /* copied: the parts of a zone grow */
                for (Family f = 0; f < _FAMILY_MAX && r == 0; f++)
                        r = range_set_add_all(l->arena, &part.addresses[f], &inner->addresses[f]);
                if (r == 0)
                        r = add_part(l, z, &part, at);
                added = true;
        }
        if (r == 0 && !added)
                return diag_error(l->d, at,
                                  "zone '%s' is behind other interfaces than zone '%s' itself",
                                  nested->name, z->name);
        return r;
}

static int
add_word(Loader *l, Definition *def, const Node *n, const ZonePart *own, ZonePart *part) {
        ZoneWord word;
        int r = zone_word_decode(l, n, &word);

        if (r < 0)
                return r;
        if (word.anywhere) {
                diag_error(l->d, n->at, "'anywhere' cannot be part of a zone");
                diag_hint(l->d, "leave 'addresses' out to mean any address");
                return -EBADMSG;
        }
        if (!word.definition)
                return range_set_add(l->arena, &part->addresses[word.family], word.range);
        r = definition_resolve(l, &l->zones, word.definition, n->at, zone_resolve);
        return r < 0 ? r : add_nested(l, def->zone, word.definition->zone, own, n->at);
}

static int add_addresses(Loader *l, Definition *def, const Node *n, const ZonePart *own) {
        ZonePart part = *own;
        int result = 0, r;

        if (n->kind != NODE_SEQUENCE)
                result = add_word(l, def, n, own, &part);
        for (size_t i = 0; i < n->n_items; i++) {
                r = add_word(l, def, n->items[i], own, &part);
                if (r < 0)
                        result = r;
                if (r == -ENOMEM)
                        return r;
        }
        if (result == 0 &&
            part.addresses[FAMILY_IPV4].n_items + part.addresses[FAMILY_IPV6].n_items)
                result = add_part(l, def->zone, &part, def->at);
        for (size_t i = 0; i < def->zone->n_parts; i++)
                for (Family f = 0; f < _FAMILY_MAX; f++)
                        range_set_normalise(&def->zone->parts[i].addresses[f]);
        return result;
}

static int decode_shape(Loader *l, const Definition *def, ZoneShape *ret) {
        const Node *n = def->value;
        bool empty = node_is_empty(n) || (n->kind == NODE_SEQUENCE && n->n_items == 0) ||
                     (n->kind == NODE_MAPPING && n->n_entries == 0);

        if (empty) {
                diag_error(l->d, def->at, "zone '%s' is empty", def->name);
                diag_hint(l->d, "a zone is written %s", zone_schema.example);
                return -EBADMSG;
        }
        if (n->kind == NODE_MAPPING)
                return schema_decode(&zone_schema, n, NULL, ret, l->d);
        return 0;
}

int zone_resolve(Loader *l, Definition *def) {
        ZonePart own = {.any_interface = true};
        const Node *addresses = def->value;
        ZoneShape shape = {0};
        int r = decode_shape(l, def, &shape), r2 = 0;

        if (r == -ENOMEM)
                return r;
        if (def->value->kind == NODE_MAPPING)
                addresses = shape.addresses ? shape.addresses->value : NULL;
        if (shape.interfaces) {
                own.any_interface = false;
                r2 = interface_set_decode(l, shape.interfaces, &own.interfaces);
        }
        if (r == 0)
                r = r2;
        if (shape.addresses && (node_is_empty(addresses) ||
                                (addresses->kind == NODE_SEQUENCE && addresses->n_items == 0)))
                return diag_error(l->d, shape.addresses->key->at, "'addresses' is empty");
        if (addresses && !node_is_empty(addresses))
                r2 = add_addresses(l, def, addresses, &own);
        else if (r == 0) {
                own.any_address = true;
                r2 = add_part(l, def->zone, &own, def->at);
        }
        return r < 0 ? r : r2;
}

int zone_resolve_all(Loader *l) {
        Policy *p = l->policy;

        p->zones = arena_alloc_array(l->arena, l->zones.n_items + 1, sizeof(*p->zones));
        if (!p->zones)
                return -ENOMEM;
        for (size_t i = 0; i < l->zones.n_items; i++) {
                Definition *def = l->zones.items[i];

                def->zone->name = def->name;
                def->zone->at = def->at;
                def->zone->from_catalogue = def->from_catalogue;
                p->zones[p->n_zones++] = def->zone;
        }
        return definition_resolve_all(l, &l->zones, zone_resolve);
}
