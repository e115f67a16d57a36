/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter/nf_tables.h>

#include "nft/world_decoder.h"

/* Sets and their elements. */

#define FIELDS_SHORT 8 /* up to so many bytes are sorted by each of them */

/* The sizes of a concatenation's fields; false if they do not fill the key. */
static bool decode_fields(WorldSet *set, const Attributes *a) {
        Attributes description;
        const struct nlattr *attr;
        size_t size = 0;

        attributes_inside(a, NFTA_SET_DESC, &description);
        if (!description.list[NFTA_SET_DESC_CONCAT])
                return false;
        attribute_for_each_nested(attr, description.list[NFTA_SET_DESC_CONCAT]) {
                Attributes field;
                uint32_t bytes;

                attributes_of(attr, &field);
                if (!attribute_u32(&field, NFTA_SET_FIELD_LEN, &bytes) || bytes == 0 ||
                    bytes > WORLD_KEY_MAX || set->n_fields >= ARRAY_SIZE(set->fields))
                        return false;
                set->fields[set->n_fields++] = (uint8_t)bytes;
                size += (bytes + 3) & ~3U;
        }
        return size == set->key_size;
}

int world_decode_set(WorldDecoder *d, const WorldTable *table, const Attributes *a) {
        World *w = d->world;
        WorldSet *set = arena_new0(w->arena, WorldSet);
        SetState *state = &d->states[w->n_sets];
        const char *name = attribute_string(a, NFTA_SET_NAME);
        uint32_t flags = 0, key_size = 0, type = 0, value_size = 0;
        uint64_t timeout = 0;

        if (!name)
                return -EPROTO;
        if (!set)
                return -ENOMEM;
        /* each is absent where there is nothing to say */
        (void)attribute_u32(a, NFTA_SET_FLAGS, &flags);
        (void)attribute_u32(a, NFTA_SET_KEY_LEN, &key_size);
        (void)attribute_u32(a, NFTA_SET_DATA_TYPE, &type);
        (void)attribute_u32(a, NFTA_SET_DATA_LEN, &value_size);
        (void)attribute_u32(a, NFTA_SET_ID, &state->id);
        (void)attribute_u64(a, NFTA_SET_TIMEOUT, &timeout);
        if (key_size == 0 || key_size > WORLD_KEY_MAX || value_size > WORLD_KEY_MAX)
                return -EPROTO;
        set->table = table;
        set->name = arena_strdup(w->arena, name);
        set->is_map = flags & NFT_SET_MAP;
        set->is_verdict_map = set->is_map && type == NFT_DATA_VERDICT;
        set->interval = flags & NFT_SET_INTERVAL;
        set->dynamic = flags & NFT_SET_EVAL;
        set->key_size = (uint8_t)key_size;
        set->value_size = set->is_map && !set->is_verdict_map ? (uint8_t)value_size : 0;
        set->number = w->n_sets;
        if (!set->name)
                return -ENOMEM;
        if (set->interval && a->list[NFTA_SET_DESC] && decode_fields(set, a))
                set->concatenated = set->n_fields > 1;
        else if (set->interval && flags & NFT_SET_CONCAT)
                set->unknown = true;
        if (!set->concatenated) {
                set->n_fields = 1;
                set->fields[0] = set->key_size;
        }
        state->has_timeout = timeout > 0;
        w->sets[w->n_sets++] = set;
        return 0;
}

static SetState *
set_of_elements(const WorldDecoder *d, const WorldTable *table, const Attributes *a) {
        uint32_t id = 0;

        (void)attribute_u32(a, NFTA_SET_ELEM_LIST_SET_ID, &id); /* only in a batch */
        return world_find_set(d, table, attribute_string(a, NFTA_SET_ELEM_LIST_SET), id);
}

int world_count_elements(WorldDecoder *d, const WorldTable *table, const Attributes *a) {
        SetState *state = set_of_elements(d, table, a);
        const struct nlattr *attr;

        if (!state)
                return -EPROTO;
        if (a->list[NFTA_SET_ELEM_LIST_ELEMENTS])
                attribute_for_each_nested(attr, a->list[NFTA_SET_ELEM_LIST_ELEMENTS]) state->room++;
        return 0;
}

