/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/cut_groups.h"

#include <netinet/in.h>

/* Groups are added one for each connection, and joined whenever the room is used up. */

static bool is_icmp(uint8_t protocol) {
        return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

static int compare_numbers(uint64_t x, uint64_t y) {
        return (x > y) - (x < y);
}

static int compare_addresses(U128 x, U128 y) {
        int r = compare_numbers(x.high, y.high);

        return r != 0 ? r : compare_numbers(x.low, y.low);
}

/* What makes a group. */
static int compare_keys(const void *x, const void *y) {
        const CutGroup *a = x, *b = y;
        int r = compare_numbers(a->way, b->way);

        if (r == 0)
                r = compare_numbers(a->family, b->family);
        if (r == 0)
                r = compare_numbers(a->protocol, b->protocol);
        if (r == 0)
                r = compare_numbers(a->port, b->port);
        if (r == 0)
                r = compare_addresses(a->source, b->source);
        return r != 0 ? r : compare_addresses(a->dialled, b->dialled);
}

static int compare_importance(const void *x, const void *y) {
        const CutGroup *a = x, *b = y;

        if (a->is_mine != b->is_mine)
                return a->is_mine ? -1 : 1;
        return a->n != b->n ? compare_numbers(b->n, a->n) : compare_keys(x, y);
}

static void join(CutGroups *g) {
        size_t n = 0;

        if (g->n_items > 1)
                qsort(g->items, g->n_items, sizeof(*g->items), compare_keys);
        for (size_t i = 0; i < g->n_items; i++) {
                CutGroup *last = n > 0 ? &g->items[n - 1] : NULL;

                if (last && compare_keys(last, &g->items[i]) == 0) {
                        last->n += g->items[i].n;
                        last->is_mine |= g->items[i].is_mine;
                } else {
                        g->items[n++] = g->items[i];
                }
        }
        g->n_items = n;
}

/* Joins, and lets go of the smallest groups past CUT_GROUPS_MAX. */
static void shrink(CutGroups *g) {
        cut_groups_finish(g);
        for (; g->n_items > CUT_GROUPS_MAX; g->n_items--)
                g->n_beyond += g->items[g->n_items - 1].n;
}

/* For twice as many as are kept, so that joining them is worth its while. */
static int make_room(CutGroups *g) {
        size_t room = MIN(g->room ? g->room * 2 : (size_t)256, (size_t)CUT_GROUPS_MAX * 2);
        CutGroup *items;

        if (g->n_items < g->room)
                return 0;
        if (g->room == (size_t)CUT_GROUPS_MAX * 2) {
                shrink(g);
                return 0;
        }
        items = reallocarray(g->items, room, sizeof(*items));
        if (!items)
                return -ENOMEM;
        g->items = items;
        g->room = room;
        return 0;
}

int cut_groups_add(CutGroups *g, const Connection *c, CutWay way, bool is_mine) {
        CutGroup group = {
                .way = way,
                .family = c->family,
                .protocol = c->protocol,
                .port = is_icmp(c->protocol) ? c->icmp_type : c->dialled_port,
                .is_mine = is_mine,
                .n = 1,
        };
        int r = make_room(g);

        if (r < 0)
                return r;
        if (way != CUT_WAY_OUT)
                group.source = c->source;
        if (way != CUT_WAY_IN)
                group.dialled = c->dialled;
        g->n++;
        g->items[g->n_items++] = group;
        return 0;
}

void cut_groups_finish(CutGroups *g) {
        join(g);
        if (g->n_items > 1)
                qsort(g->items, g->n_items, sizeof(*g->items), compare_importance);
}

void cut_groups_done(CutGroups *g) {
        free(g->items);
        *g = (CutGroups){0};
}
