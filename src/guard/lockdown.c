/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/lockdown.h"

#include <inttypes.h>

#include "guard/lockdown_file.h"
#include "host/sshd.h"
#include "nft/apply.h"
#include "nft/host.h"

/* A policy like any other, only that nobody wrote it: what is always so, and what refuses, is
 * lower's. */

static const char catalogue[] =
        "ringwall: 1\n"
        "zones:\n"
        "  containers: { interfaces: [docker0, \"br-*\", \"podman*\", \"cni-*\"] }\n"
        "  vms: { interfaces: [\"virbr*\"] }\n";

static bool is_everywhere(const ZonePart *p) {
        return p->any_interface && p->any_address;
}

static bool is_empty(const ZonePart *p) {
        return (!p->any_interface && p->interfaces.n_items == 0) ||
               (!p->any_address &&
                p->addresses[FAMILY_IPV4].n_items + p->addresses[FAMILY_IPV6].n_items == 0);
}

#define RESCUE_RULE "rescue"

/* The zone stands for what the policy's words need not be able to say: see put_rescue(). */
static void print_policy(FILE *f,
                         const ZonePart *rescue,
                         size_t n_rescue,
                         const uint16_t *ports,
                         size_t n_ports,
                         uint32_t mark) {
        bool anybody = false, everybody = false;

        for (size_t i = 0; i < n_rescue; i++) {
                anybody |= !is_empty(&rescue[i]);
                everybody |= is_everywhere(&rescue[i]);
        }
        fprintf(f,
                "ringwall: 1\n"
                "settings: { containers: closed, mark: 0x%08" PRIx32 " }\n"
                "zones: { rescue: 192.0.2.1 }\n",
                mark);
        if (!anybody || n_ports == 0)
                return;
        fputs("inbound: [{ name: " RESCUE_RULE ", allow: [", f);
        for (size_t i = 0; i < n_ports; i++)
                fprintf(f, "%s%u/tcp", i > 0 ? ", " : "", ports[i]);
        fprintf(f, "], from: %s }]\n", everybody ? "anywhere" : "rescue");
}

static int put_rescue(Policy *policy, Arena *a, const ZonePart *rescue, size_t n_rescue) {
        ZonePart *parts = NULL;
        size_t n = 0;

        for (size_t i = 0; i < n_rescue; i++)
                if (!is_empty(&rescue[i]) && !arena_append(a, parts, n, rescue[i]))
                        return -ENOMEM;
        for (size_t i = 0; i < policy->n_zones && n > 0; i++)
                if (streq(policy->zones[i]->name, "rescue")) {
                        policy->zones[i]->parts = parts;
                        policy->zones[i]->n_parts = n;
                }
        return 0;
}

int lockdown_compile(const ZonePart *rescue,
                     size_t n_rescue,
                     const uint16_t *ports,
                     size_t n_ports,
                     uint32_t mark,
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
        print_policy(f, rescue, n_rescue, ports, n_ports, mark);
        (void)fclose(f); /* fails only without memory, and then leaves text NULL */
        copy = text ? arena_strndup(a, text, size) : NULL;
        if (!copy)
                return -ENOMEM;
        r = policy_load_text(a, (Source){"lockdown", catalogue, sizeof(catalogue) - 1},
                             (Source){"lockdown", copy, size}, &policy, d);
        if (r == 0)
                r = put_rescue(policy, a, rescue, n_rescue);
        return r == 0 ? ruleset_compile(policy, features, NULL, a, ret, d) : r;
}

bool lockdown_admits(const Ruleset *rs) {
        for (size_t i = 0; i < rs->n_chains; i++)
                for (size_t j = 0; j < rs->chains[i]->n_rules; j++) {
                        const char *text = rs->chains[i]->rules[j].origin.text; /* with its line */

                        if (text && strstr(text, ": " RESCUE_RULE))
                                return true;
                }
        return false;
}

/* What a lockdown is made of. */
typedef struct Known {
        ZonePart *rescue;
        size_t n_rescue;
        uint16_t ports[LOCKDOWN_PORTS_MAX];
        size_t n_ports;
        uint32_t mark;
} Known;

