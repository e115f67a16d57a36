/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/ruleset.h"

/* What a host adds to a compiled ruleset when it is loaded. */

static bool is_meant(const SetSource *source, const HostNetwork *network) {
        if (source->of_address)
                return u128_compare(network->range.low, source->address) <= 0 &&
                       u128_compare(source->address, network->range.high) <= 0;
        return range_set_contains(&source->interfaces, network->interface);
}

static Family family_of(TypeId type) {
        return type == TYPE_IPV4_ADDR ? FAMILY_IPV4 : FAMILY_IPV6;
}

static int fill(Arena *a, Set *set, const HostNetwork *networks, size_t n_networks) {
        const SetSource *source = set->source;
        RangeSet on_link = {0}, all = {0};

        for (size_t i = 0; i < n_networks; i++)
                if (networks[i].family == family_of(set->types[0]) &&
                    is_meant(source, &networks[i]) &&
                    range_set_add(a, &on_link, networks[i].range) < 0)
                        return -ENOMEM;
        range_set_normalise(&on_link);
        if (range_set_subtract(a, &on_link, &source->without, &all) < 0 ||
            range_set_add_all(a, &all, &source->fixed) < 0)
                return -ENOMEM;
        range_set_normalise(&all);
        set->elements = arena_alloc_array(a, MAX(all.n_items, 1UL), sizeof(Element));
        if (!set->elements)
                return -ENOMEM;
        for (size_t i = 0; i < all.n_items; i++)
                set->elements[i].key[0] = all.items[i];
        set->n_elements = all.n_items;
        return 0;
}

int ruleset_set_networks(Ruleset *rs, const HostNetwork *networks, size_t n_networks) {
        for (size_t i = 0; i < rs->n_sets; i++)
                if (rs->sets[i]->source && fill(rs->arena, rs->sets[i], networks, n_networks) < 0)
                        return -ENOMEM;
        return 0;
}

int ruleset_set_bridges(Ruleset *rs, const Bridge *bridges, size_t n_bridges) {
        Set *frames = ruleset_find_set(rs, RULESET_BRIDGE_FRAMES);
        Set *own = ruleset_find_set(rs, RULESET_BRIDGE_OWN);

        if (!frames || !own)
                return 0;
        frames->n_elements = own->n_elements = 0;
        frames->elements = own->elements = NULL;
        for (size_t i = 0; i < n_bridges; i++) {
                char name[16] = {0};
                Range key[2];

                (void)snprintf(name, sizeof(name), "%s", bridges[i].name);
                key[0] = key[1] = range_single(u128_from_bytes(name, sizeof(name)));
                if (!set_add_element(rs, frames, key))
                        return -ENOMEM;
                for (size_t j = 0; j < bridges[i].n_addresses; j++) {
                        key[1] = range_single(u128_from_bytes(bridges[i].addresses[j], 6));
                        if (!set_find(own, (U128[]){key[0].low, key[1].low}) &&
                            !set_add_element(rs, own, key))
                                return -ENOMEM;
                        set_sort(own);
                }
        }
        set_sort(frames);
        return 0;
}
