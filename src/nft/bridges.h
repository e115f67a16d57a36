/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The bridges of this network namespace, as ruleset_set_bridges() wants them. */

#include "ruleset/ruleset.h"

#define BRIDGES_MAX 4096 /* bridges; and addresses of each, its ports' included */

/* Everything is kept in the arena. An address stands once, however many ports have it. 0; -EINTR if
 * links kept changing while they were listed, -E2BIG past BRIDGES_MAX, -ETIMEDOUT, -ENOMEM, ... */
int nft_read_bridges(Arena *a, Bridge **ret, size_t *ret_n);
