/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/unit.h"
#include "ruleset/expect.h"
#include "ruleset/pass.h"

static const char catalogue[] = "ringwall: 1\n"
                                "zones:\n"
                                "  containers: { interfaces: [docker0, \"br-*\"] }\n"
                                "  vms: { interfaces: [\"virbr*\"] }\n"
                                "  lan: [10.0.0.0/8]\n"
                                "  vpn: { interfaces: [wg0] }\n"
                                "services:\n"
                                "  ssh: { tcp: 22 }\n"
                                "  web: { tcp: [80, 443] }\n";

/* The first error about the expectations; "" if they hold. */
static const char *check_counting(Arena *a, const char *policy, size_t *ret_cases) {
        const char *text = arena_printf(a, "ringwall: 1\n%s", policy);
        static const KernelFeatures features = {.fib_in_filter = true};
        Diag *d = diag_new(a);
        Policy *p;
        Ruleset *rs;
        int r;

        assert_int_equal(policy_load_text(a, (Source){"catalogue", catalogue, strlen(catalogue)},
                                          (Source){"test.yaml", text, strlen(text)}, &p, d),
                         0);
        assert_int_equal(ruleset_compile(p, &features, NULL, a, &rs, d), 0);
        r = ruleset_check_expectations(p, rs, ret_cases, d);
        assert_true(r == 0 || r == -EBADMSG);
        for (size_t i = 0; i < d->n_messages; i++)
                if (d->messages[i].severity == DIAG_ERROR)
                        return d->messages[i].text;
        return "";
}

static const char *check(Arena *a, const char *policy) {
        size_t n_cases;

        return check_counting(a, policy, &n_cases);
}

static const struct {
        const char *name, *policy, *expected;
} rows[] = {
        {"a service that nobody opened is closed", "expect: [{ deny: ssh, from: lan }]\n", ""},
        {"all of a zone is let in",
         "inbound: [{ allow: ssh, from: lan }]\nexpect: [{ allow: ssh, from: lan }]\n", ""},
        {"one address of the zone is not",
         "inbound: [{ allow: ssh, from: lan }, { deny: ssh, from: 10.255.255.255 }]\n"
         "expect: [{ allow: ssh, from: lan }]\n",
         "this does not hold: tcp from 10.255.255.255 to port 22 is refused"},
        {"one port of the range is open",
         "inbound: [{ allow: 77/tcp }]\nexpect: [{ deny: 60-90/tcp, from: lan }]\n",
         "this does not hold: tcp from 10.0.0.0 to port 77 is allowed"},
        {"an interface opens what the address does not",
         "inbound: [{ allow: ssh, from: vpn }]\nexpect: [{ deny: ssh, from: lan }]\n",
         "this does not hold: tcp from 10.0.0.0 to port 22 in wg0 is allowed"},
        {"unless the expectation names another interface",
         "inbound: [{ allow: ssh, from: vpn }]\nexpect: [{ deny: ssh, from: lan, in: eth0 }]\n",
         ""},
        {"the other family counts, too",
         "inbound: [{ allow: ssh, from: \"fd00::/8\" }]\nexpect: [{ deny: ssh }]\n",
         "this does not hold: tcp from fd00:: to port 22 is allowed"},
        {"essentials are no business of an expectation", "expect: [{ deny: any }]\n", ""},
        {"containers go out", "expect: [{ deny: ssh, section: routed }]\n",
         "this does not hold: tcp from 0.0.0.0 to port 22 in br- is allowed"},
        {"a forward counts behind its interface",
         "inbound: [{ allow: web }]\nprotected: [{ services: 9000/tcp }]\n"
         "nat: [{ forward: 80/tcp, to: \"10.5.5.5:9000\", in: eth0 }]\n"
         "expect: [{ allow: web, from: 203.0.113.9, in: eth0 }]\n",
         "this does not hold: tcp from 203.0.113.9 to port 80 in eth0, which ends at 10.5.5.5 "
         "port 9000 is refused"},
        {"and behind no other",
         "inbound: [{ allow: web }]\nprotected: [{ services: 9000/tcp }]\n"
         "nat: [{ forward: 80/tcp, to: \"10.5.5.5:9000\", in: eth0 }]\n"
         "expect: [{ allow: web, from: 203.0.113.9, in: eth1 }]\n",
         ""},
        {"a list of outbound refuses the rest",
         "outbound: [{ allow: web }]\n"
         "expect: [{ deny: ssh, section: outbound }, { allow: web, section: outbound }]\n",
         ""},
};

static void an_expectation_holds_for_every_connection_or_shows_one(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                unit_string(rows[i].name, check(*state, rows[i].policy), rows[i].expected);
}

/* Sources and services multiply: what the connections in question never meet must not count. */
static void rules_about_other_services_are_not_tried(void **state) {
        const char *policy = "inbound:\n - { allow: ssh, from: 10.9.9.9 }\n";
        size_t n_cases;

        for (unsigned int i = 0; i < 200; i++)
                policy =
                        arena_printf(*state, "%s - { allow: %u/tcp, from: 10.0.%u.1, in: eth%u }\n",
                                     policy, 1000 + i, i, i);
        policy = arena_printf(*state, "%sexpect:\n - { deny: ssh, from: 10.0.0.0/16 }\n", policy);
        assert_string_equal(check_counting(*state, policy, &n_cases), "");
        assert_in_range(n_cases, 1, 100);
        policy = arena_printf(*state, "%s - { deny: 1100/tcp, from: lan }\n", policy);
        assert_string_equal(check_counting(*state, policy, &n_cases),
                            "this does not hold: tcp from 10.0.100.1 to port 1100 in eth100 is "
                            "allowed");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(rules_about_other_services_are_not_tried),
                unit_arena_test(an_expectation_holds_for_every_connection_or_shows_one),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
