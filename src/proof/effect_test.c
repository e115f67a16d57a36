/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proof/effect.h"

#include "policy/load_unit.h"

/* Rules stand on a line each below the section's, which is line 0 here: lines count from there. */
#define ZONES                                                                                      \
        "ringwall: 1\n"                                                                            \
        "zones:\n"                                                                                 \
        "  lan: [10.40.10.0/24, \"fd00:40:10::/64\"]\n"                                            \
        "  low: [10.40.10.0/25]\n"                                                                 \
        "  high: [10.40.10.128/25]\n"                                                              \
        "  four: [10.0.0.0/8]\n"                                                                   \
        "  six: [\"fd00::/8\"]\n"                                                                  \
        "  vpn: { interfaces: [wg0] }\n"                                                           \
        "  inner: { interfaces: [wg0], addresses: [10.40.10.0/24] }\n"                             \
        "  bridges: { interfaces: [\"br-*\"] }\n"                                                  \
        "  others: { interfaces: [\"br-*\"], except: [one] }\n"                                    \
        "  one: { interfaces: [br-1] }\n"                                                          \
        "  home: { connected: [eth0] }\n"                                                          \
        "  home2: { connected: [eth0] }\n"                                                         \
        "  around: { connected: [eth0], addresses: [10.0.0.0/8] }\n"                               \
        "  but: { connected: [eth0], except: [10.0.0.0/8] }\n"
#define SECTION_LINE 17U

/* "2<1 3!1+4 4-": rule 2 is covered by rule 1, 3 refused by 1 and 4 together, 4 leaves nothing. */
static const char *describe(Arena *a, const Diag *d, unsigned int section_line) {
        const char *text = "";

        for (size_t i = 0; i < d->n_messages; i++) {
                const DiagMessage *m = &d->messages[i];

                if (m->continues || m->severity != DIAG_WARNING ||
                    strstr(m->text, "takes nothing away"))
                        continue;
                text = arena_printf(a, "%s%s%u", text, text[0] ? " " : "",
                                    m->at.line - section_line);
                if (i + 1 == d->n_messages || !m[1].continues)
                        text = arena_printf(a, "%s-", text);
                for (size_t j = 1; i + j < d->n_messages && m[j].continues; j++)
                        text = arena_printf(a, "%s%s%u", text,
                                            j > 1                                ? "+"
                                            : strstr(m->text, "can never match") ? "!"
                                                                                 : "<",
                                            m[j].at.source ? m[j].at.line - section_line : 0);
        }
        return text;
}

static void check(Arena *a, const char *text, Diag **ret_d) {
        Policy *p = load_with_diag(a, text, ret_d);

        if (p)
                assert_int_equal(effect_check(p, *ret_d), 0);
}

typedef struct Row {
        const char *name, *text, *expected;
} Row;

