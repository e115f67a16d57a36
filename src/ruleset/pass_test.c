/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include <linux/netfilter.h>

#include "base/unit.h"
#include "ruleset/packet.h"
#include "ruleset/pass_list.h"

/* Passes keep the meaning: pseudo-random rulesets, packets at the edges of what their rules name,
 * the same answer before and after each pass. */

#define N_RULESETS 300
#define N_PACKETS 200
#define N_SETS 4

static uint64_t random_state;

static uint32_t draw(uint32_t below) {
        /* xorshift64*: repeatable, and good enough to choose cases */
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 33) % below;
}

static const uint16_t ports[] = {1, 22, 23, 80, 81, 443, 8000, 8080, 11434, 65534, 65535};
static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP,
                                    IPPROTO_GRE};
static const char *const interfaces[] = {"eth0", "eth1", "wg0"};

static const Source source = {.name = "test.yaml", .text = "", .size = 0};

static Origin origin_of(Ruleset *rs, unsigned int line) {
        return (Origin){
                .at = {.source = &source, .line = line, .column = 1, .length = 1},
                .text = arena_printf(rs->arena, "test.yaml:%u", line),
        };
}

static uint16_t draw_port(void) {
        return ports[draw(ARRAY_SIZE(ports))];
}

static U128 draw_address(void) {
        /* few enough that rules and packets meet */
        return u128(0x0a000000U + draw(4) * 256 + draw(4));
}

static void add_random_ports(Ruleset *rs, Rule *rule, FieldId field) {
        RangeSet set = {0};

        for (uint32_t i = 0; i <= draw(3); i++) {
                uint16_t a = draw_port(), b = draw(2) ? a : draw_port();

                assert_int_equal(
                        range_set_add(rs->arena, &set, (Range){u128(MIN(a, b)), u128(MAX(a, b))}),
                        0);
        }
        assert_int_equal(rule_match_value(rs, rule, FIELD_L4PROTO, protocols[draw(3)]), 0);
        assert_int_equal(rule_match_ranges(rs, rule, field, &set), 0);
}

static void add_random_source(Ruleset *rs, Rule *rule) {
        U128 low = draw_address();
        Range r = {low, draw(2) ? low : u128(low.low | 3)};
        RangeSet set = {.items = &r, .n_items = 1};

        assert_int_equal(rule_match_ranges(rs, rule, FIELD_IP_SADDR, &set), 0);
}

static void add_random_interface(Ruleset *rs, Rule *rule) {
        Range r = range_single(interface_value(interfaces[draw(ARRAY_SIZE(interfaces))]));
        RangeSet set = {.items = &r, .n_items = 1};

        assert_int_equal(rule_match_ranges(rs, rule, FIELD_IIFNAME, &set), 0);
}

static Verdict draw_verdict(const Chain *refuse) {
        switch (draw(4)) {
        case 0:
                return verdict_of(VERDICT_DROP);
        case 1:
                return verdict_to(VERDICT_GOTO, refuse);
        default:
                return verdict_of(VERDICT_ACCEPT);
        }
}

static void
fill_random_chain(Ruleset *rs, Chain *chain, const Chain *refuse, FieldId port, unsigned int line) {
        uint32_t n = draw(30);

        for (uint32_t i = 0; i < n; i++) {
                Rule *rule =
                        chain_add_rule(rs, chain, draw_verdict(refuse), origin_of(rs, line + i));

                assert_non_null(rule);
                rule->counted = true;
                if (draw(4) == 0)
                        add_random_interface(rs, rule);
                if (draw(3) != 0)
                        add_random_source(rs, rule);
                if (draw(4) != 0)
                        add_random_ports(rs, rule, port);
        }
        assert_non_null(chain_add_rule(rs, chain, verdict_of(VERDICT_DROP), origin_of(rs, 999)));
}

