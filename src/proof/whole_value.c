/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>
#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "proof/whole_state.h"

/* Registers whose bytes are known, or bytes of what differs from packet to packet; and the packets
 * for which bytes lie between others. */

#define NO_VARIABLE UINT_MAX
#define ENUMERATED_BITS 10 /* don't-care bits above others that are written out */
#define CT_NEW 8U          /* NF_CT_STATE_BIT */
#define CT_INVALID 1U
#define CT_UNTRACKED 64U

static U128 all_ones(unsigned int width) {
        return u128_low_mask(MIN(width, 16U) * 8);
}

static int add_value(Whole *x, const Value *v) {
        for (size_t i = 0; i < x->n_values && !v->ranges; i++)
                if (!x->values[i].ranges && x->values[i].variable == v->variable)
                        return (int)i;
        if (x->n_values > UINT16_MAX || !arena_append(x->arena, x->values, x->n_values, *v)) {
                (void)whole_fail(x, -ENOMEM);
                return 0;
        }
        return (int)x->n_values - 1;
}

/* The variable of an expression that nobody understands; the same for the same key. */
static unsigned int find_variable(Whole *x, const Key *key, unsigned int width, const char *name) {
        for (unsigned int i = _WHOLE_VARIABLE_MAX; i < x->n_variables; i++) {
                const Key *k = &x->variables[i].key;

                if (k->kind == key->kind && k->a == key->a && k->b == key->b && k->c == key->c &&
                    k->d == key->d && k->pointer == key->pointer)
                        return i;
        }
        if (x->n_variables == DIAGRAM_VARIABLES_MAX)
                return NO_VARIABLE; /* what it would stand for is open, then */
        x->variables[x->n_variables] =
                (Variable){.name = name, .width = width, .key = *key, .ready = false};
        return x->n_variables++;
}

/* A literal of values; while collecting, cuts. */
static DiagramId literal(Whole *x, unsigned int variable, const Range *items, size_t n) {
        Variable *v = &x->variables[variable];
        DiagramRange *ranges;
        int r;

        if (x->collecting) {
                for (size_t i = 0; i < n; i++)
                        if (axis_cut(x->arena, &v->axis, items[i]) < 0)
                                return whole_fail(x, -ENOMEM);
                return DIAGRAM_ALL;
        }
        if (!v->ready) {
                x->vague = true; /* it came up only now: nothing was cut */
                return DIAGRAM_ALL;
        }
        if (n == 0)
                return DIAGRAM_EMPTY;
        r = axis_ranges(x->scratch, &v->axis, items, n, &ranges);
        if (r == -EINVAL) {
                x->vague = true; /* nobody cut there */
                return DIAGRAM_ALL;
        }
        if (r < 0)
                return whole_fail(x, r);
        return diagram_literal(x->diagram, variable, ranges, n, DIAGRAM_ALL, DIAGRAM_EMPTY);
}

DiagramId whole_where(Whole *x, WholeVariable variable, const Range *items, size_t n) {
        DiagramId r = literal(x, variable, items, n);

        arena_reset(x->scratch);
        return r;
}

/* Loading. */

static void put_known(Byte *registers, int8_t target, const void *data, size_t n) {
        const uint8_t *bytes = data;

        for (size_t i = 0; i < n && target >= 0; i++)
                if ((size_t)target * 4 + i < WORLD_REGISTERS * 4)
                        registers[target * 4 + i] = (Byte){.kind = BYTE_KNOWN, .known = bytes[i]};
        /* what is shorter than a register fills it with zeros */
        for (size_t i = n; i % 4 != 0 && target >= 0; i++)
                if ((size_t)target * 4 + i < WORLD_REGISTERS * 4)
                        registers[target * 4 + i] = (Byte){.kind = BYTE_KNOWN};
}

static void put_any(Byte *registers, int8_t target, size_t n) {
        put_known(registers, target, "", 0);
        for (size_t i = 0; i < (n + 3) / 4 * 4 && target >= 0; i++)
                if ((size_t)target * 4 + i < WORLD_REGISTERS * 4)
                        registers[target * 4 + i] = (Byte){.kind = BYTE_ANY};
}

