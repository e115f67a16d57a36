/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* ringwalld's own state. One thread, one event loop (guard/lookout has another, that nothing else
 * is shared with); everything that decides is below, in guard, and is given what it needs. */

#include <systemd/sd-event.h>

#include "base/journal.h"
#include "base/manager.h"
#include "guard/confirm.h"
#include "guard/drops.h"
#include "guard/engine.h"
#include "guard/event_log.h"
#include "guard/lookout.h"
#include "guard/pace.h"
#include "guard/store.h"
#include "host/sshd.h"
#include "host/starts.h"
#include "host/unit.h"
#include "rpc/call.h"
#include "rpc/server.h"

typedef struct ClaimWatch ClaimWatch;

#define DAEMON_RUNTIME_DIR STARTS_FOLDER
#define DAEMON_POLICY_FILE "/etc/ringwall/policy.yaml"
#define DAEMON_SOCKET RPC_INTERFACE /* within the runtime directory */
#define DAEMON_EVENTS_MAX 16        /* that are kept to be shown */
#define DAEMON_DROPS_MAX 500        /* groups in one answer: a few KiB each while it is made */
#define DAEMON_FOLLOWERS_MAX 8      /* calls that follow what is refused; as many follow events */

/* What other programs change while something is in force. */
#define DRIFT_AUTHORS_MAX 4 /* who are told of with one change; further ones are counted */

/* Who committed something to the table that has not been told of yet. */
typedef struct DriftAuthor {
        pid_t pid; /* as the kernel tells it, like the name */
        char name[COMMIT_NAME_SIZE];
        uint32_t first, last; /* generations of their transactions that were not told of */
} DriftAuthor;

typedef struct DriftGuard {
        CommitWatch watch;
        uint32_t deaf_generation; /* before a large transaction of our own, with no one listening */
        Lookout *lookout; /* owned; NULL: processes' numbers are not ours, or there is none */
        sd_event_source *io, *tick, *retry, *legacy;
        uint32_t generation; /* of the latest transaction that was told of */
        bool sees_pids;      /* the kernel's process numbers are ours: see authors.c */
        DriftAuthor authors[DRIFT_AUTHORS_MAX];
        Touched touched;             /* by others since the rules were last seen to be right, */
        uint32_t touched_generation; /* and when last */
        size_t n_authors;     /* who touched the table and was not told of yet; may be more */
        bool is_dirty;        /* something may have changed since it was compared */
        bool is_told;         /* what differs has been told of, and stays; or */
        bool is_untold;       /* that there is no more than a count of it */
        bool is_stuck;        /* that it cannot be undone has been told of */
        bool is_blind;        /* that nothing can be compared has been told of */
        uint64_t since_usec;  /* CLOCK_MONOTONIC: when it was noticed that something differs; 0:
                               * nothing  does */
        uint64_t closed_usec; /* likewise: since when that lets nothing in any more; 0: it does */
        Pace pace;            /* what is done against those who do it without end: */
        Arena *shut_arena;    /* owned; of */
        Ruleset *shut;        /* what comes beside the rules then, or NULL, */
        const Ruleset *shut_for;                  /* made for that of the engine's */
        bool is_shut_ours;                        /* nobody else can take it away, */
        bool is_kept;                             /* and all of the rules stand there instead */
        bool is_behind;                           /* or should not any more, and still may */
        const Ruleset *not_kept;                  /* the engine's, if the kernel refused that */
        uint64_t paid_usec;                       /* likewise: each that is told of moves it on, */
        bool is_paced;                            /* which has been told of; and */
        uint64_t n_untold;                        /* those that were not */
        uint64_t n_drifts, n_heals, longest_usec; /* since the daemon was started */
} DriftGuard;

/* Something that an operator may want to know afterwards. */
typedef struct DaemonEvent {
        uint64_t realtime_usec;
        EventKind kind;
        char text[EVENT_TEXT_MAX];
} DaemonEvent;

/* A file of the policy as it was when it was read. */
typedef struct FileMark {
        const char *name;
        uint64_t hash;
} FileMark;

/* A call that is told of what is refused from now on. */
typedef struct Follower {
        RpcCall *call;
        uint64_t number; /* up to which it has been told */
        size_t limit;
} Follower;

