/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A first policy, written from what a survey found and from the answers to four questions. It opens
 * what they name and the default says, keeps the caller's own way in, and protects what the
 * catalogue calls internal. All that is foreign in it stands in comments. */

#include "host/survey.h"

#define DRAFT_ANSWER_MAX 1024 /* bytes of an answer */

typedef enum DraftQuestion {
        DRAFT_SSH_FROM,   /* zones and addresses; "anywhere" */
        DRAFT_PUBLIC,     /* services; "none" */
        DRAFT_CONTAINERS, /* "internet", "host", services; "none" */
        DRAFT_RESCUE,     /* zones and addresses; "last" */
        _DRAFT_QUESTION_MAX,
} DraftQuestion;

/* Lists between commas; NULL: the default. */
typedef struct DraftAnswers {
        const char *items[_DRAFT_QUESTION_MAX];
} DraftAnswers;

/* Why an answer cannot be taken. */
typedef struct DraftProblem {
        const char *text; /* "there is no zone 'lna'" */
        const char *hint; /* or NULL */
} DraftProblem;

/* Whether the host has what the question is about. */
bool draft_asks(const Survey *s, DraftQuestion q);
/* What is meant where nothing is answered; what was answered before has a say. 0 or -ENOMEM. */
int draft_default(Arena *a,
                  const Survey *s,
                  const Policy *catalogue,
                  const DraftAnswers *answers,
                  DraftQuestion q,
                  const char **ret);
/* 1 if the answer can be taken; 0 if not: ret_problem says why; or -ENOMEM. */
int draft_check(Arena *a,
                const Survey *s,
                const Policy *catalogue,
                DraftQuestion q,
                const char *answer,
                DraftProblem *ret_problem);
/* Whether an answer to DRAFT_SSH_FROM leaves out the caller, who then gets a rule of his own. */
bool draft_forgets_caller(Arena *a, const Survey *s, const Policy *catalogue, const char *answer);
/* Names that an answer can hold, the host's own first: "lan, vpn, private". NULL without memory. */
const char *draft_zones(Arena *a, const Survey *s);

/* Writes the policy. It has been loaded, compiled and tried then: it is valid, and earns no
 * warning. Answers must have been checked. 0; -ENOMEM; or -EBADMSG if it cannot be made so: d then
 * says why. */
int draft_write(Arena *a,
                const Survey *s,
                const Policy *catalogue,
                Source catalogue_text,
                const DraftAnswers *answers,
                const char **ret,
                Diag *d);
