/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What was refused lately, alike ones together. Whoever can send packets from many addresses
 * decides what is put in here, so it holds a number of groups and no more: the one that was seen
 * longest ago makes room. Of a network from which many sources are refused in the same way the
 * further ones are counted together. */

#include "guard/refusal.h"

#define DROPS_MAX ((size_t)1024) /* groups */
#define DROPS_SOURCES 8 /* of a network (IPv4 /24, IPv6 /64) that have a group of their own */

/* One packet that was refused, and then a group of them: what it holds of the latest. */
typedef struct Drop {
        RefusalKind kind;
        SectionId section;
        Family family;
        U128 source;      /* of a network its first address */
        uint8_t prefix;   /* the network's length; an address has 32 or 128 */
        U128 destination; /* inbound: the latest; else the group's own */
        uint8_t protocol;
        bool has_port; /* or, of ICMP, a type, which is in port then */
        uint16_t port;
        bool has_user;
        uint32_t user;
        bool translated; /* the destination was: what was dialled is above if the kernel told */
        bool has_dialled;
        U128 target; /* where it ends */
        uint16_t target_port;
        char in[LOG_NAME_SIZE], out[LOG_NAME_SIZE]; /* or "" */
        char by[REFUSAL_TEXT_MAX];
        /* Of a group. */
        uint64_t count;  /* packets that were shown: the rules' counters count all */
        uint64_t number; /* grows with each packet of any group */
        uint64_t first_usec, last_usec;
} Drop;

typedef struct Drops Drops;

/* max: groups. NULL without memory. */
Drops *drops_new(size_t max);
Drops *drops_free(Drops *d); /* accepts NULL, returns NULL */

/* The packet that the kernel showed, and why it was refused. */
Drop drop_make(const LogLine *line, const Refusal *refusal);

/* Counts it in its group. */
void drops_add(Drops *d, const Drop *drop, uint64_t now_usec);

/* The groups that have changed since the one of that number, the latest first: calls take until it
 * returns false. */
void drops_each(const Drops *d, uint64_t since, bool (*take)(const Drop *drop, void *to), void *to);

/* The number of the latest packet; 0 before the first. */
uint64_t drops_number(const Drops *d);
/* Groups that had to make room. */
uint64_t drops_forgotten(const Drops *d);

static inline void drops_freep(Drops **d) {
        (void)drops_free(*d);
}
