/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rpc/socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "rpc/peer.h"

#define BACKLOG 128 /* those who come in the meantime wait in connect() */
#define PROBE_USEC 100000

static int set_address(struct sockaddr_un *ret, const char *path, const char *suffix) {
        int n;

        *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
        n = snprintf(ret->sun_path, sizeof(ret->sun_path), "%s%s", path, suffix);
        return n < 0 || (size_t)n >= sizeof(ret->sun_path) ? -ENAMETOOLONG : 0;
}

static int make_socket(void) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        return fd < 0 ? -errno : fd;
}

/* -EAGAIN: the backlog is full, so somebody does listen. */
static bool is_alive(const char *path) {
        _cleanup_close_ int fd = rpc_socket_connect(path, PROBE_USEC);

        return fd >= 0 || fd == -EAGAIN;
}

int rpc_socket_listen(const char *path, mode_t mode, gid_t group) {
        _cleanup_close_ int fd = -1;
        struct sockaddr_un address;
        int r = set_address(&address, path, ".new"), result;

        if (r < 0)
                return r;
        if (is_alive(path))
                return -EADDRINUSE;
        fd = make_socket();
        if (fd < 0)
                return fd;
        if (unlink(address.sun_path) < 0 && errno != ENOENT)
                return -errno;
        /* under another name until all is set; nobody gets in before listen() in any case */
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            chmod(address.sun_path, mode) < 0 ||
            (group != RPC_NO_GROUP && chown(address.sun_path, (uid_t)-1, group) < 0) ||
            listen(fd, BACKLOG) < 0 || rename(address.sun_path, path) < 0) {
                r = -errno;
                (void)unlink(address.sun_path); /* it may not be there */
                return r;
        }
        result = fd;
        fd = -1;
        return result;
}

int rpc_socket_connect(const char *path, uint64_t timeout_usec) {
        _cleanup_close_ int fd = -1;
        struct sockaddr_un address;
        /* 0 would be no limit at all */
        struct timeval timeout = {
                .tv_sec = (time_t)MIN(timeout_usec / 1000000, (uint64_t)INT32_MAX),
                .tv_usec = (suseconds_t)MAX(timeout_usec % 1000000, (uint64_t)1),
        };
        int r = set_address(&address, path, ""), result;

        if (r < 0)
                return r;
        fd = make_socket();
        if (fd < 0)
                return fd;
        /* while the other side's backlog is full, connect() waits as long as this says */
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
                return -errno;
        do
                r = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
        while (r == -EINTR);
        if (r < 0)
                return r;
        result = fd;
        fd = -1;
        return result;
}
