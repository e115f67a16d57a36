/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a policy says besides its rules (settings that are no rule of the kernel's, bans), in its
 * own words, and what of that is another in another one. */

#include "guard/store.h"

typedef struct StoreChange {
        const char *section, *key;  /* "settings", "confirm" */
        const char *before, *after; /* the value; NULL: there is none, as where nothing is said */
} StoreChange;

/* By section and key; before NULL: the policy that says nothing of it, whose values are
 * no texts. Of a webhook no more is told than its host, and that it is another one. Lives in a. 0
 * or -ENOMEM. */
int store_compare(Arena *a,
                  const StoreSettings *before,
                  const StoreSettings *after,
                  StoreChange **ret,
                  size_t *ret_n);