static Ruleset *random_ruleset(Arena *a) {
        Ruleset *rs = ruleset_new(a);
        Chain *input = ruleset_add_base_chain(rs, "input", HOOK_INPUT);
        Chain *section = ruleset_add_chain(rs, "inbound");
        Chain *dialled = ruleset_add_chain(rs, "inbound-dialled");
        Chain *refuse = ruleset_add_chain(rs, "reject");
        Rule *translated;

        assert_non_null(chain_add_rule(rs, refuse, verdict_of(VERDICT_REJECT), (Origin){0}));
        translated = chain_add_rule(rs, input, verdict_to(VERDICT_JUMP, dialled), (Origin){0});
        assert_int_equal(
                rule_match_bits(rs, translated, FIELD_CT_STATUS, MATCH_BITS, CT_STATUS_DNAT), 0);
        assert_non_null(chain_add_rule(rs, input, verdict_to(VERDICT_JUMP, section), (Origin){0}));
        assert_non_null(chain_add_rule(rs, input, verdict_of(VERDICT_DROP), (Origin){0}));
        fill_random_chain(rs, section, refuse, FIELD_DPORT, 1);
        fill_random_chain(rs, dialled, refuse, FIELD_CT_DPORT, 100);
        return rs;
}

static void random_packet(Packet *p) {
        PacketQuestion q = {
                .hook = HOOK_INPUT,
                .family = FAMILY_IPV4,
                .in = interfaces[draw(ARRAY_SIZE(interfaces))],
                .source = draw_address(),
                .destination = u128(0x0a0000ff),
                .protocol = protocols[draw(ARRAY_SIZE(protocols))],
                .source_port = 40000,
                .destination_port = (uint16_t)(draw_port() + draw(3) - 1),
                .ct_state = CT_STATE_NEW,
                .translated = draw(2),
                .dialled = u128(0x0a0000ff),
                .dialled_port = (uint16_t)(draw_port() + draw(3) - 1),
        };

        packet_init(p, &q);
}

static void each_pass_keeps_the_verdict_of_every_packet(void **state) {
        for (unsigned int i = 0; i < N_RULESETS; i++) {
                Arena *a = arena_new(0);
                Diag *d = diag_new(a);
                VerdictKind before[N_PACKETS];
                Packet *packets = arena_alloc_array(a, N_PACKETS, sizeof(Packet));
                Evaluation e;
                Ruleset *rs;

                random_state = 88172645463325252U + i;
                rs = random_ruleset(a);
                assert_int_equal(ruleset_verify(rs, d), 0);
                for (size_t j = 0; j < N_PACKETS; j++) {
                        random_packet(&packets[j]);
                        assert_int_equal(ruleset_eval(rs, a, HOOK_INPUT, &packets[j], &e), 0);
                        before[j] = e.verdict;
                }
                for (size_t k = 0; k < n_passes; k++) {
                        assert_int_equal(passes[k].run(rs), 0);
                        if (ruleset_verify(rs, d) < 0) {
                                diag_print(d, stderr, false);
                                fail_msg("ruleset %u: pass %s leaves it broken", i, passes[k].name);
                        }
                        for (size_t j = 0; j < N_PACKETS; j++) {
                                assert_int_equal(ruleset_eval(rs, a, HOOK_INPUT, &packets[j], &e),
                                                 0);
                                if (e.verdict != before[j]) {
                                        ruleset_print(rs, stderr);
                                        fail_msg("ruleset %u, packet %zu: %s before pass %s, %s "
                                                 "after",
                                                 i, j, verdict_kind_to_string(before[j]),
                                                 passes[k].name, verdict_kind_to_string(e.verdict));
                                }
                        }
                }
                (void)arena_free(a);
        }
}

static size_t rules_of(const Ruleset *rs, const char *prefix) {
        size_t n = 0;

        for (size_t i = 0; i < rs->n_chains; i++)
                if (startswith(rs->chains[i]->name, prefix))
                        n += rs->chains[i]->n_rules;
        return n;
}

