/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A call that waits for its answer. It belongs to the server, which frees it as soon as it is
 * answered, or when there is nobody left to answer to. */

#include "rpc/method.h"

/* The call's client is gone, or the server is; the call is freed when this returns, and must not be
 * answered any more. That nobody waits does not mean that the effect is not wanted. */
typedef void (*RpcCallGone)(RpcCall *call, void *userdata);

/* Who called. pidfd and all are the call's. */
const RpcPeer *rpc_call_peer(const RpcCall *call);
/* Whether the caller takes more than one answer. Only of methods with RPC_MORE. */
bool rpc_call_wants_more(const RpcCall *call);

/* Keeps the call beyond the method's return, to be answered later. While it waits, no further call
 * of the same connection runs. gone is not called after the answer, nor from within any of the
 * functions here; it is never NULL. */
void rpc_call_defer(RpcCall *call, RpcCallGone gone, void *userdata);

/* All of these take parameters over, an object; NULL counts as memory that ran out. They return 0,
 * or a negative errno if the answer cannot reach the caller; the caller is then gone, or will be
 * told that this answer was impossible. */

/* The answer, or the last of several. The call is freed in any case. */
int rpc_call_reply(RpcCall *call, json_t *parameters);
/* An answer that others follow; only if rpc_call_wants_more(). After a failure nothing more reaches
 * the caller; the call stays, and gone tells of its end. */
int rpc_call_notify(RpcCall *call, json_t *parameters);
/* An error of a full name instead of an answer. The call is freed in any case. */
int rpc_call_error(RpcCall *call, const char *error, json_t *parameters);
/* RPC_FAILED with a message. The call is freed in any case. */
int rpc_call_fail(RpcCall *call, const char *format, ...) _printf_(2, 3);
