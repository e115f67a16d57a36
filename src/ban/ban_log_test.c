/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/ban_log.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/unit.h"

/* A log as SQLite itself writes it: of two lives, the second one shorter than the first. */
typedef struct Bench {
        unsigned char *bytes;
        size_t size;
        char folder[64], path[128];
} Bench;

#define PAGE 4096
#define FRAME (24 + PAGE)

static int setup(void **state) {
        static const char before[] = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
                                     "CREATE TABLE t (a BLOB);";
        Bench *b = calloc(1, sizeof(*b));
        sqlite3 *db = NULL;
        FILE *f;

        *state = b;
        (void)snprintf(b->folder, sizeof(b->folder), "/tmp/ringwall-log-XXXXXX");
        assert_non_null(mkdtemp(b->folder));
        (void)snprintf(b->path, sizeof(b->path), "%s/x", b->folder);
        assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, before, NULL, NULL, NULL), SQLITE_OK);
        for (int i = 0; i < 30; i++) {
                if (i == 20)
                        assert_int_equal(sqlite3_exec(db, "PRAGMA wal_checkpoint(RESTART)", NULL,
                                                      NULL, NULL),
                                         SQLITE_OK);
                assert_int_equal(sqlite3_exec(db, "INSERT INTO t VALUES (randomblob(3000))", NULL,
                                              NULL, NULL),
                                 SQLITE_OK);
        }
        (void)snprintf(b->path, sizeof(b->path), "%s/x-wal", b->folder);
        f = fopen(b->path, "re");
        assert_non_null(f);
        b->bytes = malloc(1 << 20);
        b->size = fread(b->bytes, 1, 1 << 20, f);
        (void)fclose(f);
        assert_true(b->size > 40 * FRAME);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        return 0;
}

static int teardown(void **state) {
        Bench *b = *state;
        char command[128];
        int r;

        (void)snprintf(command, sizeof(command), "rm -rf %s", b->folder);
        r = system(command); /* NOLINT(cert-env33-c): a folder of this test's */
        free(b->bytes);
        free(b);
        return r;
}

static void what_is_left_of_an_earlier_one_is_no_damage(void **state) {
        Bench *b = *state;

        assert_false(ban_log_is_damaged(b->bytes, b->size));
        assert_false(ban_log_is_damaged(b->bytes, 0));
        assert_false(ban_log_is_damaged(b->bytes, 32));
}

static void a_flipped_bit_is_found_but_in_the_last_frame(void **state) {
        Bench *b = *state;
        size_t n = 0; /* frames of this life */

        while (memcmp(b->bytes + 32 + n * FRAME + 8, b->bytes + 16, 8) == 0)
                n++;
        assert_in_range(n, 10, 30);
        for (size_t i = 0; i < n; i++) {
                size_t at = 32 + i * FRAME + (i % 2 ? 24 + 100 * i : 4);

                b->bytes[at] ^= 1;
                /* of the last one nobody can tell: it may not have been written in full */
                assert_int_equal(ban_log_is_damaged(b->bytes, b->size), i + 1 < n);
                b->bytes[at] ^= 1;
        }
        for (size_t at = 0; at < 32; at++) {
                b->bytes[at] ^= 0x80;
                assert_true(ban_log_is_damaged(b->bytes, b->size));
                b->bytes[at] ^= 0x80;
        }
}

static void a_log_that_breaks_off_has_only_an_end(void **state) {
        Bench *b = *state;

        for (size_t size = 33; size < b->size; size += 997)
                assert_false(ban_log_is_damaged(b->bytes, size));
}

static void of_a_file(void **state) {
        Bench *b = *state;
        bool damaged = true;
        FILE *f;

        assert_int_equal(ban_log_read("/nowhere/x-wal", &damaged), 0);
        assert_false(damaged);
        b->bytes[32 + FRAME + 500] ^= 1;
        f = fopen(b->path, "we");
        assert_non_null(f);
        assert_int_equal(fwrite(b->bytes, 1, b->size, f), b->size);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(ban_log_read(b->path, &damaged), 0);
        assert_true(damaged);
}

#define bench_test(function) cmocka_unit_test_setup_teardown((function), setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                bench_test(what_is_left_of_an_earlier_one_is_no_damage),
                bench_test(a_flipped_bit_is_found_but_in_the_last_frame),
                bench_test(a_log_that_breaks_off_has_only_an_end),
                bench_test(of_a_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
