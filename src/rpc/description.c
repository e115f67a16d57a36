/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Interfaces in Varlink's own language (varlink.org, "Interface Definition"), from their tables. */

#include "rpc/method.h"

static const char *const type_words[_RPC_TYPE_MAX] = {
        [RPC_BOOL] = "bool",     [RPC_INT] = "int",       [RPC_FLOAT] = "float",
        [RPC_STRING] = "string", [RPC_OBJECT] = "object",
};

static const char *const access_words[_RPC_ACCESS_MAX] = {
        [RPC_ROOT] = "Only root may call it.",
        [RPC_GROUP] = "Root and members of the group '" RPC_GROUP_NAME "' may call it.",
        [RPC_ANYONE] = "Anybody may call it.",
};

static void print_fields(FILE *f, const RpcField *fields, int depth);

static void print_type(FILE *f, const RpcField *field, int depth) {
        if (field->flags & RPC_OPTIONAL)
                (void)fputc('?', f);
        if (field->flags & RPC_ARRAY)
                (void)fputs("[]", f);
        if (field->flags & RPC_MAP)
                (void)fputs("[string]", f);
        if (field->words) {
                for (size_t i = 0; field->words[i]; i++)
                        (void)fprintf(f, "%s%s", i == 0 ? "(" : ", ", field->words[i]);
                (void)fputc(')', f);
        } else if (field->fields)
                print_fields(f, field->fields, depth);
        else
                (void)fputs(type_words[field->type], f);
}

/* In parentheses: each field in a line of its own, its documentation before it. */
static void print_fields(FILE *f, const RpcField *fields, int depth) {
        if (!fields || !fields->name) {
                (void)fputs("()", f);
                return;
        }
        (void)fputs("(\n", f);
        for (; fields->name; fields++) {
                (void)fprintf(f, "%*s# %s", 2 * depth + 2, "", fields->doc);
                if (fields->min != fields->max)
                        (void)fprintf(f, ", from %lld to %lld", (long long)fields->min,
                                      (long long)fields->max);
                if (fields->fallback != 0 && fields->type == RPC_INT)
                        (void)fprintf(f, "; %lld if missing", (long long)fields->fallback);
                else if (fields->fallback != 0)
                        (void)fputs("; true if missing", f);
                (void)fprintf(f, "\n%*s%s: ", 2 * depth + 2, "", fields->name);
                print_type(f, fields, depth + 1);
                (void)fputs(fields[1].name ? ",\n" : "\n", f);
        }
        (void)fprintf(f, "%*s)", 2 * depth, "");
}

static void print_method(FILE *f, const RpcMethod *method) {
        (void)fprintf(f, "\n# %s\n# %s\n", method->doc, access_words[method->access]);
        if (method->flags & RPC_MORE_ONLY)
                (void)fputs("# To be called with 'more': it answers again and again.\n", f);
        else if (method->flags & RPC_MORE)
                (void)fputs("# Called with 'more', it answers again and again.\n", f);
        (void)fprintf(f, "method %s", method->name);
        print_fields(f, method->in, 0);
        (void)fputs(" -> ", f);
        print_fields(f, method->out, 0);
        (void)fputc('\n', f);
}

static void print_errors(FILE *f, const RpcError *errors) {
        for (; errors && errors->name; errors++) {
                (void)fprintf(f, "\n# %s\nerror %s ", errors->doc, errors->name);
                print_fields(f, errors->fields, 0);
                (void)fputc('\n', f);
        }
}

char *rpc_interface_describe(const RpcInterface *interface) {
        size_t size;
        char *text;
        FILE *f = open_memstream(&text, &size);
        bool failed;

        if (!f)
                return NULL;
        (void)fprintf(f, "# %s\ninterface %s\n", interface->doc, interface->name);
        for (const RpcMethod *method = interface->methods; method->name; method++)
                print_method(f, method);
        print_errors(f, interface->errors);
        if (streq(interface->name, RPC_INTERFACE))
                print_errors(f, rpc_common_errors);
        failed = ferror(f) != 0; /* a stream in memory fails only without memory */
        if (fclose(f) == 0 && !failed)
                return text;
        free(text);
        return NULL;
}
