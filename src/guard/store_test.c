/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "guard/store_unit.h"

/* What is written into the store, and comes back. */

static void an_entry_comes_back_as_it_was_added(void **state) {
        StoreTest *t = *state;
        StoreContent content;
        StoreEntry entry;

        store_test_open(t);
        store_test_add(t, 1);
        store_test_add(t, 2);
        store_test_open(t);
        assert_int_equal(store_read(t->store, 2, t->arena, &entry, &content, t->d), 0);
        assert_int_equal(entry.number, 2);
        assert_true(entry.created_usec == 2000000);
        assert_int_equal(entry.by.uid, 1000);
        assert_string_equal(entry.by.user, "ada");
        assert_true(entry.by.has_peer);
        assert_int_equal(entry.by.family, FAMILY_IPV4);
        assert_true(u128_equal(entry.by.peer, u128(0x0a280a07)));
        assert_int_equal(entry.by.port, 2222);
        assert_string_equal(entry.message, "message 2");
        assert_false(entry.confirmed);
        store_test_check_content(&content, 2, t->arena);
        assert_int_equal(store_read(t->store, 1, t->arena, &entry, &content, t->d), 0);
        store_test_check_content(&content, 1, t->arena);
        assert_int_equal(store_read(t->store, 3, t->arena, &entry, &content, t->d), -ENOENT);
        assert_int_equal(store_read(t->store, 1, t->arena, &entry, NULL, t->d), 0);
        assert_string_equal(entry.message, "message 1");
}

static void equal_contents_have_equal_digests(void **state) {
        StoreTest *t = *state;
        StoreContent one = store_test_content(t->arena, 1), two = store_test_content(t->arena, 2);
        StoreEntry a = {0}, b = {.message = "again"}, c = {0};

        store_test_open(t);
        assert_int_equal(store_add(t->store, &a, &one, t->d), 0);
        assert_int_equal(store_add(t->store, &b, &one, t->d), 0);
        assert_int_equal(store_add(t->store, &c, &two, t->d), 0);
        assert_memory_equal(a.digest, b.digest, STORE_DIGEST_SIZE);
        assert_memory_not_equal(a.digest, c.digest, STORE_DIGEST_SIZE);
}

