/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/batch.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/mman.h>

/* From this room on it is a mapping, which grows without being copied. */
#define MAPPED ((size_t)1024 * 1024)

/* As realloc(), but for the size. */
static void *grow(NftBytes *bytes, size_t room) {
        void *p;

        if (room < MAPPED)
                return realloc(bytes->data, room);
        if (bytes->room >= MAPPED)
                p = mremap(bytes->data, bytes->room, room, MREMAP_MAYMOVE);
        else
                p = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
                return NULL;
        if (bytes->room < MAPPED) {
                if (bytes->size > 0)
                        memcpy(p, bytes->data, bytes->size);
                free(bytes->data);
        }
        return p;
}

int nft_bytes_append(NftBytes *bytes, const void *data, size_t size) {
        if (size > NFT_BATCH_MAX - bytes->size)
                return -EFBIG;
        if (bytes->size + size + 1 > bytes->room) {
                size_t room = MAX(2 * bytes->room, bytes->size + size + NFT_MESSAGE_MAX);
                unsigned char *grown = grow(bytes, room);

                if (!grown)
                        return -ENOMEM;
                bytes->data = grown;
                bytes->room = room;
        }
        memcpy(bytes->data + bytes->size, data, size);
        bytes->size += size;
        bytes->data[bytes->size] = 0;
        return 0;
}

void nft_bytes_done(NftBytes *bytes) {
        if (bytes->room < MAPPED)
                free(bytes->data);
        else
                (void)munmap(bytes->data, bytes->room); /* it is ours, as it was mapped */
        *bytes = (NftBytes){0};
}

static struct nlmsghdr *put_header(NftBatch *b, uint16_t type, uint8_t family, uint16_t resource) {
        struct nlmsghdr *h;
        struct nfgenmsg *g;

        memset(b->message, 0, MNL_NLMSG_HDRLEN + sizeof(*g));
        h = mnl_nlmsg_put_header(b->message);
        h->nlmsg_type = type;
        h->nlmsg_flags = NLM_F_REQUEST;
        h->nlmsg_seq = b->first_sequence + (uint32_t)b->n_subjects;
        g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
        g->nfgen_family = family;
        g->version = NFNETLINK_V0;
        g->res_id = resource;
        return h;
}

static void append_message(NftBatch *b) {
        const struct nlmsghdr *h = b->message;

        if (b->error == 0)
                b->error = nft_bytes_append(&b->bytes, h, MNL_ALIGN(h->nlmsg_len));
}

NftBatch *nft_batch_new(uint32_t first_sequence, uint32_t generation) {
        _cleanup_(nft_batch_freep) NftBatch *b = calloc(1, sizeof(*b));
        struct nlmsghdr *h;

        if (!b)
                return NULL;
        b->message = malloc(NFT_MESSAGE_MAX);
        if (!b->message)
                return NULL;
        b->table = RULESET_TABLE;
        b->first_sequence = first_sequence;
        b->next_set_id = 1;
        h = put_header(b, NFNL_MSG_BATCH_BEGIN, AF_UNSPEC, htons(NFNL_SUBSYS_NFTABLES));
        if (generation != 0)
                mnl_attr_put_u32(h, NFNL_BATCH_GENID, htonl(generation));
        append_message(b);
        if (b->error < 0)
                return NULL;
        return TAKE_PTR(b);
}

NftBatch *nft_batch_free(NftBatch *b) {
        if (!b)
                return NULL;
        nft_bytes_done(&b->bytes);
        free(b->subjects);
        free(b->message);
        free(b);
        return NULL;
}

struct nlmsghdr *nft_batch_start(NftBatch *b, uint16_t type, uint16_t flags) {
        struct nlmsghdr *h =
                put_header(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), NFPROTO_INET, 0);

        h->nlmsg_flags = (uint16_t)(h->nlmsg_flags | flags);
        h->nlmsg_seq++; /* the one that begins the batch has the first */
        return h;
}

void nft_batch_push(NftBatch *b, const NftSubject *subject) {
        NftSubject s = *subject;

        if (b->error < 0)
                return;
        if (b->n_subjects == b->room) {
                size_t room = MAX(2 * b->room, 64UL);
                NftSubject *grown = reallocarray(b->subjects, room, sizeof(*grown));

                if (!grown) {
                        b->error = -ENOMEM;
                        return;
                }
                b->subjects = grown;
                b->room = room;
        }
        s.offset = b->bytes.size;
        append_message(b);
        if (b->error == 0)
                b->subjects[b->n_subjects++] = s;
}

void nft_batch_fail(NftBatch *b, int error) {
        if (b->error == 0)
                b->error = error;
}

int nft_batch_end(NftBatch *b, bool commit) {
        if (b->error == 0 && b->n_subjects > 0) {
                struct nlmsghdr *last =
                        (void *)(b->bytes.data + b->subjects[b->n_subjects - 1].offset);

                last->nlmsg_flags |= NLM_F_ACK;
        }
        if (commit) {
                struct nlmsghdr *h =
                        put_header(b, NFNL_MSG_BATCH_END, AF_UNSPEC, htons(NFNL_SUBSYS_NFTABLES));

                h->nlmsg_seq++;
                append_message(b);
        }
        return b->error;
}

uint32_t nft_batch_last_sequence(const NftBatch *b) {
        return b->first_sequence + (uint32_t)b->n_subjects;
}

const NftSubject *nft_batch_subject(const NftBatch *b, uint32_t sequence) {
        uint32_t i = sequence - b->first_sequence;

        return i > 0 && i <= b->n_subjects ? &b->subjects[i - 1] : NULL;
}
