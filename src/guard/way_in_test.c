/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/way_in.h"

#include <netinet/in.h>

#include "nft/world_read.h"
#include "ruleset/compile_unit.h"

static const char catalogue[] = "ringwall: 1\n"
                                "zones:\n"
                                "  containers: { interfaces: docker0 }\n"
                                "  vms: { interfaces: virbr0 }\n"
                                "services: { ssh: { tcp: 22 }, web: { tcp: 80 } }\n";

#define SSH "inbound: [{ allow: ssh, from: 10.0.0.0/24 }]\n"

static const struct Case {
        const char *name, *policy, *peer;
        uint16_t port;
        bool admitted;
        const char *rule; /* how it ends */
} cases[] = {
        {"a rule admits it", "ringwall: 1\n" SSH, "10.0.0.7", 22, true, "10.0.0.0/24"},
        {"none does", "ringwall: 1\n" SSH, "192.0.2.7", 22, false, NULL},
        {"by where it would come in", "ringwall: 1\ninbound: [{ allow: ssh, in: wan0 }]\n",
         "10.0.0.7", 22, false, NULL},
        {"another port is forwarded", "ringwall: 1\nnat: [{ forward: web, to: 10.0.0.9 }]\n" SSH,
         "10.0.0.7", 22, true, "10.0.0.0/24"},
        {"it is forwarded to another machine",
         "ringwall: 1\nnat: [{ forward: ssh, to: 10.0.0.9 }]\n" SSH, "10.0.0.7", 22, false,
         "forwards it to 10.0.0.9"},
        {"from elsewhere it would be forwarded",
         "ringwall: 1\nnat: [{ forward: ssh, to: 10.0.0.9, in: wan0 }]\n" SSH, "10.0.0.7", 22, true,
         "10.0.0.0/24"},
        {"it is forwarded to an address of this host's",
         "ringwall: 1\nnat: [{ forward: 2222/tcp, to: \"10.0.0.1:22\" }]\n"
         "inbound: [{ allow: 2222/tcp }]\n",
         "10.0.0.7", 2222, true, NULL},
        {"from this host itself nothing is refused", "ringwall: 1\n", "10.0.0.1", 22, true, NULL},
};

static bool ends_with(const char *text, const char *end) {
        size_t n = strlen(end);

        return text && strlen(text) >= n && streq(text + strlen(text) - n, end);
}

static void says_whether_a_connection_could_be_made_anew(void **state) {
        HostLink links[] = {{.index = 1, .name = "lan0"}, {.index = 2, .name = "wan0"}};
        HostAddress own = {.link = 1, .family = FAMILY_IPV4, .address = unit_address("10.0.0.1")};
        HostRoute routes[] = {
                {.link = 1,
                 .family = FAMILY_IPV4,
                 .is_on_link = true,
                 .to = {unit_address("10.0.0.0"), unit_address("10.0.0.255")}},
                {.link = 2,
                 .family = FAMILY_IPV4,
                 .is_default = true,
                 .to = {unit_address("0.0.0.0"), unit_address("255.255.255.255")}},
        };
        HostNet net = {.arena = *state,
                       .links = links,
                       .n_links = 2,
                       .addresses = &own,
                       .n_addresses = 1,
                       .routes = routes,
                       .n_routes = 2};

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const struct Case *c = &cases[i];
                Ruleset *rs = unit_compile(*state, catalogue, c->policy);
                HostSocket socket = {.family = FAMILY_IPV4,
                                     .proto = IPPROTO_TCP,
                                     .local = own.address,
                                     .local_port = c->port,
                                     .peer = unit_address(c->peer)};
                WayIn way;

                unit_equal(c->name, way_in_decide(rs, &net, &socket, *state, &way), 0);
                unit_equal(c->name, way.admitted, c->admitted);
                unit_true(c->name, !c->rule || ends_with(way.rule, c->rule));
        }
}

