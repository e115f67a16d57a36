/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What is written of made-up hosts, word for word: tests/init/NAME.yaml. RINGWALL_UPDATE=1 rewrites
 * them, and the difference is reviewed like code. Every one of them has been loaded, compiled and
 * tried by draft_write() itself. */

#include "host/draft.h"

#include <netinet/in.h>

#include "base/file.h"
#include "base/unit.h"

typedef struct Host {
        Arena *arena;
        const Policy *catalogue;
        Source text; /* the catalogue's */
        Survey survey;
} Host;

static Host host_begin(void **state) {
        Host h = {.arena = *state, .text = {.name = SOURCE_ROOT "/policies/catalogue.yaml"}};
        Source nothing = {"policy", "ringwall: 1\n", 12};
        Policy *p;
        char *text;

        assert_int_equal(file_read(h.arena, h.text.name, POLICY_FILE_MAX, &text, &h.text.size), 0);
        h.text.text = text;
        assert_int_equal(policy_load_text(h.arena, h.text, nothing, &p, diag_new(h.arena)), 0);
        h.catalogue = p;
        return h;
}

static SurveyPort *
listens(Host *h, const char *protocol, uint16_t port, const char *program, const char *owner) {
        uint8_t proto = streq(protocol, "udp") ? IPPROTO_UDP : IPPROTO_TCP;
        SurveyPort p = {.proto = proto, .port = port, .program = program, .words = program};

        p.owner = owner;
        p.of_root = true;
        assert_true(arena_append(h->arena, h->survey.ports, h->survey.n_ports, p));
        return &h->survey.ports[h->survey.n_ports - 1];
}

static void published(Host *h, uint16_t port, uint16_t inner) {
        SurveyPort *p = listens(h, "tcp", port, "docker-proxy", NULL);

        p->is_published = true;
        p->inner = inner;
}

static SurveyLink *link_to(Host *h, const char *name, SurveyLinkKind kind, const char *network) {
        SurveyLink link = {.name = name, .kind = kind, .networks = network ? network : ""};
        HostNetwork n = {.interface = interface_value(name)};

        assert_true(arena_append(h->arena, h->survey.links, h->survey.n_links, link));
        if (network) {
                assert_int_equal(address_range_parse(network, &n.family, &n.range), ADDRESS_OK);
                assert_true(arena_append(h->arena, h->survey.networks, h->survey.n_networks, n));
        }
        return &h->survey.links[h->survey.n_links - 1];
}

static void sshd(Host *h, uint16_t port) {
        listens(h, "tcp", port, "sshd", "ssh.service")->is_ssh = true;
        assert_true(arena_append(h->arena, h->survey.ssh_ports, h->survey.n_ssh_ports, port));
}

static void caller(Host *h, const char *address, const char *link) {
        h->survey.has_caller = true;
        h->survey.caller_link = link;
        assert_int_equal(address_parse(address, &h->survey.caller_family, &h->survey.caller),
                         ADDRESS_OK);
}

static void ufw(Host *h, const char *text, Family family) {
        h->survey.ufw.is_enabled = true;
        assert_int_equal(ufw_take(h->arena, text, strlen(text), family, &h->survey.ufw), 0);
}

static const char *write_policy(Host *h, const DraftAnswers *answers) {
        static const DraftAnswers defaults = {0};
        Diag *d = diag_new(h->arena);
        const char *text = NULL;
        int r = draft_write(h->arena, &h->survey, h->catalogue, h->text,
                            answers ? answers : &defaults, &text, d);

        if (r < 0)
                fail_msg("%s: %s", strerror(-r),
                         d->n_messages > 0 ? d->messages[0].text : "no message");
        return text;
}

static void compare(Host *h, const char *name, const DraftAnswers *answers) {
        const char *path = arena_printf(h->arena, SOURCE_ROOT "/tests/init/%s.yaml", name);
        const char *text = write_policy(h, answers);
        char *expected = NULL;
        size_t size;

        if (getenv("RINGWALL_UPDATE")) {
                FILE *f = fopen(path, "we");

                assert_non_null(f);
                assert_true(fputs(text, f) >= 0);
                assert_int_equal(fclose(f), 0);
        }
        assert_int_equal(file_read(h->arena, path, POLICY_FILE_MAX, &expected, &size), 0);
        assert_string_equal(text, expected);
}

