/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/ban_store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/unit.h"

#define SECOND INT64_C(1000000)
#define NOW (INT64_C(1800000000) * SECOND)

typedef struct Bench {
        Arena *arena;
        Diag *d;
        BanStore *store;
        char folder[64];
        char *aside;
} Bench;

static void open_store(Bench *b) {
        free(b->aside);
        b->aside = NULL;
        assert_int_equal(ban_store_open(b->folder, &b->store, &b->aside, b->d), 0);
}

static int setup(void **state) {
        Bench *b = calloc(1, sizeof(*b));

        *state = b;
        if (!b)
                return -1;
        b->arena = arena_new(0);
        b->d = b->arena ? diag_new(b->arena) : NULL;
        (void)snprintf(b->folder, sizeof(b->folder), "/tmp/ringwall-bans-XXXXXX");
        if (!b->d || !mkdtemp(b->folder))
                return -1;
        return ban_store_open(b->folder, &b->store, &b->aside, b->d);
}

static int teardown(void **state) {
        Bench *b = *state;
        char command[128];
        int r;

        b->store = ban_store_close(b->store);
        (void)snprintf(command, sizeof(command), "rm -rf %s", b->folder);
        r = system(command); /* NOLINT(cert-env33-c): a folder of this test's */
        free(b->aside);
        (void)arena_free(b->arena);
        free(b);
        return r;
}

static BanEntry key(Bench *b, const char *address) {
        const char *why;
        BanEntry e;

        assert_int_equal(ban_parse_address(b->arena, address, 64, &e, &why), 0);
        return e;
}

static BanChange put(Bench *b, const char *address, const char *jail, int64_t now, int64_t until) {
        Ban ban = {.key = key(b, address),
                   .jail = jail,
                   .source = "",
                   .reason = "",
                   .since_usec = now,
                   .until_usec = until};
        BanChange change;

        assert_int_equal(ban_store_begin(b->store), 0);
        assert_int_equal(ban_store_put(b->store, &ban, now, &change), 0);
        assert_int_equal(ban_store_commit(b->store), 0);
        return change;
}

static int add_text(const Ban *ban, void *to) {
        char buf[ADDRESS_TEXT_MAX], *text = to;
        size_t len = strlen(text);

        (void)snprintf(text + len, 512 - len, "%s%s %s", len ? ", " : "",
                       ban_print_address(&ban->key, buf), ban->jail);
        return 0;
}

static const char *list(Bench *b, const BanFilter *f, int64_t now) {
        char *text = arena_alloc(b->arena, 512);

        assert_non_null(text);
        assert_int_equal(ban_store_read(b->store, f, now, add_text, text), 0);
        return text;
}

static int add_change(const BanChange *c, void *to) {
        BanChange *last = to;

        *last = *c;
        return 0;
}

static BanChange drop(Bench *b, const BanFilter *f, int64_t now) {
        BanChange last = {0};

        assert_int_equal(ban_store_begin(b->store), 0);
        assert_int_equal(ban_store_drop(b->store, f, now, add_change, &last), 0);
        assert_int_equal(ban_store_commit(b->store), 0);
        return last;
}

static int64_t expire(Bench *b, int64_t now) {
        int64_t n, keys;

        assert_int_equal(ban_store_begin(b->store), 0);
        assert_int_equal(ban_store_expire(b->store, now, &n, &keys), 0);
        assert_int_equal(ban_store_commit(b->store), 0);
        return n * 100 + keys;
}

static void what_was_committed_is_there_when_it_is_opened_again(void **state) {
        Bench *b = *state;

        put(b, "192.0.2.7", "sshd", NOW, NOW + 600 * SECOND);
        put(b, "2001:db8::1", "", NOW, BAN_EVER);
        b->store = ban_store_close(b->store);
        open_store(b);
        assert_null(b->aside);
        assert_string_equal(list(b, &(BanFilter){0}, NOW), "192.0.2.7 sshd, 2001:db8::/64 ");
        assert_string_equal(list(b, &(BanFilter){0}, NOW + 601 * SECOND), "2001:db8::/64 ");
}

