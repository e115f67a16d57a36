/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/stat.h>

#include "guard/store_unit.h"

/* What is there to come into force, whatever was damaged, lost or broken off. */

static void without_the_sealed_copy_the_newest_confirmed_one_is_next(void **state) {
        StoreTest *t = *state;
        ConfirmFound f;

        store_test_open(t);
        for (unsigned int n = 1; n <= 3; n++)
                store_test_confirm(t, n);
        store_test_add(t, 4); /* applied, but never confirmed */
        assert_int_equal(store_next_copy(t->store, 3), 2);
        assert_int_equal(store_next_copy(t->store, 2), 1);
        assert_int_equal(store_next_copy(t->store, 1), 0);
        store_test_damage(t, "sealed", -1);
        f = store_test_found(t);
        assert_true(f.armed);
        assert_int_equal(f.sealed, 0);
        assert_int_equal(f.first, 3);
        store_test_check_message(t, "%s/sealed is damaged: its content has changed");
        store_test_damage(t, "history/00000003", -1);
        assert_int_equal(store_test_found(t).first, 2);
        store_test_damage(t, "history/00000002", 3);
        assert_int_equal(store_test_found(t).first, 1);
        assert_int_equal(unlink(store_test_path(t, "history/00000001")), 0);
        f = store_test_found(t);
        assert_true(f.armed);
        assert_int_equal(f.first, 0);
}

static void a_lost_sealed_copy_is_missed(void **state) {
        StoreTest *t = *state;
        ConfirmFound f;

        store_test_open(t);
        store_test_confirm(t, 1);
        assert_int_equal(unlink(store_test_path(t, "sealed")), 0);
        assert_int_equal(unlink(store_test_path(t, "history/00000001")), 0);
        store_test_open(t);
        f = store_test_found(t);
        assert_true(f.armed);
        assert_int_equal(f.first, 0);
        store_test_check_message(t, "%s/sealed is missing");
}

static void an_older_entry_that_is_sealed_again_comes_before_newer_ones(void **state) {
        StoreTest *t = *state;

        store_test_open(t);
        for (unsigned int n = 1; n <= 3; n++)
                store_test_confirm(t, n);
        assert_int_equal(store_seal(t->store, 2, 1, &store_test_caller, t->d), 0);
        assert_int_equal(store_test_found(t).first, 2);
        assert_int_equal(store_next_copy(t->store, 2), 3);
        assert_int_equal(store_next_copy(t->store, 3), 1);
        assert_int_equal(store_next_copy(t->store, 1), 0);
}

static void damage_of_every_kind_is_told(void **state) {
        static const struct {
                const char *row;
                const char *command; /* a shell's, in the folder */
                const char *sealed, *pending;
        } rows[] = {
                {"empty", ": >sealed; : >pending", "it is empty", "it is empty"},
                {"short", "truncate -s 50 sealed pending", "it is cut off", "it is cut off"},
                {"cut off", "truncate -s -1 sealed pending", "it is cut off", "it is cut off"},
                {"longer", "printf x >>sealed; printf x >>pending", "something follows its end",
                 "something follows its end"},
                {"something else", "cp /bin/sh sealed; cp /bin/sh pending",
                 "it is no file of ringwall's", "it is no file of ringwall's"},
                {"exchanged", "mv sealed x; mv pending sealed; mv x pending",
                 "it is another file of ringwall's", "it is another file of ringwall's"},
                {"a later version",
                 "printf '\\002' | dd of=sealed bs=1 seek=8 conv=notrunc status=none",
                 "another version of ringwall wrote it", NULL},
                {"a folder", "rm sealed pending; mkdir sealed pending", "Is a directory",
                 "Is a directory"},
                {"a link", "rm sealed pending; ln -s /etc/passwd sealed; ln -s nowhere pending",
                 "Too many levels of symbolic links", "Too many levels of symbolic links"},
        };
        StoreTest *t = *state;
        Pending pending = store_test_waiting(2, 1);

        store_test_open(t);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                StoreContent content = store_test_content(t->arena, 1);
                StoreEntry entry = {0};
                ConfirmFound f;

                assert_int_equal(system(arena_printf(t->arena, "cd '%s' && rm -rf sealed pending",
                                                     t->folder)),
                                 0);
                assert_int_equal(store_add(t->store, &entry, &content, t->d), 0);
                assert_int_equal(store_seal(t->store, entry.number, 1, &store_test_caller, t->d),
                                 0);
                assert_int_equal(store_write_pending(t->store, &pending, t->d), 0);
                assert_int_equal(system(arena_printf(t->arena, "cd '%s' && { %s; }", t->folder,
                                                     rows[i].command)),
                                 0);
                f = store_test_found(t);
                unit_equal(rows[i].row, f.sealed, 0);
                unit_equal(rows[i].row, f.armed, true);
                unit_equal(rows[i].row, f.first, entry.number);
                unit_string(rows[i].row, t->d->messages[0].text,
                            arena_printf(t->arena, "%s/sealed is damaged: %s", t->folder,
                                         rows[i].sealed));
                unit_equal(rows[i].row, f.pending_state,
                           rows[i].pending ? PENDING_DAMAGED : PENDING_READ);
                if (rows[i].pending)
                        unit_string(rows[i].row, t->d->messages[1].text,
                                    arena_printf(t->arena,
                                                 "%s/pending is damaged: %s; the change that "
                                                 "waited is undone",
                                                 t->folder, rows[i].pending));
        }
}

