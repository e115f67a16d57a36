/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For this folder's tests of the proof about Worlds: a host around rules that were read or
 * compiled, and the rules that the corpus of the decoder holds. */

#include "base/unit.h"
#include "nft/world_read.h"

static uint64_t random_state = 88172645463325252U;

static inline uint32_t draw(uint32_t below) {
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 33) % below;
}

static const char *const names[] = {"lo", "eth0", "wg0", "docker0"};

static inline void add_address(World *w, Family f, const char *text, uint8_t prefix, int index) {
        WorldAddress a = {.family = f, .prefix = prefix, .index = index};
        WorldRoute local = {.family = f,
                            .prefix = f == FAMILY_IPV4 ? 32 : 128,
                            .type = 2,
                            .table = 255,
                            .index = index};
        WorldRoute net = {.family = f, .prefix = prefix, .type = 1, .table = 254, .index = index};
        Family parsed;
        U128 mask = u128_low_mask((f == FAMILY_IPV4 ? 32U : 128U) - prefix);

        assert_int_equal(address_parse(text, &parsed, &a.address), 0);
        local.destination = a.address;
        net.destination = (U128){a.address.high & ~mask.high, a.address.low & ~mask.low};
        assert_true(arena_append(w->arena, w->addresses, w->n_addresses, a));
        assert_true(arena_append(w->arena, w->routes, w->n_routes, local));
        assert_true(arena_append(w->arena, w->routes, w->n_routes, net));
}

static inline void surround(World *w) {
        WorldRoute all4 = {
                .family = FAMILY_IPV4, .type = 1, .table = 254, .index = 2, .metric = 100};
        WorldRoute all6 = {
                .family = FAMILY_IPV6, .type = 1, .table = 254, .index = 2, .metric = 100};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                WorldInterface in = {.index = (int)i + 1,
                                     .name = names[i],
                                     .type = 1,
                                     .up = true,
                                     .loopback = i == 0};

                assert_true(arena_append(w->arena, w->interfaces, w->n_interfaces, in));
        }
        add_address(w, FAMILY_IPV4, "192.0.2.10", 24, 2);
        add_address(w, FAMILY_IPV6, "2001:db8:1::10", 64, 2);
        add_address(w, FAMILY_IPV4, "10.8.0.1", 24, 3);
        add_address(w, FAMILY_IPV4, "172.17.0.1", 16, 4);
        add_address(w, FAMILY_IPV6, "fe80::10", 64, 2);
        assert_true(arena_append(w->arena, w->routes, w->n_routes, all4));
        assert_true(arena_append(w->arena, w->routes, w->n_routes, all6));
        w->forwards4 = w->forwards6 = true;
}

#define NETDEV 5 /* NFPROTO_NETDEV and NFPROTO_IPV4, linux/netfilter.h */
#define IPV4 2

/* Another program's table with one base chain. */
static inline WorldChain *add_foreign_chain(World *w, WorldTable table, WorldChain like) {
        WorldTable *tables = arena_alloc_array(w->arena, w->n_tables + 1, sizeof(*tables));
        WorldChain **chains = arena_alloc_array(w->arena, w->n_chains + 1, sizeof(WorldChain *));
        WorldChain *chain = arena_new0(w->arena, WorldChain);

        assert_true(tables && chains && chain);
        for (size_t i = 0; i < w->n_tables; i++)
                tables[i] = w->tables[i];
        for (size_t i = 0; i < w->n_chains; i++) {
                chains[i] = w->chains[i];
                chains[i]->table = &tables[chains[i]->table - w->tables];
        }
        for (size_t i = 0; i < w->n_sets; i++)
                w->sets[i]->table = &tables[w->sets[i]->table - w->tables];
        tables[w->n_tables] = table;
        *chain = like;
        chain->table = &tables[w->n_tables++];
        chain->is_base = true;
        chain->number = w->n_chains;
        chains[w->n_chains++] = chain;
        w->tables = tables;
        w->chains = chains;
        return chain;
}

/* Bytes into a register. */
static inline WorldExpr put(int8_t target, const void *bytes, uint8_t size) {
        WorldExpr e = {.kind = WORLD_DATA, .name = "immediate", .target = target, .source = -1};

        e.size = e.data.size = size;
        memcpy(e.data.bytes, bytes, size);
        return e;
}

static const char *const corpus[] = {"docker",   "ufw",      "foreign",  "random-a",
                                     "random-b", "services", "tables-1", "tables-2",
                                     "xt-1",     "xt-2",     "closed",   "fields"};

static inline World *world_of_corpus(Arena *a, const char *name) {
        const char *path = arena_printf(a, "%s/%s", WORLD_CORPUS, name);
        FILE *f = fopen(path, "rbe");
        size_t room = 1 << 20, size;
        char *bytes = arena_alloc(a, room);
        World *w;

        assert_non_null(f);
        size = fread(bytes, 1, room, f);
        (void)fclose(f);
        return world_decode(a, bytes, size, &w) == 0 ? w : NULL;
}
