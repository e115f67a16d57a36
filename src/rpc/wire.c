/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rpc/wire.h"

#include <sys/socket.h>

#define READ_SIZE ((size_t)64 << 10)
#define CAPACITY_MIN ((size_t)4 << 10)

void rpc_wire_init(RpcWire *w, size_t limit) {
        *w = (RpcWire){.limit = limit};
}

void rpc_wire_done(RpcWire *w) {
        free(w->data);
        *w = (RpcWire){.limit = w->limit};
}

bool rpc_wire_has_message(RpcWire *w) {
        const char *nul;

        if (w->scanned == w->end)
                return false;
        nul = memchr(w->data + w->scanned, 0, w->end - w->scanned);
        w->scanned = nul ? (size_t)(nul - w->data) : w->end;
        return nul != NULL;
}

bool rpc_wire_has_part(RpcWire *w) {
        return w->end > w->start && !rpc_wire_has_message(w);
}

static void fail(RpcWire *w, const char *format, ...) _printf_(2, 3);
static void fail(RpcWire *w, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(w->error, sizeof(w->error), format, ap); /* cut where it is too long */
        va_end(ap);
        /* the parser quotes what it does not like, and the cut may go through a character */
        for (char *c = w->error; *c; c++)
                if (*c < ' ' || *c > '~')
                        *c = '?';
}

static int check_size(RpcWire *w) {
        if (w->end - w->start <= w->limit || rpc_wire_has_message(w))
                return 0;
        fail(w, "the message is longer than %zu bytes", w->limit);
        return -EMSGSIZE;
}

/* Makes room for size bytes behind what is there. */
static int make_room(RpcWire *w, size_t size) {
        size_t held = w->end - w->start, capacity;
        char *grown;

        if (w->capacity - w->end >= size)
                return 0;
        if (w->start > 0) {
                memmove(w->data, w->data + w->start, held);
                w->scanned -= w->start;
                w->start = 0;
                w->end = held;
        }
        if (w->capacity - w->end >= size)
                return 0;
        capacity = MAX(MAX(w->capacity * 2, held + size), CAPACITY_MIN);
        capacity = MIN(capacity, MAX(w->limit + 1 + READ_SIZE, held + size));
        grown = realloc(w->data, capacity);
        if (!grown)
                return -ENOMEM;
        w->data = grown;
        w->capacity = capacity;
        return 0;
}

int rpc_wire_push(RpcWire *w, const void *bytes, size_t size) {
        int r;

        if (size == 0)
                return 0;
        r = make_room(w, size);
        if (r < 0)
                return r;
        memcpy(w->data + w->end, bytes, size);
        w->end += size;
        return check_size(w);
}

ssize_t rpc_wire_receive(RpcWire *w, int fd, int flags) {
        /* on the stack, so that a connection that is silent costs nothing */
        char bytes[READ_SIZE];
        ssize_t n;
        int r;

        do
                n = recv(fd, bytes, sizeof(bytes), flags);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        r = rpc_wire_push(w, bytes, (size_t)n);
        return r < 0 ? r : n;
}

/* Counts brackets and values before the parser, which has limits of its own, makes memory of them.
 * Says nothing of what is no JSON: that is the parser's. */
static int check_shape(RpcWire *w, const char *text, size_t size) {
        size_t depth = 0, n_values = 0;
        bool quoted = false;

        for (size_t i = 0; i < size; i++) {
                char c = text[i];

                if (quoted) {
                        i += c == '\\';
                        quoted = c != '"';
                } else if (c == '"')
                        quoted = true;
                else if (c == '{' || c == '[') {
                        depth++;
                        n_values++;
                } else if ((c == '}' || c == ']') && depth > 0)
                        depth--;
                else if (c == ',')
                        n_values++;
                if (depth > RPC_DEPTH_MAX) {
                        fail(w, "objects and arrays lie more than %d deep", RPC_DEPTH_MAX);
                        return -EBADMSG;
                }
                if (n_values > RPC_VALUES_MAX(w->limit)) {
                        fail(w, "there are more than %zu values", RPC_VALUES_MAX(w->limit));
                        return -EBADMSG;
                }
        }
        return 0;
}

static int parse(RpcWire *w, const char *text, size_t size, json_t **ret) {
        json_error_t error;
        json_t *value;
        int r;

        if (size > w->limit) {
                fail(w, "the message is longer than %zu bytes", w->limit);
                return -EBADMSG;
        }
        r = check_shape(w, text, size);
        if (r < 0)
                return r;
        value = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
        if (!value && json_error_code(&error) == json_error_out_of_memory)
                return -ENOMEM;
        if (!value) {
                fail(w, "byte %d: %s", error.position, error.text);
                return -EBADMSG;
        }
        if (!json_is_object(value)) {
                json_decref(value);
                fail(w, "the message is an array, not an object");
                return -EBADMSG;
        }
        *ret = value;
        return 0;
}

/* Gives back the memory of a large message; a small buffer stays. */
static void shrink(RpcWire *w) {
        if (w->start < w->end)
                return;
        w->start = w->end = w->scanned = 0;
        if (w->capacity <= READ_SIZE)
                return;
        free(w->data);
        w->data = NULL;
        w->capacity = 0;
}

int rpc_wire_next(RpcWire *w, json_t **ret) {
        int r;

        if (!rpc_wire_has_message(w))
                return 0;
        r = parse(w, w->data + w->start, w->scanned - w->start, ret);
        w->start = ++w->scanned;
        shrink(w);
        return r < 0 ? r : 1;
}

char *rpc_wire_encode(const json_t *message, size_t *ret_size) {
        char *text = json_dumps(message, JSON_COMPACT);

        if (text)
                *ret_size = strlen(text) + 1;
        return text;
}
