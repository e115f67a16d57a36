/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/sockets.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "nft/dump.h"

#define LISTENING (1U << TCP_LISTEN)
#define UNCONNECTED (1U << TCP_CLOSE) /* what the kernel calls a UDP socket without a peer */
#define CONNECTED (1U << TCP_ESTABLISHED)
#define NEW_SYN_RECV                                                                               \
        12 /* TCP_NEW_SYN_RECV, include/net/tcp_states.h: what is told as TCP_SYN_RECV */
#define OPEN                                                                                       \
        (CONNECTED | 1U << TCP_SYN_RECV | 1U << NEW_SYN_RECV | 1U << TCP_FIN_WAIT1 |               \
         1U << TCP_FIN_WAIT2 | 1U << TCP_CLOSE_WAIT | 1U << TCP_LAST_ACK | 1U << TCP_CLOSING)

/* Reads an address of an IPv6 socket, which may be one of IPv4 in disguise. */
static U128 unmapped(U128 address, bool *is_ipv4) {
        *is_ipv4 = address.high == 0 && address.low >> 32 == 0xffff;
        return *is_ipv4 ? u128(address.low & UINT32_MAX) : address;
}

static bool set_addresses(const struct inet_diag_msg *m, HostSocket *ret) {
        bool is_ipv4;

        if (m->idiag_family != AF_INET && m->idiag_family != AF_INET6)
                return false;
        ret->family = m->idiag_family == AF_INET ? FAMILY_IPV4 : FAMILY_IPV6;
        ret->local = u128_from_bytes(m->id.idiag_src, family_width(ret->family) / 8);
        ret->peer = u128_from_bytes(m->id.idiag_dst, family_width(ret->family) / 8);
        if (ret->family == FAMILY_IPV4)
                return true;
        ret->local = unmapped(ret->local, &is_ipv4);
        if (is_ipv4) {
                ret->family = FAMILY_IPV4;
                ret->peer = unmapped(ret->peer, &is_ipv4);
        }
        return true;
}

static int add(Arena *a, HostSockets *to, HostSocket socket) {
        if (to->n_items >= SOCKETS_MAX)
                return -E2BIG;
        return arena_append(a, to->items, to->n_items, socket) ? 0 : -ENOMEM;
}

/* SCTP lists what it is bound to, and the message itself has only the first. */
static int add_locals(Arena *a, const void *list, size_t size, HostSocket socket, HostSockets *to) {
        const char *p = list, *end = p + size;
        int r = 0;

        for (; (size_t)(end - p) >= sizeof(struct sockaddr_storage) && r == 0;
             p += sizeof(struct sockaddr_storage)) {
                struct sockaddr_in6 address; /* the longer of the two */
                bool is_ipv4;

                memcpy(&address, p, sizeof(address));
                if (address.sin6_family == AF_INET) {
                        is_ipv4 = true;
                        socket.local =
                                u128_from_bytes(p + offsetof(struct sockaddr_in, sin_addr), 4);
                } else if (address.sin6_family == AF_INET6) {
                        socket.local = unmapped(u128_from_bytes(&address.sin6_addr, 16), &is_ipv4);
                } else {
                        continue;
                }
                socket.family = is_ipv4 ? FAMILY_IPV4 : FAMILY_IPV6;
                r = add(a, to, socket);
        }
        return r;
}

int sockets_take(Arena *a, uint8_t proto, const struct nlmsghdr *h, HostSockets *to) {
        const struct inet_diag_msg *m = mnl_nlmsg_get_payload(h);
        HostSocket socket = {.proto = proto};
        const void *locals, *cgroup;
        uint8_t only_ipv6 = 0;
        Attributes attrs;
        size_t size = 0;

        if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || mnl_nlmsg_get_payload_len(h) < sizeof(*m) ||
            !set_addresses(m, &socket))
                return 0;
        attributes_behind(h, sizeof(*m), &attrs);
        (void)attribute_u8(&attrs, INET_DIAG_SKV6ONLY, &only_ipv6); /* unsaid: for both families */
        socket.is_dual = socket.family == FAMILY_IPV6 && u128_is_zero(socket.local) &&
                         u128_is_zero(socket.peer) && !only_ipv6;
        socket.local_port = ntohs(m->id.idiag_sport);
        socket.peer_port = ntohs(m->id.idiag_dport);
        socket.link = m->id.idiag_if;
        socket.uid = m->idiag_uid;
        socket.inode = m->idiag_inode;
        cgroup = attribute_bytes(&attrs, INET_DIAG_CGROUP_ID, &size);
        if (cgroup && size == sizeof(socket.cgroup))
                memcpy(&socket.cgroup, cgroup, size);
        locals = attribute_bytes(&attrs, INET_DIAG_LOCALS, &size);
        if (locals && size >= sizeof(struct sockaddr_storage))
                return add_locals(a, locals, size, socket, to);
        return add(a, to, socket);
}

