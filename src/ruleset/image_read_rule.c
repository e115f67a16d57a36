/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/image_reader.h"

static bool fits(TypeId type, U128 value) {
        return u128_compare(value, u128_low_mask(types[type].bits)) <= 0;
}

static void read_ranges(ImageReader *r, TypeId type, RangeSet *ret) {
        size_t n = bytes_get_count(&r->bytes, 2 * type_size(type));

        ret->items = image_read_array(r, n, sizeof(Range));
        for (size_t i = 0; i < n && !r->bytes.wrong; i++) {
                Range range = {image_read_value(r, type), image_read_value(r, type)};

                if (u128_compare(range.low, range.high) > 0 || !fits(type, range.high) ||
                    (i > 0 && u128_compare(ret->items[i - 1].high, range.low) >= 0))
                        bytes_fail(&r->bytes, "ranges run backwards or overlap");
                ret->items[i] = range;
        }
        ret->n_items = r->bytes.wrong ? 0 : n;
}

static void read_source(ImageReader *r, Set *set) {
        SetSource *source = image_read_array(r, 1, sizeof(SetSource));
        TypeId type = set->types[0];

        if ((type != TYPE_IPV4_ADDR && type != TYPE_IPV6_ADDR) || set->n_types != 1 ||
            set->is_map || set->dynamic || !set->name)
                bytes_fail(&r->bytes, "a set of networks is none of addresses");
        if (!source)
                return;
        read_ranges(r, TYPE_IFNAME, &source->interfaces);
        read_ranges(r, type, &source->fixed);
        read_ranges(r, type, &source->without);
        source->of_address = bytes_get_bool(&r->bytes);
        if (source->of_address)
                source->address = image_read_value(r, type);
        set->source = source;
}

/* By the first field in which they differ, first by where the ranges begin. */
static int compare_keys(const Set *set, const Element *x, const Element *y) {
        int c = 0;

        for (size_t i = 0; i < set->n_types && c == 0; i++) {
                c = u128_compare(x->key[i].low, y->key[i].low);
                if (c == 0)
                        c = u128_compare(x->key[i].high, y->key[i].high);
        }
        return c;
}

static void read_element(ImageReader *r, const Set *set, Element *e, bool origins) {
        const unsigned char *wide = bytes_get(&r->bytes, 1);

        for (size_t i = 0; i < set->n_types && wide; i++) {
                Range *key = &e->key[i];

                key->low = key->high = image_read_value(r, set->types[i]);
                if (*wide & 1U << i)
                        key->high = image_read_value(r, set->types[i]);
                if (u128_compare(key->low, key->high) > 0 || !fits(set->types[i], key->high))
                        bytes_fail(&r->bytes, "an element's range runs backwards or is too wide");
                /* of the others the encoder finds out by itself */
                if (set->name && !set->interval && !range_is_single(*key))
                        bytes_fail(&r->bytes, "a set of single values holds a range");
        }
        if (set->is_map)
                e->verdict = image_read_verdict(r, true);
        if (origins)
                e->origin = image_read_origin(r);
}

static void read_elements(ImageReader *r, Set *set, bool origins) {
        size_t item = 1, n;

        for (size_t i = 0; i < set->n_types; i++)
                item += type_size(set->types[i]);
        n = bytes_get_count(&r->bytes, item);
        if (set->dynamic && n > 0)
                bytes_fail(&r->bytes, "a set lists what only the kernel adds");
        /* nobody adds elements to a set that is complete, so there is no room for more */
        set->elements =
                r->bytes.wrong ? NULL : arena_alloc_array(r->arena, MAX(n, 1UL), sizeof(Element));
        if (!set->elements) {
                bytes_fail(&r->bytes, "there is not enough memory");
                return;
        }
        for (size_t i = 0; i < n && !r->bytes.wrong; i++) {
                Element *e = &set->elements[i];

                read_element(r, set, e, origins);
                if (i > 0 && compare_keys(set, e - 1, e) >= 0)
                        bytes_fail(&r->bytes, "elements are not in order");
        }
        set->n_elements = r->bytes.wrong ? 0 : n;
}

