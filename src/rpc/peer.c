/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rpc/peer.h"

#include <sys/socket.h>

#ifndef SO_PEERPIDFD /* Linux 6.5; glibc 2.39 */
#define SO_PEERPIDFD 77
#endif

#define GROUPS_FIRST 32 /* a guess that is nearly always enough */

/* 1 if group is among the supplementary groups that the peer had, else 0. */
static int has_group(int fd, gid_t group) {
        _cleanup_free_ gid_t *groups = NULL;
        socklen_t size = GROUPS_FIRST * sizeof(gid_t);

        for (;;) {
                free(groups);
                groups = malloc(size);
                if (!groups)
                        return -ENOMEM;
                if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) >= 0)
                        break;
                if (errno != ERANGE) /* else size says how much it is; it does not change */
                        return -errno;
        }
        for (size_t i = 0; i < size / sizeof(gid_t); i++)
                if (groups[i] == group)
                        return 1;
        return 0;
}

int rpc_peer_read(int fd, gid_t group, RpcPeer *ret) {
        struct ucred credentials;
        socklen_t size = sizeof(credentials);
        int pidfd, r = 0;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
                return -errno;
        if (group != RPC_NO_GROUP && credentials.gid != group)
                r = has_group(fd, group);
        if (r < 0)
                return r;
        *ret = (RpcPeer){
                .uid = credentials.uid,
                .gid = credentials.gid,
                .pid = credentials.pid,
                .pidfd = -1,
                .in_group = group != RPC_NO_GROUP && (credentials.gid == group || r > 0),
        };
        size = sizeof(pidfd);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) >= 0)
                ret->pidfd = pidfd;
        return 0;
}

void rpc_peer_done(RpcPeer *p) {
        closep(&p->pidfd);
        p->pidfd = -1;
}

bool rpc_peer_may(const RpcPeer *p, RpcAccess access) {
        switch (access) {
        case RPC_ROOT:
                return p->uid == 0;
        case RPC_GROUP:
                return p->uid == 0 || p->in_group;
        case RPC_ANYONE:
                return true;
        case _RPC_ACCESS_MAX:
                break;
        }
        return false;
}

char *rpc_peer_refusal(const RpcPeer *p, RpcAccess access, const char *method) {
        static const char for_root[] = "only root may call %s, not user %u: try sudo";
        static const char for_group[] = "only root and members of the group '" RPC_GROUP_NAME
                                        "' may call %s, not user %u: try sudo, or let the user in "
                                        "with 'usermod -aG " RPC_GROUP_NAME " NAME'";
        char *text;

        if (asprintf(&text, access == RPC_ROOT ? for_root : for_group, method, p->uid) < 0)
                return NULL;
        return text;
}