/* Of the event loop, and systemd, which waits for signs of life. */
typedef struct Turn {
        uint64_t watchdog_usec; /* how long it waits; 0: it does not */
        uint64_t iteration;     /* of the loop, */
        uint64_t since_usec;    /* which had got so far, CLOCK_MONOTONIC, at its first step */
        uint64_t told_usec;     /* likewise: when the last sign was given */
        bool is_large;          /* systemd has been asked to wait longer */
        Manager manager;
        sd_event_source *sign; /* the next one between two turns */
        sd_event_source *room; /* until the manager reads again what it is told */
} Turn;

typedef struct Daemon {
        sd_event *event;
        Turn turn;
        Engine engine;
        RpcServer *rpc;
        dev_t socket_device; /* of the control socket, as it was bound */
        ino_t socket_inode;

        const char *policy_file; /* what `apply` means without a FILE */
        const char *catalogue;
        const char *state_dir, *runtime_dir;
        bool standalone; /* a policy was named on the command line: it is put in force at start */
        bool was_parked; /* the engine's socket is one that a daemon before this one has left */
        bool cuts_next;  /* what comes into force next cuts what it does not admit, at once */

        Store *store;
        Confirm confirm;
        char boot[CONFIRM_BOOT_MAX];
        sd_event_source *timer; /* of an unconfirmed change */
        uint64_t since_usec;    /* since when this is in force, CLOCK_REALTIME */
        StoreSettings settings; /* of what is in force; without its zones, alerts and bans */
        struct {
                char *run, *webhook; /* owned, or NULL */
        } alerts;                    /* of the policy that is in force, or was before a lockdown */
        Arena *ban_rules_arena;
        StoreBans ban_rules; /* of the policy that is in force, or was before a lockdown */
        char file[4096];     /* the policy's that is in force, or "" */
        Arena *marks_arena;
        FileMark *marks; /* its own files, as they were */
        size_t n_marks;

        /* Of the call that is being answered. */
        Diag *diag;
        StoreCaller caller;
        const char *by; /* whoever calls, for people; NULL: the daemon itself */
        size_t n_cut;
        char not_cut[256];        /* what may be left that is not admitted, and why; or "" */
        ConfirmActionKind failed; /* the first action that did; _CONFIRM_ACTION_MAX: none */

        int log_fd; /* of what rules log */
        sd_event_source *log;
        bool has_journal;
        uint64_t n_unread; /* lines that nobody took */

        int sample_fd; /* of what rules refuse */
        sd_event_source *sample, *follow;
        bool sees_refused; /* it is read */
        Drops *drops;      /* owned */
        Follower followers[DAEMON_FOLLOWERS_MAX];
        size_t n_followers;

        int watch_fd; /* of links, addresses and routes */
        sd_event_source *watch, *settle;
        struct if_nameindex *links; /* owned, or NULL: as they were called */
        uint64_t retry_usec;    /* until what could not be followed is tried again; 0: it could */
        bool is_retrying;       /* that is what `settle` waits for */
        uint64_t n_followed;    /* changes of them that brought other rules */
        uint64_t followed_usec; /* CLOCK_MONOTONIC: when that was told of last; 0: never */

        DriftGuard drift;
        ClaimWatch *claims; /* owned */
        struct Bans *bans;  /* owned; of bans.h */
        struct {
                bool is_on;
                uint64_t end_usec; /* CLOCK_BOOTTIME; UINT64_MAX: on demand */
                sd_event_source *timer;
        } panic;

        struct {
                sd_event_source *timer;
                uint64_t usec; /* that it waits */
        } amidst;

        struct {
                sd_event_source *timer, *watch;     /* watch: of the state directory */
                sd_event_source *socket_watch;      /* of the runtime directory */
                bool is_state_lost, is_socket_lost; /* likewise of is_lost */
                bool is_lost; /* nothing starts it at the next boot, which has been said */
        } outlook;

        bool is_noted;     /* that something is in force: see absence.c */
        Starts starts;     /* how often systemd has started it of late */
        EventLog log_file; /* every event */
        bool log_failed;   /* the last one could not be written, which has been said */
        DaemonEvent events[DAEMON_EVENTS_MAX]; /* a ring */
        size_t n_events;
        RpcCall *event_followers[DAEMON_FOLLOWERS_MAX];
        size_t n_event_followers;
} Daemon;