static void only_root_may_look_into_the_folder(void **state) {
        static const char *const names[] = {"", "history"};
        StoreTest *t = *state;
        struct stat st;

        store_test_open(t);
        store_test_confirm(t, 1);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                assert_int_equal(stat(store_test_path(t, names[i]), &st), 0);
                assert_int_equal(st.st_mode & 07777, 0700);
        }
        assert_int_equal(stat(store_test_path(t, "sealed"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(stat(store_test_path(t, "history/00000001"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_folder_that_others_could_read_is_mended(void **state) {
        StoreTest *t = *state;
        struct stat st;

        assert_int_equal(mkdir(t->folder, 0755), 0);
        store_test_open(t);
        store_test_check_message(t, "others than root could look into %s: mended");
        assert_int_equal(stat(t->folder, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
}

static void a_folder_that_others_may_use_is_refused(void **state) {
        StoreTest *t = *state;
        Store *store;

        assert_int_equal(mkdir(t->folder, 0700), 0);
        assert_int_equal(chmod(t->folder, 0770), 0);
        assert_int_equal(store_open(t->folder, STORE_WRITE, &store, t->d), -EBADMSG);
        store_test_check_message(t, "others than root may write in %s");
        assert_string_equal(
                t->d->messages[0].hint,
                arena_printf(t->arena, "see what it holds; then: chmod 700 %s", t->folder));
        assert_int_equal(chmod(t->folder, 0700), 0);
        assert_int_equal(chown(t->folder, 12345, 0), 0);
        t->d = diag_new(t->arena);
        assert_int_equal(store_open(t->folder, STORE_READ, &store, t->d), -EBADMSG);
        store_test_check_message(t, "%s does not belong to root");
}

/* As a process that a daemon had forked when it was killed. */
static void a_lock_that_is_let_go_of_is_waited_for(void **state) {
        StoreTest *t = *state;
        pid_t other;
        int ends[2];
        char byte;

        assert_int_equal(mkdir(t->folder, 0700) == 0 || errno == EEXIST, 1);
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        other = fork();
        if (other == 0) {
                int fd = open(t->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                if (flock(fd, LOCK_EX) == 0 && write(ends[1], "", 1) == 1)
                        (void)nanosleep(&(struct timespec){.tv_nsec = 100 * 1000000L}, NULL);
                _exit(0);
        }
        assert_true(other > 0);
        assert_int_equal(read(ends[0], &byte, 1), 1);
        store_test_open(t);
        assert_int_equal(waitpid(other, NULL, 0), other);
        (void)close(ends[0]);
        (void)close(ends[1]);
}

static void one_process_writes_and_others_may_read(void **state) {
        StoreTest *t = *state;
        _cleanup_(store_closep) Store *reader = NULL;
        Store *second;
        StoreEntry entry;

        assert_int_equal(store_open(t->folder, STORE_READ, &second, t->d), -ENOENT);
        store_test_open(t);
        store_test_add(t, 1);
        assert_int_equal(store_open(t->folder, STORE_WRITE, &second, t->d), -EBUSY);
        store_test_check_message(t, "%s is in use by another ringwalld");
        assert_int_equal(store_open(t->folder, STORE_READ, &reader, t->d), 0);
        assert_int_equal(store_read(reader, 1, t->arena, &entry, NULL, t->d), 0);
}

static void a_folder_that_cannot_be_made_is_told(void **state) {
        StoreTest *t = *state;
        Store *store;

        assert_int_equal(store_open("/nowhere/at/all", STORE_WRITE, &store, t->d), -EBADMSG);
        store_test_check_message(
                t, "cannot write /nowhere/at/all: No such file or directory; nothing has "
                   "changed");
}

static void what_is_confirmed_becomes_the_sealed_copy(void **state) {
        StoreTest *t = *state;
        StoreContent content;
        ConfirmFound f;
        StoreEntry entry;

        store_test_open(t);
        f = store_test_found(t);
        assert_false(f.armed);
        assert_int_equal(f.first, 0);
        assert_int_equal(store_read_sealed(t->store, t->arena, &entry, &content, t->d), -ENOENT);
        store_test_add(t, 1);
        assert_false(store_test_found(t).armed);
        assert_int_equal(store_seal(t->store, 1, 7000000, &store_test_caller, t->d), 0);
        f = store_test_found(t);
        assert_true(f.armed);
        assert_int_equal(f.sealed, 1);
        assert_int_equal(f.first, 1);
        assert_int_equal(store_read_sealed(t->store, t->arena, &entry, &content, t->d), 0);
        store_test_check_content(&content, 1, t->arena);
        assert_true(entry.confirmed && entry.confirmed_usec == 7000000);
        assert_string_equal(entry.confirmed_by.user, "ada");
        store_test_confirm(t, 2);
        assert_int_equal(store_test_found(t).sealed, 2);
        assert_int_equal(store_read(t->store, 1, t->arena, &entry, NULL, t->d), 0);
        assert_true(entry.confirmed && entry.confirmed_usec == 7000000);
}

static void another_entry_than_the_staged_one_can_be_sealed(void **state) {
        StoreTest *t = *state;

        store_test_open(t);
        store_test_add(t, 1);
        store_test_add(t, 2);
        assert_int_equal(store_stage(t->store, 2, t->d), 0);
        assert_int_equal(store_seal(t->store, 1, 1, &store_test_caller, t->d), 0);
        assert_int_equal(store_test_found(t).sealed, 1);
        assert_int_equal(store_seal(t->store, 9, 1, &store_test_caller, t->d), -EBADMSG);
        store_test_check_message(t, "%s/history/00000009 is missing");
        assert_int_equal(store_test_found(t).sealed, 1);
}

static void what_waits_stands_on_disk_until_it_is_removed(void **state) {
        static const Target fallbacks[] = {
                {TARGET_ENTRY, 1}, {TARGET_NOTHING, 0}, {TARGET_LOCKDOWN, 0}};
        StoreTest *t = *state;
        Pending pending = store_test_waiting(2, 1);
        ConfirmFound f;

        store_test_open(t);
        store_test_confirm(t, 1);
        store_test_add(t, 2);
        assert_int_equal(store_test_found(t).pending_state, PENDING_NONE);
        for (size_t i = 0; i < ARRAY_SIZE(fallbacks); i++) {
                pending.fallback = fallbacks[i];
                assert_int_equal(store_write_pending(t->store, &pending, t->d), 0);
                store_test_open(t);
                f = store_test_found(t);
                assert_int_equal(f.pending_state, PENDING_READ);
                assert_int_equal(f.pending.entry, 2);
                assert_true(target_equal(f.pending.fallback, fallbacks[i]));
                assert_true(f.pending.armed_usec == 5 && f.pending.deadline_usec == 125);
                assert_true(f.pending.deadline_realtime_usec == UINT64_MAX);
                assert_string_equal(f.pending.boot, "boot-a");
                assert_true(f.entry_is_usable);
                assert_int_equal(f.fallback_is_usable, fallbacks[i].kind == TARGET_ENTRY);
        }
        assert_int_equal(store_remove_pending(t->store, t->d), 0);
        assert_int_equal(store_remove_pending(t->store, t->d), 0);
        assert_int_equal(store_test_found(t).pending_state, PENDING_NONE);
}

static size_t count(StoreTest *t) {
        StoreListed *listed;
        size_t n;

        assert_int_equal(store_list(t->store, t->arena, &listed, &n, t->d), 0);
        return n;
}

static bool is_there(StoreTest *t, uint32_t number) {
        StoreEntry entry;

        return store_read(t->store, number, t->arena, &entry, NULL, t->d) == 0;
}

static void history_forgets_the_oldest_but_nothing_that_counts(void **state) {
        StoreTest *t = *state;
        Pending pending = store_test_waiting(4, 2);

        store_test_open(t);
        store_test_confirm(t, 1);
        store_test_confirm(t, 2);
        for (unsigned int n = 3; n <= 6; n++)
                store_test_add(t, n);
        store_test_confirm(t, 7);
        assert_int_equal(store_write_pending(t->store, &pending, t->d), 0);
        for (unsigned int n = 8; n <= STORE_HISTORY_MAX; n++)
                store_test_add(t, n);
        assert_int_equal(count(t), STORE_HISTORY_MAX);
        assert_true(is_there(t, 3));
        store_test_add(t, 51);
        store_test_add(t, 52);
        store_test_add(t, 53);
        assert_int_equal(count(t), STORE_HISTORY_MAX);
        /* not confirmed, the oldest first, but for the one that waits: 3, 5, 6 */
        assert_false(is_there(t, 3) || is_there(t, 5) || is_there(t, 6));
        assert_true(is_there(t, 1) && is_there(t, 2) && is_there(t, 4) && is_there(t, 7));
        for (unsigned int n = 54; n <= 53 + 45; n++)
                store_test_add(t, n);
        assert_int_equal(count(t), STORE_HISTORY_MAX);
        assert_true(is_there(t, 1) && is_there(t, 2) && is_there(t, 4) && is_there(t, 7));
        assert_true(is_there(t, 98) && !is_there(t, 8));
}

static void confirmed_entries_go_when_there_is_nothing_else(void **state) {
        StoreTest *t = *state;

        store_test_open(t);
        for (unsigned int n = 1; n <= STORE_HISTORY_MAX; n++)
                store_test_confirm(t, n);
        store_test_add(t, 51);
        assert_int_equal(count(t), STORE_HISTORY_MAX);
        assert_false(is_there(t, 1));
        assert_true(is_there(t, 2) && is_there(t, 50) && is_there(t, 51));
}

static void numbers_are_never_given_twice(void **state) {
        StoreTest *t = *state;
        Pending pending = store_test_waiting(7, 0);

        store_test_open(t);
        store_test_confirm(t, 1);
        store_test_confirm(t, 2);
        assert_int_equal(unlink(store_test_path(t, "history/00000002")), 0);
        store_test_add(t, 3);
        assert_int_equal(store_write_pending(t->store, &pending, t->d), 0);
        store_test_add(t, 8);
}

static void history_is_listed_newest_first_with_what_is_damaged(void **state) {
        StoreTest *t = *state;
        StoreListed *listed;
        size_t n;

        store_test_open(t);
        store_test_confirm(t, 1);
        store_test_confirm(t, 2);
        store_test_add(t, 3);
        store_test_add(t, 4);
        store_test_damage(t, "history/00000003", 100);
        store_test_touch(t, "history/notes");
        store_test_touch(t, "history/5");
        assert_int_equal(store_list(t->store, t->arena, &listed, &n, t->d), 0);
        assert_int_equal(n, 4);
        assert_int_equal(listed[0].entry.number, 4);
        assert_false(listed[0].entry.confirmed || listed[0].sealed || listed[0].damage);
        assert_int_equal(listed[1].entry.number, 3);
        assert_string_equal(listed[1].damage, "its head has changed");
        assert_true(listed[2].sealed && listed[2].entry.confirmed);
        assert_true(listed[3].entry.confirmed && !listed[3].sealed);
        assert_string_equal(listed[3].entry.message, "message 1");
}

static void the_latest_peer_comes_first_and_once(void **state) {
        StoreTest *t = *state;
        StorePeer *peers, v6 = {FAMILY_IPV6, {UINT64_C(0xfd00) << 48, 2}, 2222};
        size_t n;

        store_test_open(t);
        assert_int_equal(store_read_rescue(t->store, t->arena, &peers, &n, t->d), 0);
        assert_int_equal(n, 0);
        assert_int_equal(store_remember_peer(t->store, v6, t->d), 0);
        for (uint64_t i = 0; i < 4; i++)
                assert_int_equal(store_remember_peer(
                                         t->store, (StorePeer){FAMILY_IPV4, {0, i % 2}, 22}, t->d),
                                 0);
        store_test_open(t);
        assert_int_equal(store_read_rescue(t->store, t->arena, &peers, &n, t->d), 0);
        assert_int_equal(n, 3);
        assert_true(peers[0].address.low == 1 && peers[1].address.low == 0);
        assert_true(peers[2].family == FAMILY_IPV6 && u128_equal(peers[2].address, v6.address));
        assert_true(peers[0].port == 22 && peers[2].port == 2222);
        for (uint64_t i = 10; i < 30; i++)
                assert_int_equal(
                        store_remember_peer(t->store, (StorePeer){FAMILY_IPV4, {0, i}, 22}, t->d),
                        0);
        assert_int_equal(store_read_rescue(t->store, t->arena, &peers, &n, t->d), 0);
        assert_int_equal(n, STORE_RESCUE_MAX);
        assert_true(peers[0].address.low == 29 && peers[7].address.low == 22);
        store_test_damage(t, "rescue", -1);
        assert_int_equal(store_read_rescue(t->store, t->arena, &peers, &n, t->d), 0);
        assert_int_equal(n, 0);
        store_test_check_message(t, "%s/rescue is damaged: its head has changed");
        assert_int_equal(store_remember_peer(t->store, v6, t->d), 0);
        assert_int_equal(store_read_rescue(t->store, t->arena, &peers, &n, t->d), 0);
        assert_int_equal(n, 1);
}

static void a_message_that_is_too_long_is_refused(void **state) {
        StoreTest *t = *state;
        StoreContent content = store_test_content(t->arena, 1);
        char message[STORE_TEXT_MAX + 2];
        StoreEntry entry = {.message = message};

        memset(message, 'x', sizeof(message) - 1);
        message[sizeof(message) - 1] = '\0';
        store_test_open(t);
        assert_int_equal(store_add(t->store, &entry, &content, t->d), -EBADMSG);
        store_test_check_message(t, "the message is longer than 1024 bytes");
        assert_int_equal(count(t), 0);
        message[STORE_TEXT_MAX] = '\0';
        assert_int_equal(store_add(t->store, &entry, &content, t->d), 0);
        assert_int_equal(store_read(t->store, 1, t->arena, &entry, NULL, t->d), 0);
        assert_string_equal(entry.message, message);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                store_test(an_entry_comes_back_as_it_was_added),
                store_test(equal_contents_have_equal_digests),
                store_test(only_root_may_look_into_the_folder),
                store_test(a_folder_that_others_could_read_is_mended),
                store_test(a_folder_that_others_may_use_is_refused),
                store_test(a_lock_that_is_let_go_of_is_waited_for),
                store_test(one_process_writes_and_others_may_read),
                store_test(a_folder_that_cannot_be_made_is_told),
                store_test(what_is_confirmed_becomes_the_sealed_copy),
                store_test(another_entry_than_the_staged_one_can_be_sealed),
                store_test(what_waits_stands_on_disk_until_it_is_removed),
                store_test(history_forgets_the_oldest_but_nothing_that_counts),
                store_test(confirmed_entries_go_when_there_is_nothing_else),
                store_test(numbers_are_never_given_twice),
                store_test(history_is_listed_newest_first_with_what_is_damaged),
                store_test(the_latest_peer_comes_first_and_once),
                store_test(a_message_that_is_too_long_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
