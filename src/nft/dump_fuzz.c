/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The input is what the kernel would send about links, addresses, routes, sockets and what is
 * attached beside: netlink messages in a row. The same bytes are a table of the old iptables. */

#include <netinet/in.h>

#include "nft/attribute.h"
#include "nft/commits.h"
#include "nft/legacy.h"
#include "nft/networks.h"
#include "nft/programs.h"
#include "nft/sockets.h"

#define LIMIT ((size_t)256 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(arena_freep) Arena *a = arena_new(LIMIT);
        _cleanup_free_ void *aligned = malloc(MAX(size, 1UL));
        HostNet net = {.arena = a};
        HostSockets sockets = {0};
        Programs programs = {.arena = a};
        LegacyTable table;
        Commit commit = {0};
        HostNetwork *networks;
        size_t n;

        if (!a || !aligned)
                return 0;
        memcpy(aligned, data, size);
        for (Family f = 0; f < _FAMILY_MAX; f++)
                (void)legacy_parse(a, f, aligned, size, &table); /* only that it ends */
        message_for_each(h, aligned, size) {
                (void)commit_parse(&commit, h);
                if (programs_take_link(h, &programs) < 0 ||
                    programs_take_filter(h, "eth0", &programs) < 0 ||
                    programs_take_flowtable(h, &programs) < 0)
                        return 0;
                if (routes_take(h, &net) < 0 || sockets_take(a, IPPROTO_TCP, h, &sockets) < 0)
                        return 0;
        }
        routes_sort(&net);
        (void)networks_of(&net, a, &networks, &n); /* only that it ends */
        return 0;
}
