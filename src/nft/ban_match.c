/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <time.h>

#include "nft/attribute.h"
#include "nft/ban_decode.h"
#include "nft/ban_table_parts.h"
#include "nft/owner.h"

/* A table of many bans that is there already is not made anew: its rules are, which are few, and of
 * its elements only what differs is sent. What they are is found out by asking for each that should
 * be there, and that there are no others by their number: a list of a million takes the kernel most
 * of a minute (see ban_table_read()). */

#define END_MSEC 5000     /* by which an end may differ */
#define SURE_MSEC 50      /* by which the kernel may end one earlier or later than it said */
#define COLLECT_MSEC 2500 /* after its end the kernel counts one no longer than that */
#define WAIT_MSEC 3000    /* for a moment in which what it counts is just what there is */
#define PAUSE_MSEC 20
#define TABLE_OWNER_PORT 5 /* NFTA_TABLE_OWNER of later headers */

/* ---- the table, its sets, its chains */

typedef struct BanMatch {
        BanTable *table;
        const Needed *needed;
        const BanEntry *entries;
        size_t n_entries;
        uint64_t begin_msec;               /* when the entries' timeouts began */
        bool has_some[2 * PREFIX_MAX + 4]; /* of the needed sets: elements */
        bool is_sole; /* nobody but this link could write to the table since it made or adopted it
                       */
        BanEntry *other; /* what differs, and is not sent yet; malloc'ed */
        size_t n_other, room;
        uint64_t *ends; /* of elements, msec, of those that end soon; malloc'ed */
        size_t n_ends, ends_room;
        uint64_t n_live; /* elements that there are at begin_msec */
} BanMatch;

/* By name; sets that are not needed are n. */
static size_t find_set(const Needed *needed, const char *name) {
        for (size_t i = 0; i < needed->n; i++) {
                char buf[BAN_SET_NAME_MAX];

                if (streq(name, ban_set_name(needed->sets[i], buf)))
                        return i;
        }
        return needed->n;
}

static bool is_shaped(const Attributes *a, const BanShape *shape) {
        uint32_t flags = 0, type = 0, size = 0;

        (void)attribute_u32(a, NFTA_SET_FLAGS, &flags); /* absent: none */
        return attribute_u32(a, NFTA_SET_KEY_TYPE, &type) &&
               attribute_u32(a, NFTA_SET_KEY_LEN, &size) && flags == shape->flags &&
               type == shape->type && size == shape->size && !a->list[NFTA_SET_TIMEOUT] &&
               !a->list[NFTA_SET_EXPR] && !a->list[NFTA_SET_EXPRESSIONS];
}

/* Notes which of the needed hold something, and takes the others away. 1, 0 or a negative errno, as
 * all of these. */
static int match_sets(BanMatch *m, NftBatch *b) {
        _cleanup_(nft_bytes_done) NftBytes sets = {0};
        int r = nft_link_dump(m->table->link, NFT_MSG_GETSET, m->table->name, NULL, &sets);

        if (r < 0)
                return r == -ENOENT || r == -EINTR ? 0 : r;
        message_for_each(h, sets.data, sets.size) {
                const char *name = ban_decode_set_name(h);
                BanShape shape;
                BanSet set;
                uint32_t n;
                size_t i;
                Attributes a;

                if (!name)
                        continue;
                attributes_of_message(h, &a);
                i = find_set(m->needed, name);
                if (!ban_shape_parse(name, &shape) ||
                    (i == m->needed->n && ban_set_parse(name, &set))) {
                        ban_put_no_set(b, name);
                        continue;
                }
                if (!is_shaped(&a, &shape) || (i < m->needed->n && !ban_decode_count(h, &n)))
                        return 0;
                if (i < m->needed->n)
                        m->has_some[i] = n > 0;
        }
        return 1;
}

