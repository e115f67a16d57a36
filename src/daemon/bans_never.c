/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <grp.h>
#include <pwd.h>

#include "daemon/bans.h"
#include "host/neighbours.h"
#include "nft/networks.h"
#include "nft/routes.h"

/* Who may never be banned, as it is now: what belongs to this host, and who administers it. */

#define GROUPS_MAX 1024

/* A network behind a bridge of this host's is its containers' or virtual machines'; a single
 * address of it stands for many of them. Behind this host's own addresses, too, there may be many:
 * what comes from there comes by a program of its own, such as a reverse proxy, or is masqueraded.
 */
static int add_addresses(Arena *a, const HostNet *net, Never *never) {
        for (size_t i = 0; i < net->n_addresses; i++) {
                const HostAddress *own = &net->addresses[i];
                const HostLink *link = routes_find_link(net, own->link);
                Range range = range_single(own->address);
                bool is_bridge = link && streq(link->kind, "bridge");
                int r = never_add(a, never, own->family, range,
                                  is_bridge ? "this host's own address, and the gateway of its "
                                              "containers or virtual machines: many share it"
                                            : "this host's own address");

                if (r == 0 && is_bridge) {
                        U128 host = u128_low_mask(family_width(own->family) - own->length);

                        range.low = u128_and(own->address, (U128){~host.high, ~host.low});
                        range.high = u128_or(own->address, host);
                        r = never_add(a, never, own->family, range,
                                      "a network of this host's containers or virtual machines");
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_in(gid_t group, const gid_t *groups, int n) {
        for (int i = 0; i < n; i++)
                if (groups[i] == group)
                        return true;
        return false;
}

/* Root, and who may become root by sudo: those who can undo a ban. */
static bool is_administrator(uint32_t uid) {
        static const char *const names[] = {"sudo", "wheel", "admin"};
        const struct passwd *user = uid == 0 ? NULL : getpwuid(uid);
        gid_t groups[GROUPS_MAX];
        int n = GROUPS_MAX;

        if (uid == 0 || !user)
                return uid == 0;
        if (getgrouplist(user->pw_name, user->pw_gid, groups, &n) < 0)
                return true; /* of so many groups any may be that one */
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                const struct group *group = getgrnam(names[i]);

                if (group && is_in(group->gr_gid, groups, n))
                        return true;
        }
        return false;
}

static int add_sessions(Arena *a, Never *never) {
        const Tree tree = {.arena = a, .root = ""};
        Sshd sshd;
        int r = sshd_read(&tree, &sshd);

        for (size_t i = 0; i < sshd.n_connections && r == 0; i++) {
                const SshConnection *c = &sshd.connections[i];

                if (c->is_authenticated && is_administrator(c->uid))
                        r = never_add(a, never, c->socket.family, range_single(c->socket.peer),
                                      "where an administrator is connected from over SSH");
        }
        return r;
}

/* From where a change was confirmed last: who comes in when all else is closed. */
static int add_rescue(Daemon *d, Arena *a, Never *never) {
        Diag *quiet = diag_new(a);
        StorePeer *peers;
        size_t n = 0;
        int r = quiet ? 0 : -ENOMEM;

        if (r == 0 && d->store && store_read_rescue(d->store, a, &peers, &n, quiet) < 0)
                n = 0;
        for (size_t i = 0; i < n && r == 0; i++)
                r = never_add(a, never, peers[i].family, range_single(peers[i].address),
                              "from where the policy was confirmed");
        return r;
}

/* Those networks that an interface leads to now. */
static int add_connected(Arena *a, const HostNet *net, const ZonePart *part, Never *never) {
        HostNetwork *networks;
        size_t n;
        int r = networks_of(net, a, &networks, &n);

        for (Family f = 0; f < _FAMILY_MAX && r == 0; f++) {
                RangeSet on_link = {0}, rest = {0};

                for (size_t i = 0; i < n && r == 0; i++)
                        if (networks[i].family == f &&
                            range_set_contains(&part->connected, networks[i].interface))
                                r = range_set_add(a, &on_link, networks[i].range);
                range_set_normalise(&on_link);
                if (r == 0)
                        r = range_set_subtract(a, &on_link, &part->without[f], &rest);
                if (r == 0)
                        r = range_set_add_all(a, &never->said[f], &rest);
        }
        return r;
}

/* What the policy says: bans.never. */
static int add_said(Daemon *d, Arena *a, const HostNet *net, Never *never) {
        int r = 0;

        for (size_t i = 0; i < d->ban_rules.n_never && r == 0; i++) {
                const ZonePart *part = &d->ban_rules.never[i];

                for (Family f = 0; f < _FAMILY_MAX && r == 0; f++)
                        r = range_set_add_all(a, &never->said[f], &part->fixed[f]);
                if (r == 0 && part->connected.n_items > 0)
                        r = add_connected(a, net, part, never);
        }
        for (Family f = 0; f < _FAMILY_MAX; f++)
                range_set_normalise(&never->said[f]);
        return r;
}

int bans_never_list(Arena *a, const Never *never, BanRange **ret, size_t *ret_n) {
        BanRange *list = arena_alloc_array(a,
                                           never->n_items + never->said[FAMILY_IPV4].n_items +
                                                   never->said[FAMILY_IPV6].n_items + 1,
                                           sizeof(*list));
        size_t n = 0;

        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < never->n_items; i++)
                list[n++] = (BanRange){never->items[i].family, never->items[i].range};
        for (Family f = 0; f < _FAMILY_MAX; f++)
                for (size_t i = 0; i < never->said[f].n_items; i++)
                        list[n++] = (BanRange){f, never->said[f].items[i]};
        *ret = list;
        *ret_n = n;
        return 0;
}

int bans_never_read(Daemon *d, Arena *a, bool with_sessions, Never *ret) {
        const Tree tree = {.arena = a, .root = ""};
        Neighbours neighbours;
        Never never = {0};
        HostNet net;
        int r = never_add_always(a, &never);

        if (r == 0)
                r = routes_read(a, &net);
        if (r == 0)
                r = add_addresses(a, &net, &never);
        if (r == 0)
                r = neighbours_read(&tree, &neighbours);
        for (size_t i = 0; r == 0 && i < neighbours.n_items; i++)
                r = never_add(a, &never, neighbours.items[i].family,
                              range_single(neighbours.items[i].address), neighbours.items[i].what);
        if (r == 0)
                r = add_said(d, a, &net, &never);
        if (r == 0)
                r = add_rescue(d, a, &never);
        if (r == 0 && with_sessions)
                r = add_sessions(a, &never);
        if (r == 0)
                *ret = never;
        return r;
}
