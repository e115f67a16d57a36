/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "base/unit.h"
#include "proof/difference.h"
#include "ruleset/pass.h"
#include "ruleset/refused.h"

#define N_PAIRS 80
#define N_PACKETS 1500 /* a pair */
#define REGIONS 5000

static const char catalogue[] = "ringwall: 1\n"
                                "zones:\n"
                                "  containers: { interfaces: [docker0, \"br-*\"] }\n"
                                "  vms: { interfaces: [\"virbr*\"] }\n"
                                "  lan: [10.0.0.0/8, \"fd00::/8\"]\n"
                                "  vpn: { interfaces: [wg0] }\n"
                                "  branch: { interfaces: [wg1], addresses: [10.9.0.0/16] }\n"
                                "services:\n"
                                "  ssh: { tcp: 22 }\n"
                                "  web: { tcp: [80, 443] }\n"
                                "  postgresql: { tcp: 5432 }\n"
                                "  ping: { icmp: echo-request, icmpv6: echo-request }\n";

typedef struct Compiled {
        Policy *policy;
        Ruleset *rs;
} Compiled;

static bool compile_for(Arena *a, const char *text, bool fib_in_filter, Compiled *ret) {
        const KernelFeatures features = {.fib_in_filter = fib_in_filter};
        Diag *d = diag_new(a);

        if (policy_load_text(a, (Source){"catalogue", catalogue, strlen(catalogue)},
                             (Source){"test.yaml", text, strlen(text)}, &ret->policy, d) < 0)
                return false;
        assert_int_equal(ruleset_compile(ret->policy, &features, NULL, a, &ret->rs, d), 0);
        return true;
}

static bool compile(Arena *a, const char *text, Compiled *ret) {
        return compile_for(a, text, true, ret);
}

static char *describe(Arena *a, const Difference *difference, const Policy *p) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        for (size_t i = 0; i < difference->n_regions; i++) {
                const DifferenceRegion *r = &difference->regions[i];

                if (r->way == DIFFERENCE_DIALLED || r->family == FAMILY_IPV6 || r->unusual)
                        continue;
                fprintf(f, "%s: %s: ", difference_way_to_string(r->way),
                        difference_kind_to_string(r->kind));
                (void)difference_describe(r, p, a, f);
                fputc('\n', f);
        }
        assert_int_equal(fclose(f), 0);
        return arena_strdup(a, text);
}

static const struct {
        const char *name, *before, *after, *expected;
} rows[] = {
        {"a service comes", "", "inbound: [{ allow: postgresql, from: 10.1.0.0/16 }]\n",
         "inbound: newly reachable: tcp 5432 (postgresql) from 10.1.0.0/16\n"},
        {"a service goes", "inbound: [{ allow: ssh, from: lan }]\n", "",
         "inbound: no longer reachable: tcp 22 (ssh) from lan\n"},
        {"the text is another, the meaning is not",
         "inbound: [{ allow: [ssh, 80/tcp] }, { allow: 443/tcp }]\n",
         "inbound: [{ allow: web }, { allow: 22/tcp }, { allow: ssh, from: lan }]\n", ""},
        {"a deny in front", "inbound: [{ allow: ssh }]\n",
         "inbound: [{ deny: any, from: 192.0.2.0/24 }, { allow: ssh }]\n",
         "inbound: no longer reachable: tcp 22 (ssh) from 192.0.2.0/24\n"},
        {"fewer may", "inbound: [{ allow: ssh }]\n", "inbound: [{ allow: ssh, from: lan }]\n",
         "inbound: no longer reachable: tcp 22 (ssh) from anywhere but lan\n"},
        {"a limit comes", "inbound: [{ allow: ssh }]\n",
         "inbound: [{ allow: ssh, limit: 3/minute per source }]\n",
         "inbound: reachable within a limit only: tcp 22 (ssh), within 3/minute burst 3 per "
         "source\n"},
        {"a limit goes", "inbound: [{ allow: ssh, connections: 4 }]\n",
         "inbound: [{ allow: ssh }]\n",
         "inbound: no longer limited: tcp 22 (ssh), before within 4 connections\n"},
        {"a limit is another one", "inbound: [{ allow: ssh, limit: 3/minute }]\n",
         "inbound: [{ allow: ssh, limit: 4/minute }]\n",
         "inbound: within another limit: tcp 22 (ssh), within 4/minute burst 4, before 3/minute "
         "burst 3\n"},
        {"the same limit", "inbound: [{ allow: ssh, limit: 3/minute }]\n",
         "inbound: [{ allow: 22/tcp, limit: 3/minute }]\n", ""},
        {"what passes through", "", "routed: [{ allow: any, from: lan, to: vpn }]\n",
         "routed: newly reachable: any protocol from 10.0.0.0/8 in any interface but br-*, "
         "docker0 to vpn\n"},
        {"what goes out", "", "outbound:\n  default: drop\n",
         "outbound: no longer reachable: any protocol\n"},
        {"a forward and a masquerade", "inbound: [{ allow: 80/tcp }]\n",
         "inbound: [{ allow: 80/tcp }]\n"
         "nat: [{ forward: 80/tcp, to: \"10.5.5.5:90\" }, { masquerade: lan, out: eth0 }]\n",
         "forwarded: newly translated: tcp 80, sent to 10.5.5.5 port 90\n"
         "masqueraded: newly translated: any protocol from lan out eth0\n"},
        {"refused silently or with an answer", "outbound:\n  default: drop\n",
         "outbound:\n  default: reject\n", ""},
        {"protocols", "inbound: [{ allow: ssh, from: lan }]\n",
         "inbound: [{ allow: any, from: lan }]\n",
         "inbound: newly reachable: any protocol but tcp from lan\n"
         "inbound: newly reachable: tcp any port but 22 from lan\n"},
};