static void read_set(ImageReader *r, Set *set, bool named) {
        uint64_t flags;

        set->name = named ? image_read_name(r, RULESET_NAME_MAX) : image_read_string(r);
        flags = bytes_get_number(&r->bytes, _IMAGE_SET_MAX - 1);
        set->is_map = flags & IMAGE_SET_MAP;
        set->interval = flags & IMAGE_SET_INTERVAL;
        set->counted = flags & IMAGE_SET_COUNTED;
        set->dynamic = flags & IMAGE_SET_DYNAMIC;
        set->n_types = bytes_get_number(&r->bytes, RULESET_FIELDS_MAX);
        if (set->n_types == 0 || (!named && (set->name || set->dynamic)))
                bytes_fail(&r->bytes, "a set of nothing, or a name where none belongs");
        for (size_t i = 0; i < set->n_types; i++) {
                set->types[i] = (TypeId)image_read_word(r, VOCABULARY_TYPES);
                if (named && !types[set->types[i]].name)
                        bytes_fail(&r->bytes, "a set with a name is of a type without one");
        }
        set->timeout = image_read_u32(r);
        set->room = image_read_u32(r);
        set->origin = image_read_origin(r);
        if (flags & IMAGE_SET_SOURCE)
                read_source(r, set);
        read_elements(r, set, flags & IMAGE_SET_ORIGINS);
}

void image_read_sets(ImageReader *r) {
        size_t n_named = bytes_get_count(&r->bytes, 8), n = bytes_get_count(&r->bytes, 8);
        Set *sets;

        n += n_named;
        sets = image_read_array(r, n, sizeof(Set));
        r->sets = image_read_array(r, n, sizeof(Set *));
        r->rs->sets = image_read_array(r, n_named, sizeof(Set *));
        for (size_t i = 0; i < n && !r->bytes.wrong; i++) {
                read_set(r, &sets[i], i < n_named);
                r->sets[i] = &sets[i];
                if (i < n_named)
                        r->rs->sets[i] = &sets[i];
        }
        r->n_sets = r->bytes.wrong ? 0 : n;
        r->rs->n_sets = r->bytes.wrong ? 0 : n_named;
}

static const Set *read_set_number(ImageReader *r) {
        size_t i = image_read_index(r, r->n_sets);

        return r->bytes.wrong ? NULL : r->sets[i];
}

static size_t read_fields(ImageReader *r, FieldId *ret) {
        size_t n = bytes_get_number(&r->bytes, RULESET_FIELDS_MAX);

        if (n == 0)
                bytes_fail(&r->bytes, "a match looks at nothing");
        for (size_t i = 0; i < n; i++)
                ret[i] = (FieldId)image_read_word(r, VOCABULARY_FIELDS);
        return n;
}

static U128 read_u128(ImageReader *r) {
        uint64_t high = bytes_get_number(&r->bytes, UINT64_MAX);

        return (U128){high, bytes_get_number(&r->bytes, UINT64_MAX)};
}

static void read_match(ImageReader *r, Match *m) {
        TypeId type;

        m->op = (MatchOp)image_read_word(r, VOCABULARY_OPS);
        m->n_fields = (__typeof__(m->n_fields))read_fields(r, m->fields);
        type = fields[m->fields[0]].type;
        switch (m->op) {
        case MATCH_IN:
        case MATCH_NOT_IN:
                m->set = read_set_number(r);
                if (m->set && m->set->is_map)
                        bytes_fail(&r->bytes, "a match looks into a map");
                break;
        case MATCH_BITS:
        case MATCH_NO_BITS:
                m->mask = read_u128(r);
                if (m->n_fields != 1 || !types[type].flags || u128_is_zero(m->mask) ||
                    !fits(type, m->mask))
                        bytes_fail(&r->bytes, "a match looks at bits that are none");
                break;
        case MATCH_UNKNOWN:
                bytes_fail(&r->bytes, "a match that nobody knows");
                break;
        }
}

