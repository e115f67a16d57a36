/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a copy in the store is worth on this kernel, and to this version of ringwall: what was
 * compiled when it was made, or its texts, compiled anew. */

#include "guard/store.h"
#include "ruleset/pass.h"

/* The Ruleset of a copy. Its image, or, if another version of ringwall compiled that, or it does
 * without something that this kernel needs, its texts; d then warns of it. *ret lives in a, and
 * needs the content no longer. 0; -EBADMSG with the reason in d: the copy is of no use; -ENOMEM. */
int copy_read(const StoreContent *content,
              const KernelFeatures *features,
              Arena *a,
              Ruleset **ret,
              Diag *d);

/* The same from its texts at any rate; why: what speaks against the image, for people. Users and
 * groups are the numbers that they were, connected zones the networks of this moment. The policy's
 * expectations are checked again. */
int copy_compile(const StoreContent *content,
                 const KernelFeatures *features,
                 const char *why,
                 Arena *a,
                 Ruleset **ret,
                 Diag *d);
