/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>

#include "nft/ban_encoder.h"

#define NEST_SIZE_MAX 60000 /* bytes of elements in a message: a nest's length has 16 bits */

void ban_put_value(struct nlmsghdr *h, uint16_t type, const void *value, size_t size) {
        struct nlattr *nest = mnl_attr_nest_start(h, type);

        mnl_attr_put(h, NFTA_DATA_VALUE, size, value);
        mnl_attr_nest_end(h, nest);
}

void ban_put_counter(struct nlmsghdr *h, uint16_t type, uint64_t packets) {
        struct nlattr *nest = mnl_attr_nest_start(h, type), *data;

        mnl_attr_put_strz(h, NFTA_EXPR_NAME, "counter");
        data = mnl_attr_nest_start(h, NFTA_EXPR_DATA);
        if (packets > 0)
                mnl_attr_put_u64(h, NFTA_COUNTER_PACKETS, htobe64(packets));
        mnl_attr_nest_end(h, data);
        mnl_attr_nest_end(h, nest);
}

typedef struct List {
        NftBatch *batch;
        const char *set;
        bool removes;
        struct nlmsghdr *message; /* NULL: none is open */
        struct nlattr *nest;
} List;

static void list_close(List *l) {
        if (!l->message)
                return;
        mnl_attr_nest_end(l->message, l->nest);
        nft_batch_push(l->batch, &(NftSubject){.kind = SUBJECT_ELEMENTS, .removes = l->removes});
        l->message = NULL;
}

static struct nlattr *list_add(List *l) {
        uint16_t type = l->removes ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM;

        if (l->message && l->message->nlmsg_len > NEST_SIZE_MAX)
                list_close(l);
        if (!l->message) {
                l->message = nft_batch_start(l->batch, type, l->removes ? 0 : NLM_F_CREATE);
                mnl_attr_put_strz(l->message, NFTA_SET_ELEM_LIST_TABLE, l->batch->table);
                mnl_attr_put_strz(l->message, NFTA_SET_ELEM_LIST_SET, l->set);
                l->nest = mnl_attr_nest_start(l->message, NFTA_SET_ELEM_LIST_ELEMENTS);
        }
        return mnl_attr_nest_start(l->message, NFTA_LIST_ELEM);
}

static bool same_set(BanSet set, const BanEntry *e) {
        BanSet other = ban_set_of(e);

        return other.family == set.family && other.prefix == set.prefix &&
               other.of_services == set.of_services;
}

/* only_there: of those alone that may be there already. */
static void
put_all(List *l, BanSet set, const BanEntry *entries, size_t n, bool only_there, bool counted) {
        for (size_t i = 0; i < n; i++) {
                const BanEntry *e = &entries[i];
                unsigned char key[BAN_KEY_MAX];
                struct nlattr *nest;
                size_t size;

                if (!same_set(set, e) || (only_there && !e->is_there))
                        continue;
                size = ban_key_put(set, e, key);
                nest = list_add(l);
                ban_put_value(l->message, NFTA_SET_ELEM_KEY, key, size);
                if (!l->removes && !only_there && e->timeout_ms > 0)
                        mnl_attr_put_u64(l->message, NFTA_SET_ELEM_TIMEOUT, htobe64(e->timeout_ms));
                if (!l->removes && counted)
                        ban_put_counter(l->message, NFTA_SET_ELEM_EXPR, e->packets);
                mnl_attr_nest_end(l->message, nest);
        }
        list_close(l);
}

/* What is not there any more could not be removed: it is added first, which changes nothing where
 * it is there. */
static void put_removal(
        NftBatch *b, const char *name, BanSet set, const BanEntry *entries, size_t n, bool all) {
        List add = {.batch = b, .set = name}, drop = {.batch = b, .set = name, .removes = true};

        put_all(&add, set, entries, n, !all, false);
        put_all(&drop, set, entries, n, !all, false);
}

void ban_put_elements(
        NftBatch *b, BanSet set, const BanEntry *entries, size_t n, bool removes, bool counted) {
        char name[BAN_SET_NAME_MAX];
        List add = {.batch = b, .set = ban_set_name(set, name)};

        put_removal(b, name, set, entries, n, removes);
        if (!removes)
                put_all(&add, set, entries, n, false, counted);
}

