/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/bridges.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "nft/attribute.h"

#define TIMEOUT_SECONDS 10
#define RECEIVE_SIZE ((size_t)64 * 1024)
#define TRIES 5
#define ADDRESS_SIZE 6

typedef unsigned char Address[ADDRESS_SIZE];

/* One interface, as far as it matters here. */
typedef struct Interface {
        uint32_t index, master; /* master 0: a port of nothing */
        const char *name;
        bool is_bridge, has_address;
        Address address;
} Interface;

typedef struct Interfaces {
        Arena *arena;
        Interface *items;
        size_t n_items;
} Interfaces;

/* Rtnetlink's numbers are in the machine's order. */
static uint32_t native_u32(const Attributes *a, uint16_t type) {
        size_t size = 0;
        const void *p = attribute_bytes(a, type, &size);
        uint32_t value = 0;

        if (p && size == sizeof(value))
                memcpy(&value, p, sizeof(value));
        return value;
}

/* All attributes of such a message with a number below ATTRIBUTES_MAX: those that are wanted. */
static void link_attributes(const struct nlmsghdr *h, Attributes *ret) {
        const struct nlattr *attr;

        *ret = (Attributes){0};
        attribute_for_each(attr, mnl_nlmsg_get_payload_offset(h, sizeof(struct ifinfomsg)),
                           mnl_nlmsg_get_payload_tail(h)) {
                uint16_t type = mnl_attr_get_type(attr);

                if (type < ATTRIBUTES_MAX)
                        ret->list[type] = attr;
        }
}

static int take_link(const struct nlmsghdr *h, Interfaces *ret) {
        const struct ifinfomsg *info = mnl_nlmsg_get_payload(h);
        const char *name, *kind;
        Interface i = {0};
        Attributes a, details;
        const void *address;
        size_t size = 0;

        if (h->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(h) < sizeof(*info))
                return 0;
        link_attributes(h, &a);
        attributes_inside(&a, IFLA_LINKINFO, &details);
        name = attribute_string(&a, IFLA_IFNAME);
        kind = attribute_string(&details, IFLA_INFO_KIND);
        address = attribute_bytes(&a, IFLA_ADDRESS, &size);
        i.index = (uint32_t)info->ifi_index;
        i.master = native_u32(&a, IFLA_MASTER);
        i.is_bridge = kind && streq(kind, "bridge");
        i.has_address = address && size == ADDRESS_SIZE;
        if (i.has_address)
                memcpy(i.address, address, ADDRESS_SIZE);
        if (!name || (!i.is_bridge && i.master == 0))
                return 0;
        i.name = arena_strdup(ret->arena, name);
        if (!i.name || !arena_append(ret->arena, ret->items, ret->n_items, i))
                return -ENOMEM;
        return 0;
}

/* 1 when the list is complete, 0 when more is to come. */
static int take_part(const void *bytes, size_t size, bool *interrupted, Interfaces *ret) {
        message_for_each(h, bytes, size) {
                const int *error = mnl_nlmsg_get_payload(h);
                int r;

                if (h->nlmsg_flags & NLM_F_DUMP_INTR)
                        *interrupted = true;
                if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
                        return mnl_nlmsg_get_payload_len(h) >= sizeof(*error) && *error < 0 ? *error
                                                                                            : 1;
                r = take_link(h, ret);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int request_links(int fd) {
        struct timeval timeout = {.tv_sec = TIMEOUT_SECONDS};
        struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
        struct {
                struct nlmsghdr header;
                struct ifinfomsg info;
        } request = {
                .header = {.nlmsg_len = sizeof(request),
                           .nlmsg_type = RTM_GETLINK,
                           .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                           .nlmsg_seq = 1},
                .info = {.ifi_family = AF_UNSPEC},
        };

        if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
            sendto(fd, &request, sizeof(request), 0, (struct sockaddr *)&kernel, sizeof(kernel)) <
                    0)
                return -errno;
        return 0;
}

/* Lists the links once. -EINTR if they changed meanwhile. */
static int list_links(Interfaces *ret) {
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        _cleanup_free_ void *buf = malloc(RECEIVE_SIZE);
        bool interrupted = false;
        int r;

        if (fd < 0)
                return -errno;
        if (!buf)
                return -ENOMEM;
        r = request_links(fd);
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
                        r = take_part(buf, (size_t)n, &interrupted, ret);
        }
        if (r < 0)
                return r;
        return interrupted ? -EINTR : 0;
}

static bool has_address(const Address *list, size_t n, const Address address) {
        for (size_t i = 0; i < n; i++)
                if (memcmp(list[i], address, ADDRESS_SIZE) == 0)
                        return true;
        return false;
}

/* The bridge's own address and those of its ports. */
static int collect_addresses(const Interfaces *all, const Interface *bridge, Bridge *ret) {
        Address *list = arena_alloc_array(all->arena, all->n_items, sizeof(*list));
        size_t n = 0;

        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < all->n_items; i++) {
                const Interface *x = &all->items[i];

                if (x->has_address && (x->index == bridge->index || x->master == bridge->index) &&
                    !has_address(list, n, x->address))
                        memcpy(list[n++], x->address, ADDRESS_SIZE);
        }
        *ret = (Bridge){.name = bridge->name, .addresses = list, .n_addresses = n};
        return n > BRIDGES_MAX ? -E2BIG : 0;
}

int nft_read_bridges(Arena *a, Bridge **ret, size_t *ret_n) {
        Interfaces all = {.arena = a};
        Bridge *bridges = NULL;
        size_t n = 0;
        int r = -EINTR;

        for (unsigned int i = 0; i < TRIES && r == -EINTR; i++) {
                all = (Interfaces){.arena = a};
                r = list_links(&all);
        }
        for (size_t i = 0; i < all.n_items && r == 0; i++) {
                Bridge b;

                if (!all.items[i].is_bridge)
                        continue;
                r = collect_addresses(&all, &all.items[i], &b);
                if (r == 0 && !arena_append(a, bridges, n, b))
                        r = -ENOMEM;
        }
        if (r < 0)
                return r;
        if (n > BRIDGES_MAX)
                return -E2BIG;
        *ret = bridges;
        *ret_n = n;
        return 0;
}
