/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "base/file.h"
#include "nft/world_unit.h"
#include "proof/verify.h"
#include "proof/whole.h"
#include "ruleset/pass.h"

static const char catalogue[] = "ringwall: 1\n"
                                "zones:\n"
                                "  containers: { interfaces: [docker0, \"br-*\"] }\n"
                                "  vms: { interfaces: [\"virbr*\"] }\n"
                                "  lan: [10.0.0.0/8, \"fd00::/8\"]\n"
                                "  vpn: { interfaces: [wg0] }\n"
                                "services:\n"
                                "  web: { tcp: [80, 443] }\n"
                                "  n8n: { tcp: 5678 }\n"
                                "  ollama: { tcp: 11434, internal: yes }\n";

static const char guarded[] = "ringwall: 1\n"
                              "inbound:\n"
                              "  - { allow: web }\n"
                              "  - { allow: any, from: lan }\n"
                              "  - { allow: n8n, from: vpn }\n"
                              "  - { allow: 8080/tcp, limit: 10/minute per source }\n"
                              "routed:\n"
                              "  - { allow: any, from: lan, out: \"br-*\" }\n"
                              "nat:\n"
                              "  - { forward: 8443/tcp, to: \"172.17.0.5:443\", in: eth0 }\n"
                              "protected:\n"
                              "  - { services: [n8n, 6000-6100/tcp], only-from: vpn }\n"
                              "  - { services: [ollama, 53/udp] }\n";

static World *world_of(Arena *a, const char *text, Policy **ret_policy, Ruleset **ret_rs) {
        static const KernelFeatures features = {.fib_in_filter = true};
        Diag *d = diag_new(a);
        World *w;

        assert_int_equal(policy_load_text(a, (Source){"catalogue", catalogue, strlen(catalogue)},
                                          (Source){"test.yaml", text, strlen(text)}, ret_policy, d),
                         0);
        assert_int_equal(ruleset_compile(*ret_policy, &features, NULL, a, ret_rs, d), 0);
        assert_int_equal(world_of_ruleset(a, *ret_rs, &w), 0);
        return w;
}

static void what_is_compiled_is_proved_in_the_kernels_own_terms(void **state) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        VerifyReport report;
        const char *what = NULL;
        Policy *p;
        Ruleset *rs;
        World *w = world_of(a, guarded, &p, &rs);
        int r;

        surround(w);
        r = verify_claims(p, w, a, &report, &what);
        if (r < 0)
                fail_msg("%d: %s", r, what);
        for (size_t i = 0; i < report.n_answers; i++) {
                const VerifyAnswer *x = &report.answers[i];

                if (x->kind != VERIFY_PROVED)
                        fail_msg("claim %zu: %d %s %s", i, x->kind,
                                 x->connection ? x->connection : "-",
                                 x->n_reasons ? x->reasons[0] : "-");
        }
        assert_int_equal(report.n_answers, 2);
        assert_true(report.n_compared > 100);
}

/* An accept of what is protected, in front of everything else of the chain. */
static const char *open_hole(Ruleset *rs) {
        static const char *const chains[] = {"input", "inbound", "forward", "inbound-dialled",
                                             "protected"};
        static const uint16_t ports[] = {5678, 6000, 6050, 6100, 11434};
        Chain *chain = ruleset_find_chain(rs, chains[draw(ARRAY_SIZE(chains))]);
        Range r = {u128(0x0a010203), u128(0x0a010203 + draw(3))}, port = range_single(u128(0));
        RangeSet one = {.items = &r, .n_items = 1}, ports_set = {.items = &port, .n_items = 1};
        Rule *rule =
                chain_add_rule(rs, chain, verdict_of(VERDICT_ACCEPT), (Origin){.text = "a hole"});

        port = range_single(u128(ports[draw(ARRAY_SIZE(ports))]));
        assert_int_equal(rule_match_value(rs, rule, FIELD_L4PROTO, IPPROTO_TCP), 0);
        assert_int_equal(rule_match_ranges(rs, rule, FIELD_DPORT, &ports_set), 0);
        if (draw(2))
                assert_int_equal(rule_match_ranges(rs, rule, FIELD_IP_SADDR, &one), 0);
        for (size_t i = chain->n_rules - 1; i > 0; i--) {
                Rule last = chain->rules[i];

                chain->rules[i] = chain->rules[i - 1];
                chain->rules[i - 1] = last;
        }
        return chain->name;
}

