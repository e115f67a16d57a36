/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is in force, and every way in which that changes. */

#include <jansson.h>

#include "daemon/daemon.h"

/* At start: what was confirmed comes into force. */
int change_start(Daemon *d);
void change_stop(Daemon *d);
/* Carries out what guard/confirm.h decided; the errno of the first action that failed. */
int change_run(Daemon *d, ConfirmPlan *plan);
/* Puts in force what shall be, whatever the kernel holds: after a panic. As entry_put(). */
int change_put_again(Daemon *d);
/* Cuts open connections that what is in force does not admit; what cannot be done is said. */
int change_cut(Daemon *d);
/* "in force: change 7": for people. Valid until the next call. */
const char *change_status(const Daemon *d);

/* What `apply` is asked for. */
typedef struct ApplyRequest {
        const char *file;    /* absolute; NULL: the daemon's own */
        const char *message; /* or NULL */
        bool no_confirm, dry_run, has_console;
        bool lists_only;     /* nothing else may have changed since it was confirmed */
        const RpcPeer *peer; /* NULL: the daemon itself */
} ApplyRequest;

/* What `rollback` is asked for. */
typedef struct RollbackRequest {
        int64_t number; /* 0: what waits is undone; if nothing waits, what was confirmed before
                         * comes back */
        bool has_console;
        const RpcPeer *peer;
} RollbackRequest;

/* Why a request failed: an error of the interface, a text, and the policy's mistakes. */
typedef struct RequestFailure {
        const char *error; /* its full name; NULL: RPC_FAILED */
        char *text;        /* owned; NULL: without memory */
        json_t *messages;  /* owned, or NULL */
} RequestFailure;

void request_failure_done(RequestFailure *f);

/* request.c: each answers with an object, or fails. 0 or a negative errno. */
json_t *request_status(Daemon *d);
int request_apply(Daemon *d, const ApplyRequest *request, json_t **ret, RequestFailure *f);
int request_confirm(
        Daemon *d, const RpcPeer *peer, bool same_connection, json_t **ret, RequestFailure *f);
int request_rollback(Daemon *d, const RollbackRequest *request, json_t **ret, RequestFailure *f);
int request_history(Daemon *d, json_t **ret, RequestFailure *f);
/* A failure in so many words; -EBADMSG, or -ENOMEM. */
int request_fail(RequestFailure *f, const char *error, const char *format, ...) _printf_(3, 4);

/* absence.c: what happened while the daemon did not run. */
typedef struct Absence {
        bool is_known;   /* something was in force in this boot before */
        bool was_killed; /* whoever ran then did not end as it was told to */
        uint64_t usec;   /* how long nobody ran, if it was not killed */
} Absence;

/* Before anything is put in force: what the kernel holds then is kept, if it can be compared. */
void absence_find(Daemon *d, Arena *a, Absence *ret);
/* Tells of it, once what should be in force is. */
void absence_end(Daemon *d, Arena *a, const Absence *absence);
/* The daemon is told to end, by that process; 0: not known. */
void absence_begin(Daemon *d, pid_t by);
/* Whether anything is in force from now on. */
void absence_note(Daemon *d, bool in_force);
/* Somebody may have taken away what says so. */
void absence_keep(Daemon *d);

/* amidst.c: connections that conntrack meets later, cut after so long for the first time. */
#define AMIDST_USEC UINT64_C(2000000) /* once something is in force that was not */
#define AMIDST_AGAIN_USEC                                                                          \
        UINT64_C(60000000) /* after a restart: there was somebody to look before */
void amidst_begin(Daemon *d, uint64_t usec);
void amidst_stop(Daemon *d);

typedef struct PanicRequest {
        bool on, has_console;
        int64_t seconds;     /* until it ends; 0: on demand */
        const RpcPeer *peer; /* NULL: the daemon itself */
} PanicRequest;

/* panic.c: everything closed but the rescue path. */
int request_panic(Daemon *d, const PanicRequest *q, json_t **ret, RequestFailure *f);
/* Before anything is put in force: whether a panic goes on. */
void panic_start(Daemon *d);
void panic_stop(Daemon *d);
/* What the lockdown does not admit, and was let in while nobody watched. */
void panic_cut(Daemon *d);
/* Whether there is or was one, by what stands in the state directory. */
bool panic_is_written(const Daemon *d);
int panic_end_in(Daemon *d, uint64_t usec);
json_int_t panic_seconds(const Daemon *d);

/* Of the log: with a number past `after` (0: all), not before `since` (microseconds since 1970; 0:
 * all), at most `limit` (0: many) of the latest. */
typedef struct EventsRequest {
        int64_t after, since, limit;
} EventsRequest;

/* Answers, and goes on with each event as it happens if the caller wants more. */
int request_events(Daemon *d, RpcCall *call, const EventsRequest *request);
/* Who is to be told of events. */
json_t *request_alerts(const Daemon *d);
/* Reads lists of addresses again; says whether the policy's own files have changed. Nobody confirms
 * it, so nothing is done that would lock out whoever asks. peer as in ApplyRequest. */
int request_reload(Daemon *d, const RpcPeer *peer, json_t **ret, RequestFailure *f);

/* What `ringwall takeover` has done: it is written down with who did it. */
typedef struct TakeoverNotice {
        const char *rival; /* "ufw" */
        const char *what;  /* "disabled", "restored", "takenBack" */
} TakeoverNotice;

int request_takeover(Daemon *d, const TakeoverNotice *notice, const RpcPeer *peer);
int request_unload(Daemon *d, const RpcPeer *peer, RequestFailure *f);
/* refused.c: answers with what was refused since the packet of that number, and goes on doing so if
 * the caller wants more. limit: groups in one answer. */
int request_drops(Daemon *d, RpcCall *call, uint64_t since, size_t limit);
