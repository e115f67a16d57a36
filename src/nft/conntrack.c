/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/conntrack.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "nft/dump.h"

#define REQUEST_SIZE 512
#define ANSWER_SIZE 4096
#define ESTABLISHED_SECONDS 432000 /* nf_conntrack_tcp_timeout_established as it comes */

struct ConntrackLink {
        int fd;
        uint32_t sequence;
};

/* One direction of a connection. */
typedef struct Tuple {
        Family family;
        uint8_t protocol, icmp_type;
        U128 source, destination;
        uint16_t source_port, destination_port;
} Tuple;

static bool take_address(const Attributes *ip, uint16_t type, size_t size, U128 *ret) {
        size_t found = 0;
        const void *bytes = attribute_bytes(ip, type, &found);

        if (!bytes || found != size)
                return false;
        *ret = u128_from_bytes(bytes, size);
        return true;
}

static bool parse_tuple(const Attributes *a, uint16_t type, Tuple *ret) {
        Attributes tuple, ip, proto;

        attributes_inside(a, type, &tuple);
        attributes_inside(&tuple, CTA_TUPLE_IP, &ip);
        attributes_inside(&tuple, CTA_TUPLE_PROTO, &proto);
        if (take_address(&ip, CTA_IP_V4_SRC, 4, &ret->source) &&
            take_address(&ip, CTA_IP_V4_DST, 4, &ret->destination))
                ret->family = FAMILY_IPV4;
        else if (take_address(&ip, CTA_IP_V6_SRC, 16, &ret->source) &&
                 take_address(&ip, CTA_IP_V6_DST, 16, &ret->destination))
                ret->family = FAMILY_IPV6;
        else
                return false;
        if (!attribute_u8(&proto, CTA_PROTO_NUM, &ret->protocol))
                return false;
        /* which of these there are is the protocol's matter */
        (void)attribute_u16(&proto, CTA_PROTO_SRC_PORT, &ret->source_port);
        (void)attribute_u16(&proto, CTA_PROTO_DST_PORT, &ret->destination_port);
        if (!attribute_u8(&proto, CTA_PROTO_ICMP_TYPE, &ret->icmp_type))
                (void)attribute_u8(&proto, CTA_PROTO_ICMPV6_TYPE, &ret->icmp_type);
        return true;
}

/* Both ends have closed it, or one has reset it. */
static bool is_over(const Attributes *a) {
        Attributes proto, tcp;
        uint8_t state = TCP_CONNTRACK_NONE;

        attributes_inside(a, CTA_PROTOINFO, &proto);
        attributes_inside(&proto, CTA_PROTOINFO_TCP, &tcp);
        (void)attribute_u8(&tcp, CTA_PROTOINFO_TCP_STATE, &state);
        return state == TCP_CONNTRACK_TIME_WAIT || state == TCP_CONNTRACK_CLOSE;
}

bool conntrack_parse_entry(const Attributes *a, Connection *ret) {
        Tuple original = {0}, reply = {0};
        uint32_t status = 0;
        const void *tuple;
        size_t size = 0;

        tuple = attribute_bytes(a, CTA_TUPLE_ORIG, &size);
        if (!tuple || size > CONNTRACK_TUPLE_MAX || !parse_tuple(a, CTA_TUPLE_ORIG, &original) ||
            !parse_tuple(a, CTA_TUPLE_REPLY, &reply) || reply.family != original.family)
                return false;
        (void)attribute_u32(a, CTA_STATUS, &status);
        *ret = (Connection){
                .family = original.family,
                .protocol = original.protocol,
                .icmp_type = original.icmp_type,
                .source = original.source,
                .source_port = original.source_port,
                .dialled = original.destination,
                .dialled_port = original.destination_port,
                .destination = reply.source,
                .destination_port = reply.source_port,
                .translated = status & IPS_DST_NAT,
                .confirmed = status & IPS_CONFIRMED,
                .expected = status & IPS_EXPECTED,
                .is_over = is_over(a),
                .tuple_size = (uint16_t)size,
        };
        (void)attribute_u32(a, CTA_MARK, &ret->mark); /* absent: 0, as the zone */
        (void)attribute_u16(a, CTA_ZONE, &ret->zone);
        memcpy(ret->tuple, tuple, size);
        return true;
}

bool conntrack_parse(const struct nlmsghdr *h, Connection *ret) {
        Attributes a;

        if (h->nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW) ||
            mnl_nlmsg_get_payload_len(h) < sizeof(struct nfgenmsg))
                return false;
        attributes_of_message(h, &a);
        return conntrack_parse_entry(&a, ret);
}

typedef struct Reader {
        int (*take)(const Connection *c, void *to);
        void *to;
        size_t n;
} Reader;

static int take_message(const struct nlmsghdr *h, void *to) {
        Reader *r = to;
        Connection c;

        if (!conntrack_parse(h, &c))
                return 0;
        return ++r->n > CONNTRACK_MAX ? -E2BIG : r->take(&c, r->to);
}

static struct nlmsghdr *put_header(void *buf, uint16_t type, uint16_t flags) {
        struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
        struct nfgenmsg *g;

        h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
        h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
        g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
        g->version = NFNETLINK_V0;
        return h;
}

int conntrack_read(int (*take)(const Connection *c, void *to), void *to) {
        unsigned char buf[REQUEST_SIZE] = {0};
        Reader r = {.take = take, .to = to};
        struct nlmsghdr *h = put_header(buf, IPCTNL_MSG_CT_GET, 0);

        return dump_read(NETLINK_NETFILTER, h, take_message, &r);
}

