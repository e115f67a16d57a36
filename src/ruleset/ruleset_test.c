/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "base/unit.h"
#include "ruleset/ruleset.h"

static Ruleset *minimal(Arena *a, Chain **ret_input) {
        Ruleset *rs = ruleset_new(a);

        *ret_input = ruleset_add_base_chain(rs, "input", HOOK_INPUT);
        return rs;
}

static Rule *end(Ruleset *rs, Chain *chain) {
        return chain_add_rule(rs, chain, verdict_of(VERDICT_DROP), (Origin){0});
}

static bool is_refused(const Ruleset *rs, Arena *a, const char *why) {
        Diag *d = diag_new(a);

        return ruleset_verify(rs, d) == -EBADMSG && strstr(d->messages[0].text, why);
}

static void verify_accepts_a_ruleset_whose_chains_end(void **state) {
        Chain *input;
        Ruleset *rs = minimal(*state, &input);

        end(rs, input);
        assert_int_equal(ruleset_verify(rs, diag_new(*state)), 0);
}

static void verify_refuses_a_base_chain_that_falls_through(void **state) {
        Chain *input;
        Ruleset *rs = minimal(*state, &input);

        assert_true(is_refused(rs, *state, "without a final verdict"));
}

static void verify_refuses_a_loop_of_jumps(void **state) {
        Chain *input, *a, *b;
        Ruleset *rs = minimal(*state, &input);

        a = ruleset_add_chain(rs, "a");
        b = ruleset_add_chain(rs, "b");
        chain_add_rule(rs, input, verdict_to(VERDICT_JUMP, a), (Origin){0});
        chain_add_rule(rs, a, verdict_to(VERDICT_JUMP, b), (Origin){0});
        chain_add_rule(rs, b, verdict_to(VERDICT_GOTO, a), (Origin){0});
        end(rs, input);
        assert_true(is_refused(rs, *state, "leads back to itself"));
}

/* So many chains, each of which leads to the next. */
static Ruleset *staircase(Arena *a, int n) {
        Chain *chain;
        Ruleset *rs = minimal(a, &chain);

        for (int i = 0; i + 1 < n; i++) {
                char name[16];
                Chain *next;

                (void)snprintf(name, sizeof(name), "c%d", i);
                next = ruleset_add_chain(rs, name);
                chain_add_rule(rs, chain, verdict_to(VERDICT_JUMP, next), (Origin){0});
                if (i == 0)
                        end(rs, chain);
                chain = next;
        }
        return rs;
}

static void verify_refuses_jumps_deeper_than_the_kernel_allows(void **state) {
        assert_int_equal(ruleset_verify(staircase(*state, RULESET_JUMPS_MAX), diag_new(*state)), 0);
        assert_true(is_refused(staircase(*state, RULESET_JUMPS_MAX + 1), *state, "too deeply"));
        /* so many that going down them all would need more than a stack */
        assert_true(is_refused(staircase(*state, 1000000), *state, "too deeply"));
}

static void verify_refuses_a_port_without_a_protocol(void **state) {
        Chain *input;
        Ruleset *rs = minimal(*state, &input);
        Rule *rule = chain_add_rule(rs, input, verdict_of(VERDICT_ACCEPT), (Origin){0});

        assert_int_equal(rule_match_value(rs, rule, FIELD_DPORT, 22), 0);
        end(rs, input);
        assert_true(is_refused(rs, *state, "without what it needs"));
}

static void verify_refuses_two_chains_of_one_name(void **state) {
        Chain *input;
        Ruleset *rs = minimal(*state, &input);

        end(rs, input);
        ruleset_add_chain(rs, "twice");
        ruleset_add_chain(rs, "twice");
        assert_true(is_refused(rs, *state, "'twice' is taken"));
}

static void equal_sets_without_a_name_are_one(void **state) {
        Ruleset *rs = ruleset_new(*state);
        const Set *first[1000];

        for (size_t round = 0; round < 2; round++)
                for (uint64_t i = 0; i < ARRAY_SIZE(first); i++) {
                        Range r[] = {range_single(u128(70000)), {u128(i), u128(i + 7)}};
                        RangeSet ranges = {.items = r, .n_items = 1 + i % 2};
                        const Set *set = ruleset_set_of_ranges(rs, NULL, TYPE_IPV4_ADDR, &ranges);

                        if (i % 2 == 0 && i > 0)
                                assert_ptr_equal(set, first[0]);
                        if (round == 0)
                                first[i] = set;
                        assert_ptr_equal(set, first[i]);
                        assert_true(i == 1 || set != first[1]);
                        assert_int_equal(set->n_elements, ranges.n_items);
                        assert_true(u128_equal(set->elements[0].key[0].low, r[i % 2].low));
                }
        assert_int_equal(rs->n_sets, 0);
}

static void sets_of_another_type_are_not_shared(void **state) {
        Ruleset *rs = ruleset_new(*state);
        Range r = range_single(u128(6));
        RangeSet six = {.items = &r, .n_items = 1};
        const Set *protocol = ruleset_set_of_ranges(rs, NULL, TYPE_INET_PROTO, &six);

        assert_ptr_not_equal(protocol, ruleset_set_of_ranges(rs, NULL, TYPE_INET_SERVICE, &six));
        assert_ptr_not_equal(protocol, ruleset_set_of_ranges(rs, "six", TYPE_INET_PROTO, &six));
        assert_ptr_equal(protocol, ruleset_set_of_ranges(rs, NULL, TYPE_INET_PROTO, &six));
}

