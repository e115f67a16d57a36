/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "base/text.h"
#include "host/bypass_parts.h"

/* ---- iptables' legacy tables */

static int add_legacy(Bypasses *to, Family family, const char *name) {
        Bypass b = {.kind = BYPASS_LEGACY,
                    .state = BYPASS_FOUND,
                    .ipv4 = family == FAMILY_IPV4,
                    .ipv6 = family == FAMILY_IPV6};
        const char *of = family_to_string(family);
        LegacyTable table;
        int r = to->input->read_legacy(to->tree->arena, family, name, &table);

        if (r == -ENOENT)
                return 0; /* it has gone */
        if (r == -ENOMEM)
                return r;
        if (r == 0 && !table.target && !table.may_refuse)
                return 0; /* as whoever asks for a table leaves it: all passes */
        b.effect = r < 0 || table.target ? BYPASS_LETS_IN : BYPASS_NO_EFFECT;
        if (r < 0) {
                b.state = BYPASS_UNKNOWN;
                b.hint = "run this as root";
                b.what = arena_printf(to->tree->arena,
                                      "the legacy table %s of %s could not be read: %s", name, of,
                                      strerror(-r));
        } else if (table.target) {
                b.what = arena_printf(to->tree->arena,
                                      "the legacy table %s of %s uses %s, which may change where "
                                      "packets go before the rules see them",
                                      name, of, table.target);
        } else {
                b.what = arena_printf(to->tree->arena,
                                      "the legacy table %s of %s refuses at most (rules: %zu)",
                                      name, of, table.n_rules);
        }
        return bypass_add(to, b);
}

int bypass_look_at_legacy(Bypasses *to) {
        static const struct {
                const char *path;
                Family family; /* invalid: ARP, which no rule of the policy is about */
        } files[] = {{"/proc/self/net/ip_tables_names", FAMILY_IPV4},
                     {"/proc/self/net/ip6_tables_names", FAMILY_IPV6},
                     {"/proc/self/net/arp_tables_names", _FAMILY_INVALID}};
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(files) && r == 0; i++) {
                char *text, *name;
                size_t size;

                r = tree_read(to->tree, tree_path(to->tree, "%s", files[i].path), &text, &size);
                if (r == -ENOENT)
                        r = 0;
                else if (r < 0 && r != -ENOMEM)
                        return bypass_add_unknown(to, BYPASS_LEGACY, r);
                else
                        while (r == 0 && (name = strsep(&text, "\n")) != NULL)
                                if (*name && files[i].family == _FAMILY_INVALID)
                                        r = bypass_add(
                                                to,
                                                (Bypass){.kind = BYPASS_LEGACY,
                                                         .state = BYPASS_FOUND,
                                                         .what = "a legacy table of arptables"});
                                else if (*name)
                                        r = add_legacy(to, files[i].family, name);
        }
        return r;
}

/* ---- programs and filters */

static Bypass describe(const Bypasses *to, BypassKind kind, const Program *p) {
        Bypass b = {.kind = kind, .state = BYPASS_FOUND, .effect = BYPASS_LETS_IN};
        Arena *a = to->tree->arena;

        switch (p->kind) {
        case PROGRAM_XDP:
                b.interface = p->link;
                b.what =
                        arena_printf(a,
                                     "a BPF program (XDP) at %s sees packets before the rules, and "
                                     "may send them past",
                                     p->link);
                break;
        case PROGRAM_TC:
                b.interface = p->link;
                b.effect = p->is_plain || p->is_egress ? BYPASS_NO_EFFECT : BYPASS_LETS_IN;
                b.what = arena_printf(a, "a filter of tc (%s) at %s, %s%s", p->name, p->link,
                                      p->is_egress ? "for what leaves" : "for what comes in",
                                      b.effect == BYPASS_LETS_IN
                                              ? ", may send packets past the rules"
                                      : p->is_egress ? ""
                                                     : ": it refuses at most");
                break;
        case PROGRAM_SK_LOOKUP:
                b.what = "a BPF program (sk_lookup) gives connections to sockets of other ports "
                         "than they asked for, which is the port that the rules see";
                break;
        case PROGRAM_CGROUP:
                b.effect = BYPASS_NO_EFFECT;
                b.what =
                        arena_printf(a, "BPF programs at the control group %s: they refuse at most",
                                     p->cgroup ? p->cgroup : "?");
                break;
        case PROGRAM_NETFILTER:
                b.effect = BYPASS_NO_EFFECT;
                b.what = "a BPF program of netfilter, here or in another network namespace: it "
                         "refuses at most";
                break;
        case PROGRAM_FLOWTABLE:
                b.effect = BYPASS_NO_EFFECT;
                b.what = arena_printf(a,
                                      "the flowtable %s: what the rules let pass once goes on past "
                                      "the rules of what is routed",
                                      p->name);
                break;
        case _PROGRAM_KIND_MAX:
                break;
        }
        return b;
}

