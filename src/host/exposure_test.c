/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/exposure.h"

#include <netinet/in.h>

#include "host/tree_unit.h"
#include "nft/world_read.h"
#include "ruleset/pass.h"

static const char catalogue[] =
        "ringwall: 1\n"
        "zones:\n"
        "  private: [10.0.0.0/8, 172.16.0.0/12, \"fc00::/7\"]\n"
        "  internet: { addresses: [1.0.0.0-126.255.255.255, 192.0.0.0/8, \"2000::/3\"],\n"
        "              except: private }\n"
        "  containers: { interfaces: [docker0, \"br-*\"] }\n"
        "  vms: { interfaces: [\"virbr*\"] }\n"
        "services:\n"
        "  ssh: { tcp: 22 }\n"
        "  web: { tcp: [80, 443] }\n"
        "  n8n: { tcp: 5678, internal: yes }\n"
        "  ollama: { tcp: 11434, internal: yes }\n";

static const char policy_text[] = "ringwall: 1\n"
                                  "zones:\n"
                                  "  lan: [10.0.0.0/24, \"fd00::/64\"]\n"
                                  "inbound:\n"
                                  "  - { allow: web }\n"
                                  "  - { allow: ssh, from: lan }\n"
                                  "  - { allow: 2222/tcp, limit: 10/minute per source }\n"
                                  "  - { allow: [8443/tcp, 8000/tcp] }\n"
                                  "nat:\n"
                                  "  - { forward: 8443/tcp, to: \"172.17.0.5:443\" }\n"
                                  "protected:\n"
                                  "  - { services: [n8n, ollama] }\n";

static const char *const names[] = {"lo", "eth0", "eth1", "docker0"};

static void add_address(World *w, Family f, const char *text, uint8_t prefix, int index) {
        WorldAddress a = {.family = f, .prefix = prefix, .index = index};
        unsigned int bits = family_width(f);
        WorldRoute local = {
                .family = f, .prefix = (uint8_t)bits, .type = 2, .table = 255, .index = index};
        WorldRoute net = {.family = f, .prefix = prefix, .type = 1, .table = 254, .index = index};
        U128 mask = u128_low_mask(bits - prefix);
        Family parsed;

        assert_int_equal(address_parse(text, &parsed, &a.address), ADDRESS_OK);
        local.destination = a.address;
        net.destination = (U128){a.address.high & ~mask.high, a.address.low & ~mask.low};
        assert_true(arena_append(w->arena, w->addresses, w->n_addresses, a));
        assert_true(arena_append(w->arena, w->routes, w->n_routes, local));
        assert_true(arena_append(w->arena, w->routes, w->n_routes, net));
}

/* A host with an uplink eth0, a LAN at eth1, and containers. */
static void surround(World *w) {
        WorldRoute loopback = {.family = FAMILY_IPV4,
                               .destination = {0, 0x7f000000},
                               .prefix = 8,
                               .type = 2,
                               .table = 255,
                               .index = 1};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                WorldInterface in = {.index = (int)i + 1,
                                     .name = names[i],
                                     .type = 1,
                                     .up = true,
                                     .loopback = i == 0};

                assert_true(arena_append(w->arena, w->interfaces, w->n_interfaces, in));
        }
        assert_true(arena_append(w->arena, w->routes, w->n_routes, loopback));
        add_address(w, FAMILY_IPV4, "192.0.2.10", 24, 2);
        add_address(w, FAMILY_IPV6, "2001:db8:1::10", 64, 2);
        add_address(w, FAMILY_IPV4, "10.0.0.1", 24, 3);
        add_address(w, FAMILY_IPV6, "fd00::1", 64, 3);
        add_address(w, FAMILY_IPV4, "172.17.0.1", 16, 4);
        for (Family f = 0; f < _FAMILY_MAX; f++) {
                WorldRoute all = {.family = f, .type = 1, .table = 254, .index = 2, .metric = 100};

                assert_true(arena_append(w->arena, w->routes, w->n_routes, all));
        }
        w->forwards4 = w->forwards6 = true;
}

typedef struct Host {
        Arena *arena;
        Tree *tree;
        ExposureInput input;
} Host;

