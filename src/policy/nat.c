/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

/* `nat`: { masquerade: ZONE, out: IFACE } and { forward: SERVICE, to: ADDRESS[:PORT], in: IFACE }.
 * It translates and opens nothing. */

#define MASQUERADE_EXAMPLE "{ masquerade: lan, out: wan0 }"
#define FORWARD_EXAMPLE "{ forward: https, to: 10.0.0.5, in: wan0 }"

typedef struct NatShape {
        const NodeEntry *forward, *in, *masquerade, *out, *to;
} NatShape;

// clang-format off
static const SchemaField nat_fields[] = {
        {"forward", schema_decode_entry, offsetof(NatShape, forward), 0,
         "the services whose connections are sent elsewhere"},
        {"in", schema_decode_entry, offsetof(NatShape, in), 0,
         "with 'forward': interfaces on which they arrive"},
        {"masquerade", schema_decode_entry, offsetof(NatShape, masquerade), 0,
         "the clients that go out under this host's address"},
        {"out", schema_decode_entry, offsetof(NatShape, out), 0,
         "with 'masquerade': interfaces on which they leave"},
        {"to", schema_decode_entry, offsetof(NatShape, to), 0,
         "with 'forward': the server's address, and its port if it is another one"},
        {"dnat", NULL, 0, SCHEMA_ELSEWHERE, "did you mean 'forward'?"},
        {"snat", NULL, 0, SCHEMA_ELSEWHERE, "did you mean 'masquerade'?"},
        {"from", NULL, 0, SCHEMA_ELSEWHERE,
         "who may connect is what a rule of 'inbound' says; 'nat' opens nothing"},
};

const Schema nat_schema = {
        "an item of 'nat'", nat_fields, ARRAY_SIZE(nat_fields),
        MASQUERADE_EXAMPLE " or " FORWARD_EXAMPLE,
};
// clang-format on

/* A key that belongs to the other kind. */
static int refuse(Loader *l, const NodeEntry *entry, const char *kind, const char *example) {
        if (!entry)
                return 0;
        diag_error(l->d, entry->key->at, "'%s' does not belong to '%s'", entry->key->text, kind);
        diag_hint(l->d, "it is written %s", example);
        return -EBADMSG;
}

static int
require(Loader *l, const NodeEntry *entry, const NodeEntry *of, const char *key, const char *why) {
        if (entry)
                return 0;
        diag_error(l->d, of->key->at, "'%s' lacks '%s'", of->key->text, key);
        diag_hint(l->d, "%s", why);
        return -EBADMSG;
}

static int decode_masquerade(Loader *l, const NatShape *shape, Masquerade *ret) {
        const char *place = place_describe(l->arena, ret->at);
        int r = refuse(l, shape->to, "masquerade", MASQUERADE_EXAMPLE);

        if (r == 0)
                r = refuse(l, shape->in, "masquerade", MASQUERADE_EXAMPLE);
        if (r == 0)
                r = require(l, shape->out, shape->masquerade, "out",
                            "say on which interface they leave: " MASQUERADE_EXAMPLE);
        if (r == 0)
                r = zone_expression_decode(l, shape->masquerade, &ret->from);
        if (r == 0)
                r = interface_set_decode(l, shape->out, &ret->out);
        if (r < 0)
                return r;
        if (!ret->from.restricts) {
                diag_error(l->d, shape->masquerade->value->at,
                           "everybody who leaves on that interface would be masqueraded");
                diag_hint(l->d, "name the zone of the clients: " MASQUERADE_EXAMPLE);
                return -EBADMSG;
        }
        ret->text = place ? arena_printf(l->arena, "%s: masquerade %s out %s", place,
                                         ret->from.text, words_join(l->arena, shape->out->value))
                          : NULL;
        return ret->text ? 0 : -ENOMEM;
}

static int report_target(Loader *l, const Node *n) {
        diag_error(l->d, n->at, "'%s' is not an address, nor ADDRESS:PORT",
                   node_shown(l->arena, n));
        diag_hint(l->d, "the server is written 10.0.0.5, 10.0.0.5:8443 or \"[fd00::5]:8443\"");
        return -EBADMSG;
}

