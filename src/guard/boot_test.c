/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/boot.h"

#include "host/tree_unit.h"

static void identify(const Tree *t, const char *id, unsigned int started, char *ret) {
        tree_write(t, "/proc/sys/kernel/random/boot_id", arena_printf(t->arena, "%s\n", id));
        assert_int_equal(system(arena_printf(t->arena, "rm -rf '%s/proc/1'", t->root)), 0);
        tree_add_process(t, &(FakeProcess){.pid = 1, .comm = "a) b", .started = started});
        assert_int_equal(boot_identify(t, ret), 0);
}

static void a_boot_differs_from_another_and_from_a_containers_restart(void **state) {
        static const char one[] = "11111111-2222-3333-4444-555555555555";
        static const char two[] = "99999999-2222-3333-4444-555555555555";
        char first[CONFIRM_BOOT_MAX], again[CONFIRM_BOOT_MAX], other[CONFIRM_BOOT_MAX];

        identify(*state, one, 100, first);
        identify(*state, one, 100, again);
        assert_string_equal(first, again);
        identify(*state, two, 100, other);
        assert_string_not_equal(first, other);
        identify(*state, one, 5000, other);
        assert_string_not_equal(first, other);
}

static void without_proc_no_boot_is_told(void **state) {
        char boot[CONFIRM_BOOT_MAX];

        assert_int_equal(boot_identify(*state, boot), -ENOENT);
}

static void this_boot_stays_itself_and_its_clock_goes_on(void **state) {
        Tree t = {.arena = *state, .root = ""};
        char boot[CONFIRM_BOOT_MAX], again[CONFIRM_BOOT_MAX];
        ConfirmNow before, after;

        assert_int_equal(boot_identify(&t, boot), 0);
        assert_int_equal(boot_identify(&t, again), 0);
        assert_string_equal(boot, again);
        before = boot_now(boot);
        after = boot_now(boot);
        assert_true(before.boottime_usec > 0 && before.boottime_usec <= after.boottime_usec);
        assert_true(before.realtime_usec > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(a_boot_differs_from_another_and_from_a_containers_restart),
                tree_test(without_proc_no_boot_is_told),
                unit_arena_test(this_boot_stays_itself_and_its_clock_goes_on),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
