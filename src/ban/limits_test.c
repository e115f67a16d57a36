/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/limits.h"

#include "base/unit.h"

#define SECOND INT64_C(1000000)

static void a_network_counts_as_often_as_it_has_small_ones(void **state) {
        static const struct {
                const char *address;
                int64_t cost;
        } rows[] = {
                {"192.0.2.7", 1},       {"198.51.100.0/24", 1}, {"198.51.100.0/23", 2},
                {"198.51.0.0/16", 256}, {"8.0.0.0/8", 1000},    {"2001:db8::/64", 1},
                {"2001:db8::/48", 1},   {"2001:db8::/44", 16},  {"2001:db8::/32", 1000},
                {"2001:db8::1/128", 1},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *why;
                BanEntry key;

                unit_equal(rows[i].address,
                           ban_parse_address(*state, rows[i].address, 64, &key, &why), 0);
                unit_equal(rows[i].address, limits_cost(&key), rows[i].cost);
        }
}

static void a_burst_is_free_and_then_it_goes_by_the_second(void **state) {
        Limits l = {0};
        int64_t now = 77 * SECOND;

        for (int i = 0; i < LIMITS_BURST; i++)
                assert_int_equal(limits_take(limits_find(&l, "sshd", now), 1), 0);
        assert_int_equal(limits_take(limits_find(&l, "sshd", now), 1), 1);
        assert_int_equal(limits_take(limits_find(&l, "sshd", now), 1000), 100);
        assert_int_equal(limits_take(limits_find(&l, "nginx", now), 1), 0); /* has its own */
        for (int i = 0; i < LIMITS_PER_SECOND; i++)
                assert_int_equal(limits_take(limits_find(&l, "sshd", now + SECOND), 1), 0);
        assert_int_equal(limits_take(limits_find(&l, "sshd", now + SECOND), 1), 1);
        now += INT64_C(36500) * 86400 * SECOND;
        assert_int_equal(limits_take(limits_find(&l, "sshd", now), LIMITS_BURST), 0);
        assert_true(limits_take(limits_find(&l, "sshd", now), 1) > 0);
}

static void a_clock_that_goes_back_gives_nothing(void **state) {
        Limits l = {0};

        assert_int_equal(limits_take(limits_find(&l, "a", 10 * SECOND), LIMITS_BURST), 0);
        assert_int_equal(limits_take(limits_find(&l, "a", 5 * SECOND), 1), 1);
}

static void who_asked_least_lately_is_forgotten(void **state) {
        Limits l = {0};
        char name[16];

        for (int i = 0; i < LIMITS_CALLERS_MAX + 1; i++) {
                (void)snprintf(name, sizeof(name), "jail%d", i);
                (void)limits_take(limits_find(&l, name, i), LIMITS_BURST);
        }
        assert_int_equal(l.n_callers, LIMITS_CALLERS_MAX);
        assert_true(limits_take(limits_find(&l, "jail1", 300), 1) > 0);
        assert_int_equal(limits_take(limits_find(&l, "jail0", 300), 1), 0);
}

static void a_jail_may_have_its_share(void **state) {
        Limits l = {0};
        LimitedCaller *c = limits_find(&l, "sshd", 0);

        assert_int_equal(limits_may_have(c, 24, 100, 0), 1); /* nobody has more than all */
        assert_int_equal(limits_may_have(c, 25, 100, 0), -EAGAIN);
        limits_note_count(c, 24, 0);
        assert_int_equal(limits_may_have(c, 99, 100, 0), 1);
        limits_note_count(c, 25, 0);
        assert_int_equal(limits_may_have(c, 99, 100, LIMITS_RECOUNT_USEC - 1), 0);
        assert_int_equal(limits_may_have(c, 99, 100, LIMITS_RECOUNT_USEC), -EAGAIN);
        assert_int_equal(limits_may_have(c, 0, 1, 0), 1); /* of the smallest number, too */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(a_network_counts_as_often_as_it_has_small_ones),
                cmocka_unit_test(a_burst_is_free_and_then_it_goes_by_the_second),
                cmocka_unit_test(a_clock_that_goes_back_gives_nothing),
                cmocka_unit_test(who_asked_least_lately_is_forgotten),
                cmocka_unit_test(a_jail_may_have_its_share),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
