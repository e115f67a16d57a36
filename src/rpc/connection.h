/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Within the server: one connection, what it sends and what waits to be read by it. A connection is
 * freed by its own event sources alone, never below a function of rpc/call.h, so that whoever
 * answers calls need not fear for them. */

#include <stdalign.h>

#include "rpc/envelope.h"
#include "rpc/server.h"
#include "rpc/wire.h"

typedef struct RpcConnection RpcConnection;
typedef struct RpcChunk RpcChunk;

/* Until when the peer must have done something. */
typedef enum RpcDeadline {
        RPC_DEADLINE_NONE, /* it waits for us */
        RPC_DEADLINE_IDLE,
        RPC_DEADLINE_PART,
        RPC_DEADLINE_STALL,
} RpcDeadline;

struct RpcConnection {
        RpcServer *server;
        RpcConnection *prev, *next;
        RpcPeer peer;
        int fd;
        sd_event_source *io, *timer;
        sd_event_source *turn; /* on while there is something to do that no descriptor tells */
        RpcWire wire;
        RpcChunk *chunks, *last; /* what is to be sent */
        size_t queued;           /* bytes of that */
        RpcCall *call;           /* the one that waits for its answer, or NULL */
        RpcDeadline deadline;
        bool at_end;  /* it will send no more */
        bool closing; /* nothing more is read, and it ends once all is sent */
        bool broken;  /* it ends at once */
};

struct RpcCall {
        RpcConnection *connection; /* NULL once it is gone */
        const RpcMethod *method;
        json_t *message; /* what parameters point into */
        bool more, oneway;
        RpcCallGone gone; /* NULL: not deferred */
        void *gone_userdata;
        alignas(max_align_t) unsigned char parameters[]; /* method->in_size bytes */
};

struct RpcServer {
        sd_event *event;
        RpcServerOptions options;
        sd_event_source *listener, *pause;
        RpcConnection *connections;
        size_t n_connections;
        size_t queued; /* bytes, of all */
        RpcCounts counts;
};

extern const RpcInterface rpc_service_interface; /* its methods' context is the RpcServer */

/* Takes fd and peer over, also on failure. */
int rpc_connection_new(RpcServer *s, int fd, RpcPeer *peer, RpcConnection **ret);
RpcConnection *rpc_connection_free(RpcConnection *c);

/* Puts a message behind what is to be sent, and sends as much as goes. -EMSGSIZE if it is larger
 * than RPC_REPLY_MAX, and nothing has happened; else what befell the connection. */
int rpc_connection_send(RpcConnection *c, const json_t *message);
/* Looks what is to be awaited next; to be called after every change from outside. */
void rpc_connection_update(RpcConnection *c);

/* Runs the call that the message is, or answers why not. Takes the message over. */
void rpc_call_run(RpcConnection *c, json_t *message);
/* Tells who deferred it that the call is gone, and frees it. Accepts NULL. */
void rpc_call_abandon(RpcCall *call);
/* An answer outside of any call, after which the connection ends. */
void rpc_connection_reject(RpcConnection *c, const char *error, const char *message);

/* An error whose only parameter is a text. NULL without memory. */
json_t *rpc_error_reply(const char *error, const char *key, const char *text);

/* In the server: there is one connection less. */
void rpc_server_forget(RpcServer *s, RpcConnection *c);
