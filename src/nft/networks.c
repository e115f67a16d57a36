/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/networks.h"

/* What never counts: the narrowest that is too wide, and what lies within these. */
static const unsigned int shortest[_FAMILY_MAX] = {[FAMILY_IPV4] = 8, [FAMILY_IPV6] = 48};
static const char *const left_out[] = {"169.254.0.0/16", "224.0.0.0/4", "fe80::/10", "ff00::/8"};

static bool is_within(Range inner, Range outer) {
        return u128_compare(outer.low, inner.low) <= 0 && u128_compare(inner.high, outer.high) <= 0;
}

static bool counts(const HostRoute *route) {
        unsigned int length;

        if (!route->is_on_link ||
            !range_is_prefix(route->to, family_width(route->family), &length) ||
            length < shortest[route->family])
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(left_out); i++) {
                Family family;
                Range range;

                if (address_range_parse(left_out[i], &family, &range) == ADDRESS_OK &&
                    family == route->family && is_within(route->to, range))
                        return false;
        }
        return true;
}

static int compare(const void *a, const void *b) {
        const HostNetwork *x = a, *y = b;
        int r = u128_compare(x->interface, y->interface);

        if (r == 0 && x->family != y->family)
                r = x->family < y->family ? -1 : 1;
        if (r == 0)
                r = u128_compare(x->range.low, y->range.low);
        return r != 0 ? r : u128_compare(x->range.high, y->range.high);
}

/* One route with two metrics is one network. */
static size_t unique(HostNetwork *list, size_t n) {
        size_t kept = 0;

        for (size_t i = 0; i < n; i++)
                if (kept == 0 || compare(&list[kept - 1], &list[i]) != 0)
                        list[kept++] = list[i];
        return kept;
}

int networks_of(const HostNet *net, Arena *a, HostNetwork **ret, size_t *ret_n) {
        HostNetwork *list = NULL;
        size_t n = 0;

        for (size_t i = 0; i < net->n_routes; i++) {
                const HostRoute *route = &net->routes[i];
                const HostLink *link = routes_find_link(net, route->link);
                HostNetwork network = {.family = route->family, .range = route->to};

                if (!link || !counts(route)) /* no link: it came after the links were listed */
                        continue;
                network.interface = interface_value(link->name);
                if (!arena_append(a, list, n, network))
                        return -ENOMEM;
        }
        if (n > 0)
                qsort(list, n, sizeof(*list), compare);
        *ret = list;
        *ret_n = unique(list, n);
        return 0;
}

int networks_read(Arena *a, HostNetwork **ret, size_t *ret_n) {
        HostNet net;
        int r = routes_read(a, &net);

        return r < 0 ? r : networks_of(&net, a, ret, ret_n);
}
