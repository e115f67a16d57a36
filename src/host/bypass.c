/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/bypass_parts.h"

#include <fcntl.h>

#define CGROUP_BASE "/sys/fs/cgroup" /* or, beside version 1, a folder there */

/* By kind. */
static const struct Row {
        const char *id, *name;
        BypassEffect worst; /* that one could have which is not seen */
        int (*look)(Bypasses *to);
        ProgramKind program; /* where there is no look */
        bool is_process;
        const char *hint;
} rows[_BYPASS_KIND_MAX] = {
        [BYPASS_LEGACY] = {.id = "legacy-tables",
                           .name = "iptables' legacy tables",
                           .worst = BYPASS_LETS_IN,
                           .look = bypass_look_at_legacy,
                           .hint = "iptables-legacy-save and ip6tables-legacy-save show them; find "
                                   "out who loads them, and let that use iptables-nft"},
        [BYPASS_XDP] = {.id = "xdp",
                        .name = "XDP",
                        .worst = BYPASS_LETS_IN,
                        .program = PROGRAM_XDP,
                        .hint = "bpftool net shows who it is; ip link set INTERFACE xdp off"},
        [BYPASS_TC] = {.id = "tc",
                       .name = "tc filters",
                       .worst = BYPASS_LETS_IN,
                       .program = PROGRAM_TC,
                       .hint = "tc filter show dev INTERFACE ingress; bpftool net"},
        [BYPASS_SK_LOOKUP] = {.id = "sk-lookup",
                              .name = "sk_lookup",
                              .worst = BYPASS_LETS_IN,
                              .program = PROGRAM_SK_LOOKUP,
                              .hint = "bpftool link shows who it is"},
        [BYPASS_CGROUP] = {.id = "cgroup-bpf",
                           .name = "BPF of control groups",
                           .program = PROGRAM_CGROUP},
        [BYPASS_NETFILTER] = {.id = "netfilter-bpf",
                              .name = "BPF of netfilter",
                              .program = PROGRAM_NETFILTER},
        [BYPASS_LOCALNET] = {.id = "route-localnet",
                             .name = "route_localnet",
                             .look = bypass_look_at_localnet,
                             .hint = "sysctl net.ipv4.conf.INTERFACE.route_localnet=0 (all, too), "
                                     "unless kube-proxy needs it"},
        [BYPASS_FLOWTABLE] = {.id = "flowtable",
                              .name = "flowtables",
                              .program = PROGRAM_FLOWTABLE},
        [BYPASS_MACVLAN] = {.id = "macvlan",
                            .name = "macvlan",
                            .worst = BYPASS_LETS_IN,
                            .look = bypass_look_at_macvlan,
                            .hint = "put what needs a firewall on a bridge instead, or filter in "
                                    "its own network namespace"},
        [BYPASS_BRIDGE] = {.id = "bridge",
                           .name = "bridged networks",
                           .worst = BYPASS_LETS_IN,
                           .look = bypass_look_at_bridges,
                           .hint = "route to the machines instead of bridging, or: modprobe "
                                   "br_netfilter; sysctl net.bridge.bridge-nf-call-iptables=1 "
                                   "net.bridge.bridge-nf-call-ip6tables=1"},
        [BYPASS_IPVS] = {.id = "ipvs",
                         .name = "IPVS",
                         .worst = BYPASS_LETS_IN,
                         .look = bypass_look_at_ipvs,
                         .hint = "ipvsadm -Ln shows it; refuse the service's own address and port"},
        [BYPASS_DOCKER_PROXY] = {.id = "docker-proxy",
                                 .name = "docker-proxy",
                                 .worst = BYPASS_RELAYS,
                                 .is_process = true,
                                 .hint = "nothing, if whoever reaches the port shall reach the "
                                         "container; else do not allow it in 'inbound', or publish "
                                         "it at 127.0.0.1 alone"},
        [BYPASS_FORWARDER] = {.id = "port-forwarder",
                              .name = "forwarders of rootless containers",
                              .worst = BYPASS_RELAYS,
                              .is_process = true,
                              .hint = "publish the port at 127.0.0.1 alone, or refuse the port at "
                                      "which it listens"},
        [BYPASS_SSH] = {.id = "ssh-forward",
                        .name = "ports forwarded by ssh",
                        .worst = BYPASS_RELAYS,
                        .is_process = true,
                        .hint = "in sshd_config: GatewayPorts no, AllowTcpForwarding no; or refuse "
                                "the port at which it listens"},
        [BYPASS_RELAY] = {.id = "relay",
                          .name = "socat",
                          .worst = BYPASS_RELAYS,
                          .is_process = true,
                          .hint = "end it, or refuse the port at which it listens"},
        [BYPASS_TUNNEL] =
                {.id = "tunnel",
                 .name = "tunnels",
                 .worst = BYPASS_BY_SETTINGS,
                 .is_process = true,
                 .hint = "look at what its settings lead here, and ask for a login there"},
        [BYPASS_PROXY] = {.id = "proxy",
                          .name = "proxies",
                          .worst = BYPASS_BY_SETTINGS,
                          .is_process = true,
                          .hint = "look at what its settings pass on, and ask for a login there"},
};

