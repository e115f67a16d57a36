/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/log.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>

#include "nft/attribute.h"
#include "policy/policy.h"
#include "ruleset/packet.h"

#define BUFFER_SIZE ((size_t)64 * 1024)
#define COPY_SIZE 128 /* bytes of a packet: its headers */
#define READS_MAX 64  /* datagrams at a time: a flood must not hold us up */

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

int log_open(uint16_t group, int *ret_fd) {
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
        if (r == 0) {
                memset(buf, 0, sizeof(buf));
                h = put_config(buf, group, AF_UNSPEC);
                mnl_attr_put(h, NFULA_CFG_MODE, sizeof(mode), &mode);
                r = send_config(fd, h);
        }
        if (r < 0)
                return r;
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

static void parse_ports(const unsigned char *p, size_t size, LogLine *ret) {
        if (!protocol_has_ports(ret->protocol) || size < 4)
                return;
        ret->has_ports = true;
        ret->source_port = (uint16_t)(p[0] << 8 | p[1]);
        ret->destination_port = (uint16_t)(p[2] << 8 | p[3]);
}

/* The headers of RFC 791 and RFC 8200; what stands behind an extension header is left out. */
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
                        parse_ports(p + header, size - header, ret);
        } else if (size >= 40 && p[0] >> 4 == 6) {
                ret->family = FAMILY_IPV6;
                ret->source = u128_from_bytes(p + 8, 16);
                ret->destination = u128_from_bytes(p + 24, 16);
                ret->protocol = p[6];
                ret->has_addresses = true;
                parse_ports(p + 40, size - 40, ret);
        }
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
        if (packet)
                parse_packet(packet, size, ret);
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