/* `n` allows of one port, each from a source of its own. */
static Ruleset *many_sources(Arena *a, unsigned int n) {
        Ruleset *rs = ruleset_new(a);
        Chain *input = ruleset_add_base_chain(rs, "input", HOOK_INPUT);
        Chain *section = ruleset_add_chain(rs, "inbound");

        assert_non_null(chain_add_rule(rs, input, verdict_to(VERDICT_JUMP, section), (Origin){0}));
        assert_non_null(chain_add_rule(rs, input, verdict_of(VERDICT_DROP), (Origin){0}));
        for (unsigned int i = 0; i < n; i++) {
                Rule *rule = chain_add_rule(rs, section, verdict_of(VERDICT_ACCEPT),
                                            origin_of(rs, i + 1));

                rule->counted = true;
                assert_int_equal(rule_match_value(rs, rule, FIELD_NFPROTO, NFPROTO_IPV4), 0);
                assert_int_equal(rule_match_value(rs, rule, FIELD_IP_SADDR, 0x0a000000U + 2 * i),
                                 0);
                assert_int_equal(rule_match_value(rs, rule, FIELD_L4PROTO, IPPROTO_TCP), 0);
                assert_int_equal(rule_match_value(rs, rule, FIELD_DPORT, 443), 0);
        }
        return rs;
}

static void a_thousand_sources_of_one_port_cost_no_more_rules_than_one(void **state) {
        Arena *a = *state;
        Ruleset *rs = many_sources(a, 1000);

        for (size_t i = 0; i < n_passes; i++)
                assert_int_equal(passes[i].run(rs), 0);
        assert_int_equal(rules_of(rs, "inbound-tcp-443"), 1);
}

static void a_merged_rule_still_knows_the_line_of_each_source(void **state) {
        Arena *a = *state;
        Ruleset *rs = many_sources(a, 50);
        PacketQuestion q = {
                .hook = HOOK_INPUT,
                .family = FAMILY_IPV4,
                .source = u128(0x0a000000U + 2 * 41),
                .protocol = IPPROTO_TCP,
                .destination_port = 443,
                .ct_state = CT_STATE_NEW,
        };
        Evaluation e;
        Packet p;

        for (size_t i = 0; i < n_passes; i++)
                assert_int_equal(passes[i].run(rs), 0);
        packet_init(&p, &q);
        assert_int_equal(ruleset_eval(rs, a, HOOK_INPUT, &p, &e), 0);
        assert_int_equal(e.verdict, VERDICT_ACCEPT);
        assert_non_null(e.steps[e.n_steps - 1].element);
        assert_int_equal(e.steps[e.n_steps - 1].element->origin.at.line, 42);
}

/* `n` allows, each of a port of its own, from a network of 17 to 32 bits. */
static Ruleset *many_pairs(Arena *a, unsigned int n, Range *ret_sources) {
        Ruleset *rs = many_sources(a, 0);
        Chain *section = ruleset_find_chain(rs, "inbound");

        for (unsigned int i = 0; i < n; i++) {
                Rule *rule = chain_add_rule(rs, section, verdict_of(VERDICT_ACCEPT),
                                            origin_of(rs, i + 1));
                uint32_t rest = UINT32_C(0xffffffff) >> (17 + draw(16) - 1) >> 1;
                uint32_t low = (UINT32_C(0x0a000000) + (draw(64) << 12) + draw(1 << 12)) & ~rest;
                RangeSet set = {.items = &ret_sources[i], .n_items = 1};

                ret_sources[i] = (Range){u128(low), u128(low | rest)};
                assert_int_equal(rule_match_ranges(rs, rule, FIELD_IP_SADDR, &set), 0);
                assert_int_equal(rule_match_value(rs, rule, FIELD_L4PROTO, IPPROTO_TCP), 0);
                assert_int_equal(rule_match_value(rs, rule, FIELD_DPORT, 1000 + i), 0);
        }
        return rs;
}

static const Origin *
ask(Arena *a, const Ruleset *rs, U128 from, unsigned int port, VerdictKind *v) {
        PacketQuestion q = {.hook = HOOK_INPUT,
                            .family = FAMILY_IPV4,
                            .source = from,
                            .protocol = IPPROTO_TCP,
                            .destination_port = (uint16_t)port,
                            .ct_state = CT_STATE_NEW};
        Evaluation e;
        Packet p;

        packet_init(&p, &q);
        assert_int_equal(ruleset_eval(rs, a, HOOK_INPUT, &p, &e), 0);
        *v = e.verdict;
        return evaluation_origin(&e);
}

