/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Answers calls on a listening socket, in an event loop. Who connects is not trusted: memory,
 * connections and time that anybody can take are limited here and in rpc/wire.h. Nothing blocks.
 *
 * One call of a connection runs at a time; further ones wait in the socket. A connection that does
 * not read its answers, leaves a message half sent, or does nothing for long, is closed. Whoever
 * sends what is no call is told so, and disconnected. */

#include <systemd/sd-event.h>

#include "rpc/call.h"

#define RPC_CLIENTS_MAX 64      /* connections */
#define RPC_CLIENTS_RESERVED 16 /* of them for root alone, so that nobody can shut root out */
#define RPC_CLIENTS_PER_USER 16 /* of each user but root */

#define RPC_PART_USEC ((uint64_t)10 * 1000000)  /* from a message's first byte to its last */
#define RPC_STALL_USEC ((uint64_t)30 * 1000000) /* without reading anything of an answer */
#define RPC_IDLE_USEC ((uint64_t)60 * 1000000)  /* without a call */

#define RPC_QUEUE_MAX ((size_t)4 << 20) /* bytes behind an answer that is not read */
/* Bytes in all queues, past which only root gets more. */
#define RPC_QUEUE_MAX_OTHERS ((size_t)64 << 20)

typedef struct RpcServer RpcServer;

typedef struct RpcServerOptions {
        const RpcInterface *const *interfaces; /* ends with NULL; RPC_SERVICE_INTERFACE is added */
        void *context;                         /* for the methods */
        gid_t group;                           /* whose members may read, or RPC_NO_GROUP */
        const char *vendor, *product, *version, *url; /* how the service presents itself */
        int64_t priority; /* of the event sources; root's connections have one less */
        uint64_t part_usec, stall_usec, idle_usec; /* 0: as above; for tests */
} RpcServerOptions;

/* What happened so far. */
typedef struct RpcCounts {
        uint64_t accepted, refused; /* connections; refused: over the limits */
        uint64_t calls, denied; /* denied: calls that were not permitted, counted in calls, too */
        uint64_t invalid;       /* connections closed because of what they sent */
        uint64_t late;          /* because a message was not complete in time */
        uint64_t unread;        /* because they did not read */
} RpcCounts;

/* options' strings and tables must live as long as the server. */
int rpc_server_new(sd_event *event, const RpcServerOptions *options, RpcServer **ret);
/* Closes all connections; whoever waits for a call's end is told. Accepts NULL, returns NULL. Not
 * to be called from within a method. */
RpcServer *rpc_server_free(RpcServer *s);

/* Takes over a listening stream socket, of rpc_socket_listen() or from systemd, in the place of one
 * before it, which is closed; connections stay. -EINVAL if it is none; it is then the caller's
 * still. */
int rpc_server_listen(RpcServer *s, int fd);
/* Takes over a connected socket, as if it had been accepted; it is closed in any case. -EBUSY over
 * the limits. */
int rpc_server_add(RpcServer *s, int fd);

const RpcCounts *rpc_server_counts(const RpcServer *s);
size_t rpc_server_clients(const RpcServer *s); /* connections that there are */

static inline void rpc_server_freep(RpcServer **s) {
        (void)rpc_server_free(*s);
}