static void a_host_where_nothing_is(void **state) {
        Host h = host_begin(state);

        compare(&h, "nothing", NULL);
}

static void a_web_server_on_the_internet(void **state) {
        Host h = host_begin(state);

        sshd(&h, 22);
        (void)listens(&h, "tcp", 25, "master", "postfix.service");
        (void)listens(&h, "tcp", 80, "nginx", "nginx.service");
        (void)listens(&h, "tcp", 443, "nginx", "nginx.service");
        (void)listens(&h, "tcp", 5432, "postgres", "postgresql@15-main.service");
        (void)listens(&h, "udp", 443, "nginx", "nginx.service");
        link_to(&h, "eth0", SURVEY_LINK_OTHER, "203.0.113.0/24")->is_uplink = true;
        caller(&h, "198.51.100.77", "eth0");
        compare(&h, "web-server", NULL);
}

static void a_server_at_home_with_containers_and_machines(void **state) {
        Host h = host_begin(state);

        sshd(&h, 2222);
        (void)listens(&h, "tcp", 445, "smbd", "smbd.service");
        (void)listens(&h, "tcp", 3000, "node", "shop.service");
        published(&h, 5678, 5678);
        published(&h, 15432, 5432);
        h.survey.ports[h.survey.n_ports - 1].container = "shop_db_1";
        (void)listens(&h, "tcp", 8123, "hass", "home-assistant.service");
        (void)listens(&h, "tcp", 9999, "ollama", "ollama.service");
        (void)listens(&h, "tcp", 11434, "ollama", "ollama.service");
        (void)listens(&h, "udp", 53, "dnsmasq", "libvirtd.service");
        (void)listens(&h, "udp", 67, "dnsmasq", "libvirtd.service");
        (void)listens(&h, "udp", 5353, "avahi-daemon", "avahi-daemon.service");
        (void)listens(&h, "udp", 51820, NULL, NULL);
        link_to(&h, "enp3s0", SURVEY_LINK_LAN, "10.40.10.0/24")->is_uplink = true;
        h.survey.links[0].networks = "10.40.10.0/24, 2001:db8:40:10::/64";
        link_to(&h, "wg0", SURVEY_LINK_VPN, "10.99.0.0/24")->is_wireguard = true;
        (void)link_to(&h, "docker0", SURVEY_LINK_CONTAINERS, "172.17.0.0/16");
        (void)link_to(&h, "podman0", SURVEY_LINK_CONTAINERS, "10.88.0.0/16");
        (void)link_to(&h, "virbr0", SURVEY_LINK_VMS, "192.168.122.0/24");
        (void)link_to(&h, "lxdbr0", SURVEY_LINK_INSTANCES, "10.1.2.0/24");
        caller(&h, "10.40.10.2", "enp3s0");
        compare(&h, "home", NULL);
}

static void answers_are_followed(void **state) {
        const DraftAnswers answers = {{
                [DRAFT_SSH_FROM] = "vpn, 198.51.100.0/24 , 2001:db8::1",
                [DRAFT_PUBLIC] = "https,8448/tcp,grafana",
                [DRAFT_CONTAINERS] = "ollama",
                [DRAFT_RESCUE] = "198.51.100.7",
        }};
        Host h = host_begin(state);

        sshd(&h, 22);
        (void)listens(&h, "tcp", 80, "caddy", "caddy.service");
        (void)listens(&h, "tcp", 443, "caddy", "caddy.service");
        (void)listens(&h, "tcp", 3000, "grafana", "grafana-server.service");
        (void)listens(&h, "tcp", 11434, "ollama", "ollama.service");
        (void)link_to(&h, "wg0", SURVEY_LINK_VPN, "10.99.0.0/24");
        link_to(&h, "eth0", SURVEY_LINK_OTHER, "203.0.113.0/24")->is_uplink = true;
        (void)link_to(&h, "docker0", SURVEY_LINK_CONTAINERS, "172.17.0.0/16");
        caller(&h, "2001:db8:7::9", "eth0"); /* whom the answer forgets */
        compare(&h, "answers", &answers);
}