int bypass_look_at_programs(Bypasses *to, BypassKind kind, ProgramKind program) {
        const Programs *all = &to->input->programs;
        const Program *last = NULL;
        int r = all->error[program] < 0 ? bypass_add_unknown(to, kind, all->error[program]) : 0;

        for (size_t i = 0; i < all->n_items && r == 0; i++) {
                const Program *p = &all->items[i];

                if (p->kind != program)
                        continue;
                /* a hundred filters at an interface are told of once */
                if (last && streq(last->link, p->link) && streq(last->name, p->name) &&
                    !p->cgroup && last->is_egress == p->is_egress && last->is_plain == p->is_plain)
                        continue;
                last = p;
                r = bypass_add(to, describe(to, kind, p));
        }
        return r;
}

/* ---- settings and links */

int bypass_look_at_localnet(Bypasses *to) {
        const Sysctls *s = &to->input->settings;
        int r = 0;

        for (size_t i = 0; i < s->n_interfaces && r == 0; i++)
                if (s->interfaces[i].route_localnet == 1)
                        r = bypass_add(to, (Bypass){.kind = BYPASS_LOCALNET,
                                                    .state = BYPASS_FOUND,
                                                    .interface = s->interfaces[i].name,
                                                    .what = arena_printf(
                                                            to->tree->arena,
                                                            "route_localnet at %s: packets to "
                                                            "127.0.0.0/8 come in, and meet the "
                                                            "rules like any other",
                                                            s->interfaces[i].name)});
        return r;
}

static const char *name_of(const Bypasses *to, uint32_t index) {
        const HostLink *link = routes_find_link(&to->input->net, index);

        return link ? link->name : "?";
}

static int look_at_foreign(Bypasses *to) {
        const BypassInput *in = to->input;
        int r = in->foreign_error < 0 ? bypass_add_unknown(to, BYPASS_MACVLAN, in->foreign_error)
                                      : 0;

        for (size_t i = 0; i < in->n_foreign && r == 0; i++) {
                const ForeignLink *x = &in->foreign[i];
                const char *parent = name_of(to, x->parent);

                r = bypass_add(
                        to, (Bypass){.kind = BYPASS_MACVLAN,
                                     .state = BYPASS_FOUND,
                                     .effect = BYPASS_LETS_IN,
                                     .is_behind = true,
                                     .interface = parent,
                                     .what = arena_printf(to->tree->arena,
                                                          "%s (%s), in another network namespace, "
                                                          "takes packets from %s past this host's "
                                                          "rules",
                                                          x->name, x->kind, parent)});
        }
        return r;
}

int bypass_look_at_macvlan(Bypasses *to) {
        static const char *const kinds[] = {"macvlan", "macvtap", "ipvlan", "ipvtap"};
        const HostNet *net = &to->input->net;
        int r = look_at_foreign(to);

        for (size_t i = 0; i < net->n_links; i++)
                for (size_t j = 0; j < ARRAY_SIZE(kinds) && r == 0; j++) {
                        const HostLink *x = &net->links[i];
                        /* one without a program at its other end has this host's own stack */
                        bool is_tap = strstr(kinds[j], "tap") != NULL;

                        if (!streq(x->kind, kinds[j]))
                                continue;
                        r = bypass_add(
                                to, (Bypass){.kind = BYPASS_MACVLAN,
                                             .state = BYPASS_FOUND,
                                             .effect = is_tap ? BYPASS_LETS_IN : BYPASS_NO_EFFECT,
                                             .is_behind = is_tap,
                                             .what = arena_printf(
                                                     to->tree->arena,
                                                     is_tap ? "%s (%s): a machine gets its packets "
                                                              "past this host's rules"
                                                            : "%s (%s): what comes in by it meets "
                                                              "the rules",
                                                     x->name, x->kind)});
                }
        return r;
}

