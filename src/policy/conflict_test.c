/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/load_unit.h"

#define ZONES                                                                                      \
        "ringwall: 1\n"                                                                            \
        "zones:\n"                                                                                 \
        "  lan: [10.40.10.0/24, \"fd00:40:10::/64\"]\n"                                            \
        "  low: [10.40.10.0/25]\n"                                                                 \
        "  high: [10.40.10.128/25]\n"                                                              \
        "  vpn: { interfaces: [wg0] }\n"                                                           \
        "  bridges: { interfaces: [\"br-*\"] }\n"                                                  \
        "  one: { interfaces: [br-1] }\n"

typedef enum Outcome {
        NOTHING,
        REMARK,
        MISTAKE,
} Outcome;

// clang-format off
static const struct {
        const char *rule, *claim;
        Outcome outcome;
        const char *example; /* what the message ends with */
} conflicts[] = {
        { "allow: ollama, from: lan", "services: ollama",
          MISTAKE, "tcp from 10.40.10.7 to port 11434" },
        { "allow: ollama, from: lan", "services: ollama, only-from: lan", NOTHING, NULL },
        { "allow: ollama, from: lan", "services: ollama, only-from: [low, high]",
          MISTAKE, "tcp from fd00:40:10::7 to port 11434" },
        { "allow: ollama, from: 10.40.10.0/24", "services: ollama, only-from: [low, high]",
          NOTHING, NULL },
        { "allow: ollama, from: lan", "services: ollama, only-from: private", NOTHING, NULL },
        { "allow: ollama, from: anywhere", "services: ollama, only-from: lan",
          MISTAKE, "tcp from 203.0.113.9 to port 11434" },
        { "allow: 11434/tcp", "services: ollama, only-from: lan",
          MISTAKE, "tcp from 203.0.113.9 to port 11434" },
        { "allow: 11434/udp", "services: ollama", NOTHING, NULL },
        { "deny: ollama", "services: ollama, only-from: lan", NOTHING, NULL },
        { "allow: ssh", "services: ollama", NOTHING, NULL },
        { "allow: any, from: lan", "services: ollama, only-from: lan", NOTHING, NULL },
        { "allow: any, from: lan", "services: ollama",
          REMARK, "tcp from 10.40.10.7 to port 11434" },
        { "allow: any, from: lan", "services: any",
          MISTAKE, "anything from 10.40.10.7" },
        { "allow: 11000-12000/tcp", "services: ollama",
          REMARK, "tcp from 203.0.113.9 to port 11434" },
        { "allow: 11000-12000/tcp", "services: 1000-20000/tcp",
          MISTAKE, "tcp from 203.0.113.9 to port 11000" },
        { "allow: ollama, from: [low, high], except: high", "services: ollama, only-from: low",
          NOTHING, NULL },
        { "allow: ollama, from: 10.40.10.0/24, except: 10.40.10.129-10.40.10.255",
          "services: ollama, only-from: low", MISTAKE, "tcp from 10.40.10.128 to port 11434" },
        { "allow: ollama, from: vpn", "services: ollama, only-from: lan",
          MISTAKE, "tcp from 203.0.113.9 to port 11434 in wg0" },
        { "allow: ollama, from: lan", "services: ollama, only-from: vpn",
          MISTAKE, "tcp from 10.40.10.7 to port 11434" },
        { "allow: ollama, from: lan, in: wg0", "services: ollama, only-from: vpn", NOTHING, NULL },
        { "allow: ollama, in: [wg0, eth3]", "services: ollama, only-from: vpn",
          MISTAKE, "tcp from 203.0.113.9 to port 11434 in eth3" },
        { "allow: ollama, from: bridges", "services: ollama, only-from: one",
          MISTAKE, "tcp from 203.0.113.9 to port 11434 in br-0" },
        { "allow: ollama, from: one", "services: ollama, only-from: bridges", NOTHING, NULL },
        { "allow: ollama, in: \"br-*\"", "services: ollama, only-from: bridges", NOTHING, NULL },
        { "allow: ping, from: lan", "services: ping",
          MISTAKE, "icmp echo-request from 10.40.10.7" },
        { "allow: 128/icmpv6, from: lan", "services: ping",
          MISTAKE, "icmpv6 echo-request from fd00:40:10::7" },
        { "allow: 128/icmpv6, from: low", "services: ping", NOTHING, NULL },
        { "allow: 99/icmp, from: lan", "services: 0-255/icmp", MISTAKE, "icmp 99 from 10.40.10.7" },
        { "allow: esp, from: lan", "services: [esp, 200]", MISTAKE, "esp from 10.40.10.7" },
        { "allow: 200, from: lan", "services: [esp, 200]",
          MISTAKE, "protocol 200 from 10.40.10.7" },
};
// clang-format on

