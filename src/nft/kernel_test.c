/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What is applied is what the kernel holds, and no more is sent than has to be. */

#include <netinet/in.h>

#include "nft/kernel_unit.h"

#define RANDOM_RULESETS 150

static void an_absent_table_reads_as_one_that_does_not_exist(void **state) {
        Ruleset *rs = read_table(*state);

        assert_false(rs->exists);
        assert_int_equal(rs->n_chains, 0);
}

static void every_field_in_every_form_is_read_back_equal(void **state) {
        Test *t = *state;

        (void)apply_and_check("every field", t, sample_fields(t->arena));
}

static void every_verdict_is_read_back_equal(void **state) {
        Test *t = *state;
        Ruleset *rs = sample_closed(t->arena);
        Chain *input = rs->chains[0];
        Chain *target = ruleset_add_chain(rs, "target");
        Rule *rule;

        for (VerdictKind kind = VERDICT_CONTINUE; kind <= VERDICT_RETURN; kind++) {
                rule = add_rule(rs, input, kind);
                rule->origin.text = verdict_kind_to_string(kind);
                rule->counted = kind % 2;
                if (kind == VERDICT_JUMP || kind == VERDICT_GOTO)
                        rule->verdict.chain = target;
                if (kind == VERDICT_REJECT_RESET)
                        assert_int_equal(rule_match_value(rs, rule, FIELD_L4PROTO, IPPROTO_TCP), 0);
        }
        (void)apply_and_check("every verdict", t, rs);
}

static void random_rulesets_replace_one_another_and_are_read_back_equal(void **state) {
        Test *t = *state;

        for (uint64_t seed = 1; seed <= RANDOM_RULESETS; seed++) {
                Arena *all = t->arena;
                Ruleset *rs;
                char row[32];

                (void)snprintf(row, sizeof(row), "seed %llu", (unsigned long long)seed);
                t->arena = arena_new(0);
                t->d = diag_new(t->arena);
                rs = sample_random(t->arena, seed);
                assert_non_null(rs);
                (void)ruleset_verify(rs, t->d);
                no_errors(row, t);
                (void)apply_and_check(row, t, rs);
                unit_equal(row, apply_and_check(row, t, rs).messages, 0);
                (void)arena_free(t->arena);
                t->arena = all;
        }
}

static void what_is_there_already_is_not_sent_again(void **state) {
        Test *t = *state;
        Ruleset *rs = sample_random(t->arena, 4711);
        uint32_t before, after;

        assert_non_null(rs);
        assert_true(apply_and_check("first", t, rs).messages > 0);
        assert_int_equal(nft_link_generation(t->link, &before), 0);
        assert_int_equal(apply_and_check("second", t, rs).messages, 0);
        assert_int_equal(nft_link_generation(t->link, &after), 0);
        assert_int_equal(before, after);
}

static uint64_t first_handle(const Ruleset *rs, const char *chain) {
        const Chain *c = ruleset_find_chain(rs, chain);

        assert_non_null(c);
        assert_true(c->n_rules > 0);
        return c->rules[0].handle;
}

static void a_new_client_is_one_element_and_leaves_every_rule_alone(void **state) {
        Test *t = *state;
        NftChanges changes;
        uint64_t handle;

        (void)apply_and_check("before", t, sample_services(t->arena, false, NULL));
        handle = first_handle(read_table(t), "ssh");
        changes = apply_and_check("after", t, sample_services(t->arena, true, NULL));
        assert_int_equal(changes.elements_added, 1);
        assert_int_equal(changes.elements_removed, 0);
        assert_int_equal(changes.rules_added + changes.rules_removed, 0);
        assert_int_equal(changes.messages, 1);
        assert_int_equal(first_handle(read_table(t), "ssh"), handle);
}

