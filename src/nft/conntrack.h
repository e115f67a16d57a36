/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The connections that this network namespace's conntrack knows, and the mark by which one is cut
 * (include/uapi/linux/netfilter/nfnetlink_conntrack.h). Needs CAP_NET_ADMIN. */

#include <linux/netlink.h>

#include "base/address.h"
#include "nft/attribute.h"

#define CONNTRACK_MAX ((size_t)4 << 20) /* entries of one answer */
#define CONNTRACK_TUPLE_MAX 128         /* bytes of a tuple as the kernel writes it */

/* What opened it. The answers' tuple tells where it really ends: that is where a translation sent
 * it. */
typedef struct Connection {
        Family family;
        uint8_t protocol;
        uint8_t icmp_type; /* of ICMP and ICMPv6 */
        U128 source, dialled;
        uint16_t source_port, dialled_port;
        U128 destination; /* after any translation */
        uint16_t destination_port;
        bool translated; /* its destination was */
        bool confirmed, expected;
        bool is_over; /* of TCP: closed, and remembered for a while */
        uint32_t mark;
        uint16_t zone;
        uint16_t tuple_size;
        unsigned char tuple[CONNTRACK_TUPLE_MAX]; /* names the entry in conntrack_mark() */
} Connection;

/* Calls take for every entry of both families. 0; what take returned if negative; -EINTR if the
 * table changed much meanwhile: some may be missing; -E2BIG past CONNTRACK_MAX; what the kernel
 * said. */
int conntrack_read(int (*take)(const Connection *c, void *to), void *to);

typedef struct ConntrackLink ConntrackLink;

int conntrack_open(ConntrackLink **ret);
ConntrackLink *conntrack_close(ConntrackLink *l); /* accepts NULL, returns NULL */

/* Sets those bits of the entry's mark and leaves the others. 1; 0 if it is gone by now; or a
 * negative errno. */
int conntrack_mark(ConntrackLink *l, const Connection *c, uint32_t bits);

/* Makes an entry for a connection that conntrack has not seen, with those bits as its mark. Of c its
 * addresses, ports and protocol (TCP) count. 1; 0 if there is one; or a negative errno. */
int conntrack_add(ConntrackLink *l, const Connection *c, uint32_t bits);

/* Takes in one of the kernel's messages; false if it is not an entry that we understand. */
bool conntrack_parse(const struct nlmsghdr *h, Connection *ret);
/* Likewise an entry's attributes, wherever they stand. */
bool conntrack_parse_entry(const Attributes *a, Connection *ret);

static inline void conntrack_closep(ConntrackLink **l) {
        (void)conntrack_close(*l);
}
