/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/survey.h"

#include <netinet/in.h>

#include "host/tree_unit.h"

static const char catalogue_text[] =
        "ringwall: 1\n"
        "zones:\n"
        "  private: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, \"fc00::/7\"]\n"
        "  containers: { interfaces: [docker0, \"br-*\"] }\n"
        "  vms: { interfaces: [\"virbr*\"] }\n"
        "services:\n"
        "  ollama: { tcp: 11434, internal: yes }\n"
        "  wireguard: { udp: 51820 }\n"
        "  mosh: { udp: 60000-61000 }\n";

static const Policy *catalogue(const Tree *t) {
        Source text = {"catalogue", catalogue_text, sizeof(catalogue_text) - 1};
        Source nothing = {"policy", "ringwall: 1\n", 12};
        Policy *p;

        assert_int_equal(policy_load_text(t->arena, text, nothing, &p, diag_new(t->arena)), 0);
        return p;
}

static void listen_at(const Tree *t,
                      SurveyInput *in,
                      uint8_t proto,
                      const char *at,
                      uint16_t port,
                      uint32_t inode) {
        HostSocket s = {.proto = proto,
                        .family = strchr(at, ':') ? FAMILY_IPV6 : FAMILY_IPV4,
                        .local = unit_address(at),
                        .local_port = port,
                        .inode = inode};

        assert_true(arena_append(t->arena, in->listening.items, in->listening.n_items, s));
}

/* Adds a link with the network; NULL: none. Returns its index. */
static uint32_t add_link(const Tree *t,
                         SurveyInput *in,
                         const char *name,
                         const char *kind,
                         uint32_t master,
                         const char *network) {
        HostLink link = {.index = (uint32_t)in->net.n_links + 1, .master = master, .is_up = true};
        HostRoute route = {.link = link.index, .is_on_link = true};

        (void)snprintf(link.name, sizeof(link.name), "%s", name);
        (void)snprintf(link.kind, sizeof(link.kind), "%s", kind);
        assert_true(arena_append(t->arena, in->net.links, in->net.n_links, link));
        if (!network)
                return link.index;
        assert_int_equal(address_range_parse(network, &route.family, &route.to), ADDRESS_OK);
        assert_true(arena_append(t->arena, in->net.routes, in->net.n_routes, route));
        return link.index;
}

static void add_default(const Tree *t, SurveyInput *in, uint32_t link) {
        HostRoute route = {.link = link, .is_default = true, .to = {U128_ZERO, u128(UINT32_MAX)}};

        assert_true(arena_append(t->arena, in->net.routes, in->net.n_routes, route));
}

static Survey look(const Tree *t, const SurveyInput *in) {
        Survey s;

        (void)tree_folder(t, "/proc");
        assert_int_equal(survey_make(t, catalogue(t), in, &s), 0);
        return s;
}

static const char *ports_text(const Tree *t, const Survey *s) {
        const char *text = "";

        for (size_t i = 0; i < s->n_ports; i++)
                text = arena_printf(t->arena, "%s%u/%s %s %s\n", text, s->ports[i].port,
                                    survey_protocol(s->ports[i].proto),
                                    s->ports[i].program ? s->ports[i].program : "-",
                                    s->ports[i].owner ? s->ports[i].owner : "-");
        return text;
}

static void a_port_stands_once_with_its_program(void **state) {
        const Tree *t = *state;
        SurveyInput in = {0};
        Survey s;

        tree_add_process(t, &(FakeProcess){.pid = 7,
                                           .comm = "nginx",
                                           .executable = "/usr/sbin/nginx",
                                           .command = "nginx: master",
                                           .cgroup = "0::/system.slice/nginx.service\n",
                                           .sockets = {70, 71}});
        tree_add_process(t, &(FakeProcess){.pid = 8,
                                           .comm = "ollama",
                                           .cgroup = "0::/system.slice/docker-0123456789abcdef0123"
                                                     "456789abcdef0123456789abcdef0123456789abcdef"
                                                     ".scope\n",
                                           .sockets = {80}});
        listen_at(t, &in, IPPROTO_TCP, "0.0.0.0", 443, 70);
        listen_at(t, &in, IPPROTO_TCP, "::", 443, 71);
        listen_at(t, &in, IPPROTO_TCP, "0.0.0.0", 11434, 80);
        listen_at(t, &in, IPPROTO_TCP, "192.0.2.1", 80, 70);
        s = look(t, &in);
        assert_false(survey_misses_programs(&s));
        assert_string_equal(ports_text(t, &s), "80/tcp nginx nginx.service\n"
                                               "443/tcp nginx nginx.service\n"
                                               "11434/tcp ollama docker 0123456789ab\n");
}

