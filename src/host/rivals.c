/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/rivals.h"

#include "base/text.h"
#include "host/unit.h"

#define NAMES_MAX 6

typedef struct Row {
        const char *id, *name;
        RivalKind kind;
        const char *processes[NAMES_MAX]; /* at most 15 bytes are kept of a process's name */
        const char *units[NAMES_MAX];
        const char *files[NAMES_MAX]; /* any of them: it is installed; may be a pattern */
        /* What no process and no unit shows. Sets state and how, or leaves them. */
        int (*look)(const Tree *t, Rival *rival);
        const char *why, *advice;
} Row;

static int look_at_ufw(const Tree *t, Rival *rival);
static int look_at_legacy_tables(const Tree *t, Rival *rival);
static int look_at_libvirt(const Tree *t, Rival *rival);

#define TWO_DECIDE                                                                                 \
        "two programs then decide what may pass: a packet passes only if both let it, and each "   \
        "one's answers are true of its own rules alone"

/* Sorted by kind, then by name. */
static const Row rows[] = {
        {.id = "ferm",
         .name = "ferm",
         .kind = RIVAL_MANAGER,
         .units = {"ferm.service"},
         .files = {"/usr/sbin/ferm"},
         .why = TWO_DECIDE,
         .advice = "write what /etc/ferm/ferm.conf allows into the policy, then: systemctl disable "
                   "ferm"},
        {.id = "firewalld",
         .name = "firewalld",
         .kind = RIVAL_MANAGER,
         .processes = {"firewalld"},
         .units = {"firewalld.service"},
         .files = {"/usr/sbin/firewalld", "/usr/bin/firewalld"},
         .why = TWO_DECIDE,
         .advice = "write what its zones allow into the policy; once that is in force and "
                   "confirmed: ringwall takeover firewalld"},
        {.id = "foomuuri",
         .name = "Foomuuri",
         .kind = RIVAL_MANAGER,
         .units = {"foomuuri.service", "foomuuri-boot.service"},
         .files = {"/usr/sbin/foomuuri"},
         .why = TWO_DECIDE,
         .advice = "write what it allows into the policy, then: systemctl disable --now foomuuri"},
        {.id = "iptables-legacy",
         .name = "iptables (legacy)",
         .kind = RIVAL_MANAGER,
         .look = look_at_legacy_tables,
         .why = "these rules are older than nftables and no nftables program sees them, ringwall "
                "neither: they may refuse what the policy allows, or translate addresses",
         .advice = "look at them with iptables-legacy-save and ip6tables-legacy-save, and find out "
                   "who loads them; 'iptables-legacy -F' and the like remove them"},
        {.id = "iptables-persistent",
         .name = "netfilter-persistent",
         .kind = RIVAL_MANAGER,
         .units = {"netfilter-persistent.service", "iptables.service", "ip6tables.service"},
         .files = {"/usr/sbin/netfilter-persistent", "/etc/iptables/rules.v4",
                   "/etc/iptables/rules.v6", "/etc/sysconfig/iptables"},
         .why = "it loads saved iptables rules at every boot; " TWO_DECIDE,
         .advice = "write what they allow into the policy, then: systemctl disable "
                   "netfilter-persistent (or iptables, ip6tables)"},
        {.id = "nftables",
         .name = "nftables.service",
         .kind = RIVAL_MANAGER,
         .units = {"nftables.service"},
         .why = "it begins, and on most systems ends, with 'flush ruleset', which empties every "
                "table that no program owns, those of container engines too",
         .advice = "write what /etc/nftables.conf allows into the policy; once that is in force "
                   "and confirmed: ringwall takeover nftables (a stop of the unit would empty the "
                   "tables of all programs)"},
        {.id = "shorewall",
         .name = "Shorewall",
         .kind = RIVAL_MANAGER,
         .units = {"shorewall.service", "shorewall6.service"},
         .files = {"/usr/sbin/shorewall"},
         .why = TWO_DECIDE,
         .advice = "write what it allows into the policy, then: systemctl disable --now shorewall "
                   "shorewall6"},
        {.id = "ufw",
         .name = "ufw",
         .kind = RIVAL_MANAGER,
         .files = {"/usr/sbin/ufw"},
         .look = look_at_ufw,
         .why = TWO_DECIDE,
         .advice = "'ringwall init' takes over what 'ufw status' lists; once the policy is in "
                   "force and confirmed: ringwall takeover ufw"},

        {.id = "crowdsec-bouncer",
         .name = "CrowdSec's firewall bouncer",
         .kind = RIVAL_WRITER,
         .processes = {"crowdsec-firewa"},
         .units = {"crowdsec-firewall-bouncer.service"},
         .files = {"/usr/bin/crowdsec-firewall-bouncer",
                   "/usr/local/bin/crowdsec-firewall-bouncer"},
         .why = "its bans are in a table of their own: who is banned is refused whatever the "
                "policy "
                "allows",
         .advice = "nothing, but look there too when somebody cannot get in: cscli decisions list"},
        {.id = "docker",
         .name = "Docker",
         .kind = RIVAL_WRITER,
         .processes = {"dockerd"},
         .units = {"docker.service", "docker.socket"},
         .files = {"/usr/bin/dockerd", "/usr/sbin/dockerd"},
         .why = "it translates published ports itself, past other firewalls' inbound rules; under "
                "ringwall a published port obeys 'inbound' like any other",
         .advice = "list in 'inbound' each published port that others may reach"},
        {.id = "fail2ban",
         .name = "fail2ban",
         .kind = RIVAL_WRITER,
         .processes = {"fail2ban-server"},
         .units = {"fail2ban.service"},
         .files = {"/usr/bin/fail2ban-server"},
         .why = "its bans are in a table of their own: who is banned is refused whatever the "
                "policy "
                "allows, but as a rule not at ports that containers publish",
         .advice =
                 "let it ban by ringwall, for containers too (man ringwall, FAIL2BAN); until then "
                 "look there too when somebody cannot get in: fail2ban-client status"},
        {.id = "incus",
         .name = "Incus or LXD",
         .kind = RIVAL_WRITER,
         .processes = {"incusd", "lxd"},
         .units = {"incus.service", "lxd.service", "snap.lxd.daemon.service"},
         .files = {"/usr/libexec/incus/incusd", "/snap/bin/lxd", "/usr/sbin/lxd"},
         .why = "it filters and masquerades for its own bridges; ringwall judges what passes them, "
                "too",
         .advice = "let instances use this host's DHCP and DNS in 'inbound', and name their bridge "
                   "in a zone"},
        {.id = "kubernetes",
         .name = "Kubernetes",
         .kind = RIVAL_WRITER,
         .processes = {"kubelet", "k3s-server", "k3s-agent", "kube-proxy", "rke2"},
         .units = {"kubelet.service", "k3s.service", "k3s-agent.service", "rke2-server.service",
                   "rke2-agent.service"},
         .files = {"/usr/bin/kubelet", "/usr/local/bin/k3s"},
         .why = "it translates services' addresses and routes between pods itself; ringwall judges "
                "these connections, too",
         .advice = "begin with the ready policy 'k3s-node', which allows what nodes and pods need"},
        {.id = "libvirt",
         .name = "libvirt's networks",
         .kind = RIVAL_WRITER,
         .files = {"/usr/sbin/libvirtd", "/usr/sbin/virtnetworkd"},
         .look = look_at_libvirt,
         .why = "it filters and masquerades for its own bridges; ringwall judges what passes them, "
                "too",
         .advice = "begin with the ready policy 'libvirt-host', which allows what machines need of "
                   "this host"},
        {.id = "podman",
         .name = "Podman",
         .kind = RIVAL_WRITER,
         .processes = {"conmon"},
         .units = {"podman.service", "podman.socket", "podman-restart.service"},
         .files = {"/usr/bin/podman"},
         .why = "it translates published ports itself, past other firewalls' inbound rules; under "
                "ringwall a published port obeys 'inbound' like any other",
         .advice = "list in 'inbound' each published port that others may reach"},
        {.id = "sshguard",
         .name = "SSHGuard",
         .kind = RIVAL_WRITER,
         .processes = {"sshguard", "sshg-blocker"},
         .units = {"sshguard.service"},
         .files = {"/usr/sbin/sshguard", "/usr/bin/sshguard"},
         .why = "its bans are in a table of their own: who is banned is refused whatever the "
                "policy "
                "allows",
         .advice = "nothing, but look there too when somebody cannot get in"},
        {.id = "tailscale",
         .name = "Tailscale",
         .kind = RIVAL_WRITER,
         .processes = {"tailscaled"},
         .units = {"tailscaled.service"},
         .files = {"/usr/sbin/tailscaled", "/usr/bin/tailscaled"},
         .why = "it accepts everything from its own network, which does not bind ringwall: the "
                "policy has to allow it",
         .advice = "say in 'inbound' what the zone 'tailnet' may reach"},
};