/* Whether the element's own expressions do nothing to the rule: counters, and nothing else. */
static bool only_counts(const Attributes *a) {
        const struct nlattr *attr;
        Attributes one;
        const char *name;

        if (a->list[NFTA_SET_ELEM_EXPR]) {
                attributes_inside(a, NFTA_SET_ELEM_EXPR, &one);
                name = attribute_string(&one, NFTA_EXPR_NAME);
                return name && (streq(name, "counter") || streq(name, "last"));
        }
        if (!a->list[NFTA_SET_ELEM_EXPRESSIONS])
                return true;
        attribute_for_each_nested(attr, a->list[NFTA_SET_ELEM_EXPRESSIONS]) {
                attributes_of(attr, &one);
                name = attribute_string(&one, NFTA_EXPR_NAME);
                if (!name || (!streq(name, "counter") && !streq(name, "last")))
                        return false;
        }
        return true;
}

/* False if the element's data is none that could be understood. */
static bool decode_value(WorldDecoder *d, WorldSet *set, const Attributes *a, WorldElement *e) {
        Attributes data;
        const void *value;
        uint8_t *copy;
        size_t size = 0;

        attributes_inside(a, NFTA_SET_ELEM_DATA, &data);
        if (set->is_verdict_map)
                return world_decode_verdict(d, set->table, &data, &e->verdict) == 0;
        value = attribute_bytes(&data, NFTA_DATA_VALUE, &size);
        if (!value || size != set->value_size)
                return false;
        copy = arena_alloc(d->world->arena, size);
        if (!copy) {
                d->error = -ENOMEM;
                return false;
        }
        memcpy(copy, value, size);
        e->value = copy;
        return true;
}

/* Of an interval set the end of a range is an element, too: here one without `high`. */
static void decode_keys(SetState *state, const Attributes *a, uint32_t flags, WorldElement *e) {
        WorldSet *set = state->set;
        uint8_t *low = state->low + set->n_elements * set->key_size;
        uint8_t *high = state->high + set->n_elements * set->key_size;
        const void *key, *end;
        size_t size = 0, end_size = 0;

        if (flags & NFT_SET_ELEM_CATCHALL) {
                e->catch_all = true;
                return;
        }
        key = attribute_value(a, NFTA_SET_ELEM_KEY, &size);
        end = attribute_value(a, NFTA_SET_ELEM_KEY_END, &end_size);
        if (!key || size != set->key_size || (end && (end_size != size || !set->interval))) {
                set->unknown = true;
                return;
        }
        memcpy(low, key, size);
        e->low = low;
        e->high = low;
        if (end && memcmp(key, end, size) != 0) {
                memcpy(high, end, size);
                e->high = high;
        } else if (flags & NFT_SET_ELEM_INTERVAL_END)
                e->high = NULL;
}

static int decode_element(WorldDecoder *d, SetState *state, const struct nlattr *attr) {
        WorldSet *set = state->set;
        WorldElement *e = &set->elements[set->n_elements];
        uint32_t flags = 0;
        Attributes a;

        attributes_of(attr, &a);
        (void)attribute_u32(&a, NFTA_SET_ELEM_FLAGS, &flags); /* absent: none */
        if (flags & NFT_SET_ELEM_INTERVAL_END && (!set->interval || set->concatenated)) {
                set->unknown = true;
                return 0;
        }
        decode_keys(state, &a, flags, e);
        if (!e->low && !e->catch_all)
                return 0;
        e->maybe = state->has_timeout || a.list[NFTA_SET_ELEM_TIMEOUT] ||
                   a.list[NFTA_SET_ELEM_EXPIRATION] || !only_counts(&a);
        if (set->is_map && !(flags & NFT_SET_ELEM_INTERVAL_END) &&
            (set->is_verdict_map || set->value_size > 0) && !decode_value(d, set, &a, e))
                set->unknown = true;
        set->n_elements++;
        return d->error;
}

