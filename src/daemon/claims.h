/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the policy claims, watched: the proof that `ringwall verify` makes is made again whenever
 * something may have changed, in a child that ends with it. See claims.c. */

#include <jansson.h>

#include "daemon/daemon.h"
#include "guard/claims.h"

/* What is known, for `status`. */
json_t *claims_json(const Daemon *d);

/* One proof, in the child: reads the entry and the kernel, and writes what it found to fd as JSON.
 * `book`: which claims are told of although they are proved. */
_noreturn_ void claims_prove(const Daemon *d, uint32_t entry, const ClaimBook *book, int fd);