static void a_hole_is_never_proved_closed_and_comes_with_a_packet(void **state) {
        size_t n = 0, n_refuted = 0;

        for (size_t i = 0; i < 100; i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                VerifyReport report;
                const char *what = NULL, *chain;
                bool broken = false;
                Policy *p;
                Ruleset *rs;
                World *w = world_of(a, guarded, &p, &rs);

                chain = open_hole(rs);
                /* nothing translates to a protected port here: see the table above */
                if (streq(chain, "inbound-dialled"))
                        continue;
                assert_int_equal(world_of_ruleset(a, rs, &w), 0);
                surround(w);
                unit_equal(chain, verify_claims(p, w, a, &report, &what), 0);
                for (size_t j = 0; j < report.n_answers; j++) {
                        broken |= report.answers[j].kind != VERIFY_PROVED;
                        n_refuted += report.answers[j].kind == VERIFY_REFUTED;
                }
                n++;
                unit_true(chain, broken);
        }
        assert_int_equal(n_refuted, n);
}

static const char expecting[] = "ringwall: 1\n"
                                "inbound:\n"
                                "  - { allow: web }\n"
                                "  - { allow: 8080/tcp, limit: 10/minute per source }\n"
                                "  - { allow: n8n, from: vpn }\n"
                                "nat:\n"
                                "  - { forward: 8443/tcp, to: \"172.17.0.5:443\", in: eth0 }\n"
                                "expect:\n"
                                "  - { allow: [web, 8080/tcp] }\n"
                                "  - { allow: n8n, from: vpn }\n"
                                "  - { deny: [22/tcp, 8443/tcp, 53/udp] }\n"
                                "  - { deny: n8n, in: eth0 }\n"
                                "  - { allow: any, from: containers, section: routed }\n"
                                "  - { deny: any, in: eth0, section: routed }\n"
                                "  - { allow: web, section: outbound }\n"
                                "  - { deny: [25/tcp, 6667/tcp], section: outbound }\n"
                                "outbound:\n"
                                "  default: allow\n"
                                "  rules:\n"
                                "    - { deny: 25/tcp }\n"
                                "    - { deny: [6667/tcp, 6668/tcp] }\n"
                                "    - { deny: 8000/tcp, user: [7, 1000], group: 5 }\n";

static void what_the_policy_expects_of_itself_is_proved(void **state) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        VerifyReport report;
        const char *what = NULL;
        Policy *p;
        Ruleset *rs;
        World *w = world_of(a, expecting, &p, &rs);
        int r;

        surround(w);
        r = verify_claims(p, w, a, &report, &what);
        if (r < 0)
                fail_msg("%d: %s", r, what);
        assert_int_equal(report.n_answers, 8);
        for (size_t i = 0; i < report.n_answers; i++)
                if (report.answers[i].kind != VERIFY_PROVED)
                        fail_msg("%s: %d %s %s", report.answers[i].text, report.answers[i].kind,
                                 report.answers[i].connection ? report.answers[i].connection : "-",
                                 report.answers[i].n_reasons ? report.answers[i].reasons[0] : "-");
}

static void put_first(Ruleset *rs, const char *name, VerdictKind verdict, uint16_t number) {
        Chain *chain = ruleset_find_chain(rs, name);
        Range port = range_single(u128(number));
        RangeSet set = {.items = &port, .n_items = 1};
        Rule *rule = chain_add_rule(rs, chain, verdict_of(verdict), (Origin){.text = "foreign"});

        assert_int_equal(rule_match_value(rs, rule, FIELD_L4PROTO, IPPROTO_TCP), 0);
        assert_int_equal(rule_match_ranges(rs, rule, FIELD_DPORT, &set), 0);
        for (size_t i = chain->n_rules - 1; i > 0; i--) {
                Rule last = chain->rules[i];

                chain->rules[i] = chain->rules[i - 1];
                chain->rules[i - 1] = last;
        }
}

