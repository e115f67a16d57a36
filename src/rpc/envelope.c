/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rpc/envelope.h"

// clang-format off
#define ENVELOPE(member) "", offsetof(RpcEnvelope, member)
static const RpcField call_fields[] = {
        { "method",     RPC_STRING, 0,            ENVELOPE(method) },
        { "parameters", RPC_OBJECT, RPC_OPTIONAL, ENVELOPE(parameters) },
        { "oneway",     RPC_BOOL,   RPC_OPTIONAL, ENVELOPE(oneway) },
        { "more",       RPC_BOOL,   RPC_OPTIONAL, ENVELOPE(more) },
        { "upgrade",    RPC_BOOL,   RPC_OPTIONAL, ENVELOPE(upgrade) },
        {0},
};

static const RpcField reply_fields[] = {
        { "parameters", RPC_OBJECT, RPC_OPTIONAL, ENVELOPE(parameters) },
        { "continues",  RPC_BOOL,   RPC_OPTIONAL, ENVELOPE(continues) },
        { "error",      RPC_STRING, RPC_OPTIONAL, ENVELOPE(error) },
        {0},
};
// clang-format on

static int invalid(RpcFieldError *e, const char *name) {
        (void)snprintf(e->path, sizeof(e->path), "%s", name);
        return -EINVAL;
}

int rpc_envelope_read_call(json_t *message, RpcEnvelope *ret, RpcFieldError *e) {
        int r = rpc_fields_decode(call_fields, message, ret, sizeof(*ret), e);

        if (r < 0)
                return r;
        if (ret->upgrade)
                return invalid(e, "upgrade");
        if (ret->oneway && ret->more)
                return invalid(e, "more");
        return 0;
}

int rpc_envelope_read_reply(json_t *message, RpcEnvelope *ret, RpcFieldError *e) {
        int r = rpc_fields_decode(reply_fields, message, ret, sizeof(*ret), e);

        if (r == 0 && ret->error && ret->continues)
                return invalid(e, "continues");
        return r;
}

/* Some peers want parameters even where there are none. */
static bool set_parameters(json_t *message, json_t *parameters) {
        json_t *value = parameters ? json_incref(parameters) : json_object();

        return json_object_set_new(message, "parameters", value) == 0;
}

/* A flag that is not set is left out. */
static bool set_flag(json_t *message, const char *name, bool value) {
        return !value || json_object_set_new(message, name, json_true()) == 0;
}

static json_t *finish(json_t *message, bool complete) {
        if (complete)
                return message;
        json_decref(message);
        return NULL;
}

json_t *rpc_envelope_call(const char *method, json_t *parameters, bool more, bool oneway) {
        json_t *message = json_object();

        return finish(message, json_object_set_new(message, "method", json_string(method)) == 0 &&
                                       set_parameters(message, parameters) &&
                                       set_flag(message, "more", more) &&
                                       set_flag(message, "oneway", oneway));
}

json_t *rpc_envelope_reply(const char *error, json_t *parameters, bool continues) {
        json_t *message = json_object();

        return finish(message,
                      (!error || json_object_set_new(message, "error", json_string(error)) == 0) &&
                              set_parameters(message, parameters) &&
                              set_flag(message, "continues", continues));
}