int conntrack_open(ConntrackLink **ret) {
        _cleanup_(conntrack_closep) ConntrackLink *l = calloc(1, sizeof(*l));
        struct timeval timeout = {.tv_sec = DUMP_TIMEOUT_SECONDS};

        if (!l)
                return -ENOMEM;
        l->sequence = 1;
        l->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
        if (l->fd < 0 || setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
                return -errno;
        *ret = TAKE_PTR(l);
        return 0;
}

ConntrackLink *conntrack_close(ConntrackLink *l) {
        if (l && l->fd >= 0)
                (void)close(l->fd); /* nothing is kept in it */
        free(l);
        return NULL;
}

/* The kernel's answer to the message of that number: 0 or a negative errno. */
static int read_answer(const ConntrackLink *l, uint32_t sequence) {
        for (;;) {
                _Alignas(struct nlmsghdr) unsigned char buf[ANSWER_SIZE];
                struct sockaddr_nl from = {0};
                socklen_t from_size = sizeof(from);
                ssize_t n =
                        recvfrom(l->fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &from_size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN ? -ETIMEDOUT : -errno;
                if (from.nl_pid != 0)
                        continue;
                message_for_each(h, buf, (size_t)n) {
                        const int *error = mnl_nlmsg_get_payload(h);

                        if (h->nlmsg_seq == sequence && h->nlmsg_type == NLMSG_ERROR &&
                            mnl_nlmsg_get_payload_len(h) >= sizeof(*error))
                                return *error;
                }
        }
}

/* Sends a message about one entry. 0 or what the kernel answered. */
static int ask(ConntrackLink *l, struct nlmsghdr *h, Family family) {
        struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
        struct nfgenmsg *g = mnl_nlmsg_get_payload(h);
        ssize_t n;

        g->nfgen_family = family == FAMILY_IPV4 ? AF_INET : AF_INET6;
        h->nlmsg_seq = l->sequence++;
        do
                n = sendto(l->fd, h, h->nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel));
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : read_answer(l, h->nlmsg_seq);
}

int conntrack_mark(ConntrackLink *l, const Connection *c, uint32_t bits) {
        unsigned char buf[REQUEST_SIZE] = {0};
        struct nlmsghdr *h = put_header(buf, IPCTNL_MSG_CT_NEW, NLM_F_ACK);
        int r;

        mnl_attr_put(h, CTA_TUPLE_ORIG | NLA_F_NESTED, c->tuple_size, c->tuple);
        if (c->zone != 0)
                mnl_attr_put_u16(h, CTA_ZONE, htons(c->zone));
        mnl_attr_put_u32(h, CTA_MARK, htonl(bits));
        mnl_attr_put_u32(h, CTA_MARK_MASK, htonl(bits));
        r = ask(l, h, c->family);
        return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static void put_address(struct nlmsghdr *h, Family family, bool source, U128 address) {
        static const uint16_t types[_FAMILY_MAX][2] = {
                [FAMILY_IPV4] = {CTA_IP_V4_DST, CTA_IP_V4_SRC},
                [FAMILY_IPV6] = {CTA_IP_V6_DST, CTA_IP_V6_SRC},
        };
        size_t size = family == FAMILY_IPV4 ? 4 : 16;
        unsigned char bytes[16];

        u128_to_bytes(address, bytes, size);
        mnl_attr_put(h, types[family][source], size, bytes);
}

static void put_tuple(struct nlmsghdr *h, const Connection *c, bool reply) {
        struct nlattr *tuple = mnl_attr_nest_start(h, reply ? CTA_TUPLE_REPLY : CTA_TUPLE_ORIG);
        struct nlattr *part = mnl_attr_nest_start(h, CTA_TUPLE_IP);

        put_address(h, c->family, true, reply ? c->dialled : c->source);
        put_address(h, c->family, false, reply ? c->source : c->dialled);
        mnl_attr_nest_end(h, part);
        part = mnl_attr_nest_start(h, CTA_TUPLE_PROTO);
        mnl_attr_put_u8(h, CTA_PROTO_NUM, c->protocol);
        mnl_attr_put_u16(h, CTA_PROTO_SRC_PORT, htons(reply ? c->dialled_port : c->source_port));
        mnl_attr_put_u16(h, CTA_PROTO_DST_PORT, htons(reply ? c->source_port : c->dialled_port));
        mnl_attr_nest_end(h, part);
        mnl_attr_nest_end(h, tuple);
}

int conntrack_add(ConntrackLink *l, const Connection *c, uint32_t bits) {
        unsigned char buf[REQUEST_SIZE] = {0};
        struct nlmsghdr *h =
                put_header(buf, IPCTNL_MSG_CT_NEW, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
        struct nlattr *info, *tcp;
        int r;

        put_tuple(h, c, false);
        put_tuple(h, c, true);
        mnl_attr_put_u32(h, CTA_TIMEOUT, htonl(ESTABLISHED_SECONDS));
        mnl_attr_put_u32(h, CTA_MARK, htonl(bits));
        info = mnl_attr_nest_start(h, CTA_PROTOINFO);
        tcp = mnl_attr_nest_start(h, CTA_PROTOINFO_TCP);
        mnl_attr_put_u8(h, CTA_PROTOINFO_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
        mnl_attr_nest_end(h, tcp);
        mnl_attr_nest_end(h, info);
        r = ask(l, h, c->family);
        return r == -EEXIST ? 0 : r < 0 ? r : 1;
}