static void what_others_cannot_reach_is_left_out(void **state) {
        const Tree *t = *state;
        SurveyInput in = {0};
        Survey s;

        tree_add_process(t, &(FakeProcess){.pid = 7, .comm = "resolver", .sockets = {70, 71}});
        listen_at(t, &in, IPPROTO_TCP, "127.0.0.1", 25, 70);
        listen_at(t, &in, IPPROTO_TCP, "127.0.0.53", 53, 70);
        listen_at(t, &in, IPPROTO_TCP, "::1", 631, 70);
        listen_at(t, &in, IPPROTO_UDP, "0.0.0.0", 68, 70);
        listen_at(t, &in, IPPROTO_UDP, "fe80::1", 546, 70);
        listen_at(t, &in, IPPROTO_UDP, "0.0.0.0", 40000, 70); /* asks, and waits for an answer */
        listen_at(t, &in, IPPROTO_UDP, "0.0.0.0", 60001, 71);
        listen_at(t, &in, IPPROTO_UDP, "0.0.0.0", 5000, 71);
        listen_at(t, &in, IPPROTO_UDP, "0.0.0.0", 51820, 0); /* the kernel's own */
        listen_at(t, &in, IPPROTO_UDP, "0.0.0.0", 50000, 0);
        s = look(t, &in);
        assert_string_equal(ports_text(t, &s),
                            "5000/udp resolver -\n50000/udp - -\n51820/udp - -\n");
        tree_write(t, "/proc/sys/net/ipv4/ip_local_port_range", "4000\t45000\n");
        s = look(t, &in);
        assert_string_equal(ports_text(t, &s),
                            "50000/udp - -\n51820/udp - -\n60001/udp resolver -\n");
}

static void a_published_port_tells_where_it_ends(void **state) {
        const Tree *t = *state;
        SurveyInput in = {0};
        Survey s;

        tree_add_process(t, &(FakeProcess){.pid = 7,
                                           .comm = "docker-proxy",
                                           .command = "/usr/bin/docker-proxy -proto tcp -host-port "
                                                      "8443 -container-ip 172.17.0.2 "
                                                      "-container-port 11434",
                                           .cgroup = "0::/system.slice/docker.service\n",
                                           .sockets = {70}});
        listen_at(t, &in, IPPROTO_TCP, "0.0.0.0", 8443, 70);
        s = look(t, &in);
        assert_string_equal(ports_text(t, &s), "8443/tcp docker-proxy -\n");
        assert_true(s.ports[0].is_published);
        assert_int_equal(s.ports[0].inner, 11434);
        assert_string_equal(s.ports[0].inner_address, "172.17.0.2");
        assert_null(s.ports[0].container); /* there is none that is known */
}

/* tcp dport PORT dnat to 172.17.0.2:INNER, in a chain of that name */
static World *world_with_rule(const Tree *t, const char *chain, uint16_t port, uint16_t inner) {
        const WorldExpr exprs[] = {
                {.kind = WORLD_META, .key = 16 /* NFT_META_L4PROTO */, .target = 0, .size = 1},
                {.kind = WORLD_CMP, .source = 0, .target = -1, .data = {1, {IPPROTO_TCP}}},
                {.kind = WORLD_PAYLOAD, .base = WORLD_TRANSPORT, .offset = 2, .size = 2},
                {.kind = WORLD_CMP,
                 .source = 0,
                 .target = -1,
                 .data = {2, {(uint8_t)(port >> 8), (uint8_t)port}}},
                {.kind = WORLD_DATA, .target = 1, .data = {4, {172, 17, 0, 2}}},
                {.kind = WORLD_DATA,
                 .target = 2,
                 .data = {2, {(uint8_t)(inner >> 8), (uint8_t)inner}}},
                {.kind = WORLD_NAT, .target = -1, .nat = {WORLD_DNAT, 2, 1, 1, 2, 2, 0}},
        };
        WorldRule *rule = arena_new0(t->arena, WorldRule);
        WorldChain *c = arena_new0(t->arena, WorldChain);
        WorldTable *table = arena_new0(t->arena, WorldTable);
        World *w = arena_new0(t->arena, World);

        *table = (WorldTable){.name = "nat"};
        rule->exprs = arena_alloc(t->arena, sizeof(exprs));
        memcpy(rule->exprs, exprs, sizeof(exprs));
        rule->n_exprs = ARRAY_SIZE(exprs);
        *c = (WorldChain){.table = table, .name = chain, .rules = rule, .n_rules = 1};
        *w = (World){.arena = t->arena};
        assert_true(arena_append(t->arena, w->chains, w->n_chains, c));
        return w;
}