static const DiagMessage *find_message(const Diag *d, DiagSeverity severity, const char *word) {
        for (size_t i = 0; i < d->n_messages; i++)
                if (d->messages[i].severity == severity && strstr(d->messages[i].text, word))
                        return &d->messages[i];
        return NULL;
}

static void an_allow_that_protected_refuses_is_told_with_a_connection(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(conflicts); i++) {
                const char *row = arena_printf(*state, "{ %s } { %s }", conflicts[i].rule,
                                               conflicts[i].claim);
                const char *text =
                        arena_printf(*state, ZONES "inbound: [{ %s }]\nprotected: [{ %s }]\n",
                                     conflicts[i].rule, conflicts[i].claim);
                const DiagMessage *m;
                Diag *d;
                bool valid = load_with_diag(*state, text, &d) != NULL;

                unit_equal(row, valid, conflicts[i].outcome != MISTAKE);
                m = find_message(d, valid ? DIAG_NOTE : DIAG_ERROR, "for example: ");
                unit_equal(row, m != NULL, conflicts[i].example != NULL);
                if (!m)
                        continue;
                unit_string(row, strstr(m->text, "for example: ") + strlen("for example: "),
                            conflicts[i].example);
                unit_equal(row, m->at.line, 9);
                unit_true(row, m[1].continues && m[1].at.line == 10);
        }
}

static void what_no_rule_lets_in_is_noted(void **state) {
        static const struct {
                const char *name, *rest;
                size_t n_notes;
        } rows[] = {
                {"a rule for everyone",
                 "inbound: [{ allow: ollama, from: lan }]\n"
                 "protected: [{ services: ollama, only-from: lan }]\n",
                 0},
                {"no rule", "protected: [{ services: [ollama, ssh], only-from: lan }]\n", 2},
                {"a rule for one zone",
                 "inbound: [{ allow: ollama, from: lan }]\n"
                 "protected: [{ services: ollama, only-from: [lan, vpn, "
                 "192.0.2.1] }]\n",
                 1},
                {"nobody may", "protected: [{ services: ollama }]\n", 0},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Diag *d;

                unit_true(
                        rows[i].name,
                        load_with_diag(*state, arena_printf(*state, ZONES "%s", rows[i].rest), &d));
                unit_equal(rows[i].name, d->n_messages, rows[i].n_notes);
        }
}

/* ---- against trying every client of a small world */

static const char *const interfaces[] = {NULL, "eth0", "wg0", "br-1", "br-2", "br-"};

static unsigned int draw(uint64_t *seed, unsigned int n) {
        *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
        return (unsigned int)(*seed >> 33) % n;
}

