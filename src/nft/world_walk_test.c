/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A packet's way through rules that the kernel holds: above all what is open, which no comparison
 * with real packets can show. */

#include <netinet/in.h>

#include "nft/kernel_unit.h"
#include "nft/world_read.h"
#include "world/walk.h"

#define INTERFACES                                                                                 \
        "ip link set lo up; ip link add v1 type veth peer name w1; ip link add v2 type veth peer " \
        "name w2; for i in v1 w1 v2 w2; do ip link set $i up; done; ip address add 192.0.2.1/24 "  \
        "dev v1; ip address add 198.51.100.1/24 dev v2; "                                          \
        "sysctl -qw net.ipv4.ip_forward=1; for i in all v1; do sysctl -qw "                        \
        "net.ipv4.conf.$i.rp_filter=0; done"

/* A connection to a port of 192.0.2.1, or to another address, by v1. */
static WorldPacket packet_to(uint64_t destination, uint8_t protocol, uint16_t port) {
        WorldPacket p = {.in = "v1"};
        WorldFields f = {.family = FAMILY_IPV4,
                         .source = u128(0xc0000207), /* 192.0.2.7 */
                         .destination = u128(destination),
                         .protocol = protocol,
                         .source_port = 40000,
                         .destination_port = port};

        world_packet_fill(&p, &f);
        return p;
}

#define HERE 0xc0000201ULL  /* 192.0.2.1 */
#define THERE 0xc6336409ULL /* 198.51.100.9, behind v2 */

static WorldWalk walk(Test *t, WorldWalker **walker, const char *rules, const WorldPacket *p) {
        WorldWalk w = {0};
        World *world = NULL;

        shell(NFT " flush ruleset");
        shell(arena_printf(t->arena, NFT " -f - <<'END'\n%s\nEND\n", rules));
        unit_equal(rules, world_read(t->link, t->arena, &world), 0);
        unit_equal(rules, world_walker_new(world, walker), 0);
        unit_equal(rules, world_walk(*walker, p, &w), 0);
        return w;
}

#define INPUT "table ip t { chain i { type filter hook input priority 0\n"
#define END_OF_TABLE "\n}\n}\n"

static void what_is_open_is_tried_both_ways(void **state) {
        static const struct {
                const char *rules;
                bool may_pass, may_drop, plain_passes;
        } rows[] = {
                {"", true, false, true},
                {INPUT "tcp dport 80 drop" END_OF_TABLE, false, true, false},
                {INPUT "tcp dport 81 drop" END_OF_TABLE, true, false, true},
                {INPUT "tcp dport 80 reject" END_OF_TABLE, false, true, false},
                {INPUT "limit rate 1/second accept\ndrop" END_OF_TABLE, true, true, true},
                {INPUT "limit rate 1/second drop" END_OF_TABLE, true, true, false},
                {INPUT "numgen random mod 2 vmap { 0 : accept, 1 : drop }" END_OF_TABLE, true, true,
                 true},
                {INPUT "numgen random mod 2 vmap { 0 : drop, 1 : drop }\ndrop" END_OF_TABLE, false,
                 true, false},
                {"table ip t { set s { type ipv4_addr; timeout 1h; elements = { 192.0.2.7 }\n}\n"
                 "chain i { type filter hook input priority 0\nip saddr @s drop" END_OF_TABLE,
                 true, true, false},
                {"table ip t { set s { type ipv4_addr; size 99; flags dynamic\n}\n"
                 "chain i { type filter hook input priority 0\nip saddr @s drop" END_OF_TABLE,
                 true, true, true},
                {"table ip t { set s { type ipv4_addr; elements = { 192.0.2.7 }\n}\n"
                 "chain i { type filter hook input priority 0\nip saddr @s drop" END_OF_TABLE,
                 false, true, false},
                /* two tables' chains of one priority: which is called first is not known */
                {"table ip a { chain i { type filter hook input priority 0\nmeta mark set 1\n}\n}\n"
                 "table ip b { chain i { type filter hook input priority 0\nmeta mark 1 drop\n}\n}",
                 true, true, true},
                {"table ip b { chain i { type filter hook input priority 0\nmeta mark 1 "
                 "drop\n}\n}\n"
                 "table ip a { chain i { type filter hook input priority 0\nmeta mark set 1\n}\n}",
                 true, true, false},
                /* of one table it is */
                {"table ip a { chain i { type filter hook input priority 0\nmeta mark set 1\n}\n"
                 "chain j { type filter hook input priority 0\nmeta mark 1 drop\n}\n}",
                 true, false, true},
                {"table ip a { flags dormant; chain i { type filter hook input priority "
                 "0\ndrop\n}\n}",
                 true, false, true},
        };
        const WorldPacket p = packet_to(HERE, IPPROTO_TCP, 80);
        Test *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
                WorldWalk w = walk(t, &walker, rows[i].rules, &p);

                unit_equal(rows[i].rules, w.may_pass, rows[i].may_pass);
                unit_equal(rows[i].rules, w.may_drop, rows[i].may_drop);
                unit_equal(rows[i].rules, w.incomplete, false);
                unit_equal(rows[i].rules, w.outcomes[0].where == WORLD_DELIVERED,
                           rows[i].plain_passes);
        }
}

