/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/caller.h"

#include <pwd.h>

#include "guard/way_in.h"

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

int caller_check_ways(const Caller *c,
                      Arena *a,
                      const Ruleset *rs,
                      json_t *ways,
                      bool *ret_locked_out,
                      const char **ret_text) {
        *ret_locked_out = c->is_unknown;
        if (c->is_unknown)
                *ret_text = "the connection that this shell came by (SSH_CONNECTION) is gone, so "
                            "whether you could come in again is not known: connect anew";
        for (size_t i = 0; i < c->sshd.n_connections; i++) {
                const SshConnection *s = &c->sshd.connections[i];
                bool mine = s == c->connection;
                json_t *way;
                WayIn w;
                int r = way_in_decide(rs, &c->net, &s->socket, a, &w);

                if (r < 0)
                        return r;
                way = json_pack("{s:s, s:b, s:b}", "text", w.text, "admitted", w.admitted, "mine",
                                mine);
                if (w.rule)
                        (void)json_object_set_new(way, "rule", json_string(w.rule));
                if (json_array_append_new(ways, way) < 0)
                        return -ENOMEM;
                if (!mine || w.admitted)
                        continue;
                *ret_locked_out = true;
                *ret_text = arena_printf(a, "you came by %s, and could not come in again: %s",
                                         w.text, w.rule ? w.rule : "no rule admits it");
                if (!*ret_text)
                        return -ENOMEM;
        }
        return 0;
}