static void what_was_not_committed_is_not_there(void **state) {
        Bench *b = *state;
        Ban ban = {.key = key(b, "192.0.2.7"),
                   .jail = "",
                   .source = "",
                   .reason = "",
                   .until_usec = BAN_EVER};
        BanChange change;

        assert_int_equal(ban_store_begin(b->store), 0);
        assert_int_equal(ban_store_put(b->store, &ban, NOW, &change), 0);
        ban_store_rollback(b->store);
        assert_string_equal(list(b, &(BanFilter){0}, NOW), "");
}

static void a_second_ban_extends_and_never_shortens(void **state) {
        Bench *b = *state;
        BanChange c = put(b, "192.0.2.7", "sshd", NOW, NOW + 600 * SECOND);

        assert_false(c.was_there);
        assert_int_equal(c.times, 1);
        c = put(b, "192.0.2.7", "sshd", NOW + SECOND, NOW + 900 * SECOND);
        assert_true(c.was_there);
        assert_int_equal(c.until_usec, NOW + 900 * SECOND);
        c = put(b, "192.0.2.7", "sshd", NOW + SECOND, NOW + 30 * SECOND);
        assert_int_equal(c.until_usec, NOW + 900 * SECOND);
        assert_int_equal(c.times, 1);
}

static void each_jail_ends_its_own_ban_and_the_last_one_counts(void **state) {
        Bench *b = *state;
        BanEntry e = key(b, "192.0.2.7");
        BanChange c;

        put(b, "192.0.2.7", "sshd", NOW, NOW + 600 * SECOND);
        c = put(b, "192.0.2.7", "nginx", NOW, NOW + 60 * SECOND);
        assert_int_equal(c.kernel_usec, NOW + 600 * SECOND);
        c = drop(b, &(BanFilter){.jail = "sshd", .address = &e}, NOW);
        assert_true(c.was_there);
        assert_int_equal(c.kernel_usec, NOW + 60 * SECOND);
        c = drop(b, &(BanFilter){.address = &e}, NOW);
        assert_int_equal(c.kernel_usec, 0);
        assert_string_equal(list(b, &(BanFilter){0}, NOW), "");
        c = drop(b, &(BanFilter){.address = &e}, NOW); /* idempotent */
        assert_false(c.was_there);
}

static void earlier_bans_are_counted_and_forgotten_in_time(void **state) {
        Bench *b = *state;
        BanEntry e = key(b, "192.0.2.7");
        int64_t times, later = NOW + (BAN_STORE_FORGET_DAYS + 1) * INT64_C(86400) * SECOND;

        put(b, "192.0.2.7", "sshd", NOW, NOW + 10 * SECOND);
        assert_int_equal(expire(b, NOW + 20 * SECOND), 101);
        assert_int_equal(ban_store_count_past(b->store, &e, NOW, &times), 0);
        assert_int_equal(times, 1);
        assert_int_equal(put(b, "192.0.2.7", "sshd", NOW + 30 * SECOND, NOW + 40 * SECOND).times,
                         2);
        drop(b, &(BanFilter){.address = &e}, NOW + 31 * SECOND);
        assert_int_equal(put(b, "192.0.2.7", "", NOW + 50 * SECOND, NOW + 60 * SECOND).times, 3);
        assert_int_equal(expire(b, later), 101);
        assert_int_equal(put(b, "192.0.2.7", "", later, BAN_EVER).times, 1);
}

static void what_is_restored_is_not_counted_as_another_one(void **state) {
        Bench *b = *state;
        BanEntry e = key(b, "192.0.2.7");
        Ban ban = {.key = e,
                   .jail = "sshd",
                   .source = "",
                   .reason = "",
                   .since_usec = NOW,
                   .until_usec = NOW + 600 * SECOND,
                   .is_restored = true};
        BanChange c;

        for (int64_t earlier = 1; earlier <= 3; earlier++) {
                assert_int_equal(ban_store_begin(b->store), 0);
                assert_int_equal(ban_store_put(b->store, &ban, NOW, &c), 0);
                assert_int_equal(ban_store_commit(b->store), 0);
                assert_false(c.was_there);
                assert_int_equal(c.times, earlier); /* the first one counts, whatever it says */
                drop(b, &(BanFilter){.address = &e}, NOW);
                assert_int_equal(put(b, "192.0.2.7", "", NOW, BAN_EVER).times, earlier + 1);
                drop(b, &(BanFilter){.address = &e}, NOW);
        }
}

