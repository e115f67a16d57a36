/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/image.h"
#include "ruleset/image_format.h"

/* What has been met already, in that order, found by a table with open addressing. */
typedef struct Pool {
        const void **items;
        size_t n_items;
        uint32_t *slots; /* an item's number plus one; 0 is empty */
        size_t n_slots;  /* a power of two, more than the items; or 0 */
        bool of_strings; /* else the pointers themselves are meant */
} Pool;

typedef struct Writer {
        const Ruleset *rs;
        ByteWriter head, sets, rules;
        Pool strings, set_pool;
        bool failed;  /* no memory */
        bool foreign; /* the ruleset holds what no image can */
} Writer;

static void writer_done(Writer *w) {
        Pool *pools[] = {&w->strings, &w->set_pool};

        byte_writer_done(&w->head);
        byte_writer_done(&w->sets);
        byte_writer_done(&w->rules);
        for (size_t i = 0; i < ARRAY_SIZE(pools); i++) {
                free(pools[i]->items);
                free(pools[i]->slots);
        }
}

static uint32_t pool_hash(const Pool *p, const void *item) {
        uint32_t hash = 2166136261U; /* FNV-1a */
        uint64_t address = (uint64_t)(uintptr_t)item;

        if (!p->of_strings) /* Fibonacci hashing: the upper bits are the mixed ones */
                return (uint32_t)(address * UINT64_C(0x9e3779b97f4a7c15) >> 32);
        for (const unsigned char *c = item; *c; c++)
                hash = (hash ^ *c) * 16777619U;
        return hash;
}

static uint32_t *pool_slot(const Pool *p, const void *item) {
        for (size_t i = pool_hash(p, item);; i++) {
                uint32_t *slot = &p->slots[i & (p->n_slots - 1)];
                const void *there = *slot ? p->items[*slot - 1] : NULL;

                if (!there || there == item || (p->of_strings && streq(there, item)))
                        return slot;
        }
}

static bool pool_grow(Pool *p) {
        size_t n_slots = MAX(p->n_slots * 2, (size_t)1024);
        const void **items = realloc(p->items, n_slots / 2 * sizeof(void *));
        uint32_t *slots = calloc(n_slots, sizeof(slots[0]));

        if (items)
                p->items = items;
        if (!items || !slots) {
                free(slots);
                return false;
        }
        free(p->slots);
        p->slots = slots;
        p->n_slots = n_slots;
        for (size_t i = 0; i < p->n_items; i++)
                *pool_slot(p, p->items[i]) = (uint32_t)i + 1;
        return true;
}

/* The item's number plus one, new or not; 0 without memory. */
static uint32_t pool_add(Pool *p, const void *item) {
        uint32_t *slot;

        if (p->n_items >= p->n_slots / 2 && !pool_grow(p))
                return 0;
        slot = pool_slot(p, item);
        if (*slot == 0) {
                p->items[p->n_items++] = item;
                *slot = (uint32_t)p->n_items;
        }
        return *slot;
}

static void put_string(Writer *w, ByteWriter *out, const char *s) {
        uint32_t number = s ? pool_add(&w->strings, s) : 0;

        w->failed |= s && number == 0;
        bytes_put_number(out, number);
}

static void put_word(Writer *w, ByteWriter *out, Vocabulary v, int value) {
        w->foreign |=
                value < 0 || (size_t)value >= image_n_words(v) || !image_word(v, (size_t)value);
        bytes_put_number(out, (uint64_t)value);
}

static void put_u128(ByteWriter *out, U128 value) {
        bytes_put_number(out, value.high);
        bytes_put_number(out, value.low);
}

static void put_origin(Writer *w, ByteWriter *out, Origin origin) {
        const Span *at = &origin.at;

        put_string(w, out, origin.text);
        put_string(w, out, at->source ? at->source->name : NULL);
        if (!at->source)
                return;
        bytes_put_number(out, at->line);
        bytes_put_number(out, at->column);
        bytes_put_number(out, at->length);
}

static void put_verdict(Writer *w, ByteWriter *out, Verdict verdict) {
        const Chain *chain = verdict.chain;

        put_word(w, out, VOCABULARY_VERDICTS, (int)verdict.kind);
        if (verdict.kind != VERDICT_JUMP && verdict.kind != VERDICT_GOTO)
                return;
        if (!chain || chain->scratch >= w->rs->n_chains || w->rs->chains[chain->scratch] != chain)
                w->foreign = true;
        else
                bytes_put_number(out, chain->scratch);
}

static void put_value(ByteWriter *out, TypeId type, U128 value) {
        unsigned char bytes[sizeof(U128)];

        u128_to_bytes(value, bytes, type_size(type));
        bytes_put(out, bytes, type_size(type));
}

static void put_ranges(ByteWriter *out, TypeId type, const RangeSet *set) {
        bytes_put_number(out, set->n_items);
        for (size_t i = 0; i < set->n_items; i++) {
                put_value(out, type, set->items[i].low);
                put_value(out, type, set->items[i].high);
        }
}

