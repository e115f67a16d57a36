/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The interface that every Varlink service has (varlink.org, "Service"): what is here, and what it
 * looks like. */

#include "rpc/connection.h"

static json_t *list_interfaces(const RpcServer *s) {
        json_t *list = json_array();

        if (json_array_append_new(list, json_string(rpc_service_interface.name)) < 0) {
                json_decref(list);
                return NULL;
        }
        for (const RpcInterface *const *i = s->options.interfaces; *i; i++)
                if (json_array_append_new(list, json_string((*i)->name)) < 0) {
                        json_decref(list);
                        return NULL;
                }
        return list;
}

static int run_get_info(RpcCall *call, const void *parameters, void *context) {
        const RpcServer *s = context;
        const RpcServerOptions *o = &s->options;

        return rpc_call_reply(call, json_pack("{s:s, s:s, s:s, s:s, s:o}", "vendor", o->vendor,
                                              "product", o->product, "version", o->version, "url",
                                              o->url, "interfaces", list_interfaces(s)));
}

typedef struct GetInterfaceDescription {
        const char *interface;
} GetInterfaceDescription;

static int run_get_interface_description(RpcCall *call, const void *parameters, void *context) {
        const GetInterfaceDescription *in = parameters;
        const RpcServer *s = context;
        const RpcInterface *found = NULL;
        _cleanup_free_ char *text = NULL;

        if (streq(in->interface, rpc_service_interface.name))
                found = &rpc_service_interface;
        for (const RpcInterface *const *i = s->options.interfaces; *i && !found; i++)
                if (streq((*i)->name, in->interface))
                        found = *i;
        if (!found)
                return rpc_call_error(call, RPC_INTERFACE_NOT_FOUND,
                                      json_pack("{s:s}", "interface", in->interface));
        text = rpc_interface_describe(found);
        return rpc_call_reply(call, text ? json_pack("{s:s}", "description", text) : NULL);
}

// clang-format off
static const RpcField info_fields[] = {
        { "vendor",     RPC_STRING, 0,         "Who makes this service" },
        { "product",    RPC_STRING, 0,         "Its name" },
        { "version",    RPC_STRING, 0,         "Its version" },
        { "url",        RPC_STRING, 0,         "Where more can be read about it" },
        { "interfaces", RPC_STRING, RPC_ARRAY, "The interfaces that can be called" },
        {0},
};

static const RpcField interface_fields[] = {
        { "interface", RPC_STRING, 0, "The full name of an interface",
          offsetof(GetInterfaceDescription, interface) },
        {0},
};

static const RpcField description_fields[] = {
        { "description", RPC_STRING, 0, "The interface in Varlink's language" },
        {0},
};

static const RpcField method_fields[] = {
        { "method", RPC_STRING, 0, "The full name of the method that was called" },
        {0},
};

static const RpcField parameter_fields[] = {
        { "parameter", RPC_STRING, 0, "The name of the parameter, or the way to a part of it" },
        {0},
};

static const RpcMethod methods[] = {
        { "GetInfo", RPC_ANYONE, 0, "Tells what service this is",
          NULL, info_fields, 0, run_get_info },
        { "GetInterfaceDescription", RPC_ANYONE, 0, "Describes an interface of this service",
          interface_fields, description_fields, sizeof(GetInterfaceDescription),
          run_get_interface_description },
        {0},
};

static const RpcError errors[] = {
        { "InterfaceNotFound",    "There is no such interface",             interface_fields },
        { "MethodNotFound",       "The interface has no such method",       method_fields },
        { "MethodNotImplemented", "The method is known, but not built yet", method_fields },
        { "InvalidParameter",     "A parameter is missing, unknown, or not what it must be",
          parameter_fields },
        { "PermissionDenied",     "The caller may not call this method",    NULL },
        { "ExpectedMore",         "The method answers only to calls with 'more'", NULL },
        {0},
};
// clang-format on

const RpcInterface rpc_service_interface = {
        .name = RPC_SERVICE_INTERFACE,
        .doc = "What every Varlink service tells about itself",
        .methods = methods,
        .errors = errors,
};
