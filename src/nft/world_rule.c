/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "nft/wire.h"
#include "nft/world_decoder.h"

/* Rules and the kernel's own expressions. */

static void add_unknown(WorldDecoder *d, const char *name) {
        (void)world_add(d, WORLD_UNKNOWN, name);
}

static bool decode_immediate(WorldDecoder *d, const WorldContext *c) {
        WorldVerdict verdict;
        WorldData data = {0};
        Attributes inside;
        uint32_t number;
        WorldExpr *x;
        int8_t reg;

        if (!attribute_u32(c->a, NFTA_IMMEDIATE_DREG, &number))
                return false;
        if (number == NFT_REG_VERDICT) {
                attributes_inside(c->a, NFTA_IMMEDIATE_DATA, &inside);
                if (world_decode_verdict(d, c->table, &inside, &verdict) < 0)
                        return false;
                world_add(d, WORLD_IS, "verdict")->verdict = verdict;
                return true;
        }
        if (!world_get_data(c->a, NFTA_IMMEDIATE_DATA, &data) ||
            !world_get_register(c->a, NFTA_IMMEDIATE_DREG, data.size, &reg))
                return false;
        x = world_add(d, WORLD_DATA, "immediate");
        x->target = reg;
        x->size = data.size;
        x->data = data;
        return true;
}

static bool decode_shift(WorldExpr *x, const Attributes *a, uint32_t op) {
        WorldData amount = {0};
        uint32_t bits;

        if (!world_get_data(a, NFTA_BITWISE_DATA, &amount) || amount.size != sizeof(bits))
                return false;
        memcpy(&bits, amount.bytes, sizeof(bits));
        if (bits == 0 || bits >= 32)
                return false;
        x->shift = (int16_t)(op == NFT_BITWISE_LSHIFT ? (int)bits : -(int)bits);
        return true;
}

static bool decode_bitwise(WorldDecoder *d, const WorldContext *c) {
        uint32_t size, op = NFT_BITWISE_BOOL;
        WorldExpr x = {0};
        WorldExpr *added;

        (void)attribute_u32(c->a, NFTA_BITWISE_OP, &op); /* absent: as old kernels have it */
        if (!attribute_u32(c->a, NFTA_BITWISE_LEN, &size) || size == 0 || size > WORLD_DATA_MAX ||
            !world_get_register(c->a, NFTA_BITWISE_SREG, size, &x.source) ||
            !world_get_register(c->a, NFTA_BITWISE_DREG, size, &x.target))
                return false;
        if (op == NFT_BITWISE_LSHIFT || op == NFT_BITWISE_RSHIFT) {
                if (size % 4 != 0 || !decode_shift(&x, c->a, op))
                        return false;
        } else if (op != NFT_BITWISE_BOOL || !world_get_data(c->a, NFTA_BITWISE_MASK, &x.mask) ||
                   !world_get_data(c->a, NFTA_BITWISE_XOR, &x.data) || x.mask.size != size ||
                   x.data.size != size)
                return false;
        added = world_add(d, WORLD_BITWISE, "bitwise");
        added->source = x.source;
        added->target = x.target;
        added->size = (uint8_t)size;
        added->shift = x.shift;
        added->mask = x.mask;
        added->data = x.data;
        return true;
}

static bool decode_byteorder(WorldDecoder *d, const WorldContext *c) {
        uint32_t size, unit;
        int8_t source, target;
        WorldExpr *x;

        if (!attribute_u32(c->a, NFTA_BYTEORDER_LEN, &size) || size == 0 || size > WORLD_KEY_MAX ||
            !attribute_u32(c->a, NFTA_BYTEORDER_SIZE, &unit) ||
            (unit != 2 && unit != 4 && unit != 8) || size % unit != 0 ||
            !world_get_register(c->a, NFTA_BYTEORDER_SREG, size, &source) ||
            !world_get_register(c->a, NFTA_BYTEORDER_DREG, size, &target))
                return false;
        x = world_add(d, WORLD_BYTEORDER, "byteorder");
        x->source = source;
        x->target = target;
        x->size = (uint8_t)size;
        x->unit = (uint8_t)unit;
        return true;
}

