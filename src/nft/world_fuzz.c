/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The input is what the kernel would send about rules, and about what lies around them: netlink
 * messages in a row. */

#include "nft/attribute.h"
#include "nft/world_read.h"
#include "world/print.h"
#include "world/published.h"
#include "world/walk.h"

#define LIMIT ((size_t)256 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the rules are, a packet comes to an end. */
static void walk(const World *w, Family family) {
        _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
        WorldFields f = {.family = family,
                         .protocol = 6,
                         .source = u128(0x0a280a02),
                         .destination = u128(0x0a280a01),
                         .destination_port = 443};
        WorldPacket p = {.in = "eth0", .routing = WORLD_ROUTED_HERE};
        WorldWalk result;

        world_packet_fill(&p, &f);
        if (world_walker_new(w, &walker) == 0)
                (void)world_walk(walker, &p, &result); /* only that it ends */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(arena_freep) Arena *a = arena_new(LIMIT);
        _cleanup_free_ void *aligned = malloc(MAX(size, 1UL));
        _cleanup_fclose_ FILE *sink = fopen("/dev/null", "w");
        World *w, around = {.arena = a};
        Published *published;
        size_t n;

        if (!a || !aligned || !sink)
                return 0;
        memcpy(aligned, data, size);
        if (world_decode(a, aligned, size, &w) == 0) {
                world_print(w, sink);
                walk(w, FAMILY_IPV4);
                walk(w, FAMILY_IPV6);
                (void)published_find(w, a, &published, &n); /* likewise */
        }
        message_for_each(h, aligned, size) if (world_take_surroundings(h, &around) < 0) return 0;
        return 0;
}
