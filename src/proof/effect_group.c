/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/effect_state.h"

#include <netinet/in.h>

/* Rules about different services have no packet in common, so that none of them can cover the
 * other: what is asked of ten thousand rules is asked of a few at a time. */

#define CLASS_SPAN 65536 /* values of a class of services */

/* Services of an item, on one line: those of all classes one behind the other. */
typedef struct Stretch {
        uint32_t low, high;
        size_t item; /* in EffectList.sorted */
} Stretch;

typedef struct Stretches {
        Stretch *items; /* in arena */
        size_t n;
        Arena *arena;
} Stretches;

static int compare_stretches(const void *a, const void *b) {
        const Stretch *x = a, *y = b;

        if (x->low != y->low)
                return x->low < y->low ? -1 : 1;
        return x->item < y->item ? -1 : x->item > y->item;
}

static int compare_members(const void *a, const void *b) {
        const Stretch *x = a, *y = b;

        if (x->high != y->high)
                return x->high < y->high ? -1 : 1;
        return x->item < y->item ? -1 : x->item > y->item;
}

/* Whether all of the protocols have ports or types of their own on the line. */
static bool is_on_line(const RangeSet *protocols) {
        static const uint8_t told_apart[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP,
                                             IPPROTO_ICMPV6};

        for (size_t i = 0; i < ARRAY_SIZE(told_apart); i++)
                if (range_set_contains(protocols, u128(told_apart[i])))
                        return false;
        return true;
}

/* 1 if the item's services are on the line now, 0 if they are all there are, or -ENOMEM. */
static int add_services(Stretches *s, const ServiceSet *set, size_t item) {
        const RangeSet *classes[] = {&set->tcp,  &set->udp,    &set->sctp,
                                     &set->icmp, &set->icmpv6, &set->protocols};

        if (set->any || !is_on_line(&set->protocols))
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
                for (size_t j = 0; j < classes[i]->n_items; j++) {
                        Range r = classes[i]->items[j];
                        Stretch one = {(uint32_t)(i * CLASS_SPAN + r.low.low),
                                       (uint32_t)(i * CLASS_SPAN + r.high.low), item};

                        if (!arena_append(s->arena, s->items, s->n, one))
                                return -ENOMEM;
                }
        return 1;
}

static size_t find_root(size_t *parents, size_t i) {
        while (parents[i] != i) {
                parents[i] = parents[parents[i]];
                i = parents[i];
        }
        return i;
}

/* The smaller one stands for both. */
static void join(size_t *parents, size_t i, size_t j) {
        i = find_root(parents, i);
        j = find_root(parents, j);
        if (i < j)
                parents[j] = i;
        else
                parents[i] = j;
}

/* Joins all whose stretches meet. */
static void join_all(Stretches *s, size_t *parents) {
        uint32_t high = 0;

        if (s->n > 1)
                qsort(s->items, s->n, sizeof(s->items[0]), compare_stretches);
        for (size_t i = 0; i < s->n; i++) {
                if (i > 0 && s->items[i].low <= high)
                        join(parents, s->items[i - 1].item, s->items[i].item);
                high = MAX(high, s->items[i].high);
        }
}

static int make_groups(Effect *e, EffectList *l, Stretches *members) {
        size_t n = l->n_sorted;
        EffectItem **grouped = arena_alloc_array(e->arena, n + 1, sizeof(EffectItem *));

        l->groups = arena_alloc_array(e->arena, n + 1, sizeof(*l->groups));
        if (!grouped || !l->groups)
                return -ENOMEM;
        if (n > 1)
                qsort(members->items, n, sizeof(members->items[0]), compare_members);
        for (size_t i = 0; i < n; i++) {
                const Stretch *member = &members->items[i];
                EffectList *group;

                if (i == 0 || member->high != members->items[i - 1].high)
                        l->groups[l->n_groups++] = (EffectList){.sorted = grouped + i};
                group = &l->groups[l->n_groups - 1];
                grouped[i] = l->sorted[member->item];
                grouped[i]->group = group;
                group->n_sorted++;
        }
        return 0;
}

int effect_group(Effect *e, EffectList *l) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Stretches s = {.arena = a};
        size_t *parents = a ? arena_alloc_array(a, l->n_sorted + 1, sizeof(*parents)) : NULL;
        bool apart = true;

        if (!parents)
                return -ENOMEM;
        for (size_t i = 0; i < l->n_sorted; i++)
                parents[i] = i;
        for (size_t i = 0; i < l->n_sorted && apart; i++) {
                int r = add_services(&s, &l->sorted[i]->rule->services.set, i);

                if (r < 0)
                        return r;
                apart = r > 0;
        }
        if (apart)
                join_all(&s, parents);
        /* now one for each item, with the first item of its group */
        s.n = 0;
        for (size_t i = 0; i < l->n_sorted; i++) {
                Stretch one = {0, apart ? (uint32_t)find_root(parents, i) : 0, i};

                if (!arena_append(a, s.items, s.n, one))
                        return -ENOMEM;
        }
        return make_groups(e, l, &s);
}