static void one_rule_that_breaks_an_expectation_refutes_that_one(void **state) {
        static const struct {
                const char *chain;
                VerdictKind verdict;
                uint16_t port;
                size_t answer;
        } rows[] = {
                {"input", VERDICT_DROP, 443, 0},       {"input", VERDICT_DROP, 8080, 0},
                {"inbound", VERDICT_DROP, 5678, 1},    {"input", VERDICT_ACCEPT, 22, 2},
                {"inbound", VERDICT_ACCEPT, 22, 2},    {"input", VERDICT_ACCEPT, 5678, 3},
                {"forward", VERDICT_DROP, 25, 4},      {"forward", VERDICT_ACCEPT, 25, 5},
                {"routed", VERDICT_ACCEPT, 8443, 5},   {"output", VERDICT_DROP, 443, 6},
                {"outbound", VERDICT_DROP, 443, 6},    {"output", VERDICT_ACCEPT, 25, 7},
                {"outbound", VERDICT_ACCEPT, 6667, 7},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                VerifyReport report;
                const char *what = NULL;
                Policy *p;
                Ruleset *rs;
                World *w = world_of(a, expecting, &p, &rs);

                put_first(rs, rows[i].chain, rows[i].verdict, rows[i].port);
                assert_int_equal(world_of_ruleset(a, rs, &w), 0);
                surround(w);
                assert_int_equal(verify_claims(p, w, a, &report, &what), 0);
                for (size_t j = 0; j < report.n_answers; j++) {
                        const VerifyAnswer *x = &report.answers[j];

                        if (x->kind != (j == rows[i].answer ? VERIFY_REFUTED : VERIFY_PROVED))
                                fail_msg("row %zu, %s: %d %s", i, x->text, x->kind,
                                         x->n_reasons ? x->reasons[0] : "-");
                        assert_int_equal(x->connection != NULL, j == rows[i].answer);
                }
        }
}

static WorldRule *add_rule(World *w, WorldChain *chain) {
        WorldRule rule = {.handle = 7, .chain = chain};

        assert_true(arena_append(w->arena, chain->rules, chain->n_rules, rule));
        return &chain->rules[chain->n_rules - 1];
}

static void what_a_device_sends_on_by_loopback_refutes_what_it_lets_in(void **state) {
        static const uint8_t none[6], other[6] = {2};
        static const uint32_t loopback = 1;

        for (size_t i = 0; i < 2; i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                WorldExpr set = {.kind = WORLD_SET_PAYLOAD, .name = "payload set", .source = 9};
                WorldExpr turn = {.kind = WORLD_FORWARD, .name = "fwd", .source = -1, .target = 8};
                VerifyReport report;
                const char *what;
                WorldChain *chain;
                WorldRule *rule;
                Policy *p;
                Ruleset *rs;
                World *w = world_of(a, expecting, &p, &rs);

                surround(w);
                w->interfaces[1].address[0] = 2;
                chain = add_foreign_chain(w, (WorldTable){.family = NETDEV, .name = "turning"},
                                          (WorldChain){.name = "c", .ingress = true});
                assert_true(arena_append(a, chain->devices, chain->n_devices, "eth0"));
                rule = add_rule(w, chain);
                set.base = WORLD_LINK;
                set.size = 6;
                set.target = -1;
                assert_true(arena_append(a, rule->exprs, rule->n_exprs,
                                         put(9, i == 0 ? none : other, 6)) &&
                            arena_append(a, rule->exprs, rule->n_exprs, set) &&
                            arena_append(a, rule->exprs, rule->n_exprs, put(8, &loopback, 4)) &&
                            arena_append(a, rule->exprs, rule->n_exprs, turn));
                assert_int_equal(verify_claims(p, w, a, &report, &what), 0);
                for (size_t j = 2; j < 4; j++) { /* what is denied */
                        assert_int_equal(report.answers[j].kind,
                                         i == 0 ? VERIFY_REFUTED : VERIFY_UNDECIDED);
                        if (i == 0)
                                assert_ptr_equal(report.answers[j].steps[0].rule, rule);
                }
        }
}

