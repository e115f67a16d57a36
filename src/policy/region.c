/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/cover.h"

/* A zone's boxes may overlap: to be compared they are cut along their interfaces, and all addresses
 * behind the same interfaces become one set. Names of interfaces are numbers here. Not every number
 * is a name, but sets are made of names and of beginnings of names: what one of them has more than
 * another is never without a name. */

typedef struct Box {
        const RangeSet *interfaces; /* NULL: any */
        RangeSet addresses[_FAMILY_MAX];
} Box;

typedef struct Boxes {
        Box *items; /* first what is meant, then what is taken away */
        size_t n_items, n_meant;
} Boxes;

static Range all_names = {U128_ZERO, U128_MAX};
static Range all_addresses[_FAMILY_MAX] = {
        [FAMILY_IPV4] = {.high = {.low = UINT32_MAX}},
        [FAMILY_IPV6] = {.high = {UINT64_MAX, UINT64_MAX}},
};

static bool part_moves(const ZonePart *p) {
        return !p->any_address && (p->listed || p->connected.n_items > 0);
}

static bool expression_moves(const ZoneExpression *e) {
        for (size_t i = 0; e && i < e->n_terms; i++)
                for (size_t j = 0; e->terms[i].zone && j < e->terms[i].zone->n_parts; j++)
                        if (part_moves(&e->terms[i].zone->parts[j]))
                                return true;
        return false;
}

bool side_moves(const Side *side) {
        return expression_moves(side->zones) || expression_moves(side->except);
}

static void
add_cost(const ZoneExpression *e, size_t *n_ranges, size_t *n_interfaces, size_t *n_boxes) {
        for (size_t i = 0; e && i < e->n_terms; i++) {
                const Zone *z = e->terms[i].zone;

                *n_boxes += z == NULL;
                *n_ranges += z == NULL;
                for (size_t j = 0; z && j < z->n_parts; j++) {
                        const ZonePart *p = &z->parts[j];

                        (*n_boxes)++;
                        *n_interfaces += p->interfaces.n_items;
                        for (Family f = 0; f < _FAMILY_MAX; f++)
                                *n_ranges += p->listed ? p->possible[f].n_items
                                                       : p->addresses[f].n_items;
                }
        }
}

size_t side_cost(const Side *side) {
        size_t n_ranges = 0, n_interfaces = 0, n_boxes = 0;

        add_cost(side->zones, &n_ranges, &n_interfaces, &n_boxes);
        add_cost(side->except, &n_ranges, &n_interfaces, &n_boxes);
        /* one box's sets are borrowed */
        return n_boxes > 1 ? n_ranges + n_interfaces * n_boxes : n_interfaces + 1;
}

/* Any address may be on link, but for those that are taken away in any case. */
static int add_networks(Arena *a, const ZonePart *p, Family family, RangeSet *ret) {
        RangeSet all = {&all_addresses[family], 1};
        int r;

        if (p->listed) {
                *ret = all;
                return 0;
        }
        r = range_set_subtract(a, &all, &p->without[family], ret);
        if (r == 0)
                r = range_set_add_all(a, ret, &p->fixed[family]);
        range_set_normalise(ret);
        return r;
}

/* What is on link now says nothing of tomorrow. */
static const RangeSet *fixed_addresses(const ZonePart *p, Family family) {
        return p->connected.n_items > 0 ? &p->fixed[family] : &p->addresses[family];
}

static int part_addresses(Arena *a, const ZonePart *p, Family family, Bound bound, RangeSet *ret) {
        if (p->any_address) {
                *ret = (RangeSet){&all_addresses[family], 1};
                return 0;
        }
        if (p->connected.n_items > 0 && bound == BOUND_POSSIBLE)
                return add_networks(a, p, family, ret);
        *ret = !p->listed                ? *fixed_addresses(p, family)
               : bound == BOUND_POSSIBLE ? p->possible[family]
                                         : p->certain[family];
        return 0;
}

static bool names_zone(const ZoneExpression *e, const Zone *z) {
        for (size_t i = 0; e && i < e->n_terms; i++)
                if (e->terms[i].zone == z)
                        return true;
        return false;
}

