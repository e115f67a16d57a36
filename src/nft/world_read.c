/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/world_read.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <time.h>

#include "nft/attribute.h"
#include "nft/ban_table.h"
#include "nft/difference.h"

#define TRIES 12
#define PAUSE_MAX_MSEC 200
#define BANS_LISTED_MAX ((size_t)2 << 20) /* bytes of a set's list */

/* What is read, and the sets of which nothing was. */
typedef struct Reading {
        NftLink *link;
        NftBytes bytes;
        Arena *arena;
        struct Unlisted {
                const char *table, *set;
                struct Unlisted *next;
        } * unlisted;
} Reading;

static void reading_done(Reading *x) {
        nft_bytes_done(&x->bytes);
}

int world_of_ruleset(Arena *a, const Ruleset *rs, World **ret) {
        _cleanup_(nft_batch_freep) NftBatch *b = nft_batch_new(1, 0);
        _cleanup_(arena_freep) Arena *scratch = arena_new(0);
        Ruleset *nothing = scratch ? ruleset_new(scratch) : NULL;
        NftChanges changes;
        int r;

        if (!b || !nothing)
                return -ENOMEM;
        nothing->exists = false;
        r = difference_encode(b, nothing, rs, false, &changes);
        if (r == 0)
                r = nft_batch_end(b, true);
        if (r < 0)
                return r;
        r = world_decode(a, b->bytes.data, b->bytes.size, ret);
        return r == -EAGAIN ? -EINVAL : r; /* what is sent is sent once */
}

static int leave_unlisted(Reading *x, const char *table, const char *set) {
        struct Unlisted *u = arena_new0(x->arena, struct Unlisted);

        if (!u)
                return -ENOMEM;
        *u = (struct Unlisted){arena_strdup(x->arena, table), arena_strdup(x->arena, set),
                               x->unlisted};
        x->unlisted = u;
        return u->table && u->set ? 0 : -ENOMEM;
}

/* Asks for the elements of a set of any family. */
static int dump_set(Reading *x, const struct nlmsghdr *h) {
        const struct nfgenmsg *g = mnl_nlmsg_get_payload(h);
        const char *table, *set;
        uint32_t flags = 0;
        Attributes a;
        int r;

        if (mnl_nlmsg_get_payload_len(h) < sizeof(*g))
                return -EPROTO;
        attributes_of_message(h, &a);
        table = attribute_string(&a, NFTA_SET_TABLE);
        set = attribute_string(&a, NFTA_SET_NAME);
        if (!table || !set)
                return -EPROTO;
        (void)attribute_u32(&a, NFTA_SET_FLAGS, &flags);
        if (g->nfgen_family != NFPROTO_INET || !ban_table_is(table) || flags & NFT_SET_MAP)
                return nft_link_dump_family(x->link, NFT_MSG_GETSETELEM, g->nfgen_family, table,
                                            set, &x->bytes);
        r = nft_link_dump_at_most(BANS_LISTED_MAX, NFT_MSG_GETSETELEM, NFPROTO_INET, table, set,
                                  &x->bytes);
        return r == -EFBIG ? leave_unlisted(x, table, set) : r;
}

static int dump_all(Reading *x) {
        _cleanup_(nft_bytes_done) NftBytes sets = {0};
        NftLink *link = x->link;
        NftBytes *bytes = &x->bytes;
        int r = nft_link_dump_family(link, NFT_MSG_GETTABLE, NFPROTO_UNSPEC, NULL, NULL, bytes);

        if (r == 0)
                r = nft_link_dump_family(link, NFT_MSG_GETCHAIN, NFPROTO_UNSPEC, NULL, NULL, bytes);
        if (r == 0)
                r = nft_link_dump_family(link, NFT_MSG_GETSET, NFPROTO_UNSPEC, NULL, NULL, &sets);
        if (r == 0 && sets.size > 0)
                r = nft_bytes_append(bytes, sets.data, sets.size);
        if (r == 0 && sets.size > 0)
                message_for_each(h, sets.data, sets.size) {
                        r = dump_set(x, h);
                        if (r < 0)
                                break;
                }
        if (r == 0)
                r = nft_link_dump_family(link, NFT_MSG_GETRULE, NFPROTO_UNSPEC, NULL, NULL, bytes);
        return r == -ENOENT ? -EINTR : r; /* something is gone since it was listed */
}

/* What was not read may hold anything, as one that the kernel fills. */
static void mark_unlisted(const Reading *x, World *w) {
        for (const struct Unlisted *u = x->unlisted; u; u = u->next)
                for (size_t i = 0; i < w->n_sets; i++)
                        if (w->sets[i]->table->family == NFPROTO_INET &&
                            streq(w->sets[i]->table->name, u->table) &&
                            streq(w->sets[i]->name, u->set))
                                w->sets[i]->dynamic = true;
}

/* Reads once. -EINTR if the kernel's rules changed meanwhile. */
static int read_once(NftLink *link, Arena *a, World **ret) {
        _cleanup_(reading_done) Reading x = {.link = link, .arena = a};
        uint32_t before, after;
        int r = nft_link_generation(link, &before);

        if (r == 0)
                r = dump_all(&x);
        if (r == 0)
                r = nft_link_generation(link, &after);
        if (r < 0)
                return r;
        if (before != after)
                return -EINTR;
        r = world_decode(a, x.bytes.size > 0 ? (const void *)x.bytes.data : "", x.bytes.size, ret);
        if (r == 0) {
                (*ret)->generation = after;
                mark_unlisted(&x, *ret);
        }
        return r == -EAGAIN ? -EINTR : r;
}

int world_read(NftLink *link, Arena *a, World **ret) {
        long pause_msec = 1;

        for (unsigned int i = 0; i < TRIES; i++) {
                struct timespec pause = {.tv_nsec = pause_msec * 1000 * 1000};
                World *w;
                int r = read_once(link, a, &w);

                if (r == 0)
                        r = world_read_surroundings(w);
                if (r == 0)
                        *ret = w;
                if (r != -EINTR)
                        return r;
                (void)nanosleep(&pause, NULL); /* shorter does no harm */
                pause_msec = MIN(2 * pause_msec, (long)PAUSE_MAX_MSEC);
        }
        return -EBUSY;
}
