/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rpc/sample.h"

typedef struct Echo {
        const char *text, *pace;
        int64_t count;
        bool loud;
        RpcStrings names;
        json_t *anything, *parts;
} Echo;

static int run_echo(RpcCall *call, const void *parameters, void *context) {
        const Echo *in = parameters;
        json_t *out = json_pack("{s:s, s:I, s:b, s:s*, s:O*, s:O*}", "text", in->text, "count",
                                (json_int_t)in->count, "loud", in->loud, "pace", in->pace,
                                "anything", in->anything, "parts", in->parts);
        json_t *names = json_array();

        for (size_t i = 0; i < in->names.n_items; i++)
                (void)json_array_append_new(names, json_string(in->names.items[i]));
        (void)json_object_set_new(out, "names", names);
        return rpc_call_reply(call, out);
}

static int run_read(RpcCall *call, const void *parameters, void *context) {
        return rpc_call_reply(call, json_object());
}

static int run_write(RpcCall *call, const void *parameters, void *context) {
        Sample *s = context;

        s->n_written++;
        return rpc_call_reply(call, json_object());
}

static void gone(RpcCall *call, void *userdata) {
        Sample *s = userdata;

        s->n_gone++;
        for (size_t i = 0; i < s->n_waiting; i++)
                if (s->waiting[i] == call) {
                        s->waiting[i] = s->waiting[--s->n_waiting];
                        return;
                }
        abort(); /* told of a call that does not wait */
}

static int run_wait(RpcCall *call, const void *parameters, void *context) {
        Sample *s = context;

        if (s->n_waiting == SAMPLE_WAITING_MAX)
                return -ENOSPC;
        s->waiting[s->n_waiting++] = call;
        rpc_call_defer(call, gone, s);
        return 0;
}

void sample_release(Sample *s) {
        while (s->n_waiting > 0)
                (void)rpc_call_reply(s->waiting[--s->n_waiting], json_object());
}

static int run_release(RpcCall *call, const void *parameters, void *context) {
        sample_release(context);
        return rpc_call_reply(call, json_object());
}

typedef struct Ticks {
        int64_t ticks, bytes;
} Ticks;

static json_t *filler(int64_t n, int64_t size) {
        char *text = malloc((size_t)size + 1);
        json_t *out;

        if (!text)
                return NULL;
        memset(text, 'x', (size_t)size);
        text[size] = 0;
        out = json_pack("{s:I, s:s}", "number", (json_int_t)n, "filler", text);
        free(text);
        return out;
}

/* As many answers as asked for, of that size. */
static int run_count(RpcCall *call, const void *parameters, void *context) {
        const Ticks *in = parameters;
        int r;

        for (int64_t i = 1; i < in->ticks && rpc_call_wants_more(call); i++) {
                r = rpc_call_notify(call, filler(i, in->bytes));
                if (r < 0)
                        return r;
        }
        return rpc_call_reply(call, filler(in->ticks, in->bytes));
}

static int run_forget(RpcCall *call, const void *parameters, void *context) {
        return 0;
}

static int run_break(RpcCall *call, const void *parameters, void *context) {
        return -EIO;
}

static int run_refuse(RpcCall *call, const void *parameters, void *context) {
        return rpc_call_error(call, RPC_INTERFACE ".Refused",
                              json_pack("{s:s, s:i}", "message", "not \033[31mtoday", "days", 3));
}

static int run_get_counts(RpcCall *call, const void *parameters, void *context) {
        const Sample *s = context;
        const RpcCounts *n = rpc_server_counts(s->server);

        return rpc_call_reply(
                call, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "clients",
                                (json_int_t)rpc_server_clients(s->server), "accepted",
                                (json_int_t)n->accepted, "refused", (json_int_t)n->refused,
                                "invalid", (json_int_t)n->invalid, "late", (json_int_t)n->late,
                                "unread", (json_int_t)n->unread, "gone", (json_int_t)s->n_gone));
}

// clang-format off
static const char *const paces[] = {"fast", "slow", NULL};

static const RpcField part_fields[] = {
        { "size",  RPC_INT,    0,            "How large it is", .min = 1, .max = 9 },
        { "title", RPC_STRING, RPC_OPTIONAL, "What it is called" },
        {0},
};

