/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter/nf_tables.h>

#include "proof/whole_state.h"

/* The packets for which bytes lie between others, and what tests make of it. */

#define ENUMERATED_BITS 10 /* don't-care bits above others that are written out */

static U128 all_ones(unsigned int width) {
        return u128_low_mask(MIN(width, 16U) * 8);
}

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

static DiagramId table_between(
        Whole *x, Value *v, const Byte *b, size_t n, const uint8_t *low, const uint8_t *high) {
        Range *items;
        size_t n_items = 0;

        if (x->collecting && v->cut)
                return DIAGRAM_ALL;
        v->cut = x->collecting;
        items = arena_alloc_array(x->scratch, MAX(v->n, 1UL), sizeof(*items));
        if (!items)
                return whole_fail(x, -ENOMEM);
        for (size_t i = 0; i < v->n; i++) {
                uint8_t bytes[16] = {0};

                for (size_t j = 0; j < MIN(n, 16UL); j++)
                        bytes[j] = byte_of(&b[j], b[j].index < 16 ? v->bytes[i][b[j].index] : 0);
                if (x->collecting || (memcmp(bytes, low, n) >= 0 && memcmp(bytes, high, n) <= 0))
                        items[n_items++] = v->ranges[i];
        }
        return whole_literal(x, v->variable, items, n_items);
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
        return whole_literal(x, v->variable, items, n);
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
                return whole_literal(x, v->variable, &r, 1);
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
        Value *v;
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

/* All bytes of a number of the processor's. */
static bool is_backwards(const Whole *x, const Byte *b, size_t n) {
        if (n < 2 || b[0].kind != BYTE_VALUE || x->values[b[0].value].ranges ||
            x->values[b[0].value].width != n)
                return false;
        for (size_t i = 0; i < n; i++)
                if (b[i].kind != BYTE_VALUE || b[i].value != b[0].value ||
                    b[i].index != n - 1 - i || b[i].mask != 0xff || b[i].flip != 0)
                        return false;
        return true;
}

static DiagramId backwards_equal(Whole *x, const Byte *b, size_t n, const uint8_t *bytes) {
        uint8_t turned[WORLD_KEY_MAX];
        Range r;

        for (size_t i = 0; i < n; i++)
                turned[i] = bytes[n - 1 - i];
        r = range_single(u128_from_bytes(turned, n));
        return whole_literal(x, x->values[b[0].value].variable, &r, 1);
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
        if (memcmp(low, high, n) == 0 && is_backwards(x, b, n))
                return backwards_equal(x, b, n, low);
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

DiagramId whole_ports_hold(Whole *x, const WorldPorts *p, const WholeChange *c) {
        DiagramId sum = DIAGRAM_EMPTY;

        for (size_t i = 0; i < p->n && i < 15; i++) {
                Range r = {u128(p->ranges[i].low), u128(p->ranges[i].high)};

                if (p->source)
                        sum = whole_join(x, sum, whole_where(x, WHOLE_SOURCE_PORT, &r, 1));
                if (p->destination && c->has_port && !x->collecting)
                        sum = c->port >= p->ranges[i].low && c->port <= p->ranges[i].high
                                      ? DIAGRAM_ALL
                                      : sum;
                else if (p->destination)
                        sum = whole_join(x, sum, whole_where(x, WHOLE_DESTINATION_PORT, &r, 1));
        }
        return sum;
}

static DiagramId compare_holds(Whole *x, const WorldExpr *e, const Byte *b) {
        uint8_t low[WORLD_DATA_MAX] = {0}, high[WORLD_DATA_MAX];
        size_t n = e->data.size;
        DiagramId r;

        memset(high, 0xff, sizeof(high));
        switch (e->op) {
        case WORLD_EQUAL:
        case WORLD_NOT_EQUAL:
                r = whole_between(x, b, n, e->data.bytes, e->data.bytes);
                return e->op == WORLD_EQUAL ? r : diagram_minus(x->diagram, DIAGRAM_ALL, r);
        case WORLD_LESS_EQUAL:
        case WORLD_GREATER:
                r = whole_between(x, b, n, low, e->data.bytes);
                return e->op == WORLD_LESS_EQUAL ? r : diagram_minus(x->diagram, DIAGRAM_ALL, r);
        case WORLD_GREATER_EQUAL:
        case WORLD_LESS:
                r = whole_between(x, b, n, e->data.bytes, high);
                return e->op == WORLD_GREATER_EQUAL ? r : diagram_minus(x->diagram, DIAGRAM_ALL, r);
        }
        return DIAGRAM_ALL;
}

static bool rewrites(const WorldChain *c) {
        for (size_t i = 0; i < c->n_rules; i++)
                for (size_t k = 0; k < c->rules[i].n_exprs; k++)
                        if (c->rules[i].exprs[k].kind == WORLD_SET_PAYLOAD)
                                return true;
        return false;
}

static const char *find_rewriter(Whole *x) {
        for (size_t i = 0; i < x->world->n_chains; i++) {
                const WorldChain *c = x->world->chains[i];

                if (rewrites(c))
                        return arena_printf(x->arena,
                                            "what chain '%s' of table '%s' rewrites in packets",
                                            c->name, c->table->name);
        }
        return "";
}

/* Why a test has no answer, for who has to do something about it; NULL: that is known. */
static const char *describe_vague(Whole *x, const WorldExpr *e) {
        if (!x->rewriter)
                x->rewriter = find_rewriter(x);
        if (x->rewriter && *x->rewriter)
                return x->rewriter;
        /* told of already */
        return x->n_queues > 0 ? NULL : e->name;
}

/* Without an answer, both. */
void whole_test(Whole *x,
                const WorldExpr *e,
                const Byte *registers,
                DiagramId *ret_may,
                DiagramId *ret_not) {
        const Byte *b = registers + (e->source < 0 ? 0 : e->source * 4);
        DiagramId r = DIAGRAM_ALL, sure;

        x->vague = false;
        if (e->kind == WORLD_LOOKUP) {
                whole_lookup(x, e, registers, &r, &sure);
                if (!x->vague) {
                        DiagramId absent = diagram_minus(x->diagram, DIAGRAM_ALL, sure);

                        *ret_may = e->inverted ? absent : r;
                        *ret_not = e->inverted ? r : absent;
                        return;
                }
        } else if (e->source < 0 || (size_t)e->source * 4 + e->data.size > WORLD_REGISTERS * 4 ||
                   e->data.size == 0) {
                x->vague = true;
        } else if (e->kind == WORLD_CMP) {
                r = compare_holds(x, e, b);
        } else {
                r = whole_between(x, b, e->data.size, e->data.bytes, e->high.bytes);
                r = e->inverted ? diagram_minus(x->diagram, DIAGRAM_ALL, r) : r;
        }
        arena_reset(x->scratch);
        if (x->vague) {
                /* the registers, or the set, may be others when it is asked again */
                const char *why = x->collecting ? NULL : describe_vague(x, e);

                if (why)
                        whole_note(x, why);
                *ret_may = *ret_not = DIAGRAM_ALL;
                return;
        }
        *ret_may = r;
        *ret_not = diagram_minus(x->diagram, DIAGRAM_ALL, r);
}
