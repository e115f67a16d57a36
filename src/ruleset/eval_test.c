/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "base/unit.h"
#include "ruleset/packet.h"

/* The evaluator walks as the kernel does: what is checked here was checked there by the three-way
 * test; these are the cases in which a wrong walk is easiest to see. */

static Rule *
add(Ruleset *rs, Chain *chain, VerdictKind kind, const Chain *target, const char *text) {
        Rule *rule = chain_add_rule(rs, chain, verdict_to(kind, target), (Origin){.text = text});

        assert_non_null(rule);
        return rule;
}

static const char *decided(const Ruleset *rs, Arena *a, Hook hook, const PacketQuestion *q) {
        Evaluation e;
        Packet p;

        packet_init(&p, q);
        assert_int_equal(ruleset_eval(rs, a, hook, &p, &e), 0);
        assert_true(e.n_steps > 0);
        return e.steps[e.n_steps - 1].rule ? e.steps[e.n_steps - 1].rule->origin.text : "policy";
}

static PacketQuestion tcp_to(uint16_t port) {
        return (PacketQuestion){
                .hook = HOOK_INPUT,
                .family = FAMILY_IPV4,
                .in = "eth0",
                .source = u128(0x0a280a07),
                .destination = u128(0x0a280a01),
                .protocol = IPPROTO_TCP,
                .source_port = 40000,
                .destination_port = port,
                .ct_state = CT_STATE_NEW,
        };
}

static void a_jump_comes_back_and_a_goto_does_not(void **state) {
        Arena *a = *state;
        Ruleset *rs = ruleset_new(a);
        Chain *input = ruleset_add_base_chain(rs, "input", HOOK_INPUT);
        Chain *jumped = ruleset_add_chain(rs, "jumped"), *gone = ruleset_add_chain(rs, "gone");
        PacketQuestion q = tcp_to(22);

        assert_int_equal(rule_match_value(rs, add(rs, jumped, VERDICT_DROP, NULL, "never"),
                                          FIELD_L4PROTO, IPPROTO_UDP),
                         0);
        add(rs, gone, VERDICT_RETURN, NULL, "return");
        add(rs, input, VERDICT_JUMP, jumped, "jump");
        add(rs, input, VERDICT_GOTO, gone, "goto");
        add(rs, input, VERDICT_ACCEPT, NULL, "not reached");
        assert_string_equal(decided(rs, a, HOOK_INPUT, &q), "policy");
}

static void a_goto_inside_a_jumped_chain_returns_to_the_last_jump(void **state) {
        Arena *a = *state;
        Ruleset *rs = ruleset_new(a);
        Chain *input = ruleset_add_base_chain(rs, "input", HOOK_INPUT);
        Chain *jumped = ruleset_add_chain(rs, "jumped"), *gone = ruleset_add_chain(rs, "gone");
        PacketQuestion q = tcp_to(22);

        add(rs, gone, VERDICT_CONTINUE, NULL, "nothing");
        add(rs, jumped, VERDICT_GOTO, gone, "goto");
        add(rs, jumped, VERDICT_DROP, NULL, "not reached");
        add(rs, input, VERDICT_JUMP, jumped, "jump");
        add(rs, input, VERDICT_ACCEPT, NULL, "behind the jump");
        assert_string_equal(decided(rs, a, HOOK_INPUT, &q), "behind the jump");
}

static void a_rule_about_a_field_that_the_packet_lacks_is_passed_over_even_negated(void **state) {
        Arena *a = *state;
        Ruleset *rs = ruleset_new(a);
        Chain *input = ruleset_add_base_chain(rs, "input", HOOK_INPUT);
        Range r = range_single(u128(22));
        RangeSet one = {.items = &r, .n_items = 1};
        PacketQuestion q = tcp_to(22);
        Rule *rule = add(rs, input, VERDICT_DROP, NULL, "dialled something else");

        q.ct_state = CT_STATE_UNTRACKED;
        assert_int_equal(rule_match_value(rs, rule, FIELD_L4PROTO, IPPROTO_TCP), 0);
        assert_int_equal(rule_match_set(rs, rule, FIELD_CT_DPORT, MATCH_NOT_IN,
                                        ruleset_set_of_ranges(rs, NULL, TYPE_INET_SERVICE, &one)),
                         0);
        assert_int_equal(rule_match_bits(rs, add(rs, input, VERDICT_DROP, NULL, "not translated"),
                                         FIELD_CT_STATUS, MATCH_NO_BITS, CT_STATUS_DNAT),
                         0);
        add(rs, input, VERDICT_ACCEPT, NULL, "end");
        assert_string_equal(decided(rs, a, HOOK_INPUT, &q), "end");
}