static void what_is_not_understood_passes_nothing_for_sure(void **state) {
        static const struct {
                const char *rules; /* of iptables */
                bool may_drop, passes;
        } rows[] = {
                {"-A INPUT -m string --string x --algo bm -j DROP", true, false},
                {"-A INPUT -m string --string x --algo bm -j ACCEPT", false, true},
                {"-A INPUT -m string --string x --algo bm -j LOG\n"
                 "-A INPUT -p tcp --dport 80 -j DROP",
                 true, false},
                {"-A INPUT -m limit --limit 1/s -j DROP", true, true}, /* in some state it does */
                {"-A INPUT -m conntrack ! --ctstate ESTABLISHED,DNAT -j DROP", true, false},
                {"-A INPUT -m conntrack --ctstate ESTABLISHED,DNAT -j DROP", false, true},
                {"-A INPUT -m conntrack ! --ctstate NEW,DNAT -j DROP", false, true},
                {"-A INPUT -m conntrack --ctstate NEW,SNAT -j DROP", true, false},
        };
        const WorldPacket p = packet_to(HERE, IPPROTO_TCP, 80);
        Test *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
                World *world = NULL;
                WorldWalk w;

                shell(NFT " flush ruleset");
                shell(arena_printf(t->arena,
                                   "iptables-nft-restore <<'END'\n*filter\n:INPUT ACCEPT\n%s\n"
                                   "COMMIT\nEND\n",
                                   rows[i].rules));
                unit_equal(rows[i].rules, world_read(t->link, t->arena, &world), 0);
                unit_equal(rows[i].rules, world_walker_new(world, &walker), 0);
                unit_equal(rows[i].rules, world_walk(walker, &p, &w), 0);
                unit_equal(rows[i].rules, w.may_drop, rows[i].may_drop);
                unit_equal(rows[i].rules, world_walk_passing(&w, true) != NULL, rows[i].passes);
        }
}

static void the_way_names_the_rules_and_where_it_ends(void **state) {
        static const char rules[] = "table ip n { chain p { type nat hook prerouting priority 7\n"
                                    "tcp dport 80 dnat to 198.51.100.9:8080\n}\n}\n"
                                    "table inet f { chain d {\ntcp dport 8080 accept\n}\n"
                                    "chain g { type filter hook forward priority 0; policy drop\n"
                                    "oifname v2 jump d\n}\n}\n";
        _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
        const WorldPacket p = packet_to(HERE, IPPROTO_TCP, 80);
        WorldWalk w = walk(*state, &walker, rules, &p);

        assert_int_equal(w.n_outcomes, 1);
        assert_int_equal(w.outcomes[0].where, WORLD_LEFT);
        assert_string_equal(w.outcomes[0].out, "v2");
        assert_true(u128_equal(w.outcomes[0].destination, u128(THERE)));
        assert_int_equal(w.outcomes[0].destination_port, 8080);
        assert_int_equal(w.n_steps, 3);
        assert_string_equal(w.steps[0].chain->name, "p");
        assert_int_equal(w.steps[0].nat->kind, WORLD_DNAT);
        assert_int_equal(w.steps[1].verdict.kind, WORLD_JUMP);
        assert_string_equal(w.steps[2].chain->name, "d");
        assert_ptr_equal(w.steps[2].rule, &w.steps[2].chain->rules[0]);
}