static void what_a_program_decides_is_undecided_for_that_reason(void **state) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        WorldExpr queue = {.kind = WORLD_IS, .name = "queue", .verdict = {.kind = WORLD_QUEUE}};
        VerifyReport report;
        const char *what;
        WorldRule *rule;
        Policy *p;
        Ruleset *rs;
        World *w = world_of(a, expecting, &p, &rs);
        WorldChain *chain;

        surround(w);
        chain = add_foreign_chain(w, (WorldTable){.family = IPV4, .name = "theirs"},
                                  (WorldChain){.name = "c", .priority = -250});
        rule = add_rule(w, chain);
        queue.source = queue.target = -1;
        assert_true(arena_append(a, rule->exprs, rule->n_exprs, queue));
        assert_int_equal(verify_claims(p, w, a, &report, &what), 0);
        assert_int_equal(report.answers[2].kind, VERIFY_UNDECIDED);
        assert_string_equal(report.answers[2].reasons[0],
                            "what a program makes of packets that chain 'c' of table 'theirs' "
                            "queues");
        for (size_t i = 0; i < report.answers[2].n_reasons; i++)
                assert_false(streq(report.answers[2].reasons[i], "cmp") ||
                             streq(report.answers[2].reasons[i], "lookup"));
}

/* Behind our own rules, and for packets that are none of the claim's yet. */
static void what_a_program_may_rewrite_behind_the_rules_is_undecided(void **state) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        WorldExpr queue = {.kind = WORLD_IS, .name = "queue", .source = -1, .target = -1};
        VerifyReport report;
        const char *what;
        WorldRule *rule;
        Policy *p;
        Ruleset *rs;
        World *w = world_of(a, expecting, &p, &rs);

        surround(w);
        rule = add_rule(
                w, add_foreign_chain(
                           w, (WorldTable){.family = IPV4, .name = "theirs"},
                           (WorldChain){.name = "c", .hook = NF_INET_LOCAL_IN, .priority = 10}));
        assert_int_equal(verify_claims(p, w, a, &report, &what), 0);
        assert_int_equal(report.answers[2].kind, VERIFY_PROVED);
        queue.verdict.kind = WORLD_QUEUE;
        assert_true(arena_append(a, rule->exprs, rule->n_exprs, queue));
        assert_int_equal(verify_claims(p, w, a, &report, &what), 0);
        assert_int_equal(report.answers[2].kind, VERIFY_UNDECIDED);
}

/* What IPsec unpacks keeps the mark that the rules gave the packet around it. */
static void with_ipsec_a_packet_may_come_with_any_mark(void **state) {
        static const uint32_t one = 1;
        WorldExpr mark = {.kind = WORLD_META, .name = "meta", .source = -1, .target = 8, .size = 4};
        WorldExpr is = {.kind = WORLD_CMP, .name = "cmp", .source = 8, .target = -1, .size = 4};
        WorldExpr accept = {.kind = WORLD_IS, .name = "verdict", .source = -1, .target = -1};

        mark.key = NFT_META_MARK;
        is.data.size = 4;
        memcpy(is.data.bytes, &one, sizeof(one));
        accept.verdict.kind = WORLD_ACCEPT;
        for (size_t i = 0; i < 2; i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                VerifyReport report;
                const char *what;
                WorldRule *rule;
                Policy *p;
                Ruleset *rs;
                World *w = world_of(a, expecting, &p, &rs);

                w = arena_new0(a, World);
                assert_non_null(w);
                w->arena = a;
                surround(w);
                for (size_t hook = NF_INET_LOCAL_IN; hook <= NF_INET_FORWARD; hook++) {
                        rule = add_rule(w, add_foreign_chain(w,
                                                             (WorldTable){.family = NFPROTO_INET,
                                                                          .name = "theirs"},
                                                             (WorldChain){.name = "c",
                                                                          .hook = (int)hook,
                                                                          .policy_drop = true}));
                        assert_true(arena_append(a, rule->exprs, rule->n_exprs, mark) &&
                                    arena_append(a, rule->exprs, rule->n_exprs, is) &&
                                    arena_append(a, rule->exprs, rule->n_exprs, accept));
                }
                w->has_ipsec = i > 0;
                assert_int_equal(verify_claims(p, w, a, &report, &what), 0);
                assert_int_equal(report.answers[2].kind, i == 0 ? VERIFY_PROVED : VERIFY_UNDECIDED);
        }
}