static void put_source(ByteWriter *out, const Set *set) {
        const SetSource *source = set->source;

        put_ranges(out, TYPE_IFNAME, &source->interfaces);
        put_ranges(out, set->types[0], &source->fixed);
        put_ranges(out, set->types[0], &source->without);
        bytes_put_number(out, source->of_address);
        if (source->of_address)
                put_value(out, set->types[0], source->address);
}

/* A byte says which of the key's ranges are of more than one value. */
static void put_element(Writer *w, const Set *set, const Element *e, bool origins) {
        unsigned char wide = 0;

        for (size_t i = 0; i < set->n_types; i++)
                if (!range_is_single(e->key[i]))
                        wide |= (unsigned char)(1U << i);
        bytes_put(&w->sets, &wide, 1);
        for (size_t i = 0; i < set->n_types; i++) {
                put_value(&w->sets, set->types[i], e->key[i].low);
                if (wide & 1U << i)
                        put_value(&w->sets, set->types[i], e->key[i].high);
        }
        if (set->is_map)
                put_verdict(w, &w->sets, e->verdict);
        if (origins)
                put_origin(w, &w->sets, e->origin);
}

static bool has_origins(const Set *set) {
        for (size_t i = 0; i < set->n_elements; i++)
                if (set->elements[i].origin.text || set->elements[i].origin.at.source)
                        return true;
        return false;
}

static void put_set(Writer *w, const Set *set) {
        ByteWriter *out = &w->sets;
        bool origins = !set->dynamic && has_origins(set);
        size_t n = set->dynamic ? 0 : set->n_elements;

        put_string(w, out, set->name);
        bytes_put_number(out, (set->is_map ? IMAGE_SET_MAP : 0U) |
                                      (set->interval ? IMAGE_SET_INTERVAL : 0U) |
                                      (set->counted ? IMAGE_SET_COUNTED : 0U) |
                                      (set->dynamic ? IMAGE_SET_DYNAMIC : 0U) |
                                      (set->source ? IMAGE_SET_SOURCE : 0U) |
                                      (origins ? IMAGE_SET_ORIGINS : 0U));
        bytes_put_number(out, set->n_types);
        for (size_t i = 0; i < set->n_types; i++)
                put_word(w, out, VOCABULARY_TYPES, (int)set->types[i]);
        bytes_put_number(out, set->timeout);
        bytes_put_number(out, set->room);
        put_origin(w, out, set->origin);
        if (set->source)
                put_source(out, set);
        bytes_put_number(out, n);
        for (size_t i = 0; i < n; i++)
                put_element(w, set, &set->elements[i], origins);
}

/* Sets without a name get their numbers as they are met. */
static void put_set_number(Writer *w, const Set *set) {
        uint32_t number = set ? pool_add(&w->set_pool, set) : 0;

        w->failed |= set && number == 0;
        w->foreign |= !set || (set->name && number > w->rs->n_sets);
        bytes_put_number(&w->rules, number - 1U);
}

static void put_fields(Writer *w, const FieldId *list, size_t n) {
        bytes_put_number(&w->rules, n);
        for (size_t i = 0; i < n; i++)
                put_word(w, &w->rules, VOCABULARY_FIELDS, (int)list[i]);
}

static void put_match(Writer *w, const Match *m) {
        put_word(w, &w->rules, VOCABULARY_OPS, (int)m->op);
        put_fields(w, m->fields, m->n_fields);
        switch (m->op) {
        case MATCH_IN:
        case MATCH_NOT_IN:
                put_set_number(w, m->set);
                break;
        case MATCH_BITS:
        case MATCH_NO_BITS:
                put_u128(&w->rules, m->mask);
                break;
        case MATCH_UNKNOWN:
                w->foreign = true;
                break;
        }
}

static void put_limit(ByteWriter *out, PacketLimit limit) {
        bytes_put_number(out, limit.number);
        bytes_put_number(out, limit.seconds);
        bytes_put_number(out, limit.burst);
}

static void put_statement(Writer *w, const Statement *s) {
        ByteWriter *out = &w->rules;

        put_word(w, out, VOCABULARY_STATEMENTS, (int)s->kind);
        put_limit(out, s->limit);
        bytes_put_number(out, s->connections);
        put_string(w, out, s->text);
        bytes_put_number(out, s->set != NULL);
        if (!s->set)
                return;
        put_set_number(w, s->set);
        put_word(w, out, VOCABULARY_FIELDS, (int)s->field);
}

