/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What can be called, as tables: the row of a method says who may call it, what it takes and what
 * it answers. The server acts on these tables and describes itself from them. */

#include "rpc/field.h"
#include "rpc/peer.h"

#define RPC_INTERFACE "io.ringwall"
#define RPC_SERVICE_INTERFACE "org.varlink.service"

typedef struct RpcCall RpcCall; /* rpc/call.h */

typedef enum RpcMethodFlags {
        RPC_MORE = 1 << 0,      /* answers more than once if the caller asks for it ("more") */
        RPC_MORE_ONLY = 1 << 1, /* and is refused if not */
} RpcMethodFlags;

/* A row without a name ends a table. */
typedef struct RpcMethod {
        const char *name; /* of letters and digits; begins with a capital */
        RpcAccess access;
        RpcMethodFlags flags;
        const char *doc;     /* a line for people */
        const RpcField *in;  /* decoded into a struct of in_size bytes */
        const RpcField *out; /* of each reply */
        size_t in_size;
        /* parameters: the struct that `in` describes, which lives as long as the call; NULL if
         * in_size is 0. context: as the server was given. Answers the call, or defers it (see
         * rpc/call.h). A negative errno without an answer: the library answers RPC_FAILED. */
        int (*run)(RpcCall *call, const void *parameters, void *context);
} RpcMethod;

typedef struct RpcError {
        const char *name; /* as a method's */
        const char *doc;
        const RpcField *fields;
} RpcError;

typedef struct RpcInterface {
        const char *name;
        const char *doc;
        const RpcMethod *methods;
        const RpcError *errors; /* or NULL; RPC_INTERFACE has those below, too */
} RpcInterface;

/* Errors that the library itself answers, each with a message that a person can read. */
#define RPC_PERMISSION_DENIED RPC_INTERFACE ".PermissionDenied"
#define RPC_FAILED RPC_INTERFACE ".Failed"
#define RPC_TOO_MANY_CLIENTS RPC_INTERFACE ".TooManyClients"
#define RPC_INVALID_MESSAGE RPC_INTERFACE ".InvalidMessage"
/* Those of every Varlink service; what they name stands in their only parameter. */
#define RPC_INTERFACE_NOT_FOUND RPC_SERVICE_INTERFACE ".InterfaceNotFound"
#define RPC_METHOD_NOT_FOUND RPC_SERVICE_INTERFACE ".MethodNotFound"
#define RPC_INVALID_PARAMETER RPC_SERVICE_INTERFACE ".InvalidParameter"
#define RPC_EXPECTED_MORE RPC_SERVICE_INTERFACE ".ExpectedMore"

extern const RpcError rpc_common_errors[]; /* of RPC_INTERFACE */

/* Of interfaces, a list that ends with NULL, the one whose method is fully named; NULL if there is
 * none. Then its method of that name; NULL likewise. */
const RpcInterface *rpc_interface_find(const RpcInterface *const *interfaces, const char *name);
const RpcMethod *rpc_method_find(const RpcInterface *interface, const char *name);

/* Looks for mistakes in the tables: NULL, or what is wrong, to be freed. For tests. */
char *rpc_interface_verify(const RpcInterface *interface);

/* The interface in Varlink's own language, to be freed; NULL without memory. */
char *rpc_interface_describe(const RpcInterface *interface);
