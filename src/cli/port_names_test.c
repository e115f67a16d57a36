/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/port_names.h"

#include "base/unit.h"
#include "policy/loader.h"

static const char catalogue[] = "ringwall: 1\n"
                                "zones:\n"
                                "  private: [10.0.0.0/8]\n"
                                "  containers: { interfaces: [docker0] }\n"
                                "  vms: { interfaces: [virbr0] }\n"
                                "services:\n"
                                "  ssh: { tcp: 22 }\n"
                                "  dns: { tcp: 53, udp: 53 }\n"
                                "  mail: { tcp: [25, 465, 587] }\n"
                                "  cockpit: { tcp: 9090 }\n"
                                "  prometheus: { tcp: 9090 }\n"
                                "  one: { udp: 7 }\n"
                                "  two: { udp: 7 }\n"
                                "  three: { udp: 7 }\n"
                                "  four: { udp: 7 }\n"
                                "  many: { tcp: 1000-2000 }\n"
                                "  ping: { icmp: echo-request }\n"
                                "  ipsec: { udp: 500, protocols: [esp] }\n";

static const char policy_text[] = "ringwall: 1\n"
                                  "services:\n"
                                  "  shell: { tcp: 22 }\n"
                                  "  app: { tcp: 1500 }\n"
                                  "  resolver: { udp: 53 }\n";

static Policy *load(Arena *a, const char *text) {
        const Source below = {"catalogue.yaml", catalogue, strlen(catalogue)};
        const Source above = {"policy.yaml", text, strlen(text)};
        Diag *d = diag_new(a);
        Policy *p;

        if (policy_load_text(a, below, above, &p, d) < 0)
                fail_msg("%s", d->messages[0].text);
        return p;
}

static void a_name_is_told_with_whose_it_is_and_whether_it_is_this_port(void **state) {
        static const struct {
                const char *protocol;
                uint64_t port;
                const char *below, *above; /* the catalogue alone; the policy above it */
        } rows[] = {
                {"tcp", 22, "ssh in the catalogue", "shell in the policy"},
                {"udp", 53, "part of dns in the catalogue", "resolver in the policy"},
                {"tcp", 53, "part of dns in the catalogue", "part of dns in the catalogue"},
                {"tcp", 465, "part of mail in the catalogue", "part of mail in the catalogue"},
                {"tcp", 9090, "cockpit or prometheus in the catalogue",
                 "cockpit or prometheus in the catalogue"},
                {"udp", 7, "four or one or three and others in the catalogue",
                 "four or one or three and others in the catalogue"},
                {"tcp", 1500, "", "app in the policy"},
                {"tcp", 1501, "", ""},
                {"udp", 22, "", ""},
                {"udp", 500, "", ""}, /* of whole protocols, too */
                {"icmp", 8, "ping in the catalogue", "ping in the catalogue"},
                {"esp", 0, "", ""},
        };
        const Policy *below = load(*state, "ringwall: 1\n"), *above = load(*state, policy_text);
        char buf[PORT_NAMES_TEXT_MAX];
        PortNames names;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                port_names_find(below, rows[i].protocol, rows[i].port, &names);
                unit_string(rows[i].below, port_names_print(&names, buf), rows[i].below);
                port_names_find(above, rows[i].protocol, rows[i].port, &names);
                unit_string(rows[i].above, port_names_print(&names, buf), rows[i].above);
        }
}

/* A rule by that name would open no other port. */
static void a_rule_gets_a_name_only_if_it_is_just_that_port(void **state) {
        const Policy *p = load(*state, policy_text);
        PortNames names;

        port_names_find(p, "tcp", 1500, &names);
        assert_string_equal(port_names_only(&names), "app");
        port_names_find(p, "tcp", 53, &names);
        assert_null(port_names_only(&names));
        port_names_find(p, "tcp", 9090, &names);
        assert_null(port_names_only(&names));
        port_names_find(NULL, "tcp", 22, &names);
        assert_null(port_names_only(&names));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(a_name_is_told_with_whose_it_is_and_whether_it_is_this_port),
                unit_arena_test(a_rule_gets_a_name_only_if_it_is_just_that_port),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
