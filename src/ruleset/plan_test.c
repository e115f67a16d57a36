/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/plan.h"

#include <linux/netfilter/nf_tables.h>

#include "ruleset/compile_unit.h"

/* Policies are compiled as `load` does, and the older one is read back as the kernel would give it:
 * of a rule's origin only the beginning of its text is left. */

static const char catalogue[] = "ringwall: 1\n"
                                "zones:\n"
                                "  containers: { interfaces: [docker0] }\n"
                                "  vms: { interfaces: [virbr0] }\n"
                                "services:\n"
                                "  ssh: { tcp: 22 }\n"
                                "  dns: { tcp: 53, udp: 53 }\n"
                                "  https: { tcp: 443 }\n"
                                "  ping: { icmp: echo-request, icmpv6: echo-request }\n";

#define ZONES                                                                                      \
        "ringwall: 1\n"                                                                            \
        "zones: { lan: [10.0.0.0/24], vpn: { interfaces: [wg0] } }\n"

static Ruleset *read_back(Arena *a, const char *text) {
        Ruleset *rs = unit_compile(a, catalogue, text);

        for (size_t i = 0; i < rs->n_chains; i++)
                for (size_t j = 0; j < rs->chains[i]->n_rules; j++) {
                        Origin *o = &rs->chains[i]->rules[j].origin;

                        *o = (Origin){
                                .text = o->text ? arena_strndup(a, o->text, comment_size(o->text))
                                                : NULL};
                }
        rs->exists = true;
        return rs;
}

static Plan *plan(Arena *a, const Ruleset *live, const Ruleset *desired) {
        Plan *p;

        assert_int_equal(plan_make(a, live, desired, &p), 0);
        return p;
}

/* "comes inbound p.yaml:3: allow ssh; ..." of what the policy says. */
static const char *summary(Arena *a, const Plan *p) {
        const char *text = "";

        for (size_t i = 0; i < p->n_rules; i++) {
                const PlanRule *r = &p->rules[i];

                if (!r->from_policy)
                        continue;
                text = arena_printf(a, "%s%s%s %s %s", text, text[0] ? "; " : "",
                                    plan_change_to_string(r->change), r->section, r->text);
                if (r->was)
                        text = arena_printf(a, "%s (%s)", text, r->was);
                assert_non_null(text);
        }
        return text;
}

