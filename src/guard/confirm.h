/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A change waits for its confirmation, and is undone without. Decisions alone: what is to be done
 * comes out as a list of actions, in the one order that is safe wherever it breaks off; clocks and
 * what stands on disk go in as values. */

#include "base/address.h"

#define CONFIRM_BOOT_MAX 96        /* bytes of what tells one boot from another, with its NUL */
#define CONFIRM_ACTIONS_MAX 8      /* of one plan */
#define CONFIRM_RETRY_USEC 5000000 /* until a failed fallback is tried again */

typedef enum TargetKind {
        TARGET_NOTHING,  /* no table at all: before the first confirmation */
        TARGET_LOCKDOWN, /* once armed, without a copy that can be read */
        TARGET_ENTRY,
} TargetKind;

/* What is, or shall be, in force. */
typedef struct Target {
        TargetKind kind;
        uint32_t entry; /* its number in the store; of TARGET_ENTRY */
} Target;

/* The change that waits; this is what stands on disk before it comes into force. */
typedef struct Pending {
        uint32_t entry;
        Target fallback;
        uint64_t armed_usec, deadline_usec; /* CLOCK_BOOTTIME, in that boot alone */
        uint64_t deadline_realtime_usec;    /* CLOCK_REALTIME: for people, decides nothing */
        char boot[CONFIRM_BOOT_MAX];
} Pending;

typedef struct ConfirmNow {
        uint64_t boottime_usec, realtime_usec;
        const char *boot; /* see boot_identify() */
} ConfirmNow;

typedef struct Confirm {
        Target base; /* what was confirmed; what a change falls back to */
        bool is_pending;
        Pending pending;   /* if so */
        uint64_t put_usec; /* when it came into force, CLOCK_BOOTTIME; 0: not yet */
        bool is_known;     /* whether the next is sure */
        Target in_force;
        bool has_leftover; /* the file of a change that waits no more could not be removed */
        /* While another change takes the place of one that waits and is in force: that one. */
        bool has_former;
        Pending former;
        uint64_t former_put_usec;
} Confirm;

typedef enum ConfirmActionKind {
        CONFIRM_STAGE,         /* entry: make its sealed copy, beside the one that is valid */
        CONFIRM_WRITE_PENDING, /* pending */
        CONFIRM_REMOVE_PENDING,
        CONFIRM_ARM_TIMER, /* usec: CLOCK_BOOTTIME, absolute; replaces an earlier one */
        CONFIRM_DISARM_TIMER,
        CONFIRM_PUT,           /* target: bring it into force, and read it back */
        CONFIRM_SEAL,          /* entry: its copy becomes the sealed one. This confirms it */
        CONFIRM_REMEMBER_PEER, /* of the connection that confirmed, for rescue */
        CONFIRM_CUT,           /* connections that what is in force does not admit */
        _CONFIRM_ACTION_MAX,
} ConfirmActionKind;

typedef struct ConfirmAction {
        ConfirmActionKind kind;
        Target target; /* of CONFIRM_PUT; its entry also of CONFIRM_STAGE and CONFIRM_SEAL */
        Pending pending;
        uint64_t usec; /* of CONFIRM_WRITE_PENDING: when it came into force, if it is already */
} ConfirmAction;

typedef struct ConfirmPlan {
        ConfirmAction actions[CONFIRM_ACTIONS_MAX];
        size_t n_actions;
} ConfirmPlan;

typedef enum ConfirmAnswer {
        CONFIRM_OK,
        CONFIRM_NOTHING_PENDING,
        CONFIRM_TOO_LATE,       /* the time is over: the plan undoes the change */
        CONFIRM_OLD_CONNECTION, /* it was there before the change, and so proves nothing */
        _CONFIRM_ANSWER_MAX,
} ConfirmAnswer;

typedef enum PendingState {
        PENDING_NONE,
        PENDING_READ,
        PENDING_DAMAGED,
} PendingState;

/* What a start finds on disk. */
typedef struct ConfirmFound {
        bool armed;      /* something was confirmed once */
        uint32_t sealed; /* of the sealed copy, if it can be read; or 0 */
        uint32_t first;  /* the first copy in boot order that can be read: the sealed one, else
                          * confirmed entries, newest first; or 0 */
        PendingState pending_state;
        Pending pending;
        bool entry_is_usable;    /* whether the pending entry can be read, */
        bool fallback_is_usable; /* and the one that it falls back to */
} ConfirmFound;

/* The daemon starts, after a boot or a crash. */
void confirm_start(Confirm *c, const ConfirmFound *found, const ConfirmNow *now, ConfirmPlan *ret);

/* An entry of the store shall come into force and wait so long. Replaces a change that waits; what
 * it falls back to stays. Also the way back to an older entry: to the one that was confirmed last
 * there is nothing to wait for. */
void confirm_apply(const Confirm *c,
                   uint32_t entry,
                   uint64_t wait_usec,
                   const ConfirmNow *now,
                   ConfirmPlan *ret);

/* Who confirms. */
typedef struct ConfirmCaller {
        bool over_ssh;           /* else a console, a container: always believed */
        uint64_t connected_usec; /* CLOCK_BOOTTIME, when the connection was made; with over_ssh */
        bool same_connection;    /* insists, on whichever connection */
} ConfirmCaller;

ConfirmAnswer confirm_confirm(const Confirm *c,
                              const ConfirmCaller *caller,
                              const ConfirmNow *now,
                              ConfirmPlan *ret);

/* The change that waits is given up. CONFIRM_OK or CONFIRM_NOTHING_PENDING. */
ConfirmAnswer confirm_give_up(const Confirm *c, ConfirmPlan *ret);

/* The timer fired, at whatever time. */
void confirm_timer(const Confirm *c, const ConfirmNow *now, ConfirmPlan *ret);

/* Seconds until the change is undone, rounded up; 0 if none waits. */
unsigned int confirm_remaining(const Confirm *c, const ConfirmNow *now);

/* Carries a plan out; c follows each action that was done. */
typedef struct ConfirmHands {
        void *context;
        /* 0 or a negative errno, its reason kept elsewhere. -EBADMSG, -EPERM and -EAGAIN of
         * CONFIRM_PUT say that what was in force still is. */
        int (*act)(void *context, const ConfirmAction *action);
        ConfirmNow (*now)(void *context);
        /* The copy that comes behind this one in boot order and can be read, or 0. */
        uint32_t (*next_copy)(void *context, uint32_t entry);
} ConfirmHands;

/* What fails is made up for: without a pending file nothing comes into force, what does not come
 * into force is undone (a change that waited before it and still is in force waits on), a copy that
 * the kernel does not take gives way to the next one, at last to the lockdown. The errno of the
 * first action that failed, or 0. */
int confirm_run(Confirm *c, ConfirmPlan *plan, const ConfirmHands *hands);

/* The two halves of confirm_run(), for tests: c after an action that was done; the plan after the
 * action with number i failed with that error. next_copy: as above, of a CONFIRM_PUT. */
void confirm_done(Confirm *c, const ConfirmAction *action, const ConfirmNow *now);
void confirm_failed(Confirm *c,
                    ConfirmPlan *plan,
                    size_t i,
                    int error,
                    uint32_t next_copy,
                    const ConfirmNow *now);

bool target_equal(Target a, Target b);
const char *confirm_action_to_string(ConfirmActionKind kind);
