/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What can be asked for about bans. An act is run with all others of its turn, between bans_begin()
 * and bans_finish(), and answered after both. */

#include "daemon/bans.h"

/* What became of a request: an answer, or an error with its reason. */
typedef struct BanAnswer {
        json_t *reply;
        const char *error, *why;
} BanAnswer;

typedef struct BanAct {
        bool bans; /* it shuts somebody out */
        int (*run)(BanTurn *turn, const BanCall *call, BanAnswer *ret);
} BanAct;

/* 0; or -ENOMEM without a reason. */
int bans_refuse(BanAnswer *ret, const char *error, const char *why);

extern const BanAct bans_act_ban, bans_act_import; /* bans_shut.c */
extern const BanAct bans_act_unban;                /* bans_release.c */