const char *bypass_kind_to_string(BypassKind kind) {
        return rows[kind].id;
}

const char *bypass_kind_name(BypassKind kind) {
        return rows[kind].name;
}

const char *bypass_state_to_string(BypassState state) {
        static const char *const names[_BYPASS_STATE_MAX] = {
                [BYPASS_ABSENT] = "absent", [BYPASS_FOUND] = "found", [BYPASS_UNKNOWN] = "unknown"};

        return names[state];
}

const char *bypass_effect_to_string(BypassEffect effect) {
        static const char *const names[_BYPASS_EFFECT_MAX] = {
                [BYPASS_NO_EFFECT] = "none",
                [BYPASS_BY_SETTINGS] = "settings",
                [BYPASS_LETS_IN] = "lets-in",
                [BYPASS_RELAYS] = "relays",
        };

        return names[effect];
}

BypassMeaning bypass_judge(const Bypass *b, uint8_t proto, uint16_t port) {
        if (b->state == BYPASS_ABSENT)
                return BYPASS_MEANS_NOTHING;
        if (b->effect == BYPASS_LETS_IN)
                return BYPASS_MEANS_UNDECIDED;
        if (b->effect != BYPASS_RELAYS)
                return BYPASS_MEANS_NOTHING;
        if (b->state == BYPASS_UNKNOWN)
                return BYPASS_MEANS_UNDECIDED;
        if (b->proto != proto || b->port == port)
                return BYPASS_MEANS_NOTHING;
        if (b->target_port == 0)
                return BYPASS_MEANS_UNDECIDED;
        return b->target_port == port ? BYPASS_MEANS_REFUTED : BYPASS_MEANS_NOTHING;
}

/* ---- finding */

static size_t count(const Bypasses *all, BypassKind kind) {
        size_t n = 0;

        for (size_t i = 0; i < all->n_items; i++)
                n += all->items[i].kind == kind;
        return n;
}

int bypass_add(Bypasses *to, Bypass b) {
        char *what = b.what ? arena_strdup(to->tree->arena, b.what) : NULL;

        if (!what)
                return -ENOMEM;
        tree_clean(what);
        b.what = what;
        if (b.state == BYPASS_FOUND && b.effect != BYPASS_NO_EFFECT)
                b.hint = rows[b.kind].hint;
        if (!b.ipv4 && !b.ipv6)
                b.ipv4 = b.ipv6 = true;
        if (count(to, b.kind) >= BYPASSES_MAX)
                return 0;
        return arena_append(to->tree->arena, to->items, to->n_items, b) ? 0 : -ENOMEM;
}

int bypass_add_unknown(Bypasses *to, BypassKind kind, int error) {
        bool forbidden = error == -EPERM || error == -EACCES;

        return bypass_add(
                to, (Bypass){.kind = kind,
                             .state = BYPASS_UNKNOWN,
                             .effect = rows[kind].worst,
                             .what = arena_printf(to->tree->arena, "%s could not be looked at: %s",
                                                  rows[kind].name, strerror(-error)),
                             .hint = forbidden ? "run this as root" : "try again"});
}

static int compare(const void *a, const void *b) {
        const Bypass *x = a, *y = b;

        if (x->kind != y->kind)
                return x->kind < y->kind ? -1 : 1;
        if (x->port != y->port)
                return x->port < y->port ? -1 : 1;
        return strcmp(x->what, y->what);
}

