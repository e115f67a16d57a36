/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What rules with `log` tell, and samples of what is refused: the kernel's netlink log
 * (include/uapi/linux/netfilter/nfnetlink_log.h), of the groups that our rules write to. One reader
 * of a group in a network namespace. The packets are anybody's: no length in them is believed. */

#include <linux/netlink.h>

#include "base/address.h"
#include "ruleset/ruleset.h"

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
        bool has_icmp_type;
        uint8_t icmp_type; /* of ICMP and ICMPv6 */
        Hook hook;         /* where it was judged; HOOK_NONE if the kernel does not say */
        bool has_user, has_group;
        uint32_t user, group; /* who owns the socket, of what this host sends */
        /* Of a connection that connection tracking knows, where log_open() was asked for it: */
        bool has_connection;
        uint32_t ct_state, ct_mark; /* one of CT_STATE_ */
        bool expected;
        bool translated; /* its destination was; the packet shows where it goes now */
        U128 dialled;
        uint16_t dialled_port;
} LogLine;

/* Opens a socket, which the caller closes, and makes the kernel send there what is logged to the
 * group; samples: soon, and with what connection tracking knows, if the kernel can. -EBUSY if
 * another program reads it. */
int log_open(uint16_t group, bool samples, int *ret_fd);

/* Takes what has come, without waiting: each line goes to take. ret_lost: whether some were lost
 * because they came too fast. 0 or a negative errno. */
int log_read(int fd, void (*take)(const LogLine *line, void *to), void *to, bool *ret_lost);

/* Takes in one of the kernel's messages; false if it is none. */
bool log_parse(const struct nlmsghdr *h, LogLine *ret);

/* "tcp 198.51.100.7:50000 → 10.0.0.1:22 in eth0" */
#define LOG_TEXT_MAX 256
const char *log_describe(const LogLine *line, char buf[LOG_TEXT_MAX]);
