/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Messages as the kernel sends them, and broken ones: the packets inside are anybody's. */

#include "nft/log.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_log.h>

#include "base/unit.h"
#include "nft/attribute.h"

typedef union Message {
        struct nlmsghdr header;
        char room[2048];
} Message;

static struct nlmsghdr *start(Message *m, uint8_t hook) {
        struct nfulnl_msg_packet_hdr packet = {.hook = hook};
        struct nlmsghdr *h;

        memset(m, 0, sizeof(*m));
        h = mnl_nlmsg_put_header(m);
        h->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET;
        (void)mnl_nlmsg_put_extra_header(h, sizeof(struct nfgenmsg));
        mnl_attr_put(h, NFULA_PACKET_HDR, sizeof(packet), &packet);
        return h;
}

/* TCP from 198.51.100.7:50000 to 203.0.113.1:22 */
static const unsigned char tcp4[] = {
        0x45, 0,    0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 198,  51, 100, 7, 203, 0, 113, 1,
        0xc3, 0x50, 0, 22, 0, 0, 0, 0, 0,  0, 0, 0, 0x50, 2,  0,   0, 0,   0, 0,   0,
};

static void reads_a_packet_and_where_it_was_judged(void **state) {
        Message m;
        struct nlmsghdr *h = start(&m, NF_INET_LOCAL_OUT);
        LogLine line;

        mnl_attr_put(h, NFULA_PAYLOAD, sizeof(tcp4), tcp4);
        mnl_attr_put_u32(h, NFULA_UID, htonl(1000));
        assert_true(log_parse(h, &line));
        assert_int_equal(line.hook, HOOK_OUTPUT);
        assert_true(line.has_addresses && line.has_ports && line.has_user);
        assert_false(line.has_group || line.has_connection || line.has_icmp_type);
        assert_int_equal(line.user, 1000);
        assert_int_equal(line.protocol, IPPROTO_TCP);
        assert_int_equal(line.source_port, 50000);
        assert_int_equal(line.destination_port, 22);
        assert_int_equal(line.destination.low, 0xcb007101);
        assert_string_equal(line.prefix, "");
}

static void every_beginning_of_a_packet_is_taken_as_far_as_it_goes(void **state) {
        for (size_t size = 0; size <= sizeof(tcp4); size++) {
                Message m;
                struct nlmsghdr *h = start(&m, NF_INET_LOCAL_IN);
                LogLine line;

                mnl_attr_put(h, NFULA_PAYLOAD, size, tcp4);
                assert_true(log_parse(h, &line));
                assert_int_equal(line.has_addresses, size >= 20);
                assert_int_equal(line.has_ports, size >= 24);
        }
}

static void take_v6(const unsigned char *rest, size_t size, uint8_t next, LogLine *ret) {
        unsigned char packet[128] = {0x60, 0, 0, 0, 0, 0, next, 64};
        Message m;
        struct nlmsghdr *h = start(&m, NF_INET_FORWARD);

        assert_true(size <= sizeof(packet) - 40);
        memcpy(packet + 40, rest, size);
        mnl_attr_put(h, NFULA_PAYLOAD, 40 + size, packet);
        assert_true(log_parse(h, ret));
        assert_true(ret->has_addresses && ret->family == FAMILY_IPV6);
}

