/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset/refused.h"

#include <netinet/in.h>

#include "ruleset/compile_unit.h"
#include "ruleset/packet.h"
#include "ruleset/shut.h"

#define N_PACKETS 4000

static const char catalogue[] = "ringwall: 1\n"
                                "zones:\n"
                                "  containers: { interfaces: [docker0] }\n"
                                "  vms: { interfaces: [virbr0] }\n"
                                "services:\n"
                                "  ssh: { tcp: 22 }\n"
                                "  dns: { tcp: 53, udp: 53 }\n"
                                "  https: { tcp: 443 }\n"
                                "  ping: { icmp: echo-request, icmpv6: echo-request }\n";

#define START "ringwall: 1\nzones: { lan: [10.0.0.0/24, \"fd00::/64\"] }\n"

static const char *const policies[] = {
        START,
        START "inbound: [{ allow: ssh, from: lan }, { deny: dns }, { allow: https }]\n"
              "protected: [{ services: [8443/tcp], only-from: lan }]\n",
        START "inbound: { default: reject, log: yes, rules: [{ allow: ssh, from: lan, log: yes },\n"
              "  { deny: any, from: 10.0.0.7 }] }\n"
              "routed: [{ allow: https, from: lan, to: 172.17.0.0/16 }]\n"
              "protected: [{ services: [dns, 443/tcp] }]\n",
        START "inbound: [{ allow: ssh, limit: 3/minute per source, connections: 2 }]\n"
              "outbound: { default: reject, rules: [{ allow: [dns, https] }] }\n"
              "settings: { counters: off }\n",
        START
        "inbound: { default: drop, log: 5/minute, rules: [{ deny: ssh, from: lan, log: X }] }\n"
        "outbound: { default: drop, rules: [{ allow: any, to: lan }] }\n"
        "settings: { counters: each }\n",
};

static uint64_t random_state = UINT64_C(88172645463325252);

static uint32_t draw(uint32_t n) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return (uint32_t)(random_state >> 33) % n;
}

static Hook random_packet(Packet *p) {
        static const Hook hooks[] = {HOOK_INPUT, HOOK_FORWARD, HOOK_OUTPUT};
        static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, 50};
        static const uint16_t ports[] = {22, 53, 443, 8443, 80};
        static const uint32_t states[] = {CT_STATE_NEW, CT_STATE_NEW, CT_STATE_NEW,
                                          CT_STATE_ESTABLISHED, CT_STATE_INVALID};
        static const char *const names[] = {"eth0", "docker0", "virbr0"};
        Family family = draw(3) == 0 ? FAMILY_IPV6 : FAMILY_IPV4;
        U128 own = family == FAMILY_IPV4 ? u128(0x0a000000) : (U128){UINT64_C(0xfd00) << 48, 0};
        U128 other = family == FAMILY_IPV4 ? u128(0xcb007100) : (U128){UINT64_C(0x2001) << 48, 0};
        PacketQuestion q = {
                .hook = hooks[draw(3)],
                .family = family,
                .in = names[draw(3)],
                .out = names[draw(3)],
                .source = draw(2) ? own : other,
                .destination = draw(2) ? u128(0xac110002) : own,
                .protocol = protocols[draw(4)],
                .source_port = 40000,
                .destination_port = ports[draw(5)],
                .icmp_type = 8,
                .ct_state = states[draw(5)],
                .translated = draw(4) == 0,
                .source_route = draw(10) == 0 ? SOURCE_UNROUTED : SOURCE_ROUTED,
        };

        q.source.low += draw(16);
        q.dialled = own;
        q.dialled_port = ports[draw(5)];
        packet_init(p, &q);
        return q.hook;
}

static bool is_shown(const Evaluation *e) {
        for (size_t i = 0; i < e->n_steps; i++)
                for (size_t j = 0; e->steps[i].rule && j < e->steps[i].rule->n_statements; j++)
                        if (e->steps[i].rule->statements[j].kind == STATEMENT_SAMPLE)
                                return true;
        return false;
}

static char *print(const Ruleset *rs) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        ruleset_print(rs, f);
        assert_int_equal(fclose(f), 0);
        return text;
}

static const char *reason(const Evaluation *e) {
        for (size_t i = e->n_steps; i > 0; i--)
                if (e->steps[i - 1].rule && e->steps[i - 1].rule->origin.text)
                        return e->steps[i - 1].rule->origin.text;
        return "";
}

