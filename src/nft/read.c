/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter/nf_tables.h>
#include <time.h>

#include "nft/apply.h"
#include "nft/decode.h"

#define TRIES 12
#define PAUSE_MAX_MSEC 200

/* A set that is not listed: what it holds is that of a known one, or it is not known. */
typedef struct Unlisted {
        const char *name;
        const Set *same; /* or NULL */
} Unlisted;

typedef struct TableRead {
        NftLink *link;
        Arena *arena;
        const NftKnown *known;
        bool trusts; /* large sets are as they are known, unless their samples say otherwise */
        const Ruleset *shapes; /* the sets, without elements */
        NftBytes bytes;
        Unlisted *unlisted;
        size_t n_unlisted;
} TableRead;

/* 1 where the set is not to be listed. */
static int ask_large(TableRead *t, const char *name) {
        const Set *known = t->known->ruleset ? ruleset_find_set(t->known->ruleset, name) : NULL;
        const Set *live = ruleset_find_set(t->shapes, name);
        Unlisted u = {.name = name};
        int r;

        if (!known || !live || !large_set_can_check(live, known, !t->trusts))
                return 0;
        r = large_set_check(t->link, live, known, !t->trusts);
        if (r < 0)
                return r;
        if (r == 0 && live->n_told == 0)
                return 0; /* an older kernel: its list decides, and not how it answers */
        u.same = r > 0 ? known : NULL;
        u.name = live->name;
        return arena_append(t->arena, t->unlisted, t->n_unlisted, u) ? 1 : -ENOMEM;
}

static int dump_elements(const char *name, void *userdata) {
        TableRead *t = userdata;
        int r = ask_large(t, name);

        if (r == 0)
                r = nft_link_dump(t->link, NFT_MSG_GETSETELEM, RULESET_TABLE, name, &t->bytes);
        else if (r > 0)
                r = 0;
        return r == -ENOENT ? -EINTR : r; /* gone since the sets were listed */
}

static int dump_sets(TableRead *t) {
        _cleanup_(nft_bytes_done) NftBytes sets = {0};
        Ruleset *shapes;
        int r = nft_link_dump(t->link, NFT_MSG_GETSET, RULESET_TABLE, NULL, &sets);

        if (r < 0 || sets.size == 0)
                return r;
        r = decode_ruleset(t->arena, sets.data, sets.size, &shapes);
        if (r < 0)
                return r;
        t->shapes = shapes;
        r = nft_bytes_append(&t->bytes, sets.data, sets.size);
        return r == 0 ? decode_set_names(sets.data, sets.size, dump_elements, t) : r;
}

/* All messages about the table, which exists. */
static int dump_table(TableRead *t) {
        NftLink *link = t->link;
        NftBytes *bytes = &t->bytes;
        int r;

        r = nft_link_dump(link, NFT_MSG_GETCHAIN, RULESET_TABLE, NULL, bytes);
        if (r == 0)
                r = dump_sets(t);
        if (r == 0)
                r = nft_link_dump(link, NFT_MSG_GETOBJ, RULESET_TABLE, NULL, bytes);
        if (r == 0)
                r = nft_link_dump(link, NFT_MSG_GETRULE, RULESET_TABLE, NULL, bytes);
        return r == -ENOENT ? -EINTR : r;
}

static int decode_all(Arena *a, const NftBytes *bytes, const Ruleset *wanted, Ruleset **ret) {
        return decode_wanted(a, bytes->size > 0 ? (const void *)bytes->data : "", bytes->size,
                             wanted, ret);
}

static bool is_owned(const NftLink *link, const Ruleset *table) {
        return table->flags & NFT_TABLE_F_OWNER && table->owner == nft_link_port(link);
}

static void fill_unlisted(const TableRead *t, Ruleset *rs) {
        for (size_t i = 0; i < t->n_unlisted; i++) {
                Set *set = ruleset_find_set(rs, t->unlisted[i].name);
                const Set *same = t->unlisted[i].same;

                if (!set)
                        continue;
                set->is_unlisted = !same;
                set->elements = same ? same->elements : NULL;
                set->n_elements = same ? same->n_elements : 0;
        }
}

static int read_all(TableRead *t, Ruleset **ret) {
        NftLink *link = t->link;
        Ruleset *table;
        uint32_t before, after;
        int r;

        r = nft_link_generation(link, &before);
        if (r == 0)
                r = nft_link_dump(link, NFT_MSG_GETTABLE, NULL, NULL, &t->bytes);
        if (r == 0)
                r = decode_all(t->arena, &t->bytes, NULL, &table);
        if (r == 0 && table->exists) {
                t->trusts = (t->known->generation != 0 && t->known->generation == before) ||
                            (t->known->if_owned && is_owned(link, table));
                r = dump_table(t);
        }
        if (r == 0)
                r = nft_link_generation(link, &after);
        if (r < 0)
                return r;
        if (before != after)
                return -EINTR;
        r = decode_all(t->arena, &t->bytes, t->known->ruleset, ret);
        if (r < 0)
                return r == -EAGAIN ? -EINTR : r;
        fill_unlisted(t, *ret);
        (*ret)->generation = after;
        return 0;
}

/* Reads once. -EINTR if the kernel's rules changed meanwhile. */
static int read_once(NftLink *link, Arena *a, const NftKnown *known, Ruleset **ret) {
        TableRead t = {.link = link, .arena = a, .known = known};
        int r = read_all(&t, ret);

        nft_bytes_done(&t.bytes);
        return r;
}

int nft_read_table(NftLink *link, Arena *a, Ruleset **ret) {
        _cleanup_(nft_bytes_done) NftBytes bytes = {0};
        uint32_t before, after;
        int r = nft_link_generation(link, &before);

        if (r == 0)
                r = nft_link_dump(link, NFT_MSG_GETTABLE, NULL, NULL, &bytes);
        if (r == 0)
                r = nft_link_generation(link, &after);
        if (r == 0 && before != after)
                r = -EAGAIN;
        if (r == 0)
                r = decode_all(a, &bytes, NULL, ret);
        if (r == 0)
                (*ret)->generation = after;
        return r;
}

int nft_read_known(NftLink *link, Arena *a, const NftKnown *known, Ruleset **ret) {
        long pause_msec = 1;

        for (unsigned int i = 0; i < TRIES; i++) {
                struct timespec pause = {.tv_nsec = pause_msec * 1000 * 1000};
                int r = read_once(link, a, known, ret);

                if (r != -EINTR)
                        return r;
                (void)nanosleep(&pause, NULL); /* shorter does no harm */
                pause_msec = MIN(2 * pause_msec, (long)PAUSE_MAX_MSEC);
        }
        return -EBUSY;
}

int nft_read(NftLink *link, Arena *a, Ruleset **ret) {
        static const NftKnown nothing;

        return nft_read_known(link, a, &nothing, ret);
}

int nft_read_known_once(NftLink *link, Arena *a, const NftKnown *known, Ruleset **ret) {
        int r = read_once(link, a, known, ret);

        return r == -EINTR ? -EAGAIN : r;
}
