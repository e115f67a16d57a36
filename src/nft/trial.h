/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Messages for transactions that are never committed: whether the kernel would take them tells what
 * it can do. Tables sleep, so that their chains see no packet even while that lasts. */

#include "nft/batch.h"

#define TRIAL_TABLE "ringwall_probe"

/* flags: NFT_TABLE_F_..., beside the one that makes it sleep. Each returns its message's sequence
 * number, by which a refusal is known. */
uint32_t trial_put_table(NftBatch *b, const char *name, uint32_t flags);
uint32_t trial_delete_table(NftBatch *b, const char *name);
/* In TRIAL_TABLE, like all that follows. type NULL: no base chain. */
uint32_t trial_put_chain(NftBatch *b, const char *name, const char *type, uint32_t hook);

/* A rule that is being built of expressions: open, (expression, attributes)..., close. */
typedef struct TrialRule {
        NftBatch *batch;
        const char *chain;
        struct nlmsghdr *message; /* takes the attributes of the expression */
        struct nlattr *list, *element, *data;
} TrialRule;

TrialRule trial_open(NftBatch *b, const char *chain);
void trial_expression(TrialRule *rule, const char *name);
uint32_t trial_close(TrialRule *rule);