static void what_ufw_allowed_is_taken_over(void **state) {
        Host h = host_begin(state);

        sshd(&h, 22);
        (void)listens(&h, "tcp", 80, "nginx", "nginx.service");
        (void)listens(&h, "tcp", 5432, "postgres", "postgresql@15-main.service");
        (void)listens(&h, "tcp", 11434, "ollama", "ollama.service");
        link_to(&h, "eth0", SURVEY_LINK_OTHER, "203.0.113.0/24")->is_uplink = true;
        (void)link_to(&h, "eth1", SURVEY_LINK_LAN, "10.40.10.0/24");
        caller(&h, "198.51.100.77", "eth0");
        ufw(&h,
            "### tuple ### limit tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n"
            "### tuple ### allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 Nginx%20Full - in\n"
            "### tuple ### allow any 5432 0.0.0.0/0 any 10.40.10.0/24 in_eth1 "
            "comment=746865206461746162617365\n"
            "### tuple ### allow any 11434 0.0.0.0/0 any 0.0.0.0/0 in\n"
            "### tuple ### allow any any 0.0.0.0/0 any 0.0.0.0/0 in_eth1\n"
            "### tuple ### deny any any 0.0.0.0/0 any 192.0.2.66 in\n"
            "### tuple ### deny tcp 23 0.0.0.0/0 any 0.0.0.0/0 in\n"
            "### tuple ### reject any any 0.0.0.0/0 any 198.51.100.0/24 in\n"
            "### tuple ### allow udp 60000:61000 0.0.0.0/0 any 0.0.0.0/0 in\n"
            "### tuple ### limit tcp 8448 0.0.0.0/0 any 0.0.0.0/0 in\n"
            "### tuple ### allow tcp 3000 203.0.113.5 any 10.0.0.0/8 in\n"
            "### tuple ### allow tcp 3000 203.0.113.5 any 10.40.10.0/24 in\n"
            "### tuple ### allow esp any 0.0.0.0/0 any 0.0.0.0/0 in\n"
            "### tuple ### route:allow tcp 80 10.0.3.7 any 0.0.0.0/0 in_eth0!out_eth1\n"
            "### tuple ### allow tcp 443 0.0.0.0/0 any 0.0.0.0/0 out\n"
            "### tuple ### nonsense\n",
            FAMILY_IPV4);
        ufw(&h,
            "### tuple ### limit tcp 22 ::/0 any ::/0 in\n"
            "### tuple ### allow tcp 80,443 ::/0 any ::/0 Nginx%20Full - in\n"
            "### tuple ### allow tcp 3000 ::/0 any fd00::/8 in\n",
            FAMILY_IPV6);
        compare(&h, "ufw", NULL);
}

static void ufws_sources_of_ssh_are_the_default(void **state) {
        DraftAnswers answers = {0};
        Host h = host_begin(state);
        const char *text;

        sshd(&h, 22);
        (void)link_to(&h, "eth0", SURVEY_LINK_LAN, "10.40.10.0/24");
        ufw(&h, "### tuple ### allow any 22 0.0.0.0/0 any 10.7.0.0/16 in\n", FAMILY_IPV4);
        ufw(&h, "### tuple ### allow tcp 22 ::/0 any fd07::/16 in\n", FAMILY_IPV6);
        assert_int_equal(
                draft_default(h.arena, &h.survey, h.catalogue, &answers, DRAFT_SSH_FROM, &text), 0);
        assert_string_equal(text, "10.7.0.0/16, fd07::/16");
        h.survey.ufw.is_enabled = false;
        assert_int_equal(
                draft_default(h.arena, &h.survey, h.catalogue, &answers, DRAFT_SSH_FROM, &text), 0);
        assert_string_equal(text, "lan");
}

