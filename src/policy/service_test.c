/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/load_unit.h"

static const char services[] = "ringwall: 1\n"
                               "services:\n"
                               "  web: { tcp: [80, 443, 8000-8010], udp: 443 }\n"
                               "  tunnel: { protocols: [esp, 47, ah] }\n"
                               "  pings: { icmp: [echo-request, 13], icmpv6: 128 }\n"
                               "  stream: { sctp: 5000 }\n"
                               "  group: [web, ollama, 5000/sctp, echo-request/icmp, 50]\n"
                               "  everything: [any, web]\n"
                               "  lone: 9000-9001/udp\n";

// clang-format off
static const struct {
        const char *service;
        ServiceClass class;
        unsigned int number;
        bool expected;
} members[] = {
        { "web",    SERVICE_TCP,      80,    true },
        { "web",    SERVICE_TCP,      8005,  true },
        { "web",    SERVICE_TCP,      8011,  false },
        { "web",    SERVICE_UDP,      443,   true },
        { "web",    SERVICE_UDP,      80,    false },
        { "tunnel", SERVICE_PROTOCOL, 50,    true },
        { "tunnel", SERVICE_PROTOCOL, 47,    true },
        { "tunnel", SERVICE_PROTOCOL, 52,    false },
        { "pings",  SERVICE_ICMP,     8,     true },
        { "pings",  SERVICE_ICMP,     13,    true },
        { "pings",  SERVICE_ICMPV6,   128,   true },
        { "pings",  SERVICE_ICMPV6,   8,     false },
        { "stream", SERVICE_SCTP,     5000,  true },
        { "group",  SERVICE_TCP,      11434, true },
        { "group",  SERVICE_TCP,      443,   true },
        { "group",  SERVICE_SCTP,     5000,  true },
        { "group",  SERVICE_ICMP,     8,     true },
        { "group",  SERVICE_ICMPV6,   128,   false },
        { "group",  SERVICE_PROTOCOL, 50,    true },
        { "lone",   SERVICE_UDP,      9001,  true },
        { "lone",   SERVICE_TCP,      9001,  false },
};
// clang-format on

static void a_service_holds_its_ports_types_and_protocols(void **state) {
        const Policy *p = load(*state, services);

        for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
                const Service *s = policy_find_service(p, members[i].service);
                const char *row =
                        arena_printf(*state, "%s: %u", members[i].service, members[i].number);

                unit_true(row, s != NULL);
                unit_equal(row,
                           range_set_contains(service_set_class_const(&s->set, members[i].class),
                                              u128(members[i].number)),
                           members[i].expected);
        }
}

static void any_stands_for_everything_else(void **state) {
        const Service *s = policy_find_service(load(*state, services), "everything");

        assert_true(s->set.any);
        assert_int_equal(s->set.tcp.n_items, 0);
}

static void a_group_is_internal_if_one_of_it_is(void **state) {
        const Policy *p = load(*state, services);

        assert_true(policy_find_service(p, "group")->internal);
        assert_false(policy_find_service(p, "web")->internal);
        assert_true(policy_find_service(p, "ollama")->internal);
}

static void an_expression_keeps_its_terms_and_their_union(void **state) {
        const Policy *p =
                load(*state, "ringwall: 1\ninbound:\n"
                             "  - { allow: [ssh, 8080/tcp, 22/tcp, esp], from: private }\n");
        const ServiceExpression *e = &p->sections[SECTION_INBOUND].rules[0].services;

        assert_int_equal(e->n_terms, 4);
        assert_string_equal(e->text, "ssh, 8080/tcp, 22/tcp, esp");
        assert_ptr_equal(e->terms[0].service, policy_find_service(p, "ssh"));
        assert_null(e->terms[1].service);
        assert_string_equal(e->terms[1].text, "8080/tcp");
        assert_int_equal(e->set.tcp.n_items, 2);
        assert_int_equal(e->set.protocols.n_items, 1);
        assert_int_equal(e->terms[2].at.column, 30);
}

static void covering_and_common_parts_follow_the_classes(void **state) {
        const Policy *p = load(*state, "ringwall: 1\nservices:\n"
                                       "  a: { tcp: 10-20, udp: 5 }\n"
                                       "  b: { tcp: [12, 18] }\n"
                                       "  c: { udp: 12 }\n"
                                       "  all: [any]\n");
        const ServiceSet *a = &policy_find_service(p, "a")->set,
                         *b = &policy_find_service(p, "b")->set;
        const ServiceSet *c = &policy_find_service(p, "c")->set,
                         *all = &policy_find_service(p, "all")->set;
        ServiceSet common;

        assert_true(service_set_covers(a, b));
        assert_false(service_set_covers(b, a));
        assert_false(service_set_covers(a, c));
        assert_true(service_set_covers(all, a));
        assert_false(service_set_covers(a, all));
        assert_int_equal(service_set_intersect(*state, a, b, &common), 0);
        assert_true(service_set_covers(b, &common) && service_set_covers(&common, b));
        assert_int_equal(service_set_intersect(*state, a, c, &common), 0);
        assert_true(service_set_is_empty(&common));
        assert_int_equal(service_set_intersect(*state, all, c, &common), 0);
        assert_true(service_set_covers(c, &common) && service_set_covers(&common, c));
}

static void what_must_be_meant_has_to_be_said(void **state) {
        static const struct {
                const char *rule;
                bool valid;
        } rules[] = {
                {"{ allow: ssh }", true},
                {"{ allow: any }", false},
                {"{ allow: [ssh, everything] }", false},
                {"{ allow: ollama }", false},
                {"{ allow: [ssh, group] }", false},
                {"{ allow: any, from: anywhere }", true},
                {"{ allow: any, in: eth0 }", true},
                {"{ allow: ollama, from: private }", true},
                {"{ allow: ollama, to: private }", false},
                {"{ allow: 11434/tcp }", true},
                {"{ deny: any }", true},
                {"{ deny: ollama }", true},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
                Diag *d;
                const char *text =
                        arena_printf(*state, "%sinbound:\n  - %s\n", services, rules[i].rule);

                unit_equal(rules[i].rule, load_with_diag(*state, text, &d) != NULL, rules[i].valid);
        }
        (void)load(*state, "ringwall: 1\nservices: { ollama: { tcp: 11434 } }\n"
                           "inbound: [{ allow: ollama }]\n");
        (void)load(*state, "ringwall: 1\nrouted: [{ allow: any }]\noutbound: [{ allow: any }]\n");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(a_service_holds_its_ports_types_and_protocols),
                unit_arena_test(any_stands_for_everything_else),
                unit_arena_test(a_group_is_internal_if_one_of_it_is),
                unit_arena_test(an_expression_keeps_its_terms_and_their_union),
                unit_arena_test(covering_and_common_parts_follow_the_classes),
                unit_arena_test(what_must_be_meant_has_to_be_said),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
