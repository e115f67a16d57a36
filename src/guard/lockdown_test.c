/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "base/unit.h"
#include "guard/lockdown.h"
#include "ruleset/packet.h"

static const KernelFeatures features = {.fib_in_filter = true};

static U128 address(const char *text, Family *ret_family) {
        U128 value;

        assert_int_equal(address_parse(text, ret_family, &value), ADDRESS_OK);
        return value;
}

static bool
admits(Arena *a, const Ruleset *rs, Hook hook, const char *from, const char *in, uint16_t port) {
        PacketQuestion q = {.hook = hook,
                            .in = in,
                            .protocol = IPPROTO_TCP,
                            .source_port = 40000,
                            .destination_port = port,
                            .ct_state = CT_STATE_NEW};
        Evaluation e;
        Packet p;

        q.source = address(from, &q.family);
        packet_init(&p, &q);
        assert_int_equal(ruleset_eval(rs, a, hook, &p, &e), 0);
        return e.verdict == VERDICT_ACCEPT;
}

static void only_those_who_rescue_come_in_and_to_sshd_alone(void **state) {
        static const uint16_t ports[] = {22, 2222};
        ZonePart parts[2] = {{.any_interface = true}, {.any_address = true}};
        Diag *d = diag_new(*state);
        Ruleset *rs;
        Family f;
        Range r;

        assert_int_equal(address_range_parse("198.51.100.0/24", &f, &r), ADDRESS_OK);
        assert_int_equal(range_set_add(*state, &parts[0].addresses[f], r), 0);
        assert_int_equal(address_range_parse("2001:db8::7", &f, &r), ADDRESS_OK);
        assert_int_equal(range_set_add(*state, &parts[0].addresses[f], r), 0);
        assert_int_equal(range_set_add(*state, &parts[1].interfaces, interface_prefix_range("wg")),
                         0);
        assert_int_equal(lockdown_compile(parts, 2, ports, 2, &features, *state, &rs, d), 0);
        assert_true(admits(*state, rs, HOOK_INPUT, "198.51.100.9", "eth0", 22));
        assert_true(admits(*state, rs, HOOK_INPUT, "2001:db8::7", "eth0", 2222));
        assert_true(admits(*state, rs, HOOK_INPUT, "203.0.113.1", "wg0", 22));
        assert_false(admits(*state, rs, HOOK_INPUT, "203.0.113.1", "eth0", 22));
        assert_false(admits(*state, rs, HOOK_INPUT, "198.51.100.9", "eth0", 80));
        assert_false(admits(*state, rs, HOOK_INPUT, "2001:db8::8", "eth0", 22));
        assert_false(admits(*state, rs, HOOK_FORWARD, "172.17.0.2", "docker0", 443));
        assert_false(admits(*state, rs, HOOK_FORWARD, "198.51.100.9", "eth0", 22));
}

static void without_anybody_it_is_closed(void **state) {
        static const uint16_t ports[] = {22};
        Diag *d = diag_new(*state);
        Ruleset *rs;

        assert_int_equal(lockdown_compile(NULL, 0, ports, 1, &features, *state, &rs, d), 0);
        assert_false(admits(*state, rs, HOOK_INPUT, "198.51.100.9", "eth0", 22));
}

static void anywhere_is_meant_if_it_is_said(void **state) {
        static const uint16_t ports[] = {22};
        ZonePart all = {.any_interface = true, .any_address = true};
        Diag *d = diag_new(*state);
        Ruleset *rs;

        assert_int_equal(lockdown_compile(&all, 1, ports, 1, &features, *state, &rs, d), 0);
        assert_true(admits(*state, rs, HOOK_INPUT, "198.51.100.9", "eth0", 22));
        assert_false(admits(*state, rs, HOOK_INPUT, "198.51.100.9", "eth0", 23));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(only_those_who_rescue_come_in_and_to_sshd_alone),
                unit_arena_test(without_anybody_it_is_closed),
                unit_arena_test(anywhere_is_meant_if_it_is_said),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
