/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/log.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>

#include "nft/attribute.h"
#include "nft/conntrack.h"
#include "policy/policy.h"
#include "ruleset/packet.h"

#define BUFFER_SIZE ((size_t)64 * 1024)
#define COPY_SIZE 128   /* bytes of a packet: its headers */
#define SAMPLE_DELAY 10 /* hundredths of a second that a sample waits for others */
#define READS_MAX 64    /* datagrams at a time: a flood must not hold us up */

static struct nlmsghdr *put_config(void *buf, uint16_t group, uint8_t family) {
        struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
        struct nfgenmsg *g;

        h->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
        h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
        g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
        g->nfgen_family = family;
        g->version = NFNETLINK_V0;
        g->res_id = htons(group);
        return h;
}

/* 0 or what the kernel answered. */
static int send_config(int fd, const struct nlmsghdr *h) {
        struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
        _Alignas(struct nlmsghdr) unsigned char buf[1024];

        if (sendto(fd, h, h->nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
                return -errno;
        for (;;) {
                ssize_t n = recv(fd, buf, sizeof(buf), 0);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                message_for_each(answer, buf, (size_t)n) {
                        const int *error = mnl_nlmsg_get_payload(answer);

                        if (answer->nlmsg_type == NLMSG_ERROR &&
                            mnl_nlmsg_get_payload_len(answer) >= sizeof(*error))
                                return *error;
                }
        }
}

/* Few at a time, but soon. A kernel without conntrack's netlink part refuses the second, and shows
 * packets alone. */
static void configure_samples(int fd, uint16_t group) {
        _Alignas(struct nlmsghdr) unsigned char buf[256] = {0};
        struct nlmsghdr *h = put_config(buf, group, AF_UNSPEC);

        mnl_attr_put_u32(h, NFULA_CFG_TIMEOUT, htonl(SAMPLE_DELAY));
        (void)send_config(fd, h);
        memset(buf, 0, sizeof(buf));
        h = put_config(buf, group, AF_UNSPEC);
        mnl_attr_put_u16(h, NFULA_CFG_FLAGS, htons(NFULNL_CFG_F_CONNTRACK));
        (void)send_config(fd, h);
}

int log_open(uint16_t group, bool samples, int *ret_fd) {
        struct nfulnl_msg_config_cmd bind = {.command = NFULNL_CFG_CMD_BIND};
        struct nfulnl_msg_config_mode mode = {.copy_range = htonl(COPY_SIZE),
                                              .copy_mode = NFULNL_COPY_PACKET};
        _Alignas(struct nlmsghdr) unsigned char buf[256] = {0};
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
        struct timeval timeout = {.tv_sec = 5};
        struct nlmsghdr *h;
        int r, flags = 1;

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
                return -errno;
        h = put_config(buf, group, AF_UNSPEC);
        mnl_attr_put(h, NFULA_CFG_CMD, sizeof(bind), &bind);
        r = send_config(fd, h);
        /* so the kernel calls it; whoever may not ask at all could not have made the rules */
        if (r == -EPERM)
                r = -EBUSY;
        if (r == 0) {
                memset(buf, 0, sizeof(buf));
                h = put_config(buf, group, AF_UNSPEC);
                mnl_attr_put(h, NFULA_CFG_MODE, sizeof(mode), &mode);
                r = send_config(fd, h);
        }
        if (r < 0)
                return r;
        if (samples)
                configure_samples(fd, group);
        /* what comes too fast is counted by the rules, and need not be told by an error */
        (void)setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &flags, sizeof(flags));
        *ret_fd = fd;
        fd = -1;
        return 0;
}

static void copy_printable(char *to, size_t size, const char *from) {
        size_t n = 0;

        for (; from[n] && n + 1 < size; n++)
                to[n] = (unsigned char)from[n] < ' ' || from[n] == 0x7f ? '?' : from[n];
        to[n] = '\0';
}

static void name_of(const Attributes *a, uint16_t type, char ret[LOG_NAME_SIZE]) {
        uint32_t index = 0;
        char name[IF_NAMESIZE];

        ret[0] = '\0';
        if (attribute_u32(a, type, &index) && index > 0 && if_indextoname(index, name))
                (void)snprintf(ret, LOG_NAME_SIZE, "%s", name);
}

static void parse_transport(const unsigned char *p, size_t size, LogLine *ret) {
        if (protocol_has_ports(ret->protocol) && size >= 4) {
                ret->has_ports = true;
                ret->source_port = (uint16_t)(p[0] << 8 | p[1]);
                ret->destination_port = (uint16_t)(p[2] << 8 | p[3]);
        }
        if ((ret->protocol == IPPROTO_ICMP || ret->protocol == IPPROTO_ICMPV6) && size >= 1) {
                ret->has_icmp_type = true;
                ret->icmp_type = p[0];
        }
}

static bool is_extension(uint8_t protocol) {
        return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
               protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_DSTOPTS;
}

/* Behind the extension headers of RFC 8200, as far as they were copied: each is at least eight
 * bytes long, so that this ends. */
static void parse_extensions(const unsigned char *p, size_t size, LogLine *ret) {
        while (is_extension(ret->protocol) && size >= 8) {
                bool fragment = ret->protocol == IPPROTO_FRAGMENT;
                size_t length = fragment ? 8 : ((size_t)p[1] + 1) * 8;

                ret->protocol = p[0];
                /* only the first fragment has ports */
                if (length > size || (fragment && (p[2] != 0 || (p[3] & 0xf8) != 0)))
                        return;
                p += length;
                size -= length;
        }
        parse_transport(p, size, ret);
}

/* The headers of RFC 791 and RFC 8200. */
static void parse_packet(const unsigned char *p, size_t size, LogLine *ret) {
        size_t header = size > 0 ? (size_t)(p[0] & 0xf) * 4 : 0;

        if (size >= 20 && p[0] >> 4 == 4 && header >= 20) {
                ret->family = FAMILY_IPV4;
                ret->source = u128_from_bytes(p + 12, 4);
                ret->destination = u128_from_bytes(p + 16, 4);
                ret->protocol = p[9];
                ret->has_addresses = true;
                /* only the first fragment has ports */
                if (size > header && (p[6] & 0x1f) == 0 && p[7] == 0)
                        parse_transport(p + header, size - header, ret);
        } else if (size >= 40 && p[0] >> 4 == 6) {
                ret->family = FAMILY_IPV6;
                ret->source = u128_from_bytes(p + 8, 16);
                ret->destination = u128_from_bytes(p + 24, 16);
                ret->protocol = p[6];
                ret->has_addresses = true;
                parse_extensions(p + 40, size - 40, ret);
        }
}

static Hook parse_hook(const Attributes *a) {
        static const Hook hooks[] = {
                [NF_INET_PRE_ROUTING] = HOOK_PREROUTING,   [NF_INET_LOCAL_IN] = HOOK_INPUT,
                [NF_INET_FORWARD] = HOOK_FORWARD,          [NF_INET_LOCAL_OUT] = HOOK_OUTPUT,
                [NF_INET_POST_ROUTING] = HOOK_POSTROUTING,
        };
        struct nfulnl_msg_packet_hdr header;
        size_t size = 0;
        const void *bytes = attribute_bytes(a, NFULA_PACKET_HDR, &size);

        if (!bytes || size < sizeof(header))
                return HOOK_NONE;
        memcpy(&header, bytes, sizeof(header));
        return header.hook < ARRAY_SIZE(hooks) ? hooks[header.hook] : HOOK_NONE;
}

/* What enum ip_conntrack_info calls it, which counts both directions. */
static uint32_t parse_state(uint32_t info) {
        switch (info % IP_CT_IS_REPLY) {
        case IP_CT_ESTABLISHED:
                return CT_STATE_ESTABLISHED;
        case IP_CT_RELATED:
                return CT_STATE_RELATED;
        case IP_CT_NEW:
                return CT_STATE_NEW;
        }
        return CT_STATE_NEW;
}

static void parse_connection(const Attributes *a, LogLine *ret) {
        uint32_t info = IP_CT_NEW;
        Attributes inside;
        Connection c;

        attributes_inside(a, NFULA_CT, &inside);
        if (!conntrack_parse_entry(&inside, &c) || c.family != ret->family)
                return;
        (void)attribute_u32(a, NFULA_CT_INFO, &info);
        ret->has_connection = true;
        ret->ct_state = parse_state(info);
        ret->ct_mark = c.mark;
        ret->expected = c.expected;
        ret->translated = c.translated;
        ret->dialled = c.dialled;
        ret->dialled_port = c.dialled_port;
}

bool log_parse(const struct nlmsghdr *h, LogLine *ret) {
        const char *prefix;
        const void *packet;
        size_t size = 0;
        Attributes a;

        if (h->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET) ||
            mnl_nlmsg_get_payload_len(h) < sizeof(struct nfgenmsg))
                return false;
        attributes_of_message(h, &a);
        prefix = attribute_string(&a, NFULA_PREFIX);
        packet = attribute_bytes(&a, NFULA_PAYLOAD, &size);
        *ret = (LogLine){0};
        copy_printable(ret->prefix, sizeof(ret->prefix), prefix ? prefix : "");
        name_of(&a, NFULA_IFINDEX_INDEV, ret->in);
        name_of(&a, NFULA_IFINDEX_OUTDEV, ret->out);
        ret->hook = parse_hook(&a);
        ret->has_user = attribute_u32(&a, NFULA_UID, &ret->user);
        ret->has_group = attribute_u32(&a, NFULA_GID, &ret->group);
        if (packet)
                parse_packet(packet, size, ret);
        if (ret->has_addresses)
                parse_connection(&a, ret);
        return true;
}

