/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is in force when nothing that was confirmed can be: closed, but for those who may come to
 * the rescue, and sshd alone. */

#include "guard/store.h"
#include "ruleset/pass.h"

#define LOCKDOWN_SSH_PORT 22 /* where no other is known */
#define LOCKDOWN_PORTS_MAX 16
#define LOCKDOWN_MARK UINT32_C(0x10000000) /* the default of settings.mark */

/* Who may: the sealed copy's settings.rescue if it can be read, else the peers that last confirmed.
 * Where: sshd's listeners now, and the ports at which it answered those who last confirmed: at boot
 * it does not listen yet. s: NULL if it cannot be read. *ret lives in a. 0 or -ENOMEM; -EBADMSG:
 * our own mistake. */
int lockdown_make(Store *s, const KernelFeatures *features, Arena *a, Ruleset **ret, Diag *d);

/* Whether anybody may come in by such rules; else a console alone is left. */
bool lockdown_admits(const Ruleset *rs);

/* Writes it down as it would be now, for the time when this program cannot run. What fails is a
 * warning in d. */
void lockdown_write(Store *s, const KernelFeatures *features, Diag *d);

/* The same from what is known. ports: n_ports of TCP. mark: the bit that tells a cut connection. */
int lockdown_compile(const ZonePart *rescue,
                     size_t n_rescue,
                     const uint16_t *ports,
                     size_t n_ports,
                     uint32_t mark,
                     const KernelFeatures *features,
                     Arena *a,
                     Ruleset **ret,
                     Diag *d);