static void rules_are_named_as_the_policy_does(void **state) {
        static const struct {
                const char *name, *before, *after, *expected;
        } rows[] = {
                {"the same", ZONES "inbound:\n - { allow: ssh, from: lan }\n",
                 ZONES "inbound:\n - { allow: ssh, from: lan }\n", ""},
                {"only written otherwise", ZONES "inbound:\n - { allow: ssh, from: lan }\n",
                 ZONES "inbound: [{ allow: ssh,\n from: [lan] }]\n",
                 "moves inbound p.yaml:3: allow ssh from lan (p.yaml:4: allow ssh from lan)"},
                {"one comes below", ZONES "inbound:\n - { allow: ssh, from: lan }\n",
                 ZONES "inbound:\n - { allow: ssh, from: lan }\n - allow: https\n",
                 "comes inbound p.yaml:5: allow https"},
                {"one comes above", ZONES "inbound:\n - { allow: ssh, from: lan }\n",
                 ZONES "inbound:\n - allow: https\n - { allow: ssh, from: lan }\n",
                 "comes inbound p.yaml:4: allow https; "
                 "moves inbound p.yaml:5: allow ssh from lan (p.yaml:4: allow ssh from lan)"},
                {"one goes", ZONES "inbound:\n - allow: https\n - { allow: ssh, from: lan }\n",
                 ZONES "inbound:\n - { allow: ssh, from: lan }\n",
                 "goes inbound p.yaml:4: allow https; "
                 "moves inbound p.yaml:4: allow ssh from lan (p.yaml:5: allow ssh from lan)"},
                {"one is rewritten", ZONES "inbound:\n - { allow: ssh, from: lan }\n",
                 ZONES "inbound:\n - { allow: ssh, from: [lan, vpn] }\n",
                 "changes inbound p.yaml:4: allow ssh from lan, vpn "
                 "(p.yaml:4: allow ssh from lan)"},
                {"one goes to another section", ZONES "inbound:\n - { allow: ssh, from: lan }\n",
                 ZONES "routed:\n - { allow: ssh, from: lan }\n",
                 "goes inbound p.yaml:4: allow ssh from lan; "
                 "comes routed p.yaml:4: allow ssh from lan"},
                {"a named one means something else",
                 ZONES "inbound:\n - { allow: 80/tcp, name: web }\n",
                 ZONES "inbound:\n - { allow: 81/tcp, name: web }\n",
                 "changes inbound p.yaml:4: web (p.yaml:4: web)"},
                {"a default", ZONES "inbound: drop\n", ZONES "inbound: reject\n",
                 "changes inbound p.yaml:3: inbound default: reject "
                 "(p.yaml:3: inbound default: drop)"},
                {"a default that is written down", ZONES, ZONES "inbound: drop\n",
                 "moves inbound p.yaml:3: inbound default: drop (inbound default: drop)"},
                {"a claim, enforced in three places", ZONES,
                 ZONES "protected:\n - services: https\n",
                 "comes protected p.yaml:4: protected https"},
                {"a neighbour cuts its ports in pieces",
                 ZONES "inbound:\n - { allow: 8000-9000/tcp, from: lan }\n",
                 ZONES "inbound:\n - { allow: 8000-9000/tcp, from: lan }\n"
                       " - { allow: 8500/tcp, from: vpn }\n",
                 "comes inbound p.yaml:5: allow 8500/tcp from vpn"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const Ruleset *live = read_back(*state, rows[i].before);

                unit_string(rows[i].name,
                            summary(*state, plan(*state, live,
                                                 unit_compile(*state, catalogue, rows[i].after))),
                            rows[i].expected);
        }
}

static void equal_rulesets_do_not_differ(void **state) {
        const char *text = ZONES "inbound:\n - { allow: [ssh, dns, ping], from: [lan, vpn] }\n";
        Plan *p = plan(*state, read_back(*state, text), unit_compile(*state, catalogue, text));

        assert_false(p->differs);
        assert_int_equal(p->n_rules + p->n_sets + p->n_chains, 0);
}

static void the_conditions_of_a_rule_are_put_together_from_all_chains(void **state) {
        Plan *p = plan(*state, read_back(*state, ZONES),
                       unit_compile(*state, catalogue,
                                    ZONES "inbound:\n - { allow: [dns, 8000-8010/tcp], from: "
                                          "lan }\n - { deny: 8005/tcp, from: vpn }\n"));

        assert_string_equal(p->rules[0].text, "p.yaml:4: allow dns, 8000-8010/tcp from lan");
        assert_int_equal(p->rules[0].n_after, 2);
        assert_string_equal(p->rules[0].after[0], "tcp 53, 8000-8010: ip saddr @lan-ipv4 accept");
        assert_string_equal(p->rules[0].after[1], "udp 53: ip saddr @lan-ipv4 accept");
}

static void long_rules_are_known_by_the_beginning_that_the_kernel_keeps(void **state) {
        char line[400] = "p";
        char before[600], after[600];
        Plan *p;

        for (int i = 0; i < 30; i++)
                (void)snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s%d/tcp",
                               i ? ", " : "", 7000 + 2 * i);
        (void)snprintf(before, sizeof(before), ZONES "inbound:\n - { allow: [%s], from: lan }\n",
                       line + 1);
        (void)snprintf(after, sizeof(after),
                       ZONES "\n\n\n\n\n\ninbound:\n - { allow: [%s], from: lan }\n", line + 1);
        p = plan(*state, read_back(*state, before), unit_compile(*state, catalogue, after));
        assert_int_equal(p->rules[0].change, PLAN_MOVES);
        assert_int_equal(p->rules[0].n_before + p->rules[0].n_after, 0);
}

