/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/load_unit.h"

// clang-format off
static const struct {
        const char *text;
        SectionId section;
        SectionDefault fallback;
        size_t n_rules;
        bool said; /* the default is written down */
} sections[] = {
        { "",
          SECTION_INBOUND, DEFAULT_DROP, 0, false },
        { "",
          SECTION_ROUTED, DEFAULT_DROP, 0, false },
        { "",
          SECTION_OUTBOUND, DEFAULT_ALLOW, 0, false },
        { "inbound: [{ allow: ssh }]",
          SECTION_INBOUND, DEFAULT_DROP, 1, false },
        { "inbound: reject",
          SECTION_INBOUND, DEFAULT_REJECT, 0, true },
        { "inbound: { default: reject, rules: [{deny: ssh}] }",
          SECTION_INBOUND, DEFAULT_REJECT, 1, true },
        { "inbound: { rules: [{ allow: ssh }] }",
          SECTION_INBOUND, DEFAULT_DROP, 1, false },
        { "inbound: []",
          SECTION_INBOUND, DEFAULT_DROP, 0, false },
        { "routed: [{ allow: ssh, out: eth0 }]",
          SECTION_ROUTED, DEFAULT_DROP, 1, false },
        { "outbound: [{ deny: ssh }]",
          SECTION_OUTBOUND, DEFAULT_ALLOW, 1, false },
        { "outbound: [{ allow: ssh }]",
          SECTION_OUTBOUND, DEFAULT_REJECT, 1, false },
        { "outbound: [{ deny: ssh }, { allow: https }]",
          SECTION_OUTBOUND, DEFAULT_REJECT, 2, false },
        { "outbound: drop",
          SECTION_OUTBOUND, DEFAULT_DROP, 0, true },
        { "outbound: { rules: [{ deny: ssh }] }",
          SECTION_OUTBOUND, DEFAULT_ALLOW, 1, false },
        { "outbound: { default: allow, rules: [{allow: ssh}] }",
          SECTION_OUTBOUND, DEFAULT_ALLOW, 1, true },
        { "outbound: { default: drop, rules: [{allow: ssh}] }",
          SECTION_OUTBOUND, DEFAULT_DROP, 1, true },
};
// clang-format on

static void a_section_has_the_default_that_its_form_means(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
                const char *row = sections[i].text;
                const Policy *p = load(*state, arena_printf(*state, "ringwall: 1\n%s\n", row));
                const Section *s = &p->sections[sections[i].section];

                unit_equal(row, s->fallback, sections[i].fallback);
                unit_equal(row, s->n_rules, sections[i].n_rules);
                unit_equal(row, s->at.source != NULL, row[0] != '\0');
                unit_equal(row, s->fallback_at.source != NULL, sections[i].said);
        }
}

static void rules_are_named_by_their_line_or_their_name(void **state) {
        const Policy *p = load(*state, "ringwall: 1\n"
                                       "inbound:\n"
                                       "  - { allow: ssh, from: [private, vms] }\n"
                                       "  - from: private\n"
                                       "    allow: [ssh, https]\n"
                                       "    except: 10.0.0.1\n"
                                       "    in: [eth0, \"wg*\"]\n"
                                       "  - { deny: https, name: no web }\n"
                                       "routed:\n"
                                       "  - { allow: ssh, to: private, out: eth1 }\n"
                                       "protected:\n"
                                       "  - only-from: private\n"
                                       "    services: [ollama, 5432/tcp]\n");
        const PolicyRule *rules = p->sections[SECTION_INBOUND].rules;

        assert_string_equal(rules[0].text, "policy.yaml:3: allow ssh from private, vms");
        assert_string_equal(rules[1].text, "policy.yaml:4: allow ssh, https from private except "
                                           "10.0.0.1 in eth0, wg*");
        assert_string_equal(rules[2].text, "policy.yaml:8: no web");
        assert_string_equal(rules[2].name, "no web");
        assert_null(rules[0].name);
        assert_string_equal(p->sections[SECTION_ROUTED].rules[0].text,
                            "policy.yaml:10: allow ssh to private out eth1");
        assert_string_equal(p->protected[0].text, "policy.yaml:12: protected ollama, 5432/tcp");
        assert_int_equal(rules[1].at.line, 4);
        assert_int_equal(rules[1].at.column, 5);
        assert_string_equal(rules[1].at.source->name, "dir/policy.yaml");
}

static void except_warns_when_it_takes_nothing_from_one_family(void **state) {
        static const struct {
                const char *rule;
                const char *warning;
        } rules[] = {
                {"{ allow: ssh, except: 10.0.0.1 }", "'10.0.0.1' takes nothing away from IPv6"},
                {"{ allow: ssh, except: \"fd00::1\" }", "'fd00::1' takes nothing away from IPv4"},
                {"{ allow: ssh, from: private, except: 10.0.0.1 }",
                 "'10.0.0.1' takes nothing away from IPv6"},
                {"{ allow: ssh, from: 10.0.0.0/8, except: 10.0.0.1 }", NULL},
                {"{ allow: ssh, to: 10.0.0.1, except: 10.0.0.1 }", NULL},
                {"{ allow: ssh, except: vms }", NULL},
                {"{ allow: ssh, except: [10.0.0.1, \"fd00::1\"] }", NULL},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
                const char *text =
                        arena_printf(*state, "ringwall: 1\ninbound:\n  - %s\n", rules[i].rule);
                Diag *d;

                unit_true(rules[i].rule, load_with_diag(*state, text, &d) != NULL);
                unit_equal(rules[i].rule, d->n_warnings, rules[i].warning != NULL);
                unit_string(rules[i].rule, d->n_messages > 0 ? d->messages[0].text : NULL,
                            rules[i].warning);
        }
}

static void an_expectation_is_a_rule_of_its_section(void **state) {
        const Policy *p =
                load(*state, "ringwall: 1\n"
                             "expect:\n"
                             "  - { allow: ssh, from: private, in: eth0 }\n"
                             "  - { deny: [https, ssh], to: private, section: outbound }\n"
                             "  - { deny: any, section: routed }\n"
                             "  - { allow: ollama }\n");

        assert_int_equal(p->n_expects, 4);
        assert_int_equal(p->expects[0].section, SECTION_INBOUND);
        assert_int_equal(p->expects[0].rule.verb, RULE_ALLOW);
        assert_true(range_set_contains(&p->expects[0].rule.in, interface_value("eth0")));
        assert_string_equal(p->expects[0].rule.text,
                            "policy.yaml:3: allow ssh from private in eth0");
        assert_int_equal(p->expects[1].section, SECTION_OUTBOUND);
        assert_int_equal(p->expects[1].rule.verb, RULE_DENY);
        assert_true(load_expression_contains(&p->expects[1].rule.to, NULL, "10.0.0.1"));
        assert_int_equal(p->expects[2].section, SECTION_ROUTED);
        assert_true(p->expects[2].rule.services.set.any);
        assert_false(p->expects[3].rule.from.given);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(a_section_has_the_default_that_its_form_means),
                unit_arena_test(an_expectation_is_a_rule_of_its_section),
                unit_arena_test(rules_are_named_by_their_line_or_their_name),
                unit_arena_test(except_warns_when_it_takes_nothing_from_one_family),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
