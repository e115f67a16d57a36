/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is always so, whatever the policy says: the rules and small chains that stand before every
 * section. All of these append to a chain and return 0 or -ENOMEM, unless they say otherwise. */

#include "ruleset/lower.h"

/* A rule of ours that no line of the policy stands behind; a drop is counted. NULL without memory.
 */
Rule *lower_always(Lower *l, Chain *chain, Verdict verdict, const char *comment);

/* Such a rule with one match. */
int lower_state(Lower *l, Chain *chain, uint32_t state, Verdict verdict, const char *comment);
int lower_status(
        Lower *l, Chain *chain, MatchOp op, uint32_t status, Verdict verdict, const char *comment);
int lower_value(Lower *l,
                Chain *chain,
                FieldId field,
                uint64_t value,
                Verdict verdict,
                const char *comment);
int lower_jump(Lower *l, Chain *chain, const Chain *target);
/* Adds the match to the rule; -ENOMEM if the rule is NULL, too. */
int lower_match_interface(Lower *l, Rule *rule, FieldId field, const char *name);

/* The explicit refusal at the end of a base chain. */
int lower_end(Lower *l, Chain *chain);
int lower_invalid(Lower *l, Chain *chain);
/* Accepts at once what the rules behind it would accept as established, after all else that they
 * ask; from_outside: which also ask for its source. Nothing, where that takes a look at routes. */
int lower_established(Lower *l, Chain *chain, bool from_outside);
/* Drops what belongs to a connection that was cut. */
int lower_cut(Lower *l, Chain *chain);
/* A rule for each of the loopback ranges in address[family]; out: the interface, or NULL. */
int lower_loopback_addresses(Lower *l,
                             Chain *chain,
                             const FieldId *address,
                             const char *out,
                             VerdictKind verdict,
                             const char *comment);
/* Drops what bears a loopback address as source, also one of IPv4 that is mapped into IPv6. */
int lower_loopback_sources(Lower *l, Chain *chain);
int lower_own_source(Lower *l, Chain *chain);
/* unrouted: the chain that lower_unrouted() fills. */
int lower_antispoof(Lower *l, Chain *chain, const Chain *unrouted);
int lower_unrouted(Lower *l, Chain *chain);
int lower_related(Lower *l, Chain *chain);

/* The sets that ruleset_set_bridges() fills; before the other two. */
int lower_bridge_sets(Lower *l);
int lower_bridge_frames(Lower *l, Chain *chain, const Chain *bridged);
int lower_bridged(Lower *l, Chain *chain);
