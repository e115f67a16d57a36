/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

typedef struct ZoneShape {
        const NodeEntry *addresses, *connected, *except, *file, *interfaces;
} ZoneShape;

// clang-format off
static const SchemaField zone_fields[] = {
        {"addresses", schema_decode_entry, offsetof(ZoneShape, addresses), 0,
         "addresses, CIDRs, ranges A-B, or other zones' names"},
        {"connected", schema_decode_entry, offsetof(ZoneShape, connected), 0,
         "interfaces whose own networks are meant, as they change"},
        {"except", schema_decode_entry, offsetof(ZoneShape, except), 0, "what is taken away"},
        {"file", schema_decode_entry, offsetof(ZoneShape, file), 0,
         "a list of addresses, one a line"},
        {"interfaces", schema_decode_entry, offsetof(ZoneShape, interfaces), 0,
         "interfaces behind which the addresses are; a final '*' is a wildcard"},
};
// clang-format on

const Schema zone_schema = {
        "a zone",
        zone_fields,
        ARRAY_SIZE(zone_fields),
        "[10.0.0.0/8, \"fd00::/8\"], or { interfaces: [wg0] }",
};

/* The nested zone's boxes, as far as their interfaces are among the zone's own. */
static int add_nested(Loader *l, Zone *z, const Zone *nested, const ZonePart *own, Span at) {
        bool added = false;
        int r = 0;

        for (size_t i = 0; i < nested->n_parts && r == 0; i++) {
                const ZonePart *inner = &nested->parts[i];
                ZonePart part = {
                        .any_address = inner->any_address,
                        .connected = inner->connected,
                        .without = {inner->without[FAMILY_IPV4], inner->without[FAMILY_IPV6]},
                        .listed = inner->listed,
                };

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
                        if (range_set_add_all(l->arena, &part.addresses[f], &inner->addresses[f]) <
                                    0 ||
                            range_set_add_all(l->arena, &part.certain[f], &inner->certain[f]) < 0 ||
                            range_set_add_all(l->arena, &part.possible[f], &inner->possible[f]) < 0)
                                r = -ENOMEM;
                if (r == 0)
                        r = zone_part_add(l, z, &part, at);
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

/* What is written out goes to *part, the boxes of other zones to the zone. */
static int
add_addresses(Loader *l, Definition *def, const Node *n, const ZonePart *own, ZonePart *part) {
        int result = 0, r;

        if (n->kind != NODE_SEQUENCE)
                result = add_word(l, def, n, own, part);
        for (size_t i = 0; i < n->n_items; i++) {
                r = add_word(l, def, n->items[i], own, part);
                if (r < 0)
                        result = r;
                if (r == -ENOMEM)
                        return r;
        }
        return result;
}

static bool has_addresses(const ZonePart *part) {
        return part->any_address || part->connected.n_items > 0 ||
               part->addresses[FAMILY_IPV4].n_items + part->addresses[FAMILY_IPV6].n_items > 0;
}

static void keep(int *result, int r) {
        if (*result == 0 || r == -ENOMEM)
                *result = r;
}

static int report_empty(Loader *l, const NodeEntry *entry) {
        return diag_error(l->d, entry->key->at, "'%s' is empty", entry->key->text);
}

static int add_list(Loader *l, Definition *def, const NodeEntry *entry, ZonePart *part) {
        static const Range all[_FAMILY_MAX] = {
                [FAMILY_IPV4] = {.high = {.low = UINT32_MAX}},
                [FAMILY_IPV6] = {.high = {UINT64_MAX, UINT64_MAX}},
        };

        if (zone_part_set_listed(l->arena, part) < 0)
                return -ENOMEM;
        for (Family f = 0; f < _FAMILY_MAX; f++)
                if (range_set_add(l->arena, &part->possible[f], all[f]) < 0)
                        return -ENOMEM;
        return zone_file_read(l, def, entry, part);
}

/* Whatever the zone's keys but `except` say. */
static int add_sources(Loader *l, Definition *def, const ZoneShape *shape, const Node *addresses) {
        Zone *z = def->zone;
        ZonePart own = {.any_interface = true}, part;
        int r = 0;

        if (shape->interfaces) {
                own.any_interface = false;
                keep(&r, interface_set_decode(l, shape->interfaces, &own.interfaces));
        }
        part = own;
        if (shape->addresses && (node_is_empty(addresses) ||
                                 (addresses->kind == NODE_SEQUENCE && addresses->n_items == 0)))
                keep(&r, report_empty(l, shape->addresses));
        else if (addresses)
                keep(&r, add_addresses(l, def, addresses, &own, &part));
        if (shape->connected)
                keep(&r, interface_set_decode(l, shape->connected, &part.connected));
        if (shape->file)
                keep(&r, add_list(l, def, shape->file, &part));
        part.any_address = !addresses && !shape->connected && !shape->file;
        if (r < 0)
                return r;
        if (shape->file && !has_addresses(&part) && z->n_parts == 0)
                diag_warning(l->d, shape->file->value->at, "this file holds no address");
        if (has_addresses(&part) || part.listed || z->n_parts == 0)
                r = zone_part_add(l, z, &part, def->at);
        zone_part_normalise_all(z);
        return r;
}

static int take_zone(Loader *l, Definition *def, const Zone *taken, Span at) {
        int r = 0;

        for (size_t i = 0; i < taken->n_parts; i++)
                if (taken->parts[i].connected.n_items > 0) {
                        diag_error(l->d, at,
                                   "zone '%s' follows networks as they change, and cannot be "
                                   "taken away from a zone",
                                   taken->name);
                        diag_hint(l->d, "use 'except' in the rules");
                        return -EBADMSG;
                }
        for (size_t i = 0; i < taken->n_parts && r == 0; i++)
                r = zone_part_subtract(l, def->zone, &taken->parts[i], at);
        return r;
}

static int take_word(Loader *l, Definition *def, const Node *n) {
        ZonePart part = {.any_interface = true};
        ZoneWord word;
        int r = zone_word_decode(l, n, &word);

        if (r < 0)
                return r;
        if (word.anywhere)
                return diag_error(l->d, n->at, "'except: anywhere' leaves nothing of the zone");
        if (word.definition) {
                r = definition_resolve(l, &l->zones, word.definition, n->at, zone_resolve);
                return r < 0 ? r : take_zone(l, def, word.definition->zone, n->at);
        }
        part.addresses[word.family] = (RangeSet){&word.range, 1};
        return zone_part_subtract(l, def->zone, &part, n->at);
}

static int take_away(Loader *l, Definition *def, const NodeEntry *entry) {
        const Node *n = entry->value;
        int result = schema_expect_value(entry, l->d), r;
        Zone *z = def->zone;

        if (result < 0)
                return result;
        if (n->kind != NODE_SEQUENCE)
                result = take_word(l, def, n);
        else if (n->n_items == 0)
                return report_empty(l, entry);
        for (size_t i = 0; i < n->n_items; i++) {
                r = take_word(l, def, n->items[i]);
                keep(&result, r);
                if (r == -ENOMEM)
                        return r;
        }
        if (result == 0 && z->n_parts == 0)
                return diag_error(l->d, n->at, "'except' leaves nothing of zone '%s'", def->name);
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
        const Node *addresses = def->value;
        ZoneShape shape = {0};
        int r = decode_shape(l, def, &shape);

        if (r == -ENOMEM || (r < 0 && def->value->kind != NODE_MAPPING))
                return r;
        if (def->value->kind == NODE_MAPPING)
                addresses = shape.addresses ? shape.addresses->value : NULL;
        keep(&r, add_sources(l, def, &shape, addresses));
        if (shape.except && r != -ENOMEM)
                keep(&r, take_away(l, def, shape.except));
        return r;
}

/* Adds the networks that are on link at the interfaces that the part is connected to. */
static int connect(Loader *l, ZonePart *part) {
        for (Family f = 0; f < _FAMILY_MAX; f++) {
                RangeSet on_link = {0}, rest = {0};

                for (size_t i = 0; i < l->n_networks; i++) {
                        const HostNetwork *n = &l->networks[i];

                        if (n->family == f && range_set_contains(&part->connected, n->interface) &&
                            range_set_add(l->arena, &on_link, n->range) < 0)
                                return -ENOMEM;
                }
                range_set_normalise(&on_link);
                part->fixed[f] = part->addresses[f];
                part->addresses[f] = (RangeSet){0};
                if (range_set_subtract(l->arena, &on_link, &part->without[f], &rest) < 0 ||
                    range_set_add_all(l->arena, &part->addresses[f], &part->fixed[f]) < 0 ||
                    range_set_add_all(l->arena, &part->addresses[f], &rest) < 0)
                        return -ENOMEM;
                range_set_normalise(&part->addresses[f]);
        }
        return 0;
}

/* Asks once, for the first zone that wants to know. */
static int ask_networks(Loader *l, const Zone *z) {
        HostNetwork *list;
        int r;

        if (l->networks || !l->paths || !l->paths->networks)
                return 0;
        r = l->paths->networks(l->arena, &list, &l->n_networks);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return diag_error(l->d, z->at,
                                  "this host's networks cannot be read, to which zone '%s' is "
                                  "connected: %s",
                                  z->name, strerror(-r));
        l->networks = list;
        return 0;
}

static bool has_network(const Loader *l, const Zone *z) {
        for (size_t i = 0; i < l->n_networks; i++)
                for (size_t j = 0; j < z->n_parts; j++)
                        if (range_set_contains(&z->parts[j].connected, l->networks[i].interface))
                                return true;
        return false;
}

int zone_connect_all(Loader *l) {
        for (size_t i = 0; i < l->policy->n_zones; i++) {
                Zone *z = l->policy->zones[i];
                bool connected = false;

                for (size_t j = 0; j < z->n_parts; j++) {
                        int r = 0;

                        if (z->parts[j].connected.n_items == 0)
                                continue;
                        connected = true;
                        r = ask_networks(l, z);
                        if (r == 0)
                                r = connect(l, &z->parts[j]);
                        if (r == -ENOMEM)
                                return r;
                }
                if (connected && l->paths && l->paths->networks && l->d->n_errors == 0 &&
                    !has_network(l, z))
                        diag_remark(l->d, z->at,
                                    "zone '%s' is connected to an interface that has no network "
                                    "here and now",
                                    z->name);
        }
        return 0;
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