static void
put_byte(Whole *x, Byte *registers, int8_t target, size_t at, int value, unsigned int index) {
        size_t i = (size_t)target * 4 + at;

        if (target >= 0 && i < WORLD_REGISTERS * 4)
                registers[i] = (Byte){.kind = BYTE_VALUE,
                                      .mask = 0xff,
                                      .value = (uint16_t)value,
                                      .index = (uint8_t)index};
}

static void put_value(Whole *x, Byte *registers, int8_t target, int value, size_t n) {
        put_known(registers, target, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", MIN(n, 15UL));
        for (size_t i = 0; i < n; i++)
                put_byte(x, registers, target, i, value, (unsigned int)i);
}

static int value_of_variable(Whole *x, unsigned int variable, unsigned int width) {
        return add_value(x, &(Value){.variable = variable, .width = width});
}

// clang-format off
static const struct {
        WorldExprKind kind;
        uint32_t key;
        const char *name;
} load_names[] = {
        {WORLD_META, NFT_META_LEN, "meta length"},
        {WORLD_META, NFT_META_PRIORITY, "meta priority"},
        {WORLD_META, NFT_META_SKUID, "meta skuid"},
        {WORLD_META, NFT_META_SKGID, "meta skgid"},
        {WORLD_META, NFT_META_PKTTYPE, "meta pkttype"},
        {WORLD_META, NFT_META_CPU, "meta cpu"},
        {WORLD_META, NFT_META_IIFGROUP, "meta iifgroup"},
        {WORLD_META, NFT_META_OIFGROUP, "meta oifgroup"},
        {WORLD_META, NFT_META_CGROUP, "meta cgroup"},
        {WORLD_META, NFT_META_PRANDOM, "meta random"},
        {WORLD_META, NFT_META_TIME_NS, "meta time"},
        {WORLD_META, NFT_META_TIME_DAY, "meta day"},
        {WORLD_META, NFT_META_TIME_HOUR, "meta hour"},
        {WORLD_CT, NFT_CT_EXPIRATION, "ct expiration"},
        {WORLD_CT, NFT_CT_HELPER, "ct helper"},
        {WORLD_CT, NFT_CT_LABELS, "ct label"},
        {WORLD_CT, NFT_CT_ZONE, "ct zone"},
        {WORLD_FIB, NFT_FIB_RESULT_OIF, "fib oif"},
        {WORLD_FIB, NFT_FIB_RESULT_OIFNAME, "fib oifname"},
        {WORLD_FIB, NFT_FIB_RESULT_ADDRTYPE, "fib type"},
};
// clang-format on

/* What people call what the expression asks for. */
static const char *name_load(Whole *x, const WorldExpr *e) {
        static const char *const bases[] = {"ll", "nh", "th", "ih"};
        const char *name = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(load_names); i++)
                if (load_names[i].kind == e->kind && load_names[i].key == e->key)
                        return load_names[i].name;
        if (e->kind == WORLD_PAYLOAD && e->base < ARRAY_SIZE(bases))
                name = arena_printf(x->arena, "@%s,%u,%u", bases[e->base], e->offset * 8,
                                    e->size * 8U);
        else if (e->kind == WORLD_META || e->kind == WORLD_CT)
                name = arena_printf(x->arena, "%s key %u", e->name, e->key);
        return name ? name : e->name;
}

/* What may be another each time that it is asked for. */
static bool is_fresh(const WorldExpr *e) {
        if (e->kind == WORLD_META)
                return e->key == NFT_META_PRANDOM || e->key == NFT_META_PRIORITY ||
                       e->key == NFT_META_TIME_NS;
        return e->kind == WORLD_FIB && e->offset & NFTA_FIB_F_MARK;
}

