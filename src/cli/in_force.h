/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is in force here, with the help of who put it in force: what ringwalld says that the kernel
 * holds need not be listed again, which takes long for large sets. It is believed where it looked
 * in the generation of the kernel's rules that is read, at samples of these sets besides; what it
 * put in force is in its folder, which root can read. */

#include "guard/store.h"
#include "nft/apply.h"

typedef struct InForce {
        Ruleset *ruleset; /* the table of this network namespace */
        /* What the policy that ringwalld has put in force says besides its rules; NULL: there is
         * none, or nobody knows. */
        const StoreSettings *settings;
        bool has_daemon; /* of this network namespace */
} InForce;

/* The ruleset as kernel_read(), which is the same with ringwalld and without; runtime_dir as of
 * remote_call(). An ExitCode. */
int in_force_read(NftLink *link, const char *runtime_dir, Arena *a, InForce *ret);