static const char *draw_zones(Arena *a, uint64_t *seed) {
        static const char *const words[] = {"wg",    "bridge", "first", "both",
                                            "mixed", "in0",    "no-wg", "no-first"};
        const char *list = NULL;
        unsigned int n = 1 + draw(seed, 3), low;

        for (unsigned int i = 0; i < n; i++) {
                const char *word = words[draw(seed, ARRAY_SIZE(words))];

                low = draw(seed, 16);
                if (draw(seed, 2) == 0)
                        word = arena_printf(a, "10.0.0.%u-10.0.0.%u", low,
                                            low + draw(seed, 16 - low));
                list = list ? arena_printf(a, "%s, %s", list, word) : word;
        }
        return arena_printf(a, "[%s]", list);
}

static bool refuses_somebody(const PolicyRule *rule, const ZoneExpression *only_from) {
        for (size_t i = 0; i < ARRAY_SIZE(interfaces); i++) {
                U128 name = interface_value(interfaces[i] ? interfaces[i] : "");
                const U128 *interface = interfaces[i] ? &name : NULL;

                if (rule->in.n_items > 0 && !(interface && range_set_contains(&rule->in, name)))
                        continue;
                for (uint64_t low = 0x0a000000 - 2; low < 0x0a000000 + 18; low++) {
                        U128 address = u128(low);

                        if (zone_expression_contains(&rule->from, interface, FAMILY_IPV4,
                                                     address) &&
                            !(rule->except.given &&
                              zone_expression_contains(&rule->except, interface, FAMILY_IPV4,
                                                       address)) &&
                            !zone_expression_contains(only_from, interface, FAMILY_IPV4, address))
                                return true;
                }
        }
        return false;
}

static void the_verdict_is_that_of_trying_every_client(void **state) {
        static const char *const ins[] = {"", ", in: eth0", ", in: [wg0, \"br-*\"]", ", in: br-1"};
        static const char head[] =
                "ringwall: 1\n"
                "zones:\n"
                "  wg: { interfaces: [wg0], addresses: [10.0.0.0/28] }\n"
                "  bridge: { interfaces: [\"br-*\"], addresses: [10.0.0.4/30] }\n"
                "  first: { interfaces: [br-1], addresses: [10.0.0.0/29] }\n"
                "  both: { interfaces: [wg0, \"br-*\"], addresses: [mixed] }\n"
                "  mixed: [10.0.0.2-10.0.0.11, wg]\n"
                "  in0: { interfaces: [eth0], addresses: [10.0.0.0/28] }\n"
                "  no-wg: { addresses: [mixed, 10.0.0.14], except: [wg, in0] }\n"
                "  no-first: { interfaces: [\"br-*\", wg0], except: [first, 10.0.0.9] }\n"
                "inbound:\n";
        unsigned int n_refused = 0, n_fine = 0;
        uint64_t seed = 1;

        for (unsigned int i = 0; i < 3000; i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                const char *from = draw_zones(a, &seed), *only_from = draw_zones(a, &seed);
                const char *except =
                        draw(&seed, 2) ? arena_printf(a, ", except: %s", draw_zones(a, &seed)) : "";
                const char *rules = arena_printf(a, "%s  - { allow: ollama, from: %s%s%s }\n", head,
                                                 from, except, ins[draw(&seed, ARRAY_SIZE(ins))]);
                /* the claim's zones, read as a rule's */
                const Policy *p = load(
                        a, arena_printf(a, "%s  - { deny: ssh, from: %s }\n", rules, only_from));
                const PolicyRule *parsed = p->sections[SECTION_INBOUND].rules;
                bool expected = refuses_somebody(&parsed[0], &parsed[1].from);
                const char *text =
                        arena_printf(a, "%sprotected: [{ services: ollama, only-from: %s }]\n",
                                     rules, only_from);
                Diag *d;

                unit_equal(text, load_with_diag(a, text, &d) == NULL, expected);
                n_refused += expected;
                n_fine += !expected;
        }
        assert_true(n_refused > 300 && n_fine > 300);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(an_allow_that_protected_refuses_is_told_with_a_connection),
                unit_arena_test(what_no_rule_lets_in_is_noted),
                unit_arena_test(the_verdict_is_that_of_trying_every_client),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
