/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/unit.h"
#include "policy/loader.h"
#include "proof/meaning_change.h"
#include "ruleset/pass.h"

#define N_PAIRS 120
#define RULES_MAX 24

static const char catalogue[] = "ringwall: 1\n"
                                "zones:\n"
                                "  containers: { interfaces: [docker0] }\n"
                                "  vms: { interfaces: [\"virbr*\"] }\n"
                                "  lan: [10.0.0.0/8, \"fd00::/8\"]\n"
                                "  vpn: { interfaces: [wg0] }\n"
                                "  branch: { interfaces: [wg1], addresses: [10.9.0.0/16] }\n"
                                "services:\n"
                                "  ssh: { tcp: 22 }\n"
                                "  web: { tcp: [80, 443] }\n"
                                "  ping: { icmp: echo-request, icmpv6: echo-request }\n";

static uint64_t random_state = 88172645463325252U;

static uint32_t draw(uint32_t below) {
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 33) % below;
}

#define draw_of(list) ((list)[draw(ARRAY_SIZE(list))])

typedef struct Draft {
        const char *rules[3][RULES_MAX]; /* of each section */
        size_t n[3];
        const char *rest;
} Draft;

static const char *draw_rule(Arena *a, size_t section) {
        static const char *const services[] = {"ssh",    "web",           "ping",      "80/tcp",
                                               "53/udp", "[ssh, 53/udp]", "20-90/tcp", "any"};
        static const char *const places[] = {"lan",      "vpn",         "anywhere", "branch",
                                             "10.1.2.3", "10.9.0.0/16", "10.1.2.7", "10.1.2.9"};
        static const char *const limits[] = {", limit: 3/minute", ", limit: 9/hour",
                                             ", connections: 5"};
        const char *service =
                draw(2) ? draw_of(services)
                        : arena_printf(a, "%u/%s", 1000 + draw(12), draw(3) ? "tcp" : "udp");
        bool allows = draw(4) > 0;

        return arena_printf(a, "  - { %s: %s%s%s%s%s%s }\n", allows ? "allow" : "deny", service,
                            section != 2 ? ", from: " : "", section != 2 ? draw_of(places) : "",
                            section > 0 ? ", to: " : "",
                            section > 0 ? (draw(2) ? "192.0.2.0/24" : "10.1.0.0/16") : "",
                            allows && draw(6) == 0 ? draw_of(limits) : "");
}

static const char *draw_rest(Arena *a) {
        static const char *const nat[] = {
                "",
                "nat:\n  - { masquerade: lan, out: eth0 }\n",
                "nat:\n  - { masquerade: 10.1.2.3, out: eth0 }\n"
                "  - { forward: 8080/tcp, to: 10.1.2.3 }\n",
                "nat:\n  - { forward: 8080/tcp, to: 10.1.2.3 }\n"
                "  - { forward: 90/udp, to: \"10.1.2.7:53\", in: eth0 }\n",
        };

        return arena_printf(a, "%s%s",
                            draw(2) ? "protected:\n  - { services: 9000/tcp, only-from: vpn }\n"
                                    : "",
                            draw_of(nat));
}

static void draw_draft(Arena *a, Draft *d) {
        for (size_t s = 0; s < 3; s++) {
                d->n[s] = 1 + draw(s == 0 ? RULES_MAX - 1 : 6);
                for (size_t i = 0; i < d->n[s]; i++)
                        d->rules[s][i] = draw_rule(a, s);
        }
        d->rest = draw_rest(a);
}

/* One rule is taken away, put in, replaced, or told in another place; or what follows the rules is
 * another. */
static void edit(Arena *a, Draft *d) {
        size_t s = draw(3), at = draw((uint32_t)d->n[s]), to = draw((uint32_t)d->n[s]);
        const char *rule = d->rules[s][at];

        switch (draw(5)) {
        case 0:
                if (d->n[s] > 1)
                        memmove(&d->rules[s][at], &d->rules[s][at + 1],
                                (--d->n[s] - at) * sizeof(rule));
                return;
        case 1:
                if (d->n[s] < RULES_MAX)
                        d->rules[s][d->n[s]++] = draw_rule(a, s);
                return;
        case 2:
                d->rules[s][at] = draw_rule(a, s);
                return;
        case 3:
                d->rules[s][at] = d->rules[s][to];
                d->rules[s][to] = rule;
                return;
        default:
                d->rest = draw_rest(a);
        }
}

static const char *write_draft(Arena *a, const Draft *d) {
        static const char *const sections[] = {"inbound:\n", "routed:\n", "outbound:\n"};
        const char *text = "ringwall: 1\n";

        for (size_t s = 0; s < 3; s++) {
                text = arena_printf(a, "%s%s", text, sections[s]);
                for (size_t i = 0; i < d->n[s]; i++)
                        text = arena_printf(a, "%s%s", text, d->rules[s][i]);
        }
        return arena_printf(a, "%s%s", text, d->rest);
}

