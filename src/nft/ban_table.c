/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/ban_table.h"

#include <linux/netfilter/nf_tables.h>
#include <time.h>

#include "nft/attribute.h"
#include "nft/ban_decode.h"
#include "nft/ban_table_parts.h"

BanTable *ban_table_new(NftLink *link) {
        BanTable *t = calloc(1, sizeof(*t));

        if (t)
                *t = (BanTable){.link = link, .name = BAN_TABLE, .part = BAN_PART_MAX};
        return t;
}

BanTable *ban_table_free(BanTable *t) {
        free(t);
        return NULL;
}

bool ban_table_is_made(const BanTable *t) {
        return t->is_made;
}

void ban_table_set_part(BanTable *t, size_t n) {
        t->part = n;
}

static BanTable empty(const BanTable *t) {
        return (BanTable){.link = t->link, .name = t->name, .part = t->part};
}

NftBatch *ban_table_batch(const BanTable *t) {
        NftBatch *b = nft_batch_new(nft_link_sequence(t->link), 0);

        if (b)
                b->table = t->name;
        return b;
}

int ban_table_send(BanTable *t, NftBatch *b) {
        NftOutcome outcome;
        int r = nft_batch_end(b, true);

        if (r == 0)
                r = nft_link_send(t->link, b, &outcome);
        if (r == -ETIMEDOUT || r == -ENOBUFS)
                nft_link_reset(t->link);
        return r > 0 ? outcome.errors[0].error : r;
}

static bool *has_set(BanTable *t, BanSet set) {
        return set.of_services ? &t->has_services[set.family] : &t->has_set[set.family][set.prefix];
}

/* Nobody's mistake but the caller's; and a batch that the kernel would not understand. */
static bool is_sound(const BanEntry *e) {
        unsigned int host = e->family == FAMILY_IPV4 ? 32 : 64;

        return e->prefix >= 1 && e->prefix <= family_width(e->family) &&
               e->timeout_ms <= BAN_TIMEOUT_MAX_MS && (e->protocol == 0 || e->prefix == host);
}

static int find_needed(const BanEntry *entries, size_t n, Needed *ret) {
        size_t places[_FAMILY_MAX][2][PREFIX_MAX + 1] = {0}; /* and one more */

        *ret = (Needed){0};
        for (size_t i = 0; i < n; i++) {
                BanSet set = ban_set_of(&entries[i]);
                size_t *place = &places[set.family][set.of_services][set.prefix];

                if (!is_sound(&entries[i]))
                        return -EINVAL;
                if (*place == 0) {
                        ret->sets[ret->n] = set;
                        *place = ++ret->n;
                }
                ret->counts[*place - 1]++;
        }
        return 0;
}

static int check_lengths(const BanTable *t) {
        for (Family f = FAMILY_IPV4; f <= FAMILY_IPV6; f++) {
                size_t n = 0;

                for (size_t i = 0; i <= PREFIX_MAX; i++)
                        n += t->has_set[f][i];
                if (n > BAN_PREFIXES_MAX)
                        return -E2BIG;
        }
        return 0;
}

int ban_table_put_needed(BanTable *t, NftBatch *b, const Needed *needed) {
        for (size_t i = 0; i < needed->n; i++) {
                bool *has = has_set(t, needed->sets[i]);

                if (!*has)
                        ban_put_set(b, needed->sets[i]);
                *has = true;
        }
        return check_lengths(t);
}

static void
put_entries(BanTable *t, NftBatch *b, const Needed *needed, const BanEntry *entries, size_t n) {
        for (size_t i = 0; i < needed->n; i++) {
                bool of_hosts = ban_set_is_of_hosts(needed->sets[i]);
                bool counted = !of_hosts && t->n_counted + needed->counts[i] <= BAN_COUNTED_MAX;

                ban_put_elements(b, needed->sets[i], entries, n, false, counted);
                if (counted)
                        t->n_counted += needed->counts[i];
                if (of_hosts)
                        ban_put_no_hits(b, needed->sets[i].family, entries, n, false);
        }
}

/* Whether the kernel has such a table, whoever made it. 1, 0, or a negative errno. */
static int is_there(const BanTable *t) {
        _cleanup_(nft_bytes_done) NftBytes sets = {0};
        int r = nft_link_dump(t->link, NFT_MSG_GETSET, t->name, NULL, &sets);

        if (r == -ENOENT)
                return 0;
        return r < 0 ? r : sets.size > 0;
}

