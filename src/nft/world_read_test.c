/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The kernel's rules as a World, with the running kernel and without. */

#include "nft/world_read.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>

#include "nft/difference.h"
#include "nft/kernel_unit.h"
#include "world/print.h"

static char *text_of(Test *t, const World *w) {
        char *text = NULL, *copy;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        world_print(w, f);
        assert_int_equal(fclose(f), 0);
        copy = arena_strdup(t->arena, text);
        free(text);
        assert_non_null(copy);
        return copy;
}

static World *read_world(Test *t) {
        World *w = NULL;

        unit_equal("read", world_read(t->link, t->arena, &w), 0);
        return w;
}

static void what_would_be_sent_is_what_the_kernel_then_holds(void **state) {
        Test *t = *state;
        World *sent;

        for (uint64_t seed = 1; seed <= 40; seed++) {
                const char *row = arena_printf(t->arena, "seed %u", (unsigned int)seed);
                const Ruleset *rs = sample_random(t->arena, seed);

                (void)apply_and_check(row, t, rs);
                shell(NFT " delete table inet ringwall"); /* in the order of a first transaction */
                (void)apply_and_check(row, t, rs);
                unit_equal(row, world_of_ruleset(t->arena, rs, &sent), 0);
                assert_string_equal(text_of(t, sent), text_of(t, read_world(t)));
        }
}