static int set(const Tree *t, Rival *rival, RivalState state, const char *format, ...)
        _printf_(4, 5);

static int set(const Tree *t, Rival *rival, RivalState state, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        rival->state = state;
        rival->how = arena_vprintf(t->arena, format, ap);
        va_end(ap);
        return rival->how ? 0 : -ENOMEM;
}

/* What could not be looked at, because somebody forbids it, is not absent. */
static int set_unknown(const Tree *t, Rival *rival, const char *path, int error) {
        if (error != -EACCES && error != -EPERM)
                return error == -ENOMEM ? error : 0;
        return set(t, rival, RIVAL_UNKNOWN, "%s cannot be read: %s", path, strerror(-error));
}

static int look_at_ufw(const Tree *t, Rival *rival) {
        static const char path[] = "/etc/ufw/ufw.conf";
        int r = tree_assigns(t, path, "ENABLED", "yes");

        if (r < 0)
                return set_unknown(t, rival, path, r);
        return r > 0 ? set(t, rival, RIVAL_ENABLED, "ENABLED=yes in %s", path) : 0;
}

/* One line a table. The file is root's alone. */
static int look_at_legacy_tables(const Tree *t, Rival *rival) {
        static const char *const paths[] = {"/proc/self/net/ip_tables_names",
                                            "/proc/self/net/ip6_tables_names"};

        for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
                char *text;
                size_t size;
                int r = tree_read(t, tree_path(t, "%s", paths[i]), &text, &size);

                if (r == -ENOENT)
                        continue;
                if (r < 0)
                        return set_unknown(t, rival, paths[i], r);
                while (size > 0 && text[size - 1] == '\n')
                        text[--size] = '\0';
                for (char *p = text; *p; p++)
                        if (*p == '\n')
                                *p = ' ';
                tree_clean(text);
                if (size > 0)
                        return set(t, rival, RIVAL_ACTIVE, "%s lists: %s", paths[i], text);
        }
        return 0;
}

