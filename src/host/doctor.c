/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/doctor.h"

#include <inttypes.h>

#include "host/starts.h"
#include "host/unit.h"

#define NAMES_SHOWN 5

const char *finding_kind_to_string(FindingKind kind) {
        static const char *const names[_FINDING_KIND_MAX] = {
                [FINDING_PROBLEM] = "problem",
                [FINDING_UNKNOWN] = "unknown",
                [FINDING_NOTE] = "note",
        };

        return names[kind];
}

/* A finding whose texts were printed into the arena is checked here, once for all of them. */
static int add(const Tree *t, Findings *to, Finding f) {
        if (!f.id || !f.what || !f.why || !f.advice ||
            !arena_append(t->arena, to->items, to->n_items, f))
                return -ENOMEM;
        to->n_kind[f.kind]++;
        return 0;
}

/* ---- other programs */

static const char *const state_words[_RIVAL_STATE_MAX] = {
        [RIVAL_ABSENT] = "is absent",      [RIVAL_INSTALLED] = "is installed",
        [RIVAL_ENABLED] = "is enabled",    [RIVAL_ACTIVE] = "is active",
        [RIVAL_UNKNOWN] = "may be active",
};

int doctor_examine_rivals(const Tree *t, const Rival *rivals, size_t n, Findings *ret) {
        for (size_t i = 0; i < n; i++) {
                const Rival *x = &rivals[i];
                int r;

                if (x->state == RIVAL_ABSENT || x->state == RIVAL_INSTALLED)
                        continue;
                r = add(t, ret,
                        (Finding){
                                .kind = x->state == RIVAL_UNKNOWN  ? FINDING_UNKNOWN
                                        : x->kind == RIVAL_MANAGER ? FINDING_PROBLEM
                                                                   : FINDING_NOTE,
                                .id = arena_printf(t->arena, "rival.%s", x->id),
                                .what = arena_printf(t->arena, "%s %s", x->name,
                                                     state_words[x->state]),
                                .seen = x->how,
                                .why = x->why,
                                .advice =
                                        x->state == RIVAL_UNKNOWN ? "run this as root" : x->advice,
                        });
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- the kernel */

static int add_unasked(const Tree *t, int error, Findings *ret) {
        if (error == -EPROTONOSUPPORT || error == -EAFNOSUPPORT)
                return add(t, ret,
                           (Finding){.kind = FINDING_PROBLEM,
                                     .id = "kernel.nftables",
                                     .what = "the kernel has no nftables",
                                     .why = "no policy can be loaded",
                                     .advice = "boot a kernel with nf_tables; in a container, ask "
                                               "who runs the host"});
        return add(t, ret,
                   (Finding){.kind = FINDING_UNKNOWN,
                             .id = "kernel",
                             .what = "what the kernel can do was not tried",
                             .seen = error == -EPERM ? NULL : strerror(-error),
                             .why = "trying takes CAP_NET_ADMIN, and changes nothing",
                             .advice = error == -EPERM ? "run this as root" : "try again"});
}

static bool is_there(const Ability *abilities, size_t n, const char *id) {
        for (size_t i = 0; i < n; i++)
                if (streq(abilities[i].id, id))
                        return abilities[i].is_there;
        return false;
}

/* Whether its lack says nothing that another one's has not said. */
static bool goes_without_saying(const Ability *abilities, size_t n, const Ability *x) {
        static const struct {
                const char *id, *since;
        } rows[] = {{"persist", "owner"}, {"per-source", "limit"}, {"fib-in-filter", "fib"}};

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (streq(x->id, rows[i].id))
                        return !is_there(abilities, n, rows[i].since);
        return !streq(x->id, "nftables") && !is_there(abilities, n, "nftables");
}

int doctor_examine_kernel(
        const Tree *t, const Ability *abilities, size_t n, int error, Findings *ret) {
        if (error < 0)
                return add_unasked(t, error, ret);
        for (size_t i = 0; i < n; i++) {
                const Ability *x = &abilities[i];
                int r;

                if (x->is_there || goes_without_saying(abilities, n, x))
                        continue;
                r = add(t, ret,
                        (Finding){
                                .kind = x->is_needed ? FINDING_PROBLEM : FINDING_NOTE,
                                .id = arena_printf(t->arena, "kernel.%s", x->id),
                                .what = arena_printf(t->arena, "the kernel lacks %s", x->name),
                                .why = x->lack,
                                .advice = arena_printf(t->arena,
                                                       "if you want it: a kernel with it (%s)",
                                                       x->advice),
                        });
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- the kernel's settings */

/* Names of interfaces in a row: "eth0, eth1 and 3 more"; NULL if there is none. */
typedef struct Names {
        const char *text;
        size_t n;
} Names;

static int names_add(const Tree *t, Names *names, const char *name) {
        if (names->n++ >= NAMES_SHOWN)
                return 0;
        names->text = names->text ? arena_printf(t->arena, "%s, %s", names->text, name)
                                  : arena_strdup(t->arena, name);
        return names->text ? 0 : -ENOMEM;
}

static int names_end(const Tree *t, Names *names) {
        if (names->n <= NAMES_SHOWN)
                return 0;
        names->text =
                arena_printf(t->arena, "%s and %zu more", names->text, names->n - NAMES_SHOWN);
        return names->text ? 0 : -ENOMEM;
}

typedef struct Subject {
        const Tree *tree;
        const Sysctls *values;
        const HostNet *net;
        const Rival *rivals;
        size_t n_rivals;
} Subject;

/* The interfaces of which a setting (the offset of an int in SysctlInterface) has that value. */
static int find_set(const Subject *s, size_t setting, int value, Names *ret) {
        int r = 0;

        *ret = (Names){0};
        for (size_t i = 0; i < s->values->n_interfaces && r == 0; i++) {
                const SysctlInterface *x = &s->values->interfaces[i];

                if (*(const int *)(const void *)((const char *)x + setting) == value)
                        r = names_add(s->tree, ret, x->name);
        }
        return r < 0 ? r : names_end(s->tree, ret);
}

static int find_bridges(const Subject *s, Names *ret) {
        int r = 0;

        *ret = (Names){0};
        for (size_t i = 0; i < s->net->n_links && r == 0; i++)
                if (streq(s->net->links[i].kind, "bridge"))
                        r = names_add(s->tree, ret, s->net->links[i].name);
        return r < 0 ? r : names_end(s->tree, ret);
}

static bool has_rival(const Subject *s, const char *id) {
        for (size_t i = 0; i < s->n_rivals; i++)
                if (streq(s->rivals[i].id, id))
                        return s->rivals[i].state == RIVAL_ENABLED ||
                               s->rivals[i].state == RIVAL_ACTIVE;
        return false;
}

static bool has_networks_behind(const Subject *s) {
        static const char *const ids[] = {"docker", "podman", "kubernetes", "libvirt", "incus"};

        for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
                if (has_rival(s, ids[i]))
                        return true;
        return false;
}

/* IPv4 asks the interface on which a packet arrives, and IPv6 the host as a whole. */
static bool forwards(const Sysctls *values) {
        for (size_t i = 0; i < values->n_interfaces; i++)
                if (values->interfaces[i].forwarding == 1)
                        return true;
        return values->forwarding == 1;
}

static int examine_forwarding(const Subject *s, Findings *ret) {
        bool v4 = forwards(s->values), v6 = s->values->forwarding6 == 1;
        const char *which = v4 && v6 ? "IPv4 and IPv6" : v4 ? "IPv4" : "IPv6";

        if (v4 || v6)
                return add(
                        s->tree, ret,
                        (Finding){.kind = FINDING_NOTE,
                                  .id = "forwarding",
                                  .what = arena_printf(s->tree->arena,
                                                       "this host passes packets on, of %s", which),
                                  .why = "what only passes through is judged by 'routed', and "
                                         "refused unless a rule allows it; containers' own "
                                         "connections are allowed from the start",
                                  .advice = has_networks_behind(s)
                                                    ? "nothing: containers or machines need it"
                                                    : "say in 'routed' what may pass; if this "
                                                      "host is no router: sysctl "
                                                      "net.ipv4.ip_forward=0 and "
                                                      "net.ipv6.conf.all.forwarding=0"});
        return add(
                s->tree, ret,
                (Finding){.kind = FINDING_NOTE,
                          .id = "forwarding",
                          .what = "this host passes no packets on",
                          .why = "until it does, rules in 'routed' and 'nat' have no effect, and "
                                 "containers and machines behind bridges reach nothing outside",
                          .advice = "nothing, if it is no router and runs no containers; else: "
                                    "sysctl net.ipv4.ip_forward=1 and "
                                    "net.ipv6.conf.all.forwarding=1"});
}

static int examine_bridges(const Subject *s, Findings *ret) {
        bool called = s->values->bridge_calls == 1 || s->values->bridge_calls6 == 1;
        Names names;
        int r = find_bridges(s, &names);

        if (r < 0 || !names.text)
                return r;
        return add(
                s->tree, ret,
                (Finding){.kind = FINDING_NOTE,
                          .id = "bridges",
                          .what = arena_printf(s->tree->arena, "there are bridges: %s", names.text),
                          .seen = called ? "net.bridge.bridge-nf-call-iptables is on" : NULL,
                          .why = called ? "the kernel shows what stays within a bridge to the "
                                          "rules, too; ringwall knows such frames by the "
                                          "bridges and ports that it listed"
                                        : "what stays within a bridge, from one port to "
                                          "another, passes no rule: containers on one bridge "
                                          "reach each other whatever the policy says",
                          .advice = called ? "nothing: ringwalld follows them as they change; only "
                                             "'ringwall load' has to be run again then"
                                           : "put what must not reach each other on different "
                                             "bridges"});
}

/* By the names of the catalogue's zones `containers` and `vms`. */
static bool is_in_zone(const char *bridge) {
        static const char *const names[] = {"br-", "podman", "cni-", "virbr"};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (startswith(bridge, names[i]))
                        return true;
        return streq(bridge, "docker0");
}

/* Whether containers alone may be behind it. */
static bool has_device(const HostNet *net, const HostLink *bridge) {
        for (size_t i = 0; i < net->n_links; i++)
                if (net->links[i].master == bridge->index && !streq(net->links[i].kind, "veth"))
                        return true;
        return false;
}

/* An engine gives a bridge any name that it is told. */
static int examine_bridge_names(const Subject *s, Findings *ret) {
        Names names = {0};
        int r = 0;

        for (size_t i = 0; i < s->net->n_links && r == 0; i++) {
                const HostLink *link = &s->net->links[i];

                if (streq(link->kind, "bridge") && !is_in_zone(link->name) &&
                    !has_device(s->net, link))
                        r = names_add(s->tree, &names, link->name);
        }
        if (r == 0)
                r = names_end(s->tree, &names);
        if (r < 0 || !names.text || !(has_rival(s, "docker") || has_rival(s, "podman")))
                return r;
        return add(
                s->tree, ret,
                (Finding){
                        .kind = FINDING_NOTE,
                        .id = "bridge-names",
                        .what = arena_printf(s->tree->arena,
                                             "bridges of other names than containers' have: %s",
                                             names.text),
                        .why = "the zones containers and vms know bridges by their names: what is "
                               "behind another one reaches nothing outside, and is not covered "
                               "by what 'protected' says of containers' networks",
                        .advice = "if containers are behind them, and no zone of the policy names "
                                  "them, add them there to: zones: { containers: { interfaces: "
                                  "[docker0, \"br-*\"] } }"});
}

static int examine_rp_filter(const Subject *s, Findings *ret) {
        uint32_t first = 0;
        bool several = false;
        Names names;
        int r;

        for (size_t i = 0; i < s->net->n_routes; i++) {
                const HostRoute *route = &s->net->routes[i];

                if (!route->is_default || route->family != FAMILY_IPV4)
                        continue;
                several = several || (first != 0 && first != route->link);
                first = route->link;
        }
        r = several ? find_set(s, offsetof(SysctlInterface, rp_filter), 1, &names) : 0;
        if (r < 0 || !several || !names.text)
                return r;
        return add(
                s->tree, ret,
                (Finding){.kind = FINDING_PROBLEM,
                          .id = "rp-filter",
                          .what = "several default routes, and a strict reverse-path filter",
                          .seen = arena_printf(s->tree->arena,
                                               "net.ipv4.conf.*.rp_filter is 1 for %s", names.text),
                          .why = "what arrives at one interface while its way back is another "
                                 "is lost before any rule, and no answer of ringwall's can "
                                 "tell of it",
                          .advice = "sysctl net.ipv4.conf.INTERFACE.rp_filter=2 (loose)"});
}

static int examine_accept_local(const Subject *s, Findings *ret) {
        Names names;
        int r = find_set(s, offsetof(SysctlInterface, accept_local), 1, &names);

        if (r < 0 || !names.text)
                return r;
        return add(s->tree, ret,
                   (Finding){.kind = FINDING_NOTE,
                             .id = "accept-local",
                             .what = "packets from outside may bear this host's own addresses",
                             .seen = arena_printf(s->tree->arena,
                                                  "net.ipv4.conf.*.accept_local is 1 for %s",
                                                  names.text),
                             .why = "programs that trust the host's own address can be deceived; "
                                    "ringwall refuses such packets, at the cost of a look-up each",
                             .advice = "sysctl net.ipv4.conf.INTERFACE.accept_local=0, unless a "
                                       "load balancer here needs it"});
}

static int examine_route_localnet(const Subject *s, Findings *ret) {
        bool is_needed = has_rival(s, "kubernetes");
        Names names;
        int r = find_set(s, offsetof(SysctlInterface, route_localnet), 1, &names);

        if (r < 0 || !names.text)
                return r;
        return add(s->tree, ret,
                   (Finding){.kind = is_needed ? FINDING_NOTE : FINDING_PROBLEM,
                             .id = "route-localnet",
                             .what = "neighbours can send packets to 127.0.0.1 of this host",
                             .seen = arena_printf(s->tree->arena,
                                                  "net.ipv4.conf.*.route_localnet is 1 for %s",
                                                  names.text),
                             .why = "services that listen on loopback, and so were meant for this "
                                    "host alone, can be reached from the same network; ringwall "
                                    "refuses such packets while a policy is in force",
                             .advice = is_needed ? "nothing: kube-proxy needs it for node ports"
                                                 : "sysctl net.ipv4.conf.INTERFACE."
                                                   "route_localnet=0 (all, too)"});
}

int doctor_examine_settings(const Tree *t,
                            const Sysctls *settings,
                            const HostNet *net,
                            const Rival *rivals,
                            size_t n_rivals,
                            Findings *ret) {
        static int (*const parts[])(const Subject *s, Findings *ret) = {
                examine_forwarding, examine_bridges,      examine_bridge_names,
                examine_rp_filter,  examine_accept_local, examine_route_localnet,
        };
        Subject s = {
                .tree = t, .values = settings, .net = net, .rivals = rivals, .n_rivals = n_rivals};

        for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
                int r = parts[i](&s, ret);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- what stands in front */

/* How the machine's firmware names who runs it (cloud-init's DataSources know them the same way),
 * and what that one calls its own firewall. */
// clang-format off
static const struct Provider {
        const char *file, *prefix, *name, *firewall;
} providers[] = {
        {"chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77", "Azure", "network security groups"},
        {"chassis_asset_tag", "OracleCloud.com", "Oracle Cloud", "security lists and network security groups"},
        {"product_name", "Alibaba Cloud", "Alibaba Cloud", "security groups"},
        {"product_name", "Google Compute Engine", "Google Cloud", "VPC firewall rules"},
        {"product_name", "OpenStack", "an OpenStack cloud", "security groups"},
        {"sys_vendor", "Akamai", "Akamai (Linode)", "Cloud Firewalls"},
        {"sys_vendor", "Amazon EC2", "AWS", "security groups and network ACLs"},
        {"sys_vendor", "DigitalOcean", "DigitalOcean", "Cloud Firewalls"},
        {"sys_vendor", "Exoscale", "Exoscale", "security groups"},
        {"sys_vendor", "Hetzner", "Hetzner", "Firewalls"},
        {"sys_vendor", "Linode", "Akamai (Linode)", "Cloud Firewalls"},
        {"sys_vendor", "OpenStack", "an OpenStack cloud", "security groups"},
        {"sys_vendor", "Scaleway", "Scaleway", "security groups"},
        {"sys_vendor", "UpCloud", "UpCloud", "Firewall"},
        {"sys_vendor", "Vultr", "Vultr", "Firewall Groups"},
};
// clang-format on

static const struct Provider *find_provider(const Tree *t) {
        for (size_t i = 0; i < ARRAY_SIZE(providers); i++) {
                size_t size;
                char *text;

                if (tree_read(t, tree_path(t, "/sys/class/dmi/id/%s", providers[i].file), &text,
                              &size) == 0 &&
                    startswith(text, providers[i].prefix))
                        return &providers[i];
        }
        return NULL;
}

int doctor_examine_surroundings(const Tree *t, Findings *ret) {
        const struct Provider *p = find_provider(t);

        return add(t, ret,
                   (Finding){.kind = FINDING_NOTE,
                             .id = "in-front",
                             .what = p ? arena_printf(t->arena,
                                                      "this host runs at %s, which has a firewall "
                                                      "of its own (%s)",
                                                      p->name, p->firewall)
                                       : "another firewall may stand in front of this host: a "
                                         "router's, or its provider's",
                             .why = "a connection must pass both, and ringwall can see and change "
                                    "this host's alone",
                             .advice =
                                     "let it through there, too, what the policy allows; and keep "
                                     "it closed to the rest, so that one mistake is not enough"});
}

/* ---- the next boot */

int doctor_examine_boot(const Tree *t, Findings *ret) {
        UnitStart start;
        const char *path;
        int r = unit_read_start(t, UNIT_DAEMON, &start, &path);

        if (r < 0 || start == UNIT_MISSING || start == UNIT_ENABLED)
                return r;
        return add(t, ret,
                   (Finding){.kind = FINDING_PROBLEM,
                             .id = "boot",
                             .what = arena_printf(t->arena,
                                                  "ringwalld does not start when this host boots: "
                                                  "its unit is %s",
                                                  start == UNIT_MASKED ? "masked" : "disabled"),
                             .seen = start == UNIT_MASKED
                                             ? arena_printf(t->arena, "%s leads to /dev/null", path)
                                             : "no target of systemd's wants " UNIT_DAEMON,
                             .why = "after the next boot nothing is in force until somebody starts "
                                    "it",
                             .advice = start == UNIT_MASKED
                                               ? "systemctl unmask ringwalld && systemctl enable "
                                                 "ringwalld"
                                               : "systemctl enable ringwalld"});
}

/* ---- the daemon */

static int take_daemon(const Tree *t, pid_t pid, const char *comm, void *to) {
        bool *runs = to;

        *runs |= streq(comm, "ringwalld") && !process_is_elsewhere(t, pid);
        return 0;
}

static int examine_starts(const Tree *t, Findings *ret) {
        const char *path = tree_path(t, STARTS_FOLDER "/" STARTS_FILE);
        Starts s;

        if (!path)
                return -ENOMEM;
        if (!starts_read(path, &s) || !starts_are_late(&s, starts_now()))
                return 0;
        return add(t, ret,
                   (Finding){.kind = FINDING_PROBLEM,
                             .id = "daemon.restarts",
                             .what = "ringwalld ends again and again",
                             .seen = arena_printf(t->arena,
                                                  "it was started more than %d times within %d s, "
                                                  "and had to wait %" PRIu64 " time%s",
                                                  STARTS_AT_ONCE, (int)(STARTS_CALM_USEC / 1000000),
                                                  s.n_late, s.n_late == 1 ? "" : "s"),
                             .why = "systemd starts it every few seconds until it stays; meanwhile "
                                    "nobody watches over the rules, and nothing can be applied, "
                                    "confirmed or banned",
                             .advice = "journalctl -u ringwalld says what ends it"});
}

int doctor_examine_daemon(const Tree *t, Findings *ret) {
        UnitStart start;
        const char *path;
        bool runs = false;
        int r = unit_read_start(t, UNIT_DAEMON, &start, &path);

        if (r < 0 || start == UNIT_MISSING)
                return r;
        r = examine_starts(t, ret);
        if (r < 0)
                return r;
        r = process_walk(t, take_daemon, &runs);
        if (r < 0 || runs)
                return r == -ENOMEM ? r : 0;
        return add(t, ret,
                   (Finding){.kind = FINDING_PROBLEM,
                             .id = "daemon",
                             .what = "ringwalld does not run",
                             .why = "the rules that are in force stay so, but nobody watches over "
                                    "them, and nothing can be applied, confirmed or banned",
                             .advice = "systemctl start ringwalld; if it does not stay: "
                                       "journalctl -u ringwalld"});
}