static Ruleset *compile(Arena *a, const char *text) {
        const KernelFeatures features = {.fib_in_filter = true};
        Diag *d = diag_new(a);
        Policy *policy;
        Ruleset *rs;

        if (policy_load_text(a, (Source){"catalogue", catalogue, strlen(catalogue)},
                             (Source){"test.yaml", text, strlen(text)}, &policy, d) < 0)
                return NULL;
        assert_int_equal(ruleset_compile(policy, &features, NULL, a, &rs, d), 0);
        return rs;
}

typedef struct Pair {
        const Ruleset *before, *after;
        const Changes *changes;
        const char *text;
        size_t n_asked, n_narrow; /* questions that some packets differ in or may; that few may */
} Pair;

static void
check_asked(Pair *p, Meaning *m, DiagramId old, DiagramId new, DiagramId asked, DiagramId care) {
        Diagram *d = meaning_diagram(m);
        DiagramId missed = diagram_minus(d, diagram_difference(d, old, new), asked);

        unit_equal(p->text, meaning_error(m), 0);
        unit_equal(p->text, diagram_and(d, care, missed), DIAGRAM_EMPTY);
        p->n_asked += asked != DIAGRAM_EMPTY;
        p->n_narrow += asked != DIAGRAM_EMPTY && asked != care;
}

static void check_way(Pair *p, Meaning *m, MeaningWay way, DiagramId care) {
        DiagramId old, new;

        meaning_take(m, p->before);
        old = meaning_of(m, way, care);
        meaning_take(m, p->after);
        new = meaning_of(m, way, care);
        check_asked(p, m, old, new,
                    meaning_of_changes(m, way, p->changes, p->before, p->after, care), care);
}

static void check_pair(Pair *p) {
        for (Family f = 0; f < _FAMILY_MAX; f++) {
                _cleanup_(meaning_freep) Meaning *m = meaning_new(p->before, f);
                DiagramId care, old, new;

                assert_non_null(m);
                assert_int_equal(meaning_add(m, p->after), 0);
                assert_int_equal(meaning_finish(m), 0);
                meaning_tell_limits(m);
                care = meaning_domain(m);
                for (MeaningWay way = 0; way < _MEANING_WAY_MAX; way++)
                        check_way(p, m, way, care);
                meaning_take(m, p->before);
                old = meaning_of_translation(m, care);
                meaning_take(m, p->after);
                new = meaning_of_translation(m, care);
                check_asked(p, m, old, new,
                            meaning_of_nat_changes(m, HOOK_PREROUTING, p->changes, p->before,
                                                   p->after, care),
                            care);
                meaning_take(m, p->before);
                old = meaning_of_masquerade(m, care);
                meaning_take(m, p->after);
                new = meaning_of_masquerade(m, care);
                check_asked(p, m, old, new,
                            meaning_of_nat_changes(m, HOOK_POSTROUTING, p->changes, p->before,
                                                   p->after, care),
                            care);
        }
}

static void no_packet_fares_otherwise_that_is_not_among_the_changes(void **state) {
        size_t n_asked = 0, n_narrow = 0, n = 0;

        for (size_t i = 0; i < 10 * N_PAIRS && n < N_PAIRS; i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                _cleanup_(changes_freep) Changes *changes = NULL;
                Pair p = {0};
                Draft draft;

                draw_draft(a, &draft);
                p.before = compile(a, write_draft(a, &draft));
                for (uint32_t j = draw(3); j < 3; j++)
                        edit(a, &draft);
                p.text = write_draft(a, &draft);
                p.after = compile(a, p.text);
                if (!p.before || !p.after)
                        continue; /* a contradiction, say */
                n++;
                p.changes = changes = changes_new(p.before, p.after);
                assert_non_null(changes);
                check_pair(&p);
                n_asked += p.n_asked;
                n_narrow += p.n_narrow;
        }
        assert_int_equal(n, N_PAIRS);
        assert_true(n_asked > N_PAIRS);
        assert_true(n_narrow * 4 > n_asked * 3);
}

static void the_same_policy_twice_has_no_changes(void **state) {
        size_t n = 0;

        for (size_t i = 0; i < 100 && n < 10; i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                _cleanup_(changes_freep) Changes *changes = NULL;
                Pair p = {0};
                Draft draft;

                draw_draft(a, &draft);
                p.text = write_draft(a, &draft);
                p.before = compile(a, p.text);
                p.after = compile(a, p.text);
                if (!p.before)
                        continue;
                n++;
                p.changes = changes = changes_new(p.before, p.after);
                assert_non_null(changes);
                check_pair(&p);
                assert_int_equal(p.n_asked, 0);
        }
        assert_int_equal(n, 10);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_packet_fares_otherwise_that_is_not_among_the_changes),
                cmocka_unit_test(the_same_policy_twice_has_no_changes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
