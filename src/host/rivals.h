/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Other programs that filter packets on this host, or write rules of their own, found by their
 * files, units and processes. What they have written into the kernel is not looked at here. */

#include "host/process.h"

typedef enum RivalKind {
        RIVAL_MANAGER, /* wants to decide what may pass, as ringwall does: two of them disagree */
        RIVAL_WRITER,  /* adds rules for its own networks, or bans; can live beside ringwall */
        _RIVAL_KIND_MAX,
} RivalKind;

typedef enum RivalState {
        RIVAL_ABSENT,
        RIVAL_INSTALLED, /* and nothing more */
        RIVAL_ENABLED,   /* comes at the next boot, and may have its rules in the kernel now */
        RIVAL_ACTIVE,    /* it runs, or its rules are there */
        RIVAL_UNKNOWN,   /* it may not be looked at: not without root */
        _RIVAL_STATE_MAX,
} RivalState;

typedef struct Rival {
        const char *id;   /* "ufw"; borrowed, like name, why and advice */
        const char *name; /* as its people write it */
        RivalKind kind;
        RivalState state;
        const char *how;    /* what shows its state: "ENABLED=yes in /etc/ufw/ufw.conf" */
        const char *why;    /* what it means beside ringwall */
        const char *advice; /* what to do */
} Rival;

/* All of the table, absent ones too, in its order. Processes count if they are root's and in this
 * network namespace. 0, -ENOMEM, or why /proc cannot be read. */
int rivals_read(const Tree *t, Rival **ret, size_t *ret_n);

const char *rival_kind_to_string(RivalKind kind);
const char *rival_state_to_string(RivalState state);
