/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/refusal.h"

#include <netinet/in.h>

#include "base/unit.h"
#include "ruleset/pass.h"
#include "ruleset/refused.h"

static const char catalogue[] = "ringwall: 1\n"
                                "zones:\n"
                                "  containers: { interfaces: [docker0] }\n"
                                "  vms: { interfaces: [virbr0] }\n"
                                "services:\n"
                                "  ssh: { tcp: 22 }\n"
                                "  dns: { tcp: 53, udp: 53 }\n";

static const char policy_text[] =
        "ringwall: 1\n"
        "zones: { lan: [10.0.0.0/24] }\n"
        "inbound:\n"
        "  - { allow: ssh, from: lan, limit: 3/minute }\n"
        "  - { deny: 23/tcp }\n"
        "  - { deny: 24/tcp, name: \"default: an odd name\" }\n"
        "  - { deny: [80/tcp, 81/tcp], from: [10.0.0.1, 10.0.0.3, 10.0.0.5] }\n"
        "  - { allow: 8080/tcp, until: 2030-01-01T00:00Z }\n"
        "protected: [{ services: [11434/tcp, 5432/tcp], only-from: lan }]\n"
        "routed: { default: reject, rules: [{ allow: dns, from: lan }] }\n"
        "outbound: { default: drop, rules: [{ allow: dns, user: 100 }] }\n";

#define TIME_2029 (UINT64_C(1861920000) * UINT64_C(1000000000))
#define TIME_2031 (UINT64_C(1924992000) * UINT64_C(1000000000))

static Ruleset *compile(Arena *a) {
        static const KernelFeatures features = {.fib_in_filter = true};
        Diag *d = diag_new(a);
        Policy *policy;
        Ruleset *rs;

        if (policy_load_text(a, (Source){"catalogue.yaml", catalogue, sizeof(catalogue) - 1},
                             (Source){"p.yaml", policy_text, sizeof(policy_text) - 1}, &policy,
                             d) < 0) {
                diag_print(d, stderr, false);
                fail_msg("the policy of this test is not valid");
        }
        assert_int_equal(ruleset_compile(policy, &features, NULL, a, &rs, d), 0);
        assert_int_equal(ruleset_report_refused(rs), 0);
        return rs;
}

static LogLine line_to(Hook hook, uint32_t source, uint8_t protocol, uint16_t port) {
        return (LogLine){
                .in = "eth0",
                .has_addresses = true,
                .family = FAMILY_IPV4,
                .source = u128(source),
                .destination = u128(0x0a000001),
                .protocol = protocol,
                .has_ports = true,
                .source_port = 50000,
                .destination_port = port,
                .hook = hook,
        };
}

#define LAN 0x0a000005
#define WAN 0xcb007105

static void tells_each_kind_of_refusal_with_its_line(void **state) {
        static const struct {
                const char *name;
                Hook hook;
                uint32_t source;
                uint8_t protocol;
                uint16_t port;
                RefusalKind kind;
                SectionId section;
                const char *by;
        } rows[] = {
                {"default", HOOK_INPUT, WAN, 6, 22, REFUSAL_DEFAULT, SECTION_INBOUND,
                 "inbound default: drop"},
                {"deny", HOOK_INPUT, WAN, 6, 23, REFUSAL_DENY, SECTION_INBOUND,
                 "p.yaml:5: deny 23/tcp"},
                {"a named deny", HOOK_INPUT, WAN, 6, 24, REFUSAL_DENY, SECTION_INBOUND,
                 "p.yaml:6: "},
                {"a deny by source", HOOK_INPUT, LAN, 6, 81, REFUSAL_DENY, SECTION_INBOUND,
                 "p.yaml:7: deny "},
                {"protected", HOOK_INPUT, WAN, 6, 5432, REFUSAL_PROTECTED, SECTION_INBOUND,
                 "p.yaml:9: protected "},
                {"limit", HOOK_INPUT, LAN, 6, 22, REFUSAL_LIMIT, SECTION_INBOUND,
                 "p.yaml:4: allow ssh from lan limit 3/minute"},
                {"routed", HOOK_FORWARD, WAN, 17, 53, REFUSAL_DEFAULT, SECTION_ROUTED,
                 "p.yaml:10: routed default: reject"},
                {"outbound", HOOK_OUTPUT, LAN, 6, 443, REFUSAL_DEFAULT, SECTION_OUTBOUND,
                 "p.yaml:11: outbound default: drop"},
                {"outbound, behind the translation", HOOK_POSTROUTING, LAN, 6, 443, REFUSAL_DEFAULT,
                 SECTION_OUTBOUND, "p.yaml:11: outbound default: drop"},
                {"allowed by now", HOOK_INPUT, WAN, 6, 8080, REFUSAL_OUTDATED, SECTION_INBOUND, ""},
        };
        const Ruleset *rs = compile(*state);

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                LogLine line =
                        line_to(rows[i].hook, rows[i].source, rows[i].protocol, rows[i].port);
                Refusal found;

                unit_equal(rows[i].name, refusal_find(rs, &line, TIME_2029, &found), 1);
                unit_equal(rows[i].name, found.kind, rows[i].kind);
                unit_equal(rows[i].name, found.section, rows[i].section);
                if (!startswith(found.by, rows[i].by) || (!*rows[i].by && *found.by))
                        fail_msg("%s: '%s' instead of '%s'", rows[i].name, found.by, rows[i].by);
        }
}

