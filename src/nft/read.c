/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter/nf_tables.h>
#include <time.h>

#include "nft/apply.h"
#include "nft/decode.h"

#define TRIES 12
#define PAUSE_MAX_MSEC 200

typedef struct SetDump {
        NftLink *link;
        NftBytes *bytes;
} SetDump;

static int dump_elements(const char *name, void *userdata) {
        SetDump *dump = userdata;
        int r = nft_link_dump(dump->link, NFT_MSG_GETSETELEM, RULESET_TABLE, name, dump->bytes);

        return r == -ENOENT ? -EINTR : r; /* gone since the sets were listed */
}

/* All messages about the table, which exists. */
static int dump_table(NftLink *link, NftBytes *bytes) {
        _cleanup_(nft_bytes_done) NftBytes sets = {0};
        SetDump dump = {.link = link, .bytes = bytes};
        int r;

        r = nft_link_dump(link, NFT_MSG_GETCHAIN, RULESET_TABLE, NULL, bytes);
        if (r == 0)
                r = nft_link_dump(link, NFT_MSG_GETSET, RULESET_TABLE, NULL, &sets);
        if (r == 0 && sets.size > 0)
                r = nft_bytes_append(bytes, sets.data, sets.size);
        if (r == 0 && sets.size > 0)
                r = decode_set_names(sets.data, sets.size, dump_elements, &dump);
        if (r == 0)
                r = nft_link_dump(link, NFT_MSG_GETOBJ, RULESET_TABLE, NULL, bytes);
        if (r == 0)
                r = nft_link_dump(link, NFT_MSG_GETRULE, RULESET_TABLE, NULL, bytes);
        return r == -ENOENT ? -EINTR : r;
}

/* Leaves ret alone if nothing says so. */
static int table_exists(Arena *a, const NftBytes *bytes, bool *ret) {
        Ruleset *rs;
        int r;

        if (bytes->size == 0)
                return 0;
        r = decode_ruleset(a, bytes->data, bytes->size, &rs);
        if (r == 0)
                *ret = rs->exists;
        return r;
}

/* Reads once. -EINTR if the kernel's rules changed meanwhile. */
static int read_once(NftLink *link, Arena *a, Ruleset **ret) {
        _cleanup_(nft_bytes_done) NftBytes bytes = {0};
        uint32_t before, after;
        bool exists = false;
        int r;

        r = nft_link_generation(link, &before);
        if (r == 0)
                r = nft_link_dump(link, NFT_MSG_GETTABLE, NULL, NULL, &bytes);
        if (r == 0)
                r = table_exists(a, &bytes, &exists);
        if (r == 0 && exists)
                r = dump_table(link, &bytes);
        if (r == 0)
                r = nft_link_generation(link, &after);
        if (r < 0)
                return r;
        if (before != after)
                return -EINTR;
        r = decode_ruleset(a, bytes.size > 0 ? (const void *)bytes.data : "", bytes.size, ret);
        if (r == 0)
                (*ret)->generation = after;
        return r == -EAGAIN ? -EINTR : r;
}

int nft_read(NftLink *link, Arena *a, Ruleset **ret) {
        long pause_msec = 1;

        for (unsigned int i = 0; i < TRIES; i++) {
                struct timespec pause = {.tv_nsec = pause_msec * 1000 * 1000};
                int r = read_once(link, a, ret);

                if (r != -EINTR)
                        return r;
                (void)nanosleep(&pause, NULL); /* shorter does no harm */
                pause_msec = MIN(2 * pause_msec, (long)PAUSE_MAX_MSEC);
        }
        return -EBUSY;
}

int nft_read_once(NftLink *link, Arena *a, Ruleset **ret) {
        int r = read_once(link, a, ret);

        return r == -EINTR ? -EAGAIN : r;
}
