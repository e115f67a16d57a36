/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

/* Names for an interface that a policy does not name, and endings for one that a wildcard means. */
static const char *const endings = "01234567xyzabcdefghijklmnopqrstuvw89";

/* Addresses that make good examples, tried first: documentation, RFC 5737 and RFC 3849. */
static const char *const examples[] = {"203.0.113.9", "2001:db8::9"};

typedef struct Interfaces {
        RangeSet named; /* every range that an expression of the query has; not normalised */
        const char **names;
        size_t n_names;
} Interfaces;

/* Of all names but some, those are told that are left out. */
static int collect_names(Arena *a, const RangeSet *interfaces, RangeSet *ret) {
        RangeSet others = {0};

        if (!interface_set_is_open(interfaces))
                return range_set_add_all(a, ret, interfaces);
        if (interface_set_complement(a, interfaces, &others) < 0)
                return -ENOMEM;
        return range_set_add_all(a, ret, &others);
}

static int collect_expression(Arena *a, const ZoneExpression *e, RangeSet *ret) {
        for (size_t i = 0; e && i < e->n_terms; i++) {
                const Zone *z = e->terms[i].zone;

                for (size_t j = 0; z && j < z->n_parts; j++)
                        if (collect_names(a, &z->parts[j].interfaces, ret) < 0)
                                return -ENOMEM;
        }
        return 0;
}

static bool is_within(Range inner, Range outer) {
        return !range_equal(inner, outer) && u128_compare(outer.low, inner.low) <= 0 &&
               u128_compare(inner.high, outer.high) <= 0;
}

/* Whether the value belongs to r, but to no smaller range inside of it. */
static bool is_own(const RangeSet *named, Range r, U128 value) {
        if (u128_compare(value, r.low) < 0 || u128_compare(value, r.high) > 0)
                return false;
        for (size_t i = 0; i < named->n_items; i++) {
                Range s = named->items[i];

                if (is_within(s, r) && u128_compare(s.low, value) <= 0 &&
                    u128_compare(value, s.high) <= 0)
                        return false;
        }
        return true;
}

/* The name that the range's first number stands for, with a letter more if need be. */
static int add_name(Arena *a, Interfaces *set, Range r) {
        char name[18] = "";
        size_t len;

        u128_to_bytes(r.low, name, 16);
        len = strlen(name);
        for (const char *ending = endings; *ending && !range_is_single(r) && len < 15; ending++) {
                name[len] = *ending;
                if (is_own(&set->named, r, interface_value(name)))
                        break;
        }
        if (len > 0 && is_own(&set->named, r, interface_value(name))) {
                const char *copy = arena_strdup(a, name);

                if (!copy || !arena_append(a, set->names, set->n_names, copy))
                        return -ENOMEM;
        }
        return 0;
}

static int compare_range(const void *a, const void *b) {
        const Range *x = a, *y = b;
        int r = u128_compare(x->low, y->low);

        return r != 0 ? r : u128_compare(x->high, y->high);
}

static int interfaces_collect(Arena *a, const WitnessQuery *q, Interfaces *ret) {
        RangeSet *named = &ret->named;
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(q->inside) && r == 0; i++)
                r = collect_expression(a, q->inside[i], named);
        for (size_t i = 0; i < ARRAY_SIZE(q->outside) && r == 0; i++)
                r = collect_expression(a, q->outside[i], named);
        if (r == 0 && q->interfaces)
                r = range_set_add_all(a, named, q->interfaces);
        if (r < 0 || named->n_items == 0)
                return r;
        qsort(named->items, named->n_items, sizeof(Range), compare_range);
        for (size_t i = 0; i < named->n_items; i++)
                if (n == 0 || !range_equal(named->items[i], named->items[n - 1]))
                        named->items[n++] = named->items[i];
        named->n_items = n;
        for (size_t i = 0; i < n && r == 0; i++)
                r = add_name(a, ret, named->items[i]);
        return r;
}

/* Collects sets; the first one is borrowed, which makes the usual case cheap. */
typedef struct Union {
        Arena *arena;
        RangeSet set;
        bool borrowed;
} Union;

static int union_add(Union *u, const RangeSet *set) {
        RangeSet own = {0};

        if (set->n_items == 0)
                return 0;
        if (u->set.n_items == 0) {
                u->set = *set;
                u->borrowed = true;
                return 0;
        }
        if (u->borrowed) {
                if (range_set_add_all(u->arena, &own, &u->set) < 0)
                        return -ENOMEM;
                u->set = own;
                u->borrowed = false;
        }
        return range_set_add_all(u->arena, &u->set, set);
}

static void union_finish(Union *u) {
        if (!u->borrowed) /* what was borrowed is in order */
                range_set_normalise(&u->set);
}

