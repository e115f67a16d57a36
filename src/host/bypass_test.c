/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/bypass_parts.h"

#include <netinet/in.h>

#include "host/tree_unit.h"

static int no_table(Arena *a, Family family, const char *table, LegacyTable *ret) {
        (void)a;
        (void)family;
        (void)table;
        (void)ret;
        return -ENOENT;
}

typedef struct Result {
        Bypass *items;
        size_t n_items;
} Result;

static Result find(const Tree *t, const BypassInput *given) {
        BypassInput input = *given;
        Result all;

        if (!input.read_legacy)
                input.read_legacy = no_table;
        (void)tree_folder(t, "/proc");
        routes_sort(&input.net);
        assert_int_equal(process_read_holders(t, &input.listening, &input.holders), 0);
        assert_int_equal(bypass_find(t, &input, &all.items, &all.n_items), 0);
        return all;
}

/* The only one of its kind. */
static Bypass get(Result all, BypassKind kind) {
        Bypass found = {0};
        size_t n = 0;

        for (size_t i = 0; i < all.n_items; i++)
                if (all.items[i].kind == kind) {
                        found = all.items[i];
                        n++;
                }
        unit_equal(bypass_kind_to_string(kind), n, 1);
        return found;
}

static void a_host_with_nothing_has_each_kind_once_and_absent(void **state) {
        BypassInput input = {0};
        Result all = find(*state, &input);

        assert_int_equal(all.n_items, _BYPASS_KIND_MAX);
        for (size_t i = 0; i < all.n_items; i++) {
                assert_int_equal(all.items[i].kind, i);
                assert_int_equal(all.items[i].state, BYPASS_ABSENT);
                assert_int_equal(bypass_judge(&all.items[i], IPPROTO_TCP, 22),
                                 BYPASS_MEANS_NOTHING);
        }
}

static HostSocket at_any(uint8_t proto, uint16_t port, uint32_t inode) {
        return (HostSocket){
                .proto = proto, .family = FAMILY_IPV4, .local_port = port, .inode = inode};
}

/* 237 bytes, so that " -container-port 11" fills what is read. */
#define LONG                                                                                       \
        TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN    \
                TEN "-7bytes"
#define TEN "-10 bytes-"

/* One process that listens at 8080, or runs. */
static const struct Case {
        const char *name;
        FakeProcess process; /* of pid 700 */
        U128 local;
        BypassKind kind;
        BypassState state;
        BypassEffect effect;
        uint16_t target;
} cases[] = {
        {.name = "docker-proxy",
         .process = {.executable = "/usr/bin/docker-proxy",
                     .command = "/usr/bin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 "
                                "-container-ip 172.17.0.2 -container-port 11434 -use-listen-fd"},
         .kind = BYPASS_DOCKER_PROXY,
         .state = BYPASS_FOUND,
         .effect = BYPASS_RELAYS,
         .target = 11434},
        {.name = "docker-proxy for this host alone",
         .process = {.executable = "/usr/bin/docker-proxy",
                     .command = "docker-proxy -container-port 11434"},
         .local = {0, 0x7f000001},
         .kind = BYPASS_DOCKER_PROXY,
         .state = BYPASS_ABSENT},
        {.name = "docker-proxy with a port that is none",
         .process = {.executable = "/usr/bin/docker-proxy",
                     .command = "docker-proxy -container-port 99999999999999999999"},
         .kind = BYPASS_DOCKER_PROXY,
         .state = BYPASS_FOUND,
         .effect = BYPASS_RELAYS},
        {.name = "docker-proxy with more words than are read, which end within the port",
         .process = {.executable = "/usr/bin/docker-proxy",
                     .command = LONG " -container-port 11434"},
         .kind = BYPASS_DOCKER_PROXY,
         .state = BYPASS_FOUND,
         .effect = BYPASS_RELAYS},
        {.name = "rootlessport, which does not say where to",
         .process = {.executable = "/usr/bin/rootlessport"},
         .kind = BYPASS_FORWARDER,
         .state = BYPASS_FOUND,
         .effect = BYPASS_RELAYS},
        {.name = "sshd itself",
         .process = {.executable = "/usr/sbin/sshd",
                     .command = "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"},
         .kind = BYPASS_SSH,
         .state = BYPASS_ABSENT},
        {.name = "sshd itself, before it names itself",
         .process = {.executable = "/usr/sbin/sshd", .command = "/usr/sbin/sshd -D"},
         .kind = BYPASS_SSH,
         .state = BYPASS_ABSENT},
        {.name = "sshd for somebody",
         .process = {.executable = "/usr/sbin/sshd", .command = "sshd: eve@pts/0"},
         .kind = BYPASS_SSH,
         .state = BYPASS_FOUND,
         .effect = BYPASS_RELAYS},
        {.name = "ssh -L",
         .process = {.executable = "/usr/bin/ssh",
                     .command = "ssh -g -N -L 9999:a:1 -L 0.0.0.0:8080:localhost:5678 host"},
         .kind = BYPASS_SSH,
         .state = BYPASS_FOUND,
         .effect = BYPASS_RELAYS,
         .target = 5678},
        {.name = "socat",
         .process = {.executable = "/usr/bin/socat1",
                     .command = "socat TCP-LISTEN:8080,fork,reuseaddr TCP:127.0.0.1:11434,nodelay"},
         .kind = BYPASS_RELAY,
         .state = BYPASS_FOUND,
         .effect = BYPASS_RELAYS,
         .target = 11434},
        {.name = "nginx",
         .process = {.executable = "/usr/sbin/nginx", .command = "nginx: master process"},
         .kind = BYPASS_PROXY,
         .state = BYPASS_FOUND,
         .effect = BYPASS_BY_SETTINGS},
        {.name = "another program",
         .process = {.executable = "/usr/bin/node", .command = "node -container-port 11434"},
         .kind = BYPASS_DOCKER_PROXY,
         .state = BYPASS_ABSENT},
        {.name = "ssh -R",
         .process = {.comm = "ssh",
                     .executable = "/usr/bin/ssh",
                     .command = "ssh -fNR 80:localhost:11434 host"},
         .kind = BYPASS_TUNNEL,
         .state = BYPASS_FOUND,
         .effect = BYPASS_RELAYS,
         .target = 11434},
        {.name = "ssh to somewhere",
         .process = {.comm = "ssh", .executable = "/usr/bin/ssh", .command = "ssh host"},
         .kind = BYPASS_TUNNEL,
         .state = BYPASS_ABSENT},
        {.name = "cloudflared with its target",
         .process = {.comm = "cloudflared",
                     .command = "cloudflared tunnel --url http://localhost:11434/x"},
         .kind = BYPASS_TUNNEL,
         .state = BYPASS_FOUND,
         .effect = BYPASS_RELAYS,
         .target = 11434},
        {.name = "cloudflared with settings",
         .process = {.comm = "cloudflared", .command = "cloudflared tunnel run"},
         .kind = BYPASS_TUNNEL,
         .state = BYPASS_FOUND,
         .effect = BYPASS_BY_SETTINGS},
};

