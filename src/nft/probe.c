/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/probe.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "nft/trial.h"

/* Jumps within jumps: twice what the kernel's stack of 16 holds. */
#define DEPTH 32

/* The kernel validates where an expression may stand only when it commits. So the batch ends in
 * more jumps than any kernel commits: it then goes through the whole batch once more, validates at
 * every rule, and tells which ones it refuses. (A loop of jumps would not do: kernels before 6.10
 * or so refuse it at once, and validate nothing.) */

static uint32_t put_fib(NftBatch *b, const char *chain) {
        TrialRule rule = trial_open(b, chain);

        trial_expression(&rule, "fib");
        mnl_attr_put_u32(rule.message, NFTA_FIB_DREG, htonl(NFT_REG_1));
        mnl_attr_put_u32(rule.message, NFTA_FIB_RESULT, htonl(NFT_FIB_RESULT_OIF));
        mnl_attr_put_u32(rule.message, NFTA_FIB_FLAGS,
                         htonl(NFTA_FIB_F_SADDR | NFTA_FIB_F_PRESENT));
        return trial_close(&rule);
}

static uint32_t put_jump(NftBatch *b, const char *from, const char *to) {
        TrialRule rule = trial_open(b, from);
        struct nlattr *data, *verdict;

        trial_expression(&rule, "immediate");
        mnl_attr_put_u32(rule.message, NFTA_IMMEDIATE_DREG, htonl(NFT_REG_VERDICT));
        data = mnl_attr_nest_start(rule.message, NFTA_IMMEDIATE_DATA);
        verdict = mnl_attr_nest_start(rule.message, NFTA_DATA_VERDICT);
        mnl_attr_put_u32(rule.message, NFTA_VERDICT_CODE, htonl((uint32_t)NFT_JUMP));
        mnl_attr_put_strz(rule.message, NFTA_VERDICT_CHAIN, to);
        mnl_attr_nest_end(rule.message, verdict);
        mnl_attr_nest_end(rule.message, data);
        return trial_close(&rule);
}

static void put_depth(NftBatch *b) {
        char from[16] = "input", to[16];

        for (int i = 0; i < DEPTH; i++) {
                (void)snprintf(to, sizeof(to), "level%d", i);
                (void)trial_put_chain(b, to, NULL, 0);
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
        (void)trial_put_table(b, TRIAL_TABLE, 0);
        (void)trial_put_chain(b, "input", "filter", NF_INET_LOCAL_IN);
        (void)trial_put_chain(b, "forward", "filter", NF_INET_FORWARD);
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
