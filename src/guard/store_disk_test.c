/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "base/file.h"
#include "guard/store_unit.h"

/* Disks that are full or read-only, and a writer that is killed. The disks are file systems in
 * memory, in a mount namespace of this program's own. */

static void mount_disk(StoreTest *t) {
        assert_int_equal(mkdir(t->folder, 0700), 0);
        assert_int_equal(mount("disk", t->folder, "tmpfs", 0, "size=1m,mode=0700"), 0);
}

static void unmount_disk(StoreTest *t) {
        t->store = store_close(t->store);
        assert_int_equal(umount(t->folder), 0);
}

/* Leaves no room for one more file, however small. */
static void fill_disk(const StoreTest *t) {
        FILE *f = fopen(store_test_path(t, "filler"), "we");
        static char bytes[4096];
        size_t n = 0;

        assert_non_null(f);
        setbuf(f, NULL);
        while (fwrite(bytes, sizeof(bytes), 1, f) == 1)
                assert_true(++n < 1000);
        assert_int_equal(errno, ENOSPC);
        (void)fclose(f);
}

static void set_read_only(const StoreTest *t, bool read_only) {
        assert_int_equal(
                mount(NULL, t->folder, NULL, MS_REMOUNT | (read_only ? MS_RDONLY : 0), NULL), 0);
}

/* Every name and what it holds, one behind the other. */
static const char *picture(const StoreTest *t, const char *path) {
        struct dirent **entries;
        const char *all = path;
        int n = scandir(path, &entries, NULL, alphasort);

        assert_true(n >= 0);
        for (int i = 0; i < n; i++) {
                const char *name = entries[i]->d_name;
                const char *full = arena_printf(t->arena, "%s/%s", path, name);
                uint64_t hash = 14695981039346656037U; /* FNV-1a */
                size_t size;
                char *text;

                if (name[0] == '.' || streq(name, "filler"))
                        ;
                else if (file_read(t->arena, full, 1 << 20, &text, &size) == -EISDIR)
                        all = arena_printf(t->arena, "%s\n%s", all, picture(t, full));
                else {
                        for (size_t j = 0; j < size; j++)
                                hash = (hash ^ (unsigned char)text[j]) * 1099511628211U;
                        all = arena_printf(t->arena, "%s\n%s %zu %llx", all, name, size,
                                           (unsigned long long)hash);
                }
                free(entries[i]);
        }
        free(entries);
        return all;
}

static const Pending pending = {
        .entry = 2,
        .fallback = {.kind = TARGET_ENTRY, .entry = 1},
        .armed_usec = 5,
        .deadline_usec = 125,
        .boot = "boot-a",
};

/* All that writes fails, says why and what to do, and leaves all as it is. */
static void check_that_nothing_can_be_written(StoreTest *t, const char *why, const char *hint) {
        const char *before = picture(t, t->folder);
        StoreContent content = store_test_content(t->arena, 3);

        for (int i = 0; i < 5; i++) {
                static const char *const names[] = {"add", "stage", "seal", "pending", "peer"};
                static const char *const files[] = {"history/00000003", "sealed.next",
                                                    "sealed.next", "pending", "rescue"};
                StoreEntry entry = {.number = 77};
                Diag *d = diag_new(t->arena);
                int r = i == 0   ? store_add(t->store, &entry, &content, d)
                        : i == 1 ? store_stage(t->store, 2, d)
                        : i == 2 ? store_seal(t->store, 2, 1, &store_test_caller, d)
                        : i == 3 ? store_write_pending(t->store, &pending, d)
                                 : store_remember_peer(t->store, (StorePeer){0}, d);

                unit_equal(names[i], r, -EBADMSG);
                unit_string(names[i], d->messages[0].text,
                            arena_printf(t->arena, "cannot write %s/%s: %s; nothing has changed",
                                         t->folder, files[i], why));
                unit_true(names[i], d->messages[0].hint && strstr(d->messages[0].hint, hint));
                unit_true(names[i], strstr(d->messages[0].hint, t->folder));
                unit_equal(names[i], entry.number, 77);
                unit_string(names[i], picture(t, t->folder), before);
        }
}

static void on_a_full_disk_nothing_changes_and_the_error_says_what_to_do(void **state) {
        StoreTest *t = *state;
        ConfirmFound f;

        mount_disk(t);
        store_test_open(t);
        store_test_confirm(t, 1);
        store_test_add(t, 2);
        fill_disk(t);
        check_that_nothing_can_be_written(t, "the disk is full", "make room");
        store_test_open(t);
        assert_int_equal(store_find(t->store, &f, t->d), 0);
        assert_int_equal(f.sealed, 1);
        assert_int_equal(f.pending_state, PENDING_NONE);
        assert_int_equal(unlink(store_test_path(t, "filler")), 0);
        store_test_add(t, 3);
        assert_int_equal(store_seal(t->store, 2, 1, &store_test_caller, t->d), 0);
        unmount_disk(t);
}

