/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One netlink socket to the kernel's nf_tables. Nothing here blocks for longer than
 * NFT_TIMEOUT_SECONDS: a kernel that does not answer gives -ETIMEDOUT, after which the link
 * wants to be reset. One thread at a time. */

#include "nft/batch.h"

#define NFT_TIMEOUT_SECONDS 10
#define NFT_ERRORS_MAX 20 /* refusals of one batch that are kept; further ones are counted */
#define NFT_ERROR_TEXT_MAX 128

typedef struct NftLink NftLink;

/* One message that the kernel refused. */
typedef struct NftError {
        uint32_t sequence;
        int error;       /* negative errno */
        uint32_t offset; /* of the guilty attribute in the message; 0 if the kernel did not say */
        char text[NFT_ERROR_TEXT_MAX]; /* the kernel's words; "" if it had none */
} NftError;

typedef struct NftOutcome {
        NftError errors[NFT_ERRORS_MAX];
        size_t n_errors; /* counted beyond the limit, too */
} NftOutcome;

int nft_link_open(NftLink **ret);
/* The same with a socket that was opened before, by this process or by one that it was handed on
 * from: what that socket owns goes on being owned. The link closes it. -EINVAL: it is no such
 * socket, and stays open. */
int nft_link_adopt(int fd, NftLink **ret);
/* What is on its way to it is nobody's any more, as after -ETIMEDOUT, or a list that was not read
 * to its end: the link can be used again. What the socket owns goes on being owned. */
void nft_link_reset(NftLink *link);
NftLink *nft_link_close(NftLink *link); /* accepts NULL, returns NULL */

/* The socket, which stays the link's. */
int nft_link_fd(const NftLink *link);
/* The socket's netlink port, which is what the kernel calls a table's owner. */
uint32_t nft_link_port(const NftLink *link);
/* The number that a new batch for this link begins with. */
uint32_t nft_link_sequence(const NftLink *link);

/* For each object of a transaction the kernel takes a page and more as long as anybody listens to
 * its events, in whatever network namespace of the machine: 15 KiB for a prefix of a set
 * (nf_tables_setelem_notify(), NLMSG_GOODSIZE; netlink_has_listeners(), whose table is that of all
 * namespaces; 3 GiB for 200,000 prefixes were measured on 6.18). So who listens stops it for a
 * large transaction of its own: hear(context, false, 0) is called before one, and hear(context,
 * true, r) behind, with what nft_link_send() returns. */
typedef void (*NftLinkHear)(void *context, bool hears, int result);
void nft_link_set_hear(NftLink *link, NftLinkHear hear, void *context);

/* Whoever has to show that it gets on is told of each step: step(context, size) before a
 * transaction of so many bytes, which the kernel carries out as a whole, and step(context, 0)
 * behind one, and whenever an answer has come. */
typedef void (*NftLinkProgress)(void *context, size_t to_send);
void nft_link_set_progress(NftLink *link, NftLinkProgress step, void *context);

/* The number of the last transaction that any program committed in this namespace. */
int nft_link_generation(NftLink *link, uint32_t *ret);

/* Asks for one object (NFT_MSG_GET...) of our table by its name, which stands in that attribute,
 * and appends the answer; nothing if there is none. */
int nft_link_get(NftLink *link, uint16_t type, uint16_t attribute, const char *name, NftBytes *ret);

/* Asks for all objects of a kind (NFT_MSG_GET...), of the table and the set if given, and appends
 * the answers as they come. -EINTR if another program's transaction came in between: what was
 * appended is then worth nothing; -EFBIG past NFT_BATCH_MAX; else what the kernel said. */
int nft_link_dump(NftLink *link, uint16_t type, const char *table, const char *set, NftBytes *ret);
/* The same of another family than inet (NFPROTO_...); NFPROTO_UNSPEC: of all. */
int nft_link_dump_family(NftLink *link,
                         uint16_t type,
                         uint8_t family,
                         const char *table,
                         const char *set,
                         NftBytes *ret);
/* The same by a socket of its own, which is how a list is broken off: -EFBIG past max bytes, and
 * nothing is appended. */
int nft_link_dump_at_most(size_t max,
                          uint16_t type,
                          uint8_t family,
                          const char *table,
                          const char *set,
                          NftBytes *ret);

/* Which element of a set is asked for. */
#define NFT_KEY_MAX 48   /* bytes of a key */
#define NFT_KEYS_MAX 256 /* in one question: the answers have to fit into the socket's buffer */

typedef struct NftKey {
        unsigned char bytes[NFT_KEY_MAX];
        size_t size;
        uint32_t flags; /* NFT_SET_ELEM_INTERVAL_END: the end of an interval, or 0 */
} NftKey;

/* Asks for n elements, NFT_KEYS_MAX at most, of a set of the family inet, and appends the answers
 * in that order. 0; -ENOENT at the first that is not there; or a negative errno. */
int nft_link_get_elements(NftLink *link,
                          const char *table,
                          const char *set,
                          const NftKey *keys,
                          size_t n,
                          NftBytes *ret);
/* One of them. */
int nft_link_get_element(NftLink *link,
                         const char *table,
                         const char *set,
                         const void *key,
                         size_t size,
                         NftBytes *ret);

/* Sends an ended batch and collects the answers. 0: the kernel took all of it; 1: it refused, ret
 * says what, and nothing has changed; -EAGAIN: the batch was for another generation, nothing has
 * changed; other errors: nobody knows. */
int nft_link_send(NftLink *link, const NftBatch *b, NftOutcome *ret);

static inline void nft_link_closep(NftLink **link) {
        (void)nft_link_close(*link);
}
