/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/host.h"

#include "nft/bridges.h"
#include "nft/networks.h"

static bool follows_networks(const Ruleset *rs) {
        for (size_t i = 0; i < rs->n_sets; i++)
                if (rs->sets[i]->source)
                        return true;
        return false;
}

int nft_add_host(Arena *a, Ruleset *rs) {
        HostNetwork *networks = NULL;
        size_t n_networks = 0, n_bridges;
        Bridge *bridges;
        int r = nft_read_bridges(a, &bridges, &n_bridges);

        if (r == 0)
                r = ruleset_set_bridges(rs, bridges, n_bridges);
        if (r < 0 || !follows_networks(rs))
                return r;
        r = networks_read(a, &networks, &n_networks);
        return r < 0 ? r : ruleset_set_networks(rs, networks, n_networks);
}