static bool decode_cmp(WorldDecoder *d, const WorldContext *c) {
        static const WorldCompare ops[] = {
                [NFT_CMP_EQ] = WORLD_EQUAL,   [NFT_CMP_NEQ] = WORLD_NOT_EQUAL,
                [NFT_CMP_LT] = WORLD_LESS,    [NFT_CMP_LTE] = WORLD_LESS_EQUAL,
                [NFT_CMP_GT] = WORLD_GREATER, [NFT_CMP_GTE] = WORLD_GREATER_EQUAL,
        };
        WorldData data = {0};
        WorldExpr *x;
        uint32_t op;
        int8_t reg;

        if (!attribute_u32(c->a, NFTA_CMP_OP, &op) || op >= ARRAY_SIZE(ops) ||
            !world_get_data(c->a, NFTA_CMP_DATA, &data) ||
            !world_get_register(c->a, NFTA_CMP_SREG, data.size, &reg))
                return false;
        x = world_add(d, WORLD_CMP, "cmp");
        x->op = ops[op];
        x->source = reg;
        x->size = data.size;
        x->data = data;
        return true;
}

static bool decode_range(WorldDecoder *d, const WorldContext *c) {
        WorldData low = {0}, high = {0};
        WorldExpr *x;
        uint32_t op;
        int8_t reg;

        if (!attribute_u32(c->a, NFTA_RANGE_OP, &op) || op > NFT_RANGE_NEQ ||
            !world_get_data(c->a, NFTA_RANGE_FROM_DATA, &low) ||
            !world_get_data(c->a, NFTA_RANGE_TO_DATA, &high) || low.size != high.size ||
            !world_get_register(c->a, NFTA_RANGE_SREG, low.size, &reg))
                return false;
        x = world_add(d, WORLD_RANGE, "range");
        x->source = reg;
        x->size = low.size;
        x->inverted = op == NFT_RANGE_NEQ;
        x->data = low;
        x->high = high;
        return true;
}

static SetState *
get_set(const WorldDecoder *d, const WorldContext *c, uint16_t name_type, uint16_t id_type) {
        uint32_t id = 0;

        (void)attribute_u32(c->a, id_type, &id); /* only in a batch */
        return world_find_set(d, c->table, attribute_string(c->a, name_type), id);
}

static bool decode_lookup(WorldDecoder *d, const WorldContext *c) {
        SetState *state = get_set(d, c, NFTA_LOOKUP_SET, NFTA_LOOKUP_SET_ID);
        uint32_t number = 0, flags = 0;
        int8_t source, target = -1;
        WorldExpr *x;

        if (!state || !world_get_register(c->a, NFTA_LOOKUP_SREG, state->set->key_size, &source))
                return false;
        (void)attribute_u32(c->a, NFTA_LOOKUP_FLAGS, &flags); /* absent: none */
        if (attribute_u32(c->a, NFTA_LOOKUP_DREG, &number)) {
                if ((number == NFT_REG_VERDICT) != state->set->is_verdict_map ||
                    (number != NFT_REG_VERDICT &&
                     (state->set->value_size == 0 ||
                      !world_get_register(c->a, NFTA_LOOKUP_DREG, state->set->value_size,
                                          &target))))
                        return false;
        } else if (state->set->is_verdict_map)
                return false;
        x = world_add(d, WORLD_LOOKUP, "lookup");
        x->source = source;
        x->target = target;
        x->size = state->set->key_size;
        x->inverted = flags & NFT_LOOKUP_F_INV;
        x->set = state->set;
        return true;
}

