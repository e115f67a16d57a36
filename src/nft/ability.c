/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/ability.h"

#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "nft/owner.h"
#include "nft/probe.h"
#include "nft/trial.h"

#define SET "ringwall_seen"

/* Each puts messages that the kernel refuses if it cannot do the thing. Those of the first, which
 * is the ground for the others, make the chains. */

static void put_ground(NftBatch *b) {
        (void)trial_put_table(b, TRIAL_TABLE, 0);
        (void)trial_put_chain(b, "prerouting", "filter", NF_INET_PRE_ROUTING);
        (void)trial_put_chain(b, "input", "filter", NF_INET_LOCAL_IN);
        (void)trial_put_chain(b, "output", "filter", NF_INET_LOCAL_OUT);
}

static void
put_load(TrialRule *rule, const char *expression, uint16_t dreg, uint16_t key, uint32_t what) {
        trial_expression(rule, expression);
        mnl_attr_put_u32(rule->message, dreg, htonl(NFT_REG_1));
        mnl_attr_put_u32(rule->message, key, htonl(what));
}

static void put_conntrack(NftBatch *b) {
        TrialRule rule = trial_open(b, "input");

        put_load(&rule, "ct", NFTA_CT_DREG, NFTA_CT_KEY, NFT_CT_STATE);
        (void)trial_close(&rule);
}

static void put_fib(NftBatch *b) {
        TrialRule rule = trial_open(b, "prerouting");

        put_load(&rule, "fib", NFTA_FIB_DREG, NFTA_FIB_RESULT, NFT_FIB_RESULT_OIF);
        mnl_attr_put_u32(rule.message, NFTA_FIB_FLAGS,
                         htonl(NFTA_FIB_F_SADDR | NFTA_FIB_F_PRESENT));
        (void)trial_close(&rule);
}

static void put_owner(NftBatch *b) {
        (void)trial_put_table(b, TRIAL_TABLE "_owner", TABLE_OWNER);
}

static void put_persist(NftBatch *b) {
        (void)trial_put_table(b, TRIAL_TABLE "_persist", TABLE_OWNER | TABLE_PERSIST);
}

static void put_reject(NftBatch *b) {
        TrialRule rule = trial_open(b, "input");

        trial_expression(&rule, "reject");
        mnl_attr_put_u32(rule.message, NFTA_REJECT_TYPE, htonl(NFT_REJECT_ICMPX_UNREACH));
        mnl_attr_put_u8(rule.message, NFTA_REJECT_ICMP_CODE, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
        (void)trial_close(&rule);
}

static void put_rate(TrialRule *rule) {
        mnl_attr_put_u64(rule->message, NFTA_LIMIT_RATE, htobe64(1));
        mnl_attr_put_u64(rule->message, NFTA_LIMIT_UNIT, htobe64(1));
}

static void put_limit(NftBatch *b) {
        TrialRule rule = trial_open(b, "input");

        trial_expression(&rule, "limit");
        put_rate(&rule);
        (void)trial_close(&rule);
}

static void put_set(NftBatch *b) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_NEWSET, NLM_F_CREATE);
        struct nlattr *nest;

        mnl_attr_put_strz(h, NFTA_SET_TABLE, TRIAL_TABLE);
        mnl_attr_put_strz(h, NFTA_SET_NAME, SET);
        mnl_attr_put_u32(h, NFTA_SET_ID, htonl(1));
        mnl_attr_put_u32(h, NFTA_SET_FLAGS, htonl(NFT_SET_EVAL | NFT_SET_TIMEOUT));
        mnl_attr_put_u32(h, NFTA_SET_KEY_LEN, htonl(sizeof(uint32_t)));
        mnl_attr_put_u64(h, NFTA_SET_TIMEOUT, htobe64(60000));
        nest = mnl_attr_nest_start(h, NFTA_SET_DESC);
        mnl_attr_put_u32(h, NFTA_SET_DESC_SIZE, htonl(64));
        mnl_attr_nest_end(h, nest);
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_SET, .name = SET});
}

static void put_limit_per_source(NftBatch *b) {
        struct nlattr *nest, *data;
        TrialRule rule;

        put_set(b);
        rule = trial_open(b, "input");
        put_load(&rule, "meta", NFTA_META_DREG, NFTA_META_KEY, NFT_META_MARK);
        trial_expression(&rule, "dynset");
        mnl_attr_put_strz(rule.message, NFTA_DYNSET_SET_NAME, SET);
        mnl_attr_put_u32(rule.message, NFTA_DYNSET_SET_ID, htonl(1));
        mnl_attr_put_u32(rule.message, NFTA_DYNSET_OP, htonl(NFT_DYNSET_OP_UPDATE));
        mnl_attr_put_u32(rule.message, NFTA_DYNSET_SREG_KEY, htonl(NFT_REG_1));
        nest = mnl_attr_nest_start(rule.message, NFTA_DYNSET_EXPR);
        mnl_attr_put_strz(rule.message, NFTA_EXPR_NAME, "limit");
        data = mnl_attr_nest_start(rule.message, NFTA_EXPR_DATA);
        put_rate(&rule);
        mnl_attr_nest_end(rule.message, data);
        mnl_attr_nest_end(rule.message, nest);
        (void)trial_close(&rule);
}

static void put_connections(NftBatch *b) {
        TrialRule rule = trial_open(b, "input");

        trial_expression(&rule, "connlimit");
        mnl_attr_put_u32(rule.message, NFTA_CONNLIMIT_COUNT, htonl(1));
        (void)trial_close(&rule);
}

