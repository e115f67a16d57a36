/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/rivals.h"

#include "host/tree_unit.h"

/* What is on the host, and what is then found of one rival. */
static const struct Case {
        const char *name;
        struct {
                const char *path, *text; /* text beginning with "->" is a link */
        } files[4];
        FakeProcess process; /* pid 0: none */
        const char *rival;
        RivalState state;
        const char *how; /* a part of it */
} cases[] = {
        {.name = "nothing", .rival = "ufw", .state = RIVAL_ABSENT, .how = "no file"},

        {.name = "ufw, switched off",
         .files = {{"/usr/sbin/ufw", ""}, {"/etc/ufw/ufw.conf", "# ENABLED=yes\nENABLED=no\n"}},
         .rival = "ufw",
         .state = RIVAL_INSTALLED,
         .how = "/usr/sbin/ufw"},
        {.name = "ufw, removed with its settings left behind",
         .files = {{"/etc/ufw/ufw.conf", "ENABLED=no\n"}},
         .rival = "ufw",
         .state = RIVAL_ABSENT},
        {.name = "ufw, on",
         .files = {{"/usr/sbin/ufw", ""}, {"/etc/ufw/ufw.conf", "LOGLEVEL=low\nENABLED=yes\n"}},
         .rival = "ufw",
         .state = RIVAL_ENABLED,
         .how = "ENABLED=yes in /etc/ufw/ufw.conf"},
        {.name = "ufw, on in other words",
         .files = {{"/etc/ufw/ufw.conf", "ENABLED=no\nENABLED=\"Yes\" # really\n"}},
         .rival = "ufw",
         .state = RIVAL_ENABLED},
        {.name = "ufw, on, whatever its unit says",
         .files = {{"/usr/sbin/ufw", ""},
                   {"/etc/systemd/system/multi-user.target.wants/ufw.service",
                    "->/lib/systemd/system/ufw.service"},
                   {"/etc/ufw/ufw.conf", "ENABLED=no\n"}},
         .rival = "ufw",
         .state = RIVAL_INSTALLED},

        {.name = "firewalld runs",
         .process = {.pid = 600, .comm = "firewalld", .executable = "/usr/bin/python3.11"},
         .rival = "firewalld",
         .state = RIVAL_ACTIVE,
         .how = "process 600"},
        {.name = "firewalld is enabled",
         .files = {{"/usr/sbin/firewalld", ""},
                   {"/etc/systemd/system/multi-user.target.wants/firewalld.service",
                    "->/lib/systemd/system/firewalld.service"}},
         .rival = "firewalld",
         .state = RIVAL_ENABLED,
         .how = "/etc/systemd/system/multi-user.target.wants/firewalld.service"},
        {.name = "firewalld is enabled and masked",
         .files = {{"/usr/sbin/firewalld", ""},
                   {"/etc/systemd/system/multi-user.target.wants/firewalld.service", "->x"},
                   {"/etc/systemd/system/firewalld.service", "->/dev/null"}},
         .rival = "firewalld",
         .state = RIVAL_INSTALLED},
        {.name = "a user's process of that name",
         .process = {.pid = 600, .uid = 1000, .comm = "firewalld"},
         .rival = "firewalld",
         .state = RIVAL_ABSENT},
        {.name = "a process of that name in a container",
         .files = {{"/proc/self/ns/net", "->net:[1]"}, {"/proc/600/ns/net", "->net:[2]"}},
         .process = {.pid = 600, .comm = "firewalld"},
         .rival = "firewalld",
         .state = RIVAL_ABSENT},
        {.name = "a process of that name in this network",
         .files = {{"/proc/self/ns/net", "->net:[1]"}, {"/proc/600/ns/net", "->net:[1]"}},
         .process = {.pid = 600, .comm = "firewalld"},
         .rival = "firewalld",
         .state = RIVAL_ACTIVE},

        {.name = "nftables, installed only",
         .files = {{"/lib/systemd/system/nftables.service", ""}, {"/etc/nftables.conf", ""}},
         .rival = "nftables",
         .state = RIVAL_ABSENT},
        {.name = "nftables, enabled",
         .files = {{"/etc/systemd/system/sysinit.target.wants/nftables.service", "->x"}},
         .rival = "nftables",
         .state = RIVAL_ENABLED},
        {.name = "saved rules",
         .files = {{"/etc/iptables/rules.v6", "*filter\n"}},
         .rival = "iptables-persistent",
         .state = RIVAL_INSTALLED,
         .how = "/etc/iptables/rules.v6"},
        {.name = "saved rules, loaded at boot",
         .files = {{"/etc/systemd/system/multi-user.target.wants/netfilter-persistent.service",
                    "->x"}},
         .rival = "iptables-persistent",
         .state = RIVAL_ENABLED},

        {.name = "no legacy tables",
         .files = {{"/proc/self/net/ip_tables_names", ""}, {"/proc/self/net/ip6_tables_names", ""}},
         .rival = "iptables-legacy",
         .state = RIVAL_ABSENT},
        {.name = "legacy tables",
         .files = {{"/proc/self/net/ip_tables_names", "nat\nfilter\n"}},
         .rival = "iptables-legacy",
         .state = RIVAL_ACTIVE,
         .how = "ip_tables_names lists: nat filter"},
        {.name = "legacy tables of IPv6 alone",
         .files = {{"/proc/self/net/ip_tables_names", ""},
                   {"/proc/self/net/ip6_tables_names", "filter\n"}},
         .rival = "iptables-legacy",
         .state = RIVAL_ACTIVE,
         .how = "ip6_tables_names lists: filter"},

        {.name = "Docker",
         .files = {{"/usr/bin/dockerd", ""}},
         .process = {.pid = 700, .comm = "dockerd", .executable = "/usr/bin/dockerd"},
         .rival = "docker",
         .state = RIVAL_ACTIVE,
         .how = "process 700, /usr/bin/dockerd"},
        {.name = "Docker, started on demand",
         .files = {{"/etc/systemd/system/sockets.target.wants/docker.socket", "->x"}},
         .rival = "docker",
         .state = RIVAL_ENABLED},
        {.name = "a Podman container",
         .process = {.pid = 700, .comm = "conmon"},
         .rival = "podman",
         .state = RIVAL_ACTIVE},
        {.name = "libvirt's network",
         .files = {{"/etc/libvirt/qemu/networks/autostart/default.xml", "->../default.xml"},
                   {"/run/libvirt/network/default.xml", "<networkstatus/>"}},
         .rival = "libvirt",
         .state = RIVAL_ACTIVE,
         .how = "/run/libvirt/network/default.xml"},
        {.name = "libvirt's network at the next boot",
         .files = {{"/etc/libvirt/qemu/networks/autostart/default.xml", "->../default.xml"},
                   {"/etc/libvirt/qemu/networks/default.xml", "<network/>"}},
         .rival = "libvirt",
         .state = RIVAL_ENABLED},
        {.name = "libvirt without networks",
         .files = {{"/usr/sbin/libvirtd", ""}},
         .rival = "libvirt",
         .state = RIVAL_INSTALLED},
        {.name = "fail2ban",
         .process = {.pid = 700, .comm = "fail2ban-server"},
         .rival = "fail2ban",
         .state = RIVAL_ACTIVE},
};