/* Splits ADDRESS, ADDRESS:PORT, [ADDRESS] and [ADDRESS]:PORT; ret_port stays NULL without a port.
 */
static bool split_target(char *text, char **ret_address, char **ret_port) {
        char *colon = strchr(text, ':'), *end;

        *ret_port = NULL;
        *ret_address = text;
        if (text[0] == '[') {
                end = strchr(text, ']');
                if (!end || (end[1] != '\0' && end[1] != ':'))
                        return false;
                *ret_address = text + 1;
                *ret_port = end[1] == ':' ? end + 2 : NULL;
                *end = '\0';
        } else if (colon && colon == strrchr(text, ':')) {
                *colon = '\0';
                *ret_port = colon + 1;
        }
        return true;
}

/* Where nobody can be: the unspecified address, loopback, multicast and broadcast. */
static bool is_no_server(Family family, U128 a) {
        if (family == FAMILY_IPV4)
                return a.low >> 24 == 0 || a.low >> 24 == 127 || a.low >> 28 >= 0xe;
        return (a.high == 0 && a.low <= 1) || a.high >> 56 == 0xff;
}

static int decode_target(Loader *l, const NodeEntry *entry, Forward *ret) {
        int r = schema_expect(entry, NODE_SCALAR, "an address", l->d);
        const Node *n = entry->value;
        char *text = r == 0 ? arena_strdup(l->arena, n->text) : NULL, *address, *port;
        Range range;

        if (r < 0 || !text)
                return r < 0 ? r : -ENOMEM;
        if (!split_target(text, &address, &port) ||
            address_parse(address, &ret->family, &ret->address) != ADDRESS_OK)
                return report_target(l, n);
        if (is_no_server(ret->family, ret->address))
                return diag_error(l->d, n->at, "no server can be at '%s'", address);
        if (!port)
                return 0;
        r = port_range_decode(l, n, port, &range);
        if (r < 0)
                return r;
        if (!range_is_single(range))
                return report_target(l, n);
        ret->port = (uint16_t)range.low.low;
        return 0;
}

static int check_services(Loader *l, const NodeEntry *entry, const Forward *f) {
        const ServiceSet *s = &f->services.set;
        U128 ports = {0};

        if (s->any || s->icmp.n_items + s->icmpv6.n_items + s->protocols.n_items > 0) {
                diag_error(l->d, entry->value->at, "only ports can be forwarded, not '%s'",
                           f->services.text);
                diag_hint(l->d, "name services of TCP, UDP or SCTP: " FORWARD_EXAMPLE);
                return -EBADMSG;
        }
        for (const RangeSet *set = &s->tcp; set <= &s->sctp; set++)
                for (size_t i = 0; i < set->n_items; i++)
                        ports.low = MAX(ports.low, set->items[i].high.low - set->items[i].low.low +
                                                           1 + (set->n_items > 1));
        if (f->port == 0 || ports.low == 1)
                return 0;
        diag_error(l->d, entry->value->at, "several ports cannot all end at port %u", f->port);
        diag_hint(l->d, "leave the port out of 'to' to keep the one that was dialled, or make an "
                        "item of each");
        return -EBADMSG;
}

static int decode_forward(Loader *l, const NatShape *shape, Forward *ret) {
        const char *place = place_describe(l->arena, ret->at);
        int r = refuse(l, shape->out, "forward", FORWARD_EXAMPLE);

        if (r == 0)
                r = require(l, shape->to, shape->forward, "to",
                            "say to which server: " FORWARD_EXAMPLE);
        if (r == 0)
                r = service_expression_decode(l, shape->forward, &ret->services);
        if (r == 0)
                r = decode_target(l, shape->to, ret);
        if (r == 0)
                r = check_services(l, shape->forward, ret);
        if (r == 0 && shape->in)
                r = interface_set_decode(l, shape->in, &ret->in);
        if (r < 0)
                return r;
        ret->text = place ? arena_printf(l->arena, "%s: forward %s to %s", place,
                                         ret->services.text, shape->to->value->text)
                          : NULL;
        return ret->text ? 0 : -ENOMEM;
}

