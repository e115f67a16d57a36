/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A rule while it is being encoded: what the files of the encoder share. */

#include "nft/encode.h"
#include "nft/wire.h"

typedef struct Encoder {
        NftBatch *batch;
        struct nftnl_rule *rule;
        size_t n_expressions;
} Encoder;

/* Appends an expression, which the rule owns. NULL without memory; the batch knows. */
struct nftnl_expr *encoder_expression(Encoder *e, const char *name);
/* Loads the whole field into the first register. */
void encoder_load(Encoder *e, FieldId field);

void encode_statement(Encoder *e, const Statement *s);
void encode_dnat(Encoder *e, const NatTarget *target);