static void what_was_staged_can_be_confirmed_on_a_disk_that_is_full_by_now(void **state) {
        StoreTest *t = *state;
        StoreContent content;
        ConfirmFound f;
        StoreEntry entry;

        mount_disk(t);
        store_test_open(t);
        store_test_add(t, 1);
        store_test_add(t, 2);
        assert_int_equal(store_stage(t->store, 2, t->d), 0);
        assert_int_equal(store_write_pending(t->store, &pending, t->d), 0);
        fill_disk(t);
        assert_int_equal(store_seal(t->store, 2, 9, &store_test_caller, t->d), 0);
        /* what could not be noted is told, and made up for later */
        assert_int_equal(t->d->n_errors, 0);
        assert_non_null(
                strstr(store_test_message(t->d),
                       "/history/00000002 cannot tell when it was confirmed: No space left"));
        assert_int_equal(store_remove_pending(t->store, t->d), 0);
        assert_int_equal(store_find(t->store, &f, diag_new(t->arena)), 0);
        assert_true(f.armed);
        assert_int_equal(f.sealed, 2);
        assert_int_equal(f.pending_state, PENDING_NONE);
        assert_int_equal(store_read_sealed(t->store, t->arena, &entry, &content, t->d), 0);
        assert_int_equal(unlink(store_test_path(t, "filler")), 0);
        store_test_open(t);
        assert_int_equal(unlink(store_test_path(t, "sealed")), 0);
        assert_int_equal(store_find(t->store, &f, diag_new(t->arena)), 0);
        assert_int_equal(f.first, 2);
        unmount_disk(t);
}

static void a_read_only_disk_is_read_and_not_written(void **state) {
        StoreTest *t = *state;
        StoreContent content;
        ConfirmFound f;
        StoreEntry entry;
        Diag *d;

        mount_disk(t);
        store_test_open(t);
        store_test_confirm(t, 1);
        store_test_add(t, 2);
        assert_int_equal(store_write_pending(t->store, &pending, t->d), 0);
        t->store = store_close(t->store);
        set_read_only(t, true);
        store_test_open(t); /* as a boot would find it */
        assert_int_equal(store_find(t->store, &f, t->d), 0);
        assert_int_equal(f.sealed, 1);
        assert_int_equal(f.pending_state, PENDING_READ);
        assert_int_equal(store_read_sealed(t->store, t->arena, &entry, &content, t->d), 0);
        check_that_nothing_can_be_written(t, "the file system is read-only", "mount -o remount,rw");
        d = diag_new(t->arena);
        assert_int_equal(store_remove_pending(t->store, d), -EBADMSG);
        assert_int_equal(store_find(t->store, &f, t->d), 0);
        assert_int_equal(f.pending_state, PENDING_READ);
        t->store = store_close(t->store);
        set_read_only(t, false);
        store_test_open(t);
        assert_int_equal(store_remove_pending(t->store, t->d), 0);
        unmount_disk(t);
}

/* Adds, stages, arms, seals without end; tells of each thing that it finished. */
static _noreturn_ void write_without_end(StoreTest *t, int progress) {
        StoreContent content = store_test_content(t->arena, 1);

        for (;;) {
                StoreEntry entry = {.message = "again and again"};
                Pending next = pending;
                Store *s = t->store;
                bool failed = store_add(s, &entry, &content, t->d) < 0;

                failed = failed || write(progress, "a", 1) != 1;
                next.entry = entry.number;
                failed = failed || store_stage(s, entry.number, t->d) < 0;
                failed = failed || write(progress, "s", 1) != 1;
                failed = failed || store_write_pending(s, &next, t->d) < 0;
                failed = failed || write(progress, "p", 1) != 1;
                failed = failed || store_seal(s, entry.number, 1, &store_test_caller, t->d) < 0;
                failed = failed || write(progress, "c", 1) != 1;
                failed = failed || store_remove_pending(s, t->d) < 0;
                failed = failed || write(progress, "r", 1) != 1;
                if (failed)
                        _exit(1);
        }
}

/* Starts the writer and kills it once it has finished so many things and begun another. */
static void kill_a_writer(StoreTest *t, int n) {
        int fds[2], status;
        char byte;
        pid_t pid;

        assert_int_equal(pipe(fds), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)close(fds[0]);
                (void)store_test_open(t);
                write_without_end(t, fds[1]);
        }
        (void)close(fds[1]);
        for (int i = 0; i < n; i++)
                if (read(fds[0], &byte, 1) != 1)
                        break;
        for (volatile int i = 0; i < n * 977 % 50000; i++) /* some way into the next thing */
                ;
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        (void)close(fds[0]);
}

static void a_writer_that_is_killed_leaves_whole_files(void **state) {
        StoreTest *t = *state;
        uint32_t last = 0;

        mount_disk(t);
        for (int n = 1; n <= 60; n++) {
                ConfirmFound f;
                StoreListed *listed;
                size_t n_listed;

                kill_a_writer(t, n);
                t->d = diag_new(t->arena);
                store_test_open(t);
                assert_int_equal(store_find(t->store, &f, t->d), 0);
                assert_int_equal(t->d->n_messages, 0); /* nothing is damaged or missing */
                assert_true(f.sealed >= last);
                last = f.sealed;
                if (f.pending_state == PENDING_READ)
                        assert_true(f.entry_is_usable);
                assert_int_equal(store_list(t->store, t->arena, &listed, &n_listed, t->d), 0);
                /* one more, if it was killed before it forgot the oldest */
                assert_true(n_listed <= STORE_HISTORY_MAX + 1);
                for (size_t i = 0; i < n_listed; i++)
                        assert_null(listed[i].damage);
                t->store = store_close(t->store);
        }
        assert_true(last > 60);
        unmount_disk(t);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                store_test(on_a_full_disk_nothing_changes_and_the_error_says_what_to_do),
                store_test(what_was_staged_can_be_confirmed_on_a_disk_that_is_full_by_now),
                store_test(a_read_only_disk_is_read_and_not_written),
                store_test(a_writer_that_is_killed_leaves_whole_files),
        };

        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
                perror("this test needs a mount namespace of its own");
                return EXIT_FAILURE;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
