/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Netlink messages in a row: bytes that grow, and the batch that the kernel commits as a whole. A
 * batch remembers what each message is about, so that a refusal can be told in the policy's words.
 */

#include <linux/netlink.h>

#include "ruleset/ruleset.h"

#define NFT_MESSAGE_MAX ((size_t)128 * 1024) /* bytes of one message that we send */
#define NFT_BATCH_MAX ((size_t)1 << 30)      /* bytes of a whole batch, or of one dump */

/* data is followed by a NUL, so that text at the very end of it ends, too. */
typedef struct NftBytes {
        unsigned char *data;
        size_t size, room;
} NftBytes;

/* 0, -ENOMEM, or -EFBIG past NFT_BATCH_MAX. */
int nft_bytes_append(NftBytes *bytes, const void *data, size_t size);
void nft_bytes_done(NftBytes *bytes);

typedef enum NftSubjectKind {
        SUBJECT_TABLE,
        SUBJECT_CHAIN,
        SUBJECT_RULE,
        SUBJECT_SET,
        SUBJECT_ELEMENTS,
        SUBJECT_LIMIT,
        _SUBJECT_MAX,
} NftSubjectKind;

/* What one message is about. Everything in it is borrowed. */
typedef struct NftSubject {
        NftSubjectKind kind;
        bool removes;
        const char *name;     /* of the chain or set; NULL for one without a name */
        const Origin *origin; /* or NULL */
        const Set *set;       /* of SUBJECT_ELEMENTS */
        size_t offset;        /* of the message in the batch's bytes */
} NftSubject;

typedef struct NftBatch {
        NftBytes bytes;
        const char *table;    /* that encode.h writes of; RULESET_TABLE unless it is changed */
        NftSubject *subjects; /* of the messages between begin and end, in order */
        size_t n_subjects, room;
        uint32_t first_sequence; /* of the message that begins the batch */
        uint32_t next_set_id;    /* for sets that get their name from the kernel */
        int error;               /* what went wrong first; 0 if nothing */
        void *message;           /* being built, NFT_MESSAGE_MAX bytes */
} NftBatch;

/* Begins a batch with the given sequence number. A generation other than 0 makes the kernel refuse
 * the batch unless its rules are still of that generation. NULL without memory. */
NftBatch *nft_batch_new(uint32_t first_sequence, uint32_t generation);
NftBatch *nft_batch_free(NftBatch *b); /* accepts NULL, returns NULL */

/* A message (NFT_MSG_...) of the family inet, to which the caller adds attributes, at most
 * NFT_MESSAGE_MAX bytes in all, before nft_batch_push() takes it in. Never NULL. */
struct nlmsghdr *nft_batch_start(NftBatch *b, uint16_t type, uint16_t flags);
void nft_batch_push(NftBatch *b, const NftSubject *subject);
/* Remembers the first error of whoever builds the batch. */
void nft_batch_fail(NftBatch *b, int error);

/* Ends the batch, or leaves it open so that the kernel tries everything and commits nothing. The
 * last message asks for an answer. 0 or the batch's error. */
int nft_batch_end(NftBatch *b, bool commit);

/* The sequence number of the last message that gets an answer. */
uint32_t nft_batch_last_sequence(const NftBatch *b);
/* What the message with that number is about; NULL for the ones that begin and end the batch. */
const NftSubject *nft_batch_subject(const NftBatch *b, uint32_t sequence);

static inline void nft_batch_freep(NftBatch **b) {
        (void)nft_batch_free(*b);
}