static void put_rule(Writer *w, const Rule *rule) {
        ByteWriter *out = &w->rules;

        w->foreign |= rule->n_matches > IMAGE_MATCHES_MAX || rule->n_statements > IMAGE_MATCHES_MAX;
        bytes_put_number(out, (rule->counted ? IMAGE_RULE_COUNTED : 0U) |
                                      (rule->n_statements ? IMAGE_RULE_STATEMENTS : 0U));
        put_verdict(w, out, rule->verdict);
        put_origin(w, out, rule->origin);
        bytes_put_number(out, rule->n_matches);
        for (size_t i = 0; i < rule->n_matches; i++)
                put_match(w, &rule->matches[i]);
        if (rule->n_statements > 0)
                bytes_put_number(out, rule->n_statements);
        for (size_t i = 0; i < rule->n_statements; i++)
                put_statement(w, &rule->statements[i]);
        if (rule->verdict.kind == VERDICT_MAP) {
                put_set_number(w, rule->map);
                put_fields(w, rule->map_fields, rule->n_map_fields);
        }
        if (rule->verdict.kind == VERDICT_DNAT) {
                put_word(w, out, VOCABULARY_FAMILIES, (int)rule->target->family);
                put_u128(out, rule->target->address);
                bytes_put_number(out, rule->target->port);
        }
}

static void put_chain(Writer *w, const Chain *chain) {
        ByteWriter *out = &w->head;
        bool is_base = chain->hook != HOOK_NONE;

        put_string(w, out, chain->name);
        bytes_put_number(out, is_base);
        if (is_base) {
                put_word(w, out, VOCABULARY_HOOKS, (int)chain->hook);
                put_word(w, out, VOCABULARY_CHAINS, (int)chain->type);
                bytes_put_number(out, (uint64_t)((int64_t)chain->priority - INT32_MIN));
                bytes_put_number(out, chain->policy_drop);
        }
        put_origin(w, out, chain->origin);
        bytes_put_number(out, chain->n_rules);
}

/* What stands behind the strings; they are all met here. */
static void put_body(Writer *w) {
        const Ruleset *rs = w->rs;

        bytes_put_number(&w->head, rs->n_limits);
        for (size_t i = 0; i < rs->n_limits; i++) {
                put_string(w, &w->head, rs->limits[i].name);
                put_limit(&w->head, rs->limits[i].limit);
        }
        bytes_put_number(&w->head, rs->count_elements);
        bytes_put_number(&w->head, rs->n_chains);
        for (size_t i = 0; i < rs->n_chains; i++) {
                rs->chains[i]->scratch = i;
                put_chain(w, rs->chains[i]);
        }
        for (size_t i = 0; i < rs->n_sets; i++)
                w->failed |= pool_add(&w->set_pool, rs->sets[i]) == 0;
        for (size_t i = 0; i < rs->n_chains; i++)
                for (size_t j = 0; j < rs->chains[i]->n_rules; j++)
                        put_rule(w, &rs->chains[i]->rules[j]);
        if (w->failed || w->foreign)
                return;
        bytes_put_number(&w->head, rs->n_sets);
        bytes_put_number(&w->head, w->set_pool.n_items - rs->n_sets);
        for (size_t i = 0; i < w->set_pool.n_items; i++)
                put_set(w, w->set_pool.items[i]);
}

static void put_words(ByteWriter *out, Vocabulary v) {
        bytes_put_number(out, image_n_words(v));
        for (size_t i = 0; i < image_n_words(v); i++)
                bytes_put_string(out, image_word(v, i) ? image_word(v, i) : "");
}

static void put_features(ByteWriter *out, KernelFeatures features) {
        uint64_t n = 0;

        for (size_t i = 0; i < image_n_words(VOCABULARY_FEATURES); i++)
                n += *image_feature(&features, i);
        bytes_put_number(out, n);
        for (size_t i = 0; i < image_n_words(VOCABULARY_FEATURES); i++)
                if (*image_feature(&features, i))
                        bytes_put_number(out, i);
}

static void put_start(const Writer *w, ByteWriter *out, const KernelFeatures *features) {
        bytes_put(out, IMAGE_MAGIC, sizeof(IMAGE_MAGIC));
        bytes_put_number(out, IMAGE_VERSION);
        for (Vocabulary v = 0; v < _VOCABULARY_MAX; v++)
                put_words(out, v);
        put_features(out, *features);
        bytes_put_number(out, w->strings.n_items);
        for (size_t i = 0; i < w->strings.n_items; i++)
                bytes_put_string(out, w->strings.items[i]);
}

int ruleset_write_image(
        Arena *a, const Ruleset *rs, const KernelFeatures *features, void **ret, size_t *ret_size) {
        _cleanup_(writer_done) Writer w = {.rs = rs, .strings.of_strings = true};
        _cleanup_(byte_writer_donep) ByteWriter start = {0};
        ByteWriter *parts[] = {&start, &w.head, &w.sets, &w.rules};
        unsigned char *image;
        size_t size = 0;

        put_body(&w);
        put_start(&w, &start, features);
        if (w.foreign)
                return -EINVAL;
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
                w.failed |= parts[i]->failed;
                size += parts[i]->size;
        }
        image = w.failed ? NULL : arena_alloc(a, size);
        if (!image)
                return -ENOMEM;
        *ret = image;
        *ret_size = size;
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
                if (parts[i]->size > 0)
                        memcpy(image, parts[i]->bytes, parts[i]->size);
                image += parts[i]->size;
        }
        return 0;
}