/* What one rule or chain in nft's words becomes. */
static void every_form_is_read(void **state) {
        static const struct {
                const char *command, *expected; /* a line, or a part of one */
        } rows[] = {
                {"add rule ip t c tcp dport 22 accept",
                 "r0 = meta 16; r0 == 06; r0 = payload 2 2 size 2; r0 == 0016; accept"},
                {"add rule ip t c ip saddr 10.0.0.0/8 drop",
                 "r0 = payload 1 12 size 1; r0 == 0a; drop"},
                {"add rule ip t c ip saddr 10.0.0.0/9 drop",
                 "r0 = payload 1 12 size 4; r0 = r0 & ff800000 ^ 00000000; r0 == 0a000000; drop"},
                {"add rule ip t c tcp dport != 5-9 return", "r0 not in 0005-0009; return"},
                {"add rule ip t c tcp dport { 1, 5-9, 65000-65535 } accept",
                 "r0 in { 0001 0005-0009 fde8-ffff }; accept"},
                {"add rule ip t c ip saddr . tcp dport vmap { 10.0.0.0/24 . 5-9 : drop, "
                 "10.1.0.0 . 7 : jump d, * : continue }",
                 "r0 in { 0a00000000050000-0a0000ff00090000:drop "
                 "0a01000000070000:jump d *:continue }"},
                {"add rule ip t c ip saddr != { 10.0.0.1, 10.0.0.2 } goto d",
                 "r0 not in { 0a000001 0a000002 }; goto d"},
                {"add rule ip t c meta mark set ct mark", "r0 = ct 3; meta 3 = r0"},
                {"add rule ip t c meta mark set meta mark and 0xff or 1",
                 "r0 = meta 3; r0 = r0 & fe000000 ^ 01000000; meta 3 = r0"},
                {"add rule ip t c ct original ip daddr 10.0.0.1",
                 "r0 = ct 20 original; r0 == 0a000001"},
                {"add rule ip t c fib daddr . iif type local",
                 "r0 = fib 3 flags a; r0 == 02000000"},
                {"add rule ip t c limit rate 1/second accept", "maybe limit; accept"},
                {"add rule ip t c ip option rr exists", "r0 = exthdr 2 7 offset 0 size 1 present"},
                {"add rule ip t c numgen random mod 2 vmap { 0 : drop, 1 : accept }",
                 "r0 = any numgen; r0 in { 00000000:drop 01000000:accept }"},
                {"add set ip t s { type ipv4_addr; flags interval; "
                 "elements = { 0.0.0.0/1, 200.0.0.0/8 } }",
                 "set ip t s { 00000000-7fffffff c8000000-c8ffffff }"},
                {"add set ip t s2 { type ipv4_addr; timeout 1h; elements = { 10.0.0.1 } }",
                 "set ip t s2 { 0a000001? }"},
                {"add map ip t m { type inet_service : ipv4_addr . inet_service; "
                 "elements = { 80 : 10.0.0.1 . 8080 } }",
                 "set ip t m { 0050:0a0000011f900000 }"},
                {"add set ip t s3 { type ipv4_addr; flags dynamic; size 99; }\n"
                 "add rule ip t c add @s3 { ip saddr } accept",
                 "maybe dynset; accept"},
                {"add chain ip t n { type nat hook prerouting priority 7; }\n"
                 "add rule ip t n tcp dport 1 dnat to 10.0.0.1:80",
                 "dnat address r0-r0 port r4-r4"},
                {"add chain ip t n { type nat hook prerouting priority 7; }\n"
                 "add rule ip t n tcp dport 1 redirect to :8080",
                 "redirect address r-1-r-1 port r0-r0"},
                {"add chain ip t n2 { type nat hook postrouting priority 7; }\n"
                 "add rule ip t n2 masquerade",
                 "masquerade address r-1-r-1 port r-1-r-1"},
                {"add chain ip t r { type filter hook prerouting priority -300; policy drop; }\n"
                 "add rule ip t r notrack",
                 "chain ip t r filter -300 prerouting drop\n  notrack"},
                {"add table netdev t\n"
                 "add chain netdev t i { type filter hook ingress device lo priority 0; }",
                 "chain netdev t i filter 0 ingress accept lo"},
                {"add table bridge t\nadd chain bridge t f { type filter hook forward priority 0; "
                 "}\n"
                 "add rule bridge t f ether saddr 02:00:00:00:00:01 drop",
                 "r0 == 020000000001; drop"},
                {"add rule ip t c dup to 10.0.0.1 device lo",
                 "r0 = 0a000001; r4 = 01000000; dup address r0 device r4"},
                {"add table netdev t\n"
                 "add chain netdev t i { type filter hook ingress device lo priority 0; }\n"
                 "add rule netdev t i fwd to lo",
                 "r0 = 01000000; fwd address r-1 device r0"},
                {"add table netdev t\n"
                 "add chain netdev t i { type filter hook ingress device lo priority 0; }\n"
                 "add rule netdev t i ip ttl 1 fwd ip to 10.0.0.1 device lo",
                 "fwd address r"},
                {"add table ip6 u { flags dormant; }", "table ip6 u dormant"},
                {"add rule ip t c tcp option maxseg size set 1000 accept comment \"mine\"",
                 "maybe tcp option set; accept # mine"},
        };
        Test *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *text;

                shell(NFT " 'flush ruleset; add table ip t; add chain ip t c; add chain ip t d'");
                shell(arena_printf(t->arena, NFT " -f - <<'END'\n%s\nEND\n", rows[i].command));
                text = text_of(t, read_world(t));
                if (!strstr(text, rows[i].expected))
                        fail_msg("%s\nis read as:\n%s\nand not as: %s", rows[i].command, text,
                                 rows[i].expected);
        }
        shell(NFT " flush ruleset");
}