/* Tells the journal (or standard error) what happened, and keeps it. */
void daemon_event(Daemon *d, EventKind kind, int priority, const char *format, ...) _printf_(4, 5);
/* One line to the journal, with further fields; without a journal, to standard error, without them.
 * Neither is waited for: how many lines were not read is told once somebody reads again. */
void daemon_write(
        Daemon *d, int priority, const char *text, const JournalField *more, size_t n_more);
/* A note. */
void daemon_say(Daemon *d, int priority, const char *format, ...) _printf_(3, 4);
/* Every message of diag in that way. */
void daemon_say_all(Daemon *d, const Diag *diag);
/* CLOCK_REALTIME, in microseconds. */
uint64_t daemon_now(void);

/* turn.c: signs of life while a turn of the event loop takes long. start: once all is started, and
 * of the loop itself, too; 0 or a negative errno. step: something is done that is worth one, or,
 * with to_send, as many bytes go to the kernel as one transaction now; the context is the Daemon.
 * However often: mostly it costs nothing. */
int turn_start(Daemon *d);
void turn_stop(Daemon *d);
/* Tells systemd, which is never waited for: see base/manager.h. There must be an event loop. */
int turn_tell(Daemon *d, ManagerKind kind, int fd, const char *format, ...) _printf_(4, 5);
void turn_step(void *context, size_t to_send);

/* park.c: the socket that owns the table, over restarts. open: opens the engine, with the socket
 * that a daemon before this one has left if there is one; 0 or a negative errno. leave: hands a new
 * socket to systemd. */
int park_open(Daemon *d);
void park_leave(Daemon *d);

/* drift.c: notices what other programs change, and undoes it. */
int drift_start(Daemon *d);
void drift_stop(Daemon *d);
/* What others have changed is told of and undone now, before it is overwritten by something else.
 */
void drift_catch_up(Daemon *d);
/* What should be in force and is not is tried again soon, until it is. */
void drift_retry(Daemon *d);

/* Whether links, addresses or routes have changed, and the rules do not follow that yet. */
bool links_are_behind(const Daemon *d);

/* claims.c: whether what the policy claims holds, whatever other programs do. */
int claims_start(Daemon *d);
void claims_stop(Daemon *d);
/* Something may have changed that. However often: it costs nothing much. */
void claims_doubt(Daemon *d);
/* Likewise, and who did. */
void claims_note_commit(Daemon *d, const Commit *c);

/* outlook.c: whether it runs after the next boot, and can be asked. */
int outlook_start(Daemon *d);
void outlook_stop(Daemon *d);
/* What systemd does with the daemon's unit at the next boot. 0 or -ENOMEM. */
int outlook_boot(UnitStart *ret);

/* events.c: the log of events. */
int events_start(Daemon *d);
void events_stop(Daemon *d);
/* The state directory may be another one by now: the chain goes on there. */
void events_reopen(Daemon *d);

/* links.c: follows links, addresses and routes, from when something is in force. What changes after
 * links_open() is not missed: so before the host is looked at. */
int links_open(Daemon *d);
int links_start(Daemon *d);
void links_stop(Daemon *d);

/* bans.c: who is banned. What the kernel holds is what the store says, from start on. */
int bans_start(Daemon *d);
void bans_stop(Daemon *d);
/* Another program has written to the table. */
void bans_note_foreign(Daemon *d, const Commit *c);
/* Whatever other programs did may not have been told of. */
void bans_note_lost(Daemon *d);
/* Whether nobody is banned, or nobody else can take away what shuts them out. */
bool bans_stand(const Daemon *d);
/* Nothing is in force any more, on demand; and something is again. */
int bans_suspend(Daemon *d);
void bans_resume(Daemon *d);
/* Addresses of this host's may be others by now. */
void bans_follow_host(Daemon *d);

/* logs.c: what rules log goes to the journal. */
int logs_start(Daemon *d);
void logs_stop(Daemon *d);

/* refused.c: what rules refuse is kept to be asked for. */
int refused_start(Daemon *d);
void refused_stop(Daemon *d);

/* methods.c: the control socket. */
int methods_start(Daemon *d);
/* Whether what stands in the runtime directory is the socket that is listened to. bind: makes it
 * so; 1, or a negative errno: -EADDRINUSE if another program listens there. */
bool methods_is_bound(const Daemon *d);
int methods_bind(Daemon *d);
void methods_stop(Daemon *d);
/* Writes its interface in Varlink's own language. 0 or a negative errno. */
int methods_describe(FILE *f);
