/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/touched.h"

#include "base/unit.h"

static void a_name_is_known_by_its_kind(void **state) {
        Touched t = {0};

        touched_add(&t, TOUCHED_CHAIN, "input");
        touched_add(&t, TOUCHED_CHAIN, "input");
        assert_int_equal(t.of[TOUCHED_CHAIN].n, 1);
        assert_true(touched_has(&t, TOUCHED_CHAIN, "input"));
        assert_false(touched_has(&t, TOUCHED_CHAIN, "output"));
        assert_false(touched_has(&t, TOUCHED_SET, "input"));
        touched_clear(&t);
        assert_false(touched_has(&t, TOUCHED_CHAIN, "input"));
}

static void what_has_no_room_stands_for_all(void **state) {
        Touched t = {0};

        for (int i = 0; i <= TOUCHED_MAX; i++) {
                char name[16];

                assert_false(t.of[TOUCHED_SET].all);
                (void)snprintf(name, sizeof(name), "s%d", i);
                touched_add(&t, TOUCHED_SET, name);
        }
        assert_true(touched_has(&t, TOUCHED_SET, "any"));
        assert_false(touched_has(&t, TOUCHED_CHAIN, "any"));
        assert_false(touched_is_all(&t));
        touched_add_all(&t);
        assert_true(touched_is_all(&t));
}

static void a_name_that_no_kernel_has_stands_for_all(void **state) {
        char longer[TOUCHED_NAME_SIZE + 1];
        const char *const names[] = {NULL, "", longer};

        memset(longer, 'a', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = '\0';
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                Touched t = {0};

                touched_add(&t, TOUCHED_CHAIN, names[i]);
                assert_true(touched_has(&t, TOUCHED_CHAIN, "any"));
                assert_int_equal(t.of[TOUCHED_CHAIN].n, 0);
        }
}

static void two_are_merged_to_what_either_had(void **state) {
        Touched one = {0}, other = {0};

        touched_add(&one, TOUCHED_CHAIN, "input");
        touched_add(&other, TOUCHED_CHAIN, "input");
        touched_add(&other, TOUCHED_CHAIN, "output");
        other.of[TOUCHED_SET].all = true;
        touched_merge(&one, &other);
        assert_int_equal(one.of[TOUCHED_CHAIN].n, 2);
        assert_true(touched_has(&one, TOUCHED_CHAIN, "output"));
        assert_true(touched_is_all(&other) == false && one.of[TOUCHED_SET].all);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_name_is_known_by_its_kind),
                cmocka_unit_test(what_has_no_room_stands_for_all),
                cmocka_unit_test(a_name_that_no_kernel_has_stands_for_all),
                cmocka_unit_test(two_are_merged_to_what_either_had),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
