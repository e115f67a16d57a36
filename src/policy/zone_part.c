/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/loader.h"

/* A zone is a union of boxes, interfaces x addresses. Two boxes add up to one if their interfaces
 * are the same; a box taken out of another leaves two at most. */

static int count_ranges(Loader *l, Span at, const ZonePart *part) {
        for (Family f = 0; f < _FAMILY_MAX; f++)
                l->n_ranges += part->addresses[f].n_items;
        if (l->n_ranges > ZONE_RANGES_MAX)
                return diag_error(l->d, at, "the zones hold more than %d ranges together",
                                  ZONE_RANGES_MAX);
        return 0;
}

/* Whether one box can stand for both: what is taken away from connected networks is one set. */
static bool can_join(const ZonePart *x, const ZonePart *y) {
        if (x->any_interface != y->any_interface ||
            !range_set_equal(&x->interfaces, &y->interfaces))
                return false;
        if (x->connected.n_items == 0 || y->connected.n_items == 0)
                return true;
        return range_set_equal(&x->without[FAMILY_IPV4], &y->without[FAMILY_IPV4]) &&
               range_set_equal(&x->without[FAMILY_IPV6], &y->without[FAMILY_IPV6]);
}

int zone_part_set_listed(Arena *a, ZonePart *part) {
        if (part->listed)
                return 0;
        part->listed = true;
        for (Family f = 0; f < _FAMILY_MAX; f++)
                if (range_set_add_all(a, &part->certain[f], &part->addresses[f]) < 0 ||
                    range_set_add_all(a, &part->possible[f], &part->addresses[f]) < 0)
                        return -ENOMEM;
        return 0;
}

void zone_part_normalise_all(Zone *z) {
        for (size_t i = 0; i < z->n_parts; i++)
                for (Family f = 0; f < _FAMILY_MAX; f++) {
                        range_set_normalise(&z->parts[i].addresses[f]);
                        range_set_normalise(&z->parts[i].certain[f]);
                        range_set_normalise(&z->parts[i].possible[f]);
                }
}

/* What a list has no say in is both certain and possible. */
static const RangeSet *certain(const ZonePart *part, Family family) {
        return part->listed ? &part->certain[family] : &part->addresses[family];
}

static const RangeSet *possible(const ZonePart *part, Family family) {
        return part->listed ? &part->possible[family] : &part->addresses[family];
}

static int join_lists(Arena *a, ZonePart *to, const ZonePart *part) {
        int r = part->listed ? zone_part_set_listed(a, to) : 0;

        for (Family f = 0; f < _FAMILY_MAX && to->listed && r == 0; f++) {
                r = range_set_add_all(a, &to->certain[f], certain(part, f));
                if (r == 0)
                        r = range_set_add_all(a, &to->possible[f], possible(part, f));
        }
        return r;
}

/* Of what may be taken away nothing is certain. */
static int take_lists(Arena *a, ZonePart *part, const ZonePart *taken) {
        int r = taken->listed ? zone_part_set_listed(a, part) : 0;

        for (Family f = 0; f < _FAMILY_MAX && part->listed && r == 0; f++) {
                r = range_set_subtract(a, &part->certain[f], possible(taken, f), &part->certain[f]);
                if (r == 0)
                        r = range_set_subtract(a, &part->possible[f], certain(taken, f),
                                               &part->possible[f]);
        }
        return r;
}

static int join(Arena *a, ZonePart *to, const ZonePart *part) {
        int r = join_lists(a, to, part);

        if (r < 0)
                return r;

        to->any_address |= part->any_address;
        if (part->connected.n_items > 0) {
                if (to->connected.n_items == 0)
                        memcpy(to->without, part->without, sizeof(to->without));
                r = range_set_add_all(a, &to->connected, &part->connected);
                range_set_normalise(&to->connected);
        }
        for (Family f = 0; f < _FAMILY_MAX && r == 0; f++)
                r = range_set_add_all(a, &to->addresses[f], &part->addresses[f]);
        return r;
}