static void what_is_forwarded_is_shown_where_a_route_leads(void **state) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        VerifyReport report;
        const char *what = NULL;
        Policy *p;
        Ruleset *rs;
        World *w = world_of(a, expecting, &p, &rs);

        put_first(rs, "forward", VERDICT_ACCEPT, 25);
        assert_int_equal(world_of_ruleset(a, rs, &w), 0);
        surround(w);
        w->n_routes -= 2; /* those to everywhere: most of what is accepted leads nowhere */
        assert_int_equal(verify_claims(p, w, a, &report, &what), 0);
        assert_int_equal(report.answers[5].kind, VERIFY_REFUTED);
        assert_non_null(strstr(report.answers[5].connection, " port 25, arriving by eth0"));
}

static void what_cannot_be_forwarded_is_not_reachable(void **state) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        VerifyReport report;
        const char *what;
        Policy *p;
        Ruleset *rs;
        World *w = world_of(a, expecting, &p, &rs);

        surround(w);
        w->forwards4 = w->forwards6 = false;
        assert_int_equal(verify_claims(p, w, a, &report, &what), 0);
        assert_int_equal(report.answers[0].kind, VERIFY_PROVED);
        assert_int_not_equal(report.answers[4].kind, VERIFY_PROVED);
}

static void an_allow_of_an_interface_that_is_not_there_is_undecided(void **state) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        VerifyReport report;
        const char *what;
        Policy *p;
        Ruleset *rs;
        World *w = world_of(a,
                            "ringwall: 1\ninbound: [{ allow: web }]\nexpect:\n"
                            "  - { allow: web, in: ppp0 }\n  - { deny: n8n, in: ppp0 }\n",
                            &p, &rs);

        surround(w);
        assert_int_equal(verify_claims(p, w, a, &report, &what), 0);
        assert_int_equal(report.answers[0].kind, VERIFY_UNDECIDED);
        assert_int_equal(report.answers[0].n_reasons, 1);
        assert_int_equal(report.answers[1].kind, VERIFY_PROVED);
}

static void the_way_in_is_asked_of_the_whole_ruleset(void **state) {
        static const struct {
                const char *peer, *local;
                VerifyKind kind;
        } rows[] = {
                {"10.8.0.7", "10.8.0.1", VERIFY_PROVED},
                {"192.0.2.77", "192.0.2.10", VERIFY_REFUTED},
                {"198.51.100.7", "192.0.2.10", VERIFY_REFUTED},
                {"fd00::7", "2001:db8:1::10", VERIFY_PROVED},
                {"2001:db8:1::77", "2001:db8:1::10", VERIFY_REFUTED},
                {"192.0.2.10", "192.0.2.10", VERIFY_PROVED}, /* by loopback */
        };
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Policy *p;
        Ruleset *rs;
        World *w = world_of(a, guarded, &p, &rs);

        surround(w);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                VerifyWay way = {.port = 22};
                VerifyAnswer answer;

                assert_int_equal(address_parse(rows[i].peer, &way.family, &way.peer), 0);
                assert_int_equal(address_parse(rows[i].local, &way.family, &way.local), 0);
                unit_equal(rows[i].peer, verify_way_in(w, &way, a, &answer), 0);
                unit_equal(rows[i].peer, answer.kind, rows[i].kind);
                unit_equal(rows[i].peer, answer.connection != NULL, rows[i].kind == VERIFY_REFUTED);
        }
        /* by a limit of the policy's own, which is set aside */
        put_first(rs, "input", VERDICT_DROP, 22);
        assert_int_equal(world_of_ruleset(a, rs, &w), 0);
        surround(w);
        for (size_t i = 0; i < 2; i++) {
                VerifyWay way = {.port = i == 0 ? 22 : 8080};
                VerifyAnswer answer;

                assert_int_equal(address_parse("192.0.2.10", &way.family, &way.local), 0);
                assert_int_equal(address_parse("198.51.100.7", &way.family, &way.peer), 0);
                assert_int_equal(verify_way_in(w, &way, a, &answer), 0);
                assert_int_equal(answer.kind, i == 0 ? VERIFY_REFUTED : VERIFY_PROVED);
                assert_int_equal(answer.n_reasons, 0);
        }
}

