/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A packet as the evaluator sees it: which fields it has, and their values. */

#include "base/address.h"
#include "ruleset/ruleset.h"

typedef struct Packet {
        U128 values[_FIELD_MAX];
        bool present[_FIELD_MAX];
} Packet;

/* What leads back to the packet's source. */
typedef enum SourceRoute {
        SOURCE_ROUTED,    /* some interface */
        SOURCE_ELSEWHERE, /* some interface, but not the one that it came in by */
        SOURCE_UNROUTED,  /* none */
        SOURCE_LOCAL,     /* it is this host's own address */
} SourceRoute;

/* How a person describes a packet; packet_init() makes the fields of it. */
typedef struct PacketQuestion {
        Hook hook;
        Family family;
        const char *in, *out; /* interfaces; NULL: one that no policy names */
        U128 source, destination;
        uint8_t protocol; /* IANA's number */
        uint16_t source_port, destination_port;
        uint8_t icmp_type;
        uint8_t hop_limit; /* 0 stands for 64 */
        uint32_t ct_state; /* one of CT_STATE_ */
        uint32_t ct_mark;
        bool expected; /* announced by a protocol helper */
        /* Of HOOK_OUTPUT: who owns the socket. Absent: the kernel, or whoever no rule asks for. */
        bool has_user, has_group;
        uint32_t user, group;
        uint64_t time; /* nanoseconds since 1970; 0: before every rule's end */
        SourceRoute source_route;
        /* Set if the kernel translated the destination: what the client dialled. `destination` is
         * where the packet goes now. */
        bool translated;
        U128 dialled;
        uint16_t dialled_port;
        /* The destination in the frame's header; zero if the frame is addressed to this host. */
        U128 ether_destination;
} PacketQuestion;

void packet_init(Packet *p, const PacketQuestion *q);

bool protocol_has_ports(uint8_t protocol) _const_;

typedef struct Step {
        const Chain *chain;
        const Rule *rule; /* that matched; NULL: the chain's policy */
        const Element
                *element; /* of a map that gave the verdict, or of the last set that matched */
} Step;

typedef struct Evaluation {
        VerdictKind verdict; /* VERDICT_ACCEPT, _DROP, _REJECT or _REJECT_RESET */
        Step *steps;         /* every rule that matched, in order; the last one decided */
        size_t n_steps;
        bool unknown; /* a rule that is not ours was met: the verdict may differ in the kernel */
        bool limited; /* allowed as long as a limit of the deciding rule is not reached */
} Evaluation;

/* The hooks through which a packet goes to and from the one that it is asked about; ended by
 * HOOK_NONE. */
const Hook *hook_way(Hook hook) _const_;

/* Whether the match holds for the packet. */
bool packet_matches(const Packet *p, const Match *m);

/* Sends the packet through the base chains of the hook, and of those before and behind it on the
 * same way, in the order of their priority. A hook without a base chain accepts. Steps are kept in
 * the arena. 0 or -ENOMEM. */
int ruleset_eval(const Ruleset *rs, Arena *a, Hook hook, const Packet *p, Evaluation *ret);

/* The place that decided: the last one on the way that has something to tell; or NULL. */
const Origin *evaluation_origin(const Evaluation *e);

/* "tcp from 192.0.2.1 to port 22 in eth0"; in, out: the interfaces' numbers. */
void question_describe(const PacketQuestion *q, U128 in, U128 out, FILE *f);

/* Of a first packet to this host itself: if a chain of ours sends the connection elsewhere, makes q
 * the packet that the forward hook sees, and returns 1. Else 0, or -ENOMEM. in: the number of the
 * interface on which it arrives; NULL: q->in tells. */
int ruleset_translate(const Ruleset *rs, const U128 *in, PacketQuestion *q);
