/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The kernel's table as a Ruleset: the inverse of encode. What is not one of our forms is never
 * left out: an expression becomes a Match of MATCH_UNKNOWN, a set that ringwall would not make has
 * no types (n_types 0) and no elements, a base chain of another kind has HOOK_NONE and a rule that
 * says what it is. Messages are not trusted: nothing in them leads to a crash. */

#include "ruleset/ruleset.h"

/* Reads the messages of dumps of tables, chains, sets, elements and rules, in any order; those of
 * other tables are passed over. bytes is aligned as a message is. 0, -ENOMEM, -EPROTO for what
 * could not have come from a kernel, or -EAGAIN if an element stands in a set twice: so it does
 * when the kernel enlarged the set's table while it was listed. */
int decode_ruleset(Arena *a, const void *bytes, size_t size, Ruleset **ret);

/* The same of a table that should be as `wanted`, which *ret may borrow from: a set that has the
 * same elements has them in wanted's memory. */
int decode_wanted(Arena *a, const void *bytes, size_t size, const Ruleset *wanted, Ruleset **ret);

/* The same of a part of the table: chains and sets that are not among the messages may lead to
 * those that are known, which *ret then borrows. */
int decode_part(Arena *a, const void *bytes, size_t size, const Ruleset *known, Ruleset **ret);

/* Calls handler for the name of every set of our table in a dump of sets, but for those to which
 * the kernel adds elements itself. */
int decode_set_names(const void *bytes,
                     size_t size,
                     int (*handler)(const char *name, void *userdata),
                     void *userdata);

/* Calls handler for the name, which the kernel gave it, of every set without one that a rule of our
 * table in a dump of rules looks something up in; as often as one does. */
int decode_sets_of_rules(const void *bytes,
                         size_t size,
                         int (*handler)(const char *name, void *userdata),
                         void *userdata);
