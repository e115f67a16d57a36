/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/datagram.h"

#include <sys/socket.h>
#include <sys/un.h>

static int connect_to(int fd, const char *address) {
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        size_t length = strlen(address);

        if ((*address != '/' && *address != '@') || length < 2)
                return -EAFNOSUPPORT;
        if (length >= sizeof(to.sun_path))
                return -ENAMETOOLONG;
        memcpy(to.sun_path, address, length);
        if (*address == '@')
                to.sun_path[0] = '\0';
        else
                length++; /* a path's NUL belongs to it, an abstract name has none */
        /* nobody accepts datagrams' connections: it does not wait, either */
        return connect(fd, (const struct sockaddr *)&to,
                       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0
                       ? -errno
                       : 0;
}

int datagram_send(const char *address, const void *bytes, size_t size, int with, int *ret_blocked) {
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        union {
                struct cmsghdr head;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = {0};
        /* sendmsg() only reads */
        struct iovec data = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
        struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
        int r = fd < 0 ? -errno : connect_to(fd, address);

        if (r < 0)
                return r;
        if (with >= 0) {
                control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
                                                .cmsg_level = SOL_SOCKET,
                                                .cmsg_type = SCM_RIGHTS};
                memcpy(CMSG_DATA(&control.head), &with, sizeof(int));
                message.msg_control = &control;
                message.msg_controllen = sizeof(control);
        }
        do
                r = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
        while (r == -EINTR);
        if (r == -EAGAIN && ret_blocked) {
                *ret_blocked = fd;
                fd = -1;
        }
        return r;
}
