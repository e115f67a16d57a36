/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "guard/cut.h"
#include "ruleset/compile_unit.h"

static const char catalogue[] =
        "ringwall: 1\n"
        "zones:\n"
        "  containers: { interfaces: docker0 }\n"
        "  vms: { interfaces: virbr0 }\n"
        "services: { ssh: { tcp: 22 }, web: { tcp: 80 }, ollama: { tcp: 11434 } }\n";

static const char policy[] = "ringwall: 1\n"
                             "zones: { lan: 10.0.0.0/24 }\n"
                             "inbound:\n"
                             "  - { allow: ssh, from: lan }\n"
                             "  - { allow: web, in: wan0 }\n"
                             "outbound: [{ deny: web, to: 198.51.100.7 }]\n"
                             "protected: [{ services: ollama }]\n";

static HostNet host_net(Arena *a) {
        static HostLink links[] = {
                {.index = 1, .name = "lan0"},
                {.index = 2, .name = "wan0"},
                {.index = 3, .name = "docker0", .kind = "bridge"},
        };
        static HostAddress addresses[4];
        static HostRoute routes[4];

        addresses[0] = (HostAddress){
                .link = 1, .family = FAMILY_IPV4, .address = unit_address("10.0.0.1")};
        addresses[1] = (HostAddress){
                .link = 2, .family = FAMILY_IPV4, .address = unit_address("192.0.2.1")};
        addresses[2] = (HostAddress){
                .link = 3, .family = FAMILY_IPV4, .address = unit_address("172.17.0.1")};
        routes[0] = (HostRoute){.link = 1,
                                .family = FAMILY_IPV4,
                                .is_on_link = true,
                                .to = {unit_address("10.0.0.0"), unit_address("10.0.0.255")}};
        routes[1] = (HostRoute){.link = 3,
                                .family = FAMILY_IPV4,
                                .is_on_link = true,
                                .to = {unit_address("172.17.0.0"), unit_address("172.17.255.255")}};
        routes[2] = (HostRoute){.link = 2,
                                .family = FAMILY_IPV4,
                                .is_default = true,
                                .to = {unit_address("0.0.0.0"), unit_address("255.255.255.255")}};
        return (HostNet){.arena = a,
                         .links = links,
                         .n_links = 3,
                         .addresses = addresses,
                         .n_addresses = 3,
                         .routes = routes,
                         .n_routes = 3};
}

static const struct Case {
        const char *name, *source, *dialled, *destination;
        uint16_t dialled_port, destination_port;
        CutVerdict expected;
} cases[] = {
        {"a client that may connect", "10.0.0.7", "10.0.0.1", NULL, 22, 22, CUT_NO},
        {"one that may not", "203.0.113.9", "192.0.2.1", NULL, 22, 22, CUT_YES},
        {"the interface is the one that leads back", "203.0.113.9", "192.0.2.1", NULL, 80, 80,
         CUT_NO},
        {"another interface", "10.0.0.7", "10.0.0.1", NULL, 80, 80, CUT_YES},
        {"published, by what was dialled", "203.0.113.9", "192.0.2.1", "172.17.0.2", 80, 8080,
         CUT_NO},
        {"published, and denied", "203.0.113.9", "192.0.2.1", "172.17.0.2", 8081, 80, CUT_YES},
        {"ends at what is protected", "203.0.113.9", "192.0.2.1", "172.17.0.2", 80, 11434, CUT_YES},
        {"what the host opened itself", "192.0.2.1", "198.51.100.8", NULL, 80, 80, CUT_NO},
        {"and may not open", "192.0.2.1", "198.51.100.7", NULL, 80, 80, CUT_YES},
        {"loopback is free", "127.0.0.1", "127.0.0.1", NULL, 11434, 11434, CUT_NO},
        {"between own addresses", "10.0.0.1", "192.0.2.1", NULL, 11434, 11434, CUT_NO},
        {"within a bridge", "172.17.0.2", "172.17.0.3", NULL, 11434, 11434, CUT_NO},
        {"a container goes out", "172.17.0.2", "203.0.113.9", NULL, 443, 443, CUT_NO},
        {"routed between networks", "203.0.113.9", "10.0.0.7", NULL, 22, 22, CUT_YES},
};