/* lan0 10.0.0.1/24 and fe80::1, wan0 with the default route. */
static World *surrounded(Arena *a, const Ruleset *rs, bool has_route_rules) {
        /* what a VPN's client adds: all that bears no mark goes by a table of its own */
        static const WorldRouteRule rules[] = {
                {.action = 1, .table = 255, .suppress_prefix = -1},
                {.action = 1, .table = 254, .priority = 100, .suppress_prefix = 0},
                {.action = 1,
                 .table = 51820,
                 .priority = 101,
                 .inverted = true,
                 .mark = 51820,
                 .mask = UINT32_MAX,
                 .suppress_prefix = -1},
                {.action = 1, .table = 254, .priority = 32766, .suppress_prefix = -1},
        };
        static const WorldInterface interfaces[] = {
                {.index = 1, .name = "lan0", .type = 1, .up = true},
                {.index = 2, .name = "wan0", .type = 1, .up = true},
                {.index = 3, .name = "lo", .type = 772, .up = true, .loopback = true},
        };
        const WorldAddress addresses[] = {
                {FAMILY_IPV4, unit_address("10.0.0.1"), 24, 1},
                {FAMILY_IPV4, unit_address("127.0.0.1"), 8, 3},
                {FAMILY_IPV6, unit_address("fe80::1"), 64, 1},
        };
        const WorldRoute routes[] = {
                {FAMILY_IPV4, unit_address("10.0.0.0"), 24, 1, 254, 0, 1, false},
                {FAMILY_IPV4, unit_address("0.0.0.0"), 0, 1, 254, 0, 2, false},
                {FAMILY_IPV6, unit_address("fe80::"), 64, 1, 254, 256, 1, false},
        };
        World *w;

        assert_int_equal(world_of_ruleset(a, rs, &w), 0);
        for (size_t i = 0; i < 3; i++) {
                assert_true(arena_append(a, w->interfaces, w->n_interfaces, interfaces[i]));
                const WorldRoute local = {.family = addresses[i].family,
                                          .destination = addresses[i].address,
                                          .prefix = addresses[i].family == FAMILY_IPV4 ? 32 : 128,
                                          .type = 2,
                                          .table = 255,
                                          .index = addresses[i].index};

                assert_true(arena_append(a, w->addresses, w->n_addresses, addresses[i]));
                assert_true(arena_append(a, w->routes, w->n_routes, local));
                assert_true(arena_append(a, w->routes, w->n_routes, routes[i]));
        }
        w->has_route_rules[FAMILY_IPV4] = has_route_rules;
        for (size_t i = 0; i < ARRAY_SIZE(rules) && has_route_rules; i++)
                assert_true(arena_append(a, w->route_rules, w->n_route_rules, rules[i]));
        return w;
}

#define LIMITED "inbound: [{ allow: ssh, limit: 10/minute per source }]\n"

static const struct {
        const char *name, *policy, *peer, *local;
        bool has_route_rules;
        bool evaluated, proved, is_refuted; /* evaluated: what the other code said */
} proofs[] = {
        {"a rule admits it", "ringwall: 1\n" SSH, "10.0.0.7", "10.0.0.1", .evaluated = true,
         .proved = true},
        {"limits are not reached", "ringwall: 1\n" LIMITED, "10.0.0.7", "10.0.0.1",
         .evaluated = true, .proved = true},
        {"rules choose the route back", "ringwall: 1\n" SSH, "10.0.0.7", "10.0.0.1",
         .has_route_rules = true, .evaluated = true, .proved = true},
        {"by link-local addresses", "ringwall: 1\ninbound: [{ allow: ssh, in: lan0 }]\n", "fe80::7",
         "fe80::1", .evaluated = true, .proved = true},
        {"from this host itself", "ringwall: 1\n", "10.0.0.1", "10.0.0.1", .evaluated = true,
         .proved = true},
        {"no rule admits it, whatever the other code says", "ringwall: 1\n" SSH, "192.0.2.7",
         "10.0.0.1", .evaluated = true, .is_refuted = true},
        {"it goes to another machine", "ringwall: 1\nnat: [{ forward: ssh, to: 10.0.0.9 }]\n" SSH,
         "10.0.0.7", "10.0.0.1", .evaluated = true, .is_refuted = true},
        {"what the other code refuses stays refused", "ringwall: 1\n" SSH, "10.0.0.7", "10.0.0.1",
         .evaluated = false},
};

static void the_proof_is_made_beside_it_and_both_must_agree(void **state) {
        HostLink links[] = {{.index = 1, .name = "lan0"}, {.index = 2, .name = "wan0"}};
        HostRoute route = {.link = 1,
                           .family = FAMILY_IPV4,
                           .is_on_link = true,
                           .to = {unit_address("10.0.0.0"), unit_address("10.0.0.255")}};
        HostNet net = {
                .arena = *state, .links = links, .n_links = 2, .routes = &route, .n_routes = 1};

        for (size_t i = 0; i < ARRAY_SIZE(proofs); i++) {
                World *w = surrounded(*state, unit_compile(*state, catalogue, proofs[i].policy),
                                      proofs[i].has_route_rules);
                WayIn way = {.admitted = proofs[i].evaluated};
                HostSocket socket = {.proto = IPPROTO_TCP, .local_port = 22};

                assert_int_equal(address_parse(proofs[i].peer, &socket.family, &socket.peer), 0);
                assert_int_equal(address_parse(proofs[i].local, &socket.family, &socket.local), 0);
                unit_equal(proofs[i].name, way_in_prove(w, &net, &socket, *state, &way), 0);
                if (way.admitted != proofs[i].proved)
                        fail_msg("%s: %s", proofs[i].name, way.rule ? way.rule : "-");
                unit_equal(proofs[i].name, way.is_refuted, proofs[i].is_refuted);
                unit_equal(proofs[i].name, way.rule != NULL, proofs[i].is_refuted);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(says_whether_a_connection_could_be_made_anew),
                unit_arena_test(the_proof_is_made_beside_it_and_both_must_agree),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
