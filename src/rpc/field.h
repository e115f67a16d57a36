/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The parameters of a method, of its reply or of an error as a table of fields. One table decodes
 * them, checks what we answer, and is printed as the interface's description. */

#include <jansson.h>

#include "base/util.h"

typedef enum RpcType {
        RPC_BOOL,
        RPC_INT,
        RPC_FLOAT,
        RPC_STRING, /* one of `words`, where those are given */
        RPC_OBJECT, /* of `fields`, where those are given; else of whatever the caller likes */
        _RPC_TYPE_MAX,
} RpcType;

typedef enum RpcFieldFlags {
        RPC_OPTIONAL = 1 << 0, /* may be missing, or null */
        RPC_ARRAY = 1 << 1,    /* of values of the type */
        RPC_MAP = 1 << 2,      /* an object: its keys free, its values of the type */
} RpcFieldFlags;

typedef struct RpcField RpcField;

/* A row without a name ends a table; no table at all (NULL) is one without fields. */
struct RpcField {
        const char *name; /* letters, digits, single _ between them; begins with a letter */
        RpcType type;
        RpcFieldFlags flags;
        const char *doc; /* a line for people */
        /* Where the decoded value goes. Tables that are not decoded (of replies, of errors, within
         * an RPC_OBJECT) leave it 0. The member is
         *   of RPC_BOOL a bool, of RPC_INT an int64_t, of RPC_FLOAT a double,
         *   of RPC_STRING a const char *, with RPC_ARRAY an RpcStrings,
         *   of everything else a json_t *.
         * What is optional and missing becomes `fallback`, 0, NULL or no strings. */
        size_t offset;
        const RpcField *fields;
        const char *const *words; /* ends with NULL */
        int64_t min, max;         /* of RPC_INT, both included, where they differ */
        int64_t fallback;         /* of RPC_INT and RPC_BOOL */
};

typedef struct RpcStrings {
        const char **items;
        size_t n_items;
} RpcStrings;

#define RPC_FIELD_NAME_MAX 64  /* bytes */
#define RPC_FIELD_PATH_MAX 192 /* bytes of "rules[3].from", with its NUL byte */

/* Which parameter is wrong: its name, or the way to it. Printable ASCII. */
typedef struct RpcFieldError {
        char path[RPC_FIELD_PATH_MAX];
} RpcFieldError;

/* Whether object is what the table says: nothing missing, nothing more, all of its type. NULL is
 * an object without keys. -EINVAL, and e (or NULL) says which parameter, if it is not. */
int rpc_fields_check(const RpcField *fields, json_t *object, RpcFieldError *e);

/* Checks, and fills the struct of target_size bytes at target. What that then points at belongs to
 * object, which must live as long; the arrays of RpcStrings go with rpc_fields_done(). -EINVAL as
 * above, or -ENOMEM; target is then all zero. */
int rpc_fields_decode(
        const RpcField *fields, json_t *object, void *target, size_t target_size, RpcFieldError *e);
void rpc_fields_done(const RpcField *fields, void *target);

/* The bytes of a field's member in the decoded struct. */
size_t rpc_field_size(const RpcField *field);
