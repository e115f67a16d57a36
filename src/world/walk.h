/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What becomes of one packet: a plain register machine that runs the kernel's expressions one after
 * the other, hook by hook as the kernel does (net/netfilter/nf_tables_core.c, nf_nat_core.c,
 * net/ipv4/route.c, net/ipv6/ip6_input.c), over all tables. It shares nothing with the proof but
 * the World, so that each can be checked with the other.
 *
 * What a rule does may be open: a limit, an element that times out, an expression that is not
 * understood, the order of two tables' chains of one priority. Every such choice is tried both
 * ways, up to WORLD_RUNS_MAX ways in all. By which port of its bridge a frame comes or leaves is
 * not asked: what chains of a port or of bridges make of it is then open. */

#include "world/world.h"

#define WORLD_PACKET_MAX 512
#define WORLD_RUNS_MAX 2048
#define WORLD_OUTCOMES_MAX 32 /* different ones that are kept */

typedef enum WorldRouting {
        WORLD_ROUTED_BY_TABLES, /* by the World's addresses and routes */
        WORLD_ROUTED_HERE,      /* it is for this host, whatever they say */
        WORLD_ROUTED_ON,        /* it is forwarded by `out` */
} WorldRouting;

typedef enum WorldState {
        WORLD_STATE_FIRST, /* what conntrack makes of a first packet: new, invalid or untracked */
        WORLD_STATE_NEW,
        WORLD_STATE_ESTABLISHED,
        WORLD_STATE_RELATED,
        WORLD_STATE_INVALID,
        WORLD_STATE_UNTRACKED,
} WorldState;

/* A packet, and how it comes. All zero but for the bytes is a first packet sent by the host. */
typedef struct WorldPacket {
        const char *in;  /* the interface that it arrives by; NULL: this host sends it */
        const char *out; /* where it leaves, if that shall not be asked of the routes; or NULL */
        WorldRouting routing;
        bool bridged;  /* from port to port of the bridge `in`: straight to the forward hook */
        bool has_link; /* `link` is its frame's header */
        uint8_t link[14];
        uint8_t bytes[WORLD_PACKET_MAX]; /* from IP's header on; checksums are not looked at */
        size_t size;
        uint8_t type; /* PACKET_HOST, PACKET_BROADCAST, ...: whom the frame is addressed to */
        uint32_t mark;
        WorldState state;
        uint32_t ct_mark, ct_status;
        bool reply;
        /* Of WORLD_STATE_ESTABLISHED and _RELATED: the connection is one whose destination is
         * translated, to that. */
        bool translated;
        U128 translated_to;
        uint16_t translated_port;
        bool has_owner;
        uint32_t uid, gid;
        uint64_t time;      /* nanoseconds since 1970; 0: not known */
        bool within_limits; /* no limit of ringwall's own rules is reached */
} WorldPacket;

/* What a packet says of itself. Ports and ICMP's type are looked at where the protocol has them. */
typedef struct WorldFields {
        Family family;
        U128 source, destination;
        uint8_t protocol;
        uint16_t source_port, destination_port;
        uint8_t icmp_type, icmp_code;
        uint8_t tcp_flags; /* 0: SYN, of a connection that begins */
        uint8_t hop_limit; /* 0: 64 */
        uint8_t dscp;
} WorldFields;

/* Fills in the bytes; the frame's header, too, of what arrives, with addresses that mean nothing.
 */
void world_packet_fill(WorldPacket *p, const WorldFields *f);

typedef enum WorldWhere {
        WORLD_DROPPED,   /* by a rule, or by the policy of a chain */
        WORLD_REFUSED,   /* by the kernel itself: no route, an address that nobody may have, ... */
        WORLD_DELIVERED, /* to this host */
        WORLD_LEFT,      /* by `out` */
} WorldWhere;

typedef struct WorldOutcome {
        WorldWhere where;
        const char *out; /* of WORLD_LEFT, or NULL if it is not known */
        U128 source, destination;
        uint16_t source_port, destination_port; /* 0 where the protocol has none */
        uint32_t mark;
        bool unknown;  /* something that is not understood had its part in it */
        bool doubtful; /* which of the ways a packet takes hangs on what is not understood */
        bool sent_on;  /* by a rule of a device, past all that would come */
} WorldOutcome;

/* A rule that did something, or a chain's policy (rule NULL). */
typedef struct WorldStep {
        const WorldChain *chain;
        const WorldRule *rule;
        WorldVerdict verdict;
        const WorldNat *nat; /* what it translates; or NULL */
} WorldStep;

/* Outcomes are different ones in the order in which they were found; the first is the plain one, of
 * a packet within all limits, with all elements still there. `steps` is its way. Borrowed from the
 * walker, until the next walk. */
typedef struct WorldWalk {
        const WorldOutcome *outcomes;
        size_t n_outcomes;
        const WorldStep *steps;
        size_t n_steps;
        bool may_pass, may_drop;
        bool incomplete; /* there are more ways than were tried: anything may be */
} WorldWalk;

/* An outcome that lets the packet through for sure, or in some state of what counts and times out;
 * NULL if there is none. here: to this host, too. */
const WorldOutcome *world_walk_passing(const WorldWalk *w, bool here);

typedef struct WorldWalker WorldWalker;

/* The World must outlive the walker. 0 or -ENOMEM. */
int world_walker_new(const World *w, WorldWalker **ret);
WorldWalker *world_walker_free(WorldWalker *x); /* accepts NULL, returns NULL */

/* 0; -EINVAL for bytes that are no IP packet, or an interface that the World does not have; -ELOOP
 * for rules that no kernel takes; -ENOMEM. */
int world_walk(WorldWalker *x, const WorldPacket *p, WorldWalk *ret);

static inline void world_walker_freep(WorldWalker **x) {
        (void)world_walker_free(*x);
}