static void sources_with_a_port_each_become_a_few_lookups(void **state) {
        Arena *a = *state;
        Range sources[1000];
        Ruleset *rs;

        random_state = 7;
        rs = many_pairs(a, ARRAY_SIZE(sources), sources);
        for (size_t i = 0; i < n_passes; i++)
                assert_int_equal(passes[i].run(rs), 0);
        assert_true(rules_of(rs, "inbound") < 8);
        assert_true(rs->n_chains < 4);
        for (unsigned int i = 0; i < ARRAY_SIZE(sources); i++) {
                Range r = sources[i];
                uint32_t within = draw((uint32_t)(r.high.low - r.low.low) + 1);
                const U128 inside[] = {r.low, r.high, u128(r.low.low + within)};
                const U128 outside[] = {u128_previous(r.low), u128_next(r.high)};
                VerdictKind v;

                for (size_t j = 0; j < ARRAY_SIZE(inside); j++) {
                        const Origin *origin = ask(a, rs, inside[j], 1000 + i, &v);

                        assert_int_equal(v, VERDICT_ACCEPT);
                        assert_int_equal(origin->at.line, i + 1);
                        (void)ask(a, rs, inside[j], 1000 + ARRAY_SIZE(sources) + i, &v);
                        assert_int_equal(v, VERDICT_DROP);
                }
                for (size_t j = 0; j < ARRAY_SIZE(outside); j++) {
                        (void)ask(a, rs, outside[j], 1000 + i, &v);
                        assert_int_equal(v, VERDICT_DROP);
                }
        }
}

static void lines_that_say_the_same_of_their_ports_share_a_chain_and_stay_told_apart(void **state) {
        Arena *a = *state;
        Ruleset *rs = many_sources(a, 0);
        Chain *section = ruleset_find_chain(rs, "inbound");
        Range range = {u128(0x0a000000), u128(0x0a000009)};
        RangeSet zone = {.items = &range, .n_items = 1};
        VerdictKind v;

        for (unsigned int i = 0; i < 200; i++) {
                Rule *rule = chain_add_rule(rs, section, verdict_of(VERDICT_ACCEPT),
                                            origin_of(rs, i + 1));

                /* no prefix, so that no pairs are made of it */
                assert_int_equal(rule_match_ranges(rs, rule, FIELD_IP_SADDR, &zone), 0);
                assert_int_equal(rule_match_value(rs, rule, FIELD_L4PROTO, IPPROTO_TCP), 0);
                assert_int_equal(rule_match_value(rs, rule, FIELD_DPORT, 1000 + i), 0);
        }
        for (size_t i = 0; i < n_passes; i++)
                assert_int_equal(passes[i].run(rs), 0);
        assert_int_equal(rs->n_chains, 3);
        for (unsigned int i = 0; i < 200; i++) {
                assert_int_equal(ask(a, rs, range.high, 1000 + i, &v)->at.line, i + 1);
                assert_int_equal(v, VERDICT_ACCEPT);
        }
        (void)ask(a, rs, u128_next(range.high), 1000, &v);
        assert_int_equal(v, VERDICT_DROP);
}

/* Allows n ports, and 1000 and 1001 of UDP by one line; the lines are 1, 2, ... and 9. */
static Ruleset *few_ports(Arena *a, unsigned int n) {
        Range both = {u128(1000), u128(1001)};
        Range network = {u128(0x0a000000), u128(0x0affffff)};
        RangeSet services = {.items = &both, .n_items = 1};
        RangeSet sources = {.items = &network, .n_items = 1};
        Ruleset *rs = many_sources(a, 0);
        Chain *section = ruleset_find_chain(rs, "inbound");

        for (unsigned int i = 0; i <= n; i++) {
                bool last = i == n;
                Rule *rule = chain_add_rule(rs, section, verdict_of(VERDICT_ACCEPT),
                                            origin_of(rs, last ? 9 : i + 1));

                rule->counted = true;
                assert_int_equal(rule_match_ranges(rs, rule, FIELD_IP_SADDR, &sources), 0);
                assert_int_equal(
                        rule_match_value(rs, rule, FIELD_L4PROTO, last ? IPPROTO_UDP : IPPROTO_TCP),
                        0);
                if (last)
                        assert_int_equal(rule_match_ranges(rs, rule, FIELD_DPORT, &services), 0);
                else
                        assert_int_equal(rule_match_value(rs, rule, FIELD_DPORT, 1000 + i), 0);
        }
        for (size_t i = 0; i < n_passes; i++)
                assert_int_equal(passes[i].run(rs), 0);
        return rs;
}