static const RpcField echo_fields[] = {
        { "text",     RPC_STRING, 0, "Comes back", offsetof(Echo, text) },
        { "count",    RPC_INT,    RPC_OPTIONAL, "How often",
          offsetof(Echo, count), .min = 1, .max = 100, .fallback = 3 },
        { "loud",     RPC_BOOL,   RPC_OPTIONAL, "Whether to shout",
          offsetof(Echo, loud), .fallback = true },
        { "pace",     RPC_STRING, RPC_OPTIONAL, "How fast", offsetof(Echo, pace), .words = paces },
        { "names",    RPC_STRING, RPC_OPTIONAL | RPC_ARRAY, "To whom", offsetof(Echo, names) },
        { "anything", RPC_OBJECT, RPC_OPTIONAL, "Whatever", offsetof(Echo, anything) },
        { "parts",    RPC_OBJECT, RPC_OPTIONAL | RPC_ARRAY, "What it is made of",
          offsetof(Echo, parts), .fields = part_fields },
        {0},
};

static const RpcField count_fields[] = {
        { "ticks", RPC_INT, 0, "How many answers",
          offsetof(Ticks, ticks), .min = 1, .max = 1000000 },
        { "bytes", RPC_INT, 0, "How large each of them is",
          offsetof(Ticks, bytes), .min = 0, .max = 1 << 28 },
        {0},
};

static const RpcField tick_fields[] = {
        { "number", RPC_INT,    0, "Counts from 1" },
        { "filler", RPC_STRING, 0, "As large as asked for" },
        {0},
};

static const RpcField counts_fields[] = {
        { "clients",  RPC_INT, 0, "Connections that there are" },
        { "accepted", RPC_INT, 0, "Connections that there were" },
        { "refused",  RPC_INT, 0, "Connections too many" },
        { "invalid",  RPC_INT, 0, "Closed because of what they sent" },
        { "late",     RPC_INT, 0, "Closed because they stopped within a message" },
        { "unread",   RPC_INT, 0, "Closed because they did not read" },
        { "gone",     RPC_INT, 0, "Calls whose client went away" },
        {0},
};

static const RpcField refused_fields[] = {
        { "message", RPC_STRING, 0, "Why" },
        { "days",    RPC_INT,    0, "For how long" },
        {0},
};

static const RpcMethod methods[] = {
        { "Echo", RPC_ANYONE, 0, "Answers what it is told",
          echo_fields, echo_fields, sizeof(Echo), run_echo },
        { "Read",      RPC_GROUP,  0, "Reads",           NULL, NULL, 0, run_read },
        { "Write",     RPC_ROOT,   0, "Writes",          NULL, NULL, 0, run_write },
        { "Wait",      RPC_ANYONE, 0, "Waits",           NULL, NULL, 0, run_wait },
        { "Release",   RPC_ANYONE, 0, "Answers all that wait", NULL, NULL, 0, run_release },
        { "Watch",     RPC_ANYONE, RPC_MORE | RPC_MORE_ONLY, "Waits, too",
          NULL, NULL, 0, run_wait },
        { "Count",     RPC_ANYONE, RPC_MORE, "Counts",
          count_fields, tick_fields, sizeof(Ticks), run_count },
        { "Forget",    RPC_ANYONE, 0, "Forgets to answer", NULL, NULL, 0, run_forget },
        { "Break",     RPC_ANYONE, 0, "Does not work",   NULL, NULL, 0, run_break },
        { "Refuse",    RPC_ANYONE, 0, "Does not want",   NULL, NULL, 0, run_refuse },
        { "GetCounts", RPC_ANYONE, 0, "Counts what the server did",
          NULL, counts_fields, 0, run_get_counts },
        {0},
};

static const RpcError errors[] = {
        { "Refused", "It did not want to", refused_fields },
        {0},
};
// clang-format on

const RpcInterface sample_interface = {
        .name = RPC_INTERFACE,
        .doc = "A sample",
        .methods = methods,
        .errors = errors,
};

const RpcInterface *const sample_interfaces[] = {&sample_interface, NULL};
