/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/cover.h"

/* Ranges of one key on one axis; a key that has more is found as if it had them all. */
#define INDEXED_MAX 32
#define PROBED_MAX 1000 /* ranges of a key, of which a few are asked for */
#define MEMO_MIN 16     /* ranges of a region from which on an answer is worth remembering */

/* Axes of a side; the first two are the families. */
#define AXIS_INTERFACE _FAMILY_MAX

/* Axes of an owner. */
#define AXIS_USER 0
#define AXIS_GROUP 1

static const Range whole_line = {U128_ZERO, U128_MAX};

static Side side_of(const Cover *c, const PolicyRule *rule, Dimension dimension) {
        bool outbound = c->section == SECTION_OUTBOUND, client = dimension == DIMENSION_CLIENT;

        return (Side){
                .zones = client ? &rule->from : &rule->to,
                .except = client != outbound ? &rule->except : NULL,
                .interfaces = client ? &rule->in : &rule->out,
        };
}

Side cover_key_side(const Cover *c, const Key *key) {
        return side_of(c, key->rule, key->dimension);
}

/* ---- what is written alike has one key */

static uint64_t mix(uint64_t hash, uint64_t word) {
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        return hash ^ hash >> 29;
}

static uint64_t hash_set(uint64_t hash, const RangeSet *set) {
        for (size_t i = 0; i < set->n_items; i++) {
                const Range *r = &set->items[i];

                hash = mix(mix(hash, r->low.high), r->low.low);
                hash = mix(mix(hash, r->high.high), r->high.low);
        }
        return mix(hash, set->n_items);
}

static uint64_t hash_zones(uint64_t hash, const ZoneExpression *e) {
        for (size_t i = 0; i < e->n_terms; i++) {
                const ZoneTerm *t = &e->terms[i];
                const RangeSet written = {&e->terms[i].range, 1};

                hash = t->zone ? mix(hash, (uintptr_t)t->zone) : hash_set(hash, &written);
        }
        return mix(hash, e->n_terms);
}

static uint64_t hash_factor(const Cover *c, const PolicyRule *rule, Dimension dimension) {
        uint64_t hash = mix(0, (uint64_t)dimension);
        Side side;

        switch (dimension) {
        case DIMENSION_SERVICE:
                for (ServiceClass i = 0; i < _SERVICE_CLASS_MAX; i++)
                        hash = hash_set(hash, service_set_class_const(&rule->services.set, i));
                break;
        case DIMENSION_CLIENT:
        case DIMENSION_SERVER:
                side = side_of(c, rule, dimension);
                hash = hash_set(hash_zones(hash, side.zones), side.interfaces);
                hash = side.except ? hash_zones(hash, side.except) : hash;
                break;
        case DIMENSION_OWNER:
                hash = hash_set(hash_set(hash, &rule->users), &rule->groups);
                break;
        case _DIMENSION_MAX:
                break;
        }
        return hash;
}

static bool same_services(const ServiceSet *x, const ServiceSet *y) {
        for (ServiceClass i = 0; i < _SERVICE_CLASS_MAX; i++)
                if (!range_set_equal(service_set_class_const(x, i), service_set_class_const(y, i)))
                        return false;
        return x->any == y->any;
}

static bool same_zones(const ZoneExpression *x, const ZoneExpression *y) {
        if (x->restricts != y->restricts || x->n_terms != y->n_terms)
                return false;
        for (size_t i = 0; i < x->n_terms; i++) {
                const ZoneTerm *t = &x->terms[i], *u = &y->terms[i];

                if (t->zone != u->zone ||
                    (!t->zone && (t->family != u->family || !range_equal(t->range, u->range))))
                        return false;
        }
        return true;
}

static bool same_factor(const Cover *c, const Key *key, const PolicyRule *rule) {
        const PolicyRule *other = key->rule;
        Side x, y;

        switch (key->dimension) {
        case DIMENSION_SERVICE:
                return same_services(&other->services.set, &rule->services.set);
        case DIMENSION_CLIENT:
        case DIMENSION_SERVER:
                x = side_of(c, other, key->dimension);
                y = side_of(c, rule, key->dimension);
                return same_zones(x.zones, y.zones) &&
                       (!x.except || same_zones(x.except, y.except)) &&
                       range_set_equal(x.interfaces, y.interfaces);
        case DIMENSION_OWNER:
                return range_set_equal(&other->users, &rule->users) &&
                       range_set_equal(&other->groups, &rule->groups);
        case _DIMENSION_MAX:
                break;
        }
        return false;
}

