/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>

#include <limits.h>

#include <linux/netfilter/nf_tables.h>

#include "proof/whole_state.h"

/* Values that differ from packet to packet: the variables that stand for them, and what packets
 * hold. */

#define NO_VARIABLE UINT_MAX

int whole_add_value(Whole *x, const Value *v) {
        for (size_t i = 0; i < x->n_values && !v->ranges; i++)
                if (!x->values[i].ranges && x->values[i].variable == v->variable)
                        return (int)i;
        if (x->n_values > UINT16_MAX || !arena_append(x->arena, x->values, x->n_values, *v)) {
                (void)whole_fail(x, -ENOMEM);
                return 0;
        }
        return (int)x->n_values - 1;
}

int whole_find_table(const Whole *x, unsigned int variable, uint32_t table) {
        for (size_t i = 0; i < x->n_values; i++)
                if (x->values[i].ranges && x->values[i].variable == variable &&
                    x->values[i].table == table)
                        return (int)i;
        return -1;
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

DiagramId whole_literal(Whole *x, unsigned int variable, const Range *items, size_t n) {
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
        DiagramId r = whole_literal(x, variable, items, n);

        arena_reset(x->scratch);
        return r;
}

int whole_value_of(Whole *x, unsigned int variable, unsigned int width) {
        return whole_add_value(x, &(Value){.variable = variable, .width = width});
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
        {WORLD_CT, NFT_CT_STATUS, "ct status"},
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
int whole_load_else(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c) {
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

        /* what a fragment says is not what the whole packet says later */
        if (!c->any_else && e->size <= 16 && e->size > 0 && !is_fresh(e) &&
            x->stage != STAGE_FRAGMENTS)
                v = find_variable(x, &key, e->size, name_load(x, e));
        if (v == NO_VARIABLE) {
                whole_put_any(registers, e->target, e->size ? e->size : 16);
                return 2;
        }
        whole_put_value(x, registers, e->target, whole_value_of(x, v, e->size), e->size);
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
        uint32_t table = TABLE_LINK | e->offset << 8 | e->size;
        Value v = {.variable = WHOLE_IN, .width = e->size, .table = table};
        int known = whole_find_table(x, WHOLE_IN, table);

        if (known >= 0) {
                whole_put_value(x, registers, e->target, known, e->size);
                return 0;
        }
        v.ranges = arena_alloc_array(x->arena, MAX(x->n_arrivals, 1UL), sizeof(*v.ranges));
        v.bytes = arena_alloc_array(x->arena, MAX(x->n_arrivals, 1UL), sizeof(*v.bytes));
        if (!v.ranges || !v.bytes)
                return whole_fail(x, -ENOMEM) != 0;
        for (v.n = 0; v.n < x->n_arrivals; v.n++) {
                v.ranges[v.n] = range_single(u128(v.n));
                memcpy(v.bytes[v.n], x->arrivals[v.n].address + e->offset, e->size);
        }
        whole_put_value(x, registers, e->target, whole_add_value(x, &v), e->size);
        return 0;
}

bool whole_sees_fragments(Whole *x) {
        bool sees = x->family == FAMILY_IPV6 && !x->plain &&
                    (!x->tracks || x->stage == STAGE_FRAGMENTS);

        if (sees && !x->collecting)
                whole_note(x, "fragments of IPv6 that end before their ports: nothing puts them "
                              "together before the rules");
        return sees;
}

int whole_load_payload(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c) {
        bool open = false;

        if (e->base == WORLD_LINK && x->sent)
                return 1; /* there is no frame yet */

        if (e->base == WORLD_LINK && x->stage >= STAGE_FORWARD && e->offset + e->size <= 6 &&
            e->size > 0)
                return load_link(x, e, registers);

        if (e->base == WORLD_LINK && c->any_link) {
                whole_put_any(registers, e->target, e->size);
                return 2;
        }
        whole_put_known(registers, e->target, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                        MIN((size_t)e->size, 15UL));
        for (size_t i = 0; i < e->size; i++) {
                unsigned int variable, index;

                if (!find_byte(x, e->base, e->offset + (uint32_t)i, &variable, &index))
                        return whole_load_else(x, e, registers, c);
                /* only a header of TCP's is sure to have so many bytes */
                open |= variable == WHOLE_FLAGS;
                whole_put_byte(x, registers, e->target, i,
                               whole_value_of(x, variable, width_of(x, variable)), index);
                if (e->target < 0 || (size_t)e->target * 4 + i >= WORLD_REGISTERS * 4)
                        continue;
                (void)changed_byte(x, c, variable, index, &registers[e->target * 4 + (int)i]);
                /* another packet of its connection was what chains of type nat looked at */
                if (variable == WHOLE_FLAGS && x->stage == STAGE_NAT && x->remembers)
                        registers[e->target * 4 + (int)i] = (Byte){.kind = BYTE_ANY};
        }
        if (e->base == WORLD_TRANSPORT && whole_sees_fragments(x))
                return 2;
        /* protocols that are not known may have no such bytes */
        if (open && (!x->tracks || x->stage == STAGE_FRAGMENTS))
                return 2; /* a first fragment may be shorter */
        return open ? 5 : e->base == WORLD_TRANSPORT ? 3 : 0;
}