/* What iptables' words become, of what other programs write. */
static void matches_and_targets_of_xt_are_translated(void **state) {
        static const struct {
                const char *command, *expected;
        } rows[] = {
                {"ip6tables-nft -t mangle -A PREROUTING -m rpfilter --validmark --invert -j DROP",
                 "r16 = payload 1 8 size 16; r16 != 00000000000000000000000000000000; "
                 "r16 = fib 1 flags 2d; r16 == 00; counter; drop"},
                {"iptables-nft -t raw -A PREROUTING -m rpfilter --loose --invert -j DROP",
                 "r16 = fib 1 flags 21; r16 == 00; counter; drop"},
                {"iptables-nft -t raw -A PREROUTING -m rpfilter -j ACCEPT",
                 "maybe xt match rpfilter"},
                {"iptables-nft -t raw -A PREROUTING -m rpfilter --accept-local --invert -j DROP",
                 "maybe xt match rpfilter"},
                {"iptables-nft -t mangle -A PREROUTING -j TEE --gateway 10.0.0.1",
                 "r16 = 0a000001; xt target TEE address r16 device r-1"},
                /* Podman's, of a range of ports */
                {"iptables-nft -t nat -A PREROUTING -p tcp --dport 9000:9002 -j DNAT "
                 "--to-destination 10.88.0.2:80-82/9000",
                 "r16 = 0a580002; r20 = 0050; r21 = 0052; from base 9000 dnat address r16-r16 "
                 "port r20-r21"},
        };
        Test *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *text;

                shell(NFT " flush ruleset");
                shell(rows[i].command);
                text = text_of(t, read_world(t));
                if (!strstr(text, rows[i].expected))
                        fail_msg("%s\nis read as:\n%s\nand not as: %s", rows[i].command, text,
                                 rows[i].expected);
        }
        shell(NFT " flush ruleset");
}

static void whose_chains_are_among_those_of_iptables_is_told(void **state) {
        static const struct {
                const char *chain, *owner;
        } rows[] = {{"IN_public", "firewalld"},   {"INPUT_ZONES", "firewalld"},
                    {"f2b-sshd", "fail2ban"},     {"LIBVIRT_FWI", "libvirt"},
                    {"CNI-HOSTPORT-DNAT", "CNI"}, {"NETAVARK_FORWARD", "Podman"},
                    {"mine", "iptables"}};
        Test *t = *state;
        World *w;

        shell(NFT " 'flush ruleset; add table ip filter; add table ip6 filter; "
                  "add chain ip6 filter IN_public'");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                shell(arena_printf(t->arena, NFT " add chain ip filter %s", rows[i].chain));
        w = read_world(t);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                for (size_t j = 0; j < w->n_chains; j++)
                        if (w->chains[j]->table->family == 2 &&
                            streq(w->chains[j]->name, rows[i].chain))
                                assert_string_equal(world_chain_owner(w->chains[j]), rows[i].owner);
        /* where there are no zones, the name says nothing */
        for (size_t j = 0; j < w->n_chains; j++)
                if (w->chains[j]->table->family == 10)
                        assert_string_equal(world_chain_owner(w->chains[j]), "ip6tables");
        shell(NFT " flush ruleset");
}

static void handles_and_owners_are_those_of_the_kernel(void **state) {
        Test *t = *state;
        World *w;

        shell(NFT " 'flush ruleset; add table ip filter; add chain ip filter c; add rule ip filter "
                  "c accept; "
                  "add rule ip filter c drop'");
        w = read_world(t);
        assert_string_equal(w->tables[0].owner, "iptables");
        assert_int_equal(w->chains[0]->n_rules, 2);
        assert_true(w->chains[0]->handle > 0);
        assert_true(w->chains[0]->rules[1].handle > w->chains[0]->rules[0].handle);
        assert_ptr_equal(w->chains[0]->rules[1].chain, w->chains[0]);
        shell(NFT " flush ruleset");
}

static void what_lies_around_is_read(void **state) {
        Test *t = *state;
        bool local = false, direct = false, own = false;
        World *w;

        shell("ip link set lo up && ip link add v1 type veth peer name v2 && ip link set v1 up && "
              "ip link set v2 up && ip address add 192.0.2.1/24 dev v1 && "
              "sysctl -qw net.ipv4.conf.v1.rp_filter=1 net.ipv4.conf.v1.route_localnet=1");
        w = read_world(t);
        for (size_t i = 0; i < w->n_routes; i++) {
                const WorldRoute *r = &w->routes[i];

                local |= r->type == 2 && r->prefix == 32 && r->destination.low == 0xc0000201;
                direct |= r->type == 1 && r->prefix == 24 && r->destination.low == 0xc0000200;
        }
        for (size_t i = 0; i < w->n_addresses; i++)
                own |= w->addresses[i].address.low == 0xc0000201 && w->addresses[i].prefix == 24;
        assert_true(local && direct && own);
        assert_false(w->has_route_rules[FAMILY_IPV4] || w->has_route_rules[FAMILY_IPV6]);
        for (size_t i = 0; i < w->n_interfaces; i++)
                if (streq(w->interfaces[i].name, "v1")) {
                        assert_string_equal(w->interfaces[i].kind, "veth");
                        assert_int_equal(w->interfaces[i].rp_filter, 1);
                        assert_true(w->interfaces[i].route_localnet);
                }
        shell("ip rule add from 192.0.2.7 lookup 99");
        w = read_world(t);
        assert_true(w->has_route_rules[FAMILY_IPV4] && !w->has_route_rules[FAMILY_IPV6]);
        shell("ip rule del from 192.0.2.7 lookup 99 && ip link del v1");
}