static void differences_are_told_in_few_words(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                Compiled before, after;
                Difference d;

                unit_true(rows[i].name,
                          compile(a, arena_printf(a, "ringwall: 1\n%s", rows[i].before), &before));
                unit_true(rows[i].name,
                          compile(a, arena_printf(a, "ringwall: 1\n%s", rows[i].after), &after));
                unit_equal(rows[i].name, difference_find(before.rs, after.rs, REGIONS, a, &d), 0);
                unit_string(rows[i].name, describe(a, &d, after.policy), rows[i].expected);
        }
}

static uint64_t random_state = 88172645463325252U;

static uint32_t draw(uint32_t below) {
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 33) % below;
}

#define draw_of(list) ((list)[draw(ARRAY_SIZE(list))])

static void write_rule(FILE *f, const char *section) {
        static const char *const services[] = {"ssh", "web",           "ping", "80/tcp",   "53/udp",
                                               "any", "[ssh, 53/udp]", "esp",  "20-90/tcp"};
        static const char *const places[] = {"lan",           "vpn",         "anywhere",
                                             "10.1.2.3",      "10.9.0.0/16", "branch",
                                             "\"fd00::/16\"", "containers",  "192.0.2.0/24"};
        static const char *const names[] = {"eth0", "wg0", "\"br-*\"", "docker0"};
        bool outbound = streq(section, "outbound"), routed = streq(section, "routed");

        fprintf(f, "  - { %s: %s", draw(2) ? "allow" : "deny", draw_of(services));
        if (!outbound)
                fprintf(f, ", from: %s", draw_of(places));
        if (outbound || routed)
                fprintf(f, ", to: %s", draw(2) ? "192.0.2.0/24" : "10.1.0.0/16");
        if (!outbound && draw(3) == 0)
                fprintf(f, ", in: %s", draw_of(names));
        if ((outbound || routed) && draw(3) == 0)
                fprintf(f, ", out: %s", draw_of(names));
        if (outbound && draw(3) == 0)
                fprintf(f, ", user: %u", draw(3));
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
                        fprintf(f, "  default: %s\n  rules:\n", draw(2) ? "reject" : "allow");
                for (uint32_t j = 0; j < 1 + draw(4); j++)
                        write_rule(f, sections[i]);
        }
        if (draw(2))
                fputs("protected:\n  - { services: 9000/tcp, only-from: vpn }\n", f);
        if (draw(3) == 0)
                fputs("settings: { antispoof: strict }\n", f);
        assert_int_equal(fclose(f), 0);
        return arena_strdup(a, text);
}

typedef struct Sample {
        PacketQuestion q;
        DifferenceWay way;
        bool usual;
        U128 values[_MEANING_VARIABLE_MAX];
} Sample;

static U128 draw_address(Family f) {
        static const char *const four[] = {
                "9.255.255.255", "10.0.0.0",     "10.1.2.2",  "10.1.2.3",     "10.1.2.4",
                "10.1.255.255",  "10.8.255.255", "10.9.0.0",  "10.9.255.255", "10.255.255.255",
                "11.0.0.0",      "192.0.1.255",  "192.0.2.0", "192.0.2.255",  "192.0.3.0"};
        static const char *const six[] = {"fcff::1",    "fd00::", "fd00:ffff::1", "fd01::1",
                                          "fdff::ffff", "fe00::", "2001:db8::1"};
        const char *text = f == FAMILY_IPV4 ? draw_of(four) : draw_of(six);
        U128 address;

        assert_int_equal(address_parse(text, &f, &address), ADDRESS_OK);
        return address;
}