static void a_changed_byte_anywhere_is_found(void **state) {
        static const char *const names[] = {"sealed", "pending"};
        StoreTest *t = *state;
        Pending pending = store_test_waiting(1, 0);

        store_test_open(t);
        store_test_confirm(t, 1);
        assert_int_equal(store_write_pending(t->store, &pending, t->d), 0);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                struct stat st;

                assert_int_equal(stat(store_test_path(t, names[i]), &st), 0);
                for (long at = 0; at < st.st_size; at++) {
                        ConfirmFound f;

                        store_test_damage(t, names[i], at);
                        f = store_test_found(t);
                        unit_true(names[i],
                                  i == 0 ? f.sealed == 0 : f.pending_state == PENDING_DAMAGED);
                        store_test_damage(t, names[i], at);
                }
        }
        assert_int_equal(store_test_found(t).sealed, 1);
        assert_int_equal(store_test_found(t).pending_state, PENDING_READ);
}

/* As if the daemon had been killed behind the rename. */
static void sealing_that_was_broken_off_is_finished(void **state) {
        StoreTest *t = *state;
        StoreEntry entry;

        store_test_open(t);
        store_test_confirm(t, 1);
        store_test_add(t, 2);
        assert_int_equal(store_stage(t->store, 2, t->d), 0);
        assert_int_equal(rename(store_test_path(t, "sealed.next"), store_test_path(t, "sealed")),
                         0);
        assert_int_equal(unlink(store_test_path(t, "armed")), 0);
        store_test_touch(t, "history/00000009.new");
        store_test_open(t);
        assert_int_equal(store_test_found(t).sealed, 2);
        assert_int_equal(access(store_test_path(t, "armed"), F_OK), 0);
        assert_int_equal(access(store_test_path(t, "history/00000009.new"), F_OK), -1);
        assert_int_equal(unlink(store_test_path(t, "sealed")), 0);
        assert_int_equal(store_read(t->store, 2, t->arena, &entry, NULL, t->d), 0);
        assert_true(entry.confirmed && entry.confirmed_usec == 0);
        assert_int_equal(store_test_found(t).first, 2);
}

static void what_history_lost_is_read_from_the_sealed_copy(void **state) {
        StoreTest *t = *state;
        StoreContent content;
        StoreEntry entry;

        store_test_open(t);
        store_test_confirm(t, 1);
        store_test_damage(t, "history/00000001", -1);
        assert_int_equal(store_read(t->store, 1, t->arena, &entry, &content, t->d), 0);
        store_test_check_content(&content, 1, t->arena);
        assert_true(entry.confirmed);
        assert_int_equal(store_stage(t->store, 1, t->d), 0);
        store_test_add(t, 2);
        store_test_damage(t, "history/00000002", -1);
        assert_int_equal(store_read(t->store, 2, t->arena, &entry, &content, t->d), -EBADMSG);
        store_test_check_message(t, "%s/history/00000002 is damaged: its content has changed");
        t->d = diag_new(t->arena);
        assert_int_equal(store_stage(t->store, 2, t->d), -EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                store_test(without_the_sealed_copy_the_newest_confirmed_one_is_next),
                store_test(a_lost_sealed_copy_is_missed),
                store_test(an_older_entry_that_is_sealed_again_comes_before_newer_ones),
                store_test(damage_of_every_kind_is_told),
                store_test(a_changed_byte_anywhere_is_found),
                store_test(sealing_that_was_broken_off_is_finished),
                store_test(what_history_lost_is_read_from_the_sealed_copy),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
