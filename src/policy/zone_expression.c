/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

static int add_word(Loader *l, const Node *n, ZoneExpression *ret, bool *ret_anywhere) {
        ZoneTerm term = {.at = n->at};
        ZoneWord word;
        int r = zone_word_decode(l, n, &word);

        if (r < 0)
                return r;
        if (word.anywhere) {
                *ret_anywhere = true;
                return 0;
        }
        term.family = word.family;
        term.range = word.range;
        if (word.definition) {
                if (word.definition->broken)
                        return -EBADMSG;
                term.zone = word.definition->zone;
        }
        return arena_append(l->arena, ret->terms, ret->n_terms, term) ? 0 : -ENOMEM;
}

int zone_expression_decode(Loader *l, const NodeEntry *entry, ZoneExpression *ret) {
        const Node *n = entry->value;
        int result = schema_expect_value(entry, l->d), r;
        bool anywhere = false;

        if (result < 0)
                return result;
        *ret = (ZoneExpression){.at = n->at, .given = true};
        if (n->kind != NODE_SEQUENCE)
                result = add_word(l, n, ret, &anywhere);
        else if (n->n_items == 0)
                result = diag_error(l->d, n->at, "'%s' is an empty list", entry->key->text);
        for (size_t i = 0; i < n->n_items; i++) {
                r = add_word(l, n->items[i], ret, &anywhere);
                if (r < 0)
                        result = r;
                if (r == -ENOMEM)
                        return r;
        }
        ret->text = anywhere ? "anywhere" : words_join(l->arena, n);
        if (!ret->text)
                return -ENOMEM;
        if (anywhere) {
                ret->terms = NULL;
                ret->n_terms = 0;
        }
        ret->restricts = !anywhere;
        return result;
}

/* The box of z that has the interfaces of part, made if there is none. */
static ZonePart *find_part(Arena *a, Zone *z, const ZonePart *part) {
        ZonePart new = {.any_interface = part->any_interface, .interfaces = part->interfaces};

        for (size_t i = 0; i < MIN(z->n_parts, (size_t)ZONE_PARTS_MAX); i++)
                if (z->parts[i].any_interface == part->any_interface &&
                    range_set_equal(&z->parts[i].interfaces, &part->interfaces))
                        return &z->parts[i];
        return arena_append(a, z->parts, z->n_parts, new) ? &z->parts[z->n_parts - 1] : NULL;
}

static int flatten_term(Arena *a, const ZoneTerm *t, Zone *z) {
        static const ZonePart literal = {.any_interface = true};
        int r = 0;

        if (!t->zone) {
                ZonePart *p = find_part(a, z, &literal);

                return p ? range_set_add(a, &p->addresses[t->family], t->range) : -ENOMEM;
        }
        for (size_t i = 0; i < t->zone->n_parts && r == 0; i++) {
                const ZonePart *part = &t->zone->parts[i];
                ZonePart *p = find_part(a, z, part);

                if (!p)
                        return -ENOMEM;
                p->any_address |= part->any_address;
                for (Family f = 0; f < _FAMILY_MAX && r == 0; f++)
                        r = range_set_add_all(a, &p->addresses[f], &part->addresses[f]);
        }
        return r;
}

int zone_expression_flatten(Arena *a, const ZoneExpression *e, ZoneExpression *ret) {
        ZoneExpression flat = *e;
        Zone *z = arena_new0(a, Zone);
        int r = 0;

        flat.terms = arena_new0(a, ZoneTerm);
        if (!z || !flat.terms)
                return -ENOMEM;
        for (size_t i = 0; i < e->n_terms && r == 0; i++)
                r = flatten_term(a, &e->terms[i], z);
        for (size_t i = 0; i < z->n_parts; i++)
                for (Family f = 0; f < _FAMILY_MAX; f++)
                        range_set_normalise(&z->parts[i].addresses[f]);
        flat.terms->zone = z;
        flat.n_terms = e->n_terms > 0;
        *ret = flat;
        return r;
}

static bool
part_contains(const ZonePart *part, const U128 *interface, Family family, U128 address) {
        U128 name = interface ? *interface : INTERFACE_UNNAMED;

        if (!part->any_interface && !range_set_contains(&part->interfaces, name))
                return false;
        return part->any_address || range_set_contains(&part->addresses[family], address);
}

bool zone_contains(const Zone *z, const U128 *interface, Family family, U128 address) {
        for (size_t i = 0; i < z->n_parts; i++)
                if (part_contains(&z->parts[i], interface, family, address))
                        return true;
        return false;
}

static bool range_contains(Range r, U128 value) {
        return u128_compare(r.low, value) <= 0 && u128_compare(value, r.high) <= 0;
}

bool zone_expression_contains(const ZoneExpression *e,
                              const U128 *interface,
                              Family family,
                              U128 address) {
        if (!e->restricts)
                return true;
        for (size_t i = 0; i < e->n_terms; i++) {
                const ZoneTerm *t = &e->terms[i];

                if (t->zone ? zone_contains(t->zone, interface, family, address)
                            : t->family == family && range_contains(t->range, address))
                        return true;
        }
        return false;
}

bool zone_expression_has_family(const ZoneExpression *e, Family family) {
        if (!e->restricts)
                return true;
        for (size_t i = 0; i < e->n_terms; i++) {
                const Zone *z = e->terms[i].zone;

                if (!z && e->terms[i].family == family)
                        return true;
                for (size_t j = 0; z && j < z->n_parts; j++)
                        if (z->parts[j].any_address || z->parts[j].connected.n_items > 0 ||
                            z->parts[j].addresses[family].n_items > 0)
                                return true;
        }
        return false;
}

const ZoneTerm *zone_expression_find_interface(const ZoneExpression *e) {
        for (size_t i = 0; i < e->n_terms; i++) {
                const Zone *z = e->terms[i].zone;

                for (size_t j = 0; z && j < z->n_parts; j++)
                        if (!z->parts[j].any_interface)
                                return &e->terms[i];
        }
        return NULL;
}
