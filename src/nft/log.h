/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What rules with `log` tell: the kernel's netlink log (include/uapi/linux/netfilter/
 * nfnetlink_log.h), of the group that our rules write to. One reader a network namespace. */

#include <linux/netlink.h>

#include "base/address.h"

#define LOG_PREFIX_SIZE 128
#define LOG_NAME_SIZE 16 /* IFNAMSIZ */

/* A packet that a rule logged. */
typedef struct LogLine {
        char prefix[LOG_PREFIX_SIZE];               /* the rule's words; printable */
        char in[LOG_NAME_SIZE], out[LOG_NAME_SIZE]; /* interfaces, or "" */
        bool has_addresses;
        Family family;
        U128 source, destination;
        uint8_t protocol;
        bool has_ports;
        uint16_t source_port, destination_port;
} LogLine;

/* Opens a socket, which the caller closes, and makes the kernel send there what is logged to the
 * group. -EBUSY if another program reads it. */
int log_open(uint16_t group, int *ret_fd);

/* Takes what has come, without waiting: each line goes to take. ret_lost: whether some were lost
 * because they came too fast. 0 or a negative errno. */
int log_read(int fd, void (*take)(const LogLine *line, void *to), void *to, bool *ret_lost);

/* Takes in one of the kernel's messages; false if it is none. */
bool log_parse(const struct nlmsghdr *h, LogLine *ret);

/* "tcp 198.51.100.7:50000 → 10.0.0.1:22 in eth0" */
#define LOG_TEXT_MAX 256
const char *log_describe(const LogLine *line, char buf[LOG_TEXT_MAX]);