// clang-format off
static const Row covered[] = {
        { "nothing", "inbound:\n- { allow: ssh, from: lan }\n- { allow: https }\n", "" },
        { "an address of a network",
          "inbound:\n- { allow: ssh, from: lan }\n- { allow: ssh, from: 10.40.10.7 }\n", "2<1" },
        { "the order says nothing",
          "inbound:\n- { allow: ssh, from: 10.40.10.7 }\n- { allow: ssh, from: lan }\n", "1<2" },
        { "one address beyond",
          "inbound:\n- { allow: ssh, from: lan }\n"
          "- { allow: ssh, from: 10.40.10.255-10.40.11.0 }\n", "" },
        { "one address short",
          "inbound:\n- { allow: ssh, from: 10.40.10.0-10.40.10.254 }\n"
          "- { allow: ssh, from: 10.40.10.128/25 }\n", "" },
        { "another family",
          "inbound:\n- { allow: ssh, from: low }\n- { allow: ssh, from: lan }\n"
          "- { allow: ssh, from: six }\n", "1<2" },
        { "one family is wider",
          "inbound:\n- { allow: ssh, from: lan }\n- { allow: ssh, from: [low, six] }\n", "" },
        { "another section",
          "inbound:\n- { allow: ssh, from: lan }\nrouted:\n- { allow: ssh, from: low }\n", "" },
        { "of equal ones the first stays",
          "inbound:\n- { allow: ssh, from: [low, high] }\n- { allow: 22/tcp, from: [high, low] }\n"
          "- { allow: ssh, from: 10.40.10.0/24 }\n", "2<1 3<1" },
        { "what covers is not covered itself",
          "inbound:\n- { allow: ssh, from: 10.40.10.7 }\n- { allow: ssh, from: low }\n"
          "- { allow: ssh, from: lan }\n", "1<3 2<3" },
        { "two zones make one network",
          "inbound:\n- { allow: ssh, from: [low, high] }\n- { allow: ssh, from: 10.40.10.0/24 }\n",
          "2<1" },
        { "two rules together",
          "inbound:\n- { allow: ssh, from: low }\n- { allow: ssh, from: high }\n"
          "- { allow: ssh, from: 10.40.10.64-10.40.10.191 }\n", "3<1+2" },
        { "a port of a range, of a list, of any",
          "inbound:\n- { allow: 22-80/tcp, from: lan }\n- { allow: ssh, from: low }\n"
          "- { allow: [ssh, 80/tcp], from: low }\n- { allow: 81/tcp, from: low }\n"
          "- { allow: any, from: lan }\n", "1<5 2<5 3<5 4<5" },
        { "a list that has one port more",
          "inbound:\n- { allow: 22-80/tcp, from: lan }\n"
          "- { allow: [ssh, 81/tcp], from: lan }\n- { allow: [ssh, 22/udp], from: lan }\n", "" },
        { "any is more than all ports",
          "inbound:\n- { allow: [1-65535/tcp, 1-65535/udp], from: lan }\n"
          "- { allow: any, from: lan }\n- { allow: esp, from: low }\n", "1<2 3<2" },
        { "ICMP of the family that the clients have",
          "inbound:\n- { allow: 128/icmpv6, from: lan }\n- { allow: ping, from: six }\n"
          "- { allow: [8/icmp, 128/icmpv6], from: low }\n- { allow: 8/icmp, from: lan }\n",
          "1<2 3<4" },
        { "a limit does not cover",
          "inbound:\n- { allow: ssh, from: lan, limit: 9/minute }\n- { allow: ssh, from: low }\n"
          "- { allow: ssh, from: lan, connections: 9 }\n", "" },
        { "a limit is covered",
          "inbound:\n- { allow: ssh, from: lan, limit: 9/minute }\n"
          "- { allow: ssh, from: low, connections: 9 }\n- { allow: ssh, from: lan }\n",
          "1<3 2<3" },
        { "who ends earlier does not cover",
          "inbound:\n- { allow: ssh, from: lan, until: 2100-01-01 }\n- { allow: ssh, from: low }\n"
          "- { allow: ssh, from: lan, until: 2100-01-02 }\n", "1<3" },
        { "of those that end at once the first stays",
          "inbound:\n- { allow: ssh, from: lan, until: 2100-01-01 }\n"
          "- { allow: ssh, from: lan, until: 2100-01-01 }\n", "2<1" },
        { "logging changes nothing",
          "inbound:\n- { allow: ssh, from: low, log: yes, name: a }\n- { allow: ssh, from: lan }\n",
          "1<2" },
        { "except",
          "inbound:\n- { allow: ssh, from: lan, except: high }\n- { allow: ssh, from: low }\n"
          "- { allow: ssh, from: 10.40.10.0-10.40.10.128 }\n", "2<3" },
        { "the same except",
          "inbound:\n- { allow: ssh, from: lan, except: vpn }\n"
          "- { allow: ssh, from: low, except: vpn }\n- { allow: ssh, from: low }\n", "2<1" },
        { "interfaces",
          "inbound:\n- { allow: ssh, in: [wg0, eth0] }\n- { allow: ssh, from: inner }\n"
          "- { allow: ssh, from: lan, in: eth0 }\n- { allow: ssh, from: vpn }\n"
          "- { allow: ssh, from: lan, in: eth1 }\n- { allow: https, in: eth1 }\n"
          "- { allow: https }\n", "2<1 3<1 4<1 6<7" },
        { "a wildcard",
          "inbound:\n- { allow: ssh, in: \"br-*\" }\n- { allow: ssh, from: one }\n"
          "- { allow: ssh, from: bridges, in: [\"br-1*\", br-2] }\n- { allow: ssh, in: \"br*\" }\n",
          "1<4 2<4 3<4" },
        { "all of a wildcard but one, and the one",
          "inbound:\n- { allow: ssh, from: [others, one] }\n- { allow: ssh, from: bridges }\n"
          "- { allow: ssh, from: others }\n- { allow: https, from: others }\n"
          "- { allow: https, from: bridges }\n- { allow: https, from: bridges, except: one }\n",
          "2<1 3<1 4<5 6<5" },
        { "the addresses that were dialled",
          "inbound:\n- { allow: ssh, to: 10.0.0.0/30 }\n- { allow: ssh, from: lan, to: 10.0.0.1 }\n"
          "- { allow: ssh, from: lan, to: 10.0.0.4 }\n- { allow: ssh, from: six }\n"
          "- { allow: ssh, from: \"fd00::1\", to: \"fd00::2\" }\n", "2<1 5<4" },
        { "routed: both sides",
          "routed:\n- { allow: ssh, from: vpn, to: four }\n"
          "- { allow: ssh, from: vpn, to: lan, out: eth0 }\n"
          "- { allow: ssh, in: wg0, out: eth0, to: low }\n- { allow: ssh, from: vpn, to: six }\n"
          "- { allow: ssh, from: vpn, to: bridges }\n", "2<1+4 3<1" },
        { "routed: from IPv4 alone, so to IPv6 is nothing",
          "routed:\n- { allow: ssh, from: four, to: four }\n"
          "- { allow: ssh, from: low, to: [four, six] }\n", "2<1" },
        { "outbound: except is about the server",
          "outbound:\n- { allow: ssh, to: lan, except: high }\n- { allow: ssh, to: low }\n"
          "- { allow: ssh, to: lan, out: eth0 }\n- { allow: ssh, to: low, out: eth0 }\n",
          "2<1 4<1" },
        { "users and groups",
          "outbound:\n- { allow: ssh, user: [1, 2, 3] }\n- { allow: ssh, user: [2, 1] }\n"
          "- { allow: ssh, user: 2, group: 8 }\n- { allow: ssh, group: 5 }\n"
          "- { allow: ssh, user: [3, 4] }\n- { allow: ssh, user: 9, group: [5, 6] }\n"
          "- { allow: https, user: 1 }\n- { allow: https }\n", "2<1 3<1 7<8" },
        { "deny and deny",
          "inbound:\n- { deny: ssh, from: low }\n- { deny: ssh, from: lan }\n"
          "- { deny: ssh, from: low, until: 2100-01-01 }\n"
          "- { deny: https, from: low }\n- { deny: https, from: lan, until: 2100-01-01 }\n",
          "1<2 3<2" },
};

