/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "proof/whole_state.h"

/* What expressions load of interfaces, connections and routes. */

#define CT_NEW 8U /* NF_CT_STATE_BIT */
#define CT_INVALID 1U
#define CT_UNTRACKED 64U
#define STATUS_CONFIRMED (1U << 3)
#define STATUS_SOURCE_DONE (1U << 7) /* IPS_SRC_NAT_DONE */
#define STATUS_DESTINATION_DONE (1U << 8)

/* What each interface makes of it, by the variable that tells the interface. */
static bool interface_bytes(const WorldInterface *i, uint32_t key, uint8_t *ret, size_t *ret_n) {
        uint32_t index = (uint32_t)i->index;

        memset(ret, 0, 16);
        switch (key) {
        case NFT_META_IIFNAME:
        case NFT_META_OIFNAME:
                memcpy(ret, i->name, strnlen(i->name, 15));
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
        Value v = {.variable = variable, .n = n_pieces, .table = key};
        int known = whole_find_table(x, variable, key);

        if (known >= 0) {
                *ret_n = x->values[known].width;
                return known;
        }
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
        return whole_add_value(x, &v);
}

/* Of a packet that has no such interface: no name, number 0; without a type the rule is left. */
static int load_none(const WorldExpr *e, Byte *registers) {
        static const uint8_t zeros[16];
        bool is_name = e->key == NFT_META_OIFNAME || e->key == NFT_META_IIFNAME;

        if (!is_name && e->key != NFT_META_OIF && e->key != NFT_META_IIF)
                return 1;
        whole_put_known(registers, e->target, zeros, is_name ? 16 : 4);
        return 0;
}

/* Where a packet leaves that this host sends: by any interface, as long as nothing is known of its
 * socket; sent elsewhere by rules, as routes say. */
static int
load_sent_out(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c, size_t n) {
        const World *w = x->world;
        bool moved = c->has_address || c->any_address || c->here;
        int to = c->has_address && x->routes_known && x->plain
                         ? whole_piece_at(x->routes, x->n_routes, c->address)
                         : -1;
        uint8_t bytes[16] = {0};
        Piece *pieces;

        /* chains of the output hook still see the way from before */
        if (c->any_else || (moved && x->stage == STAGE_POSTROUTING && to < 0)) {
                whole_put_any(registers, e->target, n);
                return 0;
        }
        if (moved && x->stage == STAGE_POSTROUTING) {
                (void)interface_bytes(&w->interfaces[to], e->key, bytes, &n);
                whole_put_known(registers, e->target, bytes, n);
                return 0;
        }
        pieces = arena_alloc_array(x->scratch, w->n_interfaces, sizeof(*pieces));
        if (!pieces)
                return whole_fail(x, -ENOMEM) != 0;
        for (size_t i = 0; i < w->n_interfaces; i++)
                pieces[i] = (Piece){range_single(u128(i)), (int)i};
        whole_put_value(x, registers, e->target,
                        add_table(x, WHOLE_OUT, pieces, w->n_interfaces, e->key, &n), n);
        return 0;
}

static int
load_interface(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c, bool out) {
        const World *w = x->world;
        uint8_t bytes[16] = {0};
        size_t n = 0;
        int value;

        if (x->sent ? !out : out && x->stage < STAGE_FORWARD)
                return load_none(e, registers);
        if (w->n_interfaces == 0 || !interface_bytes(&w->interfaces[0], e->key, bytes, &n))
                return whole_load_else(x, e, registers, c);
        if (x->sent)
                return load_sent_out(x, e, registers, c, n);
        if (out && c->any_else) {
                whole_put_any(registers, e->target, n);
                return 0;
        }
        if (out && c->has_address && x->routes_known) {
                int to = whole_piece_at(x->routes, x->n_routes, c->address);

                if (to < 0) {
                        whole_put_any(registers, e->target, n);
                        return 0;
                }
                (void)interface_bytes(&w->interfaces[to], e->key, bytes, &n);
                whole_put_known(registers, e->target, bytes, n);
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
        whole_put_value(x, registers, e->target, value, n);
        return 0;
}

/* The owner of a socket: 7, as others than processes may send. A number as the processor keeps it,
 * so that its bytes may run backwards. */
static int load_owner(Whole *x, const WorldExpr *e, Byte *registers, unsigned int variable) {
        const uint16_t one = 1;
        bool backwards = *(const uint8_t *)&one == 1;

        for (unsigned int i = 0; i < 4; i++)
                whole_put_byte(x, registers, e->target, i, whole_value_of(x, variable, 4),
                               backwards ? 3 - i : i);
        return 7;
}

static int load_meta(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c) {
        bool v4 = x->family == FAMILY_IPV4;
        uint8_t pf = x->stage == STAGE_INGRESS && x->pf ? x->pf : v4 ? NFPROTO_IPV4 : NFPROTO_IPV6;

        switch (e->key) {
        case NFT_META_PROTOCOL:
                whole_put_known(registers, e->target, v4 ? "\x08\x00" : "\x86\xdd", 2);
                return 0;
        case NFT_META_NFPROTO:
                whole_put_known(registers, e->target, &pf, 1);
                return 0;
        case NFT_META_L4PROTO:
                whole_put_known(registers, e->target, "\0\0\0\0", 4);
                whole_put_byte(x, registers, e->target, 0, whole_value_of(x, WHOLE_PROTOCOL, 1), 0);
                if (c->any_else)
                        whole_put_any(registers, e->target, 1);
                return whole_sees_fragments(x) ? 2 : 0;
        case NFT_META_MARK:
                if (c->any_mark)
                        whole_put_any(registers, e->target, 4);
                else
                        whole_put_known(registers, e->target, &c->mark, 4);
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
        if (x->sent && (e->key == NFT_META_SKUID || e->key == NFT_META_SKGID))
                return load_owner(x, e, registers,
                                  e->key == NFT_META_SKUID ? WHOLE_USER : WHOLE_GROUP);
        return whole_load_else(x, e, registers, c);
}

/* Of the original direction; of the other one nothing is known before there is an answer. */
static int
load_ct_address(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c, bool source) {
        bool v4 = x->family == FAMILY_IPV4;
        bool of_v4 = e->key == NFT_CT_SRC_IP || e->key == NFT_CT_DST_IP;
        bool of_v6 = e->key == NFT_CT_SRC_IP6 || e->key == NFT_CT_DST_IP6;
        unsigned int width = v4 ? 4 : 16;

        if (v4 ? of_v6 : of_v4)
                return 1;
        if (e->direction == 1)
                return whole_load_else(x, e, registers, c);
        whole_put_value(x, registers, e->target,
                        whole_value_of(x, source ? WHOLE_SOURCE : WHOLE_DESTINATION, width), width);
        return 0;
}

/* Of protocols with ports; of others it is something else. */
static int
load_ct_port(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c, bool source) {
        if (e->direction == 1)
                return whole_load_else(x, e, registers, c);
        whole_put_value(x, registers, e->target,
                        whole_value_of(x, source ? WHOLE_SOURCE_PORT : WHOLE_DESTINATION_PORT, 2),
                        2);
        return 4;
}

/* Whether it is confirmed, an earlier packet may have decided. */
static int
load_status(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c, uint32_t status) {
        static const uint32_t open = STATUS_CONFIRMED;
        uint8_t bytes[4], mask[4];

        if (!x->remembers) {
                whole_put_known(registers, e->target, &status, 4);
                return 0;
        }
        memcpy(bytes, &status, 4);
        memcpy(mask, &open, 4);
        (void)whole_load_else(x, e, registers, c);
        for (size_t i = 0; i < 4 && e->target >= 0; i++) {
                size_t at = (size_t)e->target * 4 + i;

                if (at >= WORLD_REGISTERS * 4)
                        continue;
                if (mask[i] == 0)
                        registers[at] = (Byte){.kind = BYTE_KNOWN, .known = bytes[i]};
                else if (registers[at].kind == BYTE_VALUE) {
                        registers[at].mask = mask[i];
                        registers[at].flip = bytes[i];
                }
        }
        return 0;
}

/* What a connection has that begins with this packet. */
static int load_connection(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c) {
        uint32_t status = c->translated ? 1U << 5 : 0;

        if (x->stage >= STAGE_TRANSLATED && x->has_nat)
                status |= STATUS_DESTINATION_DONE;
        if (x->stage == STAGE_INPUT_LATE && x->has_nat)
                status |= STATUS_SOURCE_DONE;
        switch (e->key) {
        case NFT_CT_DIRECTION:
                whole_put_known(registers, e->target, "", 1);
                return 0;
        case NFT_CT_STATUS:
                return load_status(x, e, registers, c, status);
        case NFT_CT_MARK:
                if (c->any_ct_mark)
                        whole_put_any(registers, e->target, 4);
                else
                        whole_put_known(registers, e->target, &c->ct_mark, 4);
                return 0;
        case NFT_CT_L3PROTOCOL:
                whole_put_known(registers, e->target, x->family == FAMILY_IPV4 ? "\x02" : "\x0a",
                                1);
                return 0;
        case NFT_CT_PROTOCOL:
                whole_put_known(registers, e->target, "\0\0\0\0", 4);
                whole_put_byte(x, registers, e->target, 0, whole_value_of(x, WHOLE_PROTOCOL, 1), 0);
                return 0;
        case NFT_CT_SRC:
        case NFT_CT_SRC_IP:
        case NFT_CT_SRC_IP6:
                return load_ct_address(x, e, registers, c, true);
        case NFT_CT_DST:
        case NFT_CT_DST_IP:
        case NFT_CT_DST_IP6:
                return load_ct_address(x, e, registers, c, false);
        case NFT_CT_PROTO_SRC:
                return load_ct_port(x, e, registers, c, true);
        case NFT_CT_PROTO_DST:
                return load_ct_port(x, e, registers, c, false);
        }
        return whole_load_else(x, e, registers, c);
}

static int load_ct(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c) {
        bool tracked = x->stage > STAGE_RAW && !c->untracked;
        uint32_t state = c->untracked ? CT_UNTRACKED : x->stage <= STAGE_RAW ? CT_INVALID : CT_NEW;

        if (x->stage <= STAGE_RAW && x->has_templates) {
                if (!x->collecting)
                        whole_note(x, "what connections are before the kernel looks for them");
                whole_put_any(registers, e->target, e->size);
                return e->key == NFT_CT_STATE ? 0 : 2;
        }
        if (e->key == NFT_CT_STATE) {
                whole_put_known(registers, e->target, &state, 4);
                return 0;
        }
        if (!tracked && e->bypass)
                whole_put_known(registers, e->target, "\0\0\0\0", 4);
        if (!tracked)
                return e->bypass ? 0 : 1;
        return load_connection(x, e, registers, c);
}

/* Nobody's connection has IP's options or extension headers. */
static int load_exthdr(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c) {
        if (!x->plain || (e->unit != NFT_EXTHDR_OP_IPV6 && e->unit != NFT_EXTHDR_OP_IPV4))
                return whole_load_else(x, e, registers, c);
        if (e->present)
                whole_put_known(registers, e->target, "", 1);
        return e->present ? 0 : 1;
}

static int load_fib(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *c) {
        bool source = e->offset & NFTA_FIB_F_SADDR;
        WholeVariable variable = source ? WHOLE_SOURCE : WHOLE_DESTINATION;
        Value v = {.variable = variable, .width = 4, .table = TABLE_TYPE};
        int known;
        uint32_t type;

        if (x->plain && source && e->present && !c->any_source && !c->any_else &&
            e->key == NFT_FIB_RESULT_OIF) {
                whole_put_known(registers, e->target, "\1", 1);
                return 0;
        }
        if (e->key != NFT_FIB_RESULT_ADDRTYPE || e->present ||
            e->offset & (NFTA_FIB_F_IIF | NFTA_FIB_F_OIF) ||
            (e->offset & NFTA_FIB_F_MARK && x->family == FAMILY_IPV6) ||
            (source && c->any_source) || c->any_else || (!source && (c->any_address || c->here)) ||
            !x->fib_types)
                return whole_load_else(x, e, registers, c);
        if (!source && c->has_address) {
                type = (uint32_t)whole_piece_at(x->fib_types, x->n_fib_types, c->address);
                if (type >= WHOLE_OPEN)
                        whole_put_any(registers, e->target, 4);
                else
                        whole_put_known(registers, e->target, &type, 4);
                return 0;
        }
        known = whole_find_table(x, variable, TABLE_TYPE);
        if (known >= 0) {
                whole_put_value(x, registers, e->target, known, 4);
                return 6;
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
        whole_put_value(x, registers, e->target, whole_add_value(x, &v), 4);
        if (x->collecting)
                (void)whole_where_typed(x, source); /* cuts */
        return 6;
}

DiagramId whole_where_typed(Whole *x, bool source) {
        WholeVariable v = source ? WHOLE_SOURCE : WHOLE_DESTINATION;
        DiagramId sum = DIAGRAM_ALL;

        for (size_t i = 0; i < x->n_fib_types; i++)
                if (x->fib_types[i].value >= WHOLE_OPEN)
                        sum = diagram_minus(x->diagram, sum,
                                            whole_where(x, v, &x->fib_types[i].range, 1));
        return sum;
}

DiagramId whole_where_away(Whole *x, bool source) {
        WholeVariable v = source ? WHOLE_SOURCE : WHOLE_DESTINATION;
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < x->n_fib_types; i++)
                if (x->fib_types[i].value == WHOLE_AWAY)
                        sum = diagram_union(x->diagram, sum,
                                            whole_where(x, v, &x->fib_types[i].range, 1));
        return sum;
}

int whole_load(Whole *x, const WorldExpr *e, Byte *registers, const WholeChange *change) {
        switch (e->kind) {
        case WORLD_PAYLOAD:
                return whole_load_payload(x, e, registers, change);
        case WORLD_META:
                return load_meta(x, e, registers, change);
        case WORLD_CT:
                return load_ct(x, e, registers, change);
        case WORLD_FIB:
                return load_fib(x, e, registers, change);
        case WORLD_DATA:
                whole_put_known(registers, e->target, e->data.bytes, e->data.size);
                return 0;
        case WORLD_EXTHDR:
                return load_exthdr(x, e, registers, change);
        case WORLD_LOAD_ANY:
                whole_put_any(registers, e->target, e->size ? e->size : 16);
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
        case WORLD_COPY:
        case WORLD_FORWARD:
        case WORLD_NOTHING:
        case WORLD_CHOICE:
        case WORLD_IS:
        case WORLD_REJECT:
        case WORLD_UNKNOWN:
                break;
        }
        return 2;
}
