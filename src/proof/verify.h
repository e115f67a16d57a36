/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The policy's `protected` claims against the kernel's whole ruleset: for every first packet from
 * outside. A claim is proved, or refuted with a packet that the evaluator (world/walk.h), another
 * code, lets through, or undecided, with what it hangs on. What lies outside nftables is not in the
 * World: whoever reports an answer says so (VerifyReport.bypasses). */

#include "policy/policy.h"
#include "world/walk.h"

typedef enum VerifyKind {
        VERIFY_PROVED,
        VERIFY_REFUTED,
        VERIFY_UNDECIDED,
} VerifyKind;

typedef struct VerifyAnswer {
        const Protected *claim;
        VerifyKind kind;
        /* Of a refuted one: the connection in words, and its way; of the World's. */
        const char *connection;
        const WorldStep *steps;
        size_t n_steps;
        /* Of an undecided one. */
        const char **reasons;
        size_t n_reasons;
} VerifyAnswer;

typedef struct VerifyReport {
        VerifyAnswer *answers; /* one a claim */
        size_t n_answers;
        size_t n_compared; /* packets for which both codes were asked */
        /* What the World does not show (XDP, tc, legacy tables, relays): each makes a proof one for
         * nftables alone. Whoever knows of some puts them in. */
        const char **bypasses;
        size_t n_bypasses;
} VerifyReport;

/* 0; -EPROTO if the two codes do not agree, with *ret_what saying about what; -ENOMEM. */
int verify_protected(
        const Policy *policy, const World *w, Arena *a, VerifyReport *ret, const char **ret_what);