/* Of one priority, whichever of two tables' chains is called first translates. */
static void translations_of_one_priority_may_come_in_either_order(void **state) {
        static const char rules[] = "table ip a { chain p { type nat hook prerouting priority 7\n"
                                    "tcp dport 80 redirect to :81\n}\n}\n"
                                    "table ip b { chain p { type nat hook prerouting priority 7\n"
                                    "tcp dport 80 redirect to :82\n}\n}\n"
                                    "table ip c { chain p { type nat hook prerouting priority 8\n"
                                    "tcp dport 80 redirect to :83\n}\n}\n";
        _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
        const WorldPacket p = packet_to(HERE, IPPROTO_TCP, 80);
        WorldWalk w = walk(*state, &walker, rules, &p);
        unsigned int ports = 0;

        assert_int_equal(w.n_outcomes, 2);
        for (size_t i = 0; i < w.n_outcomes; i++)
                ports |= 1U << (w.outcomes[i].destination_port - 80);
        assert_int_equal(ports, 1 << 1 | 1 << 2);
        assert_false(w.incomplete);
}

/* Each port of a range is sent to its own one, and what is beyond begins anew. */
static void ports_of_a_range_go_to_ports_of_another(void **state) {
        static const struct {
                uint16_t dialled, expected;
        } rows[] = {{9000, 80}, {9001, 81}, {9002, 82}, {9003, 80}, {8999, 80}, {22, 82}};
        Test *t = *state;
        World *world = NULL;

        shell(NFT " flush ruleset");
        shell("iptables-nft -t nat -A PREROUTING -p tcp -j DNAT --to-destination "
              "198.51.100.9:80-82/9000");
        assert_int_equal(world_read(t->link, t->arena, &world), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
                WorldPacket p = packet_to(HERE, IPPROTO_TCP, rows[i].dialled);
                WorldWalk w;

                assert_int_equal(world_walker_new(world, &walker), 0);
                assert_int_equal(world_walk(walker, &p, &w), 0);
                assert_int_equal(w.n_outcomes, 1);
                assert_int_equal(w.outcomes[0].destination_port, rows[i].expected);
        }
}

/* Rules of policy routing, over the tables 100 (THERE by v1), 101 (nothing) and main (THERE by v2).
 */
