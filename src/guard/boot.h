/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Which boot this is. */

#include "guard/confirm.h"

/* The kernel's boot id, and when process 1 started: a container that restarts keeps the former.
 * 0, or why /proc cannot be read. */
int boot_identify(char ret[CONFIRM_BOOT_MAX]);

/* All three clocks; boot is borrowed. */
ConfirmNow boot_now(const char *boot);
