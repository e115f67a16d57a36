/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/shut.h"

#include "nft/difference.h"
#include "nft/encode.h"
#include "nft/owner.h"

static NftBatch *begin(const NftLink *link) {
        NftBatch *b = nft_batch_new(nft_link_sequence(link), 0);

        if (b)
                b->table = SHUT_TABLE;
        return b;
}

/* 0, or the errno of what the kernel refused, as a positive number. */
static int send_it(NftLink *link, NftBatch *b) {
        NftOutcome outcome;
        int r = nft_batch_end(b, true);

        if (r == 0)
                r = nft_link_send(link, b, &outcome);
        return r > 0 ? -outcome.errors[0].error : r;
}

/* What is there may have been made by anybody, so that it holds nothing: it goes first.
 * may_be_absent: it is made before that, with these flags, or the kernel would refuse all. */
static int put(NftLink *link, const Ruleset *rs, uint32_t flags, bool may_be_absent) {
        _cleanup_(nft_batch_freep) NftBatch *b = begin(link);
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        const Ruleset *nothing = a ? ruleset_new(a) : NULL;
        Ruleset shut = *rs;
        NftChanges changes = {0};
        int r;

        if (!b || !nothing)
                return -ENOMEM;
        shut.flags = flags;
        if (may_be_absent)
                encode_table(b, flags);
        encode_delete_table(b);
        r = difference_encode(b, nothing, &shut, false, &changes);
        return r < 0 ? r : send_it(link, b);
}

int nft_shut(NftLink *link, const Ruleset *rs) {
        int r = put(link, rs, TABLE_OWNER, true);

        if (r > 0) /* somebody has made one that nobody owns */
                r = put(link, rs, TABLE_OWNER, false);
        if (r == 0)
                return 1;
        if (r > 0) /* the kernel knows no owners */
                r = put(link, rs, 0, true);
        return r > 0 ? -EBADMSG : r;
}

int nft_unshut(NftLink *link) {
        _cleanup_(nft_batch_freep) NftBatch *b = begin(link);
        int r;

        if (!b)
                return -ENOMEM;
        encode_delete_table(b);
        r = send_it(link, b);
        return r == ENOENT ? 0 : r > 0 ? -r : r;
}

int nft_unshut_if_any(NftLink *link) {
        _cleanup_(nft_batch_freep) NftBatch *b = begin(link);
        int r;

        if (!b)
                return -ENOMEM;
        /* one that is there already stays as it is: nothing is refused, see nft_probe_owner() */
        encode_table(b, TABLE_OWNER);
        encode_delete_table(b);
        r = send_it(link, b);
        return r > 0 ? -r : r;
}