static const Row dead[] = {
        { "except takes all",
          "inbound:\n- { allow: ssh, from: low, except: lan }\n"
          "- { deny: ssh, from: [low, high], except: [high, 10.40.10.0/25] }\n"
          "- { allow: ssh, from: lan, except: [low, high] }\n", "1- 2-" },
        { "two rules with the same mistake",
          "inbound:\n- { allow: ssh, from: low, except: lan }\n"
          "- { deny: https, from: low, except: lan }\n", "1- 2-" },
        { "one address is left",
          "inbound:\n- { allow: ssh, from: 10.40.10.0/25, except: 10.40.10.1-10.40.10.127 }\n",
          "" },
        { "except behind an interface",
          "inbound:\n- { allow: ssh, from: inner, except: vpn }\n"
          "- { allow: ssh, from: lan, except: vpn }\n"
          "- { allow: ssh, from: lan, except: vpn, in: wg0 }\n", "1- 3-" },
        { "other interfaces",
          "inbound:\n- { allow: ssh, from: vpn, in: eth0 }\n"
          "- { allow: ssh, from: [vpn, low], in: eth0 }\n"
          "- { allow: ssh, from: others, in: br-1 }\n"
          "- { allow: ssh, from: others, in: \"br-1*\" }\n", "1- 3-" },
        { "two families",
          "inbound:\n- { allow: ssh, from: four, to: \"fd00::1\" }\n"
          "- { allow: ssh, from: lan, to: \"fd00::1\" }\n"
          "- { allow: 8/icmp, from: six }\n- { allow: [8/icmp, https], from: six }\n"
          "- { allow: 128/icmpv6, to: 10.0.0.1 }\n"
          "- { allow: ssh, from: lan, except: \"::/0\", to: \"fd00::1\" }\n", "1- 3- 5- 6-" },
        { "routed",
          "routed:\n- { allow: ssh, from: four, to: six }\n"
          "- { allow: ssh, to: vpn, out: [eth0, \"br-*\"] }\n- { allow: ssh, to: vpn, out: wg0 }\n"
          "- { deny: 128/icmpv6, from: low }\n", "1- 2- 4-" },
        { "outbound",
          "outbound:\n- { allow: ssh, to: low, except: lan }\n"
          "- { allow: ssh, to: vpn, out: eth0, user: 1 }\n"
          "- { allow: ssh, to: vpn, except: four }\n", "1- 2-" },
        { "loopback is not judged",
          "inbound:\n- { allow: ssh, from: 127.0.0.1 }\n- { allow: ssh, in: lo }\n"
          "- { allow: ssh, from: [127.0.0.0/8, \"::1\"] }\n- { allow: ssh, from: [low, \"::1\"] }\n"
          "- { allow: https, to: 127.0.0.1 }\n- { allow: ssh, in: [lo, eth0] }\n"
          "- { allow: ssh, from: 127.0.0.1-128.0.0.0 }\n", "1- 2- 3- 5-" },
        { "but what leaves there may be",
          "outbound:\n- { allow: ssh, to: 127.0.0.1 }\n- { allow: https, out: lo }\n"
          "routed:\n- { allow: ssh, to: 127.0.0.1 }\n- { allow: https, from: \"::1\" }\n", "5-" },
        { "refused by a deny",
          "inbound:\n- { allow: ssh, from: low }\n- { deny: 20-30/tcp, from: lan }\n"
          "- { allow: ssh, from: four }\n- { allow: [ssh, https], from: low }\n", "1!2" },
        { "a deny that ends, or is a part",
          "inbound:\n- { allow: ssh, from: low }\n- { deny: ssh, from: lan, until: 2100-01-01 }\n"
          "- { deny: ssh, from: low, in: eth0 }\n"
          "- { allow: ssh, from: low, in: eth0, until: 2100-01-01 }\n", "4!2" },
        { "refused and covered is refused",
          "inbound:\n- { allow: ssh, from: low }\n- { allow: ssh, from: lan }\n"
          "- { deny: any, from: lan }\n- { deny: ssh, from: low }\n", "1!3 2!3 4<3" },
        { "protected",
          "inbound:\n- { deny: ollama, from: lan }\n- { deny: [ollama, ssh], from: lan }\n"
          "protected:\n- { services: ollama }\n", "1!4" },
        { "protected: what only-from leaves",
          "inbound:\n- { deny: ollama, from: low }\n- { allow: ollama, from: high }\n"
          "- { deny: ollama, from: six }\n"
          "protected:\n- { services: [ollama, ssh], only-from: high }\n", "1!5 3!5" },
        { "protected: routed into containers and VMs",
          "routed:\n- { allow: ollama, to: containers }\n"
          "- { allow: ollama, from: lan, to: [containers, vms], out: [docker0, br-1, \"virbr*\"] }\n"
          "- { allow: ollama, to: lan }\n- { allow: [ollama, ssh], to: vms }\n"
          "- { allow: ollama, to: low, out: br-7 }\n- { deny: ollama, to: vms }\n"
          "protected:\n- { services: ollama }\n", "1!8 2!8 5!8 6!8" },
        { "protected: routed, from those who may",
          "routed:\n- { allow: ollama, from: lan, to: containers }\n"
          "- { allow: ollama, from: low, to: containers, in: eth0 }\n"
          "- { allow: ollama, from: six, to: containers }\n"
          "protected:\n- { services: ollama, only-from: low }\n", "2<1 3!5" },
        { "protected is not about outbound",
          "outbound:\n- { allow: ollama, to: containers }\nprotected:\n- { services: ollama }\n",
          "" },
};

