/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The table `inet ringwall` of this network namespace, read and written. One transaction at a time;
 * no other table is touched, and the owner flag is never set. */

#include "nft/difference.h"
#include "nft/large_set.h"
#include "nft/link.h"

/* Reads the whole table. Without one, ret's `exists` is false. Repeats while other programs change
 * the kernel's rules, for a second at most: then -EBUSY. Else -ENOMEM, -EPERM, -ETIMEDOUT, ... */
int nft_read(NftLink *link, Arena *a, Ruleset **ret);

/* The same, but large sets that are known are not listed: see nft/large_set.h. Such a set is read
 * as it is known, and borrows its elements, or it is_unlisted where it is otherwise. */
int nft_read_known(NftLink *link, Arena *a, const NftKnown *known, Ruleset **ret);

/* The same without repeating it: -EAGAIN if the rules changed meanwhile. */
int nft_read_known_once(NftLink *link, Arena *a, const NftKnown *known, Ruleset **ret);

/* Its flags, its owner and the generation alone. -EAGAIN if the rules changed meanwhile. */
int nft_read_table(NftLink *link, Arena *a, Ruleset **ret);

/* A batch to be sent as it is, by whomever and whenever, that makes the whole table, and is refused
 * (EEXIST, of its second message) where there is one. Its messages are numbered from 1; the last
 * one of *ret_last is answered. 0, -ENOMEM, ... */
int nft_write_batch(const Ruleset *rs, NftBytes *ret, uint32_t *ret_last);

/* Turns the table, or a part of it, read as live, into desired in one transaction; sends nothing if
 * they are equal. -EAGAIN: some program committed something since live was read, nothing has
 * changed: read and try again. -EPERM: not privileged, or another program owns the table; d says
 * so. -EBADMSG: the kernel refused, d says what, and nothing has changed. Other errors: read again
 * to see what holds. */
int nft_apply(NftLink *link, const Ruleset *live, const Ruleset *desired, NftChanges *ret, Diag *d);

/* The same by making the table anew, with desired's flags, in place of the one that is there: what
 * its dynamic sets hold is lost. Nothing passes meanwhile that either does not admit: the new
 * chains are at their hooks before the old ones go, and end in an explicit drop, as their policy
 * comes late. Packets may be lost: the old ones have no rules until they are gone, and drop. */
int nft_replace(
        NftLink *link, const Ruleset *live, const Ruleset *desired, NftChanges *ret, Diag *d);

/* Makes every rule of desired so in one transaction, whoever changed what meanwhile: those of a
 * table that is there as it should be but for its rules and elements, or of one that is gone. Else
 * the kernel refuses. Errors as of nft_apply(), and never -EAGAIN. */
int nft_apply_blind(NftLink *link, const Ruleset *desired, Diag *d);

/* Deletes the table if there is one. Errors as of nft_apply(). */
int nft_delete(NftLink *link, bool *ret_was_there, Diag *d);