static const Rival *read_rival(const Tree *t, const char *id) {
        Rival *list;
        size_t n;

        assert_int_equal(rivals_read(t, &list, &n), 0);
        for (size_t i = 0; i < n; i++)
                if (streq(list[i].id, id))
                        return &list[i];
        fail_msg("there is no rival '%s'", id);
        return NULL;
}

static void finds_rivals_by_what_they_leave(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const struct Case *c = &cases[i];
                const Rival *found;
                const Tree *t;

                if (i > 0) {
                        assert_int_equal(tree_teardown(state), 0);
                        assert_int_equal(tree_setup(state), 0);
                }
                t = *state;
                (void)tree_folder(t, "/proc");
                for (size_t j = 0; j < ARRAY_SIZE(c->files) && c->files[j].path; j++)
                        if (startswith(c->files[j].text, "->"))
                                tree_link(t, c->files[j].path, c->files[j].text + 2);
                        else
                                tree_write(t, c->files[j].path, c->files[j].text);
                if (c->process.pid != 0)
                        tree_add_process(t, &c->process);
                found = read_rival(t, c->rival);
                unit_string(c->name, rival_state_to_string(found->state),
                            rival_state_to_string(c->state));
                if (c->how && !strstr(found->how, c->how))
                        fail_msg("%s: \"%s\" says nothing of \"%s\"", c->name, found->how, c->how);
        }
}

static void every_rival_is_explained(void **state) {
        const Tree *t = *state;
        Rival *list;
        size_t n;

        (void)tree_folder(t, "/proc");
        assert_int_equal(rivals_read(t, &list, &n), 0);
        assert_true(n > 10);
        for (size_t i = 0; i < n; i++) {
                unit_true(list[i].id, list[i].name && list[i].how && list[i].why && list[i].advice);
                unit_true(list[i].id, list[i].state == RIVAL_ABSENT);
                unit_true(list[i].id, rival_kind_to_string(list[i].kind));
                if (i > 0 && list[i].kind == list[i - 1].kind)
                        unit_true(list[i].id, strcmp(list[i - 1].id, list[i].id) < 0);
        }
}

static void what_may_not_be_read_is_unknown(void **state) {
        const Tree *t = *state;
        const Rival *ufw, *tables;

        tree_write(t, "/etc/ufw/ufw.conf", "ENABLED=yes\n");
        tree_write(t, "/proc/self/net/ip_tables_names", "filter\n");
        assert_int_equal(system(arena_printf(t->arena,
                                             "chmod 755 %s; chmod 600 %s/etc/ufw/ufw.conf "
                                             "%s/proc/self/net/ip_tables_names",
                                             t->root, t->root, t->root)),
                         0);
        assert_int_equal(seteuid(65534), 0);
        ufw = read_rival(t, "ufw");
        tables = read_rival(t, "iptables-legacy");
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(ufw->state, RIVAL_UNKNOWN);
        assert_int_equal(tables->state, RIVAL_UNKNOWN);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(finds_rivals_by_what_they_leave),
                tree_test(every_rival_is_explained),
                tree_test(what_may_not_be_read_is_unknown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