/* Where they differ, what is asked of the index is the places that are meant in any case: whoever
 * covers the rule for certain has them for certain. */
static int build_certain(Cover *c, Key *key, const Side *side) {
        Region *certain;

        key->certain = &key->region;
        if (!key->moves)
                return 0;
        certain = arena_new0(c->arena, Region);
        key->certain = certain;
        return certain ? region_build(c->arena, side, BOUND_CERTAIN, certain) : -ENOMEM;
}

static int build_region(Cover *c, Key *key) {
        Side side = cover_key_side(c, key);
        size_t cost = side_cost(&side), n = 0;
        int r;

        key->moves = side_moves(&side);
        key->too_large = cost > COVER_RANGES_MAX - c->n_ranges;
        if (key->too_large)
                return 0; /* others may still have room */
        c->n_ranges += cost;
        r = region_build(c->arena, &side, BOUND_POSSIBLE, &key->region);
        if (r == 0)
                r = build_certain(c, key, &side);
        for (size_t i = 0; i < key->region.n_slices; i++)
                for (Family f = 0; f < _FAMILY_MAX; f++)
                        n += key->region.slices[i].addresses[f].n_items;
        key->n_ranges = (uint32_t)MIN(n, (size_t)UINT32_MAX);
        return r;
}

static int key_new(Cover *c, const PolicyRule *rule, Dimension dimension, Key **ret) {
        Key *key = arena_new0(c->arena, Key);

        if (!key || c->n_keys == UINT32_MAX || !arena_append(c->arena, c->keys, c->n_keys, key))
                return -ENOMEM;
        key->dimension = dimension;
        key->number = (uint32_t)(c->n_keys - 1);
        key->rule = rule;
        *ret = key;
        return dimension == DIMENSION_CLIENT || dimension == DIMENSION_SERVER ? build_region(c, key)
                                                                              : 0;
}

static uint32_t *find_slot(const Cover *c, const PolicyRule *rule, Dimension d, uint64_t hash) {
        size_t i = hash & (c->n_slots - 1);

        for (; c->slots[i] > 0; i = (i + 1) & (c->n_slots - 1)) {
                const Key *key = c->keys[c->slots[i] - 1];

                if (key->hash == hash && key->dimension == d && same_factor(c, key, rule))
                        break;
        }
        return &c->slots[i];
}

/* At most half of the slots are taken. */
static int make_room(Cover *c) {
        size_t n = MAX(c->n_slots, (size_t)64);
        uint32_t *slots;

        while (n < 2 * (c->n_keys + 1))
                n *= 2;
        if (n == c->n_slots)
                return 0;
        slots = calloc(n, sizeof(*slots));
        if (!slots)
                return -ENOMEM;
        for (size_t i = 0; i < c->n_keys; i++) {
                size_t slot = c->keys[i]->hash & (n - 1);

                while (slots[slot] > 0)
                        slot = (slot + 1) & (n - 1);
                slots[slot] = c->keys[i]->number + 1;
        }
        free(c->slots);
        c->slots = slots;
        c->n_slots = n;
        return 0;
}

int cover_key_find(Cover *c, const PolicyRule *rule, Dimension dimension, Key **ret) {
        uint64_t hash = hash_factor(c, rule, dimension);
        uint32_t *slot;
        int r = make_room(c);

        if (r < 0)
                return r;
        slot = find_slot(c, rule, dimension, hash);
        if (*slot > 0) {
                *ret = c->keys[*slot - 1];
                return 0;
        }
        r = key_new(c, rule, dimension, ret);
        if (r == 0) {
                (*ret)->hash = hash;
                *slot = (*ret)->number + 1;
        }
        return r;
}

/* ICMP belongs to one family, and so do its types in a list. */
static bool class_fits(ServiceClass class, Family family) {
        return class != (family == FAMILY_IPV4 ? SERVICE_ICMPV6 : SERVICE_ICMP);
}

bool cover_key_has_family(const Key *key, Family family) {
        switch (key->dimension) {
        case DIMENSION_SERVICE:
                for (ServiceClass i = 0; i < _SERVICE_CLASS_MAX; i++)
                        if (class_fits(i, family) &&
                            service_set_class_const(&key->rule->services.set, i)->n_items > 0)
                                return true;
                return key->rule->services.set.any;
        case DIMENSION_CLIENT:
        case DIMENSION_SERVER:
                return region_has_family(&key->region, family);
        case DIMENSION_OWNER:
        case _DIMENSION_MAX:
                break;
        }
        return true;
}