/* Neither a batch that is cut off nor one with any single byte changed leads to anything but an
 * error or a World. */
static void damaged_messages_do_no_harm(void **state) {
        _cleanup_(nft_batch_freep) NftBatch *b = nft_batch_new(1, 0);
        Test *t = *state;
        Ruleset *absent = ruleset_new(t->arena);
        NftChanges changes;
        unsigned int n_errors = 0;

        assert_int_equal(difference_encode(b, absent, sample_random(t->arena, 7), false, &changes),
                         0);
        assert_int_equal(nft_batch_end(b, true), 0);
        for (size_t i = 0; i < b->bytes.size; i++) {
                Arena *a = arena_new(0);
                _cleanup_free_ unsigned char *cut = malloc(i + 1);
                World *w;
                int r;

                assert_non_null(cut);
                memcpy(cut, b->bytes.data, i);
                (void)world_decode(a, cut, i, &w); /* only that it ends */
                arena_reset(a);
                b->bytes.data[i] ^= 0x81;
                r = world_decode(a, b->bytes.data, b->bytes.size, &w);
                b->bytes.data[i] ^= 0x81;
                n_errors += r < 0;
                (void)arena_free(a);
        }
        assert_true(n_errors > 0);
}

#define MANY 60000 /* hosts */
static void many_bans_are_left_unread(void **state) {
        static const char *const tables[] = {"ringwall_bans", "another"};
        Test *t = *state;
        World *w;

        for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
                shell(arena_printf(
                        t->arena,
                        "awk -v t=%s -v n=%d 'BEGIN { "
                        "print \"add table inet \" t; "
                        "print \"add set inet \" t \" few { type ipv4_addr; }\"; "
                        "print \"add set inet \" t \" many { type ipv4_addr; flags timeout; }\"; "
                        "print \"add element inet \" t \" few { 192.0.2.1 }\"; "
                        "for (k = 0; k < n; k++) print \"add element inet \" t \" many { 10.\" "
                        "int(k / 62500) \".\" int(k / 250) %% 250 \".\" k %% 250 \" timeout 1h }\" "
                        "}' | " NFT " -f -",
                        tables[i], MANY));
        w = read_world(t);
        assert_int_equal(w->n_sets, 4);
        for (size_t i = 0; i < w->n_sets; i++) {
                bool few = streq(w->sets[i]->name, "few");
                bool unread = !few && streq(w->sets[i]->table->name, "ringwall_bans");

                assert_int_equal(w->sets[i]->n_elements, few ? 1 : unread ? 0 : MANY);
                assert_int_equal(w->sets[i]->dynamic, unread);
        }
        shell(NFT " flush ruleset");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                kernel_test(what_would_be_sent_is_what_the_kernel_then_holds),
                kernel_test(every_form_is_read),
                kernel_test(matches_and_targets_of_xt_are_translated),
                kernel_test(whose_chains_are_among_those_of_iptables_is_told),
                kernel_test(handles_and_owners_are_those_of_the_kernel),
                kernel_test(what_lies_around_is_read),
                kernel_test(damaged_messages_do_no_harm),
                kernel_test(many_bans_are_left_unread),
        };

        if (kernel_enter_namespace() < 0)
                return EXIT_FAILURE;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
