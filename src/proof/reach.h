/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Who gets where: for a place of this host's at which connections can end, which of some groups of
 * clients all tables together let get there. About first packets as somebody sends them who wants
 * an answer: they come by the interface that leads back to their source, stay within the limits of
 * ringwall's own rules, and are none of the essentials (DHCP, neighbour discovery). "Nobody" is
 * proved for all of those; of "some" and "all" a packet shows it, or the answer is not sure. */

#include "policy/policy.h"
#include "world/world.h"

#define REACH_CLIENTS_MAX 1024

/* Who is meant: from, without except; or whoever sends to a loopback address from outside. */
typedef struct ReachClients {
        const ZoneExpression *from, *except; /* NULL: everybody; nobody */
        bool to_loopback;                    /* else what is sent to one does not count */
} ReachClients;

typedef enum ReachKind {
        REACH_SOCKET,     /* it is delivered to a socket of this host's */
        REACH_TRANSLATED, /* its destination is translated, and it leaves */
        REACH_ROUTED,     /* it is sent to another host's address itself, and leaves */
} ReachKind;

/* Where connections end. */
typedef struct ReachPlace {
        ReachKind kind;
        uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP */
        bool any_address;
        U128 address;          /* of the socket, or of the other host */
        uint16_t port;         /* of a translation 0: the one that was dialled */
        const char *interface; /* that a socket is bound to; or NULL */
        /* Of a translation: what was dialled. */
        uint16_t low, high;
        bool has_dialled;
        U128 dialled;
} ReachPlace;

typedef enum ReachCount {
        REACH_NOBODY,
        REACH_SOME,
        REACH_ALL, /* of those that there can be */
} ReachCount;

typedef struct ReachAnswer {
        ReachCount count;
        bool absent;  /* there can be no such clients here */
        bool unsure;  /* it is not understood whether they really get there */
        bool covered; /* of some: they are among others of which all get there */
} ReachAnswer;

typedef struct Reach Reach;

/* What rules translate to other hosts' addresses, whoever may be let through there: by protocol,
 * dialled port and target. any_address: to where is not known. None where the rules are too
 * complex, which reach_open() finds as well. 0 or -ENOMEM. */
int reach_find_translations(const Policy *policy,
                            const World *w,
                            Family family,
                            Arena *a,
                            const ReachPlace **ret,
                            size_t *ret_n);

/* Looks at all packets of a family; what is asked later must be among the places and the clients
 * (at most REACH_CLIENTS_MAX). The policy names the networks of containers and VMs. Rules that are
 * too complex are no error: nothing is sure then, see reach_open_ends(). 0 or -ENOMEM. */
int reach_open(const Policy *policy,
               const World *w,
               Family family,
               const ReachPlace *places,
               size_t n_places,
               const ReachClients *clients,
               size_t n_clients,
               Arena *a,
               Reach **ret);
Reach *reach_close(Reach *x); /* accepts NULL, returns NULL */

/* Who gets to at least one of the places. ret: an answer for each of the clients; those that are
 * not wanted (NULL: all are) are left alone. 0 or -ENOMEM. */
int reach_ask(Reach *x, const ReachPlace *places, size_t n, const bool *wanted, ReachAnswer *ret);
/* One packet of these clients that gets there, in words; NULL if none was found. 0 or -ENOMEM. */
int reach_show(Reach *x, const ReachPlace *places, size_t n, size_t clients, const char **ret);

/* After all that was asked: what answers that are not sure hang on; none if all are. ret_any: so
 * does every answer of this family. 0 or -ENOMEM. */
int reach_open_ends(Reach *x, bool *ret_any, const char ***ret, size_t *ret_n);

static inline void reach_closep(Reach **x) {
        (void)reach_close(*x);
}
