/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/set_pool.h"

static uint64_t mix(uint64_t hash, uint64_t value) {
        hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
        return hash ^ hash >> 29;
}

static uint64_t hash_range(uint64_t hash, Range r) {
        return mix(mix(mix(mix(hash, r.low.high), r.low.low), r.high.high), r.high.low);
}

static bool has_ranges(const Set *set, TypeId type, const RangeSet *ranges) {
        if (set->types[0] != type || set->n_elements != ranges->n_items)
                return false;
        for (size_t i = 0; i < ranges->n_items; i++)
                if (!range_equal(set->elements[i].key[0], ranges->items[i]))
                        return false;
        return true;
}

static int pool_grow(Ruleset *rs) {
        SetPool old = *rs->pool, new = {.size = MAX(old.size * 2, 64UL), .n_sets = old.n_sets};

        new.places = arena_alloc_array(rs->arena, new.size, sizeof(new.places[0]));
        if (!new.places)
                return -ENOMEM;
        for (size_t i = 0; i < old.size; i++) {
                size_t at = old.places[i].hash;

                if (!old.places[i].set)
                        continue;
                while (new.places[at & (new.size - 1)].set)
                        at++;
                new.places[at & (new.size - 1)] = old.places[i];
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
        for (size_t i = hash;; i++) {
                PooledSet *place = &rs->pool->places[i & (rs->pool->size - 1)];

                if (!place->set)
                        place->hash = hash; /* of the one that will be made */
                if (!place->set || (place->hash == hash && has_ranges(place->set, type, ranges)))
                        return &place->set;
        }
}
