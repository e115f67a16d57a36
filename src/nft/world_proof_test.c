/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "base/unit.h"
#include "nft/world_read.h"
#include "proof/verify.h"
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

static const char *const names[] = {"lo", "eth0", "wg0", "docker0"};

static void add_address(World *w, Family f, const char *text, uint8_t prefix, int index) {
        WorldAddress a = {.family = f, .prefix = prefix, .index = index};
        WorldRoute local = {.family = f,
                            .prefix = f == FAMILY_IPV4 ? 32 : 128,
                            .type = 2,
                            .table = 255,
                            .index = index};
        WorldRoute net = {.family = f, .prefix = prefix, .type = 1, .table = 254, .index = index};
        Family parsed;
        U128 mask = u128_low_mask((f == FAMILY_IPV4 ? 32U : 128U) - prefix);

        assert_int_equal(address_parse(text, &parsed, &a.address), 0);
        local.destination = a.address;
        net.destination = (U128){a.address.high & ~mask.high, a.address.low & ~mask.low};
        assert_true(arena_append(w->arena, w->addresses, w->n_addresses, a));
        assert_true(arena_append(w->arena, w->routes, w->n_routes, local));
        assert_true(arena_append(w->arena, w->routes, w->n_routes, net));
}

static void surround(World *w) {
        WorldRoute all4 = {
                .family = FAMILY_IPV4, .type = 1, .table = 254, .index = 2, .metric = 100};
        WorldRoute all6 = {
                .family = FAMILY_IPV6, .type = 1, .table = 254, .index = 2, .metric = 100};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                WorldInterface in = {.index = (int)i + 1,
                                     .name = names[i],
                                     .type = 1,
                                     .up = true,
                                     .loopback = i == 0};

                assert_true(arena_append(w->arena, w->interfaces, w->n_interfaces, in));
        }
        add_address(w, FAMILY_IPV4, "192.0.2.10", 24, 2);
        add_address(w, FAMILY_IPV6, "2001:db8:1::10", 64, 2);
        add_address(w, FAMILY_IPV4, "10.8.0.1", 24, 3);
        add_address(w, FAMILY_IPV4, "172.17.0.1", 16, 4);
        assert_true(arena_append(w->arena, w->routes, w->n_routes, all4));
        assert_true(arena_append(w->arena, w->routes, w->n_routes, all6));
        w->forwards4 = w->forwards6 = true;
}

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
        r = verify_protected(p, w, a, &report, &what);
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

static uint64_t random_state = 88172645463325252U;

static uint32_t draw(uint32_t below) {
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 33) % below;
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
                unit_equal(chain, verify_protected(p, w, a, &report, &what), 0);
                for (size_t j = 0; j < report.n_answers; j++) {
                        broken |= report.answers[j].kind != VERIFY_PROVED;
                        n_refuted += report.answers[j].kind == VERIFY_REFUTED;
                }
                n++;
                unit_true(chain, broken);
        }
        assert_int_equal(n_refuted, n);
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
        assert_int_equal(verify_protected(p, &w, a, &report, &what), 0);
        for (size_t i = 0; i < report.n_answers; i++) {
                assert_int_equal(report.answers[i].kind, VERIFY_REFUTED);
                assert_non_null(report.answers[i].connection);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_hole_is_never_proved_closed_and_comes_with_a_packet),
                cmocka_unit_test(without_rules_everything_is_open),
                cmocka_unit_test(what_is_compiled_is_proved_in_the_kernels_own_terms),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