/* Addresses that the expression writes out; a single one is borrowed. */
static int copy_written(Arena *a, const ZoneExpression *e, Family family, RangeSet *ret) {
        RangeSet set = {0};

        for (size_t i = 0; i < e->n_terms; i++)
                if (!e->terms[i].zone && e->terms[i].family == family)
                        set = (RangeSet){&e->terms[i].range, set.n_items + 1};
        if (set.n_items > 1) {
                set = (RangeSet){arena_alloc_array(a, set.n_items, sizeof(Range)), 0};
                if (!set.items)
                        return -ENOMEM;
                for (size_t i = 0; i < e->n_terms; i++)
                        if (!e->terms[i].zone && e->terms[i].family == family)
                                set.items[set.n_items++] = e->terms[i].range;
                range_set_normalise(&set);
        }
        *ret = set;
        return 0;
}

static int collect_written(Arena *a, const ZoneExpression *e, Boxes *ret) {
        Box box = {0};

        for (Family f = 0; f < _FAMILY_MAX; f++)
                if (!e->restricts)
                        box.addresses[f] = (RangeSet){&all_addresses[f], 1};
                else if (copy_written(a, e, f, &box.addresses[f]) < 0)
                        return -ENOMEM;
        if (box.addresses[FAMILY_IPV4].n_items + box.addresses[FAMILY_IPV6].n_items == 0)
                return 0;
        return arena_append(a, ret->items, ret->n_items, box) ? 0 : -ENOMEM;
}

/* A zone that is among those of `skip` is left out. */
static int collect(Arena *a,
                   const ZoneExpression *e,
                   const ZoneExpression *const skip[2],
                   Bound bound,
                   Boxes *ret) {
        int r = collect_written(a, e, ret);

        for (size_t i = 0; i < e->n_terms && r == 0; i++) {
                const Zone *z = e->terms[i].zone;

                if (!z || names_zone(skip[0], z) || names_zone(skip[1], z))
                        continue;
                for (size_t j = 0; j < z->n_parts && r == 0; j++) {
                        const ZonePart *p = &z->parts[j];
                        Box box = {.interfaces = p->any_interface ? NULL : &p->interfaces};

                        for (Family f = 0; f < _FAMILY_MAX && r == 0; f++)
                                r = part_addresses(a, p, f, bound, &box.addresses[f]);
                        if (r == 0 && !arena_append(a, ret->items, ret->n_items, box))
                                r = -ENOMEM;
                }
        }
        return r;
}

/* The union of the sets of some boxes: borrowed if it is one. */
static int unite(Arena *a,
                 const Boxes *boxes,
                 size_t first,
                 size_t end,
                 const bool *chosen,
                 Family family,
                 RangeSet *ret) {
        const RangeSet *only = NULL;
        RangeSet all = {0};
        size_t n = 0;

        for (size_t i = first; i < end; i++)
                if ((!chosen || chosen[i]) && boxes->items[i].addresses[family].n_items > 0) {
                        only = &boxes->items[i].addresses[family];
                        n++;
                }
        for (size_t i = first; i < end && n > 1; i++)
                if ((!chosen || chosen[i]) &&
                    range_set_add_all(a, &all, &boxes->items[i].addresses[family]) < 0)
                        return -ENOMEM;
        range_set_normalise(&all);
        *ret = n == 1 ? *only : all;
        return 0;
}

/* What the chosen boxes leave; NULL: all of them. */
static int add_slice(
        Arena *a, const Boxes *boxes, const bool *chosen, const RangeSet *interfaces, Region *ret) {
        Slice slice = {.interfaces = *interfaces};

        for (Family f = 0; f < _FAMILY_MAX; f++) {
                RangeSet meant, taken;

                if (unite(a, boxes, 0, boxes->n_meant, chosen, f, &meant) < 0 ||
                    unite(a, boxes, boxes->n_meant, boxes->n_items, chosen, f, &taken) < 0)
                        return -ENOMEM;
                slice.addresses[f] = meant;
                if (taken.n_items > 0 &&
                    range_set_subtract(a, &meant, &taken, &slice.addresses[f]) < 0)
                        return -ENOMEM;
        }
        if (slice.addresses[FAMILY_IPV4].n_items + slice.addresses[FAMILY_IPV6].n_items == 0)
                return 0;
        return arena_append(a, ret->slices, ret->n_slices, slice) ? 0 : -ENOMEM;
}

static int compare_values(const void *a, const void *b) {
        const U128 *x = a, *y = b;

        return u128_compare(*x, *y);
}

