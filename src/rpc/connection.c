/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rpc/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#define TIMER_ACCURACY_USEC 10000

struct RpcChunk {
        RpcChunk *next;
        size_t size, sent;
        char *bytes;
};

static bool is_ready(const RpcConnection *c) {
        return !c->call && c->queued == 0 && !c->closing && !c->broken;
}

static bool is_over(const RpcConnection *c) {
        if (c->broken || (c->closing && c->queued == 0))
                return true;
        return c->at_end && is_ready(c); /* the end is read only when no message waits */
}

static bool wants_input(RpcConnection *c) {
        return is_ready(c) && !c->at_end && !rpc_wire_has_message(&c->wire);
}

static RpcDeadline find_deadline(RpcConnection *c) {
        if (c->queued > 0)
                return RPC_DEADLINE_STALL;
        if (c->call)
                return RPC_DEADLINE_NONE;
        return rpc_wire_has_part(&c->wire) ? RPC_DEADLINE_PART : RPC_DEADLINE_IDLE;
}

static uint64_t deadline_usec(const RpcConnection *c) {
        const RpcServerOptions *o = &c->server->options;

        switch (c->deadline) {
        case RPC_DEADLINE_NONE:
                break;
        case RPC_DEADLINE_IDLE:
                return o->idle_usec;
        case RPC_DEADLINE_PART:
                return o->part_usec;
        case RPC_DEADLINE_STALL:
                return o->stall_usec;
        }
        return UINT64_MAX;
}