static Connection connection_of(const struct Case *c) {
        return (Connection){
                .family = FAMILY_IPV4,
                .protocol = IPPROTO_TCP,
                .source = unit_address(c->source),
                .source_port = 40000,
                .dialled = unit_address(c->dialled),
                .dialled_port = c->dialled_port,
                .destination = unit_address(c->destination ? c->destination : c->dialled),
                .destination_port = c->destination_port,
                .translated = c->destination != NULL,
                .confirmed = true,
        };
}

static void what_the_policy_would_not_admit_is_cut(void **state) {
        Ruleset *rs = unit_compile(*state, catalogue, policy);
        HostNet net = host_net(*state);
        CutHost host = {.net = &net, .scratch = arena_new(0)};

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                Connection c = connection_of(&cases[i]);
                CutVerdict verdict;

                assert_int_equal(cut_decide(rs, &host, &c, &verdict), 0);
                if (verdict != cases[i].expected)
                        fail_msg("%s: %d", cases[i].name, (int)verdict);
        }
        (void)arena_free(host.scratch);
}

static void what_depends_on_an_unknown_owner_is_left_alone(void **state) {
        Ruleset *rs = unit_compile(*state, catalogue,
                                   "ringwall: 1\noutbound: [{ allow: web, user: 1000 }]\n");
        struct Case c = {NULL, "192.0.2.1", "198.51.100.7", NULL, 80, 80, CUT_UNKNOWN};
        HostNet net = host_net(*state);
        CutHost host = {.net = &net, .scratch = arena_new(0), .asks_user = true};
        Connection connection = connection_of(&c);
        CutVerdict verdict;

        assert_int_equal(cut_decide(rs, &host, &connection, &verdict), 0);
        assert_int_equal(verdict, CUT_UNKNOWN);
        (void)arena_free(host.scratch);
}

static void a_connection_whose_owner_is_known_is_judged_by_it(void **state) {
        static const struct {
                const char *policy;
                uint32_t uid;
                CutVerdict expected;
        } rows[] = {
                {"[{ allow: web, user: 1000 }]", 1000, CUT_NO},
                {"[{ allow: web, user: 1000 }]", 1001, CUT_YES},
                {"{ default: allow, rules: [{ deny: web, user: 1000 }] }", 1000, CUT_YES},
                {"{ default: allow, rules: [{ deny: web, user: 1000 }] }", 1001, CUT_NO},
                {"[{ allow: web, user: 1000 }, { allow: web, group: 5 }]", 1001, CUT_UNKNOWN},
                {"[{ allow: web, user: 1000 }, { allow: web, group: 5 }]", 1000, CUT_NO},
        };
        struct Case c = {NULL, "192.0.2.1", "198.51.100.7", NULL, 80, 80, CUT_YES};
        Connection connection = connection_of(&c);
        HostNet net = host_net(*state);
        HostSocket items[] = {
                {.proto = IPPROTO_TCP,
                 .family = FAMILY_IPV4,
                 .local = unit_address("192.0.2.1"),
                 .local_port = 22,
                 .peer = unit_address("198.51.100.7"),
                 .peer_port = 80},
                {.proto = IPPROTO_TCP,
                 .family = FAMILY_IPV4,
                 .local = unit_address("192.0.2.1"),
                 .local_port = 40000,
                 .peer = unit_address("198.51.100.6"),
                 .peer_port = 80},
                {.proto = IPPROTO_TCP,
                 .family = FAMILY_IPV4,
                 .local = unit_address("192.0.2.1"),
                 .local_port = 40000,
                 .peer = unit_address("198.51.100.7"),
                 .peer_port = 80,
                 .link = 2,
                 .inode = 7},
                {.proto = IPPROTO_TCP,
                 .family = FAMILY_IPV4,
                 .local = unit_address("192.0.2.1"),
                 .local_port = 40000,
                 .peer = unit_address("198.51.100.7"),
                 .peer_port = 443,
                 .inode = 8},
        };
        HostSockets sockets = {.items = items, .n_items = ARRAY_SIZE(items)};

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *text =
                        arena_printf(*state, "ringwall: 1\noutbound: %s\n", rows[i].policy);
                CutHost host = {.net = &net,
                                .scratch = arena_new(0),
                                .asks_user = true,
                                .asks_group = strstr(rows[i].policy, "group"),
                                .sockets = &sockets};
                CutVerdict verdict;

                items[2].uid = rows[i].uid;
                assert_int_equal(cut_decide(unit_compile(*state, catalogue, text), &host,
                                            &connection, &verdict),
                                 0);
                unit_equal(rows[i].policy, verdict, rows[i].expected);
                (void)arena_free(host.scratch);
        }
}