/* Packets add to the set, or take out of it; the rule is left when it is full. */
static bool decode_dynset(WorldDecoder *d, const WorldContext *c) {
        SetState *state = get_set(d, c, NFTA_DYNSET_SET_NAME, NFTA_DYNSET_SET_ID);
        uint32_t op = NFT_DYNSET_OP_ADD;

        (void)attribute_u32(c->a, NFTA_DYNSET_OP, &op); /* absent: it adds */
        if (!state)
                return false;
        state->set->dynamic = true;
        state->removes |= op == NFT_DYNSET_OP_DELETE;
        world_add_choice(d, "dynset");
        return true;
}

static bool decode_reject(WorldDecoder *d, const WorldContext *c) {
        (void)world_add(d, WORLD_REJECT, "reject");
        return true;
}

static bool decode_queue(WorldDecoder *d, const WorldContext *c) {
        WorldExpr *x = world_add(d, WORLD_IS, "queue");
        uint16_t flags = 0;

        (void)attribute_u16(c->a, NFTA_QUEUE_FLAGS, &flags); /* absent: none */
        x->verdict.kind = WORLD_QUEUE;
        x->bypass = flags & NFT_QUEUE_FLAG_BYPASS;
        return true;
}

/* An optional register; false if there is one that is none. */
static bool get_nat_register(const Attributes *a, uint16_t type, size_t size, int8_t *ret) {
        *ret = -1;
        return !a->list[type] || world_get_register(a, type, size, ret);
}

static bool decode_nat(WorldDecoder *d, const WorldContext *c) {
        WorldNat nat = {0};
        uint32_t type, family;
        size_t size;

        if (!attribute_u32(c->a, NFTA_NAT_TYPE, &type) || type > NFT_NAT_DNAT ||
            !attribute_u32(c->a, NFTA_NAT_FAMILY, &family))
                return false;
        nat.kind = type == NFT_NAT_DNAT ? WORLD_DNAT : WORLD_SNAT;
        nat.family = (uint8_t)family;
        size = family == NFPROTO_IPV4 ? 4 : family == NFPROTO_IPV6 ? 16 : 4;
        (void)attribute_u32(c->a, NFTA_NAT_FLAGS, &nat.flags); /* absent: none */
        if (!get_nat_register(c->a, NFTA_NAT_REG_ADDR_MIN, size, &nat.address_low) ||
            !get_nat_register(c->a, NFTA_NAT_REG_ADDR_MAX, size, &nat.address_high) ||
            !get_nat_register(c->a, NFTA_NAT_REG_PROTO_MIN, 2, &nat.port_low) ||
            !get_nat_register(c->a, NFTA_NAT_REG_PROTO_MAX, 2, &nat.port_high))
                return false;
        if (nat.address_high < 0)
                nat.address_high = nat.address_low;
        if (nat.port_high < 0)
                nat.port_high = nat.port_low;
        world_add(d, WORLD_NAT, "nat")->nat = nat;
        return true;
}

static bool decode_masq(WorldDecoder *d, const WorldContext *c) {
        WorldNat nat = {.kind = WORLD_MASQUERADE, .address_low = -1, .address_high = -1};

        nat.family = c->table->family;
        (void)attribute_u32(c->a, NFTA_MASQ_FLAGS, &nat.flags); /* absent: none */
        if (!get_nat_register(c->a, NFTA_MASQ_REG_PROTO_MIN, 2, &nat.port_low) ||
            !get_nat_register(c->a, NFTA_MASQ_REG_PROTO_MAX, 2, &nat.port_high))
                return false;
        world_add(d, WORLD_NAT, "masq")->nat = nat;
        return true;
}

static bool decode_redir(WorldDecoder *d, const WorldContext *c) {
        WorldNat nat = {.kind = WORLD_REDIRECT, .address_low = -1, .address_high = -1};

        nat.family = c->table->family;
        (void)attribute_u32(c->a, NFTA_REDIR_FLAGS, &nat.flags); /* absent: none */
        if (!get_nat_register(c->a, NFTA_REDIR_REG_PROTO_MIN, 2, &nat.port_low) ||
            !get_nat_register(c->a, NFTA_REDIR_REG_PROTO_MAX, 2, &nat.port_high))
                return false;
        if (nat.port_high < 0)
                nat.port_high = nat.port_low;
        world_add(d, WORLD_NAT, "redir")->nat = nat;
        return true;
}

