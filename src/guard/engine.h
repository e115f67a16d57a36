/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is in force, and how something else comes into force: compile, complete with what the host
 * adds, one transaction, read back. Nothing is called in force that was not read back. A link that
 * the kernel did not answer on is made ready for the next attempt. */

#include "nft/apply.h"
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
        NftChanges changes;      /* that this took */
        EngineOwner owner; /* what is wanted. A table that somebody made without can gain none */
        bool asked_owner;  /* the kernel has been asked whether it can be had: */
        bool can_own;
        bool owns;            /* as read back: the table is the link's */
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

/* Once the kernel has refused something (-EBADMSG): asks it what it lacks. Whether that is news, so
 * that it is worth compiling anew. */
bool engine_learn(Engine *e);

/* Looks at the host again (networks, bridges) and, if that or any rule in the kernel has changed,
 * at the kernel, and makes it so again. 1 if there was something to do, 0 if not; as above. However
 * often: it needs no more memory. */
int engine_refresh(Engine *e, Diag *d);

/* Where others can take the table away: keeps conntrack at work, so that what they let in is known.
 */
void engine_keep_tracking(Engine *e);

/* Reads the table: whether it is what was put in force. 1, 0, or a negative errno; *ret lives in a.
 */
int engine_compare(Engine *e, Arena *a, Ruleset **ret_live);
/* Makes it so again, as fast as can be, from what was just read. It is not read back: compare
 * again. 0 or more, or a negative errno as of engine_put_ruleset(). */
int engine_heal(Engine *e, const Ruleset *live, Diag *d);

/* Whether the kernel holds what was put in force, and still as the link's own if it was. Reads it
 * only if any program has changed any rule since it was read last. 1, 0, or a negative errno. */
int engine_holds(Engine *e);

/* Whether the kernel lets things in past ringwall: there is no such table, or its base chains are
 * gone. 1, 0, or a negative errno. */
int engine_is_open(Engine *e);

/* Takes ringwall's table out of the kernel: open. As engine_put_ruleset(). */
int engine_remove(Engine *e, bool *ret_was_there, Diag *d);
