/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* From a Policy to the Ruleset that the kernel gets: a naive translation, then passes that each
 * keep the meaning and make it cheaper. */

#include "policy/policy.h"
#include "ruleset/ruleset.h"

/* What the kernel can do, as probed; see nft/probe.h. Zeroed, it is the oldest kernel served. */
typedef struct KernelFeatures {
        bool fib_in_filter; /* `fib ... oif` works in input and forward, not only in prerouting */
        /* IPv4's routing, too, lets this host's own addresses in from outside (accept_local). */
        bool own_source_routed;
} KernelFeatures;

typedef struct Pass {
        const char *name;
        const char *summary;
        int (*run)(Ruleset *rs);
} Pass;

/* In the order in which they run. */
extern const Pass passes[];
extern const size_t n_passes;

/* The rules exactly as POLICY.md words them, one after the other. */
int ruleset_lower(const Policy *policy, const KernelFeatures *features, Arena *a, Ruleset **ret);
/* The same with what the pass `pair` would do to most of them done at once; see lower_pairs.c. */
int ruleset_lower_paired(const Policy *policy,
                         const KernelFeatures *features,
                         Arena *a,
                         Ruleset **ret);

/* Lowers, then runs every pass and verifies after each. stop_after: a pass's name or "lower", after
 * which to stop; NULL runs all, and may take a shorter way to the same end. -ENOENT if no pass has
 * that name, -ENOMEM, or -EBADMSG with d filled if a pass broke a rule of ruleset_verify(). */
int ruleset_compile(const Policy *policy,
                    const KernelFeatures *features,
                    const char *stop_after,
                    Arena *a,
                    Ruleset **ret,
                    Diag *d);