static void rules_of_policy_routing_lead_the_packet(void **state) {
        static const struct {
                const char *rules, *out; /* NULL: refused; "": either, not known */
                uint32_t mark;
        } rows[] = {
                {"from 192.0.2.7 lookup 100", "v1", 0},
                {"from 192.0.2.0/29 lookup 100", "v1", 0},
                {"from 192.0.2.8/29 lookup 100", "v2", 0},
                {"to 198.51.100.0/24 lookup 100", "v1", 0},
                {"not to 198.51.100.0/24 lookup 100", "v2", 0},
                {"from all lookup 101", "v2", 0},
                {"from all lookup 100 suppress_prefixlength 24", "v2", 0},
                {"from all lookup 100 suppress_prefixlength 23", "v1", 0},
                {"iif v1 lookup 100", "v1", 0},
                {"iif v2 lookup 100", "v2", 0},
                {"iif lo lookup 100", "v2", 0},
                {"oif v1 lookup 100", "v2", 0},
                {"fwmark 7 lookup 100", "v2", 0},
                {"fwmark 7 lookup 100", "v1", 7},
                {"not fwmark 7 lookup 100", "v1", 0},
                {"fwmark 4/4 lookup 100", "v1", 7},
                {"from 192.0.2.7 unreachable", NULL, 0},
                {"from 192.0.2.8 prohibit", "v2", 0},
                {"from all goto 20", "v2", 0},
                {"from all nop", "v2", 0},
                {"ipproto tcp lookup 100", "", 0},
        };
        WorldPacket p = packet_to(THERE, IPPROTO_TCP, 80);
        Test *t = *state;

        shell(NFT " flush ruleset; ip route add 198.51.100.0/24 dev v1 table 100");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
                const char *rules = rows[i].rules;
                World *world = NULL;
                WorldWalk w;

                shell(arena_printf(t->arena,
                                   "ip rule add priority 10 %s; ip rule add priority 20 to "
                                   "192.0.2.99 lookup main; ip rule add priority 15 from "
                                   "192.0.2.9 lookup 100",
                                   rules));
                unit_equal(rules, world_read(t->link, t->arena, &world), 0);
                unit_equal(rules, world_walker_new(world, &walker), 0);
                p.mark = rows[i].mark;
                unit_equal(rules, world_walk(walker, &p, &w), 0);
                if (!rows[i].out) {
                        unit_equal(rules, w.n_outcomes, 1);
                        unit_equal(rules, w.outcomes[0].where, WORLD_REFUSED);
                } else if (*rows[i].out) {
                        unit_equal(rules, w.n_outcomes, 1);
                        unit_equal(rules, w.outcomes[0].where, WORLD_LEFT);
                        assert_string_equal(w.outcomes[0].out, rows[i].out);
                } else {
                        unit_equal(rules, w.n_outcomes, 2);
                        unit_true(rules, w.outcomes[0].unknown && w.outcomes[1].unknown);
                }
                shell("for p in 10 15 20; do ip rule del priority $p; done");
        }
        shell("ip route flush table 100");
}

#define DEVICE(name, rule)                                                                         \
        "table netdev d { chain i { type filter hook ingress device " name " priority 0\n" rule    \
        "\n}\n}\n"
#define BRIDGE(hook, rule)                                                                         \
        "table bridge b { chain f { type filter hook " hook " priority -300\n" rule "\n}\n}\n"

/* b1 with the ports p1 and p2, 10.9.0.1; v1.5, which stands on v1, 10.8.0.1. */
static void frames_go_through_devices_and_bridges(void **state) {
        static const struct {
                const char *rules, *in;
                bool may_pass, may_drop;
        } rows[] = {
                {DEVICE("v1.5", "drop"), "v1.5", false, true},
                {DEVICE("v1", "drop"), "v1.5", false, true},
                {DEVICE("v1.5", "drop"), "v1", true, false},
                {DEVICE("b1", "drop"), "b1", false, true},
                {DEVICE("p1", "drop"), "b1", true, true}, /* or by p2 */
                {DEVICE("p1", "udp dport 9 drop"), "b1", true, false},
                {DEVICE("v1", "drop"), "b1", true, false},
                {BRIDGE("prerouting", "tcp dport 80 drop"), "b1", false, true},
                {BRIDGE("input", "ip saddr 192.0.2.7 drop"), "b1", false, true},
                {BRIDGE("prerouting", "ip saddr 192.0.2.8 drop"), "b1", true, false},
                {BRIDGE("prerouting", "iifname p1 drop"), "b1", true, true},
                {BRIDGE("prerouting", "drop"), "v1", true, false},
                {BRIDGE("forward", "drop"), "b1", true, false}, /* it is for this host */
                {BRIDGE("prerouting", "ether type ip6 drop"), "b1", true, false},
                {DEVICE("v1", "fwd to v2"), "v1", true, false},
        };
        Test *t = *state;

        shell("ip link add b1 type bridge; for p in p1 p2; do ip link add $p type veth peer name "
              "q$p; ip link set $p master b1 up; done; ip link set b1 up; ip addr add 10.9.0.1/24 "
              "dev b1; ip link add v1.5 link v1 type macvlan; ip link set v1.5 up; ip addr add "
              "10.8.0.1/24 dev v1.5");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
                WorldPacket p = packet_to(streq(rows[i].in, "b1") ? 0x0a090001 : 0x0a080001,
                                          IPPROTO_TCP, 80);
                WorldWalk w;

                p.in = rows[i].in;
                w = walk(t, &walker, rows[i].rules, &p);
                unit_equal(rows[i].rules, w.may_pass, rows[i].may_pass);
                unit_equal(rows[i].rules, w.may_drop, rows[i].may_drop);
                if (strstr(rows[i].rules, "fwd")) {
                        assert_true(w.outcomes[0].sent_on);
                        assert_string_equal(w.outcomes[0].out, "v2");
                }
        }
        shell("for l in b1 p1 p2 v1.5; do ip link del $l; done");
}