static void no_packet_meets_anything_else_when_refusals_are_reported(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
                Arena *a = arena_new(0);
                Diag *d = diag_new(a);
                Ruleset *plain = unit_compile(a, catalogue, policies[i]),
                        *rs = unit_compile(a, catalogue, policies[i]);
                size_t n_shown = 0, n_silent = 0;

                assert_int_equal(ruleset_report_refused(rs), 0);
                if (ruleset_verify(rs, d) < 0) {
                        diag_print(d, stderr, false);
                        fail_msg("policy %zu is broken by reports", i);
                }
                for (size_t j = 0; j < N_PACKETS; j++) {
                        Evaluation before, after;
                        Packet p;
                        Hook hook = random_packet(&p);
                        bool always;

                        assert_int_equal(ruleset_eval(plain, a, hook, &p, &before), 0);
                        assert_int_equal(ruleset_eval(rs, a, hook, &p, &after), 0);
                        assert_int_equal(after.verdict, before.verdict);
                        assert_string_equal(reason(&after), reason(&before));
                        /* all that the policy refuses is shown, and nothing else */
                        always = startswith(reason(&after), "always: ");
                        assert_int_equal(is_shown(&after),
                                         after.verdict != VERDICT_ACCEPT && !always);
                        n_shown += is_shown(&after);
                        n_silent += !is_shown(&after);
                }
                assert_true(n_shown > 0 && n_silent > 0);
                (void)arena_free(a);
        }
}

static void forgetting_leaves_what_was_there_before(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
                Arena *a = arena_new(0);
                Ruleset *plain = unit_compile(a, catalogue, policies[i]),
                        *rs = unit_compile(a, catalogue, policies[i]);
                char *before = print(rs), *reported, *again, *after;

                assert_int_equal(ruleset_report_refused(rs), 0);
                assert_false(ruleset_equal(rs, plain));
                reported = print(rs);
                assert_int_equal(ruleset_report_refused(rs), 0);
                again = print(rs);
                assert_string_equal(again, reported);
                ruleset_forget_refused(rs);
                assert_true(ruleset_equal(rs, plain));
                after = print(rs);
                assert_string_equal(after, before);
                ruleset_forget_refused(rs);
                assert_true(ruleset_equal(rs, plain));
                free(before);
                free(reported);
                free(again);
                free(after);
                (void)arena_free(a);
        }
}

/* Of such as the daemon puts in force, which report. */
static void
what_can_be_in_force_in_an_instant_admits_what_is_established_and_nothing_more(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
                Arena *a = arena_new(0);
                Diag *d = diag_new(a);
                Ruleset *rs = unit_compile(a, catalogue, policies[i]), *shut;
                size_t n_admitted = 0, n_refused = 0;

                assert_int_equal(ruleset_report_refused(rs), 0);
                shut = ruleset_shut(a, rs);
                assert_non_null(shut);
                assert_int_equal(shut->n_sets, 0);
                if (ruleset_verify(shut, d) < 0) {
                        diag_print(d, stderr, false);
                        fail_msg("policy %zu is broken", i);
                }
                for (size_t j = 0; j < N_PACKETS; j++) {
                        Evaluation whole, at_first;
                        Packet p;
                        Hook hook = random_packet(&p);

                        assert_int_equal(ruleset_eval(rs, a, hook, &p, &whole), 0);
                        assert_int_equal(ruleset_eval(shut, a, hook, &p, &at_first), 0);
                        if (hook == HOOK_OUTPUT) /* where all the rest may be accepted */
                                continue;
                        assert_true(at_first.verdict != VERDICT_ACCEPT ||
                                    whole.verdict == VERDICT_ACCEPT);
                        if (p.values[FIELD_CT_STATE].low == CT_STATE_ESTABLISHED)
                                assert_int_equal(at_first.verdict, whole.verdict);
                        n_admitted += at_first.verdict == VERDICT_ACCEPT;
                        n_refused += at_first.verdict != VERDICT_ACCEPT;
                }
                assert_true(n_admitted > 0 && n_refused > 0);
                (void)arena_free(a);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_packet_meets_anything_else_when_refusals_are_reported),
                cmocka_unit_test(forgetting_leaves_what_was_there_before),
                cmocka_unit_test(
                        what_can_be_in_force_in_an_instant_admits_what_is_established_and_nothing_more),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