static void an_address_brings_its_family_along_once(void **state) {
        Chain *input;
        Ruleset *rs = minimal(*state, &input);
        Rule *rule = chain_add_rule(rs, input, verdict_of(VERDICT_ACCEPT), (Origin){0});

        assert_int_equal(rule_match_value(rs, rule, FIELD_IP_SADDR, 1), 0);
        assert_int_equal(rule_match_value(rs, rule, FIELD_IP_DADDR, 2), 0);
        assert_int_equal(rule->n_matches, 3);
        assert_int_equal(rule->matches[0].fields[0], FIELD_NFPROTO);
}

static char *printed(const Rule *rule) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        rule_print(rule, f);
        assert_int_equal(fclose(f), 0);
        return text;
}

static void rules_print_in_the_words_that_nft_reads(void **state) {
        Chain *input;
        Ruleset *rs = minimal(*state, &input);
        Rule *rule =
                chain_add_rule(rs, input, verdict_of(VERDICT_ACCEPT), (Origin){.text = "x.yaml:3"});
        Range list[] = {{{0, 22}, {0, 22}}, {{0, 8000}, {0, 8099}}};
        _cleanup_free_ char *text = NULL;

        assert_int_equal(rule_match_value(rs, rule, FIELD_IP_SADDR, 0x0a280a07), 0);
        assert_int_equal(rule_match_value(rs, rule, FIELD_L4PROTO, IPPROTO_TCP), 0);
        assert_int_equal(
                rule_match_ranges(rs, rule, FIELD_DPORT, &(RangeSet){.items = list, .n_items = 2}),
                0);
        rule->counted = true;
        text = printed(rule);
        assert_string_equal(text, "ip saddr 10.40.10.7 tcp dport { 22, 8000-8099 } counter accept "
                                  "comment \"x.yaml:3\"");
}

static void rulesets_differ_when_one_verdict_in_a_map_does(void **state) {
        Ruleset *list[2];

        for (size_t i = 0; i < 2; i++) {
                Chain *input;
                Range key = range_single(u128(22));
                Set *map;

                list[i] = minimal(*state, &input);
                map = ruleset_add_set(list[i], "ports", TYPE_INET_SERVICE);
                map->is_map = true;
                set_add_element(list[i], map, &key)->verdict = verdict_of(VERDICT_DROP);
                end(list[i], input);
        }
        assert_true(ruleset_equal(list[0], list[1]));
        list[1]->sets[0]->elements[0].verdict = verdict_of(VERDICT_ACCEPT);
        assert_false(ruleset_equal(list[0], list[1]));
}

static void counters_and_handles_make_no_difference_but_rules_do(void **state) {
        Chain *a, *b;
        Ruleset *x = minimal(*state, &a), *y = minimal(*state, &b);

        end(x, a)->counted = true;
        end(y, b)->counted = true;
        b->rules[0].packets = 7;
        b->rules[0].handle = 12;
        assert_true(ruleset_equal(x, y));
        b->rules[0].verdict = verdict_of(VERDICT_ACCEPT);
        assert_false(ruleset_equal(x, y));
}

static void bridges_fill_the_sets_with_their_own_addresses_once(void **state) {
        Ruleset *rs = ruleset_new(*state);
        Set *frames = ruleset_add_set(rs, RULESET_BRIDGE_FRAMES, TYPE_IFNAME);
        Set *own = ruleset_add_set(rs, RULESET_BRIDGE_OWN, TYPE_IFNAME);
        const unsigned char addresses[][6] = {
                {2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};
        Bridge bridge = {.name = "docker0", .addresses = addresses, .n_addresses = 3};
        U128 name = u128_from_bytes("docker0\0\0\0\0\0\0\0\0", 16);

        frames->n_types = own->n_types = 2;
        frames->types[1] = TYPE_IFNAME;
        own->types[1] = TYPE_ETHER_ADDR;
        assert_int_equal(ruleset_set_bridges(rs, &bridge, 1), 0);
        assert_int_equal(frames->n_elements, 1);
        assert_int_equal(own->n_elements, 2);
        assert_non_null(set_find(frames, (U128[]){name, name}));
        assert_non_null(set_find(own, (U128[]){name, u128(0x020000000002)}));
        assert_null(set_find(own, (U128[]){name, u128(0x020000000003)}));
}

static void the_table_of_fields_is_complete(void **state) {
        for (FieldId f = 0; f < _FIELD_MAX; f++) {
                assert_non_null(fields[f].name);
                assert_true(field_size(f) > 0 && field_size(f) <= 16);
                for (FieldId g = 0; g < f; g++)
                        assert_string_not_equal(fields[f].name, fields[g].name);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(verify_accepts_a_ruleset_whose_chains_end),
                unit_arena_test(verify_refuses_a_base_chain_that_falls_through),
                unit_arena_test(verify_refuses_a_loop_of_jumps),
                unit_arena_test(verify_refuses_jumps_deeper_than_the_kernel_allows),
                unit_arena_test(verify_refuses_a_port_without_a_protocol),
                unit_arena_test(verify_refuses_two_chains_of_one_name),
                unit_arena_test(equal_sets_without_a_name_are_one),
                unit_arena_test(sets_of_another_type_are_not_shared),
                unit_arena_test(an_address_brings_its_family_along_once),
                unit_arena_test(rules_print_in_the_words_that_nft_reads),
                unit_arena_test(rulesets_differ_when_one_verdict_in_a_map_does),
                unit_arena_test(counters_and_handles_make_no_difference_but_rules_do),
                unit_arena_test(bridges_fill_the_sets_with_their_own_addresses_once),
                unit_arena_test(the_table_of_fields_is_complete),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
