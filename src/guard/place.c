/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/place.h"

static bool contains(Range r, U128 value) {
        return u128_compare(r.low, value) <= 0 && u128_compare(value, r.high) <= 0;
}

static bool narrower(Range a, Range b) {
        U128 low = {a.high.high - a.low.high, 0}, other = {b.high.high - b.low.high, 0};

        if (low.high != other.high)
                return low.high < other.high;
        return a.high.low - a.low.low < b.high.low - b.low.low;
}

Place place_find(const HostNet *net, Family family, U128 address) {
        const HostRoute *best = NULL;
        const HostLink *link;
        Place place = {0};

        for (size_t i = 0; i < net->n_addresses; i++)
                if (net->addresses[i].family == family &&
                    u128_equal(net->addresses[i].address, address))
                        place.is_own = true;
        for (size_t i = 0; i < net->n_routes; i++) {
                const HostRoute *r = &net->routes[i];

                if (r->family == family && (r->is_default || contains(r->to, address)) &&
                    (!best || (best->is_default && !r->is_default) ||
                     (best->is_default == r->is_default && narrower(r->to, best->to))))
                        best = r;
        }
        link = best ? routes_find_link(net, best->link) : NULL;
        place.interface = link ? link->name : NULL;
        return place;
}