/* text NULL: nothing is in force, and the policy is the one above. */
static Host make_host(Tree *t, const char *text, bool in_force) {
        static const KernelFeatures features = {.fib_in_filter = true};
        Host h = {.arena = t->arena, .tree = t, .input = {.in_force = in_force}};
        Diag *d = diag_new(t->arena);
        Policy *p;
        Ruleset *rs;
        World *w = arena_new0(t->arena, World);

        (void)tree_folder(t, "/proc");
        w->arena = t->arena;
        assert_int_equal(policy_load_text(t->arena,
                                          (Source){"catalogue", catalogue, strlen(catalogue)},
                                          (Source){"test.yaml", text, strlen(text)}, &p, d),
                         0);
        assert_int_equal(ruleset_compile(p, &features, NULL, t->arena, &rs, d), 0);
        if (in_force)
                assert_int_equal(world_of_ruleset(t->arena, rs, &w), 0);
        surround(w);
        h.input.world = w;
        h.input.policy = p;
        return h;
}

/* address: "*" is any of both families. */
static void listen_at(Host *h, uint8_t proto, const char *address, uint16_t port, uint32_t inode) {
        HostSocket s = {.proto = proto, .local_port = port, .inode = inode};

        if (streq(address, "*")) {
                s.family = FAMILY_IPV6;
                s.is_dual = true;
        } else {
                assert_int_equal(address_parse(address, &s.family, &s.local), ADDRESS_OK);
        }
        assert_true(
                arena_append(h->arena, h->input.listening.items, h->input.listening.n_items, s));
}

static Exposure find(Host *h) {
        Exposure found;

        assert_int_equal(process_read_holders(h->tree, &h->input.listening, &h->input.holders), 0);
        assert_int_equal(exposure_find(h->arena, &h->input, &found), 0);
        assert_int_equal(found.n_open, 0);
        return found;
}

static const ExposureRow *
row_of(const Exposure *x, ExposureKind kind, uint16_t port, const char *at) {
        for (size_t i = 0; i < x->n_rows; i++)
                if (x->rows[i].kind == kind && x->rows[i].low == port && streq(x->rows[i].at, at))
                        return &x->rows[i];
        fail_msg("there is no row of %u at %s", port, at);
        return NULL;
}

static const ExposureAnswer *
answer_of(const Exposure *x, const ExposureRow *row, const char *zone) {
        for (size_t i = 0; i < x->n_zones; i++)
                if (streq(x->zones[i]->name, zone))
                        return &row->zones[i];
        fail_msg("there is no zone %s", zone);
        return NULL;
}

static void each_zone_gets_where_the_policy_lets_it(void **state) {
        static const struct {
                const char *name;
                uint16_t port;
                ReachCount internet, lan, private, everybody;
                ExposureDanger danger;
        } rows[] = {
                {"web", 80, REACH_ALL, REACH_ALL, REACH_ALL, REACH_ALL, EXPOSURE_INTERNET},
                {"ssh", 22, REACH_NOBODY, REACH_ALL, REACH_SOME, REACH_SOME, EXPOSURE_OUTSIDE},
                {"within a limit", 2222, REACH_ALL, REACH_ALL, REACH_ALL, REACH_ALL,
                 EXPOSURE_INTERNET},
                {"n8n", 5678, REACH_NOBODY, REACH_NOBODY, REACH_NOBODY, REACH_NOBODY,
                 EXPOSURE_CLOSED},
                {"said nowhere", 9999, REACH_NOBODY, REACH_NOBODY, REACH_NOBODY, REACH_NOBODY,
                 EXPOSURE_CLOSED},
        };
        Host h = make_host(*state, policy_text, true);
        Exposure x;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                listen_at(&h, IPPROTO_TCP, "*", rows[i].port, 0);
        x = find(&h);
        assert_string_equal(x.zones[0]->name, "internet");
        assert_string_equal(x.zones[1]->name, "lan");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const ExposureRow *row = row_of(&x, EXPOSURE_LISTENS, rows[i].port, "*");

                unit_equal(rows[i].name, row->zones[0].count, rows[i].internet);
                unit_equal(rows[i].name, row->zones[1].count, rows[i].lan);
                unit_equal(rows[i].name, answer_of(&x, row, "private")->count, rows[i].private);
                unit_equal(rows[i].name, row->danger, rows[i].danger);
                unit_equal(rows[i].name, row->anywhere.count, rows[i].everybody);
                unit_true(rows[i].name, !row->anywhere.unsure);
        }
        /* private clients of SSH's are those of the LAN, which is named */
        assert_true(answer_of(&x, row_of(&x, EXPOSURE_LISTENS, 22, "*"), "private")->covered);
        /* there are no such interfaces */
        assert_true(answer_of(&x, &x.rows[0], "vms")->absent);
        assert_false(answer_of(&x, &x.rows[0], "containers")->absent);
}