static void programs_that_relay_are_found_with_where_they_lead(void **state) {
        Tree *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const struct Case *c = &cases[i];
                HostSocket s = at_any(IPPROTO_TCP, 8080, 77);
                BypassInput input = {.listening = {.items = &s, .n_items = 1}};
                Tree own = {.arena = t->arena,
                            .root = arena_printf(t->arena, "%s/%zu", t->root, i)};
                FakeProcess p = c->process;
                Bypass b;

                assert_int_equal(mkdir(own.root, 0755), 0);
                s.local = c->local;
                p.pid = 700;
                p.comm = p.comm ? p.comm : "x";
                p.sockets[0] = 77;
                tree_add_process(&own, &p);
                b = get(find(&own, &input), c->kind);
                unit_equal(c->name, b.state, c->state);
                unit_equal(c->name, b.effect, c->effect);
                unit_equal(c->name, b.target_port, c->target);
        }
}

static void dockers_two_processes_for_a_port_are_one_relay(void **state) {
        static const char *const words[] = {
                "docker-proxy -container-ip 172.17.0.2 -container-port 80",
                "docker-proxy -container-ip fd00::2 -container-port 80",
                "docker-proxy -container-ip 172.17.0.2 -container-port 80"};
        HostSocket sockets[] = {at_any(IPPROTO_TCP, 8080, 77), at_any(IPPROTO_TCP, 8080, 78),
                                at_any(IPPROTO_TCP, 8081, 79)};
        BypassInput input = {.listening = {.items = sockets, .n_items = ARRAY_SIZE(sockets)}};
        Tree *t = *state;
        size_t n = 0;
        Result all;

        for (pid_t i = 0; i < 3; i++) {
                FakeProcess p = {
                        .pid = 700 + i,
                        .comm = "docker-proxy",
                        .executable = "/usr/bin/docker-proxy",
                        .command = words[i],
                        .sockets = {77 + (uint32_t)i},
                };

                tree_add_process(t, &p);
        }
        all = find(t, &input);
        for (size_t i = 0; i < all.n_items; i++)
                n += all.items[i].kind == BYPASS_DOCKER_PROXY && all.items[i].state == BYPASS_FOUND;
        assert_int_equal(n, 2); /* of 8080 and of 8081 */
}