/* Adding and removing, as put_removal() does. */
void ban_put_no_hits(NftBatch *b, Family family, const BanEntry *entries, size_t n, bool all) {
        const BanSet set = {family, (uint8_t)ban_host_prefix(family), false};
        char name[BAN_SET_NAME_MAX];

        (void)ban_hits_name(family, name);
        for (size_t round = 0; round < 2; round++) {
                List l = {.batch = b, .set = name, .removes = round == 1};

                for (size_t i = 0; i < n; i++) {
                        unsigned char key[BAN_KEY_MAX];
                        struct nlattr *nest;

                        if (!same_set(set, &entries[i]) || !(all || entries[i].begins_anew))
                                continue;
                        nest = list_add(&l);
                        ban_put_value(l.message, NFTA_SET_ELEM_KEY, key,
                                      ban_key_put(set, &entries[i], key));
                        mnl_attr_nest_end(l.message, nest);
                }
                list_close(&l);
        }
}

void ban_put_hits(NftBatch *b, Family family, const BanFound *hits, size_t n) {
        const BanSet set = {family, (uint8_t)ban_host_prefix(family), false};
        char name[BAN_SET_NAME_MAX];
        List l = {.batch = b, .set = ban_hits_name(family, name)};

        for (size_t i = 0; i < n; i++) {
                unsigned char key[BAN_KEY_MAX];
                struct nlattr *nest;
                size_t size;

                if (!same_set(set, &hits[i].entry))
                        continue;
                size = ban_key_put(set, &hits[i].entry, key);
                nest = list_add(&l);
                ban_put_value(l.message, NFTA_SET_ELEM_KEY, key, size);
                mnl_attr_put_u64(l.message, NFTA_SET_ELEM_TIMEOUT, htobe64(BAN_HITS_MS));
                ban_put_counter(l.message, NFTA_SET_ELEM_EXPR, hits[i].packets);
                mnl_attr_nest_end(l.message, nest);
        }
        list_close(&l);
}

static void put_edge(List *l, Family family, U128 value, bool is_end) {
        struct nlattr *nest = list_add(l);
        unsigned char key[16];

        u128_to_bytes(value, key, ban_address_size(family));
        ban_put_value(l->message, NFTA_SET_ELEM_KEY, key, ban_address_size(family));
        if (is_end)
                mnl_attr_put_u32(l->message, NFTA_SET_ELEM_FLAGS, htonl(NFT_SET_ELEM_INTERVAL_END));
        mnl_attr_nest_end(l->message, nest);
}

int ban_put_never(NftBatch *b, const BanRange *never, size_t n) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);

        if (!a)
                return -ENOMEM;
        for (Family f = FAMILY_IPV4; f <= FAMILY_IPV6; f++) {
                char name[BAN_SET_NAME_MAX];
                List l = {.batch = b, .set = name};
                RangeSet set = {0};
                struct nlmsghdr *h;

                (void)ban_never_name(f, name);
                for (size_t i = 0; i < n; i++)
                        if (never[i].family == f && range_set_add(a, &set, never[i].range) < 0)
                                return -ENOMEM;
                range_set_normalise(&set);
                h = nft_batch_start(b, NFT_MSG_DELSETELEM, 0); /* all of them */
                mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, b->table);
                mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, name);
                nft_batch_push(b, &(NftSubject){.kind = SUBJECT_ELEMENTS, .removes = true});
                /* a gap before the first one has to be said, and no end behind the last address */
                if (set.n_items > 0 && !u128_is_zero(set.items[0].low))
                        put_edge(&l, f, U128_ZERO, true);
                for (size_t i = 0; i < set.n_items; i++) {
                        put_edge(&l, f, set.items[i].low, false);
                        if (!u128_equal(set.items[i].high, u128_low_mask(family_width(f))))
                                put_edge(&l, f, u128_next(set.items[i].high), true);
                }
                list_close(&l);
        }
        return 0;
}
