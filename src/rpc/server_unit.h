/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For tests: a server of the sample in the test's own event loop, and clients that are plain
 * sockets. Nothing here waits for longer than WORLD_PATIENCE_USEC. */

#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/unit.h"
#include "rpc/sample.h"
#include "rpc/socket.h"
#include "rpc/wire.h"

#define WORLD_PATIENCE_USEC 60000000
#define WORLD_GROUP 4242 /* whose members may read */
#define WORLD_NOBODY 65534

typedef struct World {
        sd_event *event;
        Sample sample;
        char folder[32], path[64];
} World;

/* Opens the world; deadlines of options only, 0 for those that are not to come. */
static inline World *world_open(RpcServerOptions deadlines) {
        World *w = calloc(1, sizeof(*w));
        RpcServerOptions options = deadlines;
        int fd;

        assert_non_null(w);
        options.interfaces = sample_interfaces;
        options.context = &w->sample;
        options.group = WORLD_GROUP;
        options.vendor = "ringwall";
        options.product = "sample";
        options.version = "1";
        options.url = "https://example.org/";
        (void)strcpy(w->folder, "/tmp/ringwall-rpc-XXXXXX");
        assert_non_null(mkdtemp(w->folder));
        assert_int_equal(chmod(w->folder, 0755), 0);
        (void)snprintf(w->path, sizeof(w->path), "%s/io.ringwall", w->folder);
        assert_true(sd_event_new(&w->event) >= 0);
        assert_int_equal(rpc_server_new(w->event, &options, &w->sample.server), 0);
        fd = rpc_socket_listen(w->path, 0666, RPC_NO_GROUP);
        assert_true(fd >= 0);
        assert_int_equal(rpc_server_listen(w->sample.server, fd), 0);
        return w;
}

static inline void world_close(World *w) {
        w->sample.server = rpc_server_free(w->sample.server);
        assert_null(sd_event_unref(w->event));
        assert_int_equal(unlink(w->path), 0);
        assert_int_equal(rmdir(w->folder), 0);
        free(w);
}

static inline const RpcCounts *world_counts(const World *w) {
        return rpc_server_counts(w->sample.server);
}

/* Runs the loop once, waiting for at most usec. */
static inline void world_turn(World *w, uint64_t usec) {
        assert_true(sd_event_run(w->event, usec) >= 0);
}

/* Runs the loop until nothing happens any more. */
static inline void world_settle(World *w) {
        for (int i = 0; i < 100000; i++)
                if (sd_event_run(w->event, 0) == 0)
                        return;
        fail_msg("the loop does not come to rest");
}

/* Runs the loop until the condition holds. */
#define world_await(w, condition)                                                                  \
        do {                                                                                       \
                uint64_t _now, _end;                                                               \
                assert_true(sd_event_now((w)->event, CLOCK_MONOTONIC, &_now) >= 0);                \
                _end = _now + WORLD_PATIENCE_USEC;                                                 \
                while (!(condition)) {                                                             \
                        world_turn((w), 10000);                                                    \
                        assert_true(sd_event_now((w)->event, CLOCK_MONOTONIC, &_now) >= 0);        \
                        if (_now > _end)                                                           \
                                fail_msg("this did not happen: %s", #condition);                   \
                }                                                                                  \
        } while (0)

/* A client as root. */
static inline int world_connect(World *w) {
        int fd = rpc_socket_connect(w->path, WORLD_PATIENCE_USEC);

        assert_true(fd >= 0);
        return fd;
}

/* A client as another user, in its own group and one more. */
static inline int world_connect_as(World *w, uid_t uid, gid_t gid, gid_t supplementary) {
        int fd;

        assert_int_equal(setgroups(1, &supplementary), 0);
        assert_int_equal(setegid(gid), 0);
        assert_int_equal(seteuid(uid), 0);
        fd = world_connect(w);
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(setegid(0), 0);
        assert_int_equal(setgroups(0, NULL), 0);
        return fd;
}

static inline void world_hang_up(int fd) {
        assert_int_equal(close(fd), 0);
}

/* Sends bytes; those of a text with its NUL byte, which ends a message. */
static inline void world_send_bytes(int fd, const void *bytes, size_t size) {
        assert_int_equal(send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL), size);
}

static inline void world_send(int fd, const char *text) {
        world_send_bytes(fd, text, strlen(text) + 1);
}

/* The next reply, as compact text with sorted keys; "" at the end of the stream. To be freed. */
static inline char *world_reply(World *w, int fd) {
        json_t *message = NULL;
        char *text;
        RpcWire wire;
        ssize_t n = -EAGAIN;
        char byte;

        rpc_wire_init(&wire, RPC_REPLY_MAX);
        world_await(w, (n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
        /* byte by byte, so that what follows stays in the socket for the next time */
        while (!message && n != 0) {
                world_await(w, (n = recv(fd, &byte, 1, MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
                if (n <= 0)
                        break;
                assert_int_equal(rpc_wire_push(&wire, &byte, 1), 0);
                if (byte == 0)
                        assert_int_equal(rpc_wire_next(&wire, &message), 1);
        }
        rpc_wire_done(&wire);
        text = message ? json_dumps(message, JSON_COMPACT | JSON_SORT_KEYS) : strdup("");
        json_decref(message);
        assert_non_null(text);
        return text;
}

static inline void world_expect(World *w, int fd, const char *reply) {
        char *text = world_reply(w, fd);

        unit_string(reply, text, reply);
        free(text);
}

/* The stream is at its end, which a reset is, too. */
static inline void world_expect_end(World *w, int fd) {
        world_expect(w, fd, "");
        world_hang_up(fd);
}

static inline void world_call(World *w, int fd, const char *call, const char *reply) {
        world_send(fd, call);
        world_expect(w, fd, reply);
}

#define CALL(method) "{\"method\":\"io.ringwall." method "\"}"
#define NOTHING "{\"parameters\":{}}"