static void without_rules_everything_is_open(void **state) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        World w = {.arena = a};
        VerifyReport report;
        const char *what;
        Policy *p;
        Ruleset *rs;

        (void)world_of(a, guarded, &p, &rs);
        surround(&w);
        assert_int_equal(verify_claims(p, &w, a, &report, &what), 0);
        for (size_t i = 0; i < report.n_answers; i++) {
                assert_int_equal(report.answers[i].kind, VERIFY_REFUTED);
                assert_non_null(report.answers[i].connection);
        }
}

/* Chains that lead to each other further than anybody follows. */
static void rules_that_are_too_complex_leave_claims_undecided(void **state) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        VerifyReport report;
        const char *what;
        Policy *p;
        Ruleset *rs;
        World *w = world_of(a, expecting, &p, &rs);
        Chain *last = ruleset_find_chain(rs, "input");

        for (unsigned int i = 0; i < 60; i++) {
                Chain *next = ruleset_add_chain(rs, arena_printf(a, "deep-%u", i));

                assert_non_null(chain_add_rule(
                        rs, last, (Verdict){.kind = VERDICT_JUMP, .chain = next}, (Origin){0}));
                /* before what decides */
                for (size_t j = last->n_rules - 1; j > 0; j--) {
                        Rule rule = last->rules[j];

                        last->rules[j] = last->rules[j - 1];
                        last->rules[j - 1] = rule;
                }
                last = next;
        }
        assert_int_equal(world_of_ruleset(a, rs, &w), 0);
        surround(w);
        assert_int_equal(verify_claims(p, w, a, &report, &what), 0);
        /* what is sent meets none of them */
        for (size_t i = 0; i < 4; i++) {
                assert_int_equal(report.answers[i].kind, VERIFY_UNDECIDED);
                assert_string_equal(report.answers[i].reasons[0], "the rules are too complex");
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_hole_is_never_proved_closed_and_comes_with_a_packet),
                cmocka_unit_test(without_rules_everything_is_open),
                cmocka_unit_test(rules_that_are_too_complex_leave_claims_undecided),
                cmocka_unit_test(what_the_policy_expects_of_itself_is_proved),
                cmocka_unit_test(one_rule_that_breaks_an_expectation_refutes_that_one),
                cmocka_unit_test(what_a_device_sends_on_by_loopback_refutes_what_it_lets_in),
                cmocka_unit_test(what_a_program_decides_is_undecided_for_that_reason),
                cmocka_unit_test(what_a_program_may_rewrite_behind_the_rules_is_undecided),
                cmocka_unit_test(with_ipsec_a_packet_may_come_with_any_mark),
                cmocka_unit_test(what_is_forwarded_is_shown_where_a_route_leads),
                cmocka_unit_test(what_cannot_be_forwarded_is_not_reachable),
                cmocka_unit_test(an_allow_of_an_interface_that_is_not_there_is_undecided),
                cmocka_unit_test(the_way_in_is_asked_of_the_whole_ruleset),
                cmocka_unit_test(what_is_compiled_is_proved_in_the_kernels_own_terms),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
