/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A Ruleset as bytes, so that a host can have at boot what was compiled when there was time. Of the
 * places in the policy, names and numbers are kept, and not the texts; what only the kernel says
 * (counters, handles, owner) is not kept. Fields, types and verdicts are written by name: a version
 * that knows more of them reads the image, too. */

#include "ruleset/pass.h"

/* The image of rs, which ruleset_verify() has passed, compiled for the given features; *ret lives
 * in a. Uses the chains' scratch. 0; -ENOMEM; -EINVAL for what was read from the kernel and is none
 * of ours. */
int ruleset_write_image(
        Arena *a, const Ruleset *rs, const KernelFeatures *features, void **ret, size_t *ret_size);

/* Any bytes are a Ruleset that ruleset_verify() passes, equal to the one that was written, or
 * -EBADMSG with the reason in d. Everything lives in a, nothing points to bytes. -ENOMEM. */
int ruleset_read_image(Arena *a,
                       const void *bytes,
                       size_t size,
                       Ruleset **ret,
                       KernelFeatures *ret_features,
                       Diag *d);
