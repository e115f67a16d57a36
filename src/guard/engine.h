/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is in force, and how something else comes into force: compile, complete with what the host
 * adds, one transaction, read back. Nothing is called in force that was not read back. A link that
 * the kernel did not answer on is made ready for the next attempt. */

#include "nft/apply.h"
#include "nft/shut.h"
#include "nft/touched.h"
#include "ruleset/pass.h"

/* Whose the table is. */
typedef enum EngineOwner {
        ENGINE_OWNER_NONE,  /* the table is made for everybody */
        ENGINE_OWNER_LEAVE, /* it is nobody's, and waits for its owner */
        ENGINE_OWNER_SELF,  /* no other program can write to it while the link's socket is open */
} EngineOwner;

typedef struct Engine {
        NftLink *link;           /* owned */
        KernelFeatures features; /* of this kernel, as far as it has been found out */
        Arena *arena;            /* owned; of desired */
        Ruleset *desired;        /* what was put in force last, or NULL */
        Arena *host;             /* owned; of what engine_refresh() found in this host last */
        bool is_seen;            /* whether desired was read back, */
        uint32_t seen;           /* and the kernel's generation then */
        bool was_right;          /* it was seen to be in force, */
        uint32_t right;          /* in that generation at last */
        /* The kernel's generation in which its large sets were as desired has them, 0: not known.
         */
        uint32_t large_right;
        bool is_settled;    /* nothing was written since of which the outcome is not known */
        NftChanges changes; /* that this took */
        EngineOwner owner;  /* what is wanted */
        bool asked_owner;   /* the kernel has been asked whether it can be had: */
        bool can_own;
        bool owns;            /* as read back: the table is the link's */
        bool is_own;          /* the link's, when it was read last, */
        bool is_anothers;     /* or another program's */
        bool wrote_flags;     /* the last transaction changed the table's flags, and nothing else */
        bool keeps_found;     /* what there was before the last one is kept: */
        Arena *found_arena;   /* owned; of */
        const Ruleset *found; /* or NULL; it lives no longer than what is in force */
        char shut_name[SHUT_NAME_SIZE]; /* of the table that shuts the host; empty: none did yet */
        bool insists;         /* what a table of another program's keeps out is desired even so */
        bool stands_beside;   /* likewise, and what others are too quick for: engine_shut() keeps it
                               */
        bool tracks;          /* conntrack stays at work even if the table goes */
        bool reports_refused; /* what is refused is made known: see ruleset/refused.h */
} Engine;

/* 0, or what nft_link_open() says. */
int engine_open(Engine *e);
/* With the socket of a link that somebody had before. */
int engine_open_with(Engine *e, int fd);
void engine_close(Engine *e);

/* Compiles for this kernel and proves the policy's claims. *ret lives in the policy's arena.
 * -EBADMSG with the reason in d; -ENOMEM. */
int engine_compile(const Engine *e, const Policy *policy, Ruleset **ret, Diag *d);

/* Puts rs in force, which engine_compile() made of the policy; where the kernel lacks something it
 * is compiled anew without. The arena, in which everything lives, becomes the engine's (and *arena
 * NULL) once the kernel has taken the policy: on 0 and -EIO. d must live in another one. 0 in
 * force, and read back -EBADMSG  the kernel refused it; nothing has changed -EPERM    not
 * privileged, or another program owns the table; nothing has changed -EAGAIN   other programs
 * changed the kernel's rules all the time; nothing has changed -EIO      the kernel took it, but
 * something else was read back and others; d says why. */
int engine_put_policy(Engine *e, Arena **arena, const Policy *policy, Ruleset *rs, Diag *d);
/* The same for a Ruleset that was compiled before, for a kernel with the same features. */
int engine_put_ruleset(Engine *e, Arena **arena, Ruleset *rs, Diag *d);

/* Whether rs, complete with what the host adds, is what was put in force last. */
bool engine_is_same(const Engine *e, Ruleset *rs);

/* Whether tables can be had that persist and belong to the link's socket alone. */
bool engine_can_own(Engine *e);

/* Once the kernel has refused something (-EBADMSG): asks it what it lacks. Whether that is news, so
 * that it is worth compiling anew. */
bool engine_learn(Engine *e);

/* Looks at the host again (networks, bridges) and, if that has changed or the rules were not seen
 * to be right before, at the kernel, and makes it so again. 1 if there was something to do, 0 if
 * not; as above. However often: it needs no more memory. */
int engine_refresh(Engine *e, Diag *d);

/* Where others can take the table away: keeps conntrack at work, so that what they let in is known.
 */
void engine_keep_tracking(Engine *e);

void engine_forget_found(Engine *e);
/* Whether what was read is what was put in force, whosever the table was. */
bool engine_is_as_desired(const Engine *e, const Ruleset *live);

/* Reads the table: whether it is what was put in force. 1, 0, or a negative errno; *ret lives in a,
 * no longer than what is in force. Large sets are not listed: see nft/large_set.h.
 * at_once: -EAGAIN where others change something meanwhile, instead of reading again. */
int engine_compare(Engine *e, Arena *a, bool at_once, Ruleset **ret_live);
/* Makes it so again, as fast as can be, from what was just read. It is not read back: compare
 * again. 1; 0 if nothing differed; or a negative errno: -EAGAIN where others were quicker, else as
 * of engine_put_ruleset(). */
int engine_heal(Engine *e, const Ruleset *live, Diag *d);
/* In two steps, where all was seen to be in force, and others touched no more than that since: what
 * is read and put right is that part alone. Else -EAGAIN. live is all of it once
 * engine_complete_part() has returned 0, and lives in a, no longer than what is in force. Not
 * steady: whatever others do meanwhile, so that what is read may be of several generations; what
 * is then put right is so for a moment at least. */
int engine_read_part(Engine *e, Arena *a, const Touched *touched, bool steady, Ruleset **ret_live);
int engine_heal_part(Engine *e, const Ruleset *live, const Touched *touched, Diag *d);
int engine_complete_part(const Engine *e, Ruleset *live, const Touched *touched);
/* Heals whatever is there, without reading anything: where others are too fast for that. */
int engine_heal_blind(Engine *e, Diag *d);

/* Shuts the host beside its table, with what rs, made by lockdown_make(), admits, whatever others
 * do to that; see nft/shut.h. 1, 0, or a negative errno. */
int engine_shut(Engine *e, Ruleset *rs);
int engine_unshut(Engine *e);
int engine_unshut_if_any(Engine *e); /* as nft_unshut_if_any() */

/* Whether the kernel holds what was put in force, and still as the link's own if it was. Reads it
 * only if any program has changed any rule since it was read last. 1, 0, or a negative errno. */
int engine_holds(Engine *e);

/* Whether the kernel lets things in past ringwall: there is no such table, or its base chains are
 * gone. 1, 0, or a negative errno. */
int engine_is_open(Engine *e);

/* Takes ringwall's table out of the kernel: open. As engine_put_ruleset(). */
int engine_remove(Engine *e, bool *ret_was_there, Diag *d);
