/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/unit.h"
#include "ruleset/pass.h"

/* Pairs that are formed straight from the policy are those that lowering rule by rule and the pass
 * `pair` come to: the same ruleset in all that the kernel keeps, told of by the same lines. */

#define N_POLICIES 400
#define N_LINES_MAX 400
#define TEXT_MAX 65536

static const char catalogue[] = "ringwall: 1\n"
                                "zones:\n"
                                "  containers: { interfaces: [docker0, \"br-*\"] }\n"
                                "  vms: { interfaces: [\"virbr*\"] }\n"
                                "  lan: [10.0.0.0/8, 192.0.2.0-192.0.2.9]\n"
                                "  vpn: { interfaces: [wg0] }\n"
                                "services:\n"
                                "  ssh: { tcp: 22 }\n"
                                "  dns: { tcp: 53, udp: 53 }\n"
                                "  ping: { icmp: echo-request, icmpv6: echo-request }\n";

static uint64_t random_state;

static uint32_t draw(uint32_t below) {
        /* xorshift64*: repeatable, and good enough to choose cases */
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 33) % below;
}

typedef struct Text {
        char bytes[TEXT_MAX];
        size_t size;
} Text;

_printf_(2, 3) static void add(Text *t, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        t->size += (size_t)vsnprintf(t->bytes + t->size, sizeof(t->bytes) - t->size, format, ap);
        va_end(ap);
        assert_true(t->size < sizeof(t->bytes));
}

/* A prefix, mostly of a length that others have, too. */
static void add_source(Text *t) {
        static const unsigned int lengths[] = {24, 24, 24, 24, 24, 24, 32, 22, 16, 28};
        unsigned int length = lengths[draw(ARRAY_SIZE(lengths))];
        uint32_t address = UINT32_C(0x0a000000) + (draw(1 << 16) << 6);

        address &= UINT32_MAX << (32 - length);
        if (draw(40) == 0)
                add(t, "\"fd00:%x::/64\"", draw(1000));
        else
                add(t, "%u.%u.%u.%u/%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
                    address & 255, length);
}

/* What hardly any policy of pairs has. */
static void add_odd_line(Text *t) {
        static const char *const odd[] = {
                "{ allow: ssh }",
                "{ allow: ssh, from: lan }",
                "{ allow: dns, from: [10.3.0.0/24, lan] }",
                "{ allow: ping, from: 10.5.0.0/16 }",
                "{ allow: [dns, ping], from: 10.9.9.0/24 }",
                "{ allow: 99/tcp, from: 10.1.1.0/24, in: eth0 }",
                "{ allow: 99/tcp, from: vpn }",
                "{ allow: 1-4000/tcp, from: 10.1.2.0/24 }",
                "{ allow: 98/tcp, from: 10.1.0.7-10.1.0.9 }",
                "{ deny: any, from: 10.77.0.0/24 }",
                "{ deny: 97/udp }",
        };
        static const char *const unclear[] = {
                "{ deny: 700/tcp, from: 10.7.0.0/24 }",
                "{ allow: dns, from: 10.8.0.0/24 }",
                "{ allow: 701/tcp, from: [10.8.0.0/24, \"fd00::/64\"] }",
                "{ allow: 702/tcp, from: 10.6.0.0/24, limit: 3/minute }",
                "{ allow: 703/tcp, from: 10.6.0.0/24, log: yes }",
                "{ allow: 704/tcp, from: 10.6.0.0/24, to: 192.0.2.1 }",
                "{ allow: 705/tcp, from: 10.6.0.0/16, except: 10.6.1.0/24 }",
                "{ allow: 706/tcp, from: 10.6.0.0/24, until: 2099-01-01 }",
        };

        add(t, "  - %s\n",
            draw(30) == 0 ? unclear[draw(ARRAY_SIZE(unclear))] : odd[draw(ARRAY_SIZE(odd))]);
}

