/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/remove.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

static void put_deletion(NftBatch *b, const NftTableName *table) {
        struct nlmsghdr *h = nft_batch_start(b, NFT_MSG_DELTABLE, 0);
        struct nfgenmsg *g = mnl_nlmsg_get_payload(h);

        g->nfgen_family = table->family;
        mnl_attr_put_strz(h, NFTA_TABLE_NAME, table->name);
        nft_batch_push(b,
                       &(NftSubject){.kind = SUBJECT_TABLE, .removes = true, .name = table->name});
}

int nft_remove_tables(NftLink *link, const NftTableName *tables, size_t n, uint32_t generation) {
        _cleanup_(nft_batch_freep) NftBatch *b = nft_batch_new(nft_link_sequence(link), generation);
        NftOutcome outcome = {0};
        int r;

        if (!b)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                put_deletion(b, &tables[i]);
        r = nft_batch_end(b, true);
        if (r == 0)
                r = nft_link_send(link, b, &outcome);
        return r == 1 ? outcome.errors[0].error : r;
}
