/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Which socket unit process 1 holds a listening socket for. Systemd says it over its bus alone, and
 * nothing here speaks to that. */

#include "host/tree.h"
#include "nft/sockets.h"

/* Looks among the socket units whose names begin with prefix ("ssh"). By the control group that the
 * socket was made in, where the kernel and systemd tell it; else by the ports that the units' files
 * name. 0 with NULL if it is none of them; -ENOMEM. */
int socket_unit_find(const Tree *t, const HostSocket *socket, const char *prefix, const char **ret);