/* Hands the packet to a socket, or leaves the rule where there is none; the packet's own addresses
 * stay. */
static bool decode_tproxy(WorldDecoder *d, const WorldContext *c) {
        world_add_choice(d, "tproxy");
        world_add(d, WORLD_NAT, "tproxy")->nat = (WorldNat){.kind = WORLD_TPROXY,
                                                            .family = c->table->family,
                                                            .address_low = -1,
                                                            .address_high = -1,
                                                            .port_low = -1,
                                                            .port_high = -1};
        return true;
}

/* Where a copy goes, or the packet itself. */
static bool decode_way(WorldDecoder *d,
                       const WorldContext *c,
                       WorldExprKind kind,
                       uint16_t address,
                       uint16_t device) {
        uint32_t family = c->table->family;
        int8_t source = -1, target = -1;
        WorldExpr *x;

        if (kind == WORLD_FORWARD)
                (void)attribute_u32(c->a, NFTA_FWD_NFPROTO, &family); /* absent: no address */
        if (c->a->list[address] &&
            !world_get_register(c->a, address, family == NFPROTO_IPV6 ? 16 : 4, &source))
                return false;
        if (c->a->list[device] && !world_get_register(c->a, device, 4, &target))
                return false;
        x = world_add(d, kind, kind == WORLD_COPY ? "dup" : "fwd");
        x->source = source;
        x->target = target;
        x->unit = source >= 0 ? (uint8_t)family : 0;
        return true;
}

static bool decode_dup(WorldDecoder *d, const WorldContext *c) {
        return decode_way(d, c, WORLD_COPY, NFTA_DUP_SREG_ADDR, NFTA_DUP_SREG_DEV);
}

static bool decode_fwd(WorldDecoder *d, const WorldContext *c) {
        return decode_way(d, c, WORLD_FORWARD, NFTA_FWD_SREG_ADDR, NFTA_FWD_SREG_DEV);
}

static bool decode_notrack(WorldDecoder *d, const WorldContext *c) {
        (void)world_add(d, WORLD_NOTRACK, "notrack");
        return true;
}

static bool decode_objref(WorldDecoder *d, const WorldContext *c) {
        uint32_t type = NFT_OBJECT_UNSPEC;

        if (!attribute_u32(c->a, NFTA_OBJREF_IMM_TYPE, &type)) {
                /* a map says which; without one the rule is left */
                SetState *map = get_set(d, c, NFTA_OBJREF_SET_NAME, NFTA_OBJREF_SET_ID);

                type = map ? map->object : NFT_OBJECT_SYNPROXY;
                world_add_choice(d, "objref");
        }
        if (type == NFT_OBJECT_SYNPROXY)
                return false;
        if (type == NFT_OBJECT_CT_HELPER || type == NFT_OBJECT_CT_EXPECT)
                (void)world_add(d, WORLD_NOTHING, "ct helper");
        else if (type == NFT_OBJECT_COUNTER || type == NFT_OBJECT_CT_TIMEOUT ||
                 type == NFT_OBJECT_SECMARK)
                (void)world_add(d, WORLD_NOTHING, "objref");
        else
                world_add_choice(d, "objref");
        return true;
}

static bool decode_match(WorldDecoder *d, const WorldContext *c) {
        world_decode_match(d, c->table->family, c->a);
        return true;
}

static bool decode_target(WorldDecoder *d, const WorldContext *c) {
        world_decode_target(d, c->table->family, c->a, c->is_last);
        return true;
}