static void a_changed_rule_refills_its_chain_alone_and_keeps_the_base_chain(void **state) {
        Test *t = *state;
        uint64_t chain_handle, other_rule;
        NftChanges changes;
        Ruleset *live;

        (void)apply_and_check("before", t, sample_services(t->arena, false, NULL));
        live = read_table(t);
        chain_handle = ruleset_find_chain(live, "input")->handle;
        other_rule = first_handle(live, "ssh");
        changes = apply_and_check("after", t, sample_services(t->arena, false, "another comment"));
        assert_int_equal(changes.chains_refilled, 1);
        assert_int_equal(changes.chains_added + changes.chains_removed, 0);
        live = read_table(t);
        assert_int_equal(ruleset_find_chain(live, "input")->handle, chain_handle);
        assert_int_equal(first_handle(live, "ssh"), other_rule);
}

static void a_chain_that_a_map_leads_to_can_be_taken_away(void **state) {
        Test *t = *state;
        Ruleset *rs = sample_closed(t->arena);

        (void)apply_and_check("before", t, sample_services(t->arena, true, NULL));
        (void)apply_and_check("after", t, rs);
}

/* Asks for the route back on the way out, which every kernel refuses. */
static Ruleset *refused(Test *t) {
        Ruleset *rs = sample_closed(t->arena);
        Chain *output = ruleset_add_base_chain(rs, "output", HOOK_OUTPUT);
        Rule *rule = add_rule(rs, output, VERDICT_DROP);

        assert_int_equal(rule_match_value(rs, rule, FIELD_FIB_SADDR_OIF, 0), 0);
        return rs;
}

static void what_a_refused_transaction_would_have_taken_away_can_be_taken_away_later(void **state) {
        Test *t = *state;
        Ruleset *before = sample_services(t->arena, true, NULL), *map = sample_closed(t->arena);
        NftChanges changes;

        /* a map of the same name and another shape, which is made anew */
        ruleset_add_set(map, "services", TYPE_IPV4_ADDR)->is_map = true;
        (void)apply_and_check("before", t, before);
        assert_int_equal(nft_apply(t->link, read_table(t), refused(t), &changes, t->d), -EBADMSG);
        assert_int_equal(t->d->n_errors, 1);
        t->d = diag_new(t->arena);
        assert_non_null(t->d);
        equal_to_live("refused", t, before);
        (void)apply_and_check("after", t, map);
}

static void a_set_that_becomes_a_map_of_other_keys_is_made_anew(void **state) {
        Test *t = *state;
        Ruleset *rs;
        Set *set;

        (void)apply_and_check("before", t, sample_services(t->arena, true, NULL));
        rs = sample_services(t->arena, true, NULL);
        set = ruleset_find_set(rs, "clients");
        set->elements[1].key[0].high = u128(0x0a0000ff);
        set->interval = true;
        (void)apply_and_check("interval", t, rs);
        rs = sample_services(t->arena, true, NULL);
        ruleset_find_set(rs, "clients")->name = "services2";
        ruleset_find_set(rs, "services")->name = "clients";
        (void)apply_and_check("map", t, rs);
}

static void a_base_chain_whose_priority_changes_is_made_anew(void **state) {
        Test *t = *state;
        Ruleset *rs = sample_services(t->arena, true, NULL);

        (void)apply_and_check("before", t, rs);
        rs->chains[0]->priority = -11;
        (void)apply_and_check("priority", t, rs);
        rs->chains[0]->hook = HOOK_FORWARD;
        (void)apply_and_check("hook", t, rs);
        rs->chains[0]->policy_drop = false;
        assert_int_equal(apply_and_check("policy", t, rs).messages, 1);
}

#define MANY 100000

static Ruleset *many_elements(Test *t, bool interval, uint32_t step) {
        Ruleset *rs = sample_closed(t->arena);
        Chain *input = rs->chains[0];
        Set *set = ruleset_add_set(rs, "many", TYPE_IPV4_ADDR);
        Rule *rule;

        for (uint32_t i = 0; i < MANY; i++) {
                Range r = {u128(i * 16 * step), u128(i * 16 * step + (interval ? 7 : 0))};

                assert_non_null(set_add_element(rs, set, &r));
        }
        rule = add_rule(rs, input, VERDICT_ACCEPT);
        assert_int_equal(rule_match_set(rs, rule, FIELD_IP_SADDR, MATCH_IN, set), 0);
        return rs;
}