/* What was counted of hosts in a table that there is, of one family. */
typedef struct Hits {
        BanFound *items; /* malloc'ed */
        size_t n, room;
} Hits;

static int add_hit(const BanFound *f, void *to) {
        Hits *h = to;

        if (h->n == h->room) {
                size_t room = MAX(2 * h->room, 64UL);
                BanFound *grown = reallocarray(h->items, room, sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                h->items = grown;
                h->room = room;
        }
        h->items[h->n++] = *f;
        return 0;
}

static int read_hits(BanTable *t, Family family, Hits *ret) {
        _cleanup_(nft_bytes_done) NftBytes bytes = {0};
        char name[BAN_SET_NAME_MAX];
        BanDecoder decoder = {.set = {family, (uint8_t)ban_host_prefix(family), false},
                              .take = add_hit,
                              .to = ret};
        int r = nft_link_dump(t->link, NFT_MSG_GETSETELEM, t->name, ban_hits_name(family, name),
                              &bytes);

        if (r == -ENOENT || r == -EINTR) /* there is none; or nobody knows, and it begins anew */
                return 0;
        if (r == 0 && bytes.size > 0)
                r = ban_decode_elements(&decoder, bytes.data, bytes.size);
        return r;
}

static size_t put_hits(BanTable *t, NftBatch *b, Family family, const Hits *hits, size_t from) {
        size_t n = MIN(hits->n - from, t->part);

        if (n > 0)
                ban_put_hits(b, family, hits->items + from, n);
        return from + n;
}

/* What the transaction that made the table did not take. */
static int send_hits(BanTable *t, Family family, const Hits *hits, size_t from) {
        int r = 0;

        while (from < hits->n && r == 0) {
                _cleanup_(nft_batch_freep) NftBatch *b = ban_table_batch(t);

                if (!b)
                        return -ENOMEM;
                from = put_hits(t, b, family, hits, from);
                r = ban_table_send(t, b);
        }
        return r;
}

void ban_table_recall(BanTable *t, BanEntry *entries, size_t n, bool all) {
        size_t left = BAN_COUNTED_MAX;

        if (all && is_there(t) != 1)
                return;
        for (size_t i = 0; i < n && left > 0; i++) {
                BanEntry *e = &entries[i];
                BanFound found;

                if (ban_set_is_of_hosts(ban_set_of(e)) || !(all || e->is_there))
                        continue;
                left--;
                if (ban_table_find(t, e, &found) == 1 && found.is_counted)
                        e->packets = found.packets;
        }
}

uint64_t ban_table_now(void) {
        struct timespec t = {0};

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int ban_table_add(BanTable *t, const BanEntry *entries, size_t n, uint64_t begin_msec) {
        _cleanup_free_ BanEntry *part = calloc(MIN(n, t->part) + 1, sizeof(*part));
        int r = part ? 0 : -ENOMEM;

        for (size_t i = 0; i < n && r == 0; i += t->part) {
                size_t n_part = MIN(t->part, n - i);
                uint64_t passed = ban_table_now() - begin_msec;

                memcpy(part, entries + i, n_part * sizeof(*part));
                for (size_t j = 0; j < n_part; j++)
                        if (part[j].timeout_ms > 0)
                                part[j].timeout_ms -= MIN(part[j].timeout_ms - 1, passed);
                r = ban_table_change(t, part, n_part, NULL, 0);
        }
        return r;
}

/* All that a table is made of. */
typedef struct Making {
        uint32_t flags;
        const BanEntry *entries;
        size_t n;
        const Needed *needed;
        const BanRange *never;
        size_t n_never;
        uint64_t begin_msec; /* of the entries' timeouts */
} Making;

/* The table with the first n entries, whatever there was, in one transaction; then the others, in
 * parts. */
static int make(BanTable *t, const Making *m, size_t n_first, const Hits hits[_FAMILY_MAX]) {
        _cleanup_(nft_batch_freep) NftBatch *b = ban_table_batch(t);
        size_t n_hits[_FAMILY_MAX];
        BanTable made = empty(t);
        int r;

        if (!b)
                return -ENOMEM;
        made.is_made = true;
        ban_put_table(b, false, 0);
        ban_put_delete_table(b);
        ban_put_table(b, true, m->flags);
        ban_put_ground(b);
        r = ban_table_put_needed(&made, b, m->needed);
        if (r == 0)
                r = ban_put_never(b, m->never, m->n_never);
        if (r < 0)
                return r;
        for (Family f = FAMILY_IPV4; f <= FAMILY_IPV6; f++)
                n_hits[f] = put_hits(&made, b, f, &hits[f], 0);
        put_entries(&made, b, m->needed, m->entries, n_first);
        r = ban_table_send(t, b);
        if (r < 0)
                return r;
        *t = made;
        r = ban_table_add(t, m->entries + n_first, m->n - n_first, m->begin_msec);
        for (Family f = FAMILY_IPV4; f <= FAMILY_IPV6 && r == 0; f++)
                r = send_hits(t, f, &hits[f], n_hits[f]);
        return r;
}

static BanTable beside(const BanTable *t) {
        BanTable other = empty(t);

        other.name = BAN_TABLE_BESIDE;
        return other;
}

static int remove_one(BanTable *t) {
        _cleanup_(nft_batch_freep) NftBatch *b = ban_table_batch(t);
        int r;

        if (!b)
                return -ENOMEM;
        ban_put_table(b, false, 0); /* what is not there could not be removed */
        ban_put_delete_table(b);
        r = ban_table_send(t, b);
        if (r == 0)
                *t = empty(t);
        return r;
}

/* A second table shuts out all of them meanwhile. */
static int make_beside(BanTable *t, const Making *m, const Hits hits[_FAMILY_MAX]) {
        static const Hits none[_FAMILY_MAX];
        BanTable other = beside(t);
        int r = make(&other, m, MIN(m->n, t->part), none);

        return r < 0 ? r : make(t, m, MIN(m->n, t->part), hits);
}

static int make_whole(BanTable *t, const Making *m, bool is_there) {
        bool is_large = m->n > t->part;
        Hits hits[_FAMILY_MAX] = {0};
        int r = 0;

        for (Family f = FAMILY_IPV4; f <= FAMILY_IPV6 && r == 0; f++)
                r = read_hits(t, f, &hits[f]);
        if (r == 0 && is_large && is_there)
                r = make_beside(t, m, hits);
        else if (r == 0)
                r = make(t, m, is_large ? t->part : m->n, hits);
        for (Family f = FAMILY_IPV4; f <= FAMILY_IPV6; f++)
                free(hits[f].items);
        return r;
}

int ban_table_replace(BanTable *t,
                      uint32_t flags,
                      const BanEntry *entries,
                      size_t n_entries,
                      const BanRange *never,
                      size_t n_never) {
        Needed needed;
        const Making m = {flags, entries, n_entries, &needed, never, n_never, ban_table_now()};
        BanTable other = beside(t), made = empty(t);
        int there, r;

        if (n_entries == 0)
                return ban_table_remove(t);
        r = find_needed(entries, n_entries, &needed);
        there = r == 0 ? is_there(t) : r;
        if (there < 0)
                return there;
        if (there && n_entries > t->part) {
                made.is_made = true;
                r = ban_table_match(&made, flags, entries, n_entries, &needed, never, n_never);
                if (r > 0)
                        *t = made;
        }
        if (r == 0)
                r = make_whole(t, &m, there);
        if (r < 0)
                return r;
        r = is_there(&other);
        return r > 0 ? remove_one(&other) : r;
}

int ban_table_change(
        BanTable *t, const BanEntry *add, size_t n_add, const BanEntry *drop, size_t n_drop) {
        _cleanup_(nft_batch_freep) NftBatch *b = NULL;
        BanTable after = *t;
        Needed added, dropped;
        int r;

        if (!t->is_made)
                return -ENOENT;
        r = find_needed(add, n_add, &added);
        if (r == 0)
                r = find_needed(drop, n_drop, &dropped);
        if (r < 0 || n_add + n_drop == 0)
                return r;
        b = ban_table_batch(t);
        if (!b)
                return -ENOMEM;
        r = ban_table_put_needed(&after, b, &added);
        if (r < 0)
                return r;
        for (size_t i = 0; i < dropped.n; i++)
                if (*has_set(&after, dropped.sets[i]))
                        ban_put_elements(b, dropped.sets[i], drop, n_drop, true, false);
        for (Family f = FAMILY_IPV4; f <= FAMILY_IPV6 && n_drop > 0; f++)
                ban_put_no_hits(b, f, drop, n_drop, true);
        put_entries(&after, b, &added, add, n_add);
        r = ban_table_send(t, b);
        if (r == 0)
                *t = after;
        if (r == -ENOENT)
                t->is_made = false;
        return r;
}

int ban_table_set_never(BanTable *t, const BanRange *never, size_t n_never) {
        _cleanup_(nft_batch_freep) NftBatch *b = NULL;
        int r;

        if (!t->is_made)
                return 0;
        b = ban_table_batch(t);
        if (!b)
                return -ENOMEM;
        r = ban_put_never(b, never, n_never);
        if (r == 0)
                r = ban_table_send(t, b);
        if (r == -ENOENT)
                t->is_made = false;
        return r;
}

int ban_table_remove(BanTable *t) {
        BanTable other = beside(t);
        int there = is_there(&other), r;

        if (there < 0)
                return there;
        r = remove_one(t);
        return r == 0 && there ? remove_one(&other) : r;
}

/* 1, 0 or a negative errno. */
static int find_in(BanTable *t, const char *name, const BanEntry *key, BanFound *ret) {
        _cleanup_(nft_bytes_done) NftBytes bytes = {0};
        BanSet set = ban_set_of(key);
        unsigned char value[BAN_KEY_MAX];
        BanDecoder decoder = {.set = set, .take = ban_decode_one, .to = ret};
        int r;

        r = nft_link_get_element(t->link, t->name, name, value, ban_key_put(set, key, value),
                                 &bytes);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        r = ban_decode_elements(&decoder, bytes.data, bytes.size);
        return r < 0 ? r : decoder.n > 0;
}

int ban_table_find(BanTable *t, const BanEntry *key, BanFound *ret) {
        BanSet set = ban_set_of(key);
        char name[BAN_SET_NAME_MAX];
        BanFound hits = {0};
        int r = find_in(t, ban_set_name(set, name), key, ret);

        if (r <= 0 || !ban_set_is_of_hosts(set))
                return r;
        if (find_in(t, ban_hits_name(set.family, name), key, &hits) < 0)
                return r;
        ret->is_counted = true;
        ret->packets = hits.packets; /* none has come yet where it is not there */
        return r;
}

int ban_table_count(BanTable *t, uint64_t *ret) {
        _cleanup_(nft_bytes_done) NftBytes sets = {0};
        int r = nft_link_dump(t->link, NFT_MSG_GETSET, t->name, NULL, &sets);

        *ret = 0;
        if (r == -ENOENT)
                return 1;
        if (r < 0)
                return r;
        message_for_each(h, sets.data, sets.size) {
                const char *name = ban_decode_set_name(h);
                BanSet set;
                uint32_t n;

                if (!name || !ban_set_parse(name, &set))
                        continue;
                if (!ban_decode_count(h, &n))
                        return 0;
                *ret += n;
        }
        return 1;
}

int ban_table_read(BanTable *t, int (*take)(const BanFound *f, void *to), void *to) {
        _cleanup_(nft_bytes_done) NftBytes sets = {0};
        int r = nft_link_dump(t->link, NFT_MSG_GETSET, t->name, NULL, &sets);

        if (r == -ENOENT || (r == 0 && sets.size == 0))
                return 0;
        if (r < 0)
                return r;
        message_for_each(h, sets.data, sets.size) {
                _cleanup_(nft_bytes_done) NftBytes bytes = {0};
                BanDecoder decoder = {.take = take, .to = to};
                const char *name = ban_decode_set_name(h);

                if (!name || !ban_set_parse(name, &decoder.set))
                        continue;
                r = nft_link_dump(t->link, NFT_MSG_GETSETELEM, t->name, name, &bytes);
                if (r == 0 && bytes.size > 0)
                        r = ban_decode_elements(&decoder, bytes.data, bytes.size);
                if (r < 0)
                        return r;
        }
        return 0;
}
