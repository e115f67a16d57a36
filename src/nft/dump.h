/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A question to the kernel that is answered with a list, over a socket that lives as long as the
 * question. For what has no need of a long-lived link: addresses, routes, sockets. */

#include <linux/netlink.h>

#include "nft/attribute.h"

#define DUMP_TIMEOUT_SECONDS 10
#define DUMP_TRIES 5 /* how often callers ask again when the answer was interrupted */

/* Takes in one message of the answer; a negative return ends the dump with it. */
typedef int DumpTake(const struct nlmsghdr *h, void *to);

/* Sends the request (a whole message; its flags and number are filled in here) to a netlink family
 * (NETLINK_...) and hands over what comes, message by message. 0; -EINTR if what is listed changed
 * meanwhile: what was taken is then worth little; -ETIMEDOUT; what the kernel or take said. */
int dump_read(int netlink_family, struct nlmsghdr *request, DumpTake *take, void *to);
