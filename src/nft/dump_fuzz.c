/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The input is what the kernel would send about links, addresses, routes, sockets and what is
 * attached beside, and of the table of bans: netlink messages in a row. The same bytes are a table
 * of the old iptables. */

#include <netinet/in.h>

#include "nft/attribute.h"
#include "nft/ban_decode.h"
#include "nft/commits.h"
#include "nft/executions.h"
#include "nft/legacy.h"
#include "nft/networks.h"
#include "nft/programs.h"
#include "nft/sockets.h"

#define LIMIT ((size_t)256 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken for a ban is one: it goes back into the same key. */
static int take_ban(const BanFound *f, void *to) {
        unsigned char key[BAN_KEY_MAX];
        BanSet set = ban_set_of(&f->entry);
        BanEntry again;

        if (!ban_key_parse(set, key, ban_key_put(set, &f->entry, key), &again) ||
            !u128_equal(again.address, f->entry.address) || again.port != f->entry.port)
                abort();
        return 0;
}

static void take_bans(const void *bytes, size_t size) {
        static const char *const names[] = {"hosts4", "hosts6", "nets4-24", "services4",
                                            "services6"};

        message_for_each(h, bytes, size) {
                const char *name = ban_decode_set_name(h);
                BanSet set;

                if (name)
                        (void)ban_set_parse(name, &set); /* only that it ends */
        }
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                BanDecoder d = {.take = take_ban};

                if (!ban_set_parse(names[i], &d.set) || ban_decode_elements(&d, bytes, size) < 0)
                        abort();
        }
}

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
        Execution execution;

        if (!a || !aligned)
                return 0;
        memcpy(aligned, data, size);
        for (Family f = 0; f < _FAMILY_MAX; f++)
                (void)legacy_parse(a, f, aligned, size, &table); /* only that it ends */
        take_bans(aligned, size);
        message_for_each(h, aligned, size) {
                (void)commit_parse(&commit, h);
                (void)executions_parse(h, &execution);
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