/* At the edges of what the policies tell apart. */
static void draw_sample(Sample *s) {
        static const char *const names[] = {"eth0",    "wg0",    "wg1", "br-a",
                                            "docker0", "virbr0", "eth9"};
        static const uint16_t ports[] = {19, 20, 22, 23, 53, 80, 90, 91, 443, 444, 9000};
        static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_TCP,  IPPROTO_UDP,
                                            IPPROTO_ESP, IPPROTO_ICMP, IPPROTO_ICMPV6};
        static const uint8_t icmp_types[] = {0, 8, 9, 128, 129};
        static const DifferenceWay four_ways[] = {DIFFERENCE_INBOUND, DIFFERENCE_DIALLED,
                                                  DIFFERENCE_ROUTED, DIFFERENCE_OUTBOUND};
        DifferenceWay w = draw_of(four_ways);
        Family f = draw(3) == 0 ? FAMILY_IPV6 : FAMILY_IPV4;
        bool out = w == DIFFERENCE_OUTBOUND, dialled = w == DIFFERENCE_DIALLED;
        PacketQuestion q = {
                .hook = out                       ? HOOK_OUTPUT
                        : w == DIFFERENCE_INBOUND ? HOOK_INPUT
                                                  : HOOK_FORWARD,
                .family = f,
                .in = draw_of(names),
                .out = draw_of(names),
                .source = draw_address(f),
                .destination = draw_address(f),
                .protocol = draw_of(protocols),
                .source_port = 50000,
                .destination_port = draw_of(ports),
                .icmp_type = draw_of(icmp_types),
                .ct_state = CT_STATE_NEW,
                .has_user = out && draw(2),
                .user = draw(4),
                .translated = dialled,
        };

        q.has_group = q.has_user;
        q.dialled = dialled ? draw_address(f) : q.destination;
        q.dialled_port = dialled ? draw_of(ports) : q.destination_port;
        if (!out && draw(4) == 0)
                q.source_route = draw(2) ? SOURCE_ELSEWHERE : SOURCE_UNROUTED;
        *s = (Sample){.q = q, .way = w, .usual = q.source_route == SOURCE_ROUTED};
        s->values[MEANING_SOURCE] = q.source;
        s->values[MEANING_DIALLED] = q.dialled;
        s->values[MEANING_FINAL] = q.destination;
        s->values[MEANING_PROTOCOL] = u128(q.protocol);
        s->values[MEANING_DIALLED_PORT] = u128(q.dialled_port);
        s->values[MEANING_FINAL_PORT] = u128(q.destination_port);
        s->values[MEANING_SOURCE_PORT] = u128(q.source_port);
        s->values[MEANING_ICMP] = u128(q.icmp_type);
        s->values[MEANING_IN] = interface_value(q.in);
        s->values[MEANING_OUT] = interface_value(q.out);
        s->values[MEANING_HOPS] = u128(64);
        s->values[MEANING_USER] = u128(q.has_user ? q.user : MEANING_NOBODY);
        s->values[MEANING_GROUP] = u128(q.has_group ? q.group : MEANING_NOBODY);
        s->values[MEANING_HOOK] = u128(q.hook == HOOK_FORWARD);
        s->values[MEANING_CLASS] = u128(MEANING_NEW);
        s->values[MEANING_FIB_SOURCE_OUT] = u128(q.source_route != SOURCE_UNROUTED);
        s->values[MEANING_FIB_SOURCE_IN_OUT] = u128(q.source_route == SOURCE_ROUTED);
        s->values[MEANING_FIB_SOURCE_TYPE] = u128(FIB_TYPE_UNICAST);
        s->values[MEANING_FIB_DESTINATION_TYPE] =
                u128(q.hook == HOOK_INPUT ? FIB_TYPE_LOCAL : FIB_TYPE_UNICAST);
}

static bool region_has(const DifferenceRegion *r, const Sample *s) {
        if (r->way != s->way || r->family != s->q.family)
                return false;
        for (MeaningVariable v = 0; v < _MEANING_VARIABLE_MAX; v++)
                if (!r->all[v] && !range_set_contains(&r->values[v], s->values[v]))
                        return false;
        return true;
}

static bool is_essential(const Evaluation *e) {
        return e->verdict == VERDICT_ACCEPT && e->n_steps > 0 &&
               startswith(e->steps[e->n_steps - 1].chain->name, "essentials-");
}

