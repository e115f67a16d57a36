/* SPDX-License-Identifier: GPL-2.0-or-later */

/* With the running kernel, in a network namespace of this program's own; and messages of what not
 * every kernel can do, and broken ones. */

#include "nft/sockets.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

#include "nft/attribute.h"
#include "nft/kernel_unit.h"

typedef union Place {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
} Place;

static socklen_t place(const char *address, uint16_t port, Place *ret) {
        *ret = (Place){0};
        if (inet_pton(AF_INET, address, &ret->in.sin_addr) == 1) {
                ret->in.sin_family = AF_INET;
                ret->in.sin_port = htons(port);
                return sizeof(ret->in);
        }
        assert_int_equal(inet_pton(AF_INET6, address, &ret->in6.sin6_addr), 1);
        ret->in6.sin6_family = AF_INET6;
        ret->in6.sin6_port = htons(port);
        return sizeof(ret->in6);
}

static uint32_t inode_of(int fd) {
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        return (uint32_t)st.st_ino;
}

/* A bound socket; TCP's listens. only_ipv6 -1: as the kernel has it. */
static int open_socket(int type, int proto, const char *address, uint16_t port, int only_ipv6) {
        Place where;
        socklen_t size = place(address, port, &where);
        int fd = socket(where.any.sa_family, type | SOCK_CLOEXEC, proto);

        assert_true(fd >= 0);
        if (only_ipv6 >= 0)
                assert_int_equal(
                        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_ipv6, sizeof(only_ipv6)),
                        0);
        assert_int_equal(bind(fd, &where.any, size), 0);
        if (type == SOCK_STREAM)
                assert_int_equal(listen(fd, 5), 0);
        return fd;
}