static void a_hundred_thousand_elements_fit(void **state) {
        Test *t = *state;
        NftChanges changes;

        (void)apply_and_check("hash", t, many_elements(t, false, 1));
        changes = apply_and_check("other hash", t, many_elements(t, false, 2));
        assert_int_equal(changes.elements_added, MANY / 2);
        assert_int_equal(changes.elements_removed, MANY / 2);
        (void)apply_and_check("interval", t, many_elements(t, true, 1));
        (void)apply_and_check("other interval", t, many_elements(t, true, 2));
}

static void note_hearing(void *context, bool hears, int result) {
        char *said = context;

        said[strlen(said)] = !hears ? '-' : result == 0 ? '+' : '!';
}

/* For each element of theirs the kernel would take a page and more for who listens. */
static void nobody_listens_to_large_transactions(void **state) {
        char said[8] = "";
        Test *t = *state;
        NftChanges changes;
        bool there;
        Ruleset *rs, *live;

        nft_link_set_hear(t->link, note_hearing, said);
        rs = many_elements(t, true, 1);
        (void)apply_and_check("large", t, rs);
        assert_string_equal(said, "-+");
        assert_int_equal(nft_delete(t->link, &there, t->d), 0);
        rs = sample_services(t->arena, true, "policy.yaml:1: inbound");
        (void)apply_and_check("small", t, rs);
        assert_string_equal(said, "-+");
        /* what was read is no more what is there: the kernel refuses */
        live = read_table(t);
        shell(NFT " add table inet another");
        assert_int_equal(nft_apply(t->link, live, many_elements(t, true, 1), &changes, t->d),
                         -EAGAIN);
        assert_string_equal(said, "-+-!");
        nft_link_set_hear(t->link, NULL, NULL);
        shell(NFT " delete table inet another");
}

typedef struct Steps {
        size_t n_sent, largest, n_on;
} Steps;

static void note_step(void *context, size_t to_send) {
        Steps *s = context;

        s->n_sent += to_send > 0;
        s->n_on += to_send == 0;
        s->largest = MAX(s->largest, to_send);
}

/* Who watches over us takes many small steps, and a large one that was announced, for no hang. */
static void each_answer_is_a_step_and_a_transaction_is_announced(void **state) {
        Test *t = *state;
        Steps steps = {0};

        nft_link_set_progress(t->link, note_step, &steps);
        (void)apply_and_check("large", t, many_elements(t, true, 1));
        assert_true(steps.n_sent >= 1 && steps.largest > (size_t)MANY * 16);
        /* read back before and behind, 256 KiB at most at a time */
        assert_true(steps.n_on > 2 * steps.n_sent);
        steps = (Steps){0};
        (void)read_table(t);
        assert_true(steps.n_sent == 0 && steps.n_on > 0);
        nft_link_set_progress(t->link, NULL, NULL);
}

static void load_text(Test *t, const Ruleset *rs) {
        FILE *f = popen(NFT " -f -", "w");
        bool there;

        assert_non_null(f);
        assert_int_equal(nft_delete(t->link, &there, t->d), 0);
        ruleset_print(rs, f);
        assert_int_equal(pclose(f), 0);
}

static void what_we_print_is_read_by_nft_to_the_same_table(void **state) {
        Test *t = *state;
        Ruleset *rs = sample_services(t->arena, true, "policy.yaml:1: inbound");

        load_text(t, rs);
        equal_to_live("services", t, rs);
        assert_int_equal(apply_and_check("services", t, rs).messages, 0);
}