static void what_a_container_engine_publishes_by_rules_alone_is_a_port(void **state) {
        const Tree *t = *state;
        SurveyInput in = {.world = world_with_rule(t, "DOCKER", 8443, 11434)};
        Survey s;

        tree_add_process(t, &(FakeProcess){.pid = 7, .comm = "nginx", .sockets = {70}});
        listen_at(t, &in, IPPROTO_TCP, "0.0.0.0", 443, 70);
        s = look(t, &in);
        assert_string_equal(ports_text(t, &s), "443/tcp nginx -\n8443/tcp Docker -\n");
        assert_true(s.ports[1].is_published);
        assert_int_equal(s.ports[1].inner, 11434);
        /* whoever listens there gets nothing */
        tree_add_process(t, &(FakeProcess){.pid = 8, .comm = "dockerd", .sockets = {80}});
        listen_at(t, &in, IPPROTO_TCP, "0.0.0.0", 8443, 80);
        s = look(t, &in);
        assert_string_equal(ports_text(t, &s), "443/tcp nginx -\n8443/tcp Docker -\n");
        assert_int_equal(s.ports[1].inner, 11434);
        in = (SurveyInput){.world = world_with_rule(t, "mine", 8443, 11434)};
        s = look(t, &in);
        assert_string_equal(ports_text(t, &s), "");
}

static void a_port_is_roots_if_all_of_its_sockets_are(void **state) {
        const Tree *t = *state;
        SurveyInput in = {0};
        Survey s;

        listen_at(t, &in, IPPROTO_UDP, "0.0.0.0", 1194, 1);
        listen_at(t, &in, IPPROTO_UDP, "0.0.0.0", 51820, 2);
        listen_at(t, &in, IPPROTO_UDP, "::", 51820, 3);
        in.listening.items[2].uid = 1000;
        s = look(t, &in);
        assert_int_equal(s.n_ports, 2);
        assert_true(s.ports[0].of_root);
        assert_false(s.ports[1].of_root);
}

static void names_are_cleaned_and_short(void **state) {
        const Tree *t = *state;
        SurveyInput in = {0};
        Survey s;

        tree_add_process(t, &(FakeProcess){.pid = 7,
                                           .comm = "a\n- b: {c}",
                                           .executable = "/home/x/a\ninbound: [{ allow: any }] "
                                                         "which is longer than any name has to be",
                                           .cgroup = "0::/system.slice/x\033[31m.service\n",
                                           .sockets = {70}});
        listen_at(t, &in, IPPROTO_TCP, "0.0.0.0", 443, 70);
        s = look(t, &in);
        assert_string_equal(s.ports[0].program, "a?inbound: [{ allow: any }] which is longer than");
        assert_string_equal(s.ports[0].owner, "x?[31m.service");
        assert_null(strpbrk(s.ports[0].words, "\n\033"));
}