/* br_netfilter calls IP's hooks at priority 0: who is behind sees another address. */
static void a_bridge_may_ask_for_what_ip_translated(void **state) {
        static const struct {
                int priority;
                bool by_netfilter, may_drop;
        } rows[] = {
                {10, true, true},
                {10, false, false},
                {-10, true, false},
        };
        Test *t = *state;

        shell("ip link add b1 type bridge; ip link set b1 up; ip addr add 10.9.0.1/24 dev b1");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
                WorldPacket p = packet_to(0x0a090001, IPPROTO_TCP, 80);
                World *world = NULL;
                WorldWalk w = {0};

                p.in = "b1";
                shell(NFT " flush ruleset");
                shell(arena_printf(t->arena,
                                   NFT " -f - <<'END'\n"
                                       "table ip n { chain p { type nat hook prerouting priority "
                                       "-100\ntcp dport 80 redirect to :81\n}\n}\n"
                                       "table bridge b { chain f { type filter hook prerouting "
                                       "priority %d\ntcp dport 81 drop\n}\n}\nEND\n",
                                   rows[i].priority));
                assert_int_equal(world_read(t->link, t->arena, &world), 0);
                world->bridge_calls_hooks[FAMILY_IPV4] = rows[i].by_netfilter;
                assert_int_equal(world_walker_new(world, &walker), 0);
                assert_int_equal(world_walk(walker, &p, &w), 0);
                assert_true(w.may_pass);
                assert_int_equal(w.may_drop, rows[i].may_drop);
        }
        shell("ip link del b1");
}

static void what_a_device_sends_on_by_loopback_arrives_by_that(void **state) {
        static const char input[] = "table ip f { chain i { type filter hook input priority 0; "
                                    "policy drop\niifname lo accept\n}\n}\n";
        static const struct {
                const char *rule;
                bool passes;
        } rows[] = {
                /* the frame is not for the loopback interface, whose address is 0 */
                {DEVICE("v1", "fwd to lo"), false},
                {DEVICE("v1", "meta pkttype set host fwd to lo"), false},
                {DEVICE("v1", "ether daddr set 00:00:00:00:00:00 fwd to lo"), true},
                {DEVICE("v1", "ether daddr set 00:00:00:00:00:01 fwd to lo"), false},
                {DEVICE("v1", "tcp dport 81 ether daddr set 00:00:00:00:00:00 fwd to lo"), false},
                {DEVICE("v1", "ether daddr set 00:00:00:00:00:00 fwd to v2"), false},
                /* in a frame of its own */
                {DEVICE("v1", "fwd ip to 192.0.2.9 device lo"), true},
                {DEVICE("v1", "ip ttl set 1 fwd ip to 192.0.2.9 device lo"), false},
                {DEVICE("v1", "fwd ip6 to fe80::1 device lo"), false}, /* no packet of IPv6 */
        };
        Test *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
                WorldPacket p = packet_to(HERE, IPPROTO_TCP, 80);
                bool passes;
                WorldWalk w;

                p.link[0] = 2;
                w = walk(t, &walker, arena_printf(t->arena, "%s%s", rows[i].rule, input), &p);
                passes = w.n_outcomes == 1 && w.outcomes[0].where == WORLD_DELIVERED;
                unit_equal(rows[i].rule, passes, rows[i].passes);
                unit_true(rows[i].rule, w.n_outcomes == 1 && !w.outcomes[0].unknown);
                /* whom the frame is for was not said */
                if (passes && strstr(rows[i].rule, "ether")) {
                        memset(p.link, 0, 6);
                        assert_int_equal(world_walk(walker, &p, &w), 0);
                        assert_true(w.outcomes[0].unknown);
                }
        }
}

