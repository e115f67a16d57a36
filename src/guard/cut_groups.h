/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Connections by what they are about and whose they are: hundreds of one client's are one line. */

#include "guard/cut.h"

#define CUT_GROUPS_MAX 65536 /* different ones that are kept; connections beyond are counted */

typedef struct CutGroup {
        CutWay way;
        Family family;
        uint8_t protocol;
        uint16_t port; /* that was dialled; of ICMP and ICMPv6 the type */
        U128 source;   /* 0 of what this host opened */
        U128 dialled;  /* 0 of what ends at this host */
        bool is_mine;  /* by one of them whoever asks came */
        size_t n;      /* connections */
} CutGroup;

typedef struct CutGroups {
        CutGroup *items; /* owned; the largest first once cut_groups_finish() was called */
        size_t n_items, room;
        size_t n;         /* connections in all */
        size_t n_beyond;  /* of these, in no group */
        size_t n_unknown; /* beside them: those that are left alone */
} CutGroups;

/* mine: the connection is the one by which whoever asks came. 0 or -ENOMEM. */
int cut_groups_add(CutGroups *g, const Connection *c, CutWay way, bool is_mine);
/* Sorts: the caller's own connection, then the largest groups first. */
void cut_groups_finish(CutGroups *g);
void cut_groups_done(CutGroups *g);
