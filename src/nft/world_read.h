/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The kernel's whole ruleset as a World (world/world.h): every table of every family, never from
 * nft's listings, which leave out what matters (matches and targets of xt, devices, dependencies).
 * What the messages say is translated one to one; xt's matches and targets become the native
 * expressions that mean exactly the same. What is not understood is WORLD_UNKNOWN with its name and
 * never left out. Named objects are not read: an expression that refers to one says its kind. */

#include "nft/link.h"
#include "world/world.h"

/* Reads the messages of dumps of tables, chains, sets, elements and rules, in any order, or those
 * of a batch that makes them anew, with sets known by their number. bytes is aligned as a message
 * is, and not needed any longer afterwards. Nothing in the messages leads to a crash. 0, -ENOMEM,
 * -EPROTO for what could not have come from a kernel, or -EAGAIN if an element stands in a set
 * twice: so it does when the kernel enlarged the set's table while it was listed. */
int world_decode(Arena *a, const void *bytes, size_t size, World **ret);

/* The World that the kernel holds once it was sent the Ruleset, and nothing else: from the very
 * messages that would be sent. What lies around the rules is left empty, and so are handles. 0,
 * -ENOMEM or -EINVAL for what cannot be sent. */
int world_of_ruleset(Arena *a, const Ruleset *rs, World **ret);

/* Reads the rules of this network namespace and what lies around them. Repeats while other programs
 * change the rules, for a second or two at most: then -EBUSY. Else -ENOMEM, -EPERM, -ETIMEDOUT,
 * -EPROTO, ...
 * Of a set of bans past 2 MiB, some 45,000 hosts, nothing is read, and anything may be in it: a
 * list of a million hosts takes the kernel 50 s, since for each 32 KiB it goes through the hash
 * table from its beginning (nft_rhash_walk()). */
int world_read(NftLink *link, Arena *a, World **ret);

/* Fills in what lies around the rules: interfaces, addresses, routes and settings. 0; -EINTR if
 * they kept changing; -E2BIG past WORLD_ITEMS_MAX; else what the kernel said. */
#define WORLD_ITEMS_MAX ((size_t)1 << 20) /* interfaces, addresses, routes: of each */
int world_read_surroundings(World *w);
/* The same from messages of rtnetlink, one at a time; others are passed over. */
int world_take_surroundings(const struct nlmsghdr *h, World *w);
