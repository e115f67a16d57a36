/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "guard/lockdown.h"
#include "guard/store_unit.h"
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
        assert_int_equal(
                lockdown_compile(parts, 2, ports, 2, LOCKDOWN_MARK, &features, *state, &rs, d), 0);
        assert_true(lockdown_admits(rs));
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

        assert_int_equal(
                lockdown_compile(NULL, 0, ports, 1, LOCKDOWN_MARK, &features, *state, &rs, d), 0);
        assert_false(lockdown_admits(rs));
        assert_false(admits(*state, rs, HOOK_INPUT, "198.51.100.9", "eth0", 22));
}

static void anywhere_is_meant_if_it_is_said(void **state) {
        static const uint16_t ports[] = {22};
        ZonePart all = {.any_interface = true, .any_address = true};
        Diag *d = diag_new(*state);
        Ruleset *rs;

        assert_int_equal(
                lockdown_compile(&all, 1, ports, 1, LOCKDOWN_MARK, &features, *state, &rs, d), 0);
        assert_true(admits(*state, rs, HOOK_INPUT, "198.51.100.9", "eth0", 22));
        assert_false(admits(*state, rs, HOOK_INPUT, "198.51.100.9", "eth0", 23));
}

/* No policy's words: the rest of what an exception left, and two prefixes that touch. */
static void interfaces_of_every_kind_are_meant(void **state) {
        static const uint16_t ports[] = {22};
        ZonePart part = {.any_address = true};
        Diag *d = diag_new(*state);
        Ruleset *rs;

        assert_int_equal(range_set_add(*state, &part.interfaces,
                                       (Range){interface_prefix_range("bra").low,
                                               interface_prefix_range("brb").high}),
                         0);
        assert_int_equal(
                range_set_add(*state, &part.interfaces, range_single(interface_value("a\"]b"))), 0);
        range_set_normalise(&part.interfaces);
        assert_int_equal(
                lockdown_compile(&part, 1, ports, 1, LOCKDOWN_MARK, &features, *state, &rs, d), 0);
        assert_true(admits(*state, rs, HOOK_INPUT, "203.0.113.1", "bra0", 22));
        assert_true(admits(*state, rs, HOOK_INPUT, "2001:db8::1", "brb0", 22));
        assert_true(admits(*state, rs, HOOK_INPUT, "203.0.113.1", "a\"]b", 22));
        assert_false(admits(*state, rs, HOOK_INPUT, "203.0.113.1", "brc0", 22));
        assert_false(admits(*state, rs, HOOK_INPUT, "203.0.113.1", "eth0", 22));
}

static void what_cannot_be_used_opens_nothing(void **state) {
        static const uint16_t ports[] = {22};
        ZonePart parts[] = {{0}, {.any_interface = true}, {.any_address = true}};
        Diag *d = diag_new(*state);
        Ruleset *rs;

        assert_int_equal(
                lockdown_compile(parts, 3, ports, 1, LOCKDOWN_MARK, &features, *state, &rs, d), 0);
        assert_false(admits(*state, rs, HOOK_INPUT, "198.51.100.9", "eth0", 22));
        parts[0] = (ZonePart){.any_interface = true, .any_address = true};
        assert_int_equal(
                lockdown_compile(parts, 3, NULL, 0, LOCKDOWN_MARK, &features, *state, &rs, d), 0);
        assert_false(admits(*state, rs, HOOK_INPUT, "198.51.100.9", "eth0", 22));
}

/* How a packet of a connection fares that is open already. */
static bool goes_on(Arena *a, const Ruleset *rs, uint32_t mark) {
        PacketQuestion q = {.hook = HOOK_INPUT,
                            .in = "eth0",
                            .protocol = IPPROTO_TCP,
                            .source_port = 40000,
                            .destination_port = 80,
                            .ct_state = CT_STATE_ESTABLISHED,
                            .ct_mark = mark};
        Evaluation e;
        Packet p;

        q.source = address("203.0.113.1", &q.family);
        packet_init(&p, &q);
        assert_int_equal(ruleset_eval(rs, a, HOOK_INPUT, &p, &e), 0);
        return e.verdict == VERDICT_ACCEPT;
}

static Ruleset *make(StoreTest *t) {
        Ruleset *rs = NULL;

        assert_int_equal(lockdown_make(t->store, &features, t->arena, &rs, t->d), 0);
        return rs;
}

static void those_who_last_confirmed_come_in_where_they_came_before(void **state) {
        StoreTest *t = *state;
        StorePeer peer = {FAMILY_IPV4, {0, 0xc6336409}, 2222}; /* 198.51.100.9 */
        Ruleset *rs;

        store_test_open(t);
        assert_false(admits(t->arena, make(t), HOOK_INPUT, "198.51.100.9", "eth0", 2222));
        assert_int_equal(store_remember_peer(t->store, peer, t->d), 0);
        rs = make(t);
        assert_true(admits(t->arena, rs, HOOK_INPUT, "198.51.100.9", "eth0", 2222));
        assert_false(admits(t->arena, rs, HOOK_INPUT, "198.51.100.8", "eth0", 2222));
        assert_false(admits(t->arena, rs, HOOK_INPUT, "198.51.100.9", "eth0", 80));
        store_test_damage(t, "rescue", -1);
        assert_false(admits(t->arena, make(t), HOOK_INPUT, "198.51.100.9", "eth0", 2222));
}

static void what_the_policy_says_of_rescue_and_mark_counts(void **state) {
        StoreTest *t = *state;
        StoreContent content = store_test_content(t->arena, 7); /* from 10.0.0.7 on */
        StorePeer peer = {FAMILY_IPV4, {0, 0xc6336409}, 22};
        StoreEntry entry = {0};
        Ruleset *rs;

        content.settings.mark = 0x4;
        store_test_open(t);
        assert_int_equal(store_remember_peer(t->store, peer, t->d), 0);
        assert_int_equal(store_add(t->store, &entry, &content, t->d), 0);
        assert_int_equal(store_seal(t->store, 1, 1, &store_test_caller, t->d), 0);
        rs = make(t);
        assert_true(admits(t->arena, rs, HOOK_INPUT, "10.0.0.7", "eth0", 22));
        assert_false(admits(t->arena, rs, HOOK_INPUT, "10.0.0.6", "eth0", 22));
        assert_false(admits(t->arena, rs, HOOK_INPUT, "198.51.100.9", "eth0", 22));
        assert_true(goes_on(t->arena, rs, 0));
        assert_false(goes_on(t->arena, rs, 0x4));
        /* not even that can be read */
        store_test_damage(t, "sealed", -1);
        rs = make(t);
        assert_true(admits(t->arena, rs, HOOK_INPUT, "198.51.100.9", "eth0", 22));
        assert_false(admits(t->arena, rs, HOOK_INPUT, "10.0.0.7", "eth0", 22));
        assert_false(goes_on(t->arena, rs, LOCKDOWN_MARK));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(only_those_who_rescue_come_in_and_to_sshd_alone),
                unit_arena_test(without_anybody_it_is_closed),
                unit_arena_test(anywhere_is_meant_if_it_is_said),
                unit_arena_test(interfaces_of_every_kind_are_meant),
                unit_arena_test(what_cannot_be_used_opens_nothing),
                store_test(those_who_last_confirmed_come_in_where_they_came_before),
                store_test(what_the_policy_says_of_rescue_and_mark_counts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
