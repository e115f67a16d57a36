/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/shut.h"

#include <inttypes.h>
#include <linux/netfilter/nf_tables.h>
#include <sys/random.h>

#include "nft/attribute.h"
#include "nft/difference.h"
#include "nft/encode.h"
#include "nft/owner.h"

#define NUMBERED SHUT_TABLE "_%08" PRIx32

static NftBatch *begin(const NftLink *link, const char *name) {
        NftBatch *b = nft_batch_new(nft_link_sequence(link), 0);

        if (b)
                b->table = name;
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
static int
put(NftLink *link, const char *name, const Ruleset *rs, uint32_t flags, bool may_be_absent) {
        _cleanup_(nft_batch_freep) NftBatch *b = begin(link, name);
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

static int put_owned(NftLink *link, const char *name, const Ruleset *rs) {
        int r = put(link, name, rs, TABLE_OWNER, true);

        return r > 0 && r != EPERM /* somebody has made one that nobody owns */
                       ? put(link, name, rs, TABLE_OWNER, false)
                       : r;
}

int nft_shut(NftLink *link, const Ruleset *rs, char name[static SHUT_NAME_SIZE]) {
        uint32_t lot;
        int r;

        if (streq(name, ""))
                (void)snprintf(name, SHUT_NAME_SIZE, "%s", SHUT_TABLE);
        r = put_owned(link, name, rs);
        if (r == EPERM) { /* it is another program's, for as long as that wants */
                if (getrandom(&lot, sizeof(lot), 0) < 0) /* of so few bytes it gives all */
                        return -errno;
                (void)snprintf(name, SHUT_NAME_SIZE, NUMBERED, lot);
                r = put_owned(link, name, rs);
        }
        if (r == 0)
                return 1;
        if (r > 0) /* the kernel knows no owners */
                r = put(link, name, rs, 0, true);
        return r > 0 ? -EBADMSG : r;
}

bool nft_is_shut_table(const char *name) {
        const size_t size = strlen(SHUT_TABLE);

        return strncmp(name, SHUT_TABLE, size) == 0 &&
               (name[size] == '\0' ||
                (name[size] == '_' && strspn(name + size + 1, "0123456789abcdef") == 8 &&
                 name[size + 9] == '\0'));
}

int nft_unshut(NftLink *link, const char *name) {
        _cleanup_(nft_batch_freep) NftBatch *b = begin(link, name);
        int r;

        if (!b)
                return -ENOMEM;
        encode_delete_table(b);
        r = send_it(link, b);
        return r == ENOENT ? 0 : r > 0 ? -r : r;
}

/* Of a link that another process had before, only the kernel knows the number. */
static int unshut_numbered(NftLink *link) {
        _cleanup_(nft_bytes_done) NftBytes tables = {0};
        int r = nft_link_dump(link, NFT_MSG_GETTABLE, NULL, NULL, &tables);

        message_for_each(h, tables.data, r < 0 ? 0 : tables.size) {
                const char *name;
                uint32_t owner;
                Attributes a;

                attributes_of_message(h, &a);
                name = attribute_string(&a, NFTA_TABLE_NAME);
                if (name && nft_is_shut_table(name) &&
                    attribute_u32(&a, NFTA_TABLE_OWNER, &owner) && owner == nft_link_port(link))
                        r = nft_unshut(link, name);
                if (r < 0)
                        break;
        }
        return r;
}

int nft_unshut_if_any(NftLink *link) {
        _cleanup_(nft_batch_freep) NftBatch *b = begin(link, SHUT_TABLE);
        int r;

        if (!b)
                return -ENOMEM;
        /* one that is there already stays as it is: nothing is refused, see nft_probe_owner() */
        encode_table(b, TABLE_OWNER);
        encode_delete_table(b);
        r = send_it(link, b);
        if (r > 0 && r != EPERM) /* another program's is not this link's */
                return -r;
        if (r >= 0)
                r = unshut_numbered(link);
        return r == -EINTR ? unshut_numbered(link) : r;
}