static void the_kernel_itself_refuses_some(void **state) {
        _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
        WorldPacket p = packet_to(HERE, IPPROTO_UDP, 53), loopback = packet_to(0x7f000001, 17, 53);
        WorldWalk w = walk(*state, &walker, "", &p);

        assert_int_equal(w.outcomes[0].where, WORLD_DELIVERED);
        assert_int_equal(world_walk(walker, &loopback, &w), 0);
        assert_int_equal(w.outcomes[0].where, WORLD_REFUSED);
        p = packet_to(THERE, IPPROTO_UDP, 53);
        p.bytes[8] = 1; /* hops left */
        assert_int_equal(world_walk(walker, &p, &w), 0);
        assert_int_equal(w.outcomes[0].where, WORLD_REFUSED);
        memcpy(p.bytes + 12, p.bytes + 16, 4);
        p.in = "nowhere";
        assert_int_equal(world_walk(walker, &p, &w), -EINVAL);
        p.in = "v1";
        p.size = 19;
        assert_int_equal(world_walk(walker, &p, &w), -EINVAL);
}

static void what_translation_has_decided_shows_in_the_status(void **state) {
        static const char *const passing[] = {
                /* IPS_DST_NAT_DONE before, IPS_SRC_NAT_DONE behind where sources are translated */
                "chain i { type filter hook input priority 0\nct status & 0x180 != 0x100 drop\n}",
                "chain i { type filter hook input priority 101\nct status & 0x180 != 0x180 drop\n}",
        };
        const WorldPacket p = packet_to(HERE, IPPROTO_TCP, 80);
        Test *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(passing); i++) {
                _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
                const char *rules =
                        arena_printf(t->arena,
                                     "table ip t { chain n { type nat hook prerouting priority "
                                     "-100\n}\n%s\n}\n",
                                     passing[i]);
                WorldWalk w = walk(t, &walker, rules, &p);

                unit_equal(passing[i], w.may_pass, true);
                unit_equal(passing[i], w.may_drop, false);
        }
}

static void established_connections_are_those_of_the_question(void **state) {
        static const char rules[] = "table ip f { chain i { type filter hook input priority 0\n"
                                    "ct state established ct direction reply accept\n"
                                    "drop\n}\n}\n";
        _cleanup_(world_walker_freep) WorldWalker *walker = NULL;
        WorldPacket p = packet_to(HERE, IPPROTO_TCP, 80);
        WorldWalk w = walk(*state, &walker, rules, &p);

        assert_false(w.may_pass);
        p.state = WORLD_STATE_ESTABLISHED;
        assert_int_equal(world_walk(walker, &p, &w), 0);
        assert_false(w.may_pass);
        p.reply = true;
        assert_int_equal(world_walk(walker, &p, &w), 0);
        assert_true(w.may_pass && !w.may_drop);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                kernel_test(what_is_open_is_tried_both_ways),
                kernel_test(what_is_not_understood_passes_nothing_for_sure),
                kernel_test(the_way_names_the_rules_and_where_it_ends),
                kernel_test(translations_of_one_priority_may_come_in_either_order),
                kernel_test(ports_of_a_range_go_to_ports_of_another),
                kernel_test(rules_of_policy_routing_lead_the_packet),
                kernel_test(frames_go_through_devices_and_bridges),
                kernel_test(a_bridge_may_ask_for_what_ip_translated),
                kernel_test(what_a_device_sends_on_by_loopback_arrives_by_that),
                kernel_test(the_kernel_itself_refuses_some),
                kernel_test(what_translation_has_decided_shows_in_the_status),
                kernel_test(established_connections_are_those_of_the_question),
        };

        if (kernel_enter_namespace() < 0 || system(INTERFACES) != 0)
                return EXIT_FAILURE;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