int world_decode_elements(WorldDecoder *d, const WorldTable *table, const Attributes *a) {
        SetState *state = set_of_elements(d, table, a);
        const struct nlattr *attr;

        if (!state)
                return -EPROTO;
        if (!a->list[NFTA_SET_ELEM_LIST_ELEMENTS])
                return 0;
        attribute_for_each_nested(attr, a->list[NFTA_SET_ELEM_LIST_ELEMENTS]) {
                int r = decode_element(d, state, attr);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- order --- */

typedef struct Sort {
        WorldElement *from, *to;
        size_t n, key_size;
} Sort;

/* A stable pass over one byte of the keys; nothing if it is the same in all. */
static void sort_by_byte(Sort *s, size_t byte) {
        size_t starts[256] = {0}, sum = 0;
        WorldElement *swap;

        for (size_t i = 0; i < s->n; i++)
                starts[s->from[i].low[byte]]++;
        if (starts[s->from[0].low[byte]] == s->n)
                return;
        for (size_t i = 0; i < 256; i++) {
                size_t count = starts[i];

                starts[i] = sum;
                sum += count;
        }
        for (size_t i = 0; i < s->n; i++)
                s->to[starts[s->from[i].low[byte]]++] = s->from[i];
        swap = s->from;
        s->from = s->to;
        s->to = swap;
}

static bool is_sorted(const WorldElement *list, size_t n, size_t key_size) {
        for (size_t i = 1; i < n; i++)
                if (memcmp(list[i - 1].low, list[i].low, key_size) > 0)
                        return false;
        return true;
}

static int compare_pair(const void *a, const void *b, void *size) {
        const WorldElement *x = a, *y = b;

        return memcmp(x->low, y->low, *(size_t *)size);
}

static int sort_elements(WorldSet *set) {
        size_t key_size = set->key_size;
        Sort s = {.from = set->elements, .n = set->n_elements, .key_size = key_size};
        WorldElement *other;

        if (is_sorted(set->elements, set->n_elements, key_size))
                return 0;
        if (key_size > FIELDS_SHORT) { /* many bytes, and most elements differ in a few of them */
                qsort_r(set->elements, set->n_elements, sizeof(*other), compare_pair, &key_size);
                return 0;
        }
        other = calloc(set->n_elements, sizeof(*other));
        if (!other)
                return -ENOMEM;
        s.to = other;
        for (size_t i = key_size; i > 0; i--)
                sort_by_byte(&s, i - 1);
        if (s.from != set->elements)
                memcpy(set->elements, s.from, s.n * sizeof(*other));
        free(other);
        return 0;
}

static void decrement(uint8_t *key, size_t size) {
        for (size_t i = size; i > 0 && key[i - 1]-- == 0; i--)
                ;
}

/* Joins beginnings and ends, which are sorted, to ranges. Where one begins the one before it ends.
 */
static int join_ranges(Arena *arena, SetState *state) {
        static const uint8_t zero[WORLD_KEY_MAX];
        WorldSet *set = state->set;
        WorldElement *open = NULL;
        size_t n = 0, size = set->key_size;

        for (size_t i = 0; i < set->n_elements; i++) {
                WorldElement e = set->elements[i];
                uint8_t *high = state->high + (size_t)(e.low - state->low);

                if (open && memcmp(open->low, e.low, size) == 0 && e.high) {
                        set->unknown = true; /* two at one place */
                        continue;
                }
                if (open && memcmp(e.low, zero, size) != 0 && memcmp(open->low, e.low, size) != 0) {
                        /* the place in `high` that belongs to this key is free, as a boundary has
                         * none of its own */
                        memcpy(high, e.low, size);
                        decrement(high, size);
                        open->high = high;
                        open = NULL;
                }
                if (!e.high)
                        continue;
                if (e.high != e.low) {
                        set->elements[n++] = e;
                        continue;
                }
                open = &set->elements[n];
                set->elements[n++] = e;
        }
        if (open) { /* up to the last key there is */
                uint8_t *high = arena_alloc(arena, size);

                if (!high)
                        return -ENOMEM;
                memset(high, 0xff, size);
                open->high = high;
        }
        set->n_elements = n;
        return 0;
}

/* The catch-all goes to the end, out of the way. */
static size_t set_catch_all_aside(WorldSet *set, WorldElement *ret) {
        size_t n = 0, found = 0;

        for (size_t i = 0; i < set->n_elements; i++) {
                if (set->elements[i].catch_all) {
                        *ret = set->elements[i];
                        found++;
                } else
                        set->elements[n++] = set->elements[i];
        }
        set->n_elements = n;
        return found;
}

int world_finish_set(WorldDecoder *d, SetState *state) {
        WorldSet *set = state->set;
        WorldElement catch_all;
        size_t n_catch_all = set_catch_all_aside(set, &catch_all);
        int r;

        if (n_catch_all > 1)
                return -EPROTO;
        if (!set->concatenated && set->n_elements > 0) {
                r = sort_elements(set);
                if (r < 0)
                        return r;
                if (set->interval)
                        r = join_ranges(d->world->arena, state);
                if (r < 0)
                        return r;
                for (size_t i = 1; i < set->n_elements; i++)
                        if (memcmp(set->elements[i - 1].high, set->elements[i].low,
                                   set->key_size) >= 0)
                                return set->interval ? -EPROTO : -EAGAIN;
        }
        if (n_catch_all > 0)
                set->elements[set->n_elements++] = catch_all;
        for (size_t i = 0; i < set->n_elements && state->removes; i++)
                set->elements[i].maybe = true;
        return 0;
}