static void lists_by_jail_time_address_and_in_pages(void **state) {
        Bench *b = *state;
        BanEntry e = key(b, "192.0.2.9"), s = e;
        unsigned char after[BAN_KEY_BYTES_MAX];
        Ban service = {.jail = "sshd",
                       .source = "",
                       .reason = "",
                       .since_usec = NOW + SECOND,
                       .until_usec = BAN_EVER};
        BanChange change;
        const char *why;

        put(b, "192.0.2.7", "sshd", NOW, BAN_EVER);
        put(b, "192.0.2.9", "nginx", NOW + 5 * SECOND, BAN_EVER);
        put(b, "198.51.100.0/24", "", NOW + 9 * SECOND, BAN_EVER);
        assert_int_equal(ban_parse_service(b->arena, "22/tcp", &s, &why), 0);
        service.key = s;
        assert_int_equal(ban_store_begin(b->store), 0);
        assert_int_equal(ban_store_put(b->store, &service, NOW, &change), 0);
        assert_int_equal(ban_store_commit(b->store), 0);
        assert_string_equal(list(b, &(BanFilter){.jail = "sshd"}, NOW),
                            "192.0.2.7 sshd, 192.0.2.9 sshd");
        assert_string_equal(list(b, &(BanFilter){.address = &e}, NOW),
                            "192.0.2.9 nginx, 192.0.2.9 sshd");
        assert_string_equal(list(b, &(BanFilter){.since_usec = NOW + 5 * SECOND}, NOW),
                            "192.0.2.9 nginx, 198.51.100.0/24 ");
        assert_string_equal(list(b, &(BanFilter){.limit = 2}, NOW),
                            "192.0.2.7 sshd, 192.0.2.9 nginx");
        assert_string_equal(list(b,
                                 &(BanFilter){.after = after,
                                              .after_size = ban_key_write(&e, after),
                                              .after_jail = "nginx"},
                                 NOW),
                            "192.0.2.9 sshd, 198.51.100.0/24 ");
}

static void beyond_the_limit_who_would_be_let_in_first_goes_first(void **state) {
        Bench *b = *state;
        BanChange last = {0};
        char buf[ADDRESS_TEXT_MAX];

        put(b, "192.0.2.1", "", NOW, NOW + 900 * SECOND);
        put(b, "192.0.2.2", "", NOW, NOW + 100 * SECOND);
        put(b, "192.0.2.3", "", NOW, BAN_EVER);
        assert_int_equal(ban_store_begin(b->store), 0);
        assert_int_equal(ban_store_trim(b->store, 1, NOW, add_change, &last), 0);
        assert_int_equal(ban_store_commit(b->store), 0);
        assert_string_equal(ban_print_address(&last.key, buf), "192.0.2.2");
        assert_string_equal(list(b, &(BanFilter){0}, NOW), "192.0.2.1 , 192.0.2.3 ");
        /* but never a ban that does not end */
        assert_int_equal(ban_store_begin(b->store), 0);
        assert_int_equal(ban_store_trim(b->store, 9, NOW, add_change, &last), 0);
        assert_int_equal(ban_store_commit(b->store), 0);
        assert_string_equal(list(b, &(BanFilter){0}, NOW), "192.0.2.3 ");
}

