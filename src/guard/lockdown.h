/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is in force when nothing that was confirmed can be: closed, but for those who may come to
 * the rescue, and sshd alone. */

#include "guard/store.h"
#include "ruleset/pass.h"

#define LOCKDOWN_SSH_PORT 22 /* where no sshd is found listening */
#define LOCKDOWN_PORTS_MAX 16

/* Who may: the sealed copy's settings.rescue if it can be read, else the peers that last confirmed.
 * Where: sshd's listeners, now. *ret lives in a. 0 or -ENOMEM; -EBADMSG: our own mistake. */
int lockdown_make(Store *s, const KernelFeatures *features, Arena *a, Ruleset **ret, Diag *d);

/* The same from what is known. ports: n_ports of TCP. */
int lockdown_compile(const ZonePart *rescue,
                     size_t n_rescue,
                     const uint16_t *ports,
                     size_t n_ports,
                     const KernelFeatures *features,
                     Arena *a,
                     Ruleset **ret,
                     Diag *d);
