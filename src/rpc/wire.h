/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A stream of bytes as Varlink's messages: JSON objects, each ended by a NUL byte. The peer is
 * not trusted: what it can make us hold is bounded by the limits given to rpc_wire_init(). */

#include <jansson.h>

#include "base/util.h"

#define RPC_MESSAGE_MAX ((size_t)1 << 20)         /* bytes of a call from root */
#define RPC_MESSAGE_MAX_OTHERS ((size_t)64 << 10) /* bytes of a call from anybody else */
/* Bytes of a reply: what the server sends, which does nothing else while it writes one down (16 MiB
 * take about a fifth of a second); longer lists are several replies. What the client takes. */
#define RPC_REPLY_MAX ((size_t)16 << 20)
#define RPC_REPLY_MAX_TAKEN ((size_t)64 << 20)
#define RPC_DEPTH_MAX 32 /* objects and arrays within each other */
/* Values in a message of which at most `limit` bytes are taken; each costs a hundred bytes or more
 * of memory, and needs no more than two of the message. */
#define RPC_VALUES_MAX(limit) ((limit) / 8)
#define RPC_WIRE_ERROR_MAX 160

typedef struct RpcWire {
        char *data;
        size_t capacity;
        size_t start, end;              /* of what came in and was not taken out */
        size_t scanned;                 /* up to here there is no NUL byte */
        size_t limit;                   /* bytes of one message, without its NUL byte */
        char error[RPC_WIRE_ERROR_MAX]; /* printable ASCII */
} RpcWire;

void rpc_wire_init(RpcWire *w, size_t limit);
void rpc_wire_done(RpcWire *w);

/* Takes in bytes; what is complete is to be taken out before more is taken in. -EMSGSIZE if a
 * message is larger than the limit, w->error says so, or -ENOMEM. */
int rpc_wire_push(RpcWire *w, const void *bytes, size_t size);
/* The same from a socket, by one recv() of at most 64 KiB: how many bytes came, 0 at the end of the
 * stream, or what recv() said. Descriptors that were sent along are closed by the kernel. */
ssize_t rpc_wire_receive(RpcWire *w, int fd, int flags);

/* Takes the next message out. 1: *ret is an object, the caller's; 0: none is complete; -EBADMSG:
 * not an object of JSON, with a duplicate key, beyond the limits, w->error says what; -ENOMEM.
 * After an error the stream is of no more use. */
int rpc_wire_next(RpcWire *w, json_t **ret);

/* Whether a whole message waits, and whether a part of one does. */
bool rpc_wire_has_message(RpcWire *w);
bool rpc_wire_has_part(RpcWire *w);

/* The message's text with its NUL byte, to be freed; its size counts the NUL byte. NULL without
 * memory, or for what cannot be written as JSON. */
char *rpc_wire_encode(const json_t *message, size_t *ret_size);