static void few_ports_are_compared_and_not_looked_up(void **state) {
        Arena *a = *state;

        for (unsigned int n = 1; n <= 3; n++) {
                Ruleset *rs = few_ports(a, n);
                Chain *section = ruleset_find_chain(rs, "inbound");
                VerdictKind v;

                assert_int_equal(rs->n_sets, n > 2);
                assert_int_equal(rs->n_chains, n > 2 ? 2 + n : 2);
                assert_int_equal(section->n_rules, n > 2 ? 2 : n + 1);
                assert_true(section->rules[section->n_rules - 1].counted);
                for (unsigned int i = 0; i < n; i++) {
                        assert_int_equal(ask(a, rs, u128(0x0a000001), 1000 + i, &v)->at.line,
                                         i + 1);
                        assert_int_equal(v, VERDICT_ACCEPT);
                        (void)ask(a, rs, u128(0x0b000001), 1000 + i, &v);
                        assert_int_equal(v, VERDICT_DROP);
                }
                (void)ask(a, rs, u128(0x0a000001), 1000 + n, &v);
                assert_int_equal(v, VERDICT_DROP);
        }
}

static void a_line_of_two_ports_is_counted_at_one_place(void **state) {
        Arena *a = *state;
        Ruleset *rs = many_sources(a, 0);
        Chain *section = ruleset_find_chain(rs, "inbound");
        Rule *rule = chain_add_rule(rs, section, verdict_of(VERDICT_ACCEPT), origin_of(rs, 1));
        Range list[] = {range_single(u128(1000)), range_single(u128(1002))};
        RangeSet services = {.items = list, .n_items = 2};
        VerdictKind v;

        assert_int_equal(rule_match_value(rs, rule, FIELD_L4PROTO, IPPROTO_TCP), 0);
        assert_int_equal(rule_match_ranges(rs, rule, FIELD_DPORT, &services), 0);
        for (size_t i = 0; i < n_passes; i++)
                assert_int_equal(passes[i].run(rs), 0);
        assert_int_equal(rs->n_sets, 0);
        assert_int_equal(rules_of(rs, "inbound-tcp-1000"), 1);
        assert_int_equal(section->n_rules, 2);
        for (unsigned int port = 1000; port < 1003; port++) {
                (void)ask(a, rs, u128(1), port, &v);
                assert_int_equal(v, port == 1001 ? VERDICT_DROP : VERDICT_ACCEPT);
        }
}

static void passes_have_names_of_their_own_and_a_summary(void **state) {
        for (size_t i = 0; i < n_passes; i++) {
                assert_true(strlen(passes[i].summary) > 0);
                for (size_t j = 0; j < i; j++)
                        assert_string_not_equal(passes[i].name, passes[j].name);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_pass_keeps_the_verdict_of_every_packet),
                unit_arena_test(a_thousand_sources_of_one_port_cost_no_more_rules_than_one),
                unit_arena_test(sources_with_a_port_each_become_a_few_lookups),
                unit_arena_test(
                        lines_that_say_the_same_of_their_ports_share_a_chain_and_stay_told_apart),
                unit_arena_test(few_ports_are_compared_and_not_looked_up),
                unit_arena_test(a_line_of_two_ports_is_counted_at_one_place),
                unit_arena_test(a_merged_rule_still_knows_the_line_of_each_source),
                cmocka_unit_test(passes_have_names_of_their_own_and_a_summary),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
