/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What stands around the parameters of a call and of a reply (varlink.org, "Method Call"). */

#include "rpc/field.h"

typedef struct RpcEnvelope {
        const char *method; /* of calls: "io.ringwall.Status" */
        json_t *parameters; /* or NULL */
        bool more, oneway;  /* of calls */
        bool continues;     /* of replies: another one follows */
        const char *error;  /* of replies, or NULL */
        bool upgrade;       /* of calls; always false, since nobody here can do it */
} RpcEnvelope;

/* All in ret belongs to message. -EINVAL, and e says what in it is wrong, if it is not one. */
int rpc_envelope_read_call(json_t *message, RpcEnvelope *ret, RpcFieldError *e);
int rpc_envelope_read_reply(json_t *message, RpcEnvelope *ret, RpcFieldError *e);

/* The message, the caller's; its parameters are shared, and may be NULL. NULL without memory. */
json_t *rpc_envelope_call(const char *method, json_t *parameters, bool more, bool oneway);
json_t *rpc_envelope_reply(const char *error, json_t *parameters, bool continues);
