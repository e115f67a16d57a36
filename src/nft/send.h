/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What nft_write_batch() made goes to the kernel, with system calls and nothing else: for programs
 * that link nothing. */

#include <stddef.h>
#include <stdint.h>

/* Sends the batch as it is; last: the number of its message that is answered. 1: the kernel took
 * all of it; 0: there is such a table already, and nothing has changed; or a negative errno. */
int send_stored(const void *batch, size_t size, uint32_t last);
