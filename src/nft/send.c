/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/send.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/netlink.h>

#define TIMEOUT_SECONDS 10
#define ANSWERS_MAX 100000 /* refusals, and what others send us */
#define TABLE 2            /* the message that makes the table: behind the one that begins it */

static int open_link(size_t size) {
        struct timeval timeout = {.tv_sec = TIMEOUT_SECONDS};
        int room = (int)(2 * size);
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

        if (fd < 0)
                return -errno;
        /* whether there is room shows when it is sent */
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
        return fd;
}

/* A table that somebody owns is there as well: to whoever else asks, the kernel says EPERM of it.
 * (Without CAP_NET_ADMIN it says so of the message that begins the batch.) */
static int is_there(int error) {
        return error == -EEXIST || error == -EPERM;
}

/* The first thing that the kernel says of the batch decides; each answer is a datagram. */
static int read_answer(int fd, uint32_t last) {
        for (int i = 0; i < ANSWERS_MAX; i++) {
                _Alignas(struct nlmsghdr) char buf[4096];
                struct sockaddr_nl from = {0};
                socklen_t from_size = sizeof(from);
                ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &from_size);
                const struct nlmsghdr *h = (const struct nlmsghdr *)buf;
                const struct nlmsgerr *e = (const void *)(buf + NLMSG_HDRLEN);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN ? -ETIMEDOUT : -errno;
                if (from.nl_pid != 0 || (size_t)n < NLMSG_LENGTH(sizeof(*e)) ||
                    h->nlmsg_type != NLMSG_ERROR)
                        continue;
                if (e->error == 0 && h->nlmsg_seq == last)
                        return 1;
                if (e->error != 0)
                        return h->nlmsg_seq == TABLE && is_there(e->error) ? 0 : e->error;
        }
        return -EPROTO;
}

int send_stored(const void *batch, size_t size, uint32_t last) {
        struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
        int fd = open_link(size), r;
        ssize_t n;

        if (fd < 0)
                return fd;
        do
                n = sendto(fd, batch, size, 0, (struct sockaddr *)&kernel, sizeof(kernel));
        while (n < 0 && errno == EINTR);
        r = n < 0 ? -errno : read_answer(fd, last);
        (void)close(fd); /* nothing is kept in it */
        return r;
}