/* The most frequent first. */
static const struct {
        const char *name;
        bool (*decode)(WorldDecoder *d, const WorldContext *c); /* NULL: see kind */
        WorldExprKind kind;
} expressions[] = {
        {"cmp", decode_cmp, 0},
        {"meta", world_load_meta, 0},
        {"payload", world_load_payload, 0},
        {"counter", NULL, WORLD_NOTHING},
        {"immediate", decode_immediate, 0},
        {"match", decode_match, 0},
        {"target", decode_target, 0},
        {"lookup", decode_lookup, 0},
        {"bitwise", decode_bitwise, 0},
        {"ct", world_load_ct, 0},
        {"range", decode_range, 0},
        {"byteorder", decode_byteorder, 0},
        {"reject", decode_reject, 0},
        {"log", NULL, WORLD_NOTHING},
        {"limit", NULL, WORLD_CHOICE},
        {"nat", decode_nat, 0},
        {"masq", decode_masq, 0},
        {"redir", decode_redir, 0},
        {"notrack", decode_notrack, 0},
        {"fib", world_load_fib, 0},
        {"dynset", decode_dynset, 0},
        {"objref", decode_objref, 0},
        {"queue", decode_queue, 0},
        {"quota", NULL, WORLD_CHOICE},
        {"connlimit", NULL, WORLD_CHOICE},
        {"last", NULL, WORLD_NOTHING},
        {"exthdr", world_load_exthdr, 0},
        {"flow_offload", NULL, WORLD_NOTHING},
        {"dup", decode_dup, 0},
        {"fwd", decode_fwd, 0},
        {"tproxy", decode_tproxy, 0},
        {"numgen", world_load_numgen, 0},
        {"hash", world_load_hash, 0},
        {"rt", world_load_rt, 0},
        {"socket", world_load_socket, 0},
        {"osf", world_load_osf, 0},
        {"xfrm", world_load_xfrm, 0},
        {"tunnel", world_load_tunnel, 0},
};

static void decode_expression(WorldDecoder *d,
                              const WorldTable *table,
                              const struct nlattr *attr,
                              bool is_last) {
        Attributes a, data;
        WorldContext c = {.table = table, .a = &data, .is_last = is_last};
        const char *name;

        attributes_of(attr, &a);
        name = attribute_string(&a, NFTA_EXPR_NAME);
        attributes_inside(&a, NFTA_EXPR_DATA, &data);
        for (size_t i = 0; name && i < ARRAY_SIZE(expressions); i++) {
                if (!streq(expressions[i].name, name))
                        continue;
                if (!expressions[i].decode)
                        (void)world_add(d, expressions[i].kind, expressions[i].name);
                else if (!expressions[i].decode(d, &c))
                        break;
                return;
        }
        add_unknown(d, world_name(d, "", name));
}

static void
decode_expressions(WorldDecoder *d, const WorldTable *table, const struct nlattr *list) {
        const struct nlattr *attr, *pending = NULL;

        d->n_exprs = 0;
        if (!list)
                return;
        attribute_for_each_nested(attr, list) {
                if (pending)
                        decode_expression(d, table, pending, false);
                pending = attr;
        }
        if (pending)
                decode_expression(d, table, pending, true);
}

int world_decode_rule(WorldDecoder *d, const WorldTable *table, const Attributes *a) {
        Arena *arena = d->world->arena;
        WorldChain *chain = world_find_chain(d, table, attribute_string(a, NFTA_RULE_CHAIN));
        WorldRule rule = {.chain = chain};
        const void *user_data;
        size_t size = 0;

        if (!chain)
                return -EPROTO;
        (void)attribute_u64(a, NFTA_RULE_HANDLE, &rule.handle); /* a batch has none */
        user_data = attribute_bytes(a, NFTA_RULE_USERDATA, &size);
        if (user_data)
                rule.comment = wire_get_comment(arena, user_data, size);
        decode_expressions(d, table, a->list[NFTA_RULE_EXPRESSIONS]);
        rule.n_exprs = d->n_exprs;
        rule.exprs = arena_alloc_array(arena, d->n_exprs, sizeof(*rule.exprs));
        if (!rule.exprs)
                return -ENOMEM;
        if (d->n_exprs > 0)
                memcpy(rule.exprs, d->exprs, d->n_exprs * sizeof(*rule.exprs));
        if (!arena_append(arena, chain->rules, chain->n_rules, rule))
                return -ENOMEM;
        return d->error;
}