static void a_rule_that_has_ended_admits_nothing(void **state) {
        const Ruleset *rs = compile(*state);
        LogLine line = line_to(HOOK_INPUT, WAN, 6, 8080);
        Refusal found;

        assert_int_equal(refusal_find(rs, &line, TIME_2031, &found), 1);
        assert_int_equal(found.kind, REFUSAL_DEFAULT);
}

static void who_owns_the_socket_is_asked_for(void **state) {
        const Ruleset *rs = compile(*state);
        LogLine line = line_to(HOOK_OUTPUT, LAN, 17, 53);
        Refusal found;

        assert_int_equal(refusal_find(rs, &line, TIME_2029, &found), 1);
        assert_int_equal(found.kind, REFUSAL_DEFAULT);
        line.has_user = true;
        line.user = 100;
        assert_int_equal(refusal_find(rs, &line, TIME_2029, &found), 1);
        assert_int_equal(found.kind, REFUSAL_OUTDATED);
}

static void a_published_port_is_judged_by_what_was_dialled(void **state) {
        const Ruleset *rs = compile(*state);
        LogLine line = line_to(HOOK_FORWARD, WAN, 6, 80);
        Refusal found;

        line.has_connection = line.translated = true;
        line.ct_state = CT_STATE_NEW;
        line.dialled = u128(0xcb007109);
        line.dialled_port = 23;
        assert_int_equal(refusal_find(rs, &line, TIME_2029, &found), 1);
        assert_int_equal(found.kind, REFUSAL_DENY);
        assert_int_equal(found.section, SECTION_INBOUND);
        assert_int_equal(found.destination_port, 23);
        assert_int_equal(found.destination.low, 0xcb007109);
        assert_true(found.translated && found.is_dialled_known);
        assert_string_equal(found.by, "p.yaml:5: deny 23/tcp");
        line.destination_port = 5432; /* where it ends */
        assert_int_equal(refusal_find(rs, &line, TIME_2029, &found), 1);
        assert_int_equal(found.kind, REFUSAL_PROTECTED);
}

static void where_the_kernel_does_not_tell_what_was_dialled_it_is_not_guessed(void **state) {
        const Ruleset *rs = compile(*state);
        LogLine line = line_to(HOOK_FORWARD, WAN, 6, 80);
        Refusal found;

        (void)snprintf(line.prefix, sizeof(line.prefix), "%s", RULESET_TRANSLATED);
        assert_int_equal(refusal_find(rs, &line, TIME_2029, &found), 1);
        assert_int_equal(found.section, SECTION_INBOUND);
        assert_true(found.translated && !found.is_dialled_known);
        assert_string_equal(found.by, "inbound default: drop");
}

static void what_is_no_packet_of_a_hook_is_not_asked_about(void **state) {
        const Ruleset *rs = compile(*state);
        LogLine line = line_to(HOOK_NONE, WAN, 6, 22);
        Refusal found;

        assert_int_equal(refusal_find(rs, &line, TIME_2029, &found), 0);
        line.hook = HOOK_INPUT;
        line.has_addresses = false;
        assert_int_equal(refusal_find(rs, &line, TIME_2029, &found), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(tells_each_kind_of_refusal_with_its_line),
                unit_arena_test(a_rule_that_has_ended_admits_nothing),
                unit_arena_test(who_owns_the_socket_is_asked_for),
                unit_arena_test(a_published_port_is_judged_by_what_was_dialled),
                unit_arena_test(where_the_kernel_does_not_tell_what_was_dialled_it_is_not_guessed),
                unit_arena_test(what_is_no_packet_of_a_hook_is_not_asked_about),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