static void what_nft_lists_of_our_table_is_read_by_nft_to_the_same_table(void **state) {
        Test *t = *state;
        Ruleset *rs = sample_services(t->arena, true, "policy.yaml:1: inbound");

        (void)apply_and_check("services", t, rs);
        shell("text=$(" NFT " list table inet ringwall) && " NFT " delete table inet ringwall && "
              "echo \"$text\" | " NFT " -f -");
        equal_to_live("services", t, rs);
}

/* nft's listing of a table that only we made: names, addresses, symbols and comments are readable.
 */
static void nft_lists_our_table_readably(void **state) {
        static const char *const lines[] = {
                "tcp dport vmap @services comment \\\"policy.yaml:1: inbound\\\"",
                "elements = { 22 comment \\\"ssh\\\" : goto ssh, 443 : goto web }",
                "ip saddr @clients accept",
                "iifname \\\"eth*\\\" ct state established,related accept",
                "fib saddr oif missing drop",
                "oifname @names drop",
                "elements = { \\\"lo\\\" }",
        };
        Test *t = *state;
        Ruleset *rs = sample_services(t->arena, true, "policy.yaml:1: inbound");
        Chain *input = ruleset_find_chain(rs, "input");
        U128 name = u128_from_bytes("lo\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
        U128 prefix = u128_from_bytes("eth\0\0\0\0\0\0\0\0\0\0\0\0", 16);
        Range r = {prefix, u128_or(prefix, u128_low_mask(128 - 3 * 8))};
        RangeSet names = {.items = &r, .n_items = 1};
        Rule *rule = add_rule(rs, input, VERDICT_ACCEPT);

        assert_int_equal(rule_match_ranges(rs, rule, FIELD_IIFNAME, &names), 0);
        assert_int_equal(rule_match_bits(rs, rule, FIELD_CT_STATE, MATCH_BITS,
                                         CT_STATE_ESTABLISHED | CT_STATE_RELATED),
                         0);
        rule = add_rule(rs, input, VERDICT_DROP);
        assert_int_equal(rule_match_value(rs, rule, FIELD_FIB_SADDR_OIF, 0), 0);
        r = range_single(name);
        rule = add_rule(rs, input, VERDICT_DROP);
        assert_int_equal(rule_match_set(rs, rule, FIELD_OIFNAME, MATCH_IN,
                                        ruleset_set_of_ranges(rs, "names", TYPE_IFNAME, &names)),
                         0);
        (void)apply_and_check("readable", t, rs);
        for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
                shell(arena_printf(t->arena,
                                   NFT " list table inet ringwall | grep -qF \"%s\" || "
                                       "{ " NFT " list table inet ringwall >&2; false; }",
                                   lines[i]));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                kernel_test(an_absent_table_reads_as_one_that_does_not_exist),
                kernel_test(every_field_in_every_form_is_read_back_equal),
                kernel_test(every_verdict_is_read_back_equal),
                kernel_test(random_rulesets_replace_one_another_and_are_read_back_equal),
                kernel_test(what_is_there_already_is_not_sent_again),
                kernel_test(a_new_client_is_one_element_and_leaves_every_rule_alone),
                kernel_test(a_changed_rule_refills_its_chain_alone_and_keeps_the_base_chain),
                kernel_test(a_chain_that_a_map_leads_to_can_be_taken_away),
                kernel_test(
                        what_a_refused_transaction_would_have_taken_away_can_be_taken_away_later),
                kernel_test(a_set_that_becomes_a_map_of_other_keys_is_made_anew),
                kernel_test(a_base_chain_whose_priority_changes_is_made_anew),
                kernel_test(a_hundred_thousand_elements_fit),
                kernel_test(nobody_listens_to_large_transactions),
                kernel_test(each_answer_is_a_step_and_a_transaction_is_announced),
                kernel_test(what_we_print_is_read_by_nft_to_the_same_table),
                kernel_test(what_nft_lists_of_our_table_is_read_by_nft_to_the_same_table),
                kernel_test(nft_lists_our_table_readably),
        };

        if (kernel_enter_namespace() < 0)
                return 1;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