/* In the policy 'ssh' means the ports that sshd has. */
static void a_rule_about_another_port_is_not_called_ssh(void **state) {
        Host h = host_begin(state);
        const char *text;

        (void)listens(&h, "tcp", 22, "gitea", "gitea.service");
        sshd(&h, 2222);
        (void)link_to(&h, "eth0", SURVEY_LINK_LAN, "10.40.10.0/24");
        ufw(&h, "### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n", FAMILY_IPV4);
        text = write_policy(&h, NULL);
        assert_non_null(strstr(text, "  ssh: { tcp: 2222 }"));
        assert_non_null(strstr(text, "  - { allow: [ssh, ping], from: lan }\n"));
        assert_non_null(strstr(text, "  - { allow: 22/tcp, from: anywhere }\n"));
}

static void who_is_not_root_gets_no_port_opened_by_listening(void **state) {
        static const DraftAnswers none = {0};

        for (int of_root = 0; of_root <= 1; of_root++) {
                Host h = host_begin(state);
                const char *text;

                listens(&h, "udp", 1194, "openvpn", NULL)->of_root = of_root;
                assert_int_equal(
                        draft_default(h.arena, &h.survey, h.catalogue, &none, DRAFT_PUBLIC, &text),
                        0);
                assert_string_equal(text, of_root ? "openvpn" : "none");
        }
}

static void whoever_came_from_a_container_keeps_a_way_in(void **state) {
        Host h = host_begin(state);

        sshd(&h, 22);
        (void)link_to(&h, "docker0", SURVEY_LINK_CONTAINERS, "172.17.0.0/16");
        caller(&h, "172.17.0.2", "docker0");
        assert_non_null(strstr(write_policy(&h, NULL), "{ allow: [ssh, ping], from: private }"));
}

static void what_one_port_of_a_service_is_opened_for_leaves_the_others_protected(void **state) {
        const DraftAnswers answers = {{[DRAFT_CONTAINERS] = "minio"}};
        Host h = host_begin(state);
        const char *text;

        (void)listens(&h, "tcp", 9000, "minio", NULL);
        (void)listens(&h, "tcp", 9443, "portainer", NULL);
        (void)link_to(&h, "docker0", SURVEY_LINK_CONTAINERS, "172.17.0.0/16");
        text = write_policy(&h, &answers);
        assert_non_null(strstr(text, "  - { allow: minio, from: containers }\n"));
        assert_non_null(strstr(text, "  - { services: 9443/tcp } "));
}

/* All that is foreign, with what would end a comment or begin another thing in YAML. */
static void nothing_foreign_gets_out_of_its_comment(void **state) {
        static const char *const texts[] = {
                "x # y",    "- { allow: any }", "\": }",        "*a &b !c |",
                "\\n- x",   "%TAG ! x",         "--- inbound:", "ssh: [",
                "?[31mred", "'single'",         "a: b\\\"c",    "\xc3\xa4\xe2\x82\xac",
        };
        Host h = host_begin(state);
        const char *text;
        Policy *p;
        Diag *d = diag_new(h.arena);

        sshd(&h, 22);
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                SurveyPort *port = listens(&h, "tcp", (uint16_t)(7100 + i), texts[i], texts[i]);

                port->words = texts[i];
        }
        (void)listens(&h, "tcp", 11434, texts[1], texts[2]);
        ufw(&h,
            "### tuple ### allow tcp 9 0.0.0.0/0 any 10.0.0.0/8 in "
            "comment=0a2d207b20616c6c6f773a20616e79207d\n"
            "### tuple ### allow tcp 10 0.0.0.0/0 any 10.0.0.0/8 a%20#%20b:%20{ - in\n"
            "### tuple ### allow tcp 11 0.0.0.0/0 any 0.0.0.0/0 in_x:[y\n",
            FAMILY_IPV4);
        text = write_policy(&h, NULL);
        assert_int_equal(
                policy_load_text(h.arena, h.text, (Source){"policy", text, strlen(text)}, &p, d),
                0);
        /* what rules there are: ssh, and ufw's two */
        assert_int_equal(p->sections[SECTION_INBOUND].n_rules, 3);
        assert_int_equal(p->n_protected, 1);
        assert_null(strchr(text, '\r'));
        compare(&h, "hostile", NULL);
}