static void a_map_gives_the_verdict_of_its_element_and_else_nothing(void **state) {
        Arena *a = *state;
        Ruleset *rs = ruleset_new(a);
        Chain *input = ruleset_add_base_chain(rs, "input", HOOK_INPUT);
        Set *map = ruleset_add_set(rs, "ports", TYPE_INET_SERVICE);
        Range keys[] = {{{0, 22}, {0, 22}}, {{0, 8000}, {0, 8099}}};
        Rule *lookup = add(rs, input, VERDICT_CONTINUE, NULL, "lookup");
        static const struct {
                uint16_t port;
                const char *expected;
        } rows[] = {
                {21, "end"},      {22, "lookup"},   {23, "end"},   {7999, "end"},
                {8000, "lookup"}, {8099, "lookup"}, {8100, "end"},
        };

        map->is_map = true;
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                set_add_element(rs, map, &keys[i])->verdict = verdict_of(VERDICT_DROP);
        assert_int_equal(rule_match_value(rs, lookup, FIELD_L4PROTO, IPPROTO_TCP), 0);
        assert_int_equal(rule_set_map(rs, lookup, FIELD_DPORT, map), 0);
        add(rs, input, VERDICT_ACCEPT, NULL, "end");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                PacketQuestion q = tcp_to(rows[i].port);

                unit_string("port", decided(rs, a, HOOK_INPUT, &q), rows[i].expected);
        }
}

static void a_drop_in_an_earlier_base_chain_is_final_and_an_accept_is_not(void **state) {
        Arena *a = *state;
        Ruleset *rs = ruleset_new(a);
        Chain *late = ruleset_add_base_chain(rs, "late", HOOK_INPUT);
        Chain *early = ruleset_add_base_chain(rs, "early", HOOK_INPUT);
        PacketQuestion ssh = tcp_to(22), web = tcp_to(80);
        Rule *rule;

        early->priority = late->priority - 1;
        rule = add(rs, early, VERDICT_DROP, NULL, "early drop");
        assert_int_equal(rule_match_value(rs, rule, FIELD_L4PROTO, IPPROTO_TCP), 0);
        assert_int_equal(rule_match_value(rs, rule, FIELD_DPORT, 22), 0);
        add(rs, early, VERDICT_ACCEPT, NULL, "early accept");
        add(rs, late, VERDICT_DROP, NULL, "late drop");
        assert_string_equal(decided(rs, a, HOOK_INPUT, &ssh), "early drop");
        assert_string_equal(decided(rs, a, HOOK_INPUT, &web), "late drop");
}

static void a_translated_packet_knows_what_was_dialled_and_where_it_goes(void **state) {
        PacketQuestion q = tcp_to(5678);
        Packet p;

        q.translated = true;
        q.dialled = u128(0xcb007101);
        q.dialled_port = 443;
        packet_init(&p, &q);
        assert_int_equal(p.values[FIELD_DPORT].low, 5678);
        assert_int_equal(p.values[FIELD_CT_DPORT].low, 443);
        assert_int_equal(p.values[FIELD_CT_IP_DADDR].low, 0xcb007101);
        assert_int_equal(p.values[FIELD_CT_STATUS].low, CT_STATUS_DNAT);
        assert_false(p.present[FIELD_CT_IP6_DADDR]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(a_jump_comes_back_and_a_goto_does_not),
                unit_arena_test(a_goto_inside_a_jumped_chain_returns_to_the_last_jump),
                unit_arena_test(
                        a_rule_about_a_field_that_the_packet_lacks_is_passed_over_even_negated),
                unit_arena_test(a_map_gives_the_verdict_of_its_element_and_else_nothing),
                unit_arena_test(a_drop_in_an_earlier_base_chain_is_final_and_an_accept_is_not),
                unit_arena_test(a_translated_packet_knows_what_was_dialled_and_where_it_goes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
