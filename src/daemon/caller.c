/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/caller.h"

#include <pwd.h>

#include "guard/way_in.h"
#include "nft/world_read.h"

int caller_read(Arena *a, const RpcPeer *peer, Caller *ret) {
        const Tree tree = {.arena = a, .root = ""};
        Caller c = {.who = {.uid = peer ? peer->uid : 0}};
        const struct passwd *user = getpwuid(c.who.uid);
        SshProof proof = SSH_PROOF_NONE;
        int r;

        c.who.user = user ? arena_strdup(a, user->pw_name) : NULL;
        r = routes_read(a, &c.net);
        if (r == 0)
                r = sshd_read(&tree, &c.sshd);
        /* who is gone before we looked (-ESRCH) may have come by anything: nothing is done for them
         */
        if (r == 0 && peer && peer->pid > 0)
                r = sshd_find_caller(&tree, &c.sshd, peer->pid, &proof, &c.connection);
        if (r < 0)
                return r;
        c.is_unknown = proof == SSH_PROOF_UNKNOWN;
        if (c.connection) {
                c.who.has_peer = true;
                c.who.family = c.connection->socket.family;
                c.who.peer = c.connection->socket.peer;
                c.who.port = c.connection->socket.local_port;
        }
        *ret = c;
        return 0;
}

const char *caller_describe(Arena *a, const RpcPeer *peer, const Caller *c) {
        const Tree tree = {.arena = a, .root = ""};
        const char *user = c->who.user ? c->who.user : arena_printf(a, "user %u", c->who.uid);
        const char *text;
        Who who;

        if (!peer)
                return NULL;
        if (peer->pid <= 0 || who_read_process(&tree, peer->pid, &who) < 0)
                return user;
        who.by = c->connection;
        text = who_describe(a, &who);
        return text && user ? arena_printf(a, "%s: %s", user, text) : user;
}

/* By both codes. w: of rs. */
static int decide(const Caller *c,
                  Arena *a,
                  const Ruleset *rs,
                  const World *w,
                  const HostSocket *socket,
                  WayIn *ret) {
        int r = way_in_decide(rs, &c->net, socket, a, ret);

        return r == 0 ? way_in_prove(w, &c->net, socket, a, ret) : r;
}

static int add_way(json_t *ways, const WayIn *w, bool mine) {
        json_t *way = json_pack("{s:s, s:b, s:b}", "text", w->text, "admitted", w->admitted, "mine",
                                mine);

        if (w->rule)
                (void)json_object_set_new(way, "rule", json_string(w->rule));
        return json_array_append_new(ways, way) < 0 ? -ENOMEM : 0;
}

/* Nobody asks: whoever could come in before shall afterwards. */
static int
would_shut_out(const Caller *c, Arena *a, const Ruleset *before, const SshConnection *s) {
        WayIn w;
        int r = before && s->is_authenticated ? way_in_decide(before, &c->net, &s->socket, a, &w)
                                              : -ENOENT;

        return r == 0 ? w.admitted : r == -ENOENT ? 0 : r;
}

int caller_check_ways(const Caller *c,
                      Arena *a,
                      const Ruleset *rs,
                      const Ruleset *before,
                      json_t *ways,
                      bool *ret_locked_out,
                      const char **ret_text) {
        World *world = NULL;
        int r = c->sshd.n_connections > 0 ? way_in_world(rs, a, &world) : 0;

        if (r < 0)
                return r;
        *ret_locked_out = c->is_unknown;
        if (c->is_unknown)
                *ret_text = "the connection that this shell came by (SSH_CONNECTION) is gone, so "
                            "whether you could come in again is not known: connect anew";
        for (size_t i = 0; i < c->sshd.n_connections; i++) {
                const SshConnection *s = &c->sshd.connections[i];
                bool mine = s == c->connection;
                WayIn w;

                r = decide(c, a, rs, world, &s->socket, &w);
                if (r == 0)
                        r = add_way(ways, &w, mine);
                if (r == 0 && !w.admitted)
                        r = mine ? 1 : would_shut_out(c, a, before, s);
                if (r < 0)
                        return r;
                if (r == 0)
                        continue;
                *ret_locked_out = true;
                *ret_text = arena_printf(a, "%s by %s, and could not come in again: %s",
                                         mine ? "you came" : "somebody came", w.text,
                                         w.rule ? w.rule : "no rule admits it");
                if (!*ret_text)
                        return -ENOMEM;
        }
        return 0;
}

int caller_check_live(
        const Caller *c, Arena *a, NftLink *link, bool *ret_locked_out, const char **ret) {
        const HostSocket *s = c->connection ? &c->connection->socket : NULL;
        WayIn w = {.admitted = true};
        World *world;
        int r;

        *ret_locked_out = false;
        if (!s)
                return 0;
        r = world_read(link, a, &world);
        if (r == 0)
                r = way_in_prove(world, &c->net, s, a, &w);
        *ret = w.rule;
        *ret_locked_out = r == 0 && !w.admitted && w.is_refuted;
        return r;
}
