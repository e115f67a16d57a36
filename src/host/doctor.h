/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What an operator should know of a host before ringwall guards it. Each finding says what was
 * seen, why it matters, and what to do. */

#include "host/rivals.h"
#include "host/sysctls.h"
#include "nft/ability.h"
#include "nft/routes.h"

typedef enum FindingKind {
        FINDING_PROBLEM, /* to be settled */
        FINDING_UNKNOWN, /* could not be looked at: not without root */
        FINDING_NOTE,    /* to be known */
        _FINDING_KIND_MAX,
} FindingKind;

typedef struct Finding {
        FindingKind kind;
        const char *id;   /* "rival.ufw" */
        const char *what; /* "ufw is enabled" */
        const char *seen; /* where that was seen; NULL where it says nothing more */
        const char *why;
        const char *advice;
} Finding;

typedef struct Findings {
        Finding *items; /* in the order in which they were found */
        size_t n_items;
        size_t n_kind[_FINDING_KIND_MAX];
} Findings;

const char *finding_kind_to_string(FindingKind kind); /* "problem", "unknown", "note" */

/* Each appends what it finds to ret. 0 or -ENOMEM. */
int doctor_examine_rivals(const Tree *t, const Rival *rivals, size_t n, Findings *ret);
/* error: why the kernel was not asked, as nft_link_open() or nft_probe_abilities() said; else 0. */
int doctor_examine_kernel(
        const Tree *t, const Ability *abilities, size_t n, int error, Findings *ret);
int doctor_examine_settings(const Tree *t,
                            const Sysctls *settings,
                            const HostNet *net,
                            const Rival *rivals,
                            size_t n_rivals,
                            Findings *ret);
/* What may filter before the packets reach this host. */
int doctor_examine_surroundings(const Tree *t, Findings *ret);
/* Whether the policy comes into force when the host boots. Nothing where no unit is installed: then
 * nobody knows what starts the daemon. */
int doctor_examine_boot(const Tree *t, Findings *ret);
/* Whether ringwalld runs in this network namespace. Nothing where no unit is installed, or
 * processes cannot be listed. */
int doctor_examine_daemon(const Tree *t, Findings *ret);
