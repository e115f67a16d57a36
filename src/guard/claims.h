/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is known of the policy's claims: which of them do not hold, since when, and what of that is
 * news. Pure, but for reading and writing down what is known, so that a daemon that starts anew
 * tells nothing twice and knows since when it was so. Times are microseconds since 1970. */

#include "proof/verify.h"

#define CLAIMS_FILE "claims" /* in the state directory */
#define CLAIMS_FILE_MAX ((size_t)1 << 20)
#define CLAIMS_MAX 256 /* that do not hold, and are kept; further ones are counted */

/* What a proof said of one claim. */
typedef struct ClaimAnswer {
        const char *text; /* "policy.yaml:15: protected ollama" */
        VerifyKind kind;
        const char *why; /* a packet and its way, or what it hangs on; NULL if proved */
        bool is_open; /* it says nothing on this host as it is (an interface is missing, say): what
                       * was known stays */
} ClaimAnswer;

/* A claim that does not hold, or of which nobody knows. Owned strings, of one line each. */
typedef struct ClaimRecord {
        char *text, *why;
        VerifyKind kind;     /* never VERIFY_PROVED */
        uint64_t since_usec; /* when it was noticed */
} ClaimRecord;

typedef struct ClaimBook {
        ClaimRecord items[CLAIMS_MAX];
        size_t n_items;
        size_t n_claims, n_more; /* of the last answers: all; not proved ones that are not kept */
        size_t n_open;           /* of them all: about which nothing was said, nor was before */
        bool is_known;           /* there were any answers, from this daemon */
} ClaimBook;

typedef enum ClaimNews {
        CLAIM_BROKEN,
        CLAIM_UNDECIDED,
        CLAIM_HOLDS, /* again */
        _CLAIM_NEWS_MAX,
} ClaimNews;

typedef struct ClaimChange {
        ClaimNews news;
        const char *text, *why; /* why: of the other two */
        uint64_t usec;          /* of CLAIM_HOLDS: for how long it did not */
} ClaimChange;

/* Takes in the answers of one proof; what is news lives in a. A claim is the same one wherever it
 * stands in its file. Whatever is no claim any more is forgotten. 0 or -ENOMEM: nothing was taken
 * in. */
int claim_book_update(ClaimBook *b,
                      const ClaimAnswer *answers,
                      size_t n,
                      uint64_t now_usec,
                      Arena *a,
                      ClaimChange **ret,
                      size_t *ret_n);
/* Nothing is claimed now. */
void claim_book_clear(ClaimBook *b);

/* NULL if nothing is wrong with it, or known of it. */
const ClaimRecord *claim_book_find(const ClaimBook *b, const char *text);
size_t claim_book_count(const ClaimBook *b, VerifyKind kind);

/* Lines of "KIND SINCE TEXT<tab>WHY". What cannot be read is nothing that is known. */
void claim_book_parse(ClaimBook *b, char *text);
int claim_book_load(ClaimBook *b, int folder);
int claim_book_save(const ClaimBook *b, int folder);