/* What is on link is not known, nor what the catalogue's lists will be. */
static const Row moving[] = {
        { "a zone contains itself",
          "inbound:\n- { allow: ssh, from: home }\n- { allow: 22/tcp, from: home }\n", "2<1" },
        { "and what is wider",
          "inbound:\n- { allow: ssh, from: [home, low] }\n- { allow: ssh, from: home }\n"
          "- { allow: ssh, from: low }\n- { allow: ssh, from: home, in: eth7 }\n",
          "2<1 3<1 4<1" },
        { "itself behind another interface, or with more taken away",
          "inbound:\n- { allow: ssh, from: home, in: wg0 }\n- { allow: ssh, from: home, in: eth1 }\n"
          "- { allow: ssh, from: home, except: low }\n- { allow: ssh, from: home, in: eth1, except: "
          "lan }\n", "4<3" },
        { "anywhere contains it, and what is behind every interface",
          "inbound:\n- { allow: ssh, from: home }\n- { allow: ssh, from: anywhere }\n"
          "- { allow: https, from: home, in: wg0 }\n- { allow: https, from: vpn }\n", "1<2 3<4" },
        { "no address is in it for certain",
          "inbound:\n- { allow: ssh, from: home }\n- { allow: ssh, from: 10.40.10.7 }\n"
          "- { allow: ssh, from: four }\n", "2<3" },
        { "but what is written beside it",
          "inbound:\n- { allow: ssh, from: around }\n- { allow: ssh, from: 10.40.10.7 }\n"
          "- { allow: ssh, from: [home, low] }\n- { allow: ssh, from: six }\n", "2<1" },
        { "another zone of the same interface is not looked into",
          "inbound:\n- { allow: ssh, from: home }\n- { allow: ssh, from: home2 }\n", "" },
        { "taken away from both",
          "inbound:\n- { allow: ssh, from: lan, except: home }\n"
          "- { allow: ssh, from: low, except: home }\n- { allow: ssh, from: low, except: [vpn] }\n"
          "- { allow: ssh, from: high, except: [low, home] }\n", "2<1 4<1" },
        { "taken away from one",
          "inbound:\n- { allow: ssh, from: low }\n- { allow: ssh, from: lan, except: home }\n"
          "- { allow: ssh, from: low, except: home }\n", "3<2" },
        { "taken away from itself",
          "inbound:\n- { allow: ssh, from: home, except: home }\n"
          "- { allow: ssh, from: [home, low], except: [home, lan] }\n"
          "- { allow: ssh, from: home, except: low }\n", "1- 2-" },
        { "of another family it may still be",
          "inbound:\n- { allow: ssh, from: home, to: \"fd00::1\" }\n"
          "- { allow: 8/icmp, from: home }\n", "" },
        { "what it leaves is nothing for certain",
          "inbound:\n- { allow: ssh, from: low, except: home }\n- { allow: ssh, from: low, except: "
          "around }\n", "2-" },
        { "what never can be on link is not in it",
          "routed:\n- { allow: ssh, from: but, to: low, except: [11.0.0.0-255.255.255.255, "
          "0.0.0.0-9.255.255.255] }\n- { allow: ssh, from: but, to: low }\n", "1-" },
        { "a deny and a claim",
          "inbound:\n- { allow: ssh, from: home }\n- { deny: ssh }\n- { allow: ollama, from: home }\n"
          "- { deny: https, from: home }\n- { allow: https, from: low }\n"
          "- { allow: https, from: home, in: eth0 }\n"
          "protected:\n- { services: ollama }\n", "1!2 3!8 6!4" },
        { "a claim that those on link may use",
          "inbound:\n- { allow: ollama, from: low }\n- { deny: ollama, from: home }\n"
          "- { deny: ollama, from: high }\n"
          "protected:\n- { services: ollama, only-from: [low, home] }\n", "3<5+2" },
};
// clang-format on

