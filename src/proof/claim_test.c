/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "base/unit.h"
#include "proof/claim.h"
#include "ruleset/expect.h"
#include "ruleset/packet.h"
#include "ruleset/pass.h"

#define N_POLICIES 150
#define N_MUTANTS 200

static const char catalogue[] = "ringwall: 1\n"
                                "zones:\n"
                                "  containers: { interfaces: [docker0, \"br-*\"] }\n"
                                "  vms: { interfaces: [\"virbr*\"] }\n"
                                "  lan: [10.0.0.0/8, \"fd00::/8\"]\n"
                                "  office: [10.1.0.0/16]\n"
                                "  vpn: { interfaces: [wg0] }\n"
                                "  branch: { interfaces: [wg1], addresses: [10.9.0.0/16] }\n"
                                "services:\n"
                                "  ssh: { tcp: 22 }\n"
                                "  web: { tcp: [80, 443] }\n"
                                "  n8n: { tcp: 5678 }\n"
                                "  ping: { icmp: echo-request, icmpv6: echo-request }\n"
                                "  ollama: { tcp: 11434, internal: yes }\n";

typedef struct Compiled {
        Policy *policy;
        Ruleset *rs;
        Diag *d;
} Compiled;

static bool compile(Arena *a, const char *text, Compiled *ret) {
        static const KernelFeatures features = {.fib_in_filter = true};
        Diag *d = diag_new(a);
        Policy *p;
        Ruleset *rs;

        if (policy_load_text(a, (Source){"catalogue", catalogue, strlen(catalogue)},
                             (Source){"test.yaml", text, strlen(text)}, &p, d) < 0)
                return false;
        assert_int_equal(ruleset_compile(p, &features, NULL, a, &rs, d), 0);
        *ret = (Compiled){p, rs, d};
        return true;
}

static const char *first_error(const Diag *d) {
        for (size_t i = 0; i < d->n_messages; i++)
                if (d->messages[i].severity == DIAG_ERROR)
                        return d->messages[i].text;
        return "";
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
        {"what is protected is closed to whoever it is protected from",
         "inbound: [{ allow: any, from: lan }]\nprotected: [{ services: n8n, only-from: vpn }]\n",
         ""},
        {"a protected service with the network that it is for",
         "inbound: [{ allow: n8n, from: vpn }]\n"
         "protected: [{ services: n8n, only-from: vpn }, { services: ping, only-from: office }]\n"
         "expect: [{ allow: n8n, from: vpn }, { deny: n8n, from: lan, in: eth0 }]\n",
         ""},
};

static void claims_hold_or_come_with_a_connection(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                ClaimReport report;
                Compiled c;
                int r;

                unit_true(rows[i].name,
                          compile(a, arena_printf(a, "ringwall: 1\n%s", rows[i].policy), &c));
                r = claim_check(c.policy, c.rs, &report, c.d);
                unit_string(rows[i].name, first_error(c.d), rows[i].expected);
                unit_equal(rows[i].name, r, rows[i].expected[0] ? -EBADMSG : 0);
        }
}

static uint64_t random_state = 88172645463325252U;

static uint32_t draw(uint32_t below) {
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 33) % below;
}

static const char *const services[] = {"ssh",    "web",       "ping",    "80/tcp",
                                       "22/tcp", "53/udp",    "any",     "[ssh, 53/udp]",
                                       "esp",    "20-90/tcp", "443/tcp", "9000/tcp"};
static const char *const places[] = {"lan",        "office",      "vpn",    "anywhere",
                                     "10.1.2.3",   "10.9.0.0/16", "branch", "\"fd00::/16\"",
                                     "containers", "192.0.2.0/24"};

static const char *draw_word(const char *const *list, size_t n) {
        return list[draw((uint32_t)n)];
}

static void write_rule(FILE *f, const char *section, bool expects) {
        static const char *const names[] = {"eth0", "wg0", "\"br-*\"", "docker0"};
        bool outbound = streq(section, "outbound"), routed = streq(section, "routed");

        fprintf(f, "  - { %s: %s", draw(2) ? "allow" : "deny",
                draw_word(services, ARRAY_SIZE(services)));
        if (!outbound)
                fprintf(f, ", from: %s", draw_word(places, ARRAY_SIZE(places)));
        if (outbound || routed || draw(4) == 0)
                fprintf(f, ", to: %s", draw(2) ? "192.0.2.0/24" : "10.1.0.0/16");
        if (!outbound && draw(3) == 0)
                fprintf(f, ", in: %s", draw_word(names, ARRAY_SIZE(names)));
        if ((outbound || routed) && draw(3) == 0)
                fprintf(f, ", out: %s", draw_word(names, ARRAY_SIZE(names)));
        if (outbound && !expects && draw(3) == 0)
                fprintf(f, ", user: %u", draw(3));
        if (expects)
                fprintf(f, ", section: %s", section);
        fputs(" }\n", f);
}

static const char *random_policy(Arena *a) {
        static const char *const sections[] = {"inbound", "routed", "outbound"};
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        fputs("ringwall: 1\n", f);
        for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
                fprintf(f, "%s:\n", sections[i]);
                if (i == 2)
                        fputs("  default: reject\n  rules:\n", f);
                for (uint32_t j = 0; j < 1 + draw(6); j++)
                        write_rule(f, sections[i], false);
        }
        if (draw(2))
                fputs("protected:\n  - { services: 9000/tcp, only-from: vpn }\n", f);
        if (draw(2))
                fputs("nat:\n  - { forward: 80/tcp, to: \"10.5.5.5:9000\", in: eth0 }\n"
                      "  - { forward: [53/udp, 443/tcp], to: 10.5.5.6 }\n",
                      f);
        fputs("expect:\n", f);
        write_rule(f, draw_word(sections, 3), true);
        assert_int_equal(fclose(f), 0);
        return arena_strdup(a, text);
}