static void networks_are_told_apart(void **state) {
        static const struct {
                const char *name;
                SurveyLinkKind kind;
        } expected[] = {
                {"eth0", SURVEY_LINK_OTHER_LAN},
                {"eth1", SURVEY_LINK_OTHER},
                {"wg0", SURVEY_LINK_VPN},
                {"tun0", SURVEY_LINK_VPN},
                {"docker0", SURVEY_LINK_CONTAINERS},
                {"virbr0", SURVEY_LINK_VMS},
                {"tailscale0", SURVEY_LINK_TAILNET},
                {"lxdbr0", SURVEY_LINK_INSTANCES},
                {"vmbr0", SURVEY_LINK_OTHER_LAN},
                {"br-lan", SURVEY_LINK_LAN},
                {"dummy0", SURVEY_LINK_OTHER},
        };
        const Tree *t = *state;
        SurveyInput in = {0};
        uint32_t bridge, lan;
        Survey s;

        (void)add_link(t, &in, "eth0", "", 0, "10.40.10.0/24");
        add_default(t, &in, add_link(t, &in, "eth1", "", 0, "203.0.113.0/24"));
        (void)add_link(t, &in, "wg0", "wireguard", 0, "10.99.0.0/24");
        (void)add_link(t, &in, "tun0", "tun", 0, "10.98.0.0/24");
        (void)add_link(t, &in, "docker0", "bridge", 0, "172.17.0.0/16");
        (void)add_link(t, &in, "virbr0", "bridge", 0, "192.168.122.0/24");
        (void)add_link(t, &in, "tailscale0", "tun", 0, NULL);
        bridge = add_link(t, &in, "lxdbr0", "bridge", 0, "10.1.2.0/24");
        (void)add_link(t, &in, "veth1", "veth", bridge, NULL);
        bridge = add_link(t, &in, "vmbr0", "bridge", 0, "192.168.1.0/24");
        (void)add_link(t, &in, "eth2", "", bridge, NULL);
        lan = add_link(t, &in, "br-lan", "bridge", 0, "192.168.2.0/24");
        add_default(t, &in, lan);
        (void)add_link(t, &in, "dummy0", "dummy", 0, "10.5.0.0/24");
        (void)add_link(t, &in, "x: [y]", "", 0, "10.6.0.0/24"); /* fits into no policy */
        s = look(t, &in);
        assert_int_equal(s.n_links, ARRAY_SIZE(expected));
        for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
                const SurveyLink *link = survey_find_link(&s, expected[i].name);

                unit_true(expected[i].name, link != NULL);
                unit_equal(expected[i].name, link->kind, expected[i].kind);
        }
        assert_string_equal(survey_find_link(&s, "eth0")->networks, "10.40.10.0/24");
        assert_true(survey_find_link(&s, "eth1")->is_uplink);
        assert_true(survey_find_link(&s, "br-lan")->seems_containers);
        assert_false(survey_find_link(&s, "docker0")->seems_containers);
}

static void the_network_of_the_caller_is_the_hosts_own(void **state) {
        static const struct {
                const char *caller;
                SurveyLinkKind kinds[4]; /* of eth0, eth0.20, wlan0, wlan1 */
        } rows[] = {
                {"10.40.10.9",
                 {SURVEY_LINK_LAN, SURVEY_LINK_OTHER_LAN, SURVEY_LINK_LAN, SURVEY_LINK_OTHER_LAN}},
                {"10.40.20.9",
                 {SURVEY_LINK_OTHER_LAN, SURVEY_LINK_LAN, SURVEY_LINK_OTHER_LAN,
                  SURVEY_LINK_OTHER_LAN}},
                /* from elsewhere: wlan1 leads there */
                {"198.51.100.9",
                 {SURVEY_LINK_OTHER_LAN, SURVEY_LINK_OTHER_LAN, SURVEY_LINK_OTHER_LAN,
                  SURVEY_LINK_LAN}},
        };
        const Tree *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                SurveyInput in = {
                        .environment = arena_printf(t->arena, "%s 1 192.0.2.1 22", rows[i].caller)};
                Survey s;

                (void)add_link(t, &in, "eth0", "", 0, "10.40.10.0/24");
                (void)add_link(t, &in, "eth0.20", "vlan", 0, "10.40.20.0/24");
                (void)add_link(t, &in, "wlan0", "", 0, "10.40.10.0/24");
                add_default(t, &in, add_link(t, &in, "wlan1", "", 0, "10.40.30.0/24"));
                s = look(t, &in);
                for (size_t j = 0; j < 4; j++)
                        unit_equal(rows[i].caller, s.links[j].kind, rows[i].kinds[j]);
        }
}

static void neighbours_at_a_provider_are_no_network_of_ones_own(void **state) {
        const Tree *t = *state;
        SurveyInput in = {0};
        uint32_t eth0 = add_link(t, &in, "eth0", "", 0, "203.0.113.0/24");
        HostRoute private = {.link = eth0, .is_on_link = true};
        Survey s;

        assert_int_equal(address_range_parse("10.0.0.0/16", &private.family, &private.to),
                         ADDRESS_OK);
        assert_true(arena_append(t->arena, in.net.routes, in.net.n_routes, private));
        s = look(t, &in);
        assert_int_equal(survey_find_link(&s, "eth0")->kind, SURVEY_LINK_OTHER);
}

static void the_caller_is_who_the_connection_shows(void **state) {
        const Tree *t = *state;
        SshConnection c = {.socket = {.proto = IPPROTO_TCP,
                                      .peer = unit_address("10.40.10.2"),
                                      .local_port = 2222}};
        SurveyInput in = {.connection = &c, .environment = "192.0.2.9 1 192.0.2.1 22"};
        Survey s;

        (void)add_link(t, &in, "eth0", "", 0, "10.40.10.0/24");
        add_default(t, &in, add_link(t, &in, "eth1", "", 0, "203.0.113.0/24"));
        s = look(t, &in);
        assert_true(s.has_caller);
        assert_true(u128_equal(s.caller, unit_address("10.40.10.2")));
        assert_string_equal(s.caller_link, "eth0");
        assert_int_equal(s.n_ssh_ports, 1);
        assert_int_equal(s.ssh_ports[0], 2222);
}

