/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "base/unit.h"
#include "guard/cut_groups.h"

static Connection connection(uint32_t source, uint16_t port, uint16_t source_port) {
        return (Connection){
                .family = FAMILY_IPV4,
                .protocol = IPPROTO_TCP,
                .source = u128(source),
                .source_port = source_port,
                .dialled = u128(1),
                .dialled_port = port,
        };
}

static void one_client_of_one_service_is_one_group(void **state) {
        CutGroups g = {0};

        for (uint16_t i = 0; i < 300; i++) {
                Connection c = connection(7, 80, (uint16_t)(40000 + i));

                assert_int_equal(cut_groups_add(&g, &c, CUT_WAY_IN, false), 0);
                c = connection(8, i % 2 ? 80 : 443, (uint16_t)(40000 + i));
                assert_int_equal(cut_groups_add(&g, &c, CUT_WAY_IN, false), 0);
        }
        cut_groups_finish(&g);
        assert_int_equal(g.n, 600);
        assert_int_equal(g.n_items, 3);
        assert_int_equal(g.items[0].n, 300);
        assert_true(u128_equal(g.items[0].source, u128(7)));
        assert_int_equal(g.items[1].n, 150);
        cut_groups_done(&g);
}

static void ones_own_connection_comes_first_however_small(void **state) {
        CutGroups g = {0};
        Connection many = connection(7, 80, 1), mine = connection(9, 22, 2);

        for (int i = 0; i < 10; i++)
                assert_int_equal(cut_groups_add(&g, &many, CUT_WAY_IN, false), 0);
        assert_int_equal(cut_groups_add(&g, &mine, CUT_WAY_IN, true), 0);
        cut_groups_finish(&g);
        assert_true(g.items[0].is_mine);
        assert_int_equal(g.items[0].port, 22);
        cut_groups_done(&g);
}

static void ways_and_both_ends_of_what_passes_tell_groups_apart(void **state) {
        Connection c = connection(7, 80, 1), other = connection(7, 80, 1);
        CutGroups g = {0};

        other.dialled = u128(2);
        /* the client that this host itself is needs no name, nor the server */
        assert_int_equal(cut_groups_add(&g, &c, CUT_WAY_IN, false), 0);
        assert_int_equal(cut_groups_add(&g, &other, CUT_WAY_IN, false), 0);
        assert_int_equal(cut_groups_add(&g, &c, CUT_WAY_OUT, false), 0);
        assert_int_equal(cut_groups_add(&g, &other, CUT_WAY_OUT, false), 0);
        assert_int_equal(cut_groups_add(&g, &c, CUT_WAY_THROUGH, false), 0);
        assert_int_equal(cut_groups_add(&g, &other, CUT_WAY_THROUGH, false), 0);
        cut_groups_finish(&g);
        assert_int_equal(g.n_items, 5);
        assert_int_equal(g.items[0].n, 2);
        assert_int_equal(g.items[0].way, CUT_WAY_IN);
        cut_groups_done(&g);
}

static void more_groups_than_are_kept_are_counted(void **state) {
        const uint32_t n = 4 * CUT_GROUPS_MAX;
        CutGroups g = {0};
        size_t sum = 0;

        for (uint32_t i = 0; i < n; i++) {
                Connection c = connection(i + 100, 80, 1), loud = connection(7, 443, 1);

                assert_int_equal(cut_groups_add(&g, &c, CUT_WAY_IN, false), 0);
                assert_int_equal(cut_groups_add(&g, &loud, CUT_WAY_IN, false), 0);
        }
        cut_groups_finish(&g);
        for (size_t i = 0; i < g.n_items; i++)
                sum += g.items[i].n;
        assert_int_equal(g.n, 2 * n);
        assert_int_equal(sum + g.n_beyond, 2 * n);
        assert_true(g.n_beyond > 0);
        assert_int_equal(g.items[0].n, n);
        cut_groups_done(&g);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_client_of_one_service_is_one_group),
                cmocka_unit_test(ones_own_connection_comes_first_however_small),
                cmocka_unit_test(ways_and_both_ends_of_what_passes_tell_groups_apart),
                cmocka_unit_test(more_groups_than_are_kept_are_counted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
