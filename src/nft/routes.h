/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The links of this network namespace, their addresses, and what is routed over them, as rtnetlink
 * tells it (include/uapi/linux/rtnetlink.h). Needs no privileges. */

#include <linux/netlink.h>

#include "base/address.h"

#define ROUTES_NAME_MAX 16     /* IFNAMSIZ: bytes of an interface's name, NUL included */
#define ROUTES_KIND_MAX 16     /* bytes of a kind, NUL included; the kernel's longest has 11 */
#define ROUTES_ITEMS_MAX 65536 /* links, addresses, kept routes: of each */

typedef struct HostLink {
        uint32_t index;
        uint32_t master; /* index of the bridge, bond or VRF that it is a port of; or 0 */
        uint32_t table;  /* of a VRF: where its ports' routes are; else 0 */
        char name[ROUTES_NAME_MAX];
        char kind[ROUTES_KIND_MAX]; /* "bridge", "veth", "vlan", "wireguard", "tun"; "": a device */
        bool is_loopback, is_up;
} HostLink;

typedef struct HostAddress {
        uint32_t link; /* its index */
        Family family;
        U128 address;
        unsigned int length; /* of the prefix, in bits */
} HostAddress;

/* A route to what is on the link itself, or a default route. */
typedef struct HostRoute {
        uint32_t link;
        Family family;
        Range to;
        bool is_default; /* everything; then is_on_link or not, else is_on_link always */
        bool is_on_link; /* reached without a gateway */
} HostRoute;

/* Everything is kept in the arena. Routes are the unicast ones of the main table and of the VRFs'
 * tables, if they are on-link or default; of several next hops each gives one. */
typedef struct HostNet {
        Arena *arena;
        HostLink *links; /* by index once read */
        size_t n_links;
        HostAddress *addresses;
        size_t n_addresses;
        HostRoute *routes;
        size_t n_routes;
} HostNet;

/* 0; -EINTR if it kept changing while it was read; -E2BIG past ROUTES_ITEMS_MAX; -ETIMEDOUT,
 * -ENOMEM, or what the kernel said. */
int routes_read(Arena *a, HostNet *ret);

/* NULL if there is none. */
const HostLink *routes_find_link(const HostNet *net, uint32_t index);

/* Takes in one of the kernel's messages, links before routes; others, and malformed ones, are
 * passed over. 0, -E2BIG or -ENOMEM. */
int routes_take(const struct nlmsghdr *h, HostNet *net);
/* After the last one. */
void routes_sort(HostNet *net);