static void ports_stand_behind_the_extension_headers(void **state) {
        static const unsigned char options[] = {43, 0, 1, 4, 0, 0, 0, 0, 17, 1, 0, 0,  0, 0, 0, 0,
                                                0,  0, 0, 0, 0, 0, 0, 0, 1,  2, 0, 53, 0, 0, 0, 0};
        static const unsigned char first[] = {6, 0, 0, 1, 0, 0, 0, 0, 1, 2, 0, 22};
        static const unsigned char later[] = {6, 0, 0, 9, 0, 0, 0, 0, 1, 2, 0, 22};
        static const unsigned char endless[] = {0, 255, 0, 0, 0, 0, 0, 0};
        static const unsigned char ping[] = {128, 0, 0, 0};
        LogLine line;

        take_v6(options, sizeof(options), IPPROTO_HOPOPTS, &line);
        assert_int_equal(line.protocol, IPPROTO_UDP);
        assert_int_equal(line.destination_port, 53);
        take_v6(first, sizeof(first), IPPROTO_FRAGMENT, &line);
        assert_int_equal(line.destination_port, 22);
        take_v6(later, sizeof(later), IPPROTO_FRAGMENT, &line);
        assert_true(line.protocol == IPPROTO_TCP && !line.has_ports);
        take_v6(endless, sizeof(endless), IPPROTO_HOPOPTS, &line);
        assert_false(line.has_ports);
        take_v6(ping, sizeof(ping), IPPROTO_ICMPV6, &line);
        assert_true(line.has_icmp_type && line.icmp_type == 128);
}

static void put_tuple(struct nlmsghdr *h,
                      uint16_t type,
                      const char *from,
                      const char *to,
                      uint16_t from_port,
                      uint16_t to_port) {
        struct nlattr *tuple = mnl_attr_nest_start(h, type), *nest;

        nest = mnl_attr_nest_start(h, CTA_TUPLE_IP);
        mnl_attr_put(h, CTA_IP_V4_SRC, 4, from);
        mnl_attr_put(h, CTA_IP_V4_DST, 4, to);
        mnl_attr_nest_end(h, nest);
        nest = mnl_attr_nest_start(h, CTA_TUPLE_PROTO);
        mnl_attr_put_u8(h, CTA_PROTO_NUM, IPPROTO_TCP);
        mnl_attr_put_u16(h, CTA_PROTO_SRC_PORT, htons(from_port));
        mnl_attr_put_u16(h, CTA_PROTO_DST_PORT, htons(to_port));
        mnl_attr_nest_end(h, nest);
        mnl_attr_nest_end(h, tuple);
}

static void knows_what_was_dialled_before_the_translation(void **state) {
        Message m;
        struct nlmsghdr *h = start(&m, NF_INET_FORWARD);
        struct nlattr *ct;
        LogLine line;

        mnl_attr_put(h, NFULA_PAYLOAD, sizeof(tcp4), tcp4);
        ct = mnl_attr_nest_start(h, NFULA_CT);
        put_tuple(h, CTA_TUPLE_ORIG, "\xc6\x33\x64\x07", "\xcb\x00\x71\x09", 50000, 8080);
        put_tuple(h, CTA_TUPLE_REPLY, "\xcb\x00\x71\x01", "\xc6\x33\x64\x07", 22, 50000);
        mnl_attr_put_u32(h, CTA_STATUS, htonl(IPS_DST_NAT));
        mnl_attr_nest_end(h, ct);
        mnl_attr_put_u32(h, NFULA_CT_INFO, htonl(IP_CT_NEW));
        assert_true(log_parse(h, &line));
        assert_true(line.has_connection && line.translated);
        assert_int_equal(line.ct_state, CT_STATE_NEW);
        assert_int_equal(line.dialled.low, 0xcb007109);
        assert_int_equal(line.dialled_port, 8080);
        assert_int_equal(line.destination_port, 22);
}

static void other_messages_are_none(void **state) {
        Message m;
        struct nlmsghdr *h = start(&m, 200);
        LogLine line;

        assert_true(log_parse(h, &line)); /* a hook that nobody knows */
        assert_int_equal(line.hook, HOOK_NONE);
        assert_false(line.has_addresses);
        h->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
        assert_false(log_parse(h, &line));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(reads_a_packet_and_where_it_was_judged),
                cmocka_unit_test(every_beginning_of_a_packet_is_taken_as_far_as_it_goes),
                cmocka_unit_test(ports_stand_behind_the_extension_headers),
                cmocka_unit_test(knows_what_was_dialled_before_the_translation),
                cmocka_unit_test(other_messages_are_none),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