static void a_relay_to_what_is_protected_refutes_and_one_from_that_port_does_not(void **state) {
        static const struct {
                const char *name;
                Bypass relay;
                BypassMeaning meaning; /* for 11434/tcp */
        } rows[] = {
                {"from another port",
                 {.proto = IPPROTO_TCP, .port = 8080, .target_port = 11434},
                 BYPASS_MEANS_REFUTED},
                {"from elsewhere",
                 {.proto = IPPROTO_TCP, .target_port = 11434},
                 BYPASS_MEANS_REFUTED},
                {"from the same port",
                 {.proto = IPPROTO_TCP, .port = 11434, .target_port = 11434},
                 BYPASS_MEANS_NOTHING},
                {"to another port",
                 {.proto = IPPROTO_TCP, .port = 8080, .target_port = 80},
                 BYPASS_MEANS_NOTHING},
                {"of another protocol",
                 {.proto = IPPROTO_UDP, .port = 8080, .target_port = 11434},
                 BYPASS_MEANS_NOTHING},
                {"to where it does not say",
                 {.proto = IPPROTO_TCP, .port = 8080},
                 BYPASS_MEANS_UNDECIDED},
        };
        Bypass lets_in = {.kind = BYPASS_XDP, .state = BYPASS_FOUND, .effect = BYPASS_LETS_IN};
        Bypass refuses = {.kind = BYPASS_LEGACY, .state = BYPASS_FOUND};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Bypass b = rows[i].relay;

                b.state = BYPASS_FOUND;
                b.effect = BYPASS_RELAYS;
                unit_equal(rows[i].name, bypass_judge(&b, IPPROTO_TCP, 11434), rows[i].meaning);
        }
        assert_int_equal(bypass_judge(&lets_in, IPPROTO_TCP, 11434), BYPASS_MEANS_UNDECIDED);
        lets_in.state = BYPASS_UNKNOWN;
        assert_int_equal(bypass_judge(&lets_in, IPPROTO_TCP, 11434), BYPASS_MEANS_UNDECIDED);
        assert_int_equal(bypass_judge(&refuses, IPPROTO_TCP, 11434), BYPASS_MEANS_NOTHING);
}

static int table_by_name(Arena *a, Family family, const char *table, LegacyTable *ret) {
        (void)a;
        (void)family;
        *ret = (LegacyTable){.n_rules = 3,
                             .may_refuse = !streq(table, "idle"),
                             .target = streq(table, "nat") ? "DNAT" : NULL};
        return streq(table, "mangle") ? -EPERM : 0;
}

static void legacy_tables_let_in_only_if_they_can_redirect(void **state) {
        BypassInput input = {.read_legacy = table_by_name};
        Result all;

        tree_write(*state, "/proc/self/net/ip_tables_names", "filter\n");
        assert_int_equal(get(find(*state, &input), BYPASS_LEGACY).effect, BYPASS_NO_EFFECT);
        tree_write(*state, "/proc/self/net/ip_tables_names", "");
        tree_write(*state, "/proc/self/net/ip6_tables_names", "nat\n");
        all = find(*state, &input);
        assert_int_equal(get(all, BYPASS_LEGACY).effect, BYPASS_LETS_IN);
        assert_true(get(all, BYPASS_LEGACY).ipv6);
        assert_false(get(all, BYPASS_LEGACY).ipv4);
        tree_write(*state, "/proc/self/net/ip6_tables_names", "mangle\n");
        all = find(*state, &input);
        assert_int_equal(get(all, BYPASS_LEGACY).state, BYPASS_UNKNOWN);
        assert_int_equal(get(all, BYPASS_LEGACY).effect, BYPASS_LETS_IN);
        tree_write(*state, "/proc/self/net/ip6_tables_names", "");
        assert_int_equal(get(find(*state, &input), BYPASS_LEGACY).state, BYPASS_ABSENT);
        tree_write(*state, "/proc/self/net/ip_tables_names", "idle\n"); /* all passes there */
        assert_int_equal(get(find(*state, &input), BYPASS_LEGACY).state, BYPASS_ABSENT);
}

