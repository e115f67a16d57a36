/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/dump.h"

#include <sys/socket.h>
#include <sys/time.h>

#define RECEIVE_SIZE ((size_t)64 * 1024)
#define SEQUENCE 1 /* the socket asks one question only */

/* 1 when the list is complete, 0 when more is to come. */
static int take_part(const void *bytes, size_t size, bool *interrupted, DumpTake *take, void *to) {
        message_for_each(h, bytes, size) {
                const int *error = mnl_nlmsg_get_payload(h);
                int r;

                if (h->nlmsg_seq != SEQUENCE)
                        continue;
                if (h->nlmsg_flags & NLM_F_DUMP_INTR)
                        *interrupted = true;
                if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
                        return mnl_nlmsg_get_payload_len(h) >= sizeof(*error) && *error < 0 ? *error
                                                                                            : 1;
                r = take(h, to);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int ask(int fd, struct nlmsghdr *request) {
        struct timeval timeout = {.tv_sec = DUMP_TIMEOUT_SECONDS};
        struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
        ssize_t n;

        request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
        request->nlmsg_seq = SEQUENCE;
        if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
                return -errno;
        do
                n = sendto(fd, request, request->nlmsg_len, 0, (struct sockaddr *)&kernel,
                           sizeof(kernel));
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

int dump_read(int netlink_family, struct nlmsghdr *request, DumpTake *take, void *to) {
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, netlink_family);
        _cleanup_free_ void *buf = malloc(RECEIVE_SIZE);
        bool interrupted = false;
        int r;

        if (fd < 0)
                return -errno;
        if (!buf)
                return -ENOMEM;
        r = ask(fd, request);
        while (r == 0) {
                struct sockaddr_nl from = {0};
                socklen_t from_size = sizeof(from);
                ssize_t n = recvfrom(fd, buf, RECEIVE_SIZE, MSG_TRUNC, (struct sockaddr *)&from,
                                     &from_size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN ? -ETIMEDOUT : -errno;
                if ((size_t)n > RECEIVE_SIZE)
                        return -EMSGSIZE;
                if (from.nl_pid == 0) /* other programs can send us messages, too */
                        r = take_part(buf, (size_t)n, &interrupted, take, to);
        }
        if (r < 0)
                return r;
        return interrupted ? -EINTR : 0;
}
