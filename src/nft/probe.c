/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/probe.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#define TABLE "ringwall_probe"

/* Jumps within jumps: twice what the kernel's stack of 16 holds. */
#define DEPTH 32

/* The kernel validates where an expression may stand only when it commits. So the batch ends in
 * more jumps than any kernel commits: it then goes through the whole batch once more, validates at
 * every rule, and tells which ones it refuses. (A loop of jumps would not do: kernels before 6.10
 * or so refuse it at once, and validate nothing.) The table sleeps, so its chains see no packet
 * even while that lasts. */

static void put_table(NftBatch *b) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);

        mnl_attr_put_strz(h, NFTA_TABLE_NAME, TABLE);
        mnl_attr_put_u32(h, NFTA_TABLE_FLAGS, htonl(NFT_TABLE_F_DORMANT));
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_TABLE, .name = TABLE});
}

static void put_chain(NftBatch *b, const char *name, int hook) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);

        mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, TABLE);
        mnl_attr_put_strz(h, NFTA_CHAIN_NAME, name);
        if (hook >= 0) {
                struct nlattr *nest = mnl_attr_nest_start(h, NFTA_CHAIN_HOOK);

                mnl_attr_put_u32(h, NFTA_HOOK_HOOKNUM, htonl((uint32_t)hook));
                mnl_attr_put_u32(h, NFTA_HOOK_PRIORITY, htonl(0));
                mnl_attr_nest_end(h, nest);
                mnl_attr_put_strz(h, NFTA_CHAIN_TYPE, "filter");
        }
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_CHAIN, .name = name});
}

typedef struct RuleNest {
        struct nlmsghdr *message;
        struct nlattr *list, *element, *data;
} RuleNest;

static RuleNest open_rule(NftBatch *b, const char *chain, const char *expression) {
        RuleNest n = {.message = nft_batch_start(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND)};

        mnl_attr_put_strz(n.message, NFTA_RULE_TABLE, TABLE);
        mnl_attr_put_strz(n.message, NFTA_RULE_CHAIN, chain);
        n.list = mnl_attr_nest_start(n.message, NFTA_RULE_EXPRESSIONS);
        n.element = mnl_attr_nest_start(n.message, NFTA_LIST_ELEM);
        mnl_attr_put_strz(n.message, NFTA_EXPR_NAME, expression);
        n.data = mnl_attr_nest_start(n.message, NFTA_EXPR_DATA);
        return n;
}

/* Returns the rule's sequence number. */
static uint32_t close_rule(NftBatch *b, const RuleNest *n, const char *chain) {
        mnl_attr_nest_end(n->message, n->data);
        mnl_attr_nest_end(n->message, n->element);
        mnl_attr_nest_end(n->message, n->list);
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_RULE, .name = chain});
        return nft_batch_last_sequence(b);
}

static uint32_t put_fib(NftBatch *b, const char *chain) {
        RuleNest n = open_rule(b, chain, "fib");

        mnl_attr_put_u32(n.message, NFTA_FIB_DREG, htonl(NFT_REG_1));
        mnl_attr_put_u32(n.message, NFTA_FIB_RESULT, htonl(NFT_FIB_RESULT_OIF));
        mnl_attr_put_u32(n.message, NFTA_FIB_FLAGS, htonl(NFTA_FIB_F_SADDR | NFTA_FIB_F_PRESENT));
        return close_rule(b, &n, chain);
}

static uint32_t put_jump(NftBatch *b, const char *from, const char *to) {
        RuleNest n = open_rule(b, from, "immediate");
        struct nlattr *data, *verdict;

        mnl_attr_put_u32(n.message, NFTA_IMMEDIATE_DREG, htonl(NFT_REG_VERDICT));
        data = mnl_attr_nest_start(n.message, NFTA_IMMEDIATE_DATA);
        verdict = mnl_attr_nest_start(n.message, NFTA_DATA_VERDICT);
        mnl_attr_put_u32(n.message, NFTA_VERDICT_CODE, htonl((uint32_t)NFT_JUMP));
        mnl_attr_put_strz(n.message, NFTA_VERDICT_CHAIN, to);
        mnl_attr_nest_end(n.message, verdict);
        mnl_attr_nest_end(n.message, data);
        return close_rule(b, &n, from);
}

static void put_depth(NftBatch *b) {
        char from[16] = "input", to[16];

        for (int i = 0; i < DEPTH; i++) {
                (void)snprintf(to, sizeof(to), "level%d", i);
                put_chain(b, to, -1);
                (void)put_jump(b, from, to);
                (void)snprintf(from, sizeof(from), "%s", to);
        }
}

static bool is_refused(const NftOutcome *outcome, uint32_t sequence) {
        for (size_t i = 0; i < MIN(outcome->n_errors, (size_t)NFT_ERRORS_MAX); i++)
                if (outcome->errors[i].sequence == sequence)
                        return true;
        return false;
}

int nft_probe(NftLink *link, KernelFeatures *ret) {
        _cleanup_(nft_batch_freep) NftBatch *b = nft_batch_new(nft_link_sequence(link), 0);
        uint32_t in_input, in_forward;
        NftOutcome outcome;
        int r;

        if (!b)
                return -ENOMEM;
        put_table(b);
        put_chain(b, "input", NF_INET_LOCAL_IN);
        put_chain(b, "forward", NF_INET_FORWARD);
        in_input = put_fib(b, "input");
        in_forward = put_fib(b, "forward");
        put_depth(b);
        r = nft_batch_end(b, true);
        if (r == 0)
                r = nft_link_send(link, b, &outcome);
        if (r < 0)
                return r;
        if (r == 0)
                return -EPROTO;                              /* a kernel that commits it all */
        if (outcome.errors[0].sequence == b->first_sequence) /* the batch as a whole */
                return outcome.errors[0].error;
        *ret = (KernelFeatures){
                .fib_in_filter =
                        !is_refused(&outcome, in_input) && !is_refused(&outcome, in_forward),
        };
        return 0;
}
