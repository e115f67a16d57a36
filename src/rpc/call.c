/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rpc/call.h"

#include <assert.h>

#include "rpc/connection.h"

static void call_free(RpcCall *call) {
        if (!call)
                return;
        rpc_fields_done(call->method->in, call->parameters);
        json_decref(call->message);
        free(call);
}

void rpc_call_abandon(RpcCall *call) {
        if (!call)
                return;
        call->connection = NULL;
        if (call->gone)
                call->gone(call, call->gone_userdata);
        call_free(call);
}

const RpcPeer *rpc_call_peer(const RpcCall *call) {
        return &call->connection->peer;
}

bool rpc_call_wants_more(const RpcCall *call) {
        return call->more;
}

void rpc_call_defer(RpcCall *call, RpcCallGone gone, void *userdata) {
        call->gone = gone;
        call->gone_userdata = userdata;
}

/* Of one that is answered: the connection is free for the next. */
static void end(RpcCall *call) {
        RpcConnection *c = call->connection;

        c->call = NULL;
        call_free(call);
        rpc_connection_update(c);
}

/* Takes parameters over. -EMSGSIZE: too large, nothing was sent. */
static int answer(RpcCall *call, const char *error, json_t *parameters, bool continues) {
        json_t *message = NULL;
        int r;

        if (call->oneway) {
                json_decref(parameters);
                return 0;
        }
        if (parameters)
                message = rpc_envelope_reply(error, parameters, continues);
        json_decref(parameters);
        r = rpc_connection_send(call->connection, message);
        json_decref(message);
        return r;
}

/* The last answer. Where there is none, or none that can be sent, the caller hears of it. */
static int answer_finally(RpcCall *call, const char *error, json_t *parameters) {
        int r;

        if (!call->connection)
                return -EPIPE;
        if (!parameters)
                return rpc_call_fail(call, "out of memory");
        r = answer(call, error, parameters, false);
        if (r == -EMSGSIZE)
                return rpc_call_fail(call, "the answer is larger than %zu bytes", RPC_REPLY_MAX);
        end(call);
        return r;
}

int rpc_call_reply(RpcCall *call, json_t *parameters) {
        assert(!parameters || rpc_fields_check(call->method->out, parameters, NULL) == 0);
        return answer_finally(call, NULL, parameters);
}

int rpc_call_error(RpcCall *call, const char *error, json_t *parameters) {
        return answer_finally(call, error, parameters);
}

int rpc_call_fail(RpcCall *call, const char *format, ...) {
        va_list ap;
        char *text;
        int r;

        if (!call->connection)
                return -EPIPE;
        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        /* NULL if it is no UTF-8, or without memory: then there is no answer but the end */
        r = answer(call, RPC_FAILED, text ? json_pack("{s:s}", "message", text) : NULL, false);
        free(text);
        end(call);
        return r;
}

int rpc_call_notify(RpcCall *call, json_t *parameters) {
        int r;

        if (!call->connection || !call->more) {
                json_decref(parameters);
                return call->connection ? -EINVAL : -EPIPE;
        }
        assert(!parameters || rpc_fields_check(call->method->out, parameters, NULL) == 0);
        r = answer(call, NULL, parameters, true);
        if (r == -EMSGSIZE)
                call->connection->broken = true; /* one of a row is missing */
        rpc_connection_update(call->connection);
        return r;
}

static void run(RpcCall *call, void *context) {
        RpcConnection *c = call->connection;
        const RpcMethod *method = call->method;
        int r;

        c->call = call;
        r = method->run(call, method->in_size > 0 ? call->parameters : NULL, context);
        if (c->call != call || (r >= 0 && call->gone))
                return;
        if (r < 0)
                (void)rpc_call_fail(call, "%s", strerror(-r)); /* whatever becomes of it */
        else
                (void)rpc_call_fail(call, "%s gave no answer", method->name);
}

/* Why the call cannot run, as a reply; NULL if it can, and then it is decoded. */
static json_t *prepare(RpcConnection *c,
                       const RpcEnvelope *envelope,
                       const RpcInterface *interface,
                       RpcCall **ret) {
        const RpcMethod *method = rpc_method_find(interface, envelope->method);
        RpcFieldError e;
        RpcCall *call;
        int r;

        if (!method)
                return rpc_error_reply(RPC_METHOD_NOT_FOUND, "method", envelope->method);
        if (!rpc_peer_may(&c->peer, method->access)) {
                _cleanup_free_ char *text =
                        rpc_peer_refusal(&c->peer, method->access, envelope->method);

                c->server->counts.denied++;
                return rpc_error_reply(RPC_PERMISSION_DENIED, "message", text);
        }
        if ((method->flags & RPC_MORE_ONLY) && !envelope->more)
                return rpc_envelope_reply(RPC_EXPECTED_MORE, NULL, false);
        call = calloc(1, sizeof(*call) + method->in_size);
        if (!call)
                return NULL;
        *call = (RpcCall){
                .connection = c,
                .method = method,
                .more = envelope->more && (method->flags & RPC_MORE),
                .oneway = envelope->oneway,
        };
        r = rpc_fields_decode(method->in, envelope->parameters, call->parameters, method->in_size,
                              &e);
        if (r < 0) {
                free(call);
                return r == -EINVAL ? rpc_error_reply(RPC_INVALID_PARAMETER, "parameter", e.path)
                                    : NULL;
        }
        *ret = call;
        return NULL;
}

static json_t *name_missing(const char *method) {
        const char *dot = strrchr(method, '.');
        _cleanup_free_ char *interface = dot ? strndup(method, (size_t)(dot - method)) : NULL;

        if (!dot)
                return rpc_error_reply(RPC_METHOD_NOT_FOUND, "method", method);
        return rpc_error_reply(RPC_INTERFACE_NOT_FOUND, "interface", interface);
}

/* What is not even a call ends the connection: nobody knows whether an answer is awaited. */
static void reject(RpcConnection *c, const RpcFieldError *e) {
        char text[RPC_FIELD_PATH_MAX + 64];

        c->server->counts.invalid++;
        (void)snprintf(text, sizeof(text), "'%s' is missing in the call, or not what it must be",
                       e->path);
        rpc_connection_reject(c, RPC_INVALID_MESSAGE, text);
}

void rpc_call_run(RpcConnection *c, json_t *message) {
        const RpcServerOptions *o = &c->server->options;
        const RpcInterface *const own[] = {&rpc_service_interface, NULL};
        const RpcInterface *interface;
        json_t *refusal = NULL;
        RpcEnvelope envelope;
        RpcCall *call = NULL;
        RpcFieldError e;
        void *context = o->context;

        c->server->counts.calls++;
        if (rpc_envelope_read_call(message, &envelope, &e) < 0) {
                reject(c, &e);
                json_decref(message);
                return;
        }
        interface = rpc_interface_find(own, envelope.method);
        if (interface)
                context = c->server;
        else
                interface = rpc_interface_find(o->interfaces, envelope.method);
        if (interface)
                refusal = prepare(c, &envelope, interface, &call);
        else
                refusal = name_missing(envelope.method);
        if (call) {
                call->message = message;
                run(call, context);
                return;
        }
        if (!envelope.oneway)
                (void)rpc_connection_send(c, refusal); /* without memory, it ends */
        json_decref(refusal);
        json_decref(message);
}
