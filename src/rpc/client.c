/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rpc/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "doc/text_check.h"
#include "rpc/envelope.h"
#include "rpc/socket.h"
#include "rpc/wire.h"

#define DAEMON "ringwalld"
#define HINT_RUNNING "is " DAEMON " running? systemctl status " DAEMON
#define HINT_VERSIONS                                                                              \
        "this program and " DAEMON " are of different versions: systemctl restart " DAEMON

struct RpcClient {
        int fd;
        char *path;
        char *method;          /* the one that was called last, for messages */
        uint64_t timeout_usec; /* what the caller gave last, for messages */
        RpcWire wire;
};

static const Span nowhere; /* these messages are about no file */

static uint64_t now_usec(void) {
        struct timespec t;

        if (clock_gettime(CLOCK_MONOTONIC, &t) < 0)
                return 0;
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t deadline_after(uint64_t timeout_usec) {
        uint64_t now = now_usec();

        return timeout_usec > UINT64_MAX - now ? UINT64_MAX : now + timeout_usec;
}

static uint64_t usec_left(uint64_t deadline) {
        uint64_t now = now_usec();

        if (deadline == UINT64_MAX)
                return UINT64_MAX;
        return deadline > now ? deadline - now : 0;
}

static void report_connect(const char *path, int r, Diag *d) {
        if (r == -ENOENT)
                (void)diag_error(d, nowhere, "there is no socket at %s", path);
        else if (r == -ECONNREFUSED)
                (void)diag_error(d, nowhere, "nobody answers at %s", path);
        else if (r == -EAGAIN)
                (void)diag_error(d, nowhere, DAEMON " at %s takes no more connections", path);
        else
                (void)diag_error(d, nowhere, "cannot connect to %s: %s", path, strerror(-r));
        if (rpc_is_absent(r))
                diag_hint(d, HINT_RUNNING);
        else if (r == -EAGAIN)
                diag_hint(d, "journalctl -u " DAEMON " may tell why");
        else if (r == -EACCES || r == -EPERM)
                diag_hint(d, "try sudo; members of the group '" RPC_GROUP_NAME "' may ask, too");
}

int rpc_client_open(const char *path, uint64_t timeout_usec, RpcClient **ret, Diag *d) {
        _cleanup_(rpc_client_closep) RpcClient *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->fd = -1;
        rpc_wire_init(&c->wire, RPC_REPLY_MAX_TAKEN);
        c->path = strdup(path);
        if (!c->path)
                return -ENOMEM;
        c->fd = rpc_socket_connect(path, timeout_usec);
        if (c->fd < 0) {
                report_connect(path, c->fd, d);
                return c->fd == -EAGAIN ? -ETIMEDOUT : c->fd;
        }
        *ret = TAKE_PTR(c);
        return 0;
}

RpcClient *rpc_client_close(RpcClient *c) {
        if (!c)
                return NULL;
        closep(&c->fd);
        rpc_wire_done(&c->wire);
        free(c->path);
        free(c->method);
        free(c);
        return NULL;
}

int rpc_client_fd(const RpcClient *c) {
        return c->fd;
}

void rpc_answer_done(RpcAnswer *answer) {
        json_decref(answer->parameters);
        free(answer->error);
        *answer = (RpcAnswer){0};
}

/* 0 when one of the events is there, or -ETIMEDOUT. */
static int wait_for(const RpcClient *c, short events, uint64_t deadline) {
        struct pollfd p = {.fd = c->fd, .events = events};

        for (;;) {
                uint64_t left = usec_left(deadline);
                struct timespec t = {
                        .tv_sec = (time_t)(left / 1000000),
                        .tv_nsec = (long)(left % 1000000) * 1000,
                };
                int n = ppoll(&p, 1, left == UINT64_MAX ? NULL : &t, NULL);

                if (n > 0)
                        return 0;
                if (n == 0)
                        return -ETIMEDOUT;
                if (errno != EINTR)
                        return -errno;
        }
}

static int report_timeout(const RpcClient *c, Diag *d) {
        (void)diag_error(d, nowhere, DAEMON " at %s did not answer within %.3g seconds", c->path,
                         (double)c->timeout_usec / 1e6);
        diag_hint(d, "it may still be busy with it: systemctl status " DAEMON);
        return -ETIMEDOUT;
}

/* The same whether the server has closed or was killed. */
static int report_end(const RpcClient *c, Diag *d) {
        (void)diag_error(d, nowhere, DAEMON " at %s closed the connection without an answer",
                         c->path);
        diag_hint(d, HINT_RUNNING);
        return -ECONNRESET;
}

static int report_protocol(const RpcClient *c, const char *what, Diag *d) {
        (void)diag_error(d, nowhere, "what answers at %s does not speak Varlink: %s", c->path,
                         what);
        diag_hint(d, "is it " DAEMON "? ss -xlp src %s", c->path);
        return -EPROTO;
}

static int send_bytes(const RpcClient *c, const char *bytes, size_t size, uint64_t deadline) {
        while (size > 0) {
                ssize_t n = send(c->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
                int r = n < 0 ? -errno : 0;

                if (r == -EAGAIN)
                        r = wait_for(c, POLLOUT, deadline);
                if (r < 0 && r != -EINTR)
                        return r;
                if (n > 0) {
                        bytes += n;
                        size -= (size_t)n;
                }
        }
        return 0;
}

static int send_until(RpcClient *c,
                      const char *method,
                      json_t *parameters,
                      RpcSendFlags flags,
                      uint64_t deadline,
                      Diag *d) {
        json_t *message = rpc_envelope_call(method, parameters, flags & RPC_SEND_MORE,
                                            flags & RPC_SEND_ONEWAY);
        size_t size;
        _cleanup_free_ char *bytes = message ? rpc_wire_encode(message, &size) : NULL;
        int r;

        json_decref(message);
        free(c->method);
        c->method = strdup(method);
        if (!bytes || !c->method)
                return -ENOMEM;
        if (size - 1 > RPC_MESSAGE_MAX) {
                (void)diag_error(d, nowhere, "this is %zu bytes; " DAEMON " takes %zu at most",
                                 size - 1, RPC_MESSAGE_MAX);
                return -EMSGSIZE;
        }
        r = send_bytes(c, bytes, size, deadline);
        if (r == -ETIMEDOUT)
                return report_timeout(c, d);
        /* a server that has closed may have said why before: next_until() tells */
        if (r == -EPIPE || r == -ECONNRESET)
                return flags & RPC_SEND_ONEWAY ? report_end(c, d) : 0;
        if (r < 0)
                (void)diag_error(d, nowhere, "cannot send to %s: %s", c->path, strerror(-r));
        return r;
}

/* What the server says may hold what others wrote: it must not reach the terminal as it is. */
static const char *printable(Arena *a, const char *s) {
        size_t size = strlen(s), len = 0;
        char *text = arena_alloc(a, size + 1), *end = text;
        uint32_t character;

        for (; text && size > 0; s += len, size -= len) {
                len = text_decode(s, size, &character);
                if (len > 0 && character != '\r' && text_character_is_fit(character)) {
                        memcpy(end, s, len);
                        end += len;
                } else {
                        len = MAX(len, (size_t)1);
                        *end++ = '?';
                }
        }
        return text ? text : "out of memory";
}

static const char *parameter(const RpcAnswer *answer, const char *name, Diag *d) {
        const char *value = json_string_value(json_object_get(answer->parameters, name));

        return value ? printable(d->arena, value) : NULL;
}

static void report_error(const RpcClient *c, const RpcAnswer *answer, Diag *d) {
        const char *message = parameter(answer, "message", d);
        const char *name = parameter(answer, "parameter", d);

        if (message) {
                (void)diag_error(d, nowhere, "%s", message);
                return;
        }
        if (streq(answer->error, RPC_METHOD_NOT_FOUND) ||
            streq(answer->error, RPC_INTERFACE_NOT_FOUND))
                (void)diag_error(d, nowhere, DAEMON " at %s does not know %s", c->path, c->method);
        else if (streq(answer->error, RPC_INVALID_PARAMETER) && name)
                (void)diag_error(d, nowhere, DAEMON " at %s does not take the '%s' of this %s",
                                 c->path, name, c->method);
        else {
                (void)diag_error(d, nowhere, DAEMON " at %s answered %s to %s", c->path,
                                 printable(d->arena, answer->error), c->method);
                return;
        }
        diag_hint(d, HINT_VERSIONS);
}

/* Takes the message over. */
static int read_answer(const RpcClient *c, json_t *message, RpcAnswer *ret, Diag *d) {
        RpcEnvelope envelope;
        RpcFieldError e;
        char *error = NULL;

        if (rpc_envelope_read_reply(message, &envelope, &e) < 0) {
                json_decref(message);
                return report_protocol(c, "this is no reply", d);
        }
        if (envelope.error)
                error = strdup(envelope.error);
        *ret = (RpcAnswer){
                .parameters =
                        envelope.parameters ? json_incref(envelope.parameters) : json_object(),
                .error = error,
                .continues = envelope.continues,
        };
        if (!ret->parameters || (envelope.error && !error)) {
                rpc_answer_done(ret);
                json_decref(message);
                return -ENOMEM;
        }
        json_decref(message);
        if (error)
                report_error(c, ret, d);
        return error ? 1 : 0;
}

static int next_until(RpcClient *c, uint64_t deadline, RpcAnswer *ret, Diag *d) {
        json_t *message;
        ssize_t n;
        int r;

        for (;;) {
                r = rpc_wire_next(&c->wire, &message);
                if (r > 0)
                        return read_answer(c, message, ret, d);
                if (r == -EBADMSG)
                        return report_protocol(c, c->wire.error, d);
                if (r < 0)
                        return r;
                n = rpc_wire_receive(&c->wire, c->fd, MSG_DONTWAIT);
                if (n == 0 || n == -ECONNRESET)
                        return report_end(c, d);
                if (n == -EMSGSIZE)
                        return report_protocol(c, c->wire.error, d);
                if (n < 0 && n != -EAGAIN) {
                        (void)diag_error(d, nowhere, "cannot read from %s: %s", c->path,
                                         strerror((int)-n));
                        return (int)n;
                }
                r = n < 0 ? wait_for(c, POLLIN, deadline) : 0;
                if (r == -ETIMEDOUT)
                        return report_timeout(c, d);
                if (r < 0)
                        return r;
        }
}

int rpc_client_send(RpcClient *c,
                    const char *method,
                    json_t *parameters,
                    RpcSendFlags flags,
                    uint64_t timeout_usec,
                    Diag *d) {
        c->timeout_usec = timeout_usec;
        return send_until(c, method, parameters, flags, deadline_after(timeout_usec), d);
}

int rpc_client_next(RpcClient *c, uint64_t timeout_usec, RpcAnswer *ret, Diag *d) {
        c->timeout_usec = timeout_usec;
        return next_until(c, deadline_after(timeout_usec), ret, d);
}

static int call_until(RpcClient *c,
                      const char *method,
                      json_t *parameters,
                      uint64_t deadline,
                      RpcAnswer *ret,
                      Diag *d) {
        int r = send_until(c, method, parameters, 0, deadline, d);

        return r < 0 ? r : next_until(c, deadline, ret, d);
}

int rpc_client_call(RpcClient *c,
                    const char *method,
                    json_t *parameters,
                    uint64_t timeout_usec,
                    RpcAnswer *ret,
                    Diag *d) {
        c->timeout_usec = timeout_usec;
        return call_until(c, method, parameters, deadline_after(timeout_usec), ret, d);
}

int rpc_call(const char *path,
             const char *method,
             json_t *parameters,
             uint64_t timeout_usec,
             RpcAnswer *ret,
             Diag *d) {
        uint64_t deadline = deadline_after(timeout_usec);
        _cleanup_(rpc_client_closep) RpcClient *c = NULL;
        int r = rpc_client_open(path, timeout_usec, &c, d);

        if (r < 0)
                return r;
        c->timeout_usec = timeout_usec;
        return call_until(c, method, parameters, deadline, ret, d);
}