static void without_a_policy_in_force_what_is_protected_comes_first_with_a_packet(void **state) {
        Host h = make_host(*state, policy_text, false);
        Exposure x;

        listen_at(&h, IPPROTO_TCP, "*", 80, 0);
        listen_at(&h, IPPROTO_TCP, "127.0.0.1", 5678, 0);
        listen_at(&h, IPPROTO_TCP, "192.0.2.10", 11434, 0);
        x = find(&h);
        assert_int_equal(x.rows[0].low, 11434);
        assert_int_equal(x.rows[0].danger, EXPOSURE_PROTECTED);
        assert_non_null(strstr(x.rows[0].claim->text, "protected n8n, ollama"));
        assert_non_null(strstr(x.rows[0].connection, "to 192.0.2.10 port 11434"));
        assert_int_equal(x.rows[1].low, 80);
        assert_int_equal(x.rows[1].danger, EXPOSURE_INTERNET);
        assert_int_equal(x.rows[2].low, 5678);
        assert_int_equal(x.rows[2].danger, EXPOSURE_CLOSED);
        assert_string_equal(x.rows[2].at, "loopback");
}

static void an_internal_service_is_told_of_unless_a_policy_lets_it_be_reached(void **state) {
        static const char open[] = "ringwall: 1\ninbound: [{ allow: ollama, from: anywhere }]\n";

        for (int in_force = 0; in_force < 2; in_force++) {
                Host h = make_host(*state, open, in_force);
                Exposure x;

                listen_at(&h, IPPROTO_TCP, "*", 11434, 0);
                x = find(&h);
                assert_string_equal(x.rows[0].internal->name, "ollama");
                assert_int_equal(x.rows[0].danger,
                                 in_force ? EXPOSURE_INTERNET : EXPOSURE_INTERNAL);
        }
}

static void loopback_is_reached_only_where_the_kernel_lets_neighbours_in(void **state) {
        for (int lets = 0; lets < 2; lets++) {
                Host h = make_host(*state, policy_text, false);
                World *w = arena_new0(h.arena, World);
                Exposure x;

                *w = *h.input.world;
                w->route_localnet = lets;
                for (size_t i = 0; i < w->n_interfaces; i++)
                        w->interfaces[i].route_localnet = lets;
                h.input.world = w;
                listen_at(&h, IPPROTO_TCP, "127.0.0.1", 8080, 0);
                x = find(&h);
                assert_int_equal(x.rows[0].anywhere.count, REACH_NOBODY);
                assert_int_equal(x.rows[0].by_neighbours, lets);
                assert_int_equal(x.rows[0].danger, lets ? EXPOSURE_OUTSIDE : EXPOSURE_CLOSED);
        }
}

static void sockets_of_both_families_and_of_one_program_are_one_row(void **state) {
        Host h = make_host(*state, policy_text, true);
        const ExposureRow *row;
        Exposure x;

        listen_at(&h, IPPROTO_TCP, "0.0.0.0", 80, 0);
        listen_at(&h, IPPROTO_TCP, "::", 80, 0);
        listen_at(&h, IPPROTO_TCP, "::", 80, 0);
        listen_at(&h, IPPROTO_TCP, "0.0.0.0", 443, 0);
        listen_at(&h, IPPROTO_UDP, "::", 443, 0);
        x = find(&h);
        assert_int_equal(x.n_rows, 3 + 1); /* the policy's own translation */
        row = row_of(&x, EXPOSURE_LISTENS, 80, "*");
        assert_int_equal(row->n_places, 2);
        assert_true(row->has_family[FAMILY_IPV4] && row->has_family[FAMILY_IPV6]);
        assert_int_equal(row_of(&x, EXPOSURE_LISTENS, 443, "0.0.0.0")->proto, IPPROTO_TCP);
        assert_int_equal(row_of(&x, EXPOSURE_LISTENS, 443, "::")->danger, EXPOSURE_CLOSED);
}