int zone_part_add(Loader *l, Zone *z, const ZonePart *part, Span at) {
        int r = count_ranges(l, at, part);

        if (r < 0)
                return r;
        for (size_t i = 0; i < z->n_parts; i++)
                if (can_join(&z->parts[i], part))
                        return join(l->arena, &z->parts[i], part);
        if (z->n_parts == ZONE_PARTS_MAX)
                return diag_error(l->d, at, "zone '%s' has more than %d combinations of interfaces",
                                  z->name, ZONE_PARTS_MAX);
        return arena_append(l->arena, z->parts, z->n_parts, *part) ? 0 : -ENOMEM;
}

/* A list that leaves nothing today may be another one tomorrow. */
static bool is_empty(const ZonePart *part) {
        if (!part->any_interface && part->interfaces.n_items == 0)
                return true;
        return !part->any_address && part->connected.n_items == 0 &&
               possible(part, FAMILY_IPV4)->n_items + possible(part, FAMILY_IPV6)->n_items == 0;
}

/* The box without the interfaces of another, and the part of it that has both's interfaces. */
static int
split(Arena *a, const ZonePart *part, const ZonePart *other, ZonePart *outside, ZonePart *common) {
        static Range all = {U128_ZERO, U128_MAX};
        static const RangeSet everything = {&all, 1};
        const RangeSet *own = part->any_interface ? &everything : &part->interfaces;
        int r;

        *outside = *common = *part;
        if (other->any_interface) {
                outside->any_interface = false;
                outside->interfaces = (RangeSet){0};
                return 0;
        }
        outside->any_interface = common->any_interface = false;
        r = range_set_subtract(a, own, &other->interfaces, &outside->interfaces);
        if (r == 0)
                r = range_set_intersect(a, own, &other->interfaces, &common->interfaces);
        return r;
}

static int take_addresses(Arena *a, ZonePart *part, const ZonePart *taken) {
        static Range all[_FAMILY_MAX] = {
                [FAMILY_IPV4] = {.high = {.low = UINT32_MAX}},
                [FAMILY_IPV6] = {.high = {UINT64_MAX, UINT64_MAX}},
        };
        int r = 0;

        if (taken->any_address) {
                part->any_interface = false;
                part->interfaces = (RangeSet){0};
                return 0;
        }
        if (part->any_address) {
                part->any_address = part->listed = false;
                for (Family f = 0; f < _FAMILY_MAX; f++) {
                        part->addresses[f] = (RangeSet){&all[f], 1};
                        part->certain[f] = part->possible[f] = (RangeSet){0};
                }
        }
        r = take_lists(a, part, taken);
        for (Family f = 0; f < _FAMILY_MAX && r == 0; f++) {
                RangeSet without = {0};

                r = range_set_subtract(a, &part->addresses[f], &taken->addresses[f],
                                       &part->addresses[f]);
                if (r == 0 && part->connected.n_items > 0) {
                        /* copied: the set may be another part's, too */
                        r = range_set_add_all(a, &without, &part->without[f]);
                        if (r == 0)
                                r = range_set_add_all(a, &without, &taken->addresses[f]);
                        range_set_normalise(&without);
                        part->without[f] = without;
                }
        }
        return r;
}

int zone_part_subtract(Loader *l, Zone *z, const ZonePart *taken, Span at) {
        const ZonePart *old = z->parts;
        size_t n_old = z->n_parts;
        int r = 0;

        z->parts = NULL;
        z->n_parts = 0;
        for (size_t i = 0; i < n_old && r == 0; i++) {
                ZonePart rest[2];

                r = split(l->arena, &old[i], taken, &rest[0], &rest[1]);
                if (r == 0)
                        r = take_addresses(l->arena, &rest[1], taken);
                for (size_t j = 0; j < ARRAY_SIZE(rest) && r == 0; j++)
                        if (!is_empty(&rest[j]))
                                r = zone_part_add(l, z, &rest[j], at);
        }
        zone_part_normalise_all(z);
        return r;
}