static void without_root_the_environment_says_it(void **state) {
        static const struct {
                const char *text, *peer, *link;
                uint16_t port;
        } rows[] = {
                {"192.0.2.9 50000 203.0.113.1 22", "192.0.2.9", "eth1", 22},
                {"fe80::9%eth0 50000 fe80::1%eth0 2222", "fe80::9", "eth0", 2222},
                {"", NULL, NULL, 0},
                {"192.0.2.9", NULL, NULL, 0},
                {"192.0.2.9 50000 203.0.113.1", NULL, NULL, 0},
                {"192.0.2.9 50000 203.0.113.1 0", NULL, NULL, 0},
                {"a b c d", NULL, NULL, 0},
                {"203.0.113.1 50000 203.0.113.1 22", NULL, NULL, 0}, /* from this host itself */
        };
        const Tree *t = *state;
        HostAddress own = {.link = 2, .address = unit_address("203.0.113.1"), .length = 24};

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                SurveyInput in = {.environment = rows[i].text};
                Survey s;

                (void)add_link(t, &in, "eth0", "", 0, "10.40.10.0/24");
                add_default(t, &in, add_link(t, &in, "eth1", "", 0, "203.0.113.0/24"));
                assert_true(arena_append(t->arena, in.net.addresses, in.net.n_addresses, own));
                s = look(t, &in);
                unit_equal(rows[i].text, s.has_caller, rows[i].peer != NULL);
                if (!rows[i].peer)
                        continue;
                unit_true(rows[i].text, u128_equal(s.caller, unit_address(rows[i].peer)));
                unit_string(rows[i].text, s.caller_link, rows[i].link);
                unit_equal(rows[i].text, s.ssh_ports[0], rows[i].port);
        }
}

static void sshds_ports_are_where_it_listens(void **state) {
        const Tree *t = *state;
        SshListener listeners[] = {
                {.socket = {.local_port = 2222}},
                {.socket = {.local_port = 22, .family = FAMILY_IPV6}},
                {.socket = {.local_port = 2222, .family = FAMILY_IPV6}},
                {.socket = {.local_port = 23, .local = unit_address("127.0.0.1")}},
        };
        SurveyInput in = {.sshd = {.listeners = listeners, .n_listeners = ARRAY_SIZE(listeners)}};
        Survey s;

        listen_at(t, &in, IPPROTO_TCP, "0.0.0.0", 2222, 1);
        s = look(t, &in);
        assert_int_equal(s.n_ssh_ports, 2);
        assert_int_equal(s.ssh_ports[0], 22);
        assert_int_equal(s.ssh_ports[1], 2222);
        assert_true(s.ports[0].is_ssh);
}

static void a_flood_of_ports_hides_no_service(void **state) {
        const Tree *t = *state;
        SurveyInput in = {0};
        Survey s;

        for (uint16_t i = 0; i < 2000; i++)
                listen_at(t, &in, IPPROTO_TCP, "0.0.0.0", (uint16_t)(2000 + i), 0);
        listen_at(t, &in, IPPROTO_TCP, "0.0.0.0", 11434, 0);
        s = look(t, &in);
        assert_int_equal(s.n_ports, SURVEY_UNNAMED_MAX + 1);
        assert_int_equal(s.n_unnamed, 2000);
        assert_int_equal(s.ports[SURVEY_UNNAMED_MAX].port, 11434);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(a_port_stands_once_with_its_program),
                tree_test(what_others_cannot_reach_is_left_out),
                tree_test(a_published_port_tells_where_it_ends),
                tree_test(what_a_container_engine_publishes_by_rules_alone_is_a_port),
                tree_test(a_port_is_roots_if_all_of_its_sockets_are),
                tree_test(names_are_cleaned_and_short),
                tree_test(networks_are_told_apart),
                tree_test(the_network_of_the_caller_is_the_hosts_own),
                tree_test(neighbours_at_a_provider_are_no_network_of_ones_own),
                tree_test(the_caller_is_who_the_connection_shows),
                tree_test(without_root_the_environment_says_it),
                tree_test(sshds_ports_are_where_it_listens),
                tree_test(a_flood_of_ports_hides_no_service),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
