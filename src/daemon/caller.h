/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Who calls, and whether a policy leaves them a way in. */

#include <jansson.h>

#include "daemon/daemon.h"
#include "nft/routes.h"

/* What is known of whoever calls. Lives in the arena that it was read into. */
typedef struct Caller {
        StoreCaller who;
        const SshConnection *connection; /* that they came by; NULL: none */
        bool is_unknown; /* it is gone, so that a console cannot be told from a connection */
        Sshd sshd;
        HostNet net;
} Caller;

/* peer NULL: the daemon itself. 0 or a negative errno: then nobody knows. */
int caller_read(Arena *a, const RpcPeer *peer, Caller *ret);

/* "root: ringwall (process 4711: ringwall panic on) of ssh.service, logged in as anna from
 * 198.51.100.7": what the kernel says of the socket's other end, and /proc of that process. NULL
 * for the daemon itself, or without memory. */
const char *caller_describe(Arena *a, const RpcPeer *peer, const Caller *c);

/* Adds each open SSH connection to `ways`, and whether it could be made anew: as the evaluator
 * says, and the proof. ret_locked_out: the caller's own could not; or, with `before` (what is in
 * force), anybody's that could until now. ret_text then says so. */
int caller_check_ways(const Caller *c,
                      Arena *a,
                      const Ruleset *rs,
                      const Ruleset *before,
                      json_t *ways,
                      bool *ret_locked_out,
                      const char **ret_text);

/* Whether all tables of the kernel together, as they are now, refuse the caller's next connection;
 * *ret then says why. 0, or what world_read() says: then it is not known. */
int caller_check_live(
        const Caller *c, Arena *a, NftLink *link, bool *ret_locked_out, const char **ret);
