/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Parts of a Ruleset as messages of a batch, in the forms that nft 1.0.6 itself produces, so that
 * `nft list table inet ringwall` shows readable rules. Errors stay in the batch. */

#include "nft/batch.h"

#define ENCODE_EXPRESSIONS_MAX 128        /* NFT_RULE_MAXEXPRS */
#define ENCODE_ELEMENTS_MAX 1000          /* elements in one message */
#define ENCODE_LIST_SIZE_MAX (60U * 1024) /* bytes of such a message; an attribute holds 65535 */

void encode_table(NftBatch *b, uint32_t flags);
void encode_delete_table(NftBatch *b);

/* Makes the chain without its rules, or gives an existing base chain its policy. */
void encode_chain(NftBatch *b, const Chain *chain);
void encode_delete_chain(NftBatch *b, const Chain *chain);
/* Takes out the rule, which was read from the kernel. */
void encode_delete_rule(NftBatch *b, const Chain *chain, const Rule *rule);
/* Takes all rules out of the chain, or out of every chain of the table. */
void encode_flush_chain(NftBatch *b, const Chain *chain);
void encode_flush_table(NftBatch *b);

/* Appends the rule to the chain, with the sets that are written out in it. -EINVAL in the batch for
 * a rule that no kernel could hold: ruleset_verify() lets none through. */
void encode_rule(NftBatch *b, const Chain *chain, const Rule *rule);

void encode_limit(NftBatch *b, const NamedLimit *limit);
void encode_delete_limit(NftBatch *b, const NamedLimit *limit);

/* The set without its elements. `name` is the kernel's, which for a set without one is made up by
 * the kernel and known to the batch by `id`. */
void encode_set(NftBatch *b, const Set *set, const char *name, uint32_t id);
void encode_delete_set(NftBatch *b, const Set *set);

/* Adds all elements of the set, which must be empty in the kernel. */
void encode_elements(NftBatch *b, const Set *set, const char *name, uint32_t id);

/* Elements one after the other, in as many messages as they need. Of an interval set, which is only
 * ever filled as a whole, use encode_elements(). */
typedef struct EncodeList {
        NftBatch *batch;
        const Set *set;
        const char *name; /* the kernel's */
        uint32_t id;      /* of a set without a name; else 0 */
        bool removes, interval;
        struct nlmsghdr *message; /* NULL between two */
        struct nlattr *nest;
        size_t n; /* in the message */
} EncodeList;

void encode_list_start(EncodeList *l, NftBatch *b, const Set *set, bool removes);
void encode_list_add(EncodeList *l, const Element *e);
void encode_list_end(EncodeList *l);

/* Takes all elements out of the set. */
void encode_flush_set(NftBatch *b, const Set *set);

/* Whether the kernel is told to expect ranges: the encoder's own choice in a set without a name. */
bool encode_is_interval(const Set *set);

/* The element that the attribute at `offset` of such a message stands in; NULL if in none. */
const Element *encode_element_at(const NftBatch *b, const NftSubject *s, uint32_t offset);
