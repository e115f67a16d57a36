/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/load_unit.h"

static void a_limit_is_a_rate_a_burst_and_whom_it_counts(void **state) {
        static const struct {
                const char *text;
                Limit limit;
        } rows[] = {
                {"limit: 10/second", {{10, RATE_SECOND}, 10, false}},
                {"limit: 1/day", {{1, RATE_DAY}, 1, false}},
                {"limit: 1000000/hour", {{1000000, RATE_HOUR}, 1000000, false}},
                {"limit: 10/minute burst 20", {{10, RATE_MINUTE}, 20, false}},
                {"limit: 10/minute per source", {{10, RATE_MINUTE}, 10, true}},
                {"limit: 10/minute burst 3 per source", {{10, RATE_MINUTE}, 3, true}},
                {"limit: '10/minute  per source  burst 3'", {{10, RATE_MINUTE}, 3, true}},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Loader l = load_start(*state);
                Limit limit;

                unit_equal(rows[i].text, limit_decode(&l, load_entry(&l, rows[i].text), &limit), 0);
                unit_equal(rows[i].text, limit.rate.number, rows[i].limit.rate.number);
                unit_equal(rows[i].text, limit.rate.unit, rows[i].limit.rate.unit);
                unit_equal(rows[i].text, limit.burst, rows[i].limit.burst);
                unit_equal(rows[i].text, limit.per_source, rows[i].limit.per_source);
        }
}

static void connections_are_a_number_and_whom_it_counts(void **state) {
        static const struct {
                const char *text;
                Connections connections;
        } rows[] = {
                {"connections: 20", {20, false}},
                {"connections: 1 per source", {1, true}},
                {"connections: 1000000", {1000000, false}},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Loader l = load_start(*state);
                Connections c;

                unit_equal(rows[i].text, connections_decode(&l, load_entry(&l, rows[i].text), &c),
                           0);
                unit_equal(rows[i].text, c.number, rows[i].connections.number);
                unit_equal(rows[i].text, c.per_source, rows[i].connections.per_source);
        }
}

static void owners_are_names_or_numbers(void **state) {
        Loader l = load_start(*state);
        RangeSet set = {0};

        assert_int_equal(
                owner_decode(&l, load_entry(&l, "user: [root, 1000, 1001]"), OWNER_USER, &set), 0);
        assert_int_equal(set.n_items, 2);
        assert_true(range_set_contains(&set, u128(0)));
        assert_true(range_set_contains(&set, u128(1001)));
        assert_false(range_set_contains(&set, u128(1002)));
        assert_int_equal(owner_decode(&l, load_entry(&l, "group: 4294967295"), OWNER_GROUP, &set),
                         -EBADMSG);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(a_limit_is_a_rate_a_burst_and_whom_it_counts),
                unit_arena_test(connections_are_a_number_and_whom_it_counts),
                unit_arena_test(owners_are_names_or_numbers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
