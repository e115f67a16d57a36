/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is in force here, with the help of who put it in force: what ringwalld says that the kernel
 * holds need not be listed again, which takes long for large sets. It is believed where it looked
 * in the generation of the kernel's rules that is read, at samples of these sets besides; what it
 * put in force is in its folder, which root can read. */

#include "nft/apply.h"

/* As kernel_read(), of the table of this network namespace; runtime_dir as of remote_call(). What
 * is read is the same with ringwalld and without. An ExitCode. */
int in_force_read(NftLink *link, const char *runtime_dir, Arena *a, Ruleset **ret);
