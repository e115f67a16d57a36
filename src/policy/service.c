/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

typedef struct ServiceShape {
        ServiceSet set;
        bool internal;
} ServiceShape;

static int
decode_ports(const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d);
static int
decode_types(const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d);
static int decode_protocols(
        const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d);

// clang-format off
static const SchemaField service_fields[] = {
        {"icmp", decode_types, offsetof(ServiceShape, set.icmp), 0,
         "types of ICMP, by name or number"},
        {"icmpv6", decode_types, offsetof(ServiceShape, set.icmpv6), 0,
         "types of ICMPv6, by name or number"},
        {"internal", schema_decode_boolean, offsetof(ServiceShape, internal), 0,
         "yes: never belongs on the internet"},
        {"protocols", decode_protocols, offsetof(ServiceShape, set.protocols), 0,
         "IP protocols without ports, by name or number"},
        {"sctp", decode_ports, offsetof(ServiceShape, set.sctp), 0,
         "a port, LOW-HIGH, or a list of these"},
        {"tcp", decode_ports, offsetof(ServiceShape, set.tcp), 0,
         "a port, LOW-HIGH, or a list of these"},
        {"udp", decode_ports, offsetof(ServiceShape, set.udp), 0,
         "a port, LOW-HIGH, or a list of these"},
};
// clang-format on

const Schema service_schema = {
        "a service",
        service_fields,
        ARRAY_SIZE(service_fields),
        "{ tcp: 443, udp: [53, 8000-8010] }, or as a list of services",
};

/* One item of a field's value, or the value itself. */
typedef int (*ItemDecoder)(Loader *l, const SchemaField *field, const Node *n, RangeSet *ret);

static int decode_items(const SchemaField *field,
                        const NodeEntry *entry,
                        Loader *l,
                        ItemDecoder decode,
                        RangeSet *ret) {
        const Node *n = entry->value, *const *items = n->items;
        size_t n_items = n->kind == NODE_SEQUENCE ? n->n_items : 1;
        int result = schema_expect_value(entry, l->d), r;

        if (result < 0)
                return result;
        if (n->kind != NODE_SEQUENCE)
                items = &n;
        if (n_items == 0)
                return diag_error(l->d, n->at, "'%s' is an empty list", field->key);
        for (size_t i = 0; i < n_items; i++) {
                if (items[i]->kind != NODE_SCALAR)
                        r = diag_error(l->d, items[i]->at, "'%s' is %s, not %s", field->key,
                                       field->help, node_kind_to_string(items[i]->kind));
                else
                        r = decode(l, field, items[i], ret);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        range_set_normalise(ret);
        return result;
}

static int add_port(Loader *l, const SchemaField *field, const Node *n, RangeSet *ret) {
        Range range;
        int r = port_range_decode(l, n, n->text, &range);

        return r < 0 ? r : range_set_add(l->arena, ret, range);
}

static int add_type(Loader *l, const SchemaField *field, const Node *n, RangeSet *ret) {
        Family family = streq(field->key, "icmp") ? FAMILY_IPV4 : FAMILY_IPV6;
        Range range;
        int r = icmp_range_decode(l, family, n, n->text, &range);

        return r < 0 ? r : range_set_add(l->arena, ret, range);
}

static int add_protocol(Loader *l, const SchemaField *field, const Node *n, RangeSet *ret) {
        uint8_t protocol;
        int r = protocol_decode(l, n, &protocol);

        return r < 0 ? r : range_set_add(l->arena, ret, range_single(u128(protocol)));
}

static int
decode_ports(const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        return decode_items(field, entry, context, add_port, ret);
}

static int
decode_types(const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        return decode_items(field, entry, context, add_type, ret);
}

static int decode_protocols(
        const SchemaField *field, const NodeEntry *entry, void *context, void *ret, Diag *d) {
        return decode_items(field, entry, context, add_protocol, ret);
}

static int resolve_group(Loader *l, Definition *def) {
        const Node *n = def->value, *const *items = n->items;
        size_t n_items = n->kind == NODE_SEQUENCE ? n->n_items : 1;
        int result = 0, r;

        if (n->kind != NODE_SEQUENCE)
                items = &n;
        for (size_t i = 0; i < n_items; i++) {
                ServiceTerm term;

                r = service_term_decode(l, items[i], &term);
                if (r == 0)
                        r = service_set_add_all(l->arena, &def->service->set, &term.set);
                if (r == 0 && term.service)
                        def->service->internal |= term.service->internal;
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

/* `ssh: 22` says too little. */
static int report_number(Loader *l, const Definition *def) {
        diag_error(l->d, def->value->at, "service '%s' does not say its protocol", def->name);
        diag_hint(l->d, "%s: { tcp: %s }", def->name, node_shown(l->arena, def->value));
        return -EBADMSG;
}

int service_resolve(Loader *l, Definition *def) {
        const Node *n = def->value;
        ServiceShape shape = {0};
        int r;

        if (n->kind == NODE_SCALAR && strspn(n->text, "0123456789-") == strlen(n->text) &&
            !node_is_empty(n))
                return report_number(l, def);
        if (n->kind == NODE_MAPPING) {
                r = schema_decode(&service_schema, n, l, &shape, l->d);
                def->service->set = shape.set;
                def->service->internal = shape.internal;
        } else
                r = node_is_empty(n) ? 0 : resolve_group(l, def);
        if (r < 0)
                return r;
        if (service_set_is_empty(&def->service->set)) {
                diag_error(l->d, def->at, "service '%s' is empty", def->name);
                diag_hint(l->d, "a service is written %s", service_schema.example);
                return -EBADMSG;
        }
        service_set_normalise(&def->service->set);
        return 0;
}

int service_resolve_all(Loader *l) {
        Policy *p = l->policy;

        p->services = arena_alloc_array(l->arena, l->services.n_items + 1, sizeof(*p->services));
        if (!p->services)
                return -ENOMEM;
        for (size_t i = 0; i < l->services.n_items; i++) {
                Definition *def = l->services.items[i];

                def->service->name = def->name;
                def->service->at = def->at;
                def->service->from_catalogue = def->from_catalogue;
                p->services[p->n_services++] = def->service;
        }
        return definition_resolve_all(l, &l->services, service_resolve);
}