static void add_line(Text *t, unsigned int n_ports, bool mixed) {
        unsigned int port = 1000 + draw(n_ports);

        add(t, "  - { allow: ");
        if (draw(20) == 0)
                add(t, "[%u/tcp, %u-%u/tcp]", port, port + 3, port + 5);
        else
                add(t, "%u/%s", port, draw(30) ? "tcp" : "udp");
        add(t, ", from: ");
        if (draw(mixed ? 2 : 20) == 0) {
                add(t, "[10.2.%u.0/24, ", draw(8));
                if (mixed)
                        add_source(t);
                else
                        add(t, "10.2.%u.0/24", draw(200));
                add(t, "]");
        } else
                add_source(t);
        add(t, " }\n");
}

static void add_section(Text *t, const char *name) {
        unsigned int n = draw(N_LINES_MAX), odd = draw(4), n_ports = draw(2) ? 2000 : 1 + draw(300);
        bool mixed = draw(4) == 0; /* lists of prefixes of several lengths */

        add(t, "%s:\n  - { allow: 1/tcp, from: 10.0.0.1 }\n", name);
        for (unsigned int i = 0; i < n; i++)
                if (odd > 0 && draw(40) < odd)
                        add_odd_line(t);
                else
                        add_line(t, n_ports, mixed);
}

static void write_policy(Text *t) {
        t->size = 0;
        add(t, "ringwall: 1\n");
        if (draw(3) == 0)
                add(t, "settings: { counters: %s }\n", draw(2) ? "each" : "off");
        if (draw(4) == 0)
                add(t, "protected: [{ services: 9999/tcp }]\n");
        add_section(t, "inbound");
        if (draw(3) == 0)
                add_section(t, "routed");
}

static size_t rules_of(const Ruleset *rs, const char *chain) {
        return ruleset_find_chain(rs, chain)->n_rules;
}

/* ruleset_equal() leaves the places in the policy out. */
static bool same_places(const Ruleset *a, const Ruleset *b) {
        for (size_t i = 0; i < a->n_sets; i++) {
                const Set *x = a->sets[i], *y = ruleset_find_set(b, x->name);

                for (size_t j = 0; j < x->n_elements; j++)
                        if (x->elements[j].origin.at.line != y->elements[j].origin.at.line)
                                return false;
        }
        return true;
}

static void the_short_way_comes_to_the_same(void **state) {
        static const KernelFeatures features = {.fib_in_filter = true};
        Text *text = calloc(1, sizeof(*text));
        size_t n_short = 0, n_sets = 0;

        assert_non_null(text);
        random_state = 11;
        for (unsigned int i = 0; i < N_POLICIES; i++) {
                Arena *a = arena_new(0);
                Diag *d = diag_new(a);
                Ruleset *paired, *plain, *one, *other;
                Policy *p;

                write_policy(text);
                if (policy_load_text(a, (Source){"catalogue", catalogue, strlen(catalogue)},
                                     (Source){"test.yaml", text->bytes, text->size}, &p, d) < 0)
                        fail_msg("policy %u: %s", i, d->messages[0].text);
                assert_int_equal(ruleset_lower(p, &features, a, &plain), 0);
                assert_int_equal(ruleset_lower_paired(p, &features, a, &paired), 0);
                n_short += rules_of(paired, "inbound") < rules_of(plain, "inbound");
                assert_int_equal(
                        ruleset_compile(p, &features, passes[n_passes - 1].name, a, &one, d), 0);
                assert_int_equal(ruleset_compile(p, &features, NULL, a, &other, d), 0);
                n_sets += one->n_sets;
                if (!ruleset_equal(one, other) || !same_places(one, other))
                        fail_msg("policy %u differs:\n%s", i, text->bytes);
                arena_free(a);
        }
        free(text);
        (void)state;
        /* both ways were taken, often */
        assert_in_range(n_short, N_POLICIES / 10, N_POLICIES * 4 / 5);
        assert_true(n_sets > N_POLICIES);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_short_way_comes_to_the_same),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