static uint64_t now_usec(void) {
        struct timespec t = {0};

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Time begins anew when something else is awaited than before; c->deadline is set to NONE where it
 * shall begin anew although the same is awaited. */
static int set_deadline(RpcConnection *c) {
        RpcDeadline deadline = find_deadline(c);
        int r;

        if (deadline == c->deadline && deadline != RPC_DEADLINE_NONE)
                return 0;
        c->deadline = deadline;
        if (deadline == RPC_DEADLINE_NONE)
                return sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
        /* not relative to the loop's own time, which stands still while a method runs */
        r = sd_event_source_set_time(c->timer, now_usec() + deadline_usec(c));
        return r < 0 ? r : sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

static int set_sources(RpcConnection *c) {
        bool is_due = is_over(c) || (is_ready(c) && rpc_wire_has_message(&c->wire));
        uint32_t events = (wants_input(c) ? EPOLLIN : 0) | (c->queued > 0 ? EPOLLOUT : 0);
        int r;

        r = sd_event_source_set_io_events(c->io, events);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(c->turn, is_due ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
        if (r < 0)
                return r;
        return set_deadline(c);
}

void rpc_connection_update(RpcConnection *c) {
        if (set_sources(c) >= 0)
                return;
        /* without memory; the turn was allocated from the start */
        c->broken = true;
        (void)sd_event_source_set_enabled(c->turn, SD_EVENT_ONESHOT);
}

/* At the end of every event of the connection's own. */
static int settle(RpcConnection *c) {
        if (is_over(c))
                (void)rpc_connection_free(c);
        else
                rpc_connection_update(c);
        return 0; /* anything else would switch the source off */
}

static void drop_chunk(RpcConnection *c) {
        RpcChunk *chunk = c->chunks;

        c->chunks = chunk->next;
        if (!c->chunks)
                c->last = NULL;
        free(chunk->bytes);
        free(chunk);
}

static void send_queued(RpcConnection *c) {
        while (c->chunks && !c->broken) {
                RpcChunk *chunk = c->chunks;
                ssize_t n = send(c->fd, chunk->bytes + chunk->sent, chunk->size - chunk->sent,
                                 MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n < 0) {
                        c->broken = true;
                        return;
                }
                chunk->sent += (size_t)n;
                c->queued -= (size_t)n;
                c->server->queued -= (size_t)n;
                c->deadline = RPC_DEADLINE_NONE;
                if (chunk->sent == chunk->size)
                        drop_chunk(c);
        }
}

/* One answer may be as large as it likes; those behind it may not pile up. */
static bool has_room(const RpcConnection *c, size_t size) {
        if (c->queued > 0 && c->queued + size > RPC_QUEUE_MAX)
                return false;
        return c->peer.uid == 0 || c->server->queued + size <= RPC_QUEUE_MAX_OTHERS;
}

static int append_chunk(RpcConnection *c, char *bytes, size_t size) {
        RpcChunk *chunk = malloc(sizeof(*chunk));

        if (!chunk)
                return -ENOMEM;
        *chunk = (RpcChunk){.bytes = bytes, .size = size};
        if (c->last)
                c->last->next = chunk;
        else
                c->chunks = chunk;
        c->last = chunk;
        c->queued += size;
        c->server->queued += size;
        return 0;
}

int rpc_connection_send(RpcConnection *c, const json_t *message) {
        _cleanup_free_ char *bytes = NULL;
        size_t size;

        if (c->broken)
                return -EPIPE;
        bytes = message ? rpc_wire_encode(message, &size) : NULL;
        if (bytes && size > RPC_REPLY_MAX)
                return -EMSGSIZE;
        if (bytes && !has_room(c, size)) {
                c->server->counts.unread++;
                c->broken = true;
                return -ENOBUFS;
        }
        if (!bytes || append_chunk(c, bytes, size) < 0) {
                c->broken = true; /* an answer left out would let the next one pass for it */
                return -ENOMEM;
        }
        bytes = NULL;
        send_queued(c);
        return c->broken ? -EPIPE : 0;
}

json_t *rpc_error_reply(const char *error, const char *key, const char *text) {
        json_t *parameters = text ? json_pack("{s:s}", key, text) : NULL, *message;

        if (!parameters)
                return NULL;
        message = rpc_envelope_reply(error, parameters, false);
        json_decref(parameters);
        return message;
}

void rpc_connection_reject(RpcConnection *c, const char *error, const char *text) {
        json_t *message = rpc_error_reply(error, "message", text);

        c->closing = true;
        (void)rpc_connection_send(c, message); /* ends either way */
        json_decref(message);
}

static void receive(RpcConnection *c) {
        ssize_t n = rpc_wire_receive(&c->wire, c->fd, MSG_DONTWAIT);

        if (n == -EAGAIN)
                return;
        if (n == -EMSGSIZE) {
                c->server->counts.invalid++;
                rpc_connection_reject(c, RPC_INVALID_MESSAGE, c->wire.error);
        } else if (n < 0)
                c->broken = true;
        else if (n == 0)
                c->at_end = true;
}

/* Takes one message only, so that all connections have their turn. */
static void take_message(RpcConnection *c) {
        json_t *message;
        int r;

        if (!is_ready(c))
                return;
        r = rpc_wire_next(&c->wire, &message);
        if (r == 0)
                return;
        c->deadline = RPC_DEADLINE_NONE;
        if (r > 0)
                rpc_call_run(c, message);
        else if (r == -EBADMSG) {
                c->server->counts.invalid++;
                rpc_connection_reject(c, RPC_INVALID_MESSAGE, c->wire.error);
        } else
                c->broken = true;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        RpcConnection *c = userdata;

        if (events & EPOLLOUT)
                send_queued(c);
        /* the peer is gone for good, not only done with sending; what it sent before is still run,
         * unless there is a call or an answer in between */
        if ((events & (EPOLLHUP | EPOLLERR)) && (c->call || c->queued > 0))
                c->broken = true;
        if (wants_input(c))
                receive(c);
        take_message(c);
        return settle(c);
}

static int on_turn(sd_event_source *source, uint64_t usec, void *userdata) {
        take_message(userdata);
        return settle(userdata);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        RpcConnection *c = userdata;
        RpcDeadline missed = c->deadline;
        char text[RPC_WIRE_ERROR_MAX];

        /* the loop may have been late itself: what has come in the meantime counts */
        send_queued(c);
        if (wants_input(c))
                receive(c);
        if (find_deadline(c) != missed || c->deadline == RPC_DEADLINE_NONE || c->broken ||
            rpc_wire_has_message(&c->wire)) {
                c->deadline = RPC_DEADLINE_NONE;
                return settle(c);
        }
        switch (missed) {
        case RPC_DEADLINE_NONE:
                break;
        case RPC_DEADLINE_IDLE:
                c->closing = true;
                break;
        case RPC_DEADLINE_PART:
                c->server->counts.late++;
                (void)snprintf(text, sizeof(text),
                               "the message was not complete after %.0f seconds",
                               (double)deadline_usec(c) / 1e6);
                rpc_connection_reject(c, RPC_INVALID_MESSAGE, text);
                break;
        case RPC_DEADLINE_STALL:
                c->server->counts.unread++;
                c->broken = true;
                break;
        }
        c->deadline = RPC_DEADLINE_NONE;
        return settle(c);
}

static int add_sources(RpcConnection *c) {
        sd_event *event = c->server->event;
        int64_t priority = c->server->options.priority - (c->peer.uid == 0);
        int r;

        r = sd_event_add_io(event, &c->io, c->fd, 0, on_io, c);
        if (r < 0)
                return r;
        /* a moment that has passed; a deferred source counts as pending since it was made, and
         * would come before all others again and again */
        r = sd_event_add_time(event, &c->turn, CLOCK_MONOTONIC, 1, 1, on_turn, c);
        if (r < 0)
                return r;
        r = sd_event_add_time(event, &c->timer, CLOCK_MONOTONIC, UINT64_MAX, TIMER_ACCURACY_USEC,
                              on_timer, c);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(c->io, priority);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(c->turn, priority);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(c->timer, priority);
        return r < 0 ? r : set_sources(c);
}

int rpc_connection_new(RpcServer *s, int fd, RpcPeer *peer, RpcConnection **ret) {
        RpcConnection *c = calloc(1, sizeof(*c));
        int r;

        if (!c) {
                (void)close(fd);
                rpc_peer_done(peer);
                return -ENOMEM;
        }
        c->server = s;
        c->fd = fd;
        c->peer = *peer;
        *peer = (RpcPeer){.pidfd = -1};
        rpc_wire_init(&c->wire, c->peer.uid == 0 ? RPC_MESSAGE_MAX : RPC_MESSAGE_MAX_OTHERS);
        r = add_sources(c);
        if (r < 0) {
                (void)rpc_connection_free(c);
                return r;
        }
        *ret = c;
        return 0;
}

RpcConnection *rpc_connection_free(RpcConnection *c) {
        if (!c)
                return NULL;
        rpc_call_abandon(TAKE_PTR(c->call));
        rpc_server_forget(c->server, c);
        c->server->queued -= c->queued;
        while (c->chunks)
                drop_chunk(c);
        (void)sd_event_source_disable_unref(c->io);
        (void)sd_event_source_disable_unref(c->turn);
        (void)sd_event_source_disable_unref(c->timer);
        rpc_wire_done(&c->wire);
        rpc_peer_done(&c->peer);
        closep(&c->fd);
        free(c);
        return NULL;
}
