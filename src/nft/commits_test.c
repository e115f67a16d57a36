/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/commits.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "base/unit.h"
#include "nft/attribute.h"

typedef union Message {
        struct nlmsghdr header;
        char room[512];
} Message;

static struct nlmsghdr *start(Message *m, uint16_t type, uint8_t family) {
        struct nlmsghdr *h;
        struct nfgenmsg *g;

        memset(m, 0, sizeof(*m));
        h = mnl_nlmsg_put_header(m);
        h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
        h->nlmsg_pid = 4711;
        g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
        g->nfgen_family = family;
        return h;
}

static bool object(Commit *c, uint16_t type, uint8_t family, const char *table) {
        Message m;
        struct nlmsghdr *h = start(&m, type, family);

        if (table)
                mnl_attr_put_strz(h, NFTA_RULE_TABLE, table);
        return commit_parse(c, h);
}

static bool end(Commit *c, uint32_t pid, const char *name) {
        Message m;
        struct nlmsghdr *h = start(&m, NFT_MSG_NEWGEN, AF_UNSPEC);

        mnl_attr_put_u32(h, NFTA_GEN_ID, htonl(17));
        mnl_attr_put_u32(h, NFTA_GEN_PROC_PID, htonl(pid));
        if (name)
                mnl_attr_put_strz(h, NFTA_GEN_PROC_NAME, name);
        return commit_parse(c, h);
}

static void a_transaction_ends_with_who_wrote_it(void **state) {
        Commit c = {0};

        assert_false(object(&c, NFT_MSG_NEWRULE, NFPROTO_IPV4, "filter"));
        assert_false(object(&c, NFT_MSG_DELRULE, NFPROTO_INET, "ringwall"));
        assert_true(end(&c, 1234, "nft"));
        assert_true(c.touches_ours);
        assert_int_equal(c.n_objects, 2);
        assert_int_equal(c.port, 4711);
        assert_int_equal(c.pid, 1234);
        assert_int_equal(c.generation, 17);
        assert_string_equal(c.name, "nft");
}

static void only_the_table_of_our_family_and_name_is_ours(void **state) {
        static const struct {
                uint8_t family;
                const char *table;
        } rows[] = {{NFPROTO_IPV4, "ringwall"},
                    {NFPROTO_INET, "ringwall_bans"},
                    {NFPROTO_INET, "ringwal"},
                    {NFPROTO_INET, NULL}};

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Commit c = {0};

                (void)object(&c, NFT_MSG_DELTABLE, rows[i].family, rows[i].table);
                assert_true(end(&c, 1, "nft"));
                assert_false(c.touches_ours);
                assert_int_equal(c.touches_bans, i == 1);
        }
}

static void of_our_table_what_was_touched_is_known_by_name(void **state) {
        static const struct {
                uint16_t type, name;
                const char *table, *what;
        } rows[] = {
                {NFT_MSG_NEWRULE, NFTA_RULE_CHAIN, "ringwall", "input"},
                {NFT_MSG_DELRULE, NFTA_RULE_CHAIN, "ringwall", "output"},
                {NFT_MSG_DELCHAIN, NFTA_CHAIN_NAME, "ringwall", "forward"},
                {NFT_MSG_DELSETELEM, NFTA_SET_ELEM_LIST_SET, "ringwall", "ports"},
                {NFT_MSG_NEWSET, NFTA_SET_NAME, "ringwall", "zone"},
                {NFT_MSG_NEWTABLE, NFTA_TABLE_NAME, "ringwall", "ringwall"},
                {NFT_MSG_NEWRULE, NFTA_RULE_CHAIN, "filter", "another's"},
        };
        Commit c = {0};

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Message m;
                struct nlmsghdr *h = start(&m, rows[i].type, NFPROTO_INET);

                mnl_attr_put_strz(h, NFTA_RULE_TABLE, rows[i].table);
                mnl_attr_put_strz(h, rows[i].name, rows[i].what);
                assert_false(commit_parse(&c, h));
        }
        assert_int_equal(c.touched.of[TOUCHED_CHAIN].n, 3);
        assert_int_equal(c.touched.of[TOUCHED_SET].n, 2);
        assert_true(touched_has(&c.touched, TOUCHED_CHAIN, "forward"));
        assert_true(touched_has(&c.touched, TOUCHED_SET, "ports"));
}

static void what_is_not_understood_stands_for_all(void **state) {
        Commit c = {0};

        (void)object(&c, NFT_MSG_NEWFLOWTABLE, NFPROTO_INET, "ringwall");
        assert_true(touched_is_all(&c.touched));
}

static void a_name_is_cut_and_fit_for_a_terminal(void **state) {
        Commit c = {0};

        assert_true(end(&c, 1, "a\033[31m\nlonger than any name"));
        assert_string_equal(c.name, "a?[31m?longer t");
        assert_true(end(&c, 1, NULL));
        assert_string_equal(c.name, "");
}

static void other_subsystems_and_short_messages_are_passed_over(void **state) {
        Commit c = {0};
        Message m;
        struct nlmsghdr *h = start(&m, NFT_MSG_NEWGEN, AF_UNSPEC);

        h->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | NFT_MSG_NEWGEN;
        assert_false(commit_parse(&c, h));
        h = start(&m, NFT_MSG_NEWGEN, AF_UNSPEC);
        h->nlmsg_len = sizeof(*h) + 2;
        assert_false(commit_parse(&c, h));
        assert_int_equal(c.n_objects, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_transaction_ends_with_who_wrote_it),
                cmocka_unit_test(only_the_table_of_our_family_and_name_is_ours),
                cmocka_unit_test(of_our_table_what_was_touched_is_known_by_name),
                cmocka_unit_test(what_is_not_understood_stands_for_all),
                cmocka_unit_test(a_name_is_cut_and_fit_for_a_terminal),
                cmocka_unit_test(other_subsystems_and_short_messages_are_passed_over),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