/* A TCP connection that the kernel knows to be answered. */
typedef struct Confirmed {
        const char *name, *from, *to;
        uint16_t port, to_port;
        bool picked_up;
        CutVerdict expected;
} Confirmed;

static void decide_all(const Ruleset *rs, const CutHost *host, const Confirmed *rows, size_t n) {
        for (size_t i = 0; i < n; i++) {
                Connection c = {
                        .family = FAMILY_IPV4,
                        .protocol = IPPROTO_TCP,
                        .source = unit_address(rows[i].from),
                        .source_port = rows[i].port,
                        .dialled = unit_address(rows[i].to),
                        .dialled_port = rows[i].to_port,
                        .destination = unit_address(rows[i].to),
                        .destination_port = rows[i].to_port,
                        .confirmed = true,
                        .picked_up = rows[i].picked_up,
                };
                CutVerdict verdict;

                assert_int_equal(cut_decide(rs, host, &c, &verdict), 0);
                unit_equal(rows[i].name, verdict, rows[i].expected);
        }
}

/* As conntrack has it when it was asleep and a server spoke first. */
static void what_seems_to_go_the_other_way_is_judged_as_it_was_opened(void **state) {
        static const Confirmed rows[] = {
                {"a server's, whose client may not connect", "192.0.2.1", "203.0.113.9", 22, 40000,
                 true, CUT_YES},
                {"one that may", "10.0.0.1", "10.0.0.7", 22, 40000, true, CUT_NO},
                {"known from its first packet", "192.0.2.1", "203.0.113.9", 22, 40000, false,
                 CUT_NO},
                {"nobody listens there", "192.0.2.1", "203.0.113.9", 23, 40000, true, CUT_NO},
                {"the right way round", "203.0.113.9", "192.0.2.1", 40000, 22, true, CUT_YES},
        };
        HostSocket listener = {
                .proto = IPPROTO_TCP, .family = FAMILY_IPV6, .is_dual = true, .local_port = 22};
        HostSockets listening = {.items = &listener, .n_items = 1};
        Ruleset *rs = unit_compile(*state, catalogue, policy);
        HostNet net = host_net(*state);
        CutHost host = {.net = &net, .scratch = arena_new(0), .listening = &listening};

        decide_all(rs, &host, rows, ARRAY_SIZE(rows));
        (void)arena_free(host.scratch);
}

/* Nobody knows which end of what goes through this host has opened it, but by its ports. */
static void what_goes_through_must_be_admitted_whoever_may_have_opened_it(void **state) {
        static const Confirmed rows[] = {
                {"a container's server answers a client", "172.17.0.2", "203.0.113.9", 8080, 40000,
                 true, CUT_YES},
                {"known from its first packet", "172.17.0.2", "203.0.113.9", 8080, 40000, false,
                 CUT_NO},
                {"its client may connect", "172.17.0.2", "10.0.0.7", 8080, 40000, true, CUT_NO},
                {"a server at a port that is handed out", "172.17.0.2", "203.0.113.9", 50051, 40000,
                 true, CUT_YES},
                {"a client behind another port", "172.17.0.2", "203.0.113.9", 8080, 1024, true,
                 CUT_YES},
                {"a container is the client", "172.17.0.2", "203.0.113.9", 40000, 443, true,
                 CUT_NO},
                {"the right way round", "203.0.113.9", "172.17.0.2", 40000, 8080, true, CUT_YES},
                {"its server may not connect", "203.0.113.9", "10.0.0.7", 443, 40000, true,
                 CUT_YES},
        };
        static const char text[] = "ringwall: 1\n"
                                   "zones: { lan: 10.0.0.0/24 }\n"
                                   "routed: [{ allow: [8080/tcp, 40000/tcp], from: lan }]\n";
        Ruleset *rs = unit_compile(*state, catalogue, text);
        HostNet net = host_net(*state);
        CutHost host = {.net = &net, .scratch = arena_new(0)};

        decide_all(rs, &host, rows, ARRAY_SIZE(rows));
        (void)arena_free(host.scratch);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(what_the_policy_would_not_admit_is_cut),
                unit_arena_test(what_depends_on_an_unknown_owner_is_left_alone),
                unit_arena_test(a_connection_whose_owner_is_known_is_judged_by_it),
                unit_arena_test(what_seems_to_go_the_other_way_is_judged_as_it_was_opened),
                unit_arena_test(what_goes_through_must_be_admitted_whoever_may_have_opened_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
