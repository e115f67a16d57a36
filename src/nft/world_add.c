/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "nft/wire.h"
#include "nft/world_decoder.h"

/* Expressions of a rule while it is decoded, and what they are read with. */

WorldExpr *world_add(WorldDecoder *d, WorldExprKind kind, const char *name) {
        WorldExpr *x;

        if (d->n_exprs == d->room) {
                size_t room = MAX(2 * d->room, 64UL);
                WorldExpr *grown = reallocarray(d->exprs, room, sizeof(*grown));

                if (!grown) {
                        d->error = -ENOMEM;
                        return &d->sink;
                }
                d->exprs = grown;
                d->room = room;
        }
        x = &d->exprs[d->n_exprs++];
        *x = (WorldExpr){.kind = kind, .name = name, .source = -1, .target = -1, .direction = -1};
        return x;
}

const char *world_name(WorldDecoder *d, const char *kind, const char *name) {
        const char *text = arena_printf(d->world->arena, "%s%s", kind, name ? name : "?");

        if (!text)
                d->error = -ENOMEM;
        return text ? text : kind;
}

void world_add_choice(WorldDecoder *d, const char *name) {
        (void)world_add(d, WORLD_CHOICE, name);
}

void world_add_doubt(WorldDecoder *d, const char *name) {
        world_add(d, WORLD_CHOICE, name)->fixed = true;
}

/* The register of that attribute as a slot from which `size` bytes fit; false if there is none. */
bool world_get_register(const Attributes *a, uint16_t type, size_t size, int8_t *ret) {
        uint32_t number;
        unsigned int slot;

        if (!attribute_u32(a, type, &number))
                return false;
        slot = wire_slot(number);
        if (slot == WIRE_SLOT_INVALID || size > (WORLD_SCRATCH - slot) * 4)
                return false;
        *ret = (int8_t)slot;
        return true;
}

bool world_get_data(const Attributes *a, uint16_t type, WorldData *ret) {
        size_t size = 0;
        const void *value = attribute_value(a, type, &size);

        if (!value || size == 0 || size > WORLD_DATA_MAX)
                return false;
        ret->size = (uint8_t)size;
        memcpy(ret->bytes, value, size);
        return true;
}

void world_add_payload(
        WorldDecoder *d, WorldBase base, uint32_t offset, size_t size, const char *name) {
        WorldExpr *x = world_add(d, WORLD_PAYLOAD, name);

        x->target = WORLD_SCRATCH;
        x->base = base;
        x->offset = offset;
        x->size = (uint8_t)size;
}

void world_add_meta(WorldDecoder *d, uint32_t key, size_t size, const char *name) {
        WorldExpr *x = world_add(d, WORLD_META, name);

        x->target = WORLD_SCRATCH;
        x->key = key;
        x->size = (uint8_t)size;
}

void world_add_ct(WorldDecoder *d, uint32_t key, int direction, size_t size, const char *name) {
        WorldExpr *x = world_add(d, WORLD_CT, name);

        x->target = WORLD_SCRATCH;
        x->key = key;
        x->direction = (int8_t)direction;
        x->size = (uint8_t)size;
}

static void fill(WorldData *ret, const void *bytes, size_t size) {
        ret->size = (uint8_t)size;
        memcpy(ret->bytes, bytes, size);
}

void world_add_mask(
        WorldDecoder *d, const void *mask, const void *flip, size_t size, const char *name) {
        static const uint8_t zero[WORLD_DATA_MAX];
        WorldExpr *x = world_add(d, WORLD_BITWISE, name);

        x->source = x->target = WORLD_SCRATCH;
        x->size = (uint8_t)size;
        fill(&x->mask, mask, size);
        fill(&x->data, flip ? flip : zero, size);
}

void world_add_cmp(
        WorldDecoder *d, WorldCompare op, const void *value, size_t size, const char *name) {
        WorldExpr *x = world_add(d, WORLD_CMP, name);

        x->source = WORLD_SCRATCH;
        x->op = op;
        x->size = (uint8_t)size;
        fill(&x->data, value, size);
}

void world_add_range(WorldDecoder *d,
                     const void *low,
                     const void *high,
                     size_t size,
                     bool inverted,
                     const char *name) {
        WorldExpr *x = world_add(d, WORLD_RANGE, name);

        x->source = WORLD_SCRATCH;
        x->inverted = inverted;
        x->size = (uint8_t)size;
        fill(&x->data, low, size);
        fill(&x->high, high, size);
}

void world_add_range16(
        WorldDecoder *d, uint16_t low, uint16_t high, bool inverted, const char *name) {
        uint16_t first = htons(low), last = htons(high);

        world_add_range(d, &first, &last, sizeof(first), inverted, name);
}

/* (register & mask) is zero, or is not. */
void world_add_bits(WorldDecoder *d, uint32_t mask, bool none, const char *name) {
        static const uint32_t zero;

        world_add_mask(d, &mask, NULL, sizeof(mask), name);
        world_add_cmp(d, none ? WORLD_EQUAL : WORLD_NOT_EQUAL, &zero, sizeof(zero), name);
}