int log_read(int fd, void (*take)(const LogLine *line, void *to), void *to, bool *ret_lost) {
        _cleanup_free_ unsigned char *buf = malloc(BUFFER_SIZE);

        *ret_lost = false;
        if (!buf)
                return -ENOMEM;
        for (int i = 0; i < READS_MAX; i++) {
                struct sockaddr_nl from = {0};
                socklen_t from_size = sizeof(from);
                ssize_t n = recvfrom(fd, buf, BUFFER_SIZE, MSG_DONTWAIT, (struct sockaddr *)&from,
                                     &from_size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return 0;
                if (n < 0 && errno == ENOBUFS) {
                        *ret_lost = true;
                        continue;
                }
                if (n < 0)
                        return -errno;
                if (from.nl_pid != 0) /* other programs can send us messages, too */
                        continue;
                message_for_each(h, buf, (size_t)n) {
                        LogLine line;

                        if (log_parse(h, &line))
                                take(&line, to);
                }
        }
        return 0;
}

static size_t put_end(char *buf, size_t n, const LogLine *line, U128 address, uint16_t port) {
        char text[ADDRESS_TEXT_MAX];
        bool v6 = line->family == FAMILY_IPV6 && line->has_ports;

        n += (size_t)snprintf(buf + n, LOG_TEXT_MAX - n, "%s%s%s", v6 ? "[" : "",
                              address_print(line->family, address, text), v6 ? "]" : "");
        if (line->has_ports)
                n += (size_t)snprintf(buf + n, LOG_TEXT_MAX - n, ":%u", port);
        return n;
}

const char *log_describe(const LogLine *line, char buf[LOG_TEXT_MAX]) {
        const char *protocol = protocol_to_string(line->protocol);
        size_t n = 0;

        buf[0] = '\0';
        if (line->has_addresses) {
                n += protocol ? (size_t)snprintf(buf, LOG_TEXT_MAX, "%s ", protocol)
                              : (size_t)snprintf(buf, LOG_TEXT_MAX, "protocol %u ", line->protocol);
                n = put_end(buf, n, line, line->source, line->source_port);
                n += (size_t)snprintf(buf + n, LOG_TEXT_MAX - n, " → ");
                n = put_end(buf, n, line, line->destination, line->destination_port);
        }
        if (line->in[0])
                n += (size_t)snprintf(buf + n, LOG_TEXT_MAX - n, " in %s", line->in);
        if (line->out[0])
                (void)snprintf(buf + n, LOG_TEXT_MAX - n, " out %s", line->out);
        return buf;
}
