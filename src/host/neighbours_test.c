/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/neighbours.h"

#include "host/tree_unit.h"

static const char *list(const Tree *t) {
        char *text = arena_alloc(t->arena, 1024), buf[ADDRESS_TEXT_MAX];
        Neighbours n;

        assert_non_null(text);
        assert_int_equal(neighbours_read(t, &n), 0);
        for (size_t i = 0; i < n.n_items; i++)
                (void)snprintf(text + strlen(text), 1024 - strlen(text), "%s%s", i ? " " : "",
                               address_print(n.items[i].family, n.items[i].address, buf));
        return text;
}

static void gateways_and_name_servers_are_found(void **state) {
        const Tree *t = *state;

        tree_write(t, "/proc/net/route",
                   "Iface\tDestination\tGateway \tFlags\n"
                   "eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\n"
                   "eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n");
        tree_write(t, "/proc/net/ipv6_route",
                   "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
                   "20010db8000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n"
                   "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
                   "00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n");
        tree_write(t, "/etc/resolv.conf",
                   "# nameserver 192.0.2.1\nnameserver 192.0.2.53\n nameserver 2001:db8::53\n"
                   "search example.org\nnameserver nonsense\n");
        assert_string_equal(list(t), "192.168.0.1 2001:db8::1 192.0.2.53 2001:db8::53");
}

static void what_is_not_there_gives_none(void **state) {
        assert_string_equal(list(*state), "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(gateways_and_name_servers_are_found),
                tree_test(what_is_not_there_gives_none),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
