/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The sockets of this network namespace that others can reach or have reached, as the kernel's
 * sock_diag tells it (include/uapi/linux/inet_diag.h). Needs no privileges. */

#include <linux/netlink.h>

#include "base/address.h"

#define SOCKETS_MAX 1048576 /* of one answer */

typedef struct HostSocket {
        uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP */
        Family family; /* of the addresses; an IPv6 socket with IPv4-mapped ones counts as IPv4 */
        bool is_dual;  /* at :: and reached over IPv4, too */
        U128 local;    /* 0: any address */
        U128 peer;     /* of connections only */
        uint16_t local_port, peer_port;
        uint32_t link;   /* index of the interface that it is bound to; 0: any */
        uint32_t uid;    /* who made it */
        uint32_t inode;  /* /proc/PID/fd shows it as socket:[INODE]; 0: no process has it yet */
        uint64_t cgroup; /* inode of the folder in cgroup2 it was made in; 0 before Linux 5.8 */
} HostSocket;

/* Sorted by protocol, family, port and address. A multi-homed SCTP socket is one entry for each
 * address. */
typedef struct HostSockets {
        HostSocket *items; /* in the arena */
        size_t n_items;
} HostSockets;

/* Sockets that take what comes: listening ones, and UDP ones that are connected to nobody, so that
 * a client's unconnected UDP socket is among them. Those made or closed meanwhile may be missing or
 * not. 0; -EOPNOTSUPP if the kernel cannot list TCP's or UDP's, or SCTP's although it speaks SCTP
 * (modules tcp_diag, udp_diag, sctp_diag); -E2BIG past SOCKETS_MAX, -ETIMEDOUT, -ENOMEM, ... */
int sockets_read_listening(Arena *a, HostSockets *ret);
/* TCP's alone. */
int sockets_read_listening_tcp(Arena *a, HostSockets *ret);
/* TCP connections that are established, of one local port or (0) of all. A client's end is among
 * them. */
int sockets_read_connected(Arena *a, uint16_t local_port, HostSockets *ret);

/* All that may still carry something: half open and half closed ones, too, whose processes may have
 * gone. */
int sockets_read_open(Arena *a, HostSockets *ret);

/* The connection between these two, of what was read by one of these; or NULL. */
const HostSocket *sockets_find_connection(const HostSockets *sockets,
                                          Family family,
                                          U128 local,
                                          uint16_t local_port,
                                          U128 peer,
                                          uint16_t peer_port);

/* Takes in one of the kernel's messages about such a protocol's sockets; others, and malformed
 * ones, are passed over. 0, -E2BIG or -ENOMEM. */
int sockets_take(Arena *a, uint8_t proto, const struct nlmsghdr *h, HostSockets *to);