static int add_peer(Known *k, Arena *a, const StorePeer *peer) {
        ZonePart part = {.any_interface = true};

        if (range_set_add(a, &part.addresses[peer->family], range_single(peer->address)) < 0 ||
            !arena_append(a, k->rescue, k->n_rescue, part))
                return -ENOMEM;
        return 0;
}

static void add_port(Known *k, uint16_t port) {
        for (size_t i = 0; i < k->n_ports; i++)
                if (k->ports[i] == port)
                        return;
        if (port > 0 && k->n_ports < LOCKDOWN_PORTS_MAX)
                k->ports[k->n_ports++] = port;
}

static void add_listeners(Known *k, Arena *a) {
        const Tree tree = {.arena = a, .root = ""};
        Sshd sshd = {0};

        if (sshd_read(&tree, &sshd) < 0)
                return;
        for (size_t i = 0; i < sshd.n_listeners; i++)
                add_port(k, sshd.listeners[i].socket.local_port);
}

static int find_known(Store *s, Arena *a, Known *ret) {
        Known k = {.mark = LOCKDOWN_MARK};
        Diag *quiet = diag_new(a);
        StoreContent content = {0};
        StoreEntry entry;
        StorePeer *peers = NULL;
        size_t n_peers = 0;

        if (!quiet)
                return -ENOMEM;
        if (s && store_read_sealed(s, a, &entry, &content, quiet) == 0) {
                k.rescue = content.settings.rescue;
                k.n_rescue = content.settings.n_rescue;
                k.mark = content.settings.mark;
        }
        if (s && store_read_rescue(s, a, &peers, &n_peers, quiet) < 0)
                return -ENOMEM;
        add_listeners(&k, a);
        for (size_t i = 0; i < n_peers; i++)
                add_port(&k, peers[i].port);
        if (k.n_ports == 0)
                add_port(&k, LOCKDOWN_SSH_PORT);
        if (k.n_rescue == 0)
                for (size_t i = 0; i < n_peers; i++)
                        if (add_peer(&k, a, &peers[i]) < 0)
                                return -ENOMEM;
        *ret = k;
        return 0;
}

int lockdown_make(Store *s, const KernelFeatures *features, Arena *a, Ruleset **ret, Diag *d) {
        Known k;
        /* what else is wrong already must not count as the lockdown's own mistake */
        Diag *own = diag_new(a);
        int r = own ? find_known(s, a, &k) : -ENOMEM;

        if (r == 0)
                r = lockdown_compile(k.rescue, k.n_rescue, k.ports, k.n_ports, k.mark, features, a,
                                     ret, own);
        for (size_t i = 0; r == -EBADMSG && i < own->n_messages; i++)
                (void)diag_error(d, own->messages[i].at, "%s", own->messages[i].text);
        return r;
}

static int write_batch(Store *s, const Ruleset *rs) {
        _cleanup_(nft_bytes_done) NftBytes batch = {0}, file = {0};
        LockdownHead head = {.magic = LOCKDOWN_FILE_MAGIC};
        int r = nft_write_batch(rs, &batch, &head.last);

        if (r < 0)
                return r;
        head.size = batch.size;
        head.sum = lockdown_sum(batch.data, batch.size);
        r = nft_bytes_append(&file, &head, sizeof(head));
        if (r == 0)
                r = nft_bytes_append(&file, batch.data, batch.size);
        return r == 0 ? store_write_lockdown(s, file.data, file.size) : r;
}

void lockdown_write(Store *s, const KernelFeatures *features, Diag *d) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Ruleset *rs;
        int r = a ? lockdown_make(s, features, a, &rs, d) : -ENOMEM;

        if (r == 0)
                r = nft_add_host(a, rs);
        if (r == 0)
                r = write_batch(s, rs);
        if (r < 0)
                diag_warning(d, (Span){0},
                             "the lockdown for ringwall-lockdown is not up to date: %s",
                             strerror(-r));
}
