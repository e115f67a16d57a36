/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/random.h>
#include <syslog.h>

#include "daemon/bans.h"
#include "nft/owner.h"

/* What the store says comes into the kernel. */

#define SAVING_PART 16384          /* bans of the kernel's, between two signs of life */
#define SAMPLE 256                 /* bans that are looked up to tell of all of them */
#define SOON_USEC INT64_C(5000000) /* what ends within that may have ended for the kernel */

static uint32_t table_flags(Daemon *d) {
        return d->settings.ownership != OWNERSHIP_OFF && engine_can_own(&d->engine)
                       ? TABLE_OWNER | TABLE_PERSIST
                       : 0;
}

bool bans_stand(const Daemon *d) {
        const Bans *b = d->bans;

        if (!b || b->is_dirty || b->is_unsaved)
                return false;
        return b->is_suspended || b->n_keys == 0 || b->flags & TABLE_OWNER;
}

typedef struct Entries {
        BanEntry *items; /* malloc'ed */
        size_t n, room;
        Bans *bans;
} Entries;

static int add_entry(const BanEntry *e, void *to) {
        Entries *list = to;

        if (list->n == list->room) {
                size_t room = MAX(2 * list->room, 64UL);
                BanEntry *grown = reallocarray(list->items, room, sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                list->items = grown;
                list->room = room;
        }
        list->items[list->n++] = *e;
        if (e->protocol == 0)
                list->bans->has_prefix[e->family][e->prefix] = true;
        return 0;
}

/* For the kernel. Who is connected now is no reason to let them in for ever. */
static int read_ranges(Daemon *d, Arena *a, BanRange **ret, size_t *ret_n) {
        Never never;
        int r = bans_never_read(d, a, false, &never);

        return r < 0 ? r : bans_never_list(a, &never, ret, ret_n);
}

/* What is left of them by now: to read a million from the store takes seconds. */
static void let_pass(Entries *list, uint64_t begin_usec) {
        uint64_t passed = (bans_monotonic() - begin_usec) / 1000;

        for (size_t i = 0; i < list->n; i++)
                if (list->items[i].timeout_ms > 0)
                        list->items[i].timeout_ms -= MIN(list->items[i].timeout_ms - 1, passed);
}

int bans_rebuild(Daemon *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Bans *b = d->bans;
        Entries list = {.bans = b};
        uint64_t begin = bans_monotonic();
        BanRange *never;
        size_t n_never;
        int r = a ? 0 : -ENOMEM;

        if (r == 0 && b->is_suspended)
                return 0;
        memset(b->has_prefix, 0, sizeof(b->has_prefix));
        if (r == 0)
                r = ban_store_read_kernel(b->store, bans_now(), add_entry, &list);
        turn_step(d, 0);
        if (r == 0)
                r = read_ranges(d, a, &never, &n_never);
        if (r == 0) {
                b->flags = table_flags(d);
                ban_table_recall(b->table, list.items, list.n, true);
                let_pass(&list, begin);
                r = ban_table_replace(b->table, b->flags, list.items, list.n, never, n_never);
        }
        free(list.items);
        b->is_dirty = r < 0;
        if (r == 0)
                b->doubt_usec = 0;
        b->clock_usec = bans_clock();
        b->rebuilt_usec = bans_monotonic();
        b->rebuild_took_usec = b->rebuilt_usec - begin;
        return r;
}

typedef struct Order {
        unsigned char key[BAN_KEY_BYTES_MAX];
        const BanChange *change;
} Order;

static int compare(const void *x, const void *y) {
        const Order *a = x, *b = y;
        int c = memcmp(a->key, b->key, sizeof(a->key));

        return c != 0 ? c : a->change < b->change ? -1 : a->change > b->change;
}

/* Each key once: what it was before the first change, and is after the last one. */
static int sum_up(BanTurn *turn, Entries *add, Entries *drop) {
        Order *order = arena_alloc_array(turn->arena, turn->n_changes + 1, sizeof(*order));

        if (!order)
                return -ENOMEM;
        for (size_t i = 0; i < turn->n_changes; i++) {
                (void)ban_key_write(&turn->changes[i].key, order[i].key);
                order[i].change = &turn->changes[i];
        }
        qsort(order, turn->n_changes, sizeof(*order), compare);
        for (size_t i = 0, end; i < turn->n_changes; i = end) {
                const BanChange *first = order[i].change, *last;
                BanEntry e = first->key;
                int r = 0;

                for (end = i + 1; end < turn->n_changes &&
                                  memcmp(order[i].key, order[end].key, sizeof(order[i].key)) == 0;)
                        end++;
                last = order[end - 1].change;
                e.is_there = first->before_usec > 0;
                e.begins_anew = !e.is_there && last->times > 1;
                e.timeout_ms = ban_timeout(last->kernel_usec, turn->now_usec);
                if (last->kernel_usec == 0)
                        r = add_entry(&e, drop);
                else if (last->kernel_usec != first->before_usec)
                        r = add_entry(&e, add);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* In parts: each ban stands for itself, and the kernel's memory is not to grow with their number.
 */
static int change_parts(BanTable *t, const Entries *add, const Entries *drop) {
        int r = 0;

        for (size_t i = 0; i < drop->n && r == 0; i += BAN_PART_MAX)
                r = ban_table_change(t, NULL, 0, drop->items + i,
                                     MIN((size_t)BAN_PART_MAX, drop->n - i));
        for (size_t i = 0; i < add->n && r == 0; i += BAN_PART_MAX)
                r = ban_table_change(t, add->items + i, MIN((size_t)BAN_PART_MAX, add->n - i), NULL,
                                     0);
        return r;
}

static int change_table(Daemon *d, BanTurn *turn) {
        Bans *b = d->bans;
        Entries add = {.bans = b}, drop = {.bans = b};
        int r = sum_up(turn, &add, &drop);

        if (r == 0)
                ban_table_recall(b->table, add.items, add.n, false);
        if (r == 0 && add.n + drop.n <= BAN_PART_MAX)
                r = ban_table_change(b->table, add.items, add.n, drop.items, drop.n);
        else if (r == 0)
                r = change_parts(b->table, &add, &drop);
        /* what could not be written down is in the kernel alone, which has no table yet */
        if (r == -ENOENT && (turn->error < 0 || b->is_unsaved) &&
            (b->n_keys == 0 || turn->is_emptied)) {
                b->flags = table_flags(d);
                b->clock_usec = bans_clock();
                r = ban_table_replace(b->table, b->flags, add.items, add.n, NULL, 0);
        }
        free(add.items);
        free(drop.items);
        return r;
}

int bans_enforce(Daemon *d, BanTurn *turn) {
        Bans *b = d->bans;
        int r = -ENOENT;

        if (b->is_suspended || (turn->n_changes == 0 && !turn->is_emptied))
                return 0;
        if (turn->is_emptied) {
                r = ban_table_remove(b->table);
                memset(b->has_prefix, 0, sizeof(b->has_prefix));
                if (r < 0 || turn->n_changes == 0) {
                        b->is_dirty |= r < 0;
                        return r;
                }
                r = -ENOENT; /* what came after */
        }
        if (turn->error < 0 || b->is_unsaved || (ban_table_is_made(b->table) && !b->is_dirty))
                r = change_table(d, turn);
        /* whatever it was: among others a length of prefix that nobody needs any more takes one of
         * few places until the table is made anew */
        if (r < 0 && turn->error == 0 && !b->is_unsaved)
                r = bans_rebuild(d);
        else if (r == 0 && turn->error == 0 && !b->is_unsaved && b->n_keys == 0)
                r = ban_table_remove(b->table);
        if (r < 0)
                b->is_dirty = true;
        return r;
}

typedef struct Sample {
        BanTable *table;
        int64_t soon_usec, asked, found;
} Sample;

/* What ends in this moment may have ended for the kernel. */
static int sample_one(const Ban *ban, void *to) {
        Sample *s = to;
        BanFound found;
        bool holds = ban_table_find(s->table, &ban->key, &found) == 1;

        s->found += holds;
        s->asked += holds || ban->until_usec > s->soon_usec;
        return 0;
}

static int count_found(const BanFound *f, void *to) {
        int64_t *n = to;

        (*n)++;
        return 0;
}

/* How many of the store's are there, by some that are looked up: those that lie behind places
 * chosen at random, or all of a few. */
static int64_t sample_enforced(Daemon *d) {
        Bans *b = d->bans;
        Sample s = {.table = b->table, .soon_usec = bans_now() + SOON_USEC};
        int n = b->n_keys > SAMPLE ? SAMPLE : 1;

        for (int i = 0; i < n; i++) {
                unsigned char place[BAN_KEY_BYTES_MAX];
                const BanFilter all = {0},
                                f = {.after = place, .after_size = 5, .after_jail = "", .limit = 1};

                if (getrandom(place, sizeof(place), 0) < 0)
                        return 0;
                place[0] = i % 2 ? 4 : 6; /* as keys begin */
                if (ban_store_read(b->store, n == 1 ? &all : &f, bans_now(), sample_one, &s) < 0)
                        return 0;
        }
        return s.found == s.asked ? b->n_keys : b->n_keys * s.found / s.asked;
}

/* By the kernel's own number, with those that ended in this moment. -1: it does not count. */
static int64_t count_enforced(Daemon *d) {
        Bans *b = d->bans;
        int64_t ending = 0;
        uint64_t counted;
        int r = ban_table_count(b->table, &counted);

        if (r <= 0)
                return r < 0 ? 0 : -1;
        if ((int64_t)counted < b->n_keys &&
            ban_store_count_ending(b->store, bans_now() + SOON_USEC, &ending) < 0)
                return 0;
        return MIN((int64_t)counted + ending, b->n_keys);
}

/* Read back, in the time that a few hundred look-ups take: a list takes 0.2 s for 65,536, and
 * nearly a minute for a million. */
int64_t bans_enforced(Daemon *d) {
        Bans *b = d->bans;
        int64_t counted, n = 0;

        if (b->is_suspended || (!ban_table_is_made(b->table) && b->n_keys > 0))
                return 0;
        counted = count_enforced(d);
        if (counted >= 0)
                return MIN(counted, sample_enforced(d));
        if (b->flags & TABLE_OWNER || b->n_keys > BAN_COUNTED_MAX)
                return sample_enforced(d);
        if (ban_table_read(b->table, count_found, &n) < 0)
                return 0;
        return MIN(n, b->n_keys);
}

typedef struct Saving {
        Daemon *daemon;
        BanStore *store;
        const char *reason;
        int64_t now_usec, n;
        size_t seen;
} Saving;

static int save_found(const BanFound *f, void *to) {
        Saving *s = to;
        uint64_t ms = f->entry.timeout_ms;
        Ban ban = {.key = f->entry,
                   .jail = "",
                   .source = "kernel",
                   .reason = s->reason,
                   .since_usec = s->now_usec,
                   .until_usec = ms > 0 ? s->now_usec + (int64_t)ms * 1000 : BAN_EVER};
        BanChange change;
        bool holds;
        int r = ban_store_holds(s->store, &ban.key, s->now_usec, &holds);

        if (++s->seen % SAVING_PART == 0)
                turn_step(s->daemon, 0);
        if (r < 0 || holds)
                return r;
        s->n++;
        return ban_store_put(s->store, &ban, s->now_usec, &change);
}

int64_t bans_save_found(Daemon *d, const char *reason) {
        Bans *b = d->bans;
        Saving s = {.daemon = d, .store = b->store, .reason = reason, .now_usec = bans_now()};
        int r = ban_store_begin(b->store);

        if (r == 0)
                r = bans_undone_write(d, s.now_usec);
        if (r == 0)
                r = ban_table_read(b->table, save_found, &s);
        if (r == 0)
                r = ban_store_commit(b->store);
        if (r < 0)
                ban_store_rollback(b->store);
        return r < 0 ? r : s.n;
}
