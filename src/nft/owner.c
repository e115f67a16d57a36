/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/owner.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>

#include "nft/trial.h"

#define PROBE_TABLE TRIAL_TABLE "_owner"
#define TRACK_CHAIN "track"

static int send_batch(NftLink *link, NftBatch *b, NftOutcome *ret) {
        int r = nft_batch_end(b, true);

        return r < 0 ? r : nft_link_send(link, b, ret);
}

static int make(NftLink *link, uint32_t flags, bool and_remove, NftOutcome *ret) {
        _cleanup_(nft_batch_freep) NftBatch *b = nft_batch_new(nft_link_sequence(link), 0);

        if (!b)
                return -ENOMEM;
        (void)trial_put_table(b, PROBE_TABLE, flags);
        if (and_remove)
                trial_delete_table(b, PROBE_TABLE);
        return send_batch(link, b, ret);
}

static int remove_it(NftLink *link) {
        _cleanup_(nft_batch_freep) NftBatch *b = nft_batch_new(nft_link_sequence(link), 0);
        NftOutcome outcome;

        if (!b)
                return -ENOMEM;
        trial_delete_table(b, PROBE_TABLE);
        return send_batch(link, b, &outcome);
}

int nft_probe_owner(NftLink *link) {
        NftOutcome outcome;
        int r = make(link, TABLE_OWNER | TABLE_PERSIST, false, &outcome);

        if (r == 0)
                return remove_it(link) < 0 ? -EIO : 1;
        if (r < 0)
                return r;
        /* Behind a transaction that was taken back the kernel validates the next one rule by rule.
         * That shall be a small one. */
        (void)make(link, 0, true, &outcome);
        return 0;
}

static void put_tracking_table(NftBatch *b) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);

        mnl_attr_put_strz(h, NFTA_TABLE_NAME, TRACK_TABLE);
        mnl_attr_put_u32(h, NFTA_TABLE_FLAGS, htonl(TABLE_OWNER));
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_TABLE, .name = TRACK_TABLE});
        h = nft_batch_start(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
        mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, TRACK_TABLE);
        mnl_attr_put_strz(h, NFTA_CHAIN_NAME, TRACK_CHAIN);
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_CHAIN, .name = TRACK_CHAIN});
}

static void put_tracking_rule(NftBatch *b) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
        struct nlattr *list, *element, *data;

        mnl_attr_put_strz(h, NFTA_RULE_TABLE, TRACK_TABLE);
        mnl_attr_put_strz(h, NFTA_RULE_CHAIN, TRACK_CHAIN);
        list = mnl_attr_nest_start(h, NFTA_RULE_EXPRESSIONS);
        element = mnl_attr_nest_start(h, NFTA_LIST_ELEM);
        mnl_attr_put_strz(h, NFTA_EXPR_NAME, "ct");
        data = mnl_attr_nest_start(h, NFTA_EXPR_DATA);
        mnl_attr_put_u32(h, NFTA_CT_KEY, htonl(NFT_CT_STATE));
        mnl_attr_put_u32(h, NFTA_CT_DREG, htonl(NFT_REG_1));
        mnl_attr_nest_end(h, data);
        mnl_attr_nest_end(h, element);
        mnl_attr_nest_end(h, list);
        nft_batch_push(b, &(NftSubject){.kind = SUBJECT_RULE, .name = TRACK_CHAIN});
}

int nft_keep_tracking(NftLink *link) {
        _cleanup_(nft_batch_freep) NftBatch *b = nft_batch_new(nft_link_sequence(link), 0);
        NftOutcome outcome;
        int r;

        if (!b)
                return -ENOMEM;
        put_tracking_table(b);
        put_tracking_rule(b);
        r = send_batch(link, b, &outcome);
        if (r > 0)
                return outcome.errors[0].error == -EEXIST ? 0 : -EBADMSG;
        return r;
}