static int match_chains(BanMatch *m, NftBatch *b) {
        _cleanup_(nft_bytes_done) NftBytes chains = {0};
        int r = nft_link_dump(m->table->link, NFT_MSG_GETCHAIN, NULL, NULL, &chains);

        if (r < 0)
                return r == -ENOENT || r == -EINTR ? 0 : r;
        message_for_each(h, chains.data, chains.size) {
                const char *table, *name;
                Attributes a;
                bool is_base;

                attributes_of_message(h, &a);
                table = attribute_string(&a, NFTA_CHAIN_TABLE);
                name = attribute_string(&a, NFTA_CHAIN_NAME);
                if (!table || !name || !streq(table, m->table->name))
                        continue;
                if (!ban_chain_parse(name, &is_base))
                        ban_put_no_chain(b, name);
                else if (is_base != (a.list[NFTA_CHAIN_HOOK] != NULL))
                        return 0;
        }
        return 1;
}

static int find_owner(BanMatch *m) {
        _cleanup_(nft_bytes_done) NftBytes tables = {0};
        int r = nft_link_dump(m->table->link, NFT_MSG_GETTABLE, NULL, NULL, &tables);

        if (r < 0)
                return r;
        message_for_each(h, tables.data, tables.size) {
                uint32_t flags = 0, port = 0;
                const char *name;
                Attributes a;

                attributes_of_message(h, &a);
                name = attribute_string(&a, NFTA_TABLE_NAME);
                if (name && streq(name, m->table->name))
                        m->is_sole = attribute_u32(&a, NFTA_TABLE_FLAGS, &flags) &&
                                     flags & TABLE_OWNER &&
                                     attribute_u32(&a, TABLE_OWNER_PORT, &port) &&
                                     port == nft_link_port(m->table->link);
        }
        return 1;
}

/* The rules are written anew, in chains that stay, as are those who may not be banned. */
static int send_ground(BanMatch *m, uint32_t flags, const BanRange *never, size_t n_never) {
        _cleanup_(nft_batch_freep) NftBatch *b = ban_table_batch(m->table);
        int r = b ? find_owner(m) : -ENOMEM;

        if (r < 0)
                return r == -EINTR ? 0 : r;
        ban_put_table(b, true, flags);
        ban_put_no_rules(b);
        r = match_sets(m, b); /* maps lead to chains */
        if (r > 0)
                r = match_chains(m, b);
        if (r <= 0)
                return r;
        ban_put_ground(b);
        r = ban_table_put_needed(m->table, b, m->needed);
        if (r == 0)
                r = ban_put_never(b, never, n_never);
        if (r < 0)
                return r;
        r = ban_table_send(m->table, b);
        if (r == -ENOMEM || r == -EPERM || r == -ETIMEDOUT || r == -ENOBUFS)
                return r;
        return r == 0; /* whatever else the kernel has against it, a new table has not */
}

/* ---- elements */

/* Of an entry, from then on; 0: it is over, or does not end. */
static uint64_t left_of(const BanEntry *e, uint64_t passed) {
        return e->timeout_ms > passed ? e->timeout_ms - passed : 0;
}