/* Adds the addresses of one family that the expression means behind one interface. */
static int add_expression(Union *u, const ZoneExpression *e, const U128 *interface, Family family) {
        static const Range everything[_FAMILY_MAX] = {
                [FAMILY_IPV4] = {.high = {.low = UINT32_MAX}},
                [FAMILY_IPV6] = {.high = {UINT64_MAX, UINT64_MAX}},
        };
        RangeSet all = {0};
        int r = range_set_add(u->arena, &all, everything[family]);

        if (r == 0 && !e->restricts)
                return union_add(u, &all);
        for (size_t i = 0; i < e->n_terms && r == 0; i++) {
                const ZoneTerm *t = &e->terms[i];
                RangeSet single = {0};

                if (!t->zone && t->family == family) {
                        r = range_set_add(u->arena, &single, t->range);
                        if (r == 0)
                                r = union_add(u, &single);
                }
                for (size_t j = 0; t->zone && j < t->zone->n_parts && r == 0; j++) {
                        const ZonePart *p = &t->zone->parts[j];

                        if (p->any_interface ||
                            range_set_contains(&p->interfaces,
                                               interface ? *interface : INTERFACE_UNNAMED))
                                r = union_add(u, p->any_address ? &all : &p->addresses[family]);
                }
        }
        return r;
}

/* The range of the set that holds value, or NULL. */
static const Range *find_range(const RangeSet *set, U128 value) {
        size_t low = 0, high = set->n_items;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (u128_compare(value, set->items[middle].low) < 0)
                        high = middle;
                else if (u128_compare(value, set->items[middle].high) > 0)
                        low = middle + 1;
                else
                        return &set->items[middle];
        }
        return NULL;
}

/* An address in `inside` that is not in `outside`; one that reads well if there is one. What lies
 * directly above a range of `outside` cannot belong to its next one: they do not touch. */
static bool
find_address(const RangeSet *inside, const RangeSet *outside, Family family, U128 *ret) {
        Family example_family;
        const Range *hole;

        (void)address_parse(examples[family], &example_family, ret); /* they are well-formed */
        if (find_range(inside, *ret) && !find_range(outside, *ret))
                return true;
        for (size_t i = 0; i < inside->n_items; i++) {
                Range r = inside->items[i];

                *ret = (U128){r.low.high, r.low.low + 7};
                if (find_range(inside, *ret) && !find_range(outside, *ret))
                        return true;
                *ret = r.low;
                hole = find_range(outside, r.low);
                if (hole)
                        *ret = u128_next(hole->high);
                if (!hole || u128_compare(hole->high, r.high) < 0)
                        return true;
        }
        return false;
}

static int
find_behind(Arena *a, const WitnessQuery *q, const U128 *interface, Family family, Witness *ret) {
        Union outside = {.arena = a};
        RangeSet inside = {0};
        bool narrowed = false;
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(q->inside) && r == 0; i++) {
                Union u = {.arena = a};

                if (!q->inside[i])
                        continue;
                r = add_expression(&u, q->inside[i], interface, family);
                union_finish(&u);
                if (r == 0 && narrowed)
                        r = range_set_intersect(a, &inside, &u.set, &inside);
                else
                        inside = u.set;
                narrowed = true;
        }
        for (size_t i = 0; i < ARRAY_SIZE(q->outside) && r == 0; i++)
                if (q->outside[i] && q->outside[i]->given)
                        r = add_expression(&outside, q->outside[i], interface, family);
        union_finish(&outside);
        if (r < 0 || !find_address(&inside, &outside.set, family, &ret->address))
                return r;
        ret->family = family;
        return 1;
}

static int find_with(Arena *a, const WitnessQuery *q, const U128 *interface, Witness *ret) {
        int r = 0;

        for (Family f = 0; f < _FAMILY_MAX && r == 0; f++)
                if (q->families[f])
                        r = find_behind(a, q, interface, f, ret);
        return r;
}

int witness_find(Arena *scratch, const WitnessQuery *q, Witness *ret) {
        bool restricted = q->interfaces && q->interfaces->n_items > 0;
        Interfaces set = {0};
        int r = interfaces_collect(scratch, q, &set);

        if (r < 0)
                return r;
        ret->interface = NULL;
        if (!restricted) {
                r = find_with(scratch, q, NULL, ret);
                if (r != 0)
                        return r;
        }
        for (size_t i = 0; i < set.n_names; i++) {
                U128 interface = interface_value(set.names[i]);

                if (restricted && !range_set_contains(q->interfaces, interface))
                        continue;
                ret->interface = set.names[i];
                r = find_with(scratch, q, &interface, ret);
                if (r != 0)
                        return r;
        }
        return 0;
}