static int connect_to(const char *address, uint16_t port) {
        Place where;
        socklen_t size = place(address, port, &where);
        int fd = socket(where.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(connect(fd, &where.any, size), 0);
        return fd;
}

/* All zero if it is not there. */
static HostSocket find(const HostSockets *list, int fd) {
        for (size_t i = 0; i < list->n_items; i++)
                if (list->items[i].inode == inode_of(fd))
                        return list->items[i];
        return (HostSocket){0};
}

static const struct Listener {
        const char *name;
        int type, proto;
        const char *address;
        uint16_t port;
        int only_ipv6;
        uint8_t expected_proto;
        Family family;
        bool is_dual;
        const char *local;
} listeners[] = {
        {"TCP at an address", SOCK_STREAM, 0, "127.0.0.1", 1001, -1, IPPROTO_TCP, FAMILY_IPV4,
         false, "127.0.0.1"},
        {"TCP at any", SOCK_STREAM, 0, "0.0.0.0", 1002, -1, IPPROTO_TCP, FAMILY_IPV4, false,
         "0.0.0.0"},
        {"both families", SOCK_STREAM, 0, "::", 1003, 0, IPPROTO_TCP, FAMILY_IPV6, true, "::"},
        {"IPv6 alone", SOCK_STREAM, 0, "::", 1004, 1, IPPROTO_TCP, FAMILY_IPV6, false, "::"},
        {"an IPv6 address", SOCK_STREAM, 0, "::1", 1005, 0, IPPROTO_TCP, FAMILY_IPV6, false, "::1"},
        {"an IPv4 address within IPv6", SOCK_STREAM, 0, "::ffff:127.0.0.2", 1006, 0, IPPROTO_TCP,
         FAMILY_IPV4, false, "127.0.0.2"},
        {"UDP", SOCK_DGRAM, 0, "0.0.0.0", 1001, -1, IPPROTO_UDP, FAMILY_IPV4, false, "0.0.0.0"},
        {"UDP in both families", SOCK_DGRAM, 0, "::", 1003, 0, IPPROTO_UDP, FAMILY_IPV6, true,
         "::"},
        {"UDP in IPv6 alone", SOCK_DGRAM, 0, "::", 1004, 1, IPPROTO_UDP, FAMILY_IPV6, false, "::"},
};

static void lists_what_listens(void **state) {
        int fds[ARRAY_SIZE(listeners)];
        HostSockets list;

        for (size_t i = 0; i < ARRAY_SIZE(listeners); i++) {
                const struct Listener *x = &listeners[i];

                fds[i] = open_socket(x->type, x->proto, x->address, x->port, x->only_ipv6);
        }
        assert_int_equal(sockets_read_listening(*state, &list), 0);
        assert_int_equal(list.n_items, ARRAY_SIZE(listeners));
        for (size_t i = 0; i < ARRAY_SIZE(listeners); i++) {
                const struct Listener *x = &listeners[i];
                HostSocket found = find(&list, fds[i]);
                char buf[ADDRESS_TEXT_MAX];

                unit_equal(x->name, found.proto, x->expected_proto);
                unit_equal(x->name, found.family, x->family);
                unit_equal(x->name, found.is_dual, x->is_dual);
                unit_equal(x->name, found.local_port, x->port);
                unit_string(x->name, address_print(found.family, found.local, buf), x->local);
                unit_equal(x->name, found.uid, 0);
                unit_equal(x->name, found.link, 0);
                (void)close(fds[i]);
        }
        assert_int_equal(sockets_read_listening(*state, &list), 0);
        assert_int_equal(list.n_items, 0);
}

/* Many servers listen with MPTCP by default; the kernel then lists a TCP socket of its own making.
 */
static void a_server_of_multipath_tcp_is_found(void **state) {
        int fd = open_socket(SOCK_STREAM, IPPROTO_MPTCP, "0.0.0.0", 1007, -1);
        HostSockets list;
        HostSocket found;

        assert_int_equal(sockets_read_listening(*state, &list), 0);
        found = find(&list, fd);
        assert_int_equal(found.local_port, 1007);
        (void)close(fd);
}

static void tells_interface_and_user(void **state) {
        int fd;
        HostSockets list;
        HostSocket found;

        assert_int_equal(seteuid(65534), 0);
        fd = open_socket(SOCK_DGRAM, 0, "0.0.0.0", 2001, -1);
        assert_int_equal(sockets_read_listening(*state, &list), 0); /* without privileges */
        assert_int_equal(seteuid(0), 0);
        found = find(&list, fd);
        assert_int_equal(found.uid, 65534);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
        assert_int_equal(sockets_read_listening(*state, &list), 0);
        found = find(&list, fd);
        assert_int_equal(found.link, if_nametoindex("lo"));
        (void)close(fd);
}

/* A UDP socket that is connected hears its peer alone. */
static void a_connected_datagram_socket_does_not_listen(void **state) {
        int fd = open_socket(SOCK_DGRAM, 0, "127.0.0.1", 2001, -1);
        HostSockets list;
        Place where;

        assert_int_equal(connect(fd, &where.any, place("127.0.0.1", 2002, &where)), 0);
        assert_int_equal(sockets_read_listening(*state, &list), 0);
        assert_int_equal(find(&list, fd).inode, 0);
        (void)close(fd);
}

static void lists_connections_of_a_port(void **state) {
        int both = open_socket(SOCK_STREAM, 0, "::", 3001, 0);
        int other = open_socket(SOCK_STREAM, 0, "0.0.0.0", 3002, -1);
        int fds[6] = {connect_to("127.0.0.1", 3001), accept4(both, NULL, NULL, SOCK_CLOEXEC),
                      connect_to("::1", 3001),       accept4(both, NULL, NULL, SOCK_CLOEXEC),
                      connect_to("127.0.0.1", 3002), accept4(other, NULL, NULL, SOCK_CLOEXEC)};
        HostSockets list;
        HostSocket found;
        char end;

        assert_int_equal(sockets_read_connected(*state, 3001, &list), 0);
        assert_int_equal(list.n_items, 2);
        /* the socket is one of IPv6, and the connection is not */
        found = find(&list, fds[1]);
        assert_int_equal(found.family, FAMILY_IPV4);
        assert_int_equal(found.local.low, 0x7f000001);
        assert_int_equal(found.peer.low, 0x7f000001);
        assert_int_equal(found.local_port, 3001);
        assert_int_not_equal(found.peer_port, 0);
        assert_false(found.is_dual);
        found = find(&list, fds[3]);
        assert_int_equal(found.family, FAMILY_IPV6);
        assert_int_equal(found.peer.low, 1);
        assert_false(found.is_dual);

        assert_int_equal(sockets_read_connected(*state, 0, &list), 0);
        assert_int_equal(list.n_items, 6); /* clients' ends, too */
        assert_int_equal(sockets_read_connected(*state, 3003, &list), 0);
        assert_int_equal(list.n_items, 0);
        /* half closed it is not established any more, and still open */
        assert_int_equal(shutdown(fds[0], SHUT_WR), 0);
        assert_int_equal(read(fds[1], &end, 1), 0); /* until the other end knows */
        assert_int_equal(sockets_read_connected(*state, 3001, &list), 0);
        assert_int_equal(list.n_items, 1);
        assert_int_equal(sockets_read_open(*state, &list), 0);
        assert_int_equal(list.n_items, 6);
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                (void)close(fds[i]);
        (void)close(both);
        (void)close(other);
}

/* More than one answer of the kernel's holds. */
static void lists_many(void **state) {
        static int fds[900];
        HostSockets list;

        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                fds[i] = open_socket(SOCK_DGRAM, 0, "127.0.0.1", (uint16_t)(10000 + i), -1);
        assert_int_equal(sockets_read_listening(*state, &list), 0);
        assert_int_equal(list.n_items, ARRAY_SIZE(fds));
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
                assert_int_equal(list.items[i].local_port, 10000 + i);
                (void)close(fds[i]);
        }
}

