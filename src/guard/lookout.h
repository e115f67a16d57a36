/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Looks at who commits something to the kernel's rules before they are gone: many do nothing else,
 * and end within a fraction of a millisecond, arguments first. So it is a thread of its own, which
 * does only this and, where the unit's limits let it, goes before everything else on the host. It
 * touches nothing of anybody's but what is asked from here. Likewise who runs the programs of the
 * old iptables: see guard/legacy_watch.h. */

#include "guard/legacy_watch.h"

typedef struct Lookout Lookout;

/* Begins to look. 0 or a negative errno. */
int lookout_new(Lookout **ret);
Lookout *lookout_free(Lookout *w); /* accepts NULL, returns NULL */

/* Who made that generation, if it is one of the latest; waits a few milliseconds for one that the
 * kernel has told the caller of first. *ret lives in a. Whether it was seen. */
bool lookout_find(Lookout *w, uint32_t generation, Arena *a, Who *ret);

/* As commit_watch_hear(); accepts NULL. If it fails, who it was is looked up later. */
void lookout_hear(Lookout *w, bool hears);

/* To wait for input on: then legacy tables have changed. */
int lookout_fd(const Lookout *w);
/* The next such change, which is the caller's then. False: there is none. */
bool lookout_take(Lookout *w, SuspectChange *ret);

static inline void lookout_freep(Lookout **w) {
        (void)lookout_free(*w);
}
