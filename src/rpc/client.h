/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Calls the daemon, and waits for the answer. Errors say which socket, and what to do. The server
 * is trusted no further than that an answer is bounded, and shown as text only. */

#include <jansson.h>

#include "base/diag.h"
#include "rpc/method.h"

#define RPC_TIMEOUT_NONE UINT64_MAX

typedef struct RpcClient RpcClient;

typedef struct RpcAnswer {
        json_t *parameters; /* of the answer or of the error; an object, never NULL in an answer */
        char *error;        /* the full name of the error that was answered, or NULL */
        bool continues;     /* another answer follows */
} RpcAnswer;

typedef enum RpcSendFlags {
        RPC_SEND_MORE = 1 << 0,   /* any number of answers; what does not continue is the last */
        RPC_SEND_ONEWAY = 1 << 1, /* no answer */
} RpcSendFlags;

/* All of these return
 *      0       done; what was asked for is in ret
 *      1       an error was answered: ret says which, d has its text
 *      < 0     no answer, d says why: rpc_is_absent() if there is no daemon, -EACCES if we may not
 *              ask it, -ETIMEDOUT, -EMSGSIZE, -EPROTO, -ECONNRESET, ...; -ENOMEM goes unsaid
 * ret is an answer only if not negative; rpc_answer_done() frees what is in it. parameters are the
 * caller's still, and may be NULL. timeout_usec: of each of these functions as a whole. */

/* Connects, calls, and disconnects. */
int rpc_call(const char *path,
             const char *method,
             json_t *parameters,
             uint64_t timeout_usec,
             RpcAnswer *ret,
             Diag *d);

int rpc_client_open(const char *path, uint64_t timeout_usec, RpcClient **ret, Diag *d);
RpcClient *rpc_client_close(RpcClient *c); /* accepts NULL, returns NULL */

/* One after the other on one connection. */
int rpc_client_call(RpcClient *c,
                    const char *method,
                    json_t *parameters,
                    uint64_t timeout_usec,
                    RpcAnswer *ret,
                    Diag *d);

/* Sends a call without waiting for its answer, which rpc_client_next() then brings; or all of its
 * answers, one at a time. -ETIMEDOUT of the latter harms nothing: ask again. */
int rpc_client_send(RpcClient *c,
                    const char *method,
                    json_t *parameters,
                    RpcSendFlags flags,
                    uint64_t timeout_usec,
                    Diag *d);
int rpc_client_next(RpcClient *c, uint64_t timeout_usec, RpcAnswer *ret, Diag *d);

/* To wait for input on; an answer may have been read already, so ask rpc_client_next() first. */
int rpc_client_fd(const RpcClient *c);

void rpc_answer_done(RpcAnswer *answer);

/* Of what these functions return: whether nobody is there to be called. */
static inline bool rpc_is_absent(int r) {
        return r == -ENOENT || r == -ECONNREFUSED;
}

static inline void rpc_client_closep(RpcClient **c) {
        (void)rpc_client_close(*c);
}
