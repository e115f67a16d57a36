/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/ban_spool.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unit.h"

typedef struct Place {
        char folder[64], file[96];
} Place;

static int setup(void **state) {
        Place *p = calloc(1, sizeof(*p));

        *state = p;
        if (!p)
                return -1;
        (void)snprintf(p->folder, sizeof(p->folder), "/tmp/ringwall-spool-XXXXXX");
        if (!mkdtemp(p->folder))
                return -1;
        (void)snprintf(p->file, sizeof(p->file), "%s/" BAN_SPOOL_FILE, p->folder);
        return 0;
}

static int teardown(void **state) {
        Place *p = *state;

        (void)unlink(p->file);
        (void)rmdir(p->folder);
        free(p);
        return 0;
}

static void write_file(const Place *p, const char *text, mode_t mode) {
        int fd = open(p->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

        assert_true(fd >= 0);
        assert_int_equal(fchmod(fd, mode), 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        (void)close(fd);
}

static void lines_come_back_in_order_and_once(void **state) {
        Place *p = *state;
        BanSpool s;

        assert_int_equal(ban_spool_open(p->folder, &s), 0);
        assert_int_equal(ban_spool_add(p->folder, "one"), 0);
        assert_int_equal(ban_spool_add(p->folder, "two"), 0);
        for (int round = 0; round < 2; round++) { /* it stays until it is done */
                assert_int_equal(ban_spool_open(p->folder, &s), 1);
                assert_string_equal(ban_spool_next(&s), "one");
                assert_string_equal(ban_spool_next(&s), "two");
                assert_null(ban_spool_next(&s));
                ban_spool_close(&s, p->folder, round == 1);
        }
        assert_int_equal(ban_spool_open(p->folder, &s), 0);
}

static void the_folder_is_made(void **state) {
        Place *p = *state;
        BanSpool s;

        assert_int_equal(rmdir(p->folder), 0);
        assert_int_equal(ban_spool_add(p->folder, "one"), 0);
        assert_int_equal(ban_spool_open(p->folder, &s), 1);
        ban_spool_close(&s, p->folder, true);
}

static void what_broke_off_spoils_no_other_line(void **state) {
        Place *p = *state;
        BanSpool s;

        write_file(p, "one\n\n{\"half", 0600);
        assert_int_equal(ban_spool_add(p->folder, "two"), 0);
        assert_int_equal(ban_spool_open(p->folder, &s), 1);
        assert_string_equal(ban_spool_next(&s), "one");
        assert_string_equal(ban_spool_next(&s), "{\"half");
        assert_string_equal(ban_spool_next(&s), "two");
        assert_null(ban_spool_next(&s));
        ban_spool_close(&s, p->folder, true);
}

static void it_grows_no_further_than_said(void **state) {
        Place *p = *state;
        char line[BAN_SPOOL_LINE_MAX + 2];
        size_t n = 0;
        BanSpool s;

        memset(line, 'x', sizeof(line));
        line[BAN_SPOOL_LINE_MAX + 1] = '\0';
        assert_int_equal(ban_spool_add(p->folder, line), -EINVAL);
        assert_int_equal(ban_spool_add(p->folder, "two\nlines"), -EINVAL);
        line[BAN_SPOOL_LINE_MAX] = '\0';
        for (size_t i = 0; i < 1000; i++) {
                int r = ban_spool_add(p->folder, line);

                if (r == -EFBIG)
                        break;
                assert_int_equal(r, 0);
                n++;
        }
        assert_int_equal(n, BAN_SPOOL_MAX / (BAN_SPOOL_LINE_MAX + 2));
        assert_int_equal(ban_spool_open(p->folder, &s), 1);
        while (ban_spool_next(&s))
                n--;
        assert_int_equal(n, 0);
        ban_spool_close(&s, p->folder, true);
}

static void nobody_waits_for_whoever_holds_it(void **state) {
        Place *p = *state;
        BanSpool s;
        int fd;

        assert_int_equal(ban_spool_add(p->folder, "one"), 0);
        fd = open(p->file, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(flock(fd, LOCK_EX), 0);
        assert_int_equal(ban_spool_open(p->folder, &s), -EAGAIN);
        (void)close(fd);
        assert_int_equal(ban_spool_open(p->folder, &s), 1);
        ban_spool_close(&s, p->folder, true);
}

static void what_others_could_write_is_not_believed(void **state) {
        Place *p = *state;
        BanSpool s;

        write_file(p, "one\n", 0622);
        assert_int_equal(ban_spool_open(p->folder, &s), -EPERM);
        assert_int_equal(ban_spool_add(p->folder, "two"), -EPERM);
        assert_int_equal(unlink(p->file), 0);
        assert_int_equal(symlink("/etc/passwd", p->file), 0);
        assert_int_equal(ban_spool_open(p->folder, &s), -EPERM);
        assert_int_equal(ban_spool_add(p->folder, "two"), -EPERM);
        assert_int_equal(unlink(p->file), 0);
        assert_int_equal(mkfifo(p->file, 0600), 0);
        assert_int_equal(ban_spool_open(p->folder, &s), -EPERM);
        assert_int_equal(ban_spool_add(p->folder, "two"), -EPERM);
}

#define place_test(function) cmocka_unit_test_setup_teardown((function), setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                place_test(lines_come_back_in_order_and_once),
                place_test(the_folder_is_made),
                place_test(what_broke_off_spoils_no_other_line),
                place_test(it_grows_no_further_than_said),
                place_test(nobody_waits_for_whoever_holds_it),
                place_test(what_others_could_write_is_not_believed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