static void check_rows(Arena *a, const Row *rows, size_t n) {
        for (size_t i = 0; i < n; i++) {
                Diag *d;

                check(a, arena_printf(a, ZONES "%s", rows[i].text), &d);
                unit_string(rows[i].name, describe(a, d, SECTION_LINE), rows[i].expected);
        }
}

static void an_allow_that_another_covers_is_told(void **state) {
        check_rows(*state, covered, ARRAY_SIZE(covered));
}

static void a_rule_that_can_never_match_is_told(void **state) {
        check_rows(*state, dead, ARRAY_SIZE(dead));
}

static void what_may_change_counts_only_where_it_makes_no_difference(void **state) {
        check_rows(*state, moving, ARRAY_SIZE(moving));
}

static void networks_that_are_on_link_now_may_be_others_tomorrow(void **state) {
        static const Row rows[] = {
                {"of the network",
                 "inbound:\n- { allow: ssh, from: home }\n"
                 "- { allow: ssh, from: 10.40.10.7 }\n",
                 ""},
                {"around the network",
                 "inbound:\n- { allow: ssh, from: home }\n"
                 "- { allow: ssh, from: 10.40.0.0/16 }\n",
                 ""},
                {"no address of the family", "inbound:\n- { allow: 128/icmpv6, from: home }\n", ""},
                {"beside the network",
                 "inbound:\n- { allow: ssh, from: around }\n"
                 "- { allow: ssh, from: 10.40.10.7 }\n",
                 "2<1"},
                {"nothing but the network is left",
                 "inbound:\n- { allow: ssh, from: 10.40.10.7, "
                 "except: home }\n",
                 ""},
        };
        HostNetwork network = {
                .interface = interface_value("eth0"),
                .family = FAMILY_IPV4,
                .range = {{.low = 0x0a280a00}, {.low = 0x0a280aff}}, /* 10.40.10.0/24 */
        };
        Source catalogue = {"catalogue.yaml", LOAD_CATALOGUE, sizeof(LOAD_CATALOGUE) - 1};

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *text = arena_printf(*state, ZONES "%s", rows[i].text);
                Source source = {"policy.yaml", text, strlen(text)};
                Diag *d = diag_new(*state);
                Policy *p;

                unit_equal(rows[i].name,
                           policy_load_text_on_link(*state, catalogue, source, &network, 1, &p, d),
                           0);
                assert_int_equal(effect_check(p, d), 0);
                unit_string(rows[i].name, describe(*state, d, SECTION_LINE), rows[i].expected);
        }
}

