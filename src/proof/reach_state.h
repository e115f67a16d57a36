/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of the question who gets where share. */

#include "proof/reach.h"
#include "proof/verify_state.h"

#define REACH_PROTOCOLS 3

/* What ends at ports that are listened at, from one to another: asked for one after the other, each
 * needs to be looked for among these few alone. */
typedef struct ReachWindow {
        uint16_t low, high; /* high 0: there is none */
        DiagramId *regions; /* of each end */
        DiagramId drops;
} ReachWindow;

struct Reach {
        Verify v;
        const ReachPlace *places;
        size_t n_places;
        const ReachClients *clients;
        size_t n_clients;
        bool complex; /* nothing could be decided */
        const WholeEnd *ends;
        size_t n_ends;
        DiagramId begin, sent, to_loopback; /* any first packet that is meant; to elsewhere than
                                             * loopback; to there */
        DiagramId listened, attached;       /* what is looked at in input, and in forward */
        DiagramId *who;                     /* each group of clients' packets */
        DiagramId *sources;                 /* and their addresses */
        uint16_t *ports;                    /* at which something listens: ascending */
        size_t n_ports;
        ReachWindow window;
        VerifyAnswer
                reasons; /* what answers that are not sure hang on; nothing else of it is used */
        DiagramId may, sure; /* of the places that are asked about */
};

extern const Range reach_loopback[_FAMILY_MAX];
extern const uint8_t reach_protocols[REACH_PROTOCOLS];

/* What all questions tell apart, before whole_finish(); and the clients' packets, after it. 0,
 * -ENOMEM, -E2BIG. */
int reach_cut(Reach *x);
int reach_find_clients(Reach *x);
DiagramId reach_where_protocol(Reach *x, uint8_t proto);
/* How a connection begins: SYN, and a source port that can be answered. */
DiagramId reach_where_begin(Reach *x);
DiagramId reach_where_clients(Reach *x, const ReachClients *c);
/* The kernel forwards nothing from a link-local address of IPv6's. */
DiagramId reach_where_forwarded(Reach *x, DiagramId region);
/* x->listened. 0 or -ENOMEM. */
int reach_find_listened(Reach *x);
/* x->may and x->sure: of all the places together. */
int reach_settle(Reach *x, const ReachPlace *places, size_t n);
bool reach_is_loopback(Family family, U128 address);
/* One of this host's, or of its loopback network's. */
bool reach_is_own(const Reach *x, U128 address);
