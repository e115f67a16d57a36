/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rpc/method.h"

#include <ctype.h>

// clang-format off
static const RpcField message_fields[] = {
        { "message", RPC_STRING, 0, "What is wrong, and what to do about it" },
        {0},
};

const RpcError rpc_common_errors[] = {
        { "PermissionDenied", "The caller is not one of those who may call this method",
          message_fields },
        { "Failed",           "The method could not do what was asked", message_fields },
        { "TooManyClients",   "There are too many connections, of this user or in all",
          message_fields },
        { "InvalidMessage",   "What was sent is no call; the connection is closed",
          message_fields },
        {0},
};
// clang-format on

/* The length of the interface's name in a method's full name, or 0. */
static size_t interface_length(const char *name) {
        const char *dot = strrchr(name, '.');

        return dot ? (size_t)(dot - name) : 0;
}

const RpcInterface *rpc_interface_find(const RpcInterface *const *interfaces, const char *name) {
        size_t len = interface_length(name);

        for (; *interfaces; interfaces++)
                if (strlen((*interfaces)->name) == len &&
                    strncmp((*interfaces)->name, name, len) == 0)
                        return *interfaces;
        return NULL;
}

const RpcMethod *rpc_method_find(const RpcInterface *interface, const char *name) {
        size_t len = interface_length(name);

        for (const RpcMethod *method = interface->methods; method->name; method++)
                if (streq(method->name, name + len + 1))
                        return method;
        return NULL;
}

/* Letters and digits, single _ between them where inner says so; begins as is_first likes. */
static bool is_name(const char *name, int (*is_first)(int), bool inner) {
        if (!is_first((unsigned char)name[0]) || strlen(name) > RPC_FIELD_NAME_MAX)
                return false;
        for (const char *c = name; *c; c++)
                if (!isalnum((unsigned char)*c) &&
                    !(inner && *c == '_' && isalnum((unsigned char)c[1])))
                        return false;
        return true;
}

static char *mistake(const char *format, ...) _printf_(1, 2);
static char *mistake(const char *format, ...) {
        va_list ap;
        char *text;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        return n < 0 ? strdup("out of memory") : text;
}

static bool is_doc(const char *doc) {
        return doc && *doc && !strchr(doc, '\n');
}

static char *verify_field(const char *of, const RpcField *field, const RpcField *table) {
        if (!is_name(field->name, isalpha, true))
                return mistake("%s: '%s' is no name of a field", of, field->name);
        if (!is_doc(field->doc))
                return mistake("%s: '%s' has no line of documentation", of, field->name);
        if ((field->flags & RPC_ARRAY) && (field->flags & RPC_MAP))
                return mistake("%s: '%s' is an array and a map", of, field->name);
        if ((field->words && field->type != RPC_STRING) ||
            (field->fields && field->type != RPC_OBJECT) ||
            (field->min != field->max && field->type != RPC_INT))
                return mistake("%s: '%s' has words, fields or a range, but another type", of,
                               field->name);
        for (size_t i = 0; field->words && field->words[i]; i++)
                if (!is_name(field->words[i], isalpha, true))
                        return mistake("%s: '%s' cannot be a word", of, field->words[i]);
        for (; table < field; table++)
                if (streq(table->name, field->name))
                        return mistake("%s: '%s' is there twice", of, field->name);
        return NULL;
}

/* size: of the struct that the table is decoded into; SIZE_MAX if it is not decoded. */
static char *verify_fields(const char *of, const RpcField *fields, size_t size) {
        char *wrong;

        for (const RpcField *field = fields; field && field->name; field++) {
                wrong = verify_field(of, field, fields);
                if (!wrong && field->fields)
                        wrong = field->fields->name
                                        ? verify_fields(field->name, field->fields, SIZE_MAX)
                                        : mistake("%s: '%s' is of no fields", of, field->name);
                if (wrong)
                        return wrong;
                if (size < field->offset || size - field->offset < rpc_field_size(field))
                        return mistake("%s: '%s' does not fit into %zu bytes", of, field->name,
                                       size);
        }
        return NULL;
}

static char *verify_method(const RpcMethod *method, const RpcMethod *table) {
        char *wrong;

        if (!is_name(method->name, isupper, false))
                return mistake("'%s' is no name of a method", method->name);
        if (!is_doc(method->doc))
                return mistake("%s has no line of documentation", method->name);
        if (!method->run)
                return mistake("%s has nothing to run", method->name);
        if ((method->flags & RPC_MORE_ONLY) && !(method->flags & RPC_MORE))
                return mistake("%s wants 'more', but does not know it", method->name);
        for (; table < method; table++)
                if (streq(table->name, method->name))
                        return mistake("%s is there twice", method->name);
        wrong = verify_fields(method->name, method->in, method->in_size);
        return wrong ? wrong : verify_fields(method->name, method->out, SIZE_MAX);
}

static char *verify_error(const RpcError *error, const RpcInterface *interface) {
        if (!is_name(error->name, isupper, false))
                return mistake("'%s' is no name of an error", error->name);
        if (!is_doc(error->doc))
                return mistake("%s has no line of documentation", error->name);
        for (const RpcMethod *method = interface->methods; method->name; method++)
                if (streq(method->name, error->name))
                        return mistake("%s is a method, too", error->name);
        for (const RpcError *other = interface->errors; other < error; other++)
                if (streq(other->name, error->name))
                        return mistake("%s is there twice", error->name);
        for (const RpcError *common = rpc_common_errors; common->name; common++)
                if (streq(interface->name, RPC_INTERFACE) && streq(common->name, error->name))
                        return mistake("%s is the library's", error->name);
        return verify_fields(error->name, error->fields, SIZE_MAX);
}

char *rpc_interface_verify(const RpcInterface *interface) {
        char *wrong = NULL;

        if (interface_length(interface->name) == 0 || !is_doc(interface->doc))
                return mistake("'%s' is no name of an interface, or has no documentation",
                               interface->name);
        for (const RpcMethod *method = interface->methods; method->name && !wrong; method++)
                wrong = verify_method(method, interface->methods);
        for (const RpcError *error = interface->errors; error && error->name && !wrong; error++)
                wrong = verify_error(error, interface);
        return wrong;
}
