/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>

#include "guard/store_unit.h"

static uint32_t sealed_number(StoreTest *t) {
        StoreEntry entry;

        return store_read_sealed(t->store, t->arena, &entry, NULL, t->d) == 0 ? entry.number : 0;
}

static size_t history_size(StoreTest *t) {
        StoreListed *list;
        size_t n;

        assert_int_equal(store_list(t->store, t->arena, &list, &n, t->d), 0);
        return n;
}

static void remove_all(const StoreTest *t) {
        assert_int_equal(nftw(t->folder, store_test_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void what_is_whole_is_left_alone(void **state) {
        StoreTest *t = *state;

        (void)store_test_open(t);
        assert_int_equal(store_mend(t->store), 0);
        store_test_confirm(t, 1);
        assert_int_equal(store_mend(t->store), 0);
        (void)store_test_open(t);
        assert_int_equal(store_mend(t->store), 0);
}

static void each_thing_that_is_removed_comes_back(void **state) {
        static const char *const names[] = {"sealed", "armed", "history/00000002", "history"};
        StoreTest *t = *state;

        (void)store_test_open(t);
        store_test_confirm(t, 1);
        store_test_confirm(t, 2);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                const char *path = store_test_path(t, names[i]);

                assert_int_equal(nftw(path, store_test_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
                /* one entry of many is no loss for the next boot */
                assert_int_equal(store_mend(t->store), strchr(names[i], '/') ? 0 : 1);
                assert_int_equal(store_mend(t->store), 0);
                (void)store_test_open(t);
                assert_int_equal(sealed_number(t), 2);
                assert_int_equal(access(store_test_path(t, "armed"), F_OK), 0);
                assert_true(history_size(t) >= 1);
        }
}

static void with_the_folder_itself_gone_the_next_change_can_be_written(void **state) {
        StoreTest *t = *state;

        (void)store_test_open(t);
        store_test_confirm(t, 1);
        remove_all(t);
        assert_int_equal(store_mend(t->store), 1);
        assert_int_equal(sealed_number(t), 1);
        store_test_confirm(t, 2);
        (void)store_test_open(t);
        assert_int_equal(sealed_number(t), 2);
        assert_int_equal(history_size(t), 2);
}

static void a_folder_that_is_a_link_is_no_loss(void **state) {
        StoreTest *t = *state;
        const char *real = t->folder, *link = arena_printf(t->arena, "%s/link", t->parent);

        (void)store_test_open(t);
        assert_int_equal(symlink(real, link), 0);
        t->folder = link;
        (void)store_test_open(t);
        store_test_confirm(t, 1);
        assert_int_equal(store_mend(t->store), 0);
        assert_int_equal(unlink(store_test_path(t, "armed")), 0);
        assert_int_equal(store_mend(t->store), 1);
        assert_int_equal(sealed_number(t), 1);
}

static void where_another_store_was_put_it_is_not_overwritten(void **state) {
        StoreTest *t = *state, other = *t;

        (void)store_test_open(t);
        store_test_confirm(t, 1);
        remove_all(t);
        other.store = NULL;
        (void)store_test_open(&other); /* and locks it */
        assert_int_equal(store_mend(t->store), -EWOULDBLOCK);
        other.store = store_close(other.store);
}

static void write_into(const StoreTest *t, const char *name, const char *text) {
        FILE *f = fopen(store_test_path(t, name), "r+e");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static void what_was_written_into_comes_back_from_history(void **state) {
        StoreTest *t = *state;
        const char *sealed;

        (void)store_test_open(t);
        store_test_confirm(t, 1);
        store_test_confirm(t, 2);
        sealed = store_test_path(t, "sealed");
        for (int i = 0; i < 4; i++) {
                switch (i) {
                case 0:
                        store_test_damage(t, "sealed", -3);
                        break;
                case 1:
                        assert_int_equal(truncate(sealed, 100), 0);
                        break;
                case 2:
                        assert_int_equal(truncate(sealed, 0), 0);
                        break;
                case 3:
                        write_into(t, "sealed", "something else");
                        break;
                }
                assert_int_equal(store_mend(t->store), STORE_DAMAGED);
                assert_int_equal(store_mend(t->store), STORE_WELL);
                (void)store_test_open(t);
                assert_int_equal(sealed_number(t), 2);
        }
}

static void so_does_what_was_replaced(void **state) {
        StoreTest *t = *state;

        (void)store_test_open(t);
        store_test_confirm(t, 1);
        store_test_confirm(t, 2);
        /* with what was confirmed before: whole, and not what is to come at the next boot */
        assert_int_equal(
                rename(store_test_path(t, "history/00000001"), store_test_path(t, "sealed")), 0);
        assert_int_equal(store_mend(t->store), STORE_DAMAGED);
        assert_int_equal(sealed_number(t), 2);
        /* from the file that is held open, as history has nothing any more */
        assert_int_equal(unlink(store_test_path(t, "history/00000002")), 0);
        assert_int_equal(unlink(store_test_path(t, "sealed")), 0);
        assert_int_equal(symlink("elsewhere", store_test_path(t, "sealed")), 0);
        assert_int_equal(store_mend(t->store), STORE_DAMAGED);
        assert_int_equal(sealed_number(t), 2);
}

static void what_was_only_touched_is_well(void **state) {
        StoreTest *t = *state;

        (void)store_test_open(t);
        store_test_confirm(t, 1);
        assert_int_equal(utimensat(AT_FDCWD, store_test_path(t, "sealed"), NULL, 0), 0);
        assert_int_equal(store_mend(t->store), STORE_WELL);
}

static void without_a_copy_it_says_that_it_cannot(void **state) {
        StoreTest *t = *state;

        (void)store_test_open(t);
        store_test_confirm(t, 1);
        store_test_damage(t, "history/00000001", -3);
        store_test_damage(t, "sealed", -3);
        assert_int_equal(store_mend(t->store), -EBADMSG);
        assert_int_equal(store_mend(t->store), -EBADMSG);
        store_test_confirm(t, 2);
        assert_int_equal(store_mend(t->store), STORE_WELL);
}

static void the_lockdown_is_there_only_untouched(void **state) {
        StoreTest *t = *state;

        (void)store_test_open(t);
        assert_false(store_has_lockdown(t->store));
        assert_int_equal(store_write_lockdown(t->store, "batch", 5), 0);
        assert_true(store_has_lockdown(t->store));
        write_into(t, "lockdown.batch", "hatches"); /* longer: see StoreMark.is_fresh */
        assert_false(store_has_lockdown(t->store));
        assert_int_equal(store_write_lockdown(t->store, "batch", 5), 0);
        assert_true(store_has_lockdown(t->store));
        assert_int_equal(unlink(store_test_path(t, "lockdown.batch")), 0);
        assert_false(store_has_lockdown(t->store));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                store_test(what_is_whole_is_left_alone),
                store_test(each_thing_that_is_removed_comes_back),
                store_test(with_the_folder_itself_gone_the_next_change_can_be_written),
                store_test(a_folder_that_is_a_link_is_no_loss),
                store_test(where_another_store_was_put_it_is_not_overwritten),
                store_test(what_was_written_into_comes_back_from_history),
                store_test(so_does_what_was_replaced),
                store_test(what_was_only_touched_is_well),
                store_test(without_a_copy_it_says_that_it_cannot),
                store_test(the_lockdown_is_there_only_untouched),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
