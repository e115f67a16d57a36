/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One message to a local service that reads datagrams, as systemd and its journal do; never waits
 * for it: a service that has stopped reading must not stop whoever tells it something. */

#include "base/util.h"

/* Sends size bytes to the socket at address, a path or, after an '@', an abstract name, and with
 * them the descriptor `with`, unless that is -1, which stays open. 0, or a negative errno; -EAGAIN:
 * too much waits there to be read, and then *ret_blocked, unless ret_blocked is NULL, is a
 * descriptor of the caller's that can be written to, see poll(2), once there is room. It opens a
 * socket each time: who can open no file any more says nothing, either. */
int datagram_send(const char *address, const void *bytes, size_t size, int with, int *ret_blocked);