static int note_end(BanMatch *m, uint64_t end) {
        if (m->n_ends == m->ends_room) {
                size_t room = MAX(2 * m->ends_room, 64UL);
                uint64_t *grown = reallocarray(m->ends, room, sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                m->ends = grown;
                m->ends_room = room;
        }
        m->ends[m->n_ends++] = end;
        return 0;
}

/* One that the kernel has, or will have once it is sent: it ends in so many msec; 0: never. */
static int note_live(BanMatch *m, uint64_t left) {
        m->n_live++;
        return left > 0 && left <= UINT64_C(120000) ? note_end(m, ban_table_now() + left) : 0;
}

static int send_other(BanMatch *m) {
        int r = ban_table_add(m->table, m->other, m->n_other, m->begin_msec);

        m->n_other = 0;
        return r;
}

static int add_other(BanMatch *m, const BanEntry *e, bool is_there) {
        if (m->n_other == m->room) {
                size_t room = MIN(MAX(2 * m->room, 64UL), MAX(m->table->part, 64UL));
                BanEntry *grown = reallocarray(m->other, room, sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                m->other = grown;
                m->room = room;
        }
        m->other[m->n_other] = *e;
        m->other[m->n_other++].is_there = is_there;
        /* of one that is there the kernel makes three; each is an element of the transaction */
        return m->n_other >= MAX(m->table->part / 4, 1UL) ? send_other(m) : 0;
}

/* The answers to one question. */
typedef struct Question {
        BanMatch *match;
        const BanEntry *asked[NFT_KEYS_MAX];
        NftKey keys[NFT_KEYS_MAX];
        size_t n, n_asked, next; /* the first that is not answered */
        uint64_t passed;
} Question;

/* What the kernel does not have. */
static int take_none(Question *q) {
        const BanEntry *e = q->asked[q->next++];
        uint64_t left = left_of(e, q->passed);
        int r;

        if (e->timeout_ms > 0 && left == 0)
                return 0;
        r = add_other(q->match, e, false);
        return r < 0 ? r : note_live(q->match, left);
}

static bool same_key(const BanEntry *a, const BanEntry *b) {
        return u128_equal(a->address, b->address) && a->protocol == b->protocol &&
               a->port == b->port;
}

static int take_one(const BanFound *f, void *to) {
        Question *q = to;
        uint64_t found = f->entry.timeout_ms, left;
        const BanEntry *e;
        bool differs;
        int r = 0;

        while (r == 0 && q->next < q->n_asked && !same_key(q->asked[q->next], &f->entry))
                r = take_none(q); /* it ended in this moment */
        if (r < 0 || q->next == q->n_asked)
                return r;
        e = q->asked[q->next++];
        left = left_of(e, q->passed);
        differs = (e->timeout_ms == 0) != (found == 0) ||
                  (left > found ? left - found : found - left) > END_MSEC;
        if (!differs)
                return note_live(q->match, found);
        left = e->timeout_ms > 0 && left == 0 ? 1 : left;
        r = add_other(q->match, e, true);
        return r < 0 ? r : note_live(q->match, left);
}

/* size: to ask for at a time; one that is lacking ends the answer. */
static int ask(Question *q, BanSet set, size_t *size) {
        _cleanup_(nft_bytes_done) NftBytes bytes = {0};
        BanDecoder decoder = {.set = set, .take = take_one, .to = q};
        BanTable *t = q->match->table;
        char name[BAN_SET_NAME_MAX];
        int r, end;

        q->next = 0;
        q->n_asked = MIN(q->n, *size);
        q->passed = ban_table_now() - q->match->begin_msec;
        end = nft_link_get_elements(t->link, t->name, ban_set_name(set, name), q->keys, q->n_asked,
                                    &bytes);
        if (end < 0 && end != -ENOENT)
                return end;
        r = bytes.size > 0 ? ban_decode_elements(&decoder, bytes.data, bytes.size) : 0;
        if (r == 0 && q->next < q->n_asked)
                r = take_none(q);
        while (r == 0 && end == 0 && q->next < q->n_asked)
                r = take_none(q);
        *size = end < 0 ? MAX(*size / 4, 1UL) : MIN(*size * 2, (size_t)NFT_KEYS_MAX);
        return r;
}

static bool is_of(BanSet set, const BanEntry *e) {
        BanSet other = ban_set_of(e);

        return other.family == set.family && other.prefix == set.prefix &&
               other.of_services == set.of_services;
}

static int match_elements(BanMatch *m, BanSet set) {
        Question q = {.match = m};
        size_t size = NFT_KEYS_MAX;
        int r = 0;

        for (size_t i = 0; r == 0;) {
                for (; i < m->n_entries && q.n < size; i++)
                        if (is_of(set, &m->entries[i])) {
                                NftKey *key = &q.keys[q.n];

                                key->size = ban_key_put(set, &m->entries[i], key->bytes);
                                q.asked[q.n++] = &m->entries[i];
                        }
                if (q.n == 0)
                        break;
                r = ask(&q, set, &size);
                q.n -= q.next;
                memmove(q.keys, q.keys + q.next, q.n * sizeof(*q.keys));
                memmove(q.asked, q.asked + q.next, q.n * sizeof(*q.asked));
        }
        return r;
}

/* An empty set takes all of its entries. */
static int fill(BanMatch *m, BanSet set) {
        uint64_t passed = ban_table_now() - m->begin_msec;
        int r = 0;

        for (size_t i = 0; i < m->n_entries && r == 0; i++) {
                const BanEntry *e = &m->entries[i];
                uint64_t left = left_of(e, passed);

                if (!is_of(set, e) || (e->timeout_ms > 0 && left == 0))
                        continue;
                r = add_other(m, e, false);
                if (r == 0)
                        r = note_live(m, left);
        }
        return r;
}

/* ---- that there are no others */

static uint64_t count_ended(const BanMatch *m, uint64_t from, uint64_t to) {
        uint64_t n = 0;

        for (size_t i = 0; i < m->n_ends; i++)
                n += m->ends[i] > from && m->ends[i] <= to;
        return n;
}

/* 1: what the kernel counts is what there is; 0: it is not; -EAGAIN: that is to be seen, for it
 * counts what is over until it collects it. */
static int match_count(BanMatch *m) {
        uint64_t now = ban_table_now(), told, live, sure;
        int r = ban_table_count(m->table, &told);

        if (r <= 0)
                return r == -EINTR ? -EAGAIN : r;
        live = m->n_live - count_ended(m, 0, now - SURE_MSEC);
        sure = m->n_live - count_ended(m, 0, ban_table_now() + SURE_MSEC);
        if (told < sure)
                return 0;
        if (told <= sure || (m->is_sole && told <= live + count_ended(m, now - COLLECT_MSEC, now)))
                return 1;
        return -EAGAIN;
}

/* Where nobody else could write, what ended just now is allowed for. */
static int match_counts(BanMatch *m) {
        const struct timespec pause = {.tv_nsec = PAUSE_MSEC * 1000 * 1000};
        uint64_t end = ban_table_now() + WAIT_MSEC;
        int r;

        while ((r = match_count(m)) == -EAGAIN && ban_table_now() < end)
                (void)nanosleep(&pause, NULL); /* shorter does no harm */
        return r == -EAGAIN ? 0 : r;
}

static void count_counters(BanTable *t, const Needed *needed) {
        size_t n = 0;

        for (size_t i = 0; i < needed->n; i++)
                n += ban_set_is_of_hosts(needed->sets[i]) ? 0 : needed->counts[i];
        t->n_counted = MIN(n, (size_t)BAN_COUNTED_MAX);
}

int ban_table_match(BanTable *made,
                    uint32_t flags,
                    const BanEntry *entries,
                    size_t n,
                    const Needed *needed,
                    const BanRange *never,
                    size_t n_never) {
        BanMatch m = {.table = made,
                      .needed = needed,
                      .entries = entries,
                      .n_entries = n,
                      .begin_msec = ban_table_now()};
        int r = send_ground(&m, flags, never, n_never);

        if (r <= 0)
                return r;
        r = 0;
        for (size_t i = 0; i < needed->n && r == 0; i++)
                r = m.has_some[i] ? match_elements(&m, needed->sets[i]) : fill(&m, needed->sets[i]);
        if (r == 0)
                r = send_other(&m);
        if (r == 0)
                r = match_counts(&m);
        else if (r == -ENOENT || r == -EINTR) /* somebody is taking it apart */
                r = 0;
        count_counters(made, needed);
        free(m.other);
        free(m.ends);
        return r;
}
