/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/bridges.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "nft/dump.h"

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

static int take_link(const struct nlmsghdr *h, void *to) {
        const struct ifinfomsg *info = mnl_nlmsg_get_payload(h);
        Interfaces *ret = to;
        const char *name, *kind;
        Interface i = {0};
        Attributes a, details;
        const void *address;
        size_t size = 0;

        if (h->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(h) < sizeof(*info))
                return 0;
        attributes_behind(h, sizeof(*info), &a);
        attributes_inside(&a, IFLA_LINKINFO, &details);
        name = attribute_string(&a, IFLA_IFNAME);
        kind = attribute_string(&details, IFLA_INFO_KIND);
        address = attribute_bytes(&a, IFLA_ADDRESS, &size);
        i.index = (uint32_t)info->ifi_index;
        i.master = attribute_native_u32(&a, IFLA_MASTER);
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

/* Lists the links once. -EINTR if they changed meanwhile. */
static int list_links(Interfaces *ret) {
        struct {
                struct nlmsghdr header;
                struct ifinfomsg info;
        } request = {
                .header = {.nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETLINK},
                .info = {.ifi_family = AF_UNSPEC},
        };

        return dump_read(NETLINK_ROUTE, &request.header, take_link, ret);
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

        for (unsigned int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
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