/* ---- does one contain the other? */

static bool services_cover(const ServiceSet *outer, const ServiceSet *inner, Family family) {
        if (outer->any || inner->any)
                return outer->any;
        for (ServiceClass i = 0; i < _SERVICE_CLASS_MAX; i++)
                if (class_fits(i, family) && !range_set_covers(service_set_class_const(outer, i),
                                                               service_set_class_const(inner, i)))
                        return false;
        return true;
}

static int places_cover(Cover *c, const Key *outer, const Key *inner, Family family) {
        CoverMemo *memo =
                &c->memos[(outer->number * 31 + inner->number * 2 + family) % COVER_MEMOS];
        bool worth = outer->moves || inner->moves || inner->n_ranges >= MEMO_MIN;
        Side outer_side, inner_side;
        int r;

        if (worth && memo->known && memo->outer == outer->number && memo->inner == inner->number &&
            memo->family == family)
                return memo->result;
        c->work += inner->n_ranges;
        if (outer->moves || inner->moves) {
                outer_side = cover_key_side(c, outer);
                inner_side = cover_key_side(c, inner);
                c->work += 10 + side_cost(&outer_side) + side_cost(&inner_side);
                r = side_covers(c->scratch, &outer_side, &inner_side, family);
        } else
                r = region_covers(c->scratch, &outer->region, &inner->region, family);
        arena_reset(c->scratch);
        if (worth && r >= 0)
                *memo = (CoverMemo){outer->number, inner->number, family, true, r > 0};
        return r;
}

/* No list of numbers is all numbers, and the kernel's own sockets have none. */
static bool owners_cover(const RangeSet *outer, const RangeSet *inner) {
        if (outer->n_items == 0 || inner->n_items == 0)
                return outer->n_items == 0;
        return range_set_covers(outer, inner);
}

int cover_key_covers(Cover *c, const Key *outer, const Key *inner, Family family) {
        if (outer == inner)
                return 1;
        switch (inner->dimension) {
        case DIMENSION_SERVICE:
                return services_cover(&outer->rule->services.set, &inner->rule->services.set,
                                      family);
        case DIMENSION_CLIENT:
        case DIMENSION_SERVER:
                return places_cover(c, outer, inner, family);
        case DIMENSION_OWNER:
                return owners_cover(&outer->rule->users, &inner->rule->users) &&
                       owners_cover(&outer->rule->groups, &inner->rule->groups);
        case _DIMENSION_MAX:
                break;
        }
        return 0;
}

/* ---- the index */

/* The union of what the key's slices have on an axis; from c->scratch if it is more than one. */
static int unite_slices(Cover *c, const Region *region, unsigned int axis, RangeSet *ret) {
        RangeSet all = {0};

        for (size_t i = 0; i < region->n_slices; i++) {
                const Slice *s = &region->slices[i];
                const RangeSet *set = axis == AXIS_INTERFACE ? &s->interfaces : &s->addresses[axis];

                if (region->n_slices == 1)
                        all = *set;
                else if (range_set_add_all(c->scratch, &all, set) < 0)
                        return -ENOMEM;
        }
        if (region->n_slices > 1)
                range_set_normalise(&all);
        *ret = all;
        return 0;
}

/* Once to count, once to fill. NULL: everything. */
static void
index_set(Cover *c, const Key *key, Role role, unsigned int axis, const RangeSet *set, bool fill) {
        IntervalIndex *index = &c->axes[role][key->dimension][axis];
        bool everything;

        if (set && set->n_items == 0)
                return;
        everything = !set || set->n_items > INDEXED_MAX ||
                     (set->n_items == 1 && range_equal(set->items[0], whole_line));

        if (!fill) {
                index->n_everywhere += everything;
                index->n_items += everything ? 0 : set->n_items;
                return;
        }
        if (everything)
                interval_index_add_everywhere(index, key->number);
        for (size_t i = 0; !everything && i < set->n_items; i++)
                interval_index_add(index, set->items[i], key->number);
}

static int index_place(Cover *c, const Key *key, Role role, bool fill) {
        int r = 0;

        for (unsigned int axis = 0; axis <= AXIS_INTERFACE && r == 0; axis++) {
                RangeSet set;

                r = unite_slices(c, key->certain, axis, &set);
                if (r == 0)
                        index_set(c, key, role, axis, &set, fill);
                if (key->certain->n_slices > 1)
                        arena_reset(c->scratch);
        }
        return r;
}

