/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ban/ban_store_parts.h"
#include "ban/cut_disk_unit.h"
#include "base/unit.h"

/* The power fails: the store is opened on what is left on the disk (cut_disk_unit.h). Whatever was
 * acknowledged is there, and of what was not all or nothing.
 *
 * RINGWALL_CUTS and SEED say how often, and which; the seed is printed. */

#define ADDRESSES 200
#define NOW (INT64_C(1800000000) * INT64_C(1000000))
#define CHECKPOINT_PAGES 12 /* often, for that is when most can go wrong */
#define LIFE 40             /* transactions until a cut is the end of the process, too */

typedef struct Truth {
        int64_t until[ADDRESSES]; /* 0: not banned */
} Truth;

typedef struct Trial {
        char folder[64]; /* of folders */
        BanStore *store;
        Truth acknowledged, wanted;
        uint64_t number; /* of the next folder */
        uint64_t cuts, lost;
        bool lies;
} Trial;

static void clear(const char *folder) {
        DIR *d = opendir(folder);

        assert_non_null(d);
        for (struct dirent *e = readdir(d); e; e = readdir(d))
                if (e->d_name[0] != '.')
                        assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
        (void)closedir(d);
        assert_int_equal(rmdir(folder), 0);
}

static void new_folder(Trial *t, char ret[static 64]) {
        (void)snprintf(ret, 64, "%.40s/%llu", t->folder, (unsigned long long)t->number++);
}

static int open_store(const char *folder, BanStore **ret) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        char *aside = NULL;
        int r = ban_store_open(folder, ret, &aside, diag_new(a));

        if (r == 0 && aside) {
                free(aside);
                return -EBADMSG;
        }
        return r;
}

static BanEntry address(size_t i) {
        return (BanEntry){.family = FAMILY_IPV4, .prefix = 32, .address = {0, 0xc6336400 + i}};
}

static int take(const Ban *ban, void *to) {
        Truth *truth = to;
        size_t i = (size_t)(ban->key.address.low - 0xc6336400);

        assert_true(i < ADDRESSES);
        truth->until[i] = ban->until_usec;
        return 0;
}

/* Whether the store that is left is one of the two. */
static bool is_whole(const char *folder, const Truth *a, const Truth *b) {
        Truth found = {0};
        BanStore *s = NULL;
        int r;

        cut_disk_look_away(true);
        r = open_store(folder, &s);
        if (r == 0)
                r = ban_store_read(s, &(BanFilter){0}, NOW, take, &found);
        (void)ban_store_close(s);
        cut_disk_look_away(false);
        return r == 0 &&
               (memcmp(&found, a, sizeof(found)) == 0 || memcmp(&found, b, sizeof(found)) == 0);
}

static int take_change(const BanChange *c, void *to) {
        (void)c;
        (void)to;
        return 0;
}

/* Some are banned, some unbanned: the one is as often as the other in the long run. */
static int change(Trial *t) {
        size_t n = 1 + cut_disk_draw(cut_disk_draw(3) == 0 ? 40 : 4);
        int r = ban_store_begin(t->store);

        for (size_t k = 0; k < n && r == 0; k++) {
                size_t i = cut_disk_draw(ADDRESSES);
                BanEntry key = address(i);
                Ban ban = {.key = key, .jail = "sshd", .source = "trial", .reason = "by lot"};
                BanChange c;

                ban.since_usec = NOW;
                ban.until_usec = NOW + 1000000 + (int64_t)cut_disk_draw(1U << 30);
                if (cut_disk_draw(2)) {
                        r = ban_store_put(t->store, &ban, NOW, &c);
                        t->wanted.until[i] = MAX(t->wanted.until[i], ban.until_usec);
                } else {
                        r = ban_store_drop(t->store, &(BanFilter){.address = &key}, NOW,
                                           take_change, NULL);
                        t->wanted.until[i] = 0;
                }
        }
        return r == 0 ? ban_store_commit(t->store) : r;
}

static void look(Trial *t, const char *folder, const Truth *a, const Truth *b) {
        t->cuts++;
        t->lost += !is_whole(folder, a, b);
        clear(folder);
}

/* Until its last transaction is acknowledged; the folder that the next one begins with. */
static void live(Trial *t, char folder[static 64]) {
        uint64_t n = 1 + cut_disk_draw(LIFE);
        char to[64], left[64], old[64];

        cut_disk_begin(folder, t->lies);
        t->wanted = t->acknowledged;
        for (uint64_t i = 0; i <= n; i++) {
                new_folder(t, to);
                cut_disk_cut_after(cut_disk_draw(2) ? 1 + cut_disk_draw(i == 0 ? 12 : 25) : 0, to);
                if (i == 0) {
                        assert_int_equal(open_store(folder, &t->store), 0);
                        (void)sqlite3_wal_autocheckpoint(t->store->db, CHECKPOINT_PAGES);
                } else
                        assert_int_equal(change(t), 0);
                cut_disk_cut_after(0, "");
                if (access(to, F_OK) == 0)
                        look(t, to, &t->acknowledged, &t->wanted);
                t->acknowledged = t->wanted;
                new_folder(t, left);
                cut_disk_cut(left);
                if (i == n) { /* looking changes it: another cut of the same moment */
                        new_folder(t, to);
                        cut_disk_cut(to);
                }
                look(t, left, &t->acknowledged, &t->acknowledged);
        }
        (void)snprintf(old, sizeof(old), "%s", folder);
        (void)snprintf(folder, 64, "%s", to);
        cut_disk_end(); /* what closing writes is lost */
        t->store = ban_store_close(t->store);
        clear(old);
}

static uint64_t number(const char *name, uint64_t otherwise) {
        const char *text = getenv(name);

        return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void run(Trial *t, uint64_t cuts, bool lies) {
        char folder[64];

        *t = (Trial){.lies = lies};
        (void)snprintf(t->folder, sizeof(t->folder), "/tmp/ringwall-cuts-XXXXXX");
        assert_non_null(mkdtemp(t->folder));
        new_folder(t, folder);
        assert_int_equal(mkdir(folder, 0700), 0);
        while (t->cuts < cuts && !(lies && t->lost > 0))
                live(t, folder);
        clear(folder);
        assert_int_equal(rmdir(t->folder), 0);
}

static void whenever_the_power_fails_nothing_that_was_acknowledged_is_lost(void **state) {
        uint64_t seed = number("SEED", (uint64_t)time(NULL));
        Trial t;

        (void)state;
        cut_disk_lot = seed;
        run(&t, number("RINGWALL_CUTS", 300), false);
        print_message("# SEED=%llu: %llu cuts, %llu of them lost something\n",
                      (unsigned long long)seed, (unsigned long long)t.cuts,
                      (unsigned long long)t.lost);
        assert_int_equal(t.lost, 0);
}

/* Else the other test could not fail. */
static void a_disk_that_does_not_sync_is_found_out(void **state) {
        Trial t;

        (void)state;
        cut_disk_lot = 1;
        run(&t, 200, true);
        assert_int_not_equal(t.lost, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(whenever_the_power_fails_nothing_that_was_acknowledged_is_lost),
                cmocka_unit_test(a_disk_that_does_not_sync_is_found_out),
        };

        cut_disk_put_hooks();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