/* Two decisions that share nothing but what a rule means: all cases, and all packets. */
static void expectations_are_decided_as_by_trying_all_cases(void **state) {
        size_t n = 0, n_broken = 0;

        while (n < N_POLICIES) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                const char *text = random_policy(a);
                ClaimReport report;
                size_t n_cases;
                Compiled c;
                int tried, proved;

                if (!compile(a, text, &c))
                        continue; /* a contradiction, say */
                n++;
                tried = ruleset_check_expectations(c.policy, c.rs, &n_cases, c.d);
                proved = claim_check(c.policy, c.rs, &report, c.d);
                if (tried != proved)
                        fail_msg("%d by trying, %d by proof: %s\n%s", tried, proved,
                                 first_error(c.d), text);
                n_broken += proved < 0;
        }
        assert_true(n_broken > N_POLICIES / 10 && n_broken < N_POLICIES);
}

static const char guarded[] = "ringwall: 1\n"
                              "inbound:\n"
                              "  - { allow: web }\n"
                              "  - { allow: any, from: lan }\n"
                              "  - { allow: n8n, from: vpn }\n"
                              "  - { allow: 8080/tcp, limit: 10/minute per source }\n"
                              "routed:\n"
                              "  - { allow: any, from: lan, out: \"br-*\" }\n"
                              "nat:\n"
                              "  - { forward: 8443/tcp, to: \"10.5.5.5:443\", in: eth0 }\n"
                              "protected:\n"
                              "  - { services: [n8n, 6000-6100/tcp], only-from: vpn }\n"
                              "  - { services: [ollama, 53/udp] }\n";

/* An accept of what is protected, put in where the packet comes by before it is refused. */
static bool open_hole(Ruleset *rs, const char **ret_what) {
        static const char *const chains[] = {"input", "inbound", "forward", "inbound-dialled",
                                             "protected"};
        static const uint16_t ports[] = {5678, 6000, 6050, 6100, 11434};
        Chain *chain = ruleset_find_chain(rs, chains[draw(ARRAY_SIZE(chains))]);
        bool dialled = streq(chain->name, "inbound-dialled") && draw(2);
        Range r = {u128(0x0a010203), u128(0x0a010203 + draw(3))}, port = range_single(u128(0));
        RangeSet one = {.items = &r, .n_items = 1}, ports_set = {.items = &port, .n_items = 1};
        Rule *rule;

        port = range_single(u128(ports[draw(ARRAY_SIZE(ports))]));
        *ret_what = chain->name;
        rule = chain_add_rule(rs, chain, verdict_of(VERDICT_ACCEPT), (Origin){.text = "a hole"});
        assert_int_equal(rule_match_value(rs, rule, FIELD_L4PROTO, IPPROTO_TCP), 0);
        assert_int_equal(
                rule_match_ranges(rs, rule, dialled ? FIELD_CT_DPORT : FIELD_DPORT, &ports_set), 0);
        if (draw(2))
                assert_int_equal(rule_match_ranges(rs, rule, FIELD_IP_SADDR, &one), 0);
        /* to the front, but behind what drops or accepts for reasons of its own */
        for (size_t i = chain->n_rules - 1; i > 0; i--) {
                Rule last = chain->rules[i];

                chain->rules[i] = chain->rules[i - 1];
                chain->rules[i - 1] = last;
        }
        return true;
}

static void a_hole_in_what_is_protected_is_found(void **state) {
        for (size_t i = 0; i < N_MUTANTS; i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                ClaimReport report;
                const char *what;
                Compiled c;

                assert_true(compile(a, guarded, &c));
                if (i == 0) {
                        assert_int_equal(claim_check(c.policy, c.rs, &report, c.d), 0);
                        assert_int_equal(report.n_proved, 2);
                        assert_true(report.n_compared > 100);
                }
                assert_true(open_hole(c.rs, &what));
                unit_equal(what, claim_check(c.policy, c.rs, &report, c.d), -EBADMSG);
        }
}

static void a_refusal_that_is_missing_is_found(void **state) {
        size_t n = 0;
        _cleanup_(arena_freep) Arena *first = arena_new(0);
        Compiled whole;

        assert_true(compile(first, guarded, &whole));
        for (size_t i = 0; i < whole.rs->n_chains; i++)
                for (size_t j = 0; j < whole.rs->chains[i]->n_rules; j++) {
                        const Rule *rule = &whole.rs->chains[i]->rules[j];
                        _cleanup_(arena_freep) Arena *a = arena_new(0);
                        ClaimReport report;
                        Compiled c;

                        if (!rule->origin.text || !strstr(rule->origin.text, "protected") ||
                            rule->verdict.kind != VERDICT_DROP)
                                continue;
                        assert_true(compile(a, guarded, &c));
                        c.rs->chains[i]->rules[j].verdict = verdict_of(VERDICT_ACCEPT);
                        unit_equal(rule->origin.text, claim_check(c.policy, c.rs, &report, c.d),
                                   -EBADMSG);
                        n++;
                }
        assert_true(n >= 3);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(claims_hold_or_come_with_a_connection),
                cmocka_unit_test(expectations_are_decided_as_by_trying_all_cases),
                cmocka_unit_test(a_hole_in_what_is_protected_is_found),
                cmocka_unit_test(a_refusal_that_is_missing_is_found),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
