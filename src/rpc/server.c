/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rpc/server.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "rpc/connection.h"
#include "rpc/socket.h"

#define ACCEPT_BURST 32   /* connections a turn, so that those that are there get theirs */
#define PAUSE_USEC 200000 /* while there are no descriptors or no memory */
#define PAUSE_ACCURACY_USEC 10000
#define REFUSAL_MAX 160

static bool is_lack(int error) {
        return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

/* Until there is room again, those who come wait in connect(). */
static void set_listening(RpcServer *s, bool on) {
        if (s->listener)
                (void)sd_event_source_set_enabled(s->listener, on ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata) {
        RpcServer *s = userdata;

        set_listening(s, s->n_connections < RPC_CLIENTS_MAX);
        return 0;
}

static void pause_listening(RpcServer *s) {
        set_listening(s, false);
        if (sd_event_source_set_time_relative(s->pause, PAUSE_USEC) < 0 ||
            sd_event_source_set_enabled(s->pause, SD_EVENT_ONESHOT) < 0)
                set_listening(s, true); /* rather busy than deaf */
}

/* Whether one more of that user may come; if not, why. */
static bool has_room(const RpcServer *s, uid_t uid, char why[REFUSAL_MAX]) {
        size_t n_others = 0, n_own = 0;
        const RpcConnection *c;

        for (c = s->connections; c; c = c->next) {
                n_others += c->peer.uid != 0;
                n_own += c->peer.uid == uid;
        }
        if (uid != 0 && n_own >= RPC_CLIENTS_PER_USER) {
                (void)snprintf(why, REFUSAL_MAX,
                               "user %u has %zu connections already: close one, or try again later",
                               uid, n_own);
                return false;
        }
        if ((uid != 0 && n_others >= RPC_CLIENTS_MAX - RPC_CLIENTS_RESERVED) ||
            s->n_connections >= RPC_CLIENTS_MAX) {
                (void)snprintf(why, REFUSAL_MAX,
                               "there are %zu connections already: try again later",
                               s->n_connections);
                return false;
        }
        return true;
}

/* Says why, as far as the socket takes it, and forgets about it. */
static void refuse(RpcServer *s, int fd, const char *why) {
        json_t *message = rpc_error_reply(RPC_TOO_MANY_CLIENTS, "message", why);
        size_t size;
        _cleanup_free_ char *bytes = message ? rpc_wire_encode(message, &size) : NULL;

        s->counts.refused++;
        if (bytes)
                (void)send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL); /* it is a courtesy */
        json_decref(message);
}

static void add(RpcServer *s, RpcConnection *c) {
        c->next = s->connections;
        if (c->next)
                c->next->prev = c;
        s->connections = c;
        s->n_connections++;
        s->counts.accepted++;
}

void rpc_server_forget(RpcServer *s, RpcConnection *c) {
        if (!c->prev && s->connections != c)
                return; /* half made */
        if (c->prev)
                c->prev->next = c->next;
        else
                s->connections = c->next;
        if (c->next)
                c->next->prev = c->prev;
        s->n_connections--;
        if (sd_event_source_get_enabled(s->pause, NULL) == 0)
                set_listening(s, true);
}

int rpc_server_add(RpcServer *s, int fd) {
        char why[REFUSAL_MAX];
        RpcConnection *c;
        RpcPeer peer;
        int r = rpc_peer_read(fd, s->options.group, &peer);

        if (r < 0) {
                (void)close(fd);
                return r;
        }
        if (!has_room(s, peer.uid, why)) {
                refuse(s, fd, why);
                rpc_peer_done(&peer);
                (void)close(fd);
                return -EBUSY;
        }
        r = rpc_connection_new(s, fd, &peer, &c);
        if (r < 0)
                return r;
        add(s, c);
        return 0;
}

static int on_listener(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        RpcServer *s = userdata;

        for (int i = 0; i < ACCEPT_BURST && s->n_connections < RPC_CLIENTS_MAX; i++) {
                int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                int r = client < 0 ? -errno : rpc_server_add(s, client);

                if (r == -EAGAIN)
                        return 0;
                if (is_lack(r)) {
                        pause_listening(s);
                        return 0;
                }
                /* what else can go wrong is that client's trouble */
        }
        if (s->n_connections >= RPC_CLIENTS_MAX)
                set_listening(s, false);
        return 0;
}

int rpc_server_listen(RpcServer *s, int fd) {
        sd_event_source *listener = NULL;
        int flags = fcntl(fd, F_GETFL), r;

        if (sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) <= 0 || flags < 0)
                return -EINVAL;
        if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        r = sd_event_add_io(s->event, &listener, fd, EPOLLIN, on_listener, s);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(listener, s->options.priority);
        if (r >= 0)
                r = sd_event_source_set_io_fd_own(listener, 1);
        if (r < 0) {
                (void)sd_event_source_disable_unref(listener);
                return r;
        }
        (void)sd_event_source_disable_unref(s->listener);
        s->listener = listener;
        return 0;
}

int rpc_server_new(sd_event *event, const RpcServerOptions *options, RpcServer **ret) {
        _cleanup_(rpc_server_freep) RpcServer *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->event = sd_event_ref(event);
        s->options = *options;
        if (s->options.part_usec == 0)
                s->options.part_usec = RPC_PART_USEC;
        if (s->options.stall_usec == 0)
                s->options.stall_usec = RPC_STALL_USEC;
        if (s->options.idle_usec == 0)
                s->options.idle_usec = RPC_IDLE_USEC;
        r = sd_event_add_time(event, &s->pause, CLOCK_MONOTONIC, UINT64_MAX, PAUSE_ACCURACY_USEC,
                              on_pause_over, s);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(s->pause, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

RpcServer *rpc_server_free(RpcServer *s) {
        if (!s)
                return NULL;
        s->listener = sd_event_source_disable_unref(s->listener);
        while (s->connections)
                (void)rpc_connection_free(s->connections);
        (void)sd_event_source_disable_unref(s->pause);
        (void)sd_event_unref(s->event);
        free(s);
        return NULL;
}

const RpcCounts *rpc_server_counts(const RpcServer *s) {
        return &s->counts;
}

size_t rpc_server_clients(const RpcServer *s) {
        return s->n_connections;
}
