/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/unit.h"
#include "proof/axis.h"

#define LINE 65537 /* values that are cut, and what lies behind the last one */

static uint64_t random_state = 88172645463325252U;

static uint32_t draw(uint32_t below) {
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 33) % below;
}

static const struct {
        const char *name;
        size_t n_cuts;
        U128 first; /* the line lies there */
} lines[] = {
        {"a few ports", 20, {0, 0}},
        {"ports", 3000, {0, 0}},
        {"nearly all ports", 200000, {0, 0}},
        {"addresses of IPv4", 3000, {0, 0x0a000000}},
        {"addresses of IPv6", 3000, {UINT64_C(0x20010db800000000), UINT64_MAX - 1000}},
};

static U128 value_at(size_t line, uint32_t at) {
        U128 v = lines[line].first;

        v.low += at;
        v.high += v.low < at;
        return v;
}

static void each_cut_begins_a_coordinate_and_nothing_else_does(void **state) {
        for (size_t l = 0; l < ARRAY_SIZE(lines); l++) {
                static bool begins[LINE + 1];
                Axis axis = {0};
                size_t at = 0;

                arena_reset(*state);
                memset(begins, 0, sizeof(begins));
                for (size_t i = 0; i < lines[l].n_cuts; i++) {
                        uint32_t low = draw(LINE - 1), high = low + draw(9);

                        high = MIN(high, LINE - 2U);
                        begins[low] = begins[high + 1] = true;
                        unit_equal(lines[l].name,
                                   axis_cut(*state, &axis,
                                            (Range){value_at(l, low), value_at(l, high)}),
                                   0);
                }
                unit_equal(lines[l].name, axis_finish(*state, &axis), 0);
                unit_true(lines[l].name, u128_is_zero(axis.lows[0]));
                at = !begins[0] || !u128_is_zero(lines[l].first);
                for (uint32_t v = 0; v < LINE; v++) {
                        if (!begins[v])
                                continue;
                        unit_true(lines[l].name,
                                  at < axis.n_lows && u128_equal(axis.lows[at], value_at(l, v)));
                        unit_equal(lines[l].name, axis_coordinate(&axis, value_at(l, v)), at);
                        at++;
                }
                unit_equal(lines[l].name, axis.n_lows, at);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(each_cut_begins_a_coordinate_and_nothing_else_does),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
