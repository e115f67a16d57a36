/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Who is at the other end of a socket, as the kernel tells: what it was when it connected. */

#include <sys/types.h>

#include "base/util.h"

#define RPC_GROUP_NAME "ringwall" /* whose members may read */
#define RPC_NO_GROUP ((gid_t)-1)

typedef struct RpcPeer {
        uid_t uid;
        gid_t gid;
        pid_t pid;     /* may be another process's by now, where there is no pidfd */
        int pidfd;     /* owned; -1 where the kernel has none (before 6.5) */
        bool in_group; /* by its own or its supplementary groups */
} RpcPeer;

/* Who may call a method: a column of the table of methods. Root may call each. */
typedef enum RpcAccess {
        RPC_ROOT,
        RPC_GROUP, /* members of the group RPC_GROUP_NAME */
        RPC_ANYONE,
        _RPC_ACCESS_MAX,
} RpcAccess;

/* group: whose members may call what is RPC_GROUP; RPC_NO_GROUP if the system has none. */
int rpc_peer_read(int fd, gid_t group, RpcPeer *ret);
void rpc_peer_done(RpcPeer *p);

bool rpc_peer_may(const RpcPeer *p, RpcAccess access) _pure_;
/* "only root may call io.ringwall.Apply, ...": why not, and what to do about it; to be freed. NULL
 * without memory. */
char *rpc_peer_refusal(const RpcPeer *p, RpcAccess access, const char *method);
