/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/sysctls.h"

#include "host/tree_unit.h"

static void set(const Tree *t, const char *name, const char *value) {
        tree_write(t, arena_printf(t->arena, "/proc/sys/net/%s", name),
                   arena_printf(t->arena, "%s\n", value));
}

static void reads_what_is_in_force(void **state) {
        const Tree *t = *state;
        Sysctls s;

        set(t, "ipv4/conf/all/rp_filter", "1");
        set(t, "ipv4/conf/all/accept_local", "0");
        set(t, "ipv4/conf/all/route_localnet", "1");
        set(t, "ipv4/conf/all/forwarding", "1");
        set(t, "ipv4/conf/default/rp_filter", "2");
        set(t, "ipv4/conf/lo/rp_filter", "0");
        set(t, "ipv4/conf/eth0/rp_filter", "2");
        set(t, "ipv4/conf/eth0/accept_local", "1");
        set(t, "ipv4/conf/eth0/route_localnet", "0");
        set(t, "ipv4/conf/eth0/forwarding", "0");
        set(t, "ipv4/conf/br0/rp_filter", "0");
        set(t, "bridge/bridge-nf-call-iptables", "0");
        assert_int_equal(sysctls_read(t, &s), 0);
        assert_int_equal(s.forwarding, 1);
        assert_int_equal(s.forwarding6, SYSCTL_UNKNOWN);
        assert_int_equal(s.bridge_calls, 0);
        assert_int_equal(s.bridge_calls6, SYSCTL_UNKNOWN);
        assert_int_equal(s.n_interfaces, 2);
        assert_string_equal(s.interfaces[0].name, "br0");
        assert_int_equal(s.interfaces[0].rp_filter, 1);
        assert_int_equal(s.interfaces[0].accept_local, 0);
        assert_int_equal(s.interfaces[0].forwarding, SYSCTL_UNKNOWN);
        assert_string_equal(s.interfaces[1].name, "eth0");
        assert_int_equal(s.interfaces[1].rp_filter, 2);
        assert_int_equal(s.interfaces[1].accept_local, 1);
        assert_int_equal(s.interfaces[1].route_localnet, 1);
        assert_int_equal(s.interfaces[1].forwarding, 0);
}

static void nonsense_is_unknown(void **state) {
        const Tree *t = *state;
        Sysctls s;

        set(t, "ipv4/conf/eth0/rp_filter", "yes");
        set(t, "ipv4/conf/eth0/accept_local", "");
        set(t, "ipv4/conf/eth0/forwarding", "99999999999999999999");
        assert_int_equal(sysctls_read(t, &s), 0);
        assert_int_equal(s.interfaces[0].rp_filter, SYSCTL_UNKNOWN);
        assert_int_equal(s.interfaces[0].accept_local, SYSCTL_UNKNOWN);
        assert_int_equal(s.interfaces[0].forwarding, SYSCTL_UNKNOWN);
        assert_int_equal(s.forwarding, SYSCTL_UNKNOWN);
}

static void a_host_without_networks_is_an_error(void **state) {
        Sysctls s;

        assert_int_equal(sysctls_read(*state, &s), -ENOENT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(reads_what_is_in_force),
                tree_test(nonsense_is_unknown),
                tree_test(a_host_without_networks_is_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
