/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Ports of this host that a container engine's rules send on to a container, as Docker, Podman and
 * CNI write them: a rule that asks for one protocol and port, and a destination. What they let in
 * or refuse is not asked: it is the list of what was published, not of what is reachable. */

#include "world/world.h"

#define PUBLISHED_MAX 1024

typedef struct Published {
        const char *engine;   /* "Docker" */
        uint8_t proto;        /* IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP */
        uint16_t port, inner; /* inner: the port of the container */
        bool loopback;        /* at an address of 127.0.0.0/8 or ::1 alone */
} Published;

/* In the order of the rules, each once, PUBLISHED_MAX at most; in the arena. 0 or -ENOMEM. */
int published_find(const World *w, Arena *a, Published **ret, size_t *ret_n);