static void nothing_is_expected_of_containers_that_are_not_here(void **state) {
        static const char *const words[] = {"internet", "none", NULL};

        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
                const DraftAnswers answers = {{[DRAFT_CONTAINERS] = words[i]}};
                Host h = host_begin(state);
                const char *text;

                sshd(&h, 22);
                (void)link_to(&h, "eth0", SURVEY_LINK_LAN, "10.40.10.0/24");
                text = write_policy(&h, &answers);
                assert_null(strstr(text, "from: containers, to: internet"));
                (void)link_to(&h, "docker0", SURVEY_LINK_CONTAINERS, "172.17.0.0/16");
                text = write_policy(&h, &answers);
                assert_non_null(strstr(text, "from: containers, to: internet"));
        }
}

static void a_bridge_of_the_network_is_none_of_containers(void **state) {
        Host h = host_begin(state);
        const char *text;
        SurveyLink *lan;

        sshd(&h, 22);
        lan = link_to(&h, "br-lan", SURVEY_LINK_LAN, "10.40.10.0/24");
        lan->is_uplink = true;
        lan->seems_containers = true;
        (void)link_to(&h, "br-0123456789ab", SURVEY_LINK_CONTAINERS, "172.18.0.0/16");
        text = write_policy(&h, NULL);
        assert_non_null(strstr(text, "  containers: { interfaces: [br-0123456789ab, docker0, "
                                     "\"podman*\"] }\n"));
        assert_non_null(strstr(text, "from: lan }"));
}

static void an_answer_that_cannot_be_taken_says_why(void **state) {
        static const struct {
                DraftQuestion q;
                const char *answer, *problem, *hint;
        } rows[] = {
                {DRAFT_SSH_FROM, "lan, 10.0.0.0/8, fd00::1, private", NULL, NULL},
                {DRAFT_SSH_FROM, "anywhere", NULL, NULL},
                {DRAFT_SSH_FROM, "10.0.0.1-10.0.0.9", NULL, NULL},
                {DRAFT_SSH_FROM, "lna", "there is no zone 'lna'", "did you mean 'lan'?"},
                {DRAFT_SSH_FROM, "vpn", "there is no zone 'vpn'",
                 "zones here: lan, private, anywhere; or an address or a network"},
                {DRAFT_SSH_FROM, "10.40.10.5/24", "'10.40.10.5/24' has bits set behind its length",
                 "the network is 10.40.10.0/24"},
                {DRAFT_SSH_FROM, "10.0.0.0/33", "'10.0.0.0/33' is no network",
                 "an address, ADDRESS/LENGTH, or LOW-HIGH"},
                {DRAFT_SSH_FROM, ", ,", "nothing is named", NULL},
                {DRAFT_SSH_FROM, "none", "there is no zone 'none'",
                 "zones here: lan, private, anywhere; or an address or a network"},
                {DRAFT_PUBLIC, "none", NULL, NULL},
                {DRAFT_PUBLIC, "https http3,8000-8010/tcp,53/udp", NULL, NULL},
                {DRAFT_PUBLIC, "none, https", "'none' stands alone", NULL},
                {DRAFT_PUBLIC, "htps", "there is no service 'htps'", "did you mean 'https'?"},
                {DRAFT_PUBLIC, "samba", "there is no service 'samba'", "did you mean 'smb'?"},
                {DRAFT_PUBLIC, "any", "'any' would open everything",
                 "name what others shall use: https, 8080/tcp"},
                {DRAFT_PUBLIC, "443", "'443' is no port",
                 "ports are written 443/tcp, 8000-8010/tcp or 53/udp"},
                {DRAFT_PUBLIC, "0/tcp", "'0/tcp' is no port",
                 "ports are written 443/tcp, 8000-8010/tcp or 53/udp"},
                {DRAFT_PUBLIC, "70000/tcp", "'70000/tcp' is no port",
                 "ports are written 443/tcp, 8000-8010/tcp or 53/udp"},
                {DRAFT_PUBLIC, "20-10/tcp", "'20-10/tcp' is no port",
                 "ports are written 443/tcp, 8000-8010/tcp or 53/udp"},
                {DRAFT_PUBLIC, "x\033]\n", "there is no service 'x?]?'",
                 "'ringwall list services' lists them; or PORT/tcp, PORT/udp"},
                {DRAFT_PUBLIC, "internet", "there is no service 'internet'",
                 "'ringwall list services' lists them; or PORT/tcp, PORT/udp"},
                {DRAFT_CONTAINERS, "internet, ollama, host", NULL, NULL},
                {DRAFT_CONTAINERS, "internt", "there is no service 'internt'",
                 "did you mean 'internet'?"},
                {DRAFT_RESCUE, "last", NULL, NULL},
                {DRAFT_RESCUE, "10.0.0.1", NULL, NULL},
                {DRAFT_RESCUE, "last, lan", "'last' stands alone", NULL},
        };
        Host h = host_begin(state);

        (void)link_to(&h, "eth0", SURVEY_LINK_LAN, "10.40.10.0/24");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                DraftProblem problem;
                int r = draft_check(h.arena, &h.survey, h.catalogue, rows[i].q, rows[i].answer,
                                    &problem);

                unit_equal(rows[i].answer, r, rows[i].problem == NULL);
                unit_string(rows[i].answer, problem.text, rows[i].problem);
                unit_string(rows[i].answer, problem.hint, rows[i].hint);
        }
}

