/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/set_pool.h"

static uint64_t mix(uint64_t hash, uint64_t value) {
        hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
        return hash ^ hash >> 29;
}

static uint64_t hash_range(uint64_t hash, Range r) {
        return mix(mix(mix(mix(hash, r.low.high), r.low.low), r.high.high), r.high.low);
}

/* Where the set is, or will be. */
static Set **pool_place(const SetPool *pool, TypeId type, const RangeSet *ranges, uint64_t hash) {
        for (size_t i = hash;; i++) {
                Set **place = &pool->sets[i & (pool->size - 1)], *set = *place;
                size_t n = 0;

                if (!set)
                        return place;
                if (set->types[0] != type || set->n_elements != ranges->n_items)
                        continue;
                while (n < ranges->n_items &&
                       range_equal(set->elements[n].key[0], ranges->items[n]))
                        n++;
                if (n == ranges->n_items)
                        return place;
        }
}

static int pool_grow(Ruleset *rs) {
        SetPool old = *rs->pool, new = {.size = MAX(old.size * 2, 64UL), .n_sets = old.n_sets};

        new.sets = arena_alloc_array(rs->arena, new.size, sizeof(new.sets[0]));
        if (!new.sets)
                return -ENOMEM;
        for (size_t i = 0; i < old.size; i++) {
                const Set *set = old.sets[i];
                uint64_t hash;

                if (!set)
                        continue;
                hash = (uint64_t)set->types[0];
                for (size_t j = 0; j < set->n_elements; j++)
                        hash = hash_range(hash, set->elements[j].key[0]);
                while (new.sets[hash & (new.size - 1)])
                        hash++;
                new.sets[hash & (new.size - 1)] = old.sets[i];
        }
        *rs->pool = new;
        return 0;
}

Set **set_pool_find(Ruleset *rs, TypeId type, const RangeSet *ranges) {
        uint64_t hash = (uint64_t)type;

        if (!rs->pool)
                rs->pool = arena_new0(rs->arena, SetPool);
        if (!rs->pool || (rs->pool->n_sets * 2 >= rs->pool->size && pool_grow(rs) < 0))
                return NULL;
        for (size_t i = 0; i < ranges->n_items; i++)
                hash = hash_range(hash, ranges->items[i]);
        return pool_place(rs->pool, type, ranges, hash);
}