int bypass_find(const Tree *t, const BypassInput *input, Bypass **ret, size_t *ret_n) {
        Bypasses all = {.tree = t, .input = input};
        int r = bypass_look_at_processes(&all);

        for (BypassKind kind = 0; kind < _BYPASS_KIND_MAX && r == 0; kind++) {
                if (rows[kind].look)
                        r = rows[kind].look(&all);
                else if (!rows[kind].is_process)
                        r = bypass_look_at_programs(&all, kind, rows[kind].program);
                if (r == 0 && count(&all, kind) == 0)
                        r = bypass_add(&all, (Bypass){.kind = kind, .what = rows[kind].name});
        }
        if (r < 0)
                return r;
        qsort(all.items, all.n_items, sizeof(*all.items), compare);
        *ret = all.items;
        *ret_n = all.n_items;
        return 0;
}

/* The folders of control groups in which programs may be attached: the root's and those of what
 * listens. */
static int list_cgroups(const Tree *t, const Holders *holders, const char ***ret, size_t *ret_n) {
        bool is_whole = tree_has(tree_path(t, CGROUP_BASE "/cgroup.controllers")) > 0;
        const char *base = tree_path(t, CGROUP_BASE "%s", is_whole ? "" : "/unified");
        const char **list = NULL;
        size_t n = 0;

        if (!base || !arena_append(t->arena, list, n, base))
                return -ENOMEM;
        for (size_t i = 0; i < holders->n_items && n < PROGRAM_CGROUPS_MAX; i++) {
                const char *path = holders->items[i].process->cgroup.path, *full;
                bool is_new = path && path[0] == '/' && path[1] && !strstr(path, "..");

                full = is_new ? arena_printf(t->arena, "%s%s", base, path) : NULL;
                if (is_new && !full)
                        return -ENOMEM;
                for (size_t j = 0; j < n && is_new; j++)
                        is_new = !streq(list[j], full);
                if (is_new && !arena_append(t->arena, list, n, full))
                        return -ENOMEM;
        }
        *ret = list;
        *ret_n = n;
        return 0;
}

/* ---- other network namespaces */

typedef struct Namespaces {
        BypassInput *input;
        const char **seen; /* "net:[4026531840]" */
        size_t n_seen;
        int own;
} Namespaces;

static int take_namespace(const Tree *t, pid_t pid, const char *comm, void *to) {
        const char *path = tree_path(t, "/proc/%d/ns/net", pid), *name;
        Namespaces *all = to;
        int fd, r = tree_read_link(t, path, &name);

        (void)comm;
        /* process 1 may be beyond root's reach, but is no container's of this host */
        if ((r == -EACCES || r == -EPERM) && pid != 1)
                all->input->foreign_error = r;
        if (r < 0)
                return r == -ENOMEM ? r : 0; /* it has gone */
        for (size_t i = 0; i < all->n_seen; i++)
                if (streq(all->seen[i], name))
                        return 0;
        if (all->n_seen >= BYPASSES_MAX)
                return 0;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return 0; /* likewise */
        r = arena_append(t->arena, all->seen, all->n_seen, name)
                    ? foreign_links_read(t->arena, fd, all->own, &all->input->foreign,
                                         &all->input->n_foreign)
                    : -ENOMEM;
        (void)close(fd); /* nothing was written through it */
        if (r < 0 && r != -ENOMEM)
                all->input->foreign_error = r;
        return r == -ENOMEM ? r : 0;
}

static int read_foreign(const Tree *t, BypassInput *input) {
        static const char path[] = "/proc/self/ns/net";
        _cleanup_close_ int own = open(path, O_RDONLY | O_CLOEXEC);
        Namespaces all = {.input = input, .own = own};
        const char *name;
        int r = own < 0 ? -errno : tree_read_link(t, path, &name);

        if (r < 0)
                return r;
        if (!arena_append(t->arena, all.seen, all.n_seen, name))
                return -ENOMEM;
        return process_walk_numbers(t, take_namespace, &all);
}

int bypass_read(const Tree *t, const Listening *listening, Bypass **ret, size_t *ret_n) {
        BypassInput input = {.listening = listening->sockets,
                             .holders = listening->holders,
                             .read_legacy = legacy_read};
        const char **cgroups;
        size_t n_cgroups;
        int r = routes_read(t->arena, &input.net);

        if (r == 0)
                r = sysctls_read(t, &input.settings);
        if (r == 0)
                r = list_cgroups(t, &input.holders, &cgroups, &n_cgroups);
        if (r == 0)
                r = programs_read(t->arena, &input.net, cgroups, n_cgroups, &input.programs);
        if (r == 0)
                r = read_foreign(t, &input);
        return r < 0 ? r : bypass_find(t, &input, ret, ret_n);
}
