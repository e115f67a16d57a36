/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/neighbours.h"

static int add(const Tree *t, Neighbours *n, Family family, U128 address, const char *what) {
        Neighbour item = {family, address, what};

        if (n->n_items == NEIGHBOURS_MAX || u128_is_zero(address))
                return 0;
        return arena_append(t->arena, n->items, n->n_items, item) ? 0 : -ENOMEM;
}

/* "eth0 00000000 0100A8C0 ...": the third column, in the machine's byte order. */
static int take_route4(const Tree *t, const char *line, Neighbours *n) {
        unsigned int destination, gateway;
        unsigned char bytes[4];

        if (sscanf(line, "%*s %8x %8x", &destination, &gateway) != 2)
                return 0;
        memcpy(bytes, &gateway, sizeof(bytes));
        return add(t, n, FAMILY_IPV4, u128_from_bytes(bytes, sizeof(bytes)),
                   "a gateway of this host's");
}

/* The fifth column, 32 digits. */
static int take_route6(const Tree *t, const char *line, Neighbours *n) {
        unsigned long long high, low;

        if (sscanf(line, "%*s %*s %*s %*s %16llx%16llx", &high, &low) != 2)
                return 0;
        return add(t, n, FAMILY_IPV6, (U128){high, low}, "a gateway of this host's");
}

static int take_server(const Tree *t, const char *line, Neighbours *n) {
        char text[ADDRESS_TEXT_MAX];
        Family family;
        U128 address;

        if (sscanf(line, " nameserver %100[0-9a-fA-F:.]", text) != 1 ||
            address_parse(text, &family, &address) != ADDRESS_OK)
                return 0;
        return add(t, n, family, address, "a name server of this host's");
}

static const struct {
        const char *path;
        int (*take)(const Tree *t, const char *line, Neighbours *n);
} sources[] = {
        {"/proc/net/route", take_route4},
        {"/proc/net/ipv6_route", take_route6},
        {"/etc/resolv.conf", take_server},
        {"/run/systemd/resolve/resolv.conf", take_server},
};

int neighbours_read(const Tree *t, Neighbours *ret) {
        *ret = (Neighbours){0};
        for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
                char *text, *line, *rest;
                size_t size;
                int r = tree_read(t, tree_path(t, "%s", sources[i].path), &text, &size);

                if (r == -ENOMEM)
                        return r;
                for (line = r == 0 ? strtok_r(text, "\n", &rest) : NULL; line;
                     line = strtok_r(NULL, "\n", &rest))
                        if (sources[i].take(t, line, ret) < 0)
                                return -ENOMEM;
        }
        return 0;
}
