/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/watch.h"

#include <sys/socket.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#define DRAIN_MAX 1000 /* datagrams at a time: whoever makes more must not hold us up */

int watch_open(int *ret_fd) {
        struct sockaddr_nl address = {
                .nl_family = AF_NETLINK,
                .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
                             RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
        };
        _cleanup_close_ int fd =
                socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        *ret_fd = fd;
        fd = -1;
        return 0;
}

int watch_drain(int fd) {
        bool changed = false;

        for (int i = 0; i < DRAIN_MAX; i++) {
                char byte;
                ssize_t n = recv(fd, &byte, sizeof(byte), MSG_TRUNC);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0 && errno != ENOBUFS)
                        return -errno;
                changed = true;
        }
        return changed;
}
