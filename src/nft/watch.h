/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Tells that links, addresses or routes of this network namespace have changed (rtnetlink(7)); not
 * what has: whoever asks reads it all again. */

#include "base/util.h"

/* A socket to wait for input on; the caller closes it. 0 or what socket() and bind() said. */
int watch_open(int *ret_fd);
/* Takes in what is there without waiting. 1 if something may have changed (so when messages were
 * lost), 0 if nothing has, or a negative errno. */
int watch_drain(int fd);
