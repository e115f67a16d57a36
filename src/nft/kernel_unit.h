/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For tests with the running kernel. Each test program makes a network namespace for itself, which
 * dies with it, and touches nothing outside. It needs root; without, it fails: a skipped test
 * proves nothing. */

#include <sched.h>
#include <sys/socket.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include "base/unit.h"
#include "nft/apply.h"
#include "nft/namespace.h"
#include "nft/sample.h"

#define NFT "/usr/sbin/nft"

typedef struct Test {
        Arena *arena;
        NftLink *link;
        Diag *d;
} Test;

static inline int kernel_setup(void **state) {
        Test *t = calloc(1, sizeof(*t));
        bool there;

        *state = t;
        if (!t)
                return -1;
        t->arena = arena_new(0);
        t->d = t->arena ? diag_new(t->arena) : NULL;
        if (!t->d || nft_link_open(&t->link) < 0)
                return -1;
        return nft_delete(t->link, &there, t->d);
}

static inline int kernel_teardown(void **state) {
        Test *t = *state;

        (void)nft_link_close(t->link);
        (void)arena_free(t->arena);
        free(t);
        return 0;
}

/* A test that finds a Test with an open link, and no table, in *state. */
#define kernel_test(function)                                                                      \
        cmocka_unit_test_setup_teardown((function), kernel_setup, kernel_teardown)

static inline Ruleset *read_table(Test *t) {
        Ruleset *rs = NULL;

        unit_equal("read", nft_read(t->link, t->arena, &rs), 0);
        return rs;
}

static inline void no_errors(const char *row, Test *t) {
        if (t->d->n_errors > 0) {
                diag_print(t->d, stderr, false);
                fail_msg("%s: there are errors", row);
        }
}

static inline void equal_to_live(const char *row, Test *t, const Ruleset *desired) {
        Ruleset *live = read_table(t);

        unit_true(row, live->exists);
        if (ruleset_equal(live, desired))
                return;
        fputs("wanted:\n", stderr);
        ruleset_print(desired, stderr);
        fputs("is:\n", stderr);
        ruleset_print(live, stderr);
        fail_msg("%s: what is read differs from what was wanted", row);
}

/* Applies, and checks that what is read afterwards equals it. */
static inline NftChanges apply_and_check(const char *row, Test *t, const Ruleset *desired) {
        NftChanges changes = {0};
        int r = nft_apply(t->link, read_table(t), desired, &changes, t->d);

        no_errors(row, t);
        unit_equal(row, r, 0);
        equal_to_live(row, t, desired);
        return changes;
}

static inline Rule *add_rule(Ruleset *rs, Chain *chain, VerdictKind kind) {
        Rule *rule = chain_add_rule(rs, chain, verdict_of(kind), (Origin){0});

        assert_non_null(rule);
        return rule;
}

/* Asks for a list on the link, and reads nothing of it: as where the kernel answered too late. */
static inline void kernel_leave_unread(int fd) {
        struct {
                struct nlmsghdr h;
                struct nfgenmsg g;
        } ask = {
                .h = {.nlmsg_len = sizeof(ask),
                      .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE,
                      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                      .nlmsg_seq = 0x7fffffff},
        };

        assert_int_equal(send(fd, &ask, sizeof(ask), 0), sizeof(ask));
}

/* Runs in this program's namespace, like everything here. */
static inline void shell(const char *command) {
        unit_equal(command, system(command), 0);
}

/* 0 when this process stands alone in a new network namespace. */
static inline int kernel_enter_namespace(void) {
        if (unshare(CLONE_NEWNET) == 0 && namespace_is_init() == 0)
                return 0;
        perror("this test needs a network namespace of its own");
        return -1;
}
