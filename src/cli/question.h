/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* `explain`'s question: a connection in words. ringwall(1) has the grammar. */

#include "base/diag.h"
#include "ruleset/packet.h"

#define QUESTION_MAX 512 /* bytes */

typedef struct Question {
        PacketQuestion packet;
        bool bridged;         /* a frame between two ports of the bridge `in` */
        bool has_destination; /* an address was named */
        bool forwarded;       /* the policy itself sends it elsewhere */
} Question;

/* Reads the question; strings in ret point into the arena. -EBADMSG with the reason in d. */
int question_parse(Arena *a, const char *text, Question *ret, Diag *d);
