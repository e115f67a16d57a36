/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the kernel's whole ruleset, every table of every program, does with every first packet that
 * arrives from outside; see world/world.h. Regions are always of packets as they were sent: what
 * rules change is kept beside them (WholeChange), so that a packet of a region can really be sent.
 *
 * Nothing is left out silently. What is not understood becomes a variable of its own, the same for
 * the same expression; what is open anew for each packet (a limit, say) makes both outcomes
 * possible; chains that only ever add refusals and are not walked are left out, which can but make
 * more seem possible. */

#include "proof/axis.h"
#include "world/world.h"

typedef enum WholeVariable {
        WHOLE_SOURCE,
        WHOLE_DESTINATION, /* as it was dialled */
        WHOLE_PROTOCOL,
        WHOLE_DESTINATION_PORT, /* bytes 2 and 3 behind IP's header, whatever the protocol */
        WHOLE_SOURCE_PORT,      /* bytes 0 and 1: of ICMP type and code */
        WHOLE_FLAGS,            /* TCP's */
        WHOLE_IN,               /* how it arrives: see whole_arrival() */
        WHOLE_OUT,              /* likewise, where routes do not tell; of what is sent, always */
        WHOLE_USER,             /* of what is sent: who owns the socket; WHOLE_NOBODY: the kernel */
        WHOLE_GROUP,
        _WHOLE_VARIABLE_MAX, /* what follows is whatever else the rules ask for */
} WholeVariable;

/* What rules changed, compared with the packet as it was sent. */
typedef struct WholeChange {
        U128 address; /* of the destination */
        uint32_t mark, ct_mark;
        uint16_t port;
        bool has_address, has_port, any_address, any_port; /* any: nobody knows which */
        bool here;                                         /* redirected to this host */
        bool any_source, any_mark, any_ct_mark, any_else;
        bool untracked, translated, done; /* done: translated, or decided that it is not */
        bool turned; /* a rule of a device sent it on by the loopback interface: it comes by that */
        bool any_link; /* the frame's header */
} WholeChange;

typedef struct WholeEnd {
        DiagramId region; /* packets that may end so */
        bool here;        /* delivered to this host; else it leaves */
        WholeChange change;
} WholeEnd;

#define WHOLE_NOBODY (UINT64_C(1) << 32)

typedef struct Whole Whole;

Whole *whole_new(const World *w, Family family);
Whole *whole_free(Whole *x);

/* Right behind whole_new(), of packets that arrive: what the rules tell apart is collected now, and
 * left at *cuts (NULL before; in a), or it is what another Whole of the same World and family left
 * there. 0 or -ENOMEM. */
typedef struct WholeCuts WholeCuts;
int whole_share(Whole *x, Arena *a, WholeCuts **cuts);

int whole_cut(Whole *x, WholeVariable variable, Range r);
/* All that was cut, and what the rules cut, becomes coordinates. */
int whole_finish(Whole *x);
int whole_error(const Whole *x);
/* Before whole_finish(): packets that come by the interface that leads back to their source, so
 * that no anti-spoofing minds them, within the limits of ringwall's own rules, and without IP's
 * options and extension headers. */
int whole_take_plain(Whole *x);

/* Before whole_finish(), and behind whole_take_plain(): packets that this host's own processes
 * send, in the place of those that arrive. They leave by any interface, as a socket may be bound to
 * one; plain ones leave by that which routes name, from an address of it. */
int whole_take_sent(Whole *x);

/* Copies of packets, and packets that rules send on past all others, matter if they leave by an
 * interface whose name is among these; NULL: by any. Those that may come back to this host always
 * do, unless whole_take_refusals() was called. */
int whole_watch(Whole *x, const RangeSet *names);
/* Before whole_walk(): what is asked for is what may be refused, and not what may come in. Then
 * chains of devices are walked, too, and copies of packets are no matter. */
void whole_take_refusals(Whole *x);

/* Which packets matter behind prerouting, given what was changed, and whether they are delivered to
 * this host. Narrows what has to be looked at. */
typedef DiagramId (*WholeCare)(void *context, const WholeChange *change, bool here);

/* How packets may end that are accepted all the way; of those that are sent, `here` is never set:
 * what is sent to this host itself comes back by the loopback interface, and is not followed. 0,
 * -E2BIG, -ENOMEM. */
int whole_walk(Whole *x, WholeCare care, void *context, const WholeEnd **ret, size_t *ret_n);

/* After it: what rules made of packets before they were routed, whoever may refuse them later; of
 * `here` nothing is said. 0, -E2BIG, -ENOMEM. */
int whole_find_arrived(Whole *x, const WholeEnd **ret, size_t *ret_n);
/* Likewise: packets that may be dropped by a rule or by a chain's policy, of those that matter. */
DiagramId whole_drops(const Whole *x);
/* Of chains of the packets' way that whole_walk() leaves out, those that may refuse some: each in
 * words, with the packets that it sees. -ENOMEM. */
typedef struct WholeRefusal {
        const char *text;
        DiagramId region;
} WholeRefusal;
int whole_find_refusals(Whole *x, Arena *a, WholeRefusal **ret, size_t *ret_n);

Diagram *whole_diagram(Whole *x);
const Axis *whole_axis(const Whole *x, unsigned int variable);
DiagramId whole_where(Whole *x, WholeVariable variable, const Range *items, size_t n);
/* First packets that there can be from outside. */
DiagramId whole_domain(Whole *x);
/* Packets that leave by one of the interfaces whose names are among these: of those that were not
 * sent elsewhere by rules. */
DiagramId whole_where_out(Whole *x, const WholeChange *change, const RangeSet *names);
DiagramId whole_where_in(Whole *x, const RangeSet *names);

/* Packets that were sent to one of this host's own addresses; to another host's, with `known` one
 * that a route leads to; and those of whole_take_plain(). */
DiagramId whole_where_local(Whole *x);
DiagramId whole_where_routed(Whole *x, bool known);
DiagramId whole_where_plain(Whole *x);
/* Where rules of policy routing leave open by which interface an address is reached, every source
 * is plain to whole_where_plain(). Whether the routes that there are lead back there, or may. */
bool whole_may_lead_back(const Whole *x, U128 source, const char *in);
/* Whether it is known where that address leads: to this host, or on. */
bool whole_leads(const Whole *x, U128 address);
/* Whether it surely is one of this host's own. */
bool whole_is_local(const Whole *x, U128 address);

/* Whether nothing can be proved, since it is not known in which order chains are called. */
bool whole_is_open(const Whole *x);
/* The interface by which packets arrive, and the link-layer address that their frames bear: of a
 * bridge its own one or that of a port. NULL past the last one. */
const WorldInterface *whole_arrival(const Whole *x, uint64_t number, const uint8_t **ret_address);

/* What the proof could not know: names of expressions, and why the order of rules is open. NULL if
 * nothing was. */
const char *whole_unknown(const Whole *x, const char *const **ret, size_t *ret_n);
/* The name of a variable that stands for something unknown; NULL for the others. */
const char *whole_variable_name(const Whole *x, unsigned int variable);

static inline void whole_freep(Whole **x) {
        (void)whole_free(*x);
}