static void put_log(NftBatch *b) {
        TrialRule rule = trial_open(b, "input");

        trial_expression(&rule, "log");
        mnl_attr_put_u16(rule.message, NFTA_LOG_GROUP, htons(1));
        (void)trial_close(&rule);
}

static void put_time(NftBatch *b) {
        TrialRule rule = trial_open(b, "input");

        put_load(&rule, "meta", NFTA_META_DREG, NFTA_META_KEY, NFT_META_TIME_NS);
        (void)trial_close(&rule);
}

static void put_user(NftBatch *b) {
        TrialRule rule = trial_open(b, "output");

        put_load(&rule, "meta", NFTA_META_DREG, NFTA_META_KEY, NFT_META_SKUID);
        (void)trial_close(&rule);
}

static void put_nat(NftBatch *b) {
        TrialRule rule;

        (void)trial_put_chain(b, "postrouting", "nat", NF_INET_POST_ROUTING);
        rule = trial_open(b, "postrouting");
        trial_expression(&rule, "masq");
        (void)trial_close(&rule);
}

typedef struct Row {
        const char *id, *name, *lack, *module; /* of the kernel; or since when it is built in */
        void (*put)(NftBatch *b);
        bool is_needed;
} Row;

#define NO_POLICY "no policy can be loaded"

// clang-format off
static const Row rows[] = {
        {"nftables", "nftables for both families at once", NO_POLICY, "module nf_tables", put_ground, true},
        {"conntrack", "connection tracking", NO_POLICY, "modules nft_ct and nf_conntrack", put_conntrack, true},
        {"fib", "asking the routes for a source", "only a policy with 'antispoof: off' can be loaded",
         "modules nft_fib_inet, nft_fib_ipv4 and nft_fib_ipv6", put_fib, true},
        {"reject", "answers to refused connections", "policies that say 'reject' cannot be loaded",
         "module nft_reject_inet", put_reject, false},
        {"limit", "rate limits", "policies that say 'limit' or 'log' cannot be loaded", "module nft_limit",
         put_limit, false},
        {"per-source", "rate limits for each source", "policies that say 'per source' cannot be loaded",
         "module nft_limit, and nftables' dynamic sets", put_limit_per_source, false},
        {"connections", "limits of open connections", "policies that say 'connections' cannot be loaded",
         "module nft_connlimit", put_connections, false},
        {"log", "logging to a group", "policies that say 'log' cannot be loaded",
         "modules nft_log and nfnetlink_log", put_log, false},
        {"time", "rules that end at a time", "policies that say 'until' cannot be loaded", "Linux 5.4",
         put_time, false},
        {"user", "who owns a socket", "policies that say 'user' or 'group' cannot be loaded",
         "module nft_meta", put_user, false},
        {"nat", "translation of addresses", "policies that say 'nat' cannot be loaded",
         "modules nft_chain_nat and nft_masq", put_nat, false},
        {"owner", "tables with an owner", "other programs can change ringwall's table",
         "Linux 5.12", put_owner, false},
        {"persist", "tables that outlive their owner",
         "ringwall does not own its table, since it would vanish with its owner: other programs can "
         "change it", "Linux 6.9", put_persist, false},
};
// clang-format on

static const char fib_in_filter[] = "nothing that you notice: spoofed sources are refused in a "
                                    "chain of their own, a step earlier";

static bool is_refused(const NftOutcome *outcome, uint32_t first, uint32_t last) {
        for (size_t i = 0; i < MIN(outcome->n_errors, (size_t)NFT_ERRORS_MAX); i++)
                if (outcome->errors[i].sequence >= first && outcome->errors[i].sequence <= last)
                        return true;
        return false;
}

/* The batch is never ended, so the kernel looks at each message and then forgets it all. */
static int try_rows(NftLink *link, Ability *list) {
        _cleanup_(nft_batch_freep) NftBatch *b = nft_batch_new(nft_link_sequence(link), 0);
        uint32_t first[ARRAY_SIZE(rows)], last[ARRAY_SIZE(rows)];
        NftOutcome outcome;
        int r;

        if (!b)
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                first[i] = nft_batch_last_sequence(b) + 1;
                rows[i].put(b);
                last[i] = nft_batch_last_sequence(b);
        }
        r = nft_batch_end(b, false);
        if (r == 0)
                r = nft_link_send(link, b, &outcome);
        if (r < 0)
                return r;
        if (outcome.n_errors > 0 && outcome.errors[0].sequence == b->first_sequence)
                return outcome.errors[0].error; /* of the batch as a whole */
        if (outcome.n_errors > NFT_ERRORS_MAX)
                return -EPROTO;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                list[i].is_there = !is_refused(&outcome, first[i], last[i]);
        return 0;
}

int nft_probe_abilities(NftLink *link, Arena *a, Ability **ret, size_t *ret_n) {
        size_t n = ARRAY_SIZE(rows);
        Ability *list = arena_alloc_array(a, n + 1, sizeof(*list));
        KernelFeatures features = {0};
        int r;

        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                list[i] = (Ability){.id = rows[i].id,
                                    .name = rows[i].name,
                                    .lack = rows[i].lack,
                                    .advice = rows[i].module,
                                    .is_needed = rows[i].is_needed};
        r = try_rows(link, list);
        if (r == 0 && list[0].is_there)
                r = nft_probe(link, &features);
        if (r < 0)
                return r;
        list[n++] = (Ability){.id = "fib-in-filter",
                              .name = "asking the routes in any chain",
                              .lack = fib_in_filter,
                              .advice = "Linux 6.12 or so",
                              .is_there = features.fib_in_filter};
        *ret = list;
        *ret_n = n;
        return 0;
}
