/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/lockdown.h"

#include "host/sshd.h"

/* A policy like any other, only that nobody wrote it: what is always so, and what refuses, is
 * lower's. */

static const char catalogue[] =
        "ringwall: 1\n"
        "zones:\n"
        "  containers: { interfaces: [docker0, \"br-*\", \"podman*\", \"cni-*\"] }\n"
        "  vms: { interfaces: [\"virbr*\"] }\n";

static void print_ranges(FILE *f, Family family, const RangeSet *set, const char **separator) {
        char buf[ADDRESS_TEXT_MAX];

        for (size_t i = 0; i < set->n_items; i++) {
                fprintf(f, "%s\"%s\"", *separator, address_range_print(family, set->items[i], buf));
                *separator = ", ";
        }
}

static void print_interfaces(FILE *f, const RangeSet *set) {
        const char *separator = "";

        for (size_t i = 0; i < set->n_items; i++) {
                char name[17] = {0};
                unsigned int length;

                u128_to_bytes(set->items[i].low, name, 16);
                if (!range_is_single(set->items[i]) && range_is_prefix(set->items[i], 128, &length))
                        fprintf(f, "%s\"%.*s*\"", separator, (int)(length / 8), name);
                else
                        fprintf(f, "%s\"%s\"", separator, name);
                separator = ", ";
        }
}

static void print_zone(FILE *f, const ZonePart *p) {
        const char *separator = "";

        fputs("{ ", f);
        if (!p->any_interface) {
                fputs("interfaces: [", f);
                print_interfaces(f, &p->interfaces);
                fputs("]", f);
        }
        if (!p->any_address) {
                fprintf(f, "%saddresses: [", p->any_interface ? "" : ", ");
                for (Family family = 0; family < _FAMILY_MAX; family++)
                        print_ranges(f, family, &p->addresses[family], &separator);
                fputs("]", f);
        }
        fputs(" }\n", f);
}

static bool is_everywhere(const ZonePart *p) {
        return p->any_interface && p->any_address;
}

static bool is_empty(const ZonePart *p) {
        return !p->any_address &&
               p->addresses[FAMILY_IPV4].n_items + p->addresses[FAMILY_IPV6].n_items == 0;
}

static void print_policy(
        FILE *f, const ZonePart *rescue, size_t n_rescue, const uint16_t *ports, size_t n_ports) {
        fputs("ringwall: 1\nsettings: { containers: closed }\n", f);
        for (size_t i = 0, n = 0; i < n_rescue; i++)
                if (!is_everywhere(&rescue[i]) && !is_empty(&rescue[i])) {
                        fprintf(f, "%s  rescue-%zu: ", n++ == 0 ? "zones:\n" : "", i + 1);
                        print_zone(f, &rescue[i]);
                }
        for (size_t i = 0, n = 0; i < n_rescue; i++) {
                if (is_empty(&rescue[i]))
                        continue;
                fputs(n++ == 0 ? "inbound:\n" : "", f);
                fputs("  - { name: rescue, allow: [", f);
                for (size_t j = 0; j < n_ports; j++)
                        fprintf(f, "%s%u/tcp", j > 0 ? ", " : "", ports[j]);
                if (is_everywhere(&rescue[i]))
                        fputs("], from: anywhere }\n", f);
                else
                        fprintf(f, "], from: rescue-%zu }\n", i + 1);
        }
}

int lockdown_compile(const ZonePart *rescue,
                     size_t n_rescue,
                     const uint16_t *ports,
                     size_t n_ports,
                     const KernelFeatures *features,
                     Arena *a,
                     Ruleset **ret,
                     Diag *d) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);
        const char *copy;
        Policy *policy;
        int r;

        if (!f)
                return -ENOMEM;
        print_policy(f, rescue, n_rescue, ports, n_ports);
        (void)fclose(f); /* fails only without memory, and then leaves text NULL */
        copy = text ? arena_strndup(a, text, size) : NULL;
        if (!copy)
                return -ENOMEM;
        r = policy_load_text(a, (Source){"lockdown", catalogue, sizeof(catalogue) - 1},
                             (Source){"lockdown", copy, size}, &policy, d);
        return r == 0 ? ruleset_compile(policy, features, NULL, a, ret, d) : r;
}

/* What the sealed copy says, or who last confirmed. */
static int find_rescue(Store *s, Arena *a, ZonePart **ret, size_t *ret_n) {
        Diag *quiet = diag_new(a);
        StoreContent content = {0};
        StoreEntry entry;
        ZonePart *parts = NULL;
        StorePeer *peers;
        size_t n_peers = 0, n = 0;

        *ret = NULL;
        *ret_n = 0;
        if (!quiet)
                return -ENOMEM;
        if (store_read_sealed(s, a, &entry, &content, quiet) == 0 &&
            content.settings.n_rescue > 0) {
                *ret = content.settings.rescue;
                *ret_n = content.settings.n_rescue;
                return 0;
        }
        if (store_read_rescue(s, a, &peers, &n_peers, quiet) < 0)
                n_peers = 0;
        for (size_t i = 0; i < n_peers; i++) {
                ZonePart part = {.any_interface = true};

                if (range_set_add(a, &part.addresses[peers[i].family],
                                  range_single(peers[i].address)) < 0 ||
                    !arena_append(a, parts, n, part))
                        return -ENOMEM;
        }
        *ret = parts;
        *ret_n = n;
        return 0;
}

static size_t find_ports(Arena *a, uint16_t ports[LOCKDOWN_PORTS_MAX]) {
        const Tree tree = {.arena = a, .root = ""};
        Sshd sshd = {0};
        size_t n = 0;

        if (sshd_read(&tree, &sshd) < 0)
                sshd.n_listeners = 0;
        for (size_t i = 0; i < sshd.n_listeners && n < LOCKDOWN_PORTS_MAX; i++) {
                bool known = false;

                for (size_t j = 0; j < n; j++)
                        known |= ports[j] == sshd.listeners[i].socket.local_port;
                if (!known)
                        ports[n++] = sshd.listeners[i].socket.local_port;
        }
        /* at boot it does not listen yet */
        if (n == 0)
                ports[n++] = LOCKDOWN_SSH_PORT;
        return n;
}

int lockdown_make(Store *s, const KernelFeatures *features, Arena *a, Ruleset **ret, Diag *d) {
        uint16_t ports[LOCKDOWN_PORTS_MAX];
        size_t n_ports, n_rescue = 0;
        ZonePart *rescue;
        int r = find_rescue(s, a, &rescue, &n_rescue);

        if (r < 0)
                return r;
        n_ports = find_ports(a, ports);
        return lockdown_compile(rescue, n_rescue, ports, n_ports, features, a, ret, d);
}