static void ports_that_follow_one_another_and_fare_alike_are_one_row(void **state) {
        static const char media[] = "ringwall: 1\ninbound: [{ allow: 5000-5009/udp }]\n";
        Host h = make_host(*state, media, true);
        const ExposureRow *row;
        Exposure x;

        for (uint16_t port = 5000; port < 5020; port++) {
                listen_at(&h, IPPROTO_UDP, "*", port, 0);
                listen_at(&h, IPPROTO_TCP, "0.0.0.0", port, 0);
        }
        x = find(&h);
        assert_int_equal(x.n_rows, 3);
        row = row_of(&x, EXPOSURE_LISTENS, 5000, "*");
        assert_int_equal(row->high, 5009);
        assert_int_equal(row->danger, EXPOSURE_INTERNET);
        assert_int_equal(row_of(&x, EXPOSURE_LISTENS, 5010, "*")->high, 5019);
        assert_int_equal(row_of(&x, EXPOSURE_LISTENS, 5000, "0.0.0.0")->high, 5019);
        assert_int_equal(x.n_danger[EXPOSURE_CLOSED], 30);
}

static void among_many_ports_each_has_the_answer_of_its_own(void **state) {
        static const char some[] = "ringwall: 1\n"
                                   "inbound: [{ allow: [20100/tcp, 20250/tcp] }]\n"
                                   "protected: [{ services: 20150/tcp }]\n";

        for (int in_force = 0; in_force < 2; in_force++) {
                Host h = make_host(*state, some, in_force);
                Exposure x;

                for (uint16_t port = 20000; port < 20300; port++)
                        listen_at(&h, IPPROTO_TCP, "*", port, 0);
                x = find(&h);
                assert_int_equal(x.n_danger[EXPOSURE_INTERNET], in_force ? 2 : 299);
                assert_int_equal(x.n_danger[EXPOSURE_PROTECTED], !in_force);
                if (in_force) {
                        (void)row_of(&x, EXPOSURE_LISTENS, 20100, "*");
                        (void)row_of(&x, EXPOSURE_LISTENS, 20250, "*");
                }
        }
}

static void what_only_one_family_reaches_says_which(void **state) {
        static const char v4[] = "ringwall: 1\ninbound: [{ allow: web, to: 192.0.2.10 }]\n";
        Host h = make_host(*state, v4, true);
        const ExposureAnswer *all;
        Exposure x;

        listen_at(&h, IPPROTO_TCP, "*", 80, 0);
        x = find(&h);
        all = &row_of(&x, EXPOSURE_LISTENS, 80, "*")->anywhere;
        assert_int_equal(all->count, REACH_ALL);
        assert_true(all->is_one_family);
        assert_int_equal(all->family, FAMILY_IPV4);
}

static void published_by(void **state, const char *program) {
        FakeProcess proxy = {.pid = 70,
                             .parent = 1,
                             .comm = program,
                             .cgroup = "0::/system.slice/docker.service\n",
                             .sockets = {4711}};
        Container web = {.engine = "docker", .id = "0123456789ab", .name = "web"};
        ContainerAddress has = {FAMILY_IPV4, {0, 0xac110005}, 0};
        Host h = make_host(*state, policy_text, true);
        const ExposureRow *row;
        Exposure x;

        proxy.executable = arena_printf(h.arena, "/usr/bin/%s", program);
        tree_add_process(h.tree, &proxy);
        listen_at(&h, IPPROTO_TCP, "*", 8443, 4711);
        h.input.containers = (ContainerList){&web, 1, &has, 1};
        x = find(&h);
        assert_int_equal(x.n_rows, 1);
        row = row_of(&x, EXPOSURE_PUBLISHED, 8443, "*");
        assert_string_equal(row->target, "172.17.0.5:443");
        assert_ptr_equal(row->container, &web);
        assert_string_equal(row->program, program);
        assert_int_equal(row->pid, 70);
        assert_int_equal(row->danger, EXPOSURE_INTERNET);
        assert_int_equal(answer_of(&x, row, "internet")->count, REACH_ALL);
}

static void
a_translated_port_is_one_row_with_its_container_and_the_program_that_holds_it(void **state) {
        published_by(state, "docker-proxy");
}

static void dockerd_holds_it_where_there_is_no_proxy(void **state) {
        published_by(state, "dockerd");
}

static void who_holds_a_socket_is_named_with_its_unit(void **state) {
        FakeProcess nginx = {.pid = 71,
                             .parent = 1,
                             .comm = "\033[2Jnginx",
                             .executable = "/usr/sbin/ng\033inx",
                             .cgroup = "0::/system.slice/nginx.service\n",
                             .sockets = {4712}};
        Host h = make_host(*state, policy_text, true);
        const ExposureRow *row;
        Exposure x;

        tree_add_process(h.tree, &nginx);
        listen_at(&h, IPPROTO_TCP, "*", 80, 4712);
        x = find(&h);
        row = row_of(&x, EXPOSURE_LISTENS, 80, "*");
        assert_string_equal(row->program, "ng?inx");
        assert_string_equal(row->owner, "nginx.service");
        assert_false(x.misses_programs);
}

