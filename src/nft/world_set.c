/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>

#include "nft/world_decoder.h"

/* Sets and their elements. */

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
        (void)attribute_u32(a, NFTA_SET_OBJ_TYPE, &state->object);
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

/* The attributes of an element that matter. There may be a million of them: no table of all. */
typedef struct ElementAttributes {
        const struct nlattr *key, *key_end, *data, *flags, *expr, *exprs;
        bool times_out;
} ElementAttributes;

static void element_attributes(const struct nlattr *nest, ElementAttributes *ret) {
        const struct nlattr *attr;

        *ret = (ElementAttributes){0};
        attribute_for_each_nested(attr, nest) {
                switch (mnl_attr_get_type(attr)) {
                case NFTA_SET_ELEM_KEY:
                        ret->key = attr;
                        break;
                case NFTA_SET_ELEM_KEY_END:
                        ret->key_end = attr;
                        break;
                case NFTA_SET_ELEM_DATA:
                        ret->data = attr;
                        break;
                case NFTA_SET_ELEM_FLAGS:
                        ret->flags = attr;
                        break;
                case NFTA_SET_ELEM_EXPR:
                        ret->expr = attr;
                        break;
                case NFTA_SET_ELEM_EXPRESSIONS:
                        ret->exprs = attr;
                        break;
                case NFTA_SET_ELEM_TIMEOUT:
                case NFTA_SET_ELEM_EXPIRATION:
                        ret->times_out = true;
                        break;
                }
        }
}

/* The value in a data attribute if it has that many bytes; else NULL. */
static const void *value_of(const struct nlattr *data, size_t size) {
        const struct nlattr *attr;

        if (data)
                attribute_for_each_nested(attr,
                                          data) if (mnl_attr_get_type(attr) == NFTA_DATA_VALUE &&
                                                    mnl_attr_get_payload_len(attr) ==
                                                            size) return mnl_attr_get_payload(attr);
        return NULL;
}

static uint32_t flags_of(const ElementAttributes *a) {
        uint32_t flags = 0;

        if (a->flags && mnl_attr_get_payload_len(a->flags) == sizeof(flags))
                memcpy(&flags, mnl_attr_get_payload(a->flags), sizeof(flags));
        return ntohl(flags);
}

/* Whether the element's own expressions do nothing to the rule: counters, and nothing else. */
static bool counts(const struct nlattr *expr) {
        const char *name;
        Attributes a;

        attributes_of(expr, &a);
        name = attribute_string(&a, NFTA_EXPR_NAME);
        return name && (streq(name, "counter") || streq(name, "last"));
}

static bool only_counts(const ElementAttributes *a) {
        const struct nlattr *attr;

        if (a->expr && !counts(a->expr))
                return false;
        if (a->exprs)
                attribute_for_each_nested(attr, a->exprs) if (!counts(attr)) return false;
        return true;
}

/* False if the element's data is none that could be understood. */
static bool
decode_value(WorldDecoder *d, WorldSet *set, const struct nlattr *data, WorldElement *e) {
        const void *value;
        uint8_t *copy;

        if (set->is_verdict_map) {
                Attributes a;

                attributes_of(data, &a);
                return world_decode_verdict(d, set->table, &a, &e->verdict) == 0;
        }
        value = value_of(data, set->value_size);
        if (!value)
                return false;
        copy = arena_alloc(d->world->arena, set->value_size);
        if (!copy) {
                d->error = -ENOMEM;
                return false;
        }
        memcpy(copy, value, set->value_size);
        e->value = copy;
        return true;
}

/* Of an interval set the end of a range is an element, too: here one without `high`. */
static void
decode_keys(SetState *state, const ElementAttributes *a, uint32_t flags, WorldElement *e) {
        WorldSet *set = state->set;
        size_t size = set->key_size;
        uint8_t *low = state->low + set->n_elements * size;
        uint8_t *high = state->high + set->n_elements * size;
        const void *key, *end;

        if (flags & NFT_SET_ELEM_CATCHALL) {
                e->catch_all = true;
                return;
        }
        key = value_of(a->key, size);
        end = value_of(a->key_end, size);
        if (!key || (a->key_end && (!end || !set->interval))) {
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
        ElementAttributes a;
        uint32_t flags;

        element_attributes(attr, &a);
        flags = flags_of(&a);
        if (flags & NFT_SET_ELEM_INTERVAL_END && (!set->interval || set->concatenated)) {
                set->unknown = true;
                return 0;
        }
        decode_keys(state, &a, flags, e);
        if (!e->low && !e->catch_all)
                return 0;
        e->maybe = state->has_timeout || a.times_out || !only_counts(&a);
        if (set->is_map && !(flags & NFT_SET_ELEM_INTERVAL_END) &&
            (set->is_verdict_map || set->value_size > 0) && !decode_value(d, set, a.data, e))
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

/* An element's key, as much of it as has room, and where the element stands. */
typedef struct Place {
        uint64_t key;
        size_t index;
} Place;

/* A stable pass over one byte of the keys; nothing if it is the same in all. */
static void sort_by_byte(Place **from, Place **to, size_t n, unsigned int shift) {
        size_t starts[256] = {0}, sum = 0;
        Place *swap = *from;

        for (size_t i = 0; i < n; i++)
                starts[(*from)[i].key >> shift & 0xff]++;
        if (starts[(*from)[0].key >> shift & 0xff] == n)
                return;
        for (size_t i = 0; i < 256; i++) {
                size_t count = starts[i];

                starts[i] = sum;
                sum += count;
        }
        for (size_t i = 0; i < n; i++)
                (*to)[starts[(*from)[i].key >> shift & 0xff]++] = (*from)[i];
        *from = *to;
        *to = swap;
}

static bool is_sorted(const WorldElement *list, size_t n, size_t key_size) {
        for (size_t i = 1; i < n; i++)
                if (memcmp(list[i - 1].low, list[i].low, key_size) > 0)
                        return false;
        return true;
}

static int compare_keys(const void *a, const void *b, void *size) {
        const WorldElement *x = a, *y = b;

        return memcmp(x->low, y->low, *(size_t *)size);
}

/* Keys of a few bytes, of which there may be a million: byte by byte. */
static int sort_short(Arena *arena, WorldSet *set) {
        size_t n = set->n_elements, bits = set->key_size * 8UL;
        _cleanup_free_ Place *one = calloc(n, sizeof(*one)), *other = calloc(n, sizeof(*other));
        WorldElement *sorted =
                arena_alloc_array(arena, n + 1, sizeof(*sorted)); /* and a catch-all */
        Place *from = one, *to = other;

        if (!one || !other || !sorted)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                for (size_t j = 0; j < set->key_size; j++)
                        one[i].key = one[i].key << 8 | set->elements[i].low[j];
                one[i].index = i;
        }
        for (unsigned int shift = 0; shift < bits; shift += 8)
                sort_by_byte(&from, &to, n, shift);
        for (size_t i = 0; i < n; i++)
                sorted[i] = set->elements[from[i].index];
        set->elements = sorted;
        return 0;
}

static int sort_elements(Arena *arena, WorldSet *set) {
        size_t key_size = set->key_size;

        if (is_sorted(set->elements, set->n_elements, key_size))
                return 0;
        if (key_size <= sizeof(uint64_t))
                return sort_short(arena, set);
        qsort_r(set->elements, set->n_elements, sizeof(set->elements[0]), compare_keys, &key_size);
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
                r = sort_elements(d->world->arena, set);
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
