/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The policy's claims, `protected` and `expect`, against the kernel's whole ruleset: for every
 * first packet from outside, and of `outbound` for every one that this host sends. A claim is
 * proved, or refuted with a packet that the evaluator (world/walk.h), another code, lets through
 * (of `allow`: does not let through), or undecided, with what it hangs on. What lies outside
 * nftables is not in the World: whoever reports an answer says so (VerifyReport.bypasses). */

#include "policy/policy.h"
#include "world/walk.h"

typedef enum VerifyKind {
        VERIFY_PROVED,
        VERIFY_REFUTED,
        VERIFY_UNDECIDED,
} VerifyKind;

typedef enum VerifyClaim {
        VERIFY_PROTECTED,
        VERIFY_NEVER,  /* expect deny: never reachable */
        VERIFY_ALWAYS, /* expect allow: always reachable */
        VERIFY_WAY_IN, /* the administrator's */
} VerifyClaim;

typedef struct VerifyAnswer {
        VerifyClaim claim;
        const char *text; /* "policy.yaml:15: protected ollama" */
        Span at;          /* no source: of no line of the policy */
        VerifyKind kind;
        bool is_plain;  /* of a way in: it is open as long as no program's limit is reached */
        bool described; /* of an expectation: there are such packets on this host */
        /* Of a refuted one: the connection in words, and its way; of the World's. */
        const char *connection;
        const WorldStep *steps;
        size_t n_steps;
        /* Of an undecided one. */
        const char **reasons;
        size_t n_reasons;
        bool hangs_on_legacy; /* a table of the old iptables is among them */
} VerifyAnswer;

typedef struct VerifyReport {
        VerifyAnswer *answers; /* one a claim: `protected`, then `expect` */
        size_t n_answers;
        size_t n_compared; /* packets for which both codes were asked */
        /* What the World does not show (XDP, tc, legacy tables, relays): each makes a proof one for
         * nftables alone. Whoever knows of some puts them in. */
        const char **bypasses;
        size_t n_bypasses;
        uint64_t looked_usec; /* CLOCK_MONOTONIC: when they had been looked for; 0: nobody did */
} VerifyReport;

/* 0; -EPROTO if the two codes do not agree, with *ret_what saying about what; -ENOMEM. */
int verify_claims(
        const Policy *policy, const World *w, Arena *a, VerifyReport *ret, const char **ret_what);

/* A live connection to sshd, as its socket says; a port that was translated for it is not known. */
typedef struct VerifyWay {
        Family family;
        U128 peer, local;
        uint16_t port;
        const char *in; /* the interface by which it comes; NULL: by the routes */
} VerifyWay;

/* Whether an administrator's packets come in by all tables together, and end at that very socket:
 * a new connection's from the same peer to the same port, and the next ones of the open connection,
 * whether conntrack knows it or not. Proved if every way that there is for them leads there;
 * refuted if none does for a new connection, or for an open one that conntrack knows. Texts live in
 * a, the steps are the World's. 0 or -ENOMEM. */
int verify_way_in(const World *w, const VerifyWay *way, Arena *a, VerifyAnswer *ret);
