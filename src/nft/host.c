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

/* What this namespace has. */
typedef struct Surroundings {
        Bridge *bridges;
        size_t n_bridges;
        HostNetwork *networks;
        size_t n_networks;
} Surroundings;

static int look_around(Arena *a, const Ruleset *rs, Surroundings *ret) {
        int r = nft_read_bridges(a, &ret->bridges, &ret->n_bridges);

        if (r < 0 || !follows_networks(rs))
                return r;
        return networks_read(a, &ret->networks, &ret->n_networks);
}

/* Memory of a's may be freed before the ruleset's. */
static int fill(Arena *a, Ruleset *rs, const Surroundings *s) {
        Arena *own = rs->arena;
        int r;

        rs->arena = a;
        r = ruleset_set_bridges(rs, s->bridges, s->n_bridges);
        if (r == 0)
                r = ruleset_set_networks(rs, s->networks, s->n_networks);
        rs->arena = own;
        return r;
}

int nft_add_host(Arena *a, Ruleset *rs) {
        Surroundings s = {0};
        Set *before;
        int r = look_around(a, rs, &s);

        if (r < 0)
                return r;
        before = arena_alloc_array(a, MAX(rs->n_sets, 1UL), sizeof(*before));
        if (!before)
                return -ENOMEM;
        for (size_t i = 0; i < rs->n_sets; i++)
                before[i] = *rs->sets[i];
        r = fill(a, rs, &s);
        for (size_t i = 0; r < 0 && i < rs->n_sets; i++)
                *rs->sets[i] = before[i];
        return r;
}
