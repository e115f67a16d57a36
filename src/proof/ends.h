/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Where this host's ports end that other programs' rules, or our own, translate: for every first
 * packet to an address of this host's that all rules together let through. Who may send it is not
 * told apart. */

#include "proof/whole.h"

#define ENDS_MAX 256

typedef struct End {
        Family family;
        uint8_t protocol;   /* IPPROTO_TCP or _UDP */
        uint16_t low, high; /* the ports that are dialled */
        bool here;          /* it ends at this host */
        /* As far as it is known; what is not translated stays as it was. */
        bool has_address, any_address, has_port, any_port;
        U128 address;
        uint16_t port;
} End;

/* In a, sorted, each once, at most ENDS_MAX. 0, -ENOMEM, or -E2BIG if the rules are too complex. */
int ends_find(const World *w, Arena *a, End **ret, size_t *ret_n);

/* "tcp port 8080 (IPv4)" and "172.17.0.2 port 80"; NULL without memory. */
const char *end_describe_dialled(Arena *a, const End *e);
const char *end_describe_target(Arena *a, const End *e);
