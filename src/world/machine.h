/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One packet on one way through the hooks: what the files of the evaluator share; see walk.h. */

#include "world/walk.h"

#define CHOICES_MAX 512

/* What a way depends on: which of n was taken. */
typedef struct Choice {
        uint16_t taken, n;
} Choice;

typedef struct Choices {
        Choice list[CHOICES_MAX];
        size_t n;    /* that were met so far on any way with this beginning */
        bool missed; /* there was no room for one */
} Choices;

typedef enum Tracking {
        NOT_TRACKED_YET, /* before conntrack, or it is invalid */
        TRACKED,
        UNTRACKED,
} Tracking;

typedef struct Tuple {
        uint8_t source[16], destination[16];
        uint8_t source_port[2], destination_port[2]; /* network order; of ICMP: id, type and code */
} Tuple;

typedef struct Run {
        const World *world;
        const WorldPacket *packet;
        Choices *choices;
        size_t next_choice;
        Arena *arena; /* of the steps */
        WorldStep *steps;
        size_t n_steps;
        size_t n_rules; /* that were run, against loops */
        const WorldRule *rule;
        int error;

        /* the packet */
        Family family;
        uint8_t bytes[WORLD_PACKET_MAX];
        size_t size;
        bool has_transport;
        uint8_t protocol;
        size_t transport; /* offset */
        const WorldInterface *in, *out;
        bool out_unknown;
        uint32_t mark;
        bool mark_unknown;
        bool has_link;
        uint8_t link[14];

        /* its connection */
        Tracking tracking;
        uint32_t state, status, ct_mark;
        bool ct_mark_unknown, destination_done, source_done;
        bool has_template; /* see world_makes_template() */
        Tuple original;

        /* where it is */
        int hook;   /* NF_INET_ */
        uint8_t pf; /* NFPROTO_ */
        bool unknown, doubtful;
        /* br_netfilter has seen it translated: it is routed as if it came by where it leaves */
        bool moved_on_bridge;
        bool sent_on;   /* by a rule, by `out`, past all that would come */
        bool new_frame; /* likewise, in a frame of its own to a neighbour */

        uint8_t registers[WORLD_REGISTERS * 4];
        bool tainted[WORLD_REGISTERS]; /* holds what is not known */
} Run;

/* Which of n is taken on this way: 0 first. */
unsigned int run_choose(Run *r, unsigned int n);

/* Registers, by slot. What does not fill the last one is padded with zeros. */
uint8_t *run_register(Run *r, int slot);
void run_store(Run *r, int slot, const void *bytes, size_t size);
/* What they hold is not known. */
void run_taint(Run *r, int slot, size_t size);
bool run_is_tainted(const Run *r, int slot, size_t size);
/* A test of what is not known. */
bool run_guess(Run *r);

/* Loads; false: the rule is left. */
bool run_load_payload(Run *r, const WorldExpr *x);
bool run_load_meta(Run *r, const WorldExpr *x);
bool run_load_ct(Run *r, const WorldExpr *x);
bool run_load_fib(Run *r, const WorldExpr *x);
bool run_load_exthdr(Run *r, const WorldExpr *x);

/* The bytes of the packet's own addresses and ports; NULL where it has none. */
uint8_t *run_address(Run *r, bool source);
uint8_t *run_port(Run *r, bool source);
static inline size_t run_address_size(const Run *r) {
        return r->family == FAMILY_IPV4 ? 4 : 16;
}
U128 run_address_value(const Run *r, bool source);
uint16_t run_port_value(const Run *r, bool source);

/* Finds protocol and transport header; false if it is no IP packet. */
bool run_parse(Run *r);
/* What conntrack sees: addresses and ports. */
Tuple run_tuple(Run *r);
/* The state bit (NF_CT_STATE_BIT) that conntrack gives a first packet; 0: it is untracked. */
uint32_t run_first_state(const Run *r);

/* Runs a rule's expressions. WORLD_CONTINUE: on to the next rule. */
WorldVerdict run_rule(Run *r, const WorldRule *rule);
/* Runs a base chain: what becomes of the packet there. */
WorldVerdictKind run_chain(Run *r, const WorldChain *base);
bool run_add_step(Run *r,
                  const WorldChain *chain,
                  const WorldRule *rule,
                  WorldVerdict v,
                  const WorldNat *nat);

/* Translates as the rule says. What it returns is the verdict. */
WorldVerdict run_nat(Run *r, const WorldNat *nat);

/* --- routing --- */

typedef enum Decision {
        DECIDED_REFUSED,
        DECIDED_HERE,
        DECIDED_ON, /* by run->out */
} Decision;

/* What a route is looked for with. */
typedef struct RunFlow {
        U128 to, from;
        const WorldInterface *in; /* NULL: this host sends it */
        uint32_t mark;
        bool mark_unknown, from_unknown;
        int device; /* of IPv6's link-local addresses: the interface that it has to be; or 0 */
} RunFlow;

/* NULL: there is none, or none is wanted. */
const WorldRoute *run_find_route(Run *r, const RunFlow *f);
/* The longest prefix in a table. */
const WorldRoute *
world_find_in_table(const World *w, Family family, U128 address, uint32_t table, int device);

/* Whether IPv6 refuses the packet before any hook but ingress sees it. */
bool run_is_refused_at_once(const Run *r);
Decision run_route_input(Run *r);
/* What the kernel asks of a packet before it forwards it. */
bool run_may_be_forwarded(const Run *r);
/* Where what the host sends leaves: sets run->out. DECIDED_REFUSED without a route. */
Decision run_route_output(Run *r);
/* RTN_ of an address, as `fib type` says. device: NULL, or the one it has to be of. */
uint32_t run_address_type(Run *r, const WorldExpr *x, U128 address, const WorldInterface *device);
/* The interface behind which the address lies, for `fib oif`; NULL: none, or not for `device`. */
const WorldInterface *
run_fib_interface(Run *r, const WorldExpr *x, U128 address, const WorldInterface *device);
const WorldInterface *world_find_interface(const World *w, const char *name);
const WorldInterface *world_interface_at(const World *w, int index);
/* Where `redirect` sends to, and what `masquerade` lets come from; false: the packet is dropped. */
bool world_redirect_address(const World *w, int index, Family family, U128 dialled, U128 *ret);
bool world_masquerade_address(const World *w, int index, Family family, U128 to, U128 *ret);