/* Where the answer to "whose interface is it?" may change, sorted. */
static int find_cuts(Arena *a, const Boxes *boxes, const RangeSet *within, U128 **ret, size_t *n) {
        U128 *cuts = NULL;
        size_t n_cuts = 0, n_unique = 0;

        for (size_t i = 0; i <= boxes->n_items; i++) {
                const RangeSet *set = i == boxes->n_items ? within : boxes->items[i].interfaces;

                for (size_t j = 0; set && j < set->n_items; j++) {
                        Range r = set->items[j];

                        if (!arena_append(a, cuts, n_cuts, r.low) ||
                            (!u128_equal(r.high, U128_MAX) &&
                             !arena_append(a, cuts, n_cuts, u128_next(r.high))))
                                return -ENOMEM;
                }
        }
        if (n_cuts > 0) /* `within` has one at least */
                qsort(cuts, n_cuts, sizeof(*cuts), compare_values);
        for (size_t i = 0; i < n_cuts; i++)
                if (n_unique == 0 || !u128_equal(cuts[i], cuts[n_unique - 1]))
                        cuts[n_unique++] = cuts[i];
        *ret = cuts;
        *n = n_unique;
        return 0;
}

/* Interfaces that the same boxes have. */
typedef struct Group {
        bool *boxes;
        RangeSet interfaces;
} Group;

typedef struct Groups {
        Group *items;
        size_t n_items;
} Groups;

static int add_to_group(Arena *a, Groups *groups, const bool *boxes, size_t n_boxes, Range names) {
        Group *g = NULL, new = {0};

        for (size_t i = 0; i < groups->n_items && !g; i++)
                if (memcmp(groups->items[i].boxes, boxes, n_boxes) == 0)
                        g = &groups->items[i];
        if (!g) {
                new.boxes = arena_alloc(a, n_boxes);
                if (!new.boxes || !arena_append(a, groups->items, groups->n_items, new))
                        return -ENOMEM;
                g = &groups->items[groups->n_items - 1];
                memcpy(g->boxes, boxes, n_boxes);
        }
        return range_set_add(a, &g->interfaces, names);
}

static int group(Arena *a, const Boxes *boxes, const RangeSet *within, Groups *ret) {
        bool *has = arena_alloc(a, boxes->n_items);
        U128 *cuts = NULL;
        size_t n_cuts = 0;
        int r = has ? find_cuts(a, boxes, within, &cuts, &n_cuts) : -ENOMEM;

        for (size_t i = 0; i < n_cuts && r == 0; i++) {
                Range names = {cuts[i], U128_MAX};
                bool meant = false;

                if (i + 1 < n_cuts)
                        names.high = u128_previous(cuts[i + 1]);
                if (!range_set_contains(within, names.low))
                        continue;
                for (size_t j = 0; j < boxes->n_items; j++) {
                        const RangeSet *set = boxes->items[j].interfaces;

                        has[j] = !set || range_set_contains(set, names.low);
                        meant |= j < boxes->n_meant && has[j];
                }
                if (meant)
                        r = add_to_group(a, ret, has, boxes->n_items, names);
        }
        return r;
}

static int build_from_boxes(Arena *a, const Boxes *boxes, const RangeSet *within, Region *ret) {
        bool any_interface = true;
        Groups groups = {0};
        int r = 0;

        for (size_t i = 0; i < boxes->n_items; i++)
                any_interface &= boxes->items[i].interfaces == NULL;
        if (any_interface)
                return add_slice(a, boxes, NULL, within, ret);
        r = group(a, boxes, within, &groups);
        for (size_t i = 0; i < groups.n_items && r == 0; i++) {
                range_set_normalise(&groups.items[i].interfaces);
                r = add_slice(a, boxes, groups.items[i].boxes, &groups.items[i].interfaces, ret);
        }
        return r;
}

/* The usual case, without the boxes: addresses that the rule writes out, or anywhere. */
static int build_written(Arena *a, const ZoneExpression *e, const RangeSet *within, Region *ret) {
        Slice *slice = arena_new0(a, Slice);

        if (!slice)
                return -ENOMEM;
        slice->interfaces = *within;
        for (Family f = 0; f < _FAMILY_MAX; f++)
                if (!e->restricts)
                        slice->addresses[f] = (RangeSet){&all_addresses[f], 1};
                else if (copy_written(a, e, f, &slice->addresses[f]) < 0)
                        return -ENOMEM;
        *ret = (Region){slice, 1};
        return 0;
}

static bool is_written(const Side *side) {
        for (size_t i = 0; i < side->zones->n_terms; i++)
                if (side->zones->terms[i].zone)
                        return false;
        return (!side->except || !side->except->given) &&
               (!side->zones->restricts || side->zones->n_terms > 0);
}