static void read_statement(ImageReader *r, Statement *s) {
        s->kind = (StatementKind)image_read_word(r, VOCABULARY_STATEMENTS);
        s->limit = image_read_limit(r);
        s->connections = image_read_u32(r);
        s->text = image_read_text(r);
        if (bytes_get_bool(&r->bytes)) {
                s->set = read_set_number(r);
                s->field = (FieldId)image_read_word(r, VOCABULARY_FIELDS);
        }
        if (s->kind == STATEMENT_LIMIT && !image_limit_is_sound(s->limit))
                bytes_fail(&r->bytes, "a limit that limits nothing");
        if (s->kind == STATEMENT_NAMED_LIMIT && (!s->text || !ruleset_find_limit(r->rs, s->text)))
                bytes_fail(&r->bytes, "a limit that is missing");
}

static void read_target(ImageReader *r, Rule *rule) {
        NatTarget *target = image_read_array(r, 1, sizeof(NatTarget));

        if (!target)
                return;
        target->family = (Family)image_read_word(r, VOCABULARY_FAMILIES);
        target->address = read_u128(r);
        target->port = (uint16_t)bytes_get_number(&r->bytes, UINT16_MAX);
        if (!fits(target->family == FAMILY_IPV4 ? TYPE_IPV4_ADDR : TYPE_IPV6_ADDR, target->address))
                bytes_fail(&r->bytes, "an address is too long");
        rule->target = target;
}

/* Each takes a byte at least. */
static size_t read_some(ImageReader *r) {
        return bytes_get_number(
                &r->bytes, MIN((size_t)(r->bytes.end - r->bytes.at), (size_t)IMAGE_MATCHES_MAX));
}

static void read_statements(ImageReader *r, Rule *rule) {
        size_t n = read_some(r);

        rule->statements = image_read_array(r, n, sizeof(Statement));
        for (size_t i = 0; i < n && !r->bytes.wrong; i++)
                read_statement(r, &rule->statements[i]);
        rule->n_statements = (__typeof__(rule->n_statements))n;
}

static void read_rule(ImageReader *r, Rule *rule) {
        uint64_t flags = bytes_get_number(&r->bytes, _IMAGE_RULE_MAX - 1);
        size_t n;

        rule->counted = flags & IMAGE_RULE_COUNTED;
        rule->verdict = image_read_verdict(r, false);
        rule->origin = image_read_origin(r);
        n = read_some(r);
        if (n > 0)
                rule->matches = image_read_array(r, n, sizeof(Match));
        for (size_t i = 0; i < n && !r->bytes.wrong; i++)
                read_match(r, &rule->matches[i]);
        rule->n_matches = (__typeof__(rule->n_matches))n;
        if (flags & IMAGE_RULE_STATEMENTS)
                read_statements(r, rule);
        if (rule->verdict.kind == VERDICT_MAP) {
                rule->map = read_set_number(r);
                rule->n_map_fields =
                        (__typeof__(rule->n_map_fields))read_fields(r, rule->map_fields);
        }
        if (rule->verdict.kind == VERDICT_DNAT)
                read_target(r, rule);
}

void image_read_rules(ImageReader *r) {
        for (size_t i = 0; i < r->rs->n_chains && !r->bytes.wrong; i++) {
                Chain *chain = r->rs->chains[i];
                size_t n = chain->n_rules;

                chain->rules = n > 0 ? image_read_array(r, n, sizeof(Rule)) : NULL;
                for (size_t j = 0; j < n && !r->bytes.wrong; j++)
                        read_rule(r, &chain->rules[j]);
        }
}
