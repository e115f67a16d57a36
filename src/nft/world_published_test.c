/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What container engines publish, read from the rules that they make. */

#include <netinet/in.h>

#include "nft/kernel_unit.h"
#include "nft/world_read.h"
#include "world/published.h"

static const char *text_of(Test *t, const Published *list, size_t n) {
        const char *text = "";

        for (size_t i = 0; i < n; i++)
                text = arena_printf(t->arena, "%s%s %u %u-%u%s\n", text, list[i].engine,
                                    list[i].proto, list[i].port, list[i].inner,
                                    list[i].loopback ? " loopback" : "");
        return text;
}

static void what_engines_publish_is_read_from_their_rules(void **state) {
        static const struct {
                const char *program, *rule, *expected; /* of a chain that iptables-restore makes */
        } rows[] = {
                {"iptables",
                 "DOCKER ! -i docker0 -p tcp --dport 8443 -j DNAT --to 172.17.0.2:11434",
                 "Docker 6 8443-11434\n"},
                {"iptables", "DOCKER -p udp -m udp --dport 53 -j DNAT --to 172.17.0.2:53",
                 "Docker 17 53-53\n"},
                {"iptables", "DOCKER -d 127.0.0.1/32 -p tcp --dport 80 -j DNAT --to 172.17.0.2:80",
                 "Docker 6 80-80 loopback\n"},
                {"iptables", "DOCKER -d 192.0.2.1 -p tcp --dport 80 -j DNAT --to 172.17.0.2:80",
                 "Docker 6 80-80\n"},
                {"ip6tables", "DOCKER -p tcp --dport 80 -j DNAT --to [fd00::2]:8080",
                 "Docker 6 80-8080\n"},
                {"ip6tables", "DOCKER -d ::1 -p tcp --dport 80 -j DNAT --to [fd00::2]:8080",
                 "Docker 6 80-8080 loopback\n"},
                {"iptables", "NETAVARK-DN-1 -p tcp --dport 80 -j DNAT --to 10.88.0.2:8080",
                 "Podman 6 80-8080\n"},
                {"iptables", "CNI-DN-1 -p tcp --dport 80 -j DNAT --to 10.88.0.2:8080",
                 "CNI 6 80-8080\n"},
                {"iptables", "CNI-DN-1 -p tcp --dport 80 -j DNAT --to 10.88.0.2", "CNI 6 80-80\n"},
                {"iptables", "DOCKER -p tcp -j DNAT --to 172.17.0.2:80", ""},
                {"iptables", "DOCKER -p tcp ! --dport 80 -j DNAT --to 172.17.0.2:80", ""},
                {"iptables", "DOCKER -p tcp --dport 80 -j RETURN", ""},
                {"iptables", "mine -p tcp --dport 80 -j DNAT --to 172.17.0.2:80", ""},
        };
        Test *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                World *w = NULL;
                Published *list;
                size_t n;

                shell(NFT " flush ruleset");
                shell(arena_printf(t->arena,
                                   "%s-nft-restore <<'END'\n*nat\n:PREROUTING ACCEPT\n:%.*s -\n"
                                   "-A PREROUTING -j %.*s\n-A %s\nCOMMIT\nEND\n",
                                   rows[i].program, (int)strcspn(rows[i].rule, " "), rows[i].rule,
                                   (int)strcspn(rows[i].rule, " "), rows[i].rule, rows[i].rule));
                unit_equal(rows[i].rule, world_read(t->link, t->arena, &w), 0);
                unit_equal(rows[i].rule, published_find(w, t->arena, &list, &n), 0);
                unit_string(rows[i].rule, text_of(t, list, n), rows[i].expected);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                kernel_test(what_engines_publish_is_read_from_their_rules),
        };

        if (kernel_enter_namespace() < 0)
                return EXIT_FAILURE;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
