/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Which boot this is. */

#include "guard/confirm.h"
#include "host/tree.h"

/* The kernel's boot id, and when process 1 started: a container that restarts keeps the former.
 * 0, -ENOMEM, or why /proc cannot be read. */
int boot_identify(const Tree *t, char ret[CONFIRM_BOOT_MAX]);

/* The clocks; boot is borrowed. */
ConfirmNow boot_now(const char *boot);