static void sets_say_how_many_elements_come_and_go(void **state) {
        const char *rule = "inbound:\n - { allow: ssh, from: lan }\n";
        const char *before = arena_printf(
                *state, "ringwall: 1\nzones: { lan: [10.0.0.1, 10.0.0.3, 10.0.0.5] }\n%s", rule);
        const char *after = arena_printf(
                *state, "ringwall: 1\nzones: { lan: [10.0.0.3, 10.0.0.7, \"fd00::1\"] }\n%s", rule);
        Plan *p = plan(*state, read_back(*state, before), unit_compile(*state, catalogue, after));

        assert_int_equal(p->n_sets, 2);
        assert_string_equal(p->sets[0].set->name, "lan-ipv4");
        assert_int_equal(p->sets[0].change, PLAN_CHANGES);
        assert_int_equal(p->sets[0].n_come, 1);
        assert_int_equal(p->sets[0].n_go, 2);
        assert_int_equal(p->sets[1].change, PLAN_COMES);
        assert_int_equal(p->sets[1].n_come, 1);
        /* the rule holds for IPv6 now */
        assert_string_equal(summary(*state, p), "changes inbound p.yaml:4: allow ssh from lan "
                                                "(p.yaml:4: allow ssh from lan)");
}

static void what_somebody_else_put_there_goes_and_is_not_called_the_policys(void **state) {
        Ruleset *live = read_back(*state, ZONES);
        Chain *inbound = ruleset_find_chain(live, "inbound");
        Rule *foreign = chain_add_rule(live, inbound, verdict_of(VERDICT_ACCEPT), (Origin){0});
        Plan *p;

        assert_int_equal(rule_match_value(live, foreign, FIELD_IP_SADDR, 0x06060606), 0);
        p = plan(*state, live, unit_compile(*state, catalogue, ZONES));
        assert_int_equal(p->n_rules, 1);
        assert_int_equal(p->rules[0].change, PLAN_GOES);
        assert_false(p->rules[0].from_policy);
        assert_string_equal(p->rules[0].section, "inbound");
        assert_string_equal(p->rules[0].text, "ip saddr 6.6.6.6 accept");
        assert_int_equal(p->n_chains, 1);
        assert_int_equal(p->chains[0].n_go, 1);
}

static void another_order_is_told_from_other_rules(void **state) {
        Ruleset *live = read_back(*state, ZONES);
        Chain *input = ruleset_find_chain(live, "input");
        Rule first = input->rules[1];
        Plan *p;

        input->rules[1] = input->rules[2];
        input->rules[2] = first;
        p = plan(*state, live, unit_compile(*state, catalogue, ZONES));
        assert_true(p->differs);
        assert_int_equal(p->n_rules, 0);
        assert_true(p->chains[0].reordered);
}

static void a_base_chain_that_lets_everything_through_is_told(void **state) {
        Ruleset *live = read_back(*state, ZONES);
        Plan *p;

        ruleset_find_chain(live, "forward")->policy_drop = false;
        p = plan(*state, live, unit_compile(*state, catalogue, ZONES));
        assert_int_equal(p->n_chains, 1);
        assert_true(p->chains[0].rehooked);
}

static void a_table_that_sleeps_is_not_in_force(void **state) {
        Ruleset *live = read_back(*state, ZONES);
        Plan *p;

        live->flags = NFT_TABLE_F_DORMANT;
        p = plan(*state, live, unit_compile(*state, catalogue, ZONES));
        assert_true(p->differs);
        assert_true(p->wakes);
}

static void words_begin_behind_the_place(void **state) {
        assert_string_equal(plan_words("policy.yaml:12: allow ssh"), "allow ssh");
        assert_string_equal(plan_words("/a: b/c:d.yaml:7: x: y"), "x: y");
        assert_string_equal(plan_words("always: invalid"), "always: invalid");
        assert_string_equal(plan_words("inbound default: drop"), "inbound default: drop");
        assert_string_equal(plan_words(""), "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(rules_are_named_as_the_policy_does),
                unit_arena_test(equal_rulesets_do_not_differ),
                unit_arena_test(the_conditions_of_a_rule_are_put_together_from_all_chains),
                unit_arena_test(long_rules_are_known_by_the_beginning_that_the_kernel_keeps),
                unit_arena_test(sets_say_how_many_elements_come_and_go),
                unit_arena_test(what_somebody_else_put_there_goes_and_is_not_called_the_policys),
                unit_arena_test(another_order_is_told_from_other_rules),
                unit_arena_test(a_base_chain_that_lets_everything_through_is_told),
                unit_arena_test(a_table_that_sleeps_is_not_in_force),
                unit_arena_test(words_begin_behind_the_place),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
