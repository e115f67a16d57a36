/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/executions.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/filter.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define BUFFER_SIZE 4096        /* a datagram holds one event */
#define SOCKET_BUFFER (1 << 20) /* some thousands of them; it costs only then */
#define READS_MAX 1024          /* at a time: others want their turn */
#define EXECUTED 0x2U           /* PROC_EVENT_EXEC */

/* Where a message's event stands. */
#define EVENT (NLMSG_HDRLEN + sizeof(struct cn_msg))

/* Kernels before 6.6 know the first word alone: what is asked for; the second is which events. */
static int ask(int fd, uint32_t what, uint16_t n_words) {
        const uint32_t words[] = {what, EXECUTED};
        const struct cn_msg message = {.id = {.idx = CN_IDX_PROC, .val = CN_VAL_PROC},
                                       .len = (uint16_t)(n_words * sizeof(*words))};
        const struct nlmsghdr header = {.nlmsg_len = (uint32_t)(EVENT + message.len),
                                        .nlmsg_type = NLMSG_DONE};
        char request[EVENT + sizeof(words)] = {0};

        memcpy(request, &header, sizeof(header));
        memcpy(request + NLMSG_HDRLEN, &message, sizeof(message));
        memcpy(request + EVENT, words, message.len);
        return send(fd, request, header.nlmsg_len, 0) < 0 ? -errno : 0;
}

/* Of processes that begin or end nothing is put into the socket. A filter reads big-endian, and an
 * event's kind is in the machine's own order. */
static int skip_others(int fd) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, EVENT),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(EXECUTED), 0, 1),
                BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
                BPF_STMT(BPF_RET | BPF_K, 0),
        };
        const struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};

        return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
                                                                                           : 0;
}

static int open_here(int *ret_fd) {
        _cleanup_close_ int fd =
                socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
        struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
        int size = SOCKET_BUFFER, r;

        if (fd < 0)
                return -errno;
        r = skip_others(fd);
        if (r < 0)
                return r;
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        /* with less room messages are lost earlier, which is noticed */
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
        r = ask(fd, PROC_CN_MCAST_LISTEN, 1);
        if (r < 0)
                return r;
        (void)ask(fd, PROC_CN_MCAST_LISTEN,
                  2); /* other events are then not even made; older kernels pass it over */
        *ret_fd = fd;
        fd = -1;
        return 0;
}

void executions_close(int fd) {
        if (fd < 0)
                return;
        (void)ask(fd, PROC_CN_MCAST_IGNORE, 1); /* it goes either way */
        (void)close(fd);                        /* nothing is kept in it */
}

/* The first network namespace is where the kernel's own threads live, of which the second process
 * is the first; process 1's may be beyond even root's reach. */
static bool is_elsewhere(int own, int first) {
        struct stat a, b;

        return fstat(own, &a) == 0 && fstat(first, &b) == 0 && a.st_ino != b.st_ino;
}

int executions_open(int *ret_fd) {
        _cleanup_close_ int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        _cleanup_close_ int first = open("/proc/2/ns/net", O_RDONLY | O_CLOEXEC);
        int r;

        if (own < 0 || first < 0 || !is_elsewhere(own, first))
                return open_here(ret_fd);
        if (setns(first, CLONE_NEWNET) < 0)
                return -errno;
        r = open_here(ret_fd);
        return setns(own, CLONE_NEWNET) < 0 && r == 0 ? -errno : r;
}

bool executions_parse(const struct nlmsghdr *h, Execution *ret) {
        const char *payload = mnl_nlmsg_get_payload(h);
        size_t size = mnl_nlmsg_get_payload_len(h);
        struct proc_event event = {0};
        struct cn_msg message;

        if (size < sizeof(message) + offsetof(struct proc_event, event_data) +
                           sizeof(event.event_data.exec))
                return false;
        memcpy(&message, payload, sizeof(message));
        memcpy(&event, payload + sizeof(message), MIN(sizeof(event), size - sizeof(message)));
        if (message.id.idx != CN_IDX_PROC || message.id.val != CN_VAL_PROC ||
            (uint32_t)event.what != EXECUTED || event.event_data.exec.process_tgid <= 0)
                return false;
        *ret = (Execution){event.event_data.exec.process_tgid, event.timestamp_ns / 1000};
        return true;
}

int executions_read(int fd, void (*take)(const Execution *e, void *to), void *to) {
        bool lost = false;

        for (int i = 0; i < READS_MAX; i++) {
                union {
                        struct nlmsghdr header;
                        char bytes[BUFFER_SIZE];
                } buf;
                struct sockaddr_nl from = {0};
                socklen_t from_size = sizeof(from);
                ssize_t n = recvfrom(fd, &buf, sizeof(buf), MSG_TRUNC, (struct sockaddr *)&from,
                                     &from_size);
                Execution e;

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0 && errno != ENOBUFS)
                        return -errno;
                lost |= n < 0 || (size_t)n > sizeof(buf);
                if (n > 0 && (size_t)n <= sizeof(buf) && from.nl_pid == 0 &&
                    mnl_nlmsg_ok(&buf.header, (int)n) && executions_parse(&buf.header, &e))
                        take(&e, to);
        }
        return lost;
}
