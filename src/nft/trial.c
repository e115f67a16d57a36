/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/trial.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>

uint32_t trial_put_table(NftBatch *b, const char *name, uint32_t flags) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);

        mnl_attr_put_strz(h, NFTA_TABLE_NAME, name);
        mnl_attr_put_u32(h, NFTA_TABLE_FLAGS, htonl(NFT_TABLE_F_DORMANT | flags));
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_TABLE, .name = name});
        return nft_batch_last_sequence(b);
}

uint32_t trial_delete_table(NftBatch *b, const char *name) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_DELTABLE, 0);

        mnl_attr_put_strz(h, NFTA_TABLE_NAME, name);
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_TABLE, .removes = true, .name = name});
        return nft_batch_last_sequence(b);
}

uint32_t trial_put_chain(NftBatch *b, const char *name, const char *type, uint32_t hook) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);

        mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, TRIAL_TABLE);
        mnl_attr_put_strz(h, NFTA_CHAIN_NAME, name);
        if (type) {
                struct nlattr *nest = mnl_attr_nest_start(h, NFTA_CHAIN_HOOK);

                mnl_attr_put_u32(h, NFTA_HOOK_HOOKNUM, htonl(hook));
                mnl_attr_put_u32(h, NFTA_HOOK_PRIORITY, htonl(0));
                mnl_attr_nest_end(h, nest);
                mnl_attr_put_strz(h, NFTA_CHAIN_TYPE, type);
        }
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_CHAIN, .name = name});
        return nft_batch_last_sequence(b);
}

TrialRule trial_open(NftBatch *b, const char *chain) {
        TrialRule rule = {
                .batch = b,
                .chain = chain,
                .message = nft_batch_start(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND),
        };

        mnl_attr_put_strz(rule.message, NFTA_RULE_TABLE, TRIAL_TABLE);
        mnl_attr_put_strz(rule.message, NFTA_RULE_CHAIN, chain);
        rule.list = mnl_attr_nest_start(rule.message, NFTA_RULE_EXPRESSIONS);
        return rule;
}

static void end_expression(TrialRule *rule) {
        if (!rule->element)
                return;
        mnl_attr_nest_end(rule->message, rule->data);
        mnl_attr_nest_end(rule->message, rule->element);
        rule->element = NULL;
}

void trial_expression(TrialRule *rule, const char *name) {
        end_expression(rule);
        rule->element = mnl_attr_nest_start(rule->message, NFTA_LIST_ELEM);
        mnl_attr_put_strz(rule->message, NFTA_EXPR_NAME, name);
        rule->data = mnl_attr_nest_start(rule->message, NFTA_EXPR_DATA);
}

uint32_t trial_close(TrialRule *rule) {
        end_expression(rule);
        mnl_attr_nest_end(rule->message, rule->list);
        nft_batch_push(rule->batch, &(NftSubject){.kind = SUBJECT_RULE, .name = rule->chain});
        return nft_batch_last_sequence(rule->batch);
}