int region_build(Arena *a, const Side *side, Bound bound, Region *ret) {
        RangeSet within = {&all_names, 1};
        const ZoneExpression *skip[2] = {side->except, side->without}, *none[2] = {NULL};
        Region region = {0};
        Boxes boxes = {0};
        int r;

        if (side->interfaces && side->interfaces->n_items > 0)
                within = *side->interfaces;
        if (is_written(side))
                return build_written(a, side->zones, &within, ret);
        r = collect(a, side->zones, skip, bound, &boxes);
        boxes.n_meant = boxes.n_items;
        if (r == 0 && side->except && side->except->given)
                r = collect(a, side->except, none,
                            bound == BOUND_CERTAIN ? BOUND_POSSIBLE : BOUND_CERTAIN, &boxes);
        if (r == 0)
                r = build_from_boxes(a, &boxes, &within, &region);
        *ret = region;
        return r;
}

bool region_has_family(const Region *region, Family family) {
        for (size_t i = 0; i < region->n_slices; i++)
                if (region->slices[i].addresses[family].n_items > 0)
                        return true;
        return false;
}

int region_covers(Arena *scratch, const Region *outer, const Region *inner, Family family) {
        for (size_t i = 0; i < inner->n_slices; i++) {
                const RangeSet *addresses = &inner->slices[i].addresses[family];
                RangeSet rest = inner->slices[i].interfaces;

                if (addresses->n_items == 0)
                        continue;
                for (size_t j = 0; j < outer->n_slices && rest.n_items > 0; j++) {
                        const Slice *s = &outer->slices[j];

                        if (!range_set_covers(&s->addresses[family], addresses))
                                continue;
                        if (range_set_covers(&s->interfaces, &rest))
                                rest.n_items = 0;
                        else if (range_set_subtract(scratch, &rest, &s->interfaces, &rest) < 0)
                                return -ENOMEM;
                }
                if (rest.n_items > 0)
                        return 0;
        }
        return 1;
}

static int overlaps(Arena *scratch, const Region *x, const Region *y, Family family) {
        for (size_t i = 0; i < x->n_slices; i++)
                for (size_t j = 0; j < y->n_slices; j++) {
                        const Slice *s = &x->slices[i], *t = &y->slices[j];
                        RangeSet names, addresses;

                        if (range_set_intersect(scratch, &s->interfaces, &t->interfaces, &names) <
                                    0 ||
                            range_set_intersect(scratch, &s->addresses[family],
                                                &t->addresses[family], &addresses) < 0)
                                return -ENOMEM;
                        if (addresses.n_items > 0 && names.n_items > 0)
                                return 1;
                }
        return 0;
}

/* Every interface that inner can have is one of outer's. */
static int interfaces_cover(Arena *scratch, const Side *outer, const Region *inner, Family family) {
        static const ZoneExpression anywhere = {0};
        Side side = {.zones = &anywhere, .interfaces = outer->interfaces};
        Region region;
        int r = region_build(scratch, &side, BOUND_CERTAIN, &region);

        return r < 0 ? r : region_covers(scratch, &region, inner, family);
}

/* A zone that both name means the same to both, whatever it holds. So what inner has from other
 * zones must be covered by what outer holds for certain; and outer must take nothing away from
 * inner but what inner takes away itself. */
int side_covers(Arena *scratch, const Side *outer, const Side *inner, Family family) {
        Side others = *inner, plain = *outer, taken = {.zones = outer->except};
        Region all, own, held, lost;
        int r;

        others.without = outer->zones;
        plain.except = NULL;
        taken.without = inner->except;
        if (region_build(scratch, inner, BOUND_POSSIBLE, &all) < 0 ||
            region_build(scratch, &others, BOUND_POSSIBLE, &own) < 0 ||
            region_build(scratch, &plain, BOUND_CERTAIN, &held) < 0)
                return -ENOMEM;
        r = interfaces_cover(scratch, outer, &all, family);
        if (r > 0)
                r = region_covers(scratch, &held, &own, family);
        if (r <= 0 || !outer->except || !outer->except->given)
                return r;
        if (region_build(scratch, &taken, BOUND_POSSIBLE, &lost) < 0)
                return -ENOMEM;
        r = overlaps(scratch, &all, &lost, family);
        return r < 0 ? r : !r;
}
