/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Connections that are open although the policy would not admit them as new ones: they were made
 * under another policy, before ringwall came, or while somebody had changed the rules. */

#include "nft/conntrack.h"
#include "nft/routes.h"
#include "nft/sockets.h"
#include "ruleset/packet.h"

/* The host as it matters to a connection. */
typedef struct CutHost {
        const HostNet *net;
        Arena *scratch; /* emptied for each connection */
        /* Whether rules ask who owns a socket. The user of a TCP connection is known while its
         * socket is there; others, and groups, nobody can tell of an open connection. */
        bool asks_user, asks_group;
        const HostSockets *sockets;   /* connected ones; NULL: none is known */
        const HostSockets *listening; /* likewise of TCP */
} CutHost;

typedef enum CutVerdict {
        CUT_NO, /* the policy would admit it, or it is none of its business */
        CUT_YES,
        CUT_UNKNOWN, /* it depends on what nobody can tell: left alone */
        _CUT_VERDICT_MAX,
} CutVerdict;

/* Decides for one connection, evaluating its first packet as if it came now. 0 or -ENOMEM. */
int cut_decide(const Ruleset *rs, const CutHost *host, const Connection *c, CutVerdict *ret);

/* Which way a connection goes, from this host's point of view. */
typedef enum CutWay {
        CUT_WAY_IN,
        CUT_WAY_THROUGH,
        CUT_WAY_OUT,
        _CUT_WAY_MAX,
} CutWay;

typedef struct CutCounts {
        size_t n_seen, n_cut, n_unknown;
        size_t n_failed;  /* that are not admitted, and could not be marked */
        int error;        /* why the last of them could not */
        bool is_fleeting; /* entries came and went all the time: some may not have been looked at */
} CutCounts;

/* Calls take for each connection that cut_all() would cut, CUT_YES, or leave alone for want of
 * knowledge, CUT_UNKNOWN, and changes nothing. end_usec: of cpu_time_usec(), when it is given up,
 * or 0. 0; what take returned if negative; -EINTR if entries came and went all the time, so that
 * some may be missing; -ETIMEDOUT; another negative errno if they could not all be looked at. */
typedef int (*CutTake)(const Connection *c, CutWay way, CutVerdict verdict, void *to);
int cut_list(const Ruleset *rs, uint32_t mark, uint64_t end_usec, CutTake take, void *to);

/* Marks all that rs does not admit, with the bit that its rules test, until none is left: other
 * programs may write marks, too. 0; a negative errno if not all could be looked at. Counts are of
 * the last round but for n_cut. */
int cut_all(const Ruleset *rs, uint32_t mark, CutCounts *ret);
/* The same of those alone that conntrack knows only from amidst: it met them after all others were
 * cut, with the first packet after a silence. */
int cut_amidst(const Ruleset *rs, uint32_t mark, CutCounts *ret);
