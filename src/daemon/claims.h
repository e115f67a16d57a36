/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the policy claims, watched: the proof that `ringwall verify` makes is made again whenever
 * something may have changed, in a child that ends with it. See claims.c. */

#include <jansson.h>

#include "daemon/daemon.h"
#include "guard/claims.h"

#define CLAIMS_UNTOLD_MAX 32
#define CLAIMS_AUTHORS_MAX 4 /* that are told of, of one proof */
#define CLAIMS_LOOKED_MAX 16 /* that are looked up between two proofs */

/* Somebody who committed something that no proof has seen. */
typedef struct ClaimAuthor {
        Arena *arena; /* owned; of who */
        Who who;
        uint32_t first, generation; /* of what they committed: the first and the last one */
        size_t n_more;              /* processes alike, see who_is_alike(), that touched the same */
        char table[COMMIT_TABLE_SIZE]; /* the first that they touched */
} ClaimAuthor;

/* What was news, and not told of because there was too much of it. */
typedef struct ClaimUntold {
        char *text, *who; /* owned; the claim, and who brought the last of it about */
        ClaimNews news;   /* the last */
        uint64_t usec;    /* as of the change */
} ClaimUntold;

/* Its own files' alone. */
struct ClaimWatch {
        ClaimBook book;
        sd_event_source *timer, *io;
        pid_t pid;             /* of the proof that is being made; 0: none */
        int child, answer;     /* that process, and where it writes; -1 */
        bool is_dirty;         /* something may have changed since the last proof began */
        bool is_waiting;       /* the timer is set for a proof, rather than for the slow tick */
        bool is_blind;         /* that nothing can be proved has been told of */
        uint32_t entry;        /* that the proof is about */
        uint32_t proved_entry; /* that the last one was about; 0: there was none */
        uint64_t n_drifts;     /* when it began */
        uint64_t n_followed;   /* likewise */
        unsigned int n_unsettled;
        uint64_t moving_usec;  /* CLOCK_MONOTONIC: since when no proof was of rules that had
                                * followed all links; 0: the last one was */
        uint64_t missed_usec;  /* likewise: since when something that should be let in was not,
                                * and that was not told of; 0: there is none */
        uint64_t proved_usec;  /* CLOCK_REALTIME: when the last proof began */
        uint64_t started_usec; /* and this one */
        uint64_t end_usec;     /* CLOCK_MONOTONIC: of the last one */
        uint64_t last_usec;    /* of the processor's time that it took */
        ClaimAuthor authors[CLAIMS_AUTHORS_MAX];
        uint64_t budget_usec; /* CLOCK_MONOTONIC: since when events are counted */
        unsigned int n_spent; /* of them */
        ClaimUntold untold[CLAIMS_UNTOLD_MAX];
        size_t n_untold;
        size_t n_authors;  /* of transactions that no proof has seen */
        size_t n_looked;   /* processes that were looked up for them */
        bool more_authors; /* there are others, who are not known */
        SuspectChange
                legacy[CLAIMS_AUTHORS_MAX]; /* of tables of the old iptables, that no proof has */
        size_t n_legacy;                    /* seen; may be more */
        json_t *ends; /* owned, or NULL: where ports end that are translated, when that was known */
        uint32_t ends_entry; /* with which change in force */
        bool is_saved;       /* what is known stands in the file */
};

/* claims_tell.c: who it was, and what of a proof is news. */
void claims_note_author(Daemon *d, const Commit *c);
void claims_drop_authors(ClaimWatch *w);
void claims_drop_untold(ClaimWatch *w);
/* claims_legacy.c: the same of tables of the old iptables. Takes the change over, and brings a
 * proof. */
void claims_note_legacy(Daemon *d, SuspectChange *c);
/* Of changes that began before somebody looked at those tables (CLOCK_MONOTONIC). NULL: nobody. */
const char *claims_describe_legacy(Daemon *d, Arena *a, uint64_t looked_usec);
/* Those that were over by then have been seen. */
void claims_drop_legacy(ClaimWatch *w, uint64_t looked_usec);
/* Takes in what a proof found. 0, -ENOMEM, or -EPROTO. */
int claims_take(Daemon *d, Arena *a, const json_t *result);
/* That there is none; once. */
void claims_tell_blind(Daemon *d, Arena *a, int error);
void claims_keep(Daemon *d);
uint64_t claims_now(void); /* CLOCK_MONOTONIC, in microseconds */

/* What is known, for `status`. */
json_t *claims_json(const Daemon *d);

/* One proof, in the child: reads the entry and the kernel, and writes what it found to fd as JSON.
 * `book`: which claims are told of although they are proved. */
_noreturn_ void claims_prove(const Daemon *d, uint32_t entry, const ClaimBook *book, int fd);