typedef union Message {
        struct nlmsghdr header;
        char room[1024];
} Message;

static struct nlmsghdr *socket_message(Message *m, uint8_t family) {
        struct inet_diag_msg info = {.idiag_family = family,
                                     .idiag_state = TCP_LISTEN,
                                     .idiag_inode = 7,
                                     .id = {.idiag_sport = htons(5000)}};
        struct nlmsghdr *h;

        memset(m, 0, sizeof(*m));
        h = mnl_nlmsg_put_header(m);
        h->nlmsg_type = SOCK_DIAG_BY_FAMILY;
        memcpy(mnl_nlmsg_put_extra_header(h, sizeof(info)), &info, sizeof(info));
        return h;
}

static void every_address_of_an_sctp_socket_counts(void **state) {
        struct sockaddr_storage locals[3] = {{0}};
        HostSockets list = {0};
        struct nlmsghdr *h;
        Place where;
        Message m;

        memcpy(&locals[0], &where, place("10.0.0.1", 5000, &where));
        memcpy(&locals[1], &where, place("fd00::1", 5000, &where));
        memcpy(&locals[2], &where, place("::ffff:10.0.0.2", 5000, &where));
        h = socket_message(&m, AF_INET6);
        mnl_attr_put(h, INET_DIAG_LOCALS, sizeof(locals), locals);
        assert_int_equal(sockets_take(*state, IPPROTO_SCTP, h, &list), 0);
        assert_int_equal(list.n_items, 3);
        assert_int_equal(list.items[0].family, FAMILY_IPV4);
        assert_int_equal(list.items[0].local.low, 0x0a000001);
        assert_int_equal(list.items[1].family, FAMILY_IPV6);
        assert_int_equal(list.items[1].local.low, 1);
        assert_int_equal(list.items[2].family, FAMILY_IPV4);
        assert_int_equal(list.items[2].local.low, 0x0a000002);
        assert_int_equal(list.items[2].proto, IPPROTO_SCTP);
}

/* A kernel that does not say which families a socket serves is taken to say both. */
static void unsaid_means_both_families(void **state) {
        HostSockets list = {0};
        Message m;

        assert_int_equal(sockets_take(*state, IPPROTO_TCP, socket_message(&m, AF_INET6), &list), 0);
        assert_int_equal(list.n_items, 1);
        assert_true(list.items[0].is_dual);
}

static void takes_messages_cut_short(void **state) {
        struct nlmsghdr *h;
        Message m;

        h = socket_message(&m, AF_INET6);
        mnl_attr_put_u8(h, INET_DIAG_SKV6ONLY, 1);
        mnl_attr_put_u64(h, INET_DIAG_CGROUP_ID, 99);
        for (uint32_t size = sizeof(*h); size <= h->nlmsg_len; size++) {
                _cleanup_free_ struct nlmsghdr *cut = malloc(size);
                HostSockets list = {0};

                assert_non_null(cut);
                memcpy(cut, h, size);
                cut->nlmsg_len = size;
                assert_int_equal(sockets_take(*state, IPPROTO_TCP, cut, &list), 0);
                assert_int_equal(list.n_items, size >= sizeof(*h) + sizeof(struct inet_diag_msg));
                if (size == h->nlmsg_len) {
                        assert_int_equal(list.items[0].cgroup, 99);
                        assert_false(list.items[0].is_dual);
                }
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(lists_what_listens),
                unit_arena_test(a_server_of_multipath_tcp_is_found),
                unit_arena_test(tells_interface_and_user),
                unit_arena_test(a_connected_datagram_socket_does_not_listen),
                unit_arena_test(lists_connections_of_a_port),
                unit_arena_test(lists_many),
                unit_arena_test(every_address_of_an_sctp_socket_counts),
                unit_arena_test(unsaid_means_both_families),
                unit_arena_test(takes_messages_cut_short),
        };

        if (kernel_enter_namespace() < 0)
                return 1;
        shell("ip link set lo up");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