static void bans_are_found_by_where_they_begin_and_counted_by_whose_they_are(void **state) {
        Bench *b = *state;
        BanEntry around = key(b, "198.51.100.0/24");
        Range within = ban_range(&around);
        int64_t n = 0;

        put(b, "198.51.99.255", "sshd", NOW, BAN_EVER);
        put(b, "198.51.100.0", "sshd", NOW, BAN_EVER);
        put(b, "198.51.100.0/25", "sshd", NOW, BAN_EVER);
        put(b, "198.51.100.255", "nginx", NOW, BAN_EVER);
        put(b, "198.51.101.0", "nginx", NOW, NOW + SECOND);
        put(b, "2001:db8::1", "sshd", NOW, BAN_EVER);
        assert_string_equal(list(b, &(BanFilter){.family = FAMILY_IPV4, .within = &within}, NOW),
                            "198.51.100.0/25 sshd, 198.51.100.0 sshd, 198.51.100.255 nginx");
        assert_int_equal(ban_store_count_of(b->store, "sshd", NOW, &n), 0);
        assert_int_equal(n, 4);
        assert_int_equal(ban_store_count_of(b->store, "nginx", NOW + 2 * SECOND, &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(ban_store_count_of(b->store, "nobody", NOW, &n), 0);
        assert_int_equal(n, 0);
}

static void what_was_over_long_ago_counts_no_more_even_before_it_is_removed(void **state) {
        Bench *b = *state;
        BanEntry e = key(b, "192.0.2.7");
        int64_t later = NOW + (BAN_STORE_FORGET_DAYS + 1) * INT64_C(86400) * SECOND;

        put(b, "192.0.2.7", "", NOW, BAN_EVER);
        drop(b, &(BanFilter){.address = &e}, NOW);
        assert_int_equal(put(b, "192.0.2.7", "", later, BAN_EVER).times, 1);
}

static int add_entry(const BanEntry *e, void *to) {
        uint64_t *n = to;

        n[0]++;
        n[1] += e->timeout_ms;
        return 0;
}

static void the_kernel_gets_each_address_once(void **state) {
        Bench *b = *state;
        uint64_t n[2] = {0};
        int64_t next;

        put(b, "192.0.2.7", "sshd", NOW, NOW + 600 * SECOND);
        put(b, "192.0.2.7", "nginx", NOW, NOW + 60 * SECOND);
        put(b, "192.0.2.8", "", NOW, BAN_EVER);
        assert_int_equal(ban_store_read_kernel(b->store, NOW, add_entry, n), 0);
        assert_int_equal(n[0], 2);
        assert_int_equal(n[1], 600000);
        assert_int_equal(ban_store_next_end(b->store, &next), 0);
        assert_int_equal(next, NOW + 60 * SECOND);
        assert_int_equal(expire(b, NOW + 60 * SECOND), 100); /* another jail still bans it */
        assert_int_equal(expire(b, NOW + 600 * SECOND), 101);
        assert_int_equal(expire(b, NOW + 700 * SECOND), 0);
}

static void a_damaged_file_is_put_aside(void **state) {
        Bench *b = *state;
        char path[128];
        struct stat st;
        int fd;

        put(b, "192.0.2.7", "sshd", NOW, BAN_EVER);
        b->store = ban_store_close(b->store);
        (void)snprintf(path, sizeof(path), "%s/" BAN_STORE_FILE, b->folder);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        for (off_t at = 0; at < 8192; at += 16)
                assert_int_equal(pwrite(fd, "not a database..", 16, at), 16);
        (void)close(fd);
        open_store(b);
        assert_non_null(b->aside);
        assert_int_equal(stat(b->aside, &st), 0);
        assert_string_equal(list(b, &(BanFilter){0}, NOW), "");
        put(b, "192.0.2.7", "sshd", NOW, BAN_EVER);
}

/* As after a downgrade: what it holds is not known here, and not lost. */
static void a_store_of_a_later_version_is_left_as_it_is(void **state) {
        Bench *b = *state;
        char path[128];
        sqlite3 *db = NULL;

        put(b, "192.0.2.7", "sshd", NOW, BAN_EVER);
        b->store = ban_store_close(b->store);
        (void)snprintf(path, sizeof(path), "%s/" BAN_STORE_FILE, b->folder);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 2", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        assert_int_equal(ban_store_open(b->folder, &b->store, &b->aside, b->d), -EOPNOTSUPP);
        assert_null(b->aside);
        assert_non_null(strstr(b->d->messages[0].text, "are of a later version of ringwall"));
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 1", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        open_store(b);
        assert_string_equal(list(b, &(BanFilter){0}, NOW), "192.0.2.7 sshd");
}

/* Whoever may write to the folder would have the daemon write to another file. */
static void a_link_in_its_place_is_not_followed(void **state) {
        Bench *b = *state;
        char path[128], other[128];

        b->store = ban_store_close(b->store);
        (void)snprintf(path, sizeof(path), "%s/" BAN_STORE_FILE, b->folder);
        (void)snprintf(other, sizeof(other), "%s/other", b->folder);
        assert_int_equal(rename(path, other), 0);
        assert_int_equal(symlink(other, path), 0);
        assert_true(ban_store_open(b->folder, &b->store, &b->aside, b->d) < 0);
        assert_non_null(strstr(b->d->messages[0].text, "cannot be opened"));
}

static void a_copy_holds_what_was_committed_last(void **state) {
        Bench *b = *state;
        char folder[128], *aside = NULL;
        BanStore *own = b->store;

        (void)snprintf(folder, sizeof(folder), "%s/copy", b->folder);
        assert_int_equal(mkdir(folder, 0700), 0);
        put(b, "192.0.2.7", "sshd", NOW, BAN_EVER);
        for (int i = 0; i < 2; i++) { /* an earlier copy is in the way */
                assert_int_equal(ban_store_copy(b->folder, folder), 0);
                assert_int_equal(ban_store_open(folder, &b->store, &aside, b->d), 0);
                assert_null(aside);
                assert_string_equal(list(b, &(BanFilter){0}, NOW), "192.0.2.7 sshd");
                put(b, "192.0.2.8", "sshd", NOW, BAN_EVER);
                b->store = ban_store_close(b->store);
        }
        b->store = own;
        assert_string_equal(list(b, &(BanFilter){0}, NOW), "192.0.2.7 sshd");
        assert_int_equal(ban_store_copy("/nowhere", folder), -ENOENT);
        assert_int_equal(ban_store_copy("/", folder), -ENOENT);
}

static void nobody_else_opens_it(void **state) {
        Bench *b = *state;
        BanStore *other = NULL;
        char *aside = NULL;

        put(b, "192.0.2.7", "sshd", NOW, BAN_EVER);
        assert_int_equal(ban_store_open(b->folder, &other, &aside, b->d), -EBUSY);
        assert_null(aside);
}

static void nobody_else_reads_it(void **state) {
        Bench *b = *state;
        char path[128];
        struct stat st;

        (void)snprintf(path, sizeof(path), "%s/" BAN_STORE_FILE, b->folder);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0077, 0);
}

static void all_of_them_are_dropped_at_once_and_remembered(void **state) {
        Bench *b = *state;
        BanEntry e = key(b, "192.0.2.7");
        int64_t n = 0, times = 0;

        put(b, "192.0.2.7", "sshd", NOW, NOW + SECOND);
        put(b, "192.0.2.7", "nginx", NOW, BAN_EVER);
        put(b, "198.51.100.0/24", "", NOW, BAN_EVER);
        assert_int_equal(ban_store_begin(b->store), 0);
        assert_int_equal(ban_store_drop_all(b->store, NOW, &n), 0);
        assert_int_equal(ban_store_commit(b->store), 0);
        assert_int_equal(n, 3);
        assert_int_equal(ban_store_count_past(b->store, &e, NOW, &times), 0);
        assert_int_equal(times, 1);
        assert_int_equal(ban_store_count(b->store, NOW, &n, &times), 0);
        assert_int_equal(n, 0);
}

#define bench_test(function) cmocka_unit_test_setup_teardown((function), setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                bench_test(what_was_committed_is_there_when_it_is_opened_again),
                bench_test(what_was_not_committed_is_not_there),
                bench_test(a_second_ban_extends_and_never_shortens),
                bench_test(each_jail_ends_its_own_ban_and_the_last_one_counts),
                bench_test(earlier_bans_are_counted_and_forgotten_in_time),
                bench_test(what_is_restored_is_not_counted_as_another_one),
                bench_test(lists_by_jail_time_address_and_in_pages),
                bench_test(beyond_the_limit_who_would_be_let_in_first_goes_first),
                bench_test(bans_are_found_by_where_they_begin_and_counted_by_whose_they_are),
                bench_test(what_was_over_long_ago_counts_no_more_even_before_it_is_removed),
                bench_test(all_of_them_are_dropped_at_once_and_remembered),
                bench_test(the_kernel_gets_each_address_once),
                bench_test(a_damaged_file_is_put_aside),
                bench_test(a_store_of_a_later_version_is_left_as_it_is),
                bench_test(a_link_in_its_place_is_not_followed),
                bench_test(a_copy_holds_what_was_committed_last),
                bench_test(nobody_else_opens_it),
                bench_test(nobody_else_reads_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
