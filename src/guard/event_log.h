/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What happened, in a file of the state directory to which is only ever appended. Each line bears a
 * hash of itself and of the line before, and beside the file stands the last one's hash: an edit, a
 * removal and a cut are found. (Whoever can write both files can write another history: the chain
 * shows tampering to somebody who has kept a hash, and accidents to everybody.)
 *
 *     HASH NUMBER TIME KIND TEXT      the hash is BLAKE2b (RFC 7693) of 32 bytes, in hexadecimal;
 *                                     the time microseconds since 1970
 *
 * When the file is large it becomes `events.1`, and a new one goes on with the chain. */

#include "base/diag.h"

#define EVENT_LOG_FILE "events"
#define EVENT_LOG_OLD "events.1"
#define EVENT_LOG_HEAD "events.head"
#define EVENT_LOG_SIZE ((size_t)2 * 1024 * 1024) /* bytes of a file until the next one begins */
#define EVENT_TEXT_MAX 1024
#define EVENT_HASH_SIZE 32
#define EVENT_HASH_TEXT (2 * EVENT_HASH_SIZE + 1)

typedef enum EventKind {
        EVENT_NOTE,
        EVENT_IN_FORCE,
        EVENT_CONFIRMED,
        EVENT_UNDONE,
        EVENT_LOCKDOWN,
        EVENT_UNLOADED,
        EVENT_CUT,
        EVENT_DRIFT,
        EVENT_HEALED,
        EVENT_PANIC,
        EVENT_ALERT,     /* what the policy claims does not hold */
        EVENT_UNDECIDED, /* whether it does is not known */
        EVENT_HOLDS,     /* it does again */
        EVENT_NOTICE,    /* where a port ends that is open anyway */
        EVENT_FAILURE,
        EVENT_TAMPERED,
        EVENT_TAKEOVER,
        _EVENT_KIND_MAX,
        _EVENT_KIND_INVALID = -EINVAL,
} EventKind;

const char *event_kind_to_string(EventKind kind);
EventKind event_kind_from_string(const char *s);
/* The journal's MESSAGE_ID of such events, which never changes (systemd.journal-fields(7)). */
const char *event_kind_id(EventKind kind);

typedef struct Event {
        uint64_t number; /* from 1 */
        uint64_t time_usec;
        EventKind kind;
        const char *text; /* one line */
} Event;

typedef struct EventLog {
        int folder;                          /* owned; -1: closed */
        uint64_t number;                     /* of the last event; 0: none */
        unsigned char hash[EVENT_HASH_SIZE]; /* its */
} EventLog;

/* Opens or begins the log in an open folder, which is copied. What is wrong with what is there is
 * told in d, as warnings, and the chain goes on behind it. 0, -ENOMEM, or what opening said. */
int event_log_open(int folder, EventLog *ret, Diag *d);
void event_log_close(EventLog *log);
/* Appends; the event's number is set. 0 or what writing said: nothing is there, then. */
int event_log_append(EventLog *log, Event *event);

typedef struct EventList {
        Event *items; /* by number */
        size_t n_items;
} EventList;

/* All events of a log that are kept, whatever the chain says; in a. 0, -ENOENT if there is no log,
 * -ENOMEM, or what reading said. */
int event_log_read(int folder, Arena *a, EventList *ret);

typedef struct EventCheck {
        size_t n_events;
        uint64_t first, last;       /* numbers */
        char hash[EVENT_HASH_TEXT]; /* of the last */
} EventCheck;

/* Follows the chain. 0: it is whole; -EBADMSG: d says each place where it is not; as above. */
int event_log_check(int folder, Arena *a, EventCheck *ret, Diag *d);
