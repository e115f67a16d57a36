/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/drops.h"

#include <malloc.h>
#include <netinet/in.h>

#include "base/unit.h"

static Drop drop_of(uint32_t source, uint16_t port, const char *by) {
        LogLine line = {
                .family = FAMILY_IPV4,
                .has_addresses = true,
                .source = u128(source),
                .protocol = IPPROTO_TCP,
                .has_ports = true,
                .in = "eth0",
        };
        Refusal refusal = {
                .kind = REFUSAL_DEFAULT,
                .section = SECTION_INBOUND,
                .is_dialled_known = true,
                .destination = u128(0x0a000001),
                .destination_port = port,
        };

        (void)snprintf(refusal.by, sizeof(refusal.by), "%s", by);
        return drop_make(&line, &refusal);
}

static void add(Drops *d, uint32_t source, uint16_t port, const char *by, uint64_t now) {
        Drop drop = drop_of(source, port, by);

        drops_add(d, &drop, now);
}

typedef struct List {
        Drop items[DROPS_MAX];
        size_t n, max;
} List;

static bool take(const Drop *drop, void *to) {
        List *list = to;

        if (list->n == list->max)
                return false;
        list->items[list->n++] = *drop;
        return true;
}

static const List *list_of(const Drops *d, uint64_t since) {
        static List list;

        list.n = 0;
        list.max = DROPS_MAX;
        drops_each(d, since, take, &list);
        return &list;
}

static void alike_ones_are_one_group_and_the_latest_comes_first(void **state) {
        _cleanup_(drops_freep) Drops *d = drops_new(100);
        const List *list;

        assert_non_null(d);
        add(d, 0xcb007101, 22, "a", 1000);
        add(d, 0xcb007101, 23, "a", 2000);
        add(d, 0xcb007101, 22, "b", 3000);
        add(d, 0xcb007101, 22, "a", 4000);
        list = list_of(d, 0);
        assert_int_equal(list->n, 3);
        assert_int_equal(list->items[0].count, 2);
        assert_int_equal(list->items[0].first_usec, 1000);
        assert_int_equal(list->items[0].last_usec, 4000);
        assert_int_equal(list->items[0].port, 22);
        assert_string_equal(list->items[0].by, "a");
        assert_string_equal(list->items[1].by, "b");
        assert_int_equal(list->items[2].port, 23);
        assert_int_equal(drops_number(d), 4);
}

static void what_has_been_told_is_not_told_again(void **state) {
        _cleanup_(drops_freep) Drops *d = drops_new(100);
        uint64_t number;

        add(d, 0xcb007101, 22, "a", 1000);
        add(d, 0xcb007101, 23, "a", 2000);
        number = drops_number(d);
        assert_int_equal(list_of(d, number)->n, 0);
        add(d, 0xcb007101, 22, "a", 3000);
        assert_int_equal(list_of(d, number)->n, 1);
        assert_int_equal(list_of(d, number)->items[0].port, 22);
}

static void many_sources_of_a_network_are_counted_together(void **state) {
        _cleanup_(drops_freep) Drops *d = drops_new(1000);
        const List *list;

        for (uint32_t i = 0; i < 100; i++)
                add(d, 0xcb007100 + i, 22, "a", i);
        add(d, 0xcb007101, 22, "a", 200); /* one that has its own */
        add(d, 0xcb007201, 22, "a", 201); /* another network */
        list = list_of(d, 0);
        assert_int_equal(list->n, DROPS_SOURCES + 2);
        for (size_t i = 0; i < list->n; i++) {
                const Drop *drop = &list->items[i];

                if (drop->prefix == 24) {
                        assert_int_equal(drop->source.low, 0xcb007100);
                        assert_int_equal(drop->count, 100 - DROPS_SOURCES);
                } else {
                        assert_int_equal(drop->prefix, 32);
                        assert_int_equal(drop->count, drop->source.low == 0xcb007101 ? 2 : 1);
                }
        }
}

static void who_is_seen_longest_ago_makes_room(void **state) {
        _cleanup_(drops_freep) Drops *d = drops_new(20);
        const List *list;

        add(d, 0xcb007101, 22, "stays", 0);
        for (uint32_t i = 1; i < 200; i++) {
                add(d, 0xc6336401, (uint16_t)i, "goes", i);
                add(d, 0xcb007101, 22, "stays", i);
        }
        list = list_of(d, 0);
        assert_true(list->n < 20);
        assert_string_equal(list->items[0].by, "stays");
        assert_int_equal(list->items[0].count, 200);
        assert_int_equal(list->items[1].port, 199);
        assert_true(drops_forgotten(d) > 180);
}

static uint64_t scatter(uint64_t x) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        return x;
}

static void a_million_sources_take_no_more_room_than_a_few(void **state) {
        _cleanup_(drops_freep) Drops *d = drops_new(DROPS_MAX);
        uint64_t x = 88172645463325252U;
        struct mallinfo2 before = mallinfo2(), after;
        size_t n = 0;

        for (size_t i = 0; i < 1000000; i++) {
                x = scatter(x);
                add(d, (uint32_t)(x >> 20), (uint16_t)(x >> 10), "a", i);
        }
        after = mallinfo2();
        assert_int_equal(after.uordblks, before.uordblks);
        assert_int_equal(after.hblkhd, before.hblkhd);
        n = list_of(d, 0)->n;
        assert_true(n > DROPS_MAX / 3 && n <= DROPS_MAX);
        assert_int_equal(drops_number(d), 1000000);
        /* who comes through the flood is seen all the same */
        add(d, 0x0a000007, 22, "the interesting one", 1000001);
        assert_string_equal(list_of(d, 0)->items[0].by, "the interesting one");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(alike_ones_are_one_group_and_the_latest_comes_first),
                cmocka_unit_test(what_has_been_told_is_not_told_again),
                cmocka_unit_test(many_sources_of_a_network_are_counted_together),
                cmocka_unit_test(who_is_seen_longest_ago_makes_room),
                cmocka_unit_test(a_million_sources_take_no_more_room_than_a_few),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