static int index_key(Cover *c, const Key *key, Role role, bool fill) {
        const PolicyRule *rule = key->rule;

        switch (key->dimension) {
        case DIMENSION_SERVICE:
                for (ServiceClass i = 0; i < _SERVICE_CLASS_MAX; i++)
                        index_set(c, key, role, (unsigned int)i,
                                  rule->services.set.any
                                          ? NULL
                                          : service_set_class_const(&rule->services.set, i),
                                  fill);
                break;
        case DIMENSION_CLIENT:
        case DIMENSION_SERVER:
                return index_place(c, key, role, fill);
        case DIMENSION_OWNER:
                index_set(c, key, role, AXIS_USER, rule->users.n_items > 0 ? &rule->users : NULL,
                          fill);
                index_set(c, key, role, AXIS_GROUP, rule->groups.n_items > 0 ? &rule->groups : NULL,
                          fill);
                break;
        case _DIMENSION_MAX:
                break;
        }
        return 0;
}

static int index_keys(Cover *c, bool fill) {
        int r = 0;

        for (Role role = 0; role < _ROLE_MAX; role++)
                for (size_t i = 0; i < c->n_keys && c->n_by_role[role] > 0 && r == 0; i++)
                        if (c->keys[i]->roles[role].n_entries > 0)
                                r = index_key(c, c->keys[i], role, fill);
        return r;
}

int cover_key_index_all(Cover *c) {
        IntervalIndex *axes = &c->axes[0][0][0];
        size_t n_axes = sizeof(c->axes) / sizeof(*axes);
        int r = index_keys(c, false);

        for (size_t i = 0; i < n_axes && r == 0; i++)
                r = interval_index_reserve(c->arena, &axes[i]);
        if (r == 0)
                r = index_keys(c, true);
        for (size_t i = 0; i < n_axes && r == 0; i++)
                interval_index_build(&axes[i]);
        return r;
}

/* ---- what to ask the index for */

typedef struct Probes {
        Probe *items;
        size_t n_items, limit;
} Probes;

static void add_probe(Probes *p, unsigned int axis, Range range) {
        if (p->n_items < p->limit)
                p->items[p->n_items++] = (Probe){axis, range};
}

/* Single values first: the fewest others have them, too. */
static void add_set(Probes *p, unsigned int axis, const RangeSet *set, size_t limit) {
        size_t n = MIN(set->n_items, (size_t)PROBED_MAX);

        p->limit = MIN(p->n_items + limit, (size_t)COVER_PROBES_MAX);
        for (int single = 1; single >= 0; single--)
                for (size_t i = 0; i < n && p->n_items < p->limit; i++)
                        if (range_is_single(set->items[i]) == (single > 0))
                                add_probe(p, axis, set->items[i]);
}

static void add_places(Probes *p, const Region *region, Family family) {
        for (size_t i = 0; i < region->n_slices; i++) {
                const Slice *s = &region->slices[i];

                if (s->addresses[family].n_items == 0)
                        continue;
                if (!range_equal(s->interfaces.items[0], whole_line))
                        add_set(p, AXIS_INTERFACE, &s->interfaces, 1);
                add_set(p, family, &s->addresses[family], 4);
                if (range_equal(s->interfaces.items[0], whole_line))
                        add_set(p, AXIS_INTERFACE, &s->interfaces, 1);
        }
}

/* None for a side of which nothing is certain. */
size_t cover_key_probes(const Key *key, Family family, Probe *ret) {
        Probes p = {.items = ret, .limit = COVER_PROBES_MAX};

        switch (key->dimension) {
        case DIMENSION_SERVICE:
                if (key->rule->services.set.any)
                        add_probe(&p, SERVICE_TCP, whole_line);
                for (ServiceClass i = 0; i < _SERVICE_CLASS_MAX; i++)
                        if (class_fits(i, family))
                                add_set(&p, (unsigned int)i,
                                        service_set_class_const(&key->rule->services.set, i), 3);
                break;
        case DIMENSION_CLIENT:
        case DIMENSION_SERVER:
                add_places(&p, key->certain, family);
                break;
        case DIMENSION_OWNER:
                for (unsigned int axis = AXIS_USER; axis <= AXIS_GROUP; axis++) {
                        const RangeSet *set =
                                axis == AXIS_USER ? &key->rule->users : &key->rule->groups;

                        if (set->n_items == 0)
                                add_probe(&p, axis, whole_line);
                        add_set(&p, axis, set, 3);
                }
                break;
        case _DIMENSION_MAX:
                break;
        }
        return p.n_items;
}