static void a_relay_to_a_protected_port_counts_by_where_it_leads(void **state) {
        Bypass relay = {.kind = BYPASS_RELAY,
                        .state = BYPASS_FOUND,
                        .effect = BYPASS_RELAYS,
                        .what = "process 7, socat: port 8000/tcp goes to port 11434",
                        .proto = IPPROTO_TCP,
                        .port = 8000,
                        .target_port = 11434};
        Host h = make_host(*state, policy_text, true);
        Exposure x;

        listen_at(&h, IPPROTO_TCP, "*", 8000, 0);
        h.input.bypasses = &relay;
        h.input.n_bypasses = 1;
        x = find(&h);
        assert_int_equal(x.rows[0].danger, EXPOSURE_PROTECTED);
        assert_string_equal(x.rows[0].relay, relay.what);
}

static void what_a_tunnel_leads_to_is_reached_though_it_listens_on_loopback(void **state) {
        Bypass tunnel = {.kind = BYPASS_TUNNEL,
                         .state = BYPASS_FOUND,
                         .effect = BYPASS_RELAYS,
                         .what = "process 8, cloudflared, brings connections to port 11434",
                         .proto = IPPROTO_TCP,
                         .target_port = 11434};
        Host h = make_host(*state, policy_text, true);
        Exposure x;

        listen_at(&h, IPPROTO_TCP, "127.0.0.1", 11434, 0);
        listen_at(&h, IPPROTO_TCP, "127.0.0.1", 5678, 0);
        h.input.bypasses = &tunnel;
        h.input.n_bypasses = 1;
        x = find(&h);
        assert_int_equal(x.rows[0].danger, EXPOSURE_PROTECTED);
        assert_string_equal(x.rows[0].tunnel, tunnel.what);
        assert_int_equal(row_of(&x, EXPOSURE_LISTENS, 5678, "loopback")->danger, EXPOSURE_CLOSED);
}

static void what_is_bound_to_an_interface_is_reached_by_it_alone(void **state) {
        Host h = make_host(*state, policy_text, true);
        const ExposureRow *row;
        Exposure x;

        listen_at(&h, IPPROTO_TCP, "*", 80, 0);
        h.input.listening.items[0].link = 3; /* eth1 */
        x = find(&h);
        row = row_of(&x, EXPOSURE_LISTENS, 80, "*%eth1");
        assert_int_equal(answer_of(&x, row, "internet")->count, REACH_NOBODY);
        assert_int_equal(answer_of(&x, row, "lan")->count, REACH_ALL);
        assert_int_equal(row->danger, EXPOSURE_OUTSIDE);
}

static void a_host_where_nothing_listens_has_no_rows(void **state) {
        static const char bare[] = "ringwall: 1\n";
        Host h = make_host(*state, bare, true);
        Exposure x = find(&h);

        assert_int_equal(x.n_rows, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(each_zone_gets_where_the_policy_lets_it),
                tree_test(without_a_policy_in_force_what_is_protected_comes_first_with_a_packet),
                tree_test(an_internal_service_is_told_of_unless_a_policy_lets_it_be_reached),
                tree_test(loopback_is_reached_only_where_the_kernel_lets_neighbours_in),
                tree_test(sockets_of_both_families_and_of_one_program_are_one_row),
                tree_test(ports_that_follow_one_another_and_fare_alike_are_one_row),
                tree_test(among_many_ports_each_has_the_answer_of_its_own),
                tree_test(what_only_one_family_reaches_says_which),
                tree_test(
                        a_translated_port_is_one_row_with_its_container_and_the_program_that_holds_it),
                tree_test(dockerd_holds_it_where_there_is_no_proxy),
                tree_test(who_holds_a_socket_is_named_with_its_unit),
                tree_test(a_relay_to_a_protected_port_counts_by_where_it_leads),
                tree_test(what_a_tunnel_leads_to_is_reached_though_it_listens_on_loopback),
                tree_test(what_is_bound_to_an_interface_is_reached_by_it_alone),
                tree_test(a_host_where_nothing_listens_has_no_rows),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