static void a_bridge_with_a_way_out_counts_while_its_frames_meet_no_rule(void **state) {
        HostLink links[] = {
                {.index = 1, .name = "lo", .is_loopback = true},
                {.index = 2, .name = "eth0", .master = 3},
                {.index = 3, .name = "br0", .kind = "bridge"},
                {.index = 4, .name = "vnet0", .kind = "tun", .master = 3},
                {.index = 5, .name = "virbr0", .kind = "bridge"},
                {.index = 6, .name = "vnet1", .kind = "tun", .master = 5},
                {.index = 7, .name = "vnet2", .kind = "tun", .master = 5},
        };
        BypassInput input = {.net = {.links = links, .n_links = ARRAY_SIZE(links)},
                             .settings = {.bridge_calls = SYSCTL_UNKNOWN, .bridge_calls6 = 0}};
        Bypass b = get(find(*state, &input), BYPASS_BRIDGE);

        assert_int_equal(b.effect, BYPASS_LETS_IN);
        assert_true(b.is_behind);
        assert_string_equal(b.interface, "eth0");
        input.settings.bridge_calls = 1;
        b = get(find(*state, &input), BYPASS_BRIDGE);
        assert_true(b.ipv6);
        assert_false(b.ipv4);
        input.settings.bridge_calls6 = 1;
        assert_int_equal(get(find(*state, &input), BYPASS_BRIDGE).state, BYPASS_ABSENT);
        input.settings.bridge_calls6 = 0;
        links[3].master = 0; /* eth0 alone: nothing to pass on to */
        input.settings.bridge_calls = 0;
        assert_int_equal(get(find(*state, &input), BYPASS_BRIDGE).state, BYPASS_ABSENT);
}

static void ipvs_relays_to_its_servers(void **state) {
        BypassInput input = {0};
        Bypass b;

        tree_write(*state, "/proc/self/net/ip_vs",
                   "IP Virtual Server version 1.2.1 (size=4096)\n"
                   "Prot LocalAddress:Port Scheduler Flags\n"
                   "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n");
        assert_int_equal(get(find(*state, &input), BYPASS_IPVS).state, BYPASS_ABSENT);
        tree_write(*state, "/proc/self/net/ip_vs",
                   "IP Virtual Server version 1.2.1 (size=4096)\n"
                   "Prot LocalAddress:Port Scheduler Flags\n"
                   "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n"
                   "TCP  0A000001:0050 rr  \n"
                   "  -> 0A000002:2CAA      Masq    1      0          0         \n");
        b = get(find(*state, &input), BYPASS_IPVS);
        assert_int_equal(b.effect, BYPASS_RELAYS);
        assert_int_equal(b.port, 80);
        assert_int_equal(b.target_port, 11434);
}

static void programs_count_by_what_they_can_do(void **state) {
        Program items[] = {
                {.kind = PROGRAM_TC, .link = "eth0", .name = "flower", .is_plain = true},
                {.kind = PROGRAM_CGROUP, .cgroup = "/sys/fs/cgroup/x"},
                {.kind = PROGRAM_XDP, .link = "eth\x1b[2J"},
        };
        BypassInput input = {.programs = {.items = items, .n_items = ARRAY_SIZE(items)}};
        Result all = find(*state, &input);

        assert_int_equal(get(all, BYPASS_TC).effect, BYPASS_NO_EFFECT);
        assert_int_equal(get(all, BYPASS_CGROUP).effect, BYPASS_NO_EFFECT);
        assert_int_equal(get(all, BYPASS_XDP).effect, BYPASS_LETS_IN);
        assert_null(strchr(get(all, BYPASS_XDP).what, '\x1b'));
        items[0].is_plain = false;
        assert_int_equal(get(find(*state, &input), BYPASS_TC).effect, BYPASS_LETS_IN);
        items[0].is_egress = true;
        assert_int_equal(get(find(*state, &input), BYPASS_TC).effect, BYPASS_NO_EFFECT);
        input.programs.error[PROGRAM_SK_LOOKUP] = -EPERM;
        assert_int_equal(get(find(*state, &input), BYPASS_SK_LOOKUP).state, BYPASS_UNKNOWN);
}

static void names_of_processes_are_cleaned(void **state) {
        HostSocket s = at_any(IPPROTO_TCP, 8080, 77);
        BypassInput input = {.listening = {.items = &s, .n_items = 1}};
        FakeProcess p = {.pid = 700,
                         .comm = "x",
                         .executable = "/\x1b[31m/rootlessport",
                         .command = "\x1b]0;\n",
                         .sockets = {77}};
        const char *what;

        tree_add_process(*state, &p);
        what = get(find(*state, &input), BYPASS_FORWARDER).what;
        for (const char *c = what; *c; c++)
                assert_true(*c >= ' ');
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(a_host_with_nothing_has_each_kind_once_and_absent),
                tree_test(programs_that_relay_are_found_with_where_they_lead),
                tree_test(dockers_two_processes_for_a_port_are_one_relay),
                tree_test(a_relay_to_what_is_protected_refutes_and_one_from_that_port_does_not),
                tree_test(legacy_tables_let_in_only_if_they_can_redirect),
                tree_test(a_bridge_with_a_way_out_counts_while_its_frames_meet_no_rule),
                tree_test(ipvs_relays_to_its_servers),
                tree_test(programs_count_by_what_they_can_do),
                tree_test(names_of_processes_are_cleaned),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