typedef struct Question {
        Arena *arena;
        HostSockets *to;
        uint32_t states;
        uint16_t local_port; /* 0: any */
        uint8_t proto;
} Question;

static int take(const struct nlmsghdr *h, void *to) {
        const Question *q = to;

        return sockets_take(q->arena, q->proto, h, q->to);
}

static int list_family(Question *q, uint8_t family) {
        size_t n_before = q->to->n_items;
        int r = -EINTR;

        for (unsigned int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
                struct {
                        struct nlmsghdr header;
                        struct inet_diag_req_v2 what;
                } request = {
                        .header = {.nlmsg_len = sizeof(request), .nlmsg_type = SOCK_DIAG_BY_FAMILY},
                        .what = {.sdiag_family = family,
                                 .sdiag_protocol = q->proto,
                                 .idiag_states = q->states,
                                 .id = {.idiag_sport = htons(q->local_port)}},
                };

                q->to->n_items = n_before;
                r = dump_read(NETLINK_SOCK_DIAG, &request.header, take, q);
        }
        return r;
}

static int list(Question *q) {
        int r = list_family(q, AF_INET);

        if (r == -ENOENT)
                return -EOPNOTSUPP;
        if (r == 0)
                r = list_family(q, AF_INET6);
        return r == -ENOENT ? 0 : r; /* there is the protocol, but no IPv6 */
}

static int compare(const void *a, const void *b) {
        const HostSocket *x = a, *y = b;
        int r;

        if (x->proto != y->proto)
                return x->proto < y->proto ? -1 : 1;
        if (x->family != y->family)
                return x->family < y->family ? -1 : 1;
        if (x->local_port != y->local_port)
                return x->local_port < y->local_port ? -1 : 1;
        r = u128_compare(x->local, y->local);
        if (r == 0)
                r = u128_compare(x->peer, y->peer);
        if (r == 0 && x->peer_port != y->peer_port)
                r = x->peer_port < y->peer_port ? -1 : 1;
        if (r == 0 && x->link != y->link)
                r = x->link < y->link ? -1 : 1;
        return r != 0 ? r : x->inode < y->inode ? -1 : x->inode > y->inode;
}

static void sort(HostSockets *sockets) {
        if (sockets->n_items > 0)
                qsort(sockets->items, sockets->n_items, sizeof(*sockets->items), compare);
}

const HostSocket *sockets_find_connection(const HostSockets *sockets,
                                          Family family,
                                          U128 local,
                                          uint16_t local_port,
                                          U128 peer,
                                          uint16_t peer_port) {
        /* before every socket of this connection, whatever its interface and inode */
        const HostSocket wanted = {
                .proto = IPPROTO_TCP,
                .family = family,
                .local = local,
                .peer = peer,
                .local_port = local_port,
                .peer_port = peer_port,
        };
        size_t low = 0, high = sockets->n_items;
        const HostSocket *s;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (compare(&sockets->items[middle], &wanted) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        s = low < sockets->n_items ? &sockets->items[low] : NULL;
        return s && s->proto == wanted.proto && s->family == family &&
                               s->local_port == local_port && s->peer_port == peer_port &&
                               u128_equal(s->local, local) && u128_equal(s->peer, peer)
                       ? s
                       : NULL;
}

static int read_one(Arena *a, uint32_t states, uint16_t port, HostSockets *ret) {
        HostSockets sockets = {0};
        Question q = {.arena = a,
                      .to = &sockets,
                      .states = states,
                      .local_port = port,
                      .proto = IPPROTO_TCP};
        int r = list(&q);

        if (r < 0)
                return r;
        sort(&sockets);
        *ret = sockets;
        return 0;
}

int sockets_read_listening_tcp(Arena *a, HostSockets *ret) {
        return read_one(a, LISTENING, 0, ret);
}

int sockets_read_connected(Arena *a, uint16_t local_port, HostSockets *ret) {
        return read_one(a, CONNECTED, local_port, ret);
}

int sockets_read_open(Arena *a, HostSockets *ret) {
        return read_one(a, OPEN, 0, ret);
}

int sockets_read_listening(Arena *a, HostSockets *ret) {
        static const struct {
                uint8_t proto;
                uint32_t states;
                const char *spoken; /* there if the kernel speaks it; NULL: it always does */
        } protocols[] = {
                {IPPROTO_TCP, LISTENING, NULL},
                {IPPROTO_UDP, UNCONNECTED, NULL},
                {IPPROTO_SCTP, LISTENING, "/proc/self/net/sctp"},
        };
        HostSockets sockets = {0};

        for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
                Question q = {.arena = a,
                              .to = &sockets,
                              .states = protocols[i].states,
                              .proto = protocols[i].proto};
                int r = list(&q);

                if (r == -EOPNOTSUPP && protocols[i].spoken &&
                    access(protocols[i].spoken, F_OK) < 0)
                        continue;
                if (r < 0)
                        return r;
        }
        sort(&sockets);
        *ret = sockets;
        return 0;
}