/* Whether the two codes agree about the packet; returns whether it fares otherwise. */
static bool
check_sample(const Difference *d, const Compiled *old, const Compiled *new, const Sample *s) {
        _cleanup_(arena_freep) Arena *steps = arena_new(0);
        bool gained = false, lost = false, was, is;
        Evaluation before, after;
        Packet p;

        packet_init(&p, &s->q);
        assert_int_equal(ruleset_eval(old->rs, steps, s->q.hook, &p, &before), 0);
        assert_int_equal(ruleset_eval(new->rs, steps, s->q.hook, &p, &after), 0);
        was = before.verdict == VERDICT_ACCEPT;
        is = after.verdict == VERDICT_ACCEPT;
        for (size_t i = 0; i < d->n_regions; i++)
                if (region_has(&d->regions[i], s)) {
                        gained |= d->regions[i].kind == DIFFERENCE_GAINED;
                        lost |= d->regions[i].kind == DIFFERENCE_LOST;
                }
        if ((is && !was && !gained) || (was && !is && !lost))
                return false;
        /* a region that has it says so wrongly only of what is not what it seems, or always passes
         */
        if (s->usual && !(is_essential(&before) && is_essential(&after)) &&
            ((gained && (was || !is)) || (lost && (is || !was))))
                return false;
        return true;
}

static void a_packet_fares_otherwise_if_and_only_if_a_region_has_it(void **state) {
        size_t n = 0, n_regions = 0;

        while (n < N_PAIRS) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                const char *old_text = random_policy(a), *new_text = random_policy(a);
                Compiled old, new;
                Difference d;

                if (!compile(a, old_text, &old) || !compile(a, new_text, &new))
                        continue; /* a contradiction, say */
                n++;
                unit_equal(new_text, difference_find(old.rs, new.rs, REGIONS, a, &d), 0);
                assert_false(d.more);
                n_regions += d.n_regions;
                for (size_t i = 0; i < N_PACKETS; i++) {
                        Sample s;

                        draw_sample(&s);
                        if (!check_sample(&d, &old, &new, &s)) {
                                question_describe(&s.q, s.values[MEANING_IN], s.values[MEANING_OUT],
                                                  stderr);
                                fail_msg("\n%s\n%s", old_text, new_text);
                        }
                }
                unit_equal(old_text, difference_find(old.rs, old.rs, REGIONS, a, &d), 0);
                assert_int_equal(d.n_regions, 0);
        }
        assert_true(n_regions > N_PAIRS);
}

static void no_more_regions_than_were_asked_for(void **state) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Compiled before, after;
        Difference d;
        size_t n = 0;

        assert_true(compile(a, "ringwall: 1\n", &before));
        assert_true(compile(a,
                            "ringwall: 1\ninbound: [{ allow: ssh, from: lan }, { allow: 53/udp, "
                            "from: vpn }, { allow: ping }]\n",
                            &after));
        assert_int_equal(difference_find(before.rs, after.rs, 2, a, &d), 0);
        for (size_t i = 0; i < d.n_regions; i++)
                n += d.regions[i].way == DIFFERENCE_INBOUND && d.regions[i].family == FAMILY_IPV4;
        assert_int_equal(n, 2);
        assert_true(d.more);
}

static void when_the_time_is_over_nothing_is_told(void **state) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Compiled before, after;
        Difference d;

        assert_true(compile(a, "ringwall: 1\n", &before));
        assert_true(compile(a, "ringwall: 1\ninbound: [{ allow: ssh }]\n", &after));
        assert_int_equal(difference_find_until(before.rs, after.rs, REGIONS, 1, a, &d), -E2BIG);
}

/* The daemon adds rules that tell it of what is refused. */
static void what_the_daemon_adds_is_no_difference(void **state) {
        static const char text[] = "ringwall: 1\n"
                                   "inbound:\n"
                                   "  - { allow: ssh, from: lan, limit: 3/minute per source }\n"
                                   "  - { deny: any, from: 192.0.2.0/24, log: yes }\n"
                                   "  - { allow: web }\n"
                                   "routed: [{ allow: any, from: vpn, to: lan }]\n"
                                   "outbound:\n"
                                   "  default: reject\n"
                                   "  rules: [{ allow: 53/udp, out: eth0 }]\n";
        static const char *const settings[] = {"", "settings: { antispoof: strict }\n"};

        for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
                for (size_t old_kernel = 0; old_kernel < 2; old_kernel++) {
                        _cleanup_(arena_freep) Arena *a = arena_new(0);
                        const char *whole = arena_printf(a, "%s%s", text, settings[i]);
                        Compiled held, new;
                        Difference d;

                        assert_true(compile_for(a, whole, old_kernel == 0, &held));
                        assert_true(compile_for(a, whole, old_kernel == 0, &new));
                        assert_int_equal(ruleset_report_refused(held.rs), 0);
                        unit_equal(whole, difference_find(held.rs, new.rs, REGIONS, a, &d), 0);
                        unit_equal(whole, d.n_regions, 0);
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(differences_are_told_in_few_words),
                cmocka_unit_test(a_packet_fares_otherwise_if_and_only_if_a_region_has_it),
                cmocka_unit_test(what_the_daemon_adds_is_no_difference),
                cmocka_unit_test(no_more_regions_than_were_asked_for),
                cmocka_unit_test(when_the_time_is_over_nothing_is_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
