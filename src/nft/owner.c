/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/owner.h"

#include "nft/trial.h"

#define PROBE_TABLE TRIAL_TABLE "_owner"

static int send(NftLink *link, NftBatch *b, NftOutcome *ret) {
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
        return send(link, b, ret);
}

static int remove_it(NftLink *link) {
        _cleanup_(nft_batch_freep) NftBatch *b = nft_batch_new(nft_link_sequence(link), 0);
        NftOutcome outcome;

        if (!b)
                return -ENOMEM;
        trial_delete_table(b, PROBE_TABLE);
        return send(link, b, &outcome);
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