static int look_at_libvirt(const Tree *t, Rival *rival) {
        static const struct {
                const char *pattern;
                RivalState state;
        } signs[] = {
                {"/run/libvirt/network/*.xml", RIVAL_ACTIVE},
                {"/etc/libvirt/qemu/networks/autostart/*.xml", RIVAL_ENABLED},
        };

        for (size_t i = 0; i < ARRAY_SIZE(signs); i++) {
                const char *path;
                int r = tree_find(t, signs[i].pattern, &path);

                if (r < 0)
                        return r;
                if (path)
                        return set(t, rival, signs[i].state, "there is %s", path);
        }
        return 0;
}

static int look_for_unit(const Tree *t, const char *unit, Rival *rival) {
        const char *path;
        UnitStart start;
        int r = unit_read_start(t, unit, &start, &path);

        if (r < 0 || start != UNIT_ENABLED)
                return r;
        return set(t, rival, RIVAL_ENABLED, "the unit is enabled: %s", path);
}

/* The processes, looked through once for all of the table. */

static bool is_named(const Row *row, const char *comm) {
        for (size_t i = 0; i < NAMES_MAX && row->processes[i]; i++)
                if (streq(row->processes[i], comm))
                        return true;
        return false;
}

static int take_process(const Tree *t, pid_t pid, const char *comm, void *to) {
        Rival *rivals = to;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                HostProcess p;
                int r;

                if (rivals[i].state == RIVAL_ACTIVE || !is_named(&rows[i], comm))
                        continue;
                r = process_read(t, pid, &p);
                if (r < 0)
                        return r == -ENOMEM ? r : 0; /* it has gone */
                if (p.uid != 0 || process_is_elsewhere(t, pid))
                        return 0;
                return set(t, &rivals[i], RIVAL_ACTIVE, "it runs: process %d, %s", pid,
                           p.executable ? p.executable : comm);
        }
        return 0;
}

/* From what says little to what says much: a later one replaces what an earlier one found. */
static int look(const Tree *t, const Row *row, Rival *rival) {
        for (size_t i = 0; i < NAMES_MAX && row->files[i]; i++) {
                const char *path;
                int r = tree_find(t, row->files[i], &path);

                if (r == 0 && path && rival->state == RIVAL_ABSENT)
                        r = set(t, rival, RIVAL_INSTALLED, "there is %s", path);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < NAMES_MAX && row->units[i] && rival->state < RIVAL_ENABLED; i++) {
                int r = look_for_unit(t, row->units[i], rival);

                if (r < 0)
                        return r;
        }
        return row->look ? row->look(t, rival) : 0;
}

int rivals_read(const Tree *t, Rival **ret, size_t *ret_n) {
        Rival *rivals = arena_alloc_array(t->arena, ARRAY_SIZE(rows), sizeof(*rivals));
        int r = rivals ? 0 : -ENOMEM;

        for (size_t i = 0; i < ARRAY_SIZE(rows) && r == 0; i++) {
                rivals[i] = (Rival){.id = rows[i].id,
                                    .name = rows[i].name,
                                    .kind = rows[i].kind,
                                    .how = "no file, unit or process of it was found",
                                    .why = rows[i].why,
                                    .advice = rows[i].advice};
                r = look(t, &rows[i], &rivals[i]);
        }
        if (r == 0)
                r = process_walk(t, take_process, rivals);
        if (r < 0)
                return r;
        *ret = rivals;
        *ret_n = ARRAY_SIZE(rows);
        return 0;
}

const char *rival_kind_to_string(RivalKind kind) {
        static const char *const names[_RIVAL_KIND_MAX] = {
                [RIVAL_MANAGER] = "manager",
                [RIVAL_WRITER] = "writer",
        };

        return names[kind];
}

const char *rival_state_to_string(RivalState state) {
        static const char *const names[_RIVAL_STATE_MAX] = {
                [RIVAL_ABSENT] = "absent",   [RIVAL_INSTALLED] = "installed",
                [RIVAL_ENABLED] = "enabled", [RIVAL_ACTIVE] = "active",
                [RIVAL_UNKNOWN] = "unknown",
        };

        return names[state];
}
