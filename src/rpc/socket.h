/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The socket in the file system. */

#include <sys/types.h>

#include "base/util.h"

/* Listens at path, whose folder exists: a descriptor, the caller's, or a negative errno.
 * -EADDRINUSE if somebody else listens there, -ENAMETOOLONG past some hundred bytes. What a dead
 * process left there is replaced. Nobody can connect before mode and group are set; group
 * RPC_NO_GROUP leaves the group as it comes. */
int rpc_socket_listen(const char *path, mode_t mode, gid_t group);

/* Connects: a descriptor, the caller's, or a negative errno; -EAGAIN if the other side did not take
 * us in within timeout_usec. */
int rpc_socket_connect(const char *path, uint64_t timeout_usec);