/* Whether such a port of a bridge leads out of this host. */
static bool leads_outside(const HostLink *x) {
        static const char *const kinds[] = {"",      "vlan",   "bond",   "team",
                                            "vxlan", "geneve", "gretap", "ip6gretap"};

        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (streq(x->kind, kinds[i]))
                        return !x->is_loopback;
        return false;
}

static bool has_other_port(const HostNet *net, const HostLink *port) {
        for (size_t i = 0; i < net->n_links; i++)
                if (net->links[i].master == port->master && net->links[i].index != port->index)
                        return true;
        return false;
}

int bypass_look_at_bridges(Bypasses *to) {
        const Sysctls *s = &to->input->settings;
        const HostNet *net = &to->input->net;
        bool v4 = s->bridge_calls != 1, v6 = s->bridge_calls6 != 1;
        int r = 0;

        for (size_t i = 0; i < net->n_links && r == 0 && (v4 || v6); i++) {
                const HostLink *x = &net->links[i], *bridge = routes_find_link(net, x->master);

                if (!bridge || !streq(bridge->kind, "bridge") || !leads_outside(x) ||
                    !has_other_port(net, x))
                        continue;
                r = bypass_add(to, (Bypass){.kind = BYPASS_BRIDGE,
                                            .state = BYPASS_FOUND,
                                            .effect = BYPASS_LETS_IN,
                                            .is_behind = true,
                                            .ipv4 = v4,
                                            .ipv6 = v6,
                                            .interface = x->name,
                                            .what = arena_printf(
                                                    to->tree->arena,
                                                    "%s is a port of the bridge %s: what passes "
                                                    "from it to the other ports meets no rule",
                                                    x->name, name_of(to, x->master))});
        }
        return r;
}

/* ---- IPVS */

/* ADDRESS:PORT, both in hexadecimal digits; IPv6 as [ADDRESS]:PORT. */
static uint16_t port_of(const char *word) {
        const char *colon = word ? strrchr(word, ':') : NULL;
        char *end;
        unsigned long port = colon ? strtoul(colon + 1, &end, 16) : 0;

        return colon && end != colon + 1 && *end == '\0' && port <= UINT16_MAX ? (uint16_t)port : 0;
}

/* "TCP  0A000001:0050 rr" is a service, "  -> 0A000002:2CAA      Masq    1 ..." a server of it. */
int bypass_look_at_ipvs(Bypasses *to) {
        const char *path = tree_path(to->tree, "/proc/self/net/ip_vs");
        Bypass b = {.kind = BYPASS_IPVS, .state = BYPASS_FOUND};
        char *text, *line;
        size_t size;
        int r = tree_read(to->tree, path, &text, &size);

        if (r < 0)
                return r == -ENOENT ? 0 : r == -ENOMEM ? r : bypass_add_unknown(to, BYPASS_IPVS, r);
        while (r == 0 && (line = strsep(&text, "\n")) != NULL) {
                char *word = strsep(&line, " ");

                while (line && *line == ' ')
                        line++;
                if (streq(word, "TCP") || streq(word, "UDP")) {
                        b.proto = streq(word, "TCP") ? IPPROTO_TCP : IPPROTO_UDP;
                        b.port = port_of(strsep(&line, " "));
                } else if (b.proto != 0 && line && startswith(line, "-> ")) {
                        line += strlen("-> ");
                        b.target_port = port_of(strsep(&line, " "));
                        b.effect = BYPASS_RELAYS;
                        b.what = arena_printf(
                                to->tree->arena, "IPVS passes port %u/%s on to port %u of a server",
                                b.port, b.proto == IPPROTO_TCP ? "tcp" : "udp", b.target_port);
                        r = bypass_add(to, b);
                } else if (startswith(word, "FWM")) {
                        b.proto = 0;
                        r = bypass_add(to, (Bypass){.kind = BYPASS_IPVS,
                                                    .state = BYPASS_FOUND,
                                                    .effect = BYPASS_LETS_IN,
                                                    .is_behind = true,
                                                    .what = "IPVS passes marked packets on"});
                }
        }
        return r;
}