static void who_came_from_elsewhere_keeps_a_way_in(void **state) {
        static const struct {
                const char *address, *link, *expected;
        } rows[] = {
                {"10.40.10.2", "eth0", "lan, vpn"},
                {"10.99.0.2", "wg0", "lan, vpn"},
                {"fe80::2", "eth0", "lan, vpn"},
                {"10.7.0.1", "eth0", "lan, vpn, private"}, /* behind a router of the network */
                {"198.51.100.7", "eth0", "anywhere"},
                {"2001:db8::7", NULL, "anywhere"},
                {NULL, NULL, "lan, vpn"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const DraftAnswers none = {0};
                Host h = host_begin(state);
                const char *text;

                sshd(&h, 22);
                link_to(&h, "eth0", SURVEY_LINK_LAN, "10.40.10.0/24")->is_uplink = true;
                (void)link_to(&h, "wg0", SURVEY_LINK_VPN, "10.99.0.0/24");
                (void)link_to(&h, "docker0", SURVEY_LINK_CONTAINERS, "172.17.0.0/16");
                if (rows[i].address)
                        caller(&h, rows[i].address, rows[i].link);
                assert_int_equal(draft_default(h.arena, &h.survey, h.catalogue, &none,
                                               DRAFT_SSH_FROM, &text),
                                 0);
                unit_string(rows[i].address, text, rows[i].expected);
                text = write_policy(&h, NULL);
                unit_equal(rows[i].address ? rows[i].address : "console",
                           strstr(text, "# you, as you came in") != NULL, rows[i].address != NULL);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(a_host_where_nothing_is),
                unit_arena_test(a_web_server_on_the_internet),
                unit_arena_test(a_server_at_home_with_containers_and_machines),
                unit_arena_test(answers_are_followed),
                unit_arena_test(what_ufw_allowed_is_taken_over),
                unit_arena_test(ufws_sources_of_ssh_are_the_default),
                unit_arena_test(a_rule_about_another_port_is_not_called_ssh),
                unit_arena_test(who_is_not_root_gets_no_port_opened_by_listening),
                unit_arena_test(whoever_came_from_a_container_keeps_a_way_in),
                unit_arena_test(
                        what_one_port_of_a_service_is_opened_for_leaves_the_others_protected),
                unit_arena_test(nothing_foreign_gets_out_of_its_comment),
                unit_arena_test(nothing_is_expected_of_containers_that_are_not_here),
                unit_arena_test(a_bridge_of_the_network_is_none_of_containers),
                unit_arena_test(an_answer_that_cannot_be_taken_says_why),
                unit_arena_test(who_came_from_elsewhere_keeps_a_way_in),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
