/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the parts of the exposure share. Private to exposure*.c. */

#include "host/exposure.h"

typedef struct Finder {
        Arena *arena;
        const ExposureInput *input;
        Exposure *to;
        /* zones, then everybody, then who sends to a loopback address, then everybody but this
         * host's own containers and machines, then who is not named by each claim */
        ReachClients *clients;
        size_t n_clients, everybody, neighbours, outsiders;
        size_t *claims; /* of each claim: its clients */
        ReachAnswer *answers;
        bool *wanted;
        Reach *reach[_FAMILY_MAX];
} Finder;

/* ---- exposure_list.c: what there is */

/* What listens: rows of the Exposure. 0 or -ENOMEM. */
int exposure_list_sockets(Finder *f);
/* What rules translate, once it is known what listens; opens f->reach. 0, -ENOMEM, -EPROTO. */
int exposure_list_translations(Finder *f);