/* Something of the packet that has no variable yet. */
static int load_else(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c) {
        Key key = {.kind = e->kind,
                   .a = e->key,
                   .b = e->offset,
                   .c = (uint32_t)e->size << 16 | (uint32_t)e->base << 8 | e->unit,
                   .d = (uint32_t)(uint8_t)e->direction | (uint32_t)e->present << 16};
        unsigned int v = NO_VARIABLE;

        /* what stands in the packet stays until it is translated or sent on (checksums, the hop
         * limit); the rest may be another at another hook */
        if (e->kind == WORLD_PAYLOAD || e->kind == WORLD_EXTHDR)
                key.d |= (x->stage >= STAGE_FORWARD      ? 2U
                          : x->stage >= STAGE_TRANSLATED ? 1U
                                                         : 0U)
                         << 8;
        else
                key.d |= (uint32_t)x->stage << 8;

        if (!c->any_else && e->size <= 16 && e->size > 0 && !is_fresh(e))
                v = find_variable(x, &key, e->size, name_load(x, e));
        if (v == NO_VARIABLE) {
                put_any(registers, e->target, e->size ? e->size : 16);
                return 2;
        }
        put_value(x, registers, e->target, value_of_variable(x, v, e->size), e->size);
        return 2;
}

/* The byte of the packet: false if no variable stands for it. */
static bool find_byte(const Whole *x,
                      WorldBase base,
                      uint32_t offset,
                      unsigned int *ret_variable,
                      unsigned int *ret_index) {
        static const struct {
                Family family;
                WorldBase base;
                uint32_t offset, size;
                WholeVariable variable;
        } rows[] = {
                {FAMILY_IPV4, WORLD_NETWORK, 12, 4, WHOLE_SOURCE},
                {FAMILY_IPV4, WORLD_NETWORK, 16, 4, WHOLE_DESTINATION},
                {FAMILY_IPV4, WORLD_NETWORK, 9, 1, WHOLE_PROTOCOL},
                {FAMILY_IPV6, WORLD_NETWORK, 8, 16, WHOLE_SOURCE},
                {FAMILY_IPV6, WORLD_NETWORK, 24, 16, WHOLE_DESTINATION},
                {FAMILY_IPV4, WORLD_TRANSPORT, 0, 2, WHOLE_SOURCE_PORT},
                {FAMILY_IPV4, WORLD_TRANSPORT, 2, 2, WHOLE_DESTINATION_PORT},
                {FAMILY_IPV4, WORLD_TRANSPORT, 13, 1, WHOLE_FLAGS},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if ((rows[i].family == x->family || rows[i].base == WORLD_TRANSPORT) &&
                    rows[i].base == base && offset >= rows[i].offset &&
                    offset < rows[i].offset + rows[i].size) {
                        *ret_variable = rows[i].variable;
                        *ret_index = offset - rows[i].offset;
                        return true;
                }
        return false;
}

static unsigned int width_of(const Whole *x, unsigned int variable) {
        return x->variables[variable].width;
}

static bool changed_byte(
        const Whole *x, const WholeChange *c, unsigned int variable, unsigned int index, Byte *b) {
        uint8_t bytes[16];

        if (variable == WHOLE_DESTINATION && (c->has_address || c->any_address || c->here)) {
                u128_to_bytes(c->address, bytes, width_of(x, variable));
                *b = c->has_address ? (Byte){.kind = BYTE_KNOWN, .known = bytes[index]}
                                    : (Byte){.kind = BYTE_ANY};
                return true;
        }
        if (variable == WHOLE_DESTINATION_PORT && (c->has_port || c->any_port)) {
                *b = c->has_port ? (Byte){.kind = BYTE_KNOWN,
                                          .known = (uint8_t)(index ? c->port : c->port >> 8)}
                                 : (Byte){.kind = BYTE_ANY};
                return true;
        }
        if ((variable == WHOLE_SOURCE && c->any_source) || c->any_else) {
                *b = (Byte){.kind = BYTE_ANY};
                return true;
        }
        return false;
}

/* The frame's destination: what is routed was addressed to this host. */
static int load_link(Whole *x, const WorldExpr *e, Byte *registers) {
        Value v = {.variable = WHOLE_IN, .width = e->size};

        v.ranges = arena_alloc_array(x->arena, MAX(x->n_arrivals, 1UL), sizeof(*v.ranges));
        v.bytes = arena_alloc_array(x->arena, MAX(x->n_arrivals, 1UL), sizeof(*v.bytes));
        if (!v.ranges || !v.bytes)
                return whole_fail(x, -ENOMEM) != 0;
        for (v.n = 0; v.n < x->n_arrivals; v.n++) {
                v.ranges[v.n] = range_single(u128(v.n));
                memcpy(v.bytes[v.n], x->arrivals[v.n].address + e->offset, e->size);
        }
        put_value(x, registers, e->target, add_value(x, &v), e->size);
        return 0;
}

static int load_payload(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c) {
        bool open = false;

        if (e->base == WORLD_LINK && x->stage >= STAGE_FORWARD && e->offset + e->size <= 6 &&
            e->size > 0)
                return load_link(x, e, registers);

        put_known(registers, e->target, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                  MIN((size_t)e->size, 15UL));
        for (size_t i = 0; i < e->size; i++) {
                unsigned int variable, index;

                if (!find_byte(x, e->base, e->offset + (uint32_t)i, &variable, &index))
                        return load_else(x, e, registers, c);
                /* only a header of TCP's is sure to have so many bytes */
                open |= variable == WHOLE_FLAGS;
                put_byte(x, registers, e->target, i,
                         value_of_variable(x, variable, width_of(x, variable)), index);
                if (e->target >= 0 && (size_t)e->target * 4 + i < WORLD_REGISTERS * 4)
                        (void)changed_byte(x, c, variable, index,
                                           &registers[e->target * 4 + (int)i]);
        }
        /* protocols that are not known may have no such bytes */
        if (open && !x->defragments)
                return 2; /* a first fragment may be shorter */
        return open ? 5 : e->base == WORLD_TRANSPORT ? 3 : 0;
}

/* What each interface makes of it, by the variable that tells the interface. */
static bool interface_bytes(const WorldInterface *i, uint32_t key, uint8_t *ret, size_t *ret_n) {
        uint32_t index = (uint32_t)i->index;

        memset(ret, 0, 16);
        switch (key) {
        case NFT_META_IIFNAME:
        case NFT_META_OIFNAME:
                (void)snprintf((char *)ret, 16, "%s", i->name);
                *ret_n = 16;
                return true;
        case NFT_META_IIF:
        case NFT_META_OIF:
                memcpy(ret, &index, 4);
                *ret_n = 4;
                return true;
        case NFT_META_IIFTYPE:
        case NFT_META_OIFTYPE:
                memcpy(ret, &i->type, 2);
                *ret_n = 2;
                return true;
        }
        return false;
}

static int add_table(Whole *x,
                     unsigned int variable,
                     const Piece *pieces,
                     size_t n_pieces,
                     uint32_t key,
                     size_t *ret_n) {
        const World *w = x->world;
        Value v = {.variable = variable, .n = n_pieces};

        v.ranges = arena_alloc_array(x->arena, MAX(n_pieces, 1UL), sizeof(*v.ranges));
        v.bytes = arena_alloc_array(x->arena, MAX(n_pieces, 1UL), sizeof(*v.bytes));
        if (!v.ranges || !v.bytes) {
                (void)whole_fail(x, -ENOMEM);
                return 0;
        }
        v.n = 0;
        for (size_t i = 0; i < n_pieces; i++) {
                if (pieces[i].value < 0 || (size_t)pieces[i].value >= w->n_interfaces)
                        continue;
                v.ranges[v.n] = pieces[i].range;
                (void)interface_bytes(&w->interfaces[pieces[i].value], key, v.bytes[v.n], ret_n);
                v.n++;
        }
        v.width = (unsigned int)*ret_n;
        return add_value(x, &v);
}

static int
load_interface(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c, bool out) {
        const World *w = x->world;
        uint8_t bytes[16] = {0};
        size_t n = 0;
        int value;

        if (out && x->stage < STAGE_FORWARD) {
                /* no name, number 0; no type: the rule is left */
                if (e->key != NFT_META_OIFNAME && e->key != NFT_META_OIF)
                        return 1;
                put_known(registers, e->target, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                          e->key == NFT_META_OIF ? 4 : 15);
                if (e->key == NFT_META_OIFNAME && e->target >= 0 &&
                    e->target * 4 + 15 < WORLD_REGISTERS * 4)
                        registers[e->target * 4 + 15] = (Byte){.kind = BYTE_KNOWN};
                return 0;
        }
        if (w->n_interfaces == 0 || !interface_bytes(&w->interfaces[0], e->key, bytes, &n))
                return load_else(x, e, registers, c);
        if (out && c->any_else) {
                put_any(registers, e->target, n);
                return 0;
        }
        if (out && c->has_address && x->routes_known) {
                int to = whole_piece_at(x->routes, x->n_routes, c->address);

                if (to < 0) {
                        put_any(registers, e->target, n);
                        return 0;
                }
                (void)interface_bytes(&w->interfaces[to], e->key, bytes, &n);
                put_known(registers, e->target, bytes, n);
                return 0;
        }
        if (out && x->routes_known && !c->any_address && !c->here)
                value = add_table(x, WHOLE_DESTINATION, x->routes, x->n_routes, e->key, &n);
        else {
                size_t n_pieces = out ? w->n_interfaces : x->n_arrivals;
                Piece *pieces = arena_alloc_array(x->scratch, MAX(n_pieces, 1UL), sizeof(*pieces));

                if (!pieces)
                        return whole_fail(x, -ENOMEM) != 0;
                for (size_t i = 0; i < n_pieces; i++)
                        pieces[i] = (Piece){range_single(u128(i)),
                                            out ? (int)i : (int)x->arrivals[i].interface};
                value = add_table(x, out ? WHOLE_OUT : WHOLE_IN, pieces, n_pieces, e->key, &n);
        }
        put_value(x, registers, e->target, value, n);
        return 0;
}

static int load_meta(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c) {
        bool v4 = x->family == FAMILY_IPV4;
        uint8_t pf = v4 ? NFPROTO_IPV4 : NFPROTO_IPV6;

        switch (e->key) {
        case NFT_META_PROTOCOL:
                put_known(registers, e->target, v4 ? "\x08\x00" : "\x86\xdd", 2);
                return 0;
        case NFT_META_NFPROTO:
                put_known(registers, e->target, &pf, 1);
                return 0;
        case NFT_META_L4PROTO:
                put_known(registers, e->target, "\0\0\0\0", 4);
                put_byte(x, registers, e->target, 0, value_of_variable(x, WHOLE_PROTOCOL, 1), 0);
                if (c->any_else)
                        put_any(registers, e->target, 1);
                return 0;
        case NFT_META_MARK:
                if (c->any_mark)
                        put_any(registers, e->target, 4);
                else
                        put_known(registers, e->target, &c->mark, 4);
                return 0;
        case NFT_META_IIF:
        case NFT_META_IIFNAME:
        case NFT_META_IIFTYPE:
                return load_interface(x, e, registers, c, false);
        case NFT_META_OIF:
        case NFT_META_OIFNAME:
        case NFT_META_OIFTYPE:
                return load_interface(x, e, registers, c, true);
        }
        return load_else(x, e, registers, c);
}

static int load_ct(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c) {
        bool tracked = x->stage != STAGE_RAW && !c->untracked, v4 = x->family == FAMILY_IPV4;
        uint32_t state = c->untracked ? CT_UNTRACKED : x->stage == STAGE_RAW ? CT_INVALID : CT_NEW;
        uint32_t status = c->translated ? 1U << 5 : 0;
        WholeChange none = {0};

        if (e->key == NFT_CT_STATE) {
                put_known(registers, e->target, &state, 4);
                return 0;
        }
        if (!tracked)
                return 1;
        if (x->stage >= STAGE_TRANSLATED && x->has_nat)
                status |= 1U << 8;
        switch (e->key) {
        case NFT_CT_DIRECTION:
                put_known(registers, e->target, "", 1);
                return 0;
        case NFT_CT_STATUS:
                put_known(registers, e->target, &status, 4);
                return 0;
        case NFT_CT_MARK:
                if (c->any_ct_mark)
                        put_any(registers, e->target, 4);
                else
                        put_known(registers, e->target, &c->ct_mark, 4);
                return 0;
        case NFT_CT_L3PROTOCOL:
                put_known(registers, e->target, v4 ? "\x02" : "\x0a", 1);
                return 0;
        case NFT_CT_PROTOCOL:
                put_known(registers, e->target, "\0\0\0\0", 4);
                put_byte(x, registers, e->target, 0, value_of_variable(x, WHOLE_PROTOCOL, 1), 0);
                return 0;
        case NFT_CT_SRC:
        case NFT_CT_SRC_IP:
        case NFT_CT_SRC_IP6:
        case NFT_CT_DST:
        case NFT_CT_DST_IP:
        case NFT_CT_DST_IP6:
                if ((e->key == NFT_CT_SRC_IP || e->key == NFT_CT_DST_IP) && !v4)
                        return 1;
                if ((e->key == NFT_CT_SRC_IP6 || e->key == NFT_CT_DST_IP6) && v4)
                        return 1;
                if (e->direction == 1)
                        break;
                put_value(x, registers, e->target,
                          value_of_variable(x,
                                            e->key == NFT_CT_SRC || e->key == NFT_CT_SRC_IP ||
                                                            e->key == NFT_CT_SRC_IP6
                                                    ? WHOLE_SOURCE
                                                    : WHOLE_DESTINATION,
                                            v4 ? 4 : 16),
                          v4 ? 4 : 16);
                return 0;
        case NFT_CT_PROTO_SRC:
        case NFT_CT_PROTO_DST:
                if (e->direction == 1)
                        break;
                /* of protocols with ports; of others it is something else */
                put_value(x, registers, e->target,
                          value_of_variable(x,
                                            e->key == NFT_CT_PROTO_SRC ? WHOLE_SOURCE_PORT
                                                                       : WHOLE_DESTINATION_PORT,
                                            2),
                          2);
                return 4;
        }
        (void)none;
        return load_else(x, e, registers, c);
}

static int load_fib(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c) {
        bool source = e->offset & NFTA_FIB_F_SADDR;
        Value v = {.variable = source ? WHOLE_SOURCE : WHOLE_DESTINATION, .width = 4};
        uint32_t type;

        if (x->plain && source && e->present && !c->any_source && !c->any_else &&
            e->key == NFT_FIB_RESULT_OIF) {
                put_known(registers, e->target, "\1", 1);
                return 0;
        }
        if (e->key != NFT_FIB_RESULT_ADDRTYPE || e->present ||
            e->offset & (NFTA_FIB_F_IIF | NFTA_FIB_F_OIF) || (source && c->any_source) ||
            c->any_else || (!source && (c->any_address || c->here)) || !x->fib_types)
                return load_else(x, e, registers, c);
        if (!source && c->has_address) {
                type = (uint32_t)whole_piece_at(x->fib_types, x->n_fib_types, c->address);
                if (type == WHOLE_OPEN)
                        put_any(registers, e->target, 4);
                else
                        put_known(registers, e->target, &type, 4);
                return 0;
        }
        v.ranges = arena_alloc_array(x->arena, x->n_fib_types, sizeof(*v.ranges));
        v.bytes = arena_alloc_array(x->arena, x->n_fib_types, sizeof(*v.bytes));
        if (!v.ranges || !v.bytes)
                return whole_fail(x, -ENOMEM) != 0;
        v.n = x->n_fib_types;
        for (size_t i = 0; i < v.n; i++) {
                type = (uint32_t)x->fib_types[i].value;
                v.ranges[i] = x->fib_types[i].range;
                memcpy(v.bytes[i], &type, 4);
        }
        put_value(x, registers, e->target, add_value(x, &v), 4);
        if (x->collecting)
                (void)whole_where_typed(x, source); /* cuts */
        return 6;
}

DiagramId whole_where_typed(Whole *x, bool source) {
        WholeVariable v = source ? WHOLE_SOURCE : WHOLE_DESTINATION;
        DiagramId sum = DIAGRAM_ALL;

        for (size_t i = 0; i < x->n_fib_types; i++)
                if (x->fib_types[i].value == WHOLE_OPEN)
                        sum = diagram_minus(x->diagram, sum,
                                            whole_where(x, v, &x->fib_types[i].range, 1));
        return sum;
}

int whole_load(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *change) {
        switch (e->kind) {
        case WORLD_PAYLOAD:
                return load_payload(x, e, registers, change);
        case WORLD_META:
                return load_meta(x, e, registers, change);
        case WORLD_CT:
                return load_ct(x, e, registers, change);
        case WORLD_FIB:
                return load_fib(x, e, registers, change);
        case WORLD_DATA:
                put_known(registers, e->target, e->data.bytes, e->data.size);
                return 0;
        case WORLD_EXTHDR:
        case WORLD_LOAD_ANY:
                if (e->kind == WORLD_EXTHDR)
                        return load_else(x, e, registers, change);
                put_any(registers, e->target, e->size ? e->size : 16);
                return 2;
        case WORLD_BITWISE:
        case WORLD_BYTEORDER:
        case WORLD_CMP:
        case WORLD_RANGE:
        case WORLD_LOOKUP:
        case WORLD_PORTS:
        case WORLD_SET_META:
        case WORLD_SET_CT:
        case WORLD_SET_PAYLOAD:
        case WORLD_NOTRACK:
        case WORLD_NAT:
        case WORLD_NOTHING:
        case WORLD_CHOICE:
        case WORLD_IS:
        case WORLD_REJECT:
        case WORLD_UNKNOWN:
                break;
        }
        return 2;
}

/* Conditions. */

static uint8_t byte_of(const Byte *b, uint8_t raw) {
        return (uint8_t)((raw & b->mask) ^ b->flip);
}

static size_t run_length(const Byte *b, size_t n) {
        size_t i = 1;

        while (i < n && b[i].kind == b[0].kind &&
               (b[0].kind != BYTE_VALUE ||
                (b[i].value == b[0].value && b[i].index == b[0].index + i)))
                i++;
        return i;
}

static DiagramId table_between(Whole *x,
                               const Value *v,
                               const Byte *b,
                               size_t n,
                               const uint8_t *low,
                               const uint8_t *high) {
        Range *items = arena_alloc_array(x->scratch, MAX(v->n, 1UL), sizeof(*items));
        size_t n_items = 0;

        if (!items)
                return whole_fail(x, -ENOMEM);
        for (size_t i = 0; i < v->n; i++) {
                uint8_t bytes[16] = {0};

                for (size_t j = 0; j < MIN(n, 16UL); j++)
                        bytes[j] = byte_of(&b[j], b[j].index < 16 ? v->bytes[i][b[j].index] : 0);
                if (x->collecting || (memcmp(bytes, low, n) >= 0 && memcmp(bytes, high, n) <= 0))
                        items[n_items++] = v->ranges[i];
        }
        return literal(x, v->variable, items, n_items);
}

/* (x & mask) == value of a variable: as intervals. */
static DiagramId masked(Whole *x, const Value *v, U128 mask, U128 value) {
        U128 ones = all_ones(v->width), free_bits = {ones.high & ~mask.high, ones.low & ~mask.low};
        U128 low_ones = U128_ZERO, holes;
        Range *items;
        size_t n_holes = 0, n = 0;

        if (u128_is_zero(mask))
                return u128_is_zero(value) ? DIAGRAM_ALL : DIAGRAM_EMPTY;
        /* the free bits below all that are asked for */
        for (unsigned int i = 0; i < 128; i++) {
                U128 bit =
                        i < 64 ? (U128){0, UINT64_C(1) << i} : (U128){UINT64_C(1) << (i - 64), 0};

                if (!u128_is_zero(u128_and(mask, bit)))
                        break;
                low_ones = u128_or(low_ones, u128_and(bit, ones));
        }
        holes = (U128){free_bits.high & ~low_ones.high, free_bits.low & ~low_ones.low};
        n_holes = (size_t)(__builtin_popcountll(holes.high) + __builtin_popcountll(holes.low));
        if (n_holes > ENUMERATED_BITS || (n_holes > 0 && holes.high != 0)) {
                x->vague = true;
                return DIAGRAM_ALL;
        }
        items = arena_alloc_array(x->scratch, (size_t)1 << n_holes, sizeof(*items));
        if (!items)
                return whole_fail(x, -ENOMEM);
        for (uint64_t sub = 0;; sub = (sub - holes.low) & holes.low) {
                U128 low = u128_or(value, u128(sub));

                items[n++] = (Range){low, u128_or(low, low_ones)};
                if (sub == holes.low)
                        break;
        }
        return literal(x, v->variable, items, n);
}

static bool is_whole(const Byte *b, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (b[i].mask != 0xff || b[i].flip != 0 || b[i].index != i)
                        return false;
        return true;
}

static DiagramId variable_between(Whole *x,
                                  const Value *v,
                                  const Byte *b,
                                  size_t n,
                                  const uint8_t *low,
                                  const uint8_t *high) {
        uint8_t first[16] = {0}, last[16], mask[16] = {0};

        if (v->width > 16 || n > v->width) {
                x->vague = true;
                return DIAGRAM_ALL;
        }
        if (is_whole(b, n)) {
                Range r;

                memset(last, 0xff, sizeof(last));
                memcpy(first, low, n);
                memcpy(last, high, n);
                r = (Range){u128_from_bytes(first, v->width), u128_from_bytes(last, v->width)};
                return literal(x, v->variable, &r, 1);
        }
        if (memcmp(low, high, n) == 0) {
                for (size_t i = 0; i < n; i++) {
                        uint8_t value = low[i] ^ b[i].flip;

                        if (value & (uint8_t)~b[i].mask)
                                return DIAGRAM_EMPTY;
                        mask[b[i].index] = b[i].mask;
                        first[b[i].index] = value;
                }
                return masked(x, v, u128_from_bytes(mask, v->width),
                              u128_from_bytes(first, v->width));
        }
        x->vague = true;
        return DIAGRAM_ALL;
}

static DiagramId
run_between(Whole *x, const Byte *b, size_t n, const uint8_t *low, const uint8_t *high) {
        const Value *v;
        uint8_t bytes[WORLD_KEY_MAX];

        switch (b[0].kind) {
        case BYTE_KNOWN:
                for (size_t i = 0; i < n; i++)
                        bytes[i] = b[i].known;
                return memcmp(bytes, low, n) >= 0 && memcmp(bytes, high, n) <= 0 ? DIAGRAM_ALL
                                                                                 : DIAGRAM_EMPTY;
        case BYTE_ANY:
                x->vague = true;
                return DIAGRAM_ALL;
        case BYTE_VALUE:
                break;
        }
        v = &x->values[b[0].value];
        return v->ranges ? table_between(x, v, b, n, low, high)
                         : variable_between(x, v, b, n, low, high);
}

/* The number before or after, of n bytes; false at the end. */
static bool step(uint8_t *bytes, size_t n, bool up) {
        for (size_t i = n; i-- > 0;) {
                if (bytes[i] != (up ? 0xff : 0)) {
                        bytes[i] = (uint8_t)(bytes[i] + (up ? 1 : -1));
                        return true;
                }
                bytes[i] = up ? 0 : 0xff;
        }
        return false;
}

DiagramId
whole_between(Whole *x, const Byte *b, size_t n, const uint8_t *low, const uint8_t *high) {
        static const uint8_t zeros[WORLD_KEY_MAX];
        size_t run = run_length(b, n), rest;
        uint8_t ones[WORLD_KEY_MAX], from[WORLD_KEY_MAX], to[WORLD_KEY_MAX];
        Diagram *d = x->diagram;
        DiagramId sum;

        memset(ones, 0xff, sizeof(ones));
        if (memcmp(low, high, n) > 0)
                return DIAGRAM_EMPTY;
        if (run == n)
                return run_between(x, b, n, low, high);
        rest = n - run;
        if (memcmp(low, high, run) == 0)
                return diagram_and(d, run_between(x, b, run, low, low),
                                   whole_between(x, b + run, rest, low + run, high + run));
        sum = diagram_and(d, run_between(x, b, run, low, low),
                          whole_between(x, b + run, rest, low + run, ones));
        sum = diagram_union(d, sum,
                            diagram_and(d, run_between(x, b, run, high, high),
                                        whole_between(x, b + run, rest, zeros, high + run)));
        memcpy(from, low, run);
        memcpy(to, high, run);
        if (step(from, run, true) && step(to, run, false) && memcmp(from, to, run) <= 0)
                sum = diagram_union(d, sum, run_between(x, b, run, from, to));
        return sum;
}