static bool interfaces_meet(Loader *l, const RangeSet *x, const RangeSet *y) {
        RangeSet both = {0};

        if (x->n_items == 0 || y->n_items == 0)
                return true;
        return range_set_intersect(l->arena, x, y, &both) < 0 || both.n_items > 0;
}

/* There is no order: what two items send to different servers could go to either. */
static int check_unique(Loader *l, const Forward *f) {
        for (size_t i = 0; i < l->policy->n_forwards; i++) {
                const Forward *other = &l->policy->forwards[i];
                ServiceSet both = {0};

                if (f->family != other->family || !interfaces_meet(l, &f->in, &other->in))
                        continue;
                if (service_set_intersect(l->arena, &f->services.set, &other->services.set, &both) <
                    0)
                        return -ENOMEM;
                if (service_set_is_empty(&both))
                        continue;
                diag_error(l->d, f->services.at, "'%s' is forwarded by two items",
                           f->services.text);
                diag_note(l->d, other->at, "this one takes some of it, too: only one may");
                return -EBADMSG;
        }
        return 0;
}

static int decode_item(Loader *l, const Node *n) {
        NatShape shape = {0};
        Policy *p = l->policy;
        int r = schema_decode(&nat_schema, n, l, &shape, l->d);
        Span at = n->kind == NODE_MAPPING && n->n_entries > 0 ? n->entries[0].key->at : n->at;
        Masquerade m = {.at = at};
        Forward f = {.at = at};

        if (r < 0)
                return r;
        if (!shape.masquerade == !shape.forward) {
                diag_error(l->d, at,
                           shape.forward ? "an item of 'nat' either masquerades or forwards"
                                         : "this neither masquerades nor forwards anything");
                diag_hint(l->d, "it is written %s", nat_schema.example);
                return -EBADMSG;
        }
        if (shape.masquerade) {
                r = decode_masquerade(l, &shape, &m);
                if (r == 0 && !arena_append(l->arena, p->masquerades, p->n_masquerades, m))
                        r = -ENOMEM;
                return r;
        }
        r = decode_forward(l, &shape, &f);
        if (r == 0)
                r = check_unique(l, &f);
        if (r == 0 && !arena_append(l->arena, p->forwards, p->n_forwards, f))
                r = -ENOMEM;
        return r;
}

int nat_decode(Loader *l, const PolicyFile *file) {
        const NodeEntry *entry = file->nat;
        int result = 0, r;

        if (!entry)
                return 0;
        r = schema_expect(entry, NODE_SEQUENCE, "a list", l->d);
        if (r < 0) {
                diag_hint(l->d, "an item is written - %s", nat_schema.example);
                return r;
        }
        for (size_t i = 0; i < entry->value->n_items; i++) {
                r = decode_item(l, entry->value->items[i]);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        result = r;
        }
        return result;
}

/* Translation opens nothing: a forward whose dialled port no rule allows sends nobody anywhere. */
static int check_allowed(Loader *l, const Forward *f) {
        const Section *inbound = &l->policy->sections[SECTION_INBOUND];

        for (size_t i = 0; i < inbound->n_rules; i++) {
                const PolicyRule *rule = &inbound->rules[i];
                ServiceSet both = {0};

                if (rule->verb != RULE_ALLOW || !interfaces_meet(l, &f->in, &rule->in))
                        continue;
                if (service_set_intersect(l->arena, &f->services.set, &rule->services.set, &both) <
                    0)
                        return -ENOMEM;
                if (!service_set_is_empty(&both))
                        return 0;
        }
        diag_warning(l->d, f->at, "nothing in 'inbound' allows '%s': this forwards nobody",
                     f->services.text);
        diag_hint(l->d,
                  "what the client dialled has to be allowed there: { allow: %s, from: ZONE }",
                  f->services.text);
        return 0;
}

int nat_check(Loader *l) {
        int r = 0;

        if (l->d->n_errors > 0) /* a rule that could not be read may be the one */
                return 0;
        for (size_t i = 0; i < l->policy->n_forwards && r == 0; i++)
                r = check_allowed(l, &l->policy->forwards[i]);
        return r;
}