/* ---- many rules */

static const char *many(Arena *a, const char *format, const char *last) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);
        const char *copy;

        assert_non_null(f);
        fputs("ringwall: 1\nzones: { home: { connected: [eth0] } }\ninbound:\n", f);
        for (unsigned int i = 0; i < 10000; i++) {
                fprintf(f, "- { allow: ");
                /* %p a port, %a an address, %b one that is 300 behind it */
                for (const char *p = format; *p; p++)
                        if (p[0] == '%' && p[1] == 'p')
                                fprintf(f, "%u", i + 1), p++;
                        else if (p[0] == '%' && p[1] == 'a')
                                fprintf(f, "10.1.%u.%u", i >> 8, i & 255), p++;
                        else if (p[0] == '%' && p[1] == 'b')
                                fprintf(f, "10.1.%u.%u", (i + 300) >> 8, (i + 300) & 255), p++;
                        else
                                fputc(*p, f);
                fputs(" }\n", f);
        }
        fprintf(f, "- { allow: %s }\n", last);
        (void)fclose(f);
        copy = arena_strdup(a, text);
        free(text);
        assert_non_null(copy);
        return copy;
}

static const DiagMessage *find_warning(const Diag *d) {
        size_t i = 0;

        while (i < d->n_messages && d->messages[i].severity != DIAG_WARNING)
                i++;
        assert_true(i < d->n_messages);
        return &d->messages[i];
}

static void ten_thousand_rules_are_searched_to_their_end(void **state) {
        static const struct {
                const char *name, *rule, *last;
                size_t n_covered;
                unsigned int line; /* of the only one */
        } rows[] = {
                {"ports", "%p/tcp, from: %a", "9000/tcp, from: 10.1.35.39", 1, 10004},
                {"ports, none", "%p/tcp, from: %a", "9000/tcp, from: 10.1.35.40", 0, 0},
                {"sources", "443/tcp, from: %a", "443/tcp, from: 10.1.35.39", 1, 10004},
                {"sources, none", "443/tcp, from: %a", "443/tcp, from: 10.2.0.0", 0, 0},
                {"sources beside a network", "443/tcp, from: [192.168.0.0/24, %a]",
                 "443/tcp, from: [10.1.35.39, 192.168.0.7]", 1, 10004},
                {"sources beside networks on link", "443/tcp, from: [home, %a]",
                 "443/tcp, from: [10.1.35.39, home]", 1, 10004},
                {"chains", "443/tcp, from: 10.1.0.0-%a", "443/tcp, from: 10.2.0.0", 9999, 0},
                {"stairs", "443/tcp, from: %a-%b", "443/tcp, from: 10.1.1.44-10.1.2.87", 9966, 0},
                {"stairs, and one beyond", "443/tcp, from: %a-%b",
                 "443/tcp, from: 10.1.1.44-10.1.2.89, to: 10.0.0.1", 9966, 0},
                {"all alike", "443/tcp, from: 10.1.1.1", "444/tcp, from: 10.1.1.1", 9999, 0},
                {"one admits all", "%p/tcp, from: %a", "any, from: 10.0.0.0/8", 10000, 0},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Diag *d;

                check(*state, many(*state, rows[i].rule, rows[i].last), &d);
                unit_equal(rows[i].name, d->n_warnings, rows[i].n_covered);
                if (rows[i].n_covered == 1)
                        unit_true(rows[i].name, find_warning(d)->at.line == rows[i].line);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(an_allow_that_another_covers_is_told),
                unit_arena_test(a_rule_that_can_never_match_is_told),
                unit_arena_test(what_may_change_counts_only_where_it_makes_no_difference),
                unit_arena_test(networks_that_are_on_link_now_may_be_others_tomorrow),
                unit_arena_test(ten_thousand_rules_are_searched_to_their_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
