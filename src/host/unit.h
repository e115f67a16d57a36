/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What systemd makes of a unit when the host boots next, as its folders say (systemd.unit(5)):
 * nobody is asked, so that it works in a container and before systemd does. */

#include "host/tree.h"

#define UNIT_DAEMON "ringwalld.service"

typedef enum UnitStart {
        UNIT_MISSING, /* there is no such unit */
        UNIT_DISABLED,
        UNIT_MASKED,
        UNIT_ENABLED,
} UnitStart;

/* ret_path: the link by which it is enabled or masked, the unit's file where it is disabled; NULL
 * where there is none. What was done for this boot alone (/run) does not count. 0 or -ENOMEM. */
int unit_read_start(const Tree *t, const char *unit, UnitStart *ret, const char **ret_path);
