/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Expectations of the policy's about packets that arrive, or are sent. `deny`: none that it
 * describes may be accepted, by whichever table. `allow`: none may be refused, by whichever table;
 * limits of our own rules and anti-spoofing aside, as in check (proof/claim.h). */

#include "proof/verify_state.h"

typedef struct Expected {
        Verify *v;
        const Expect *const *expects;
        size_t n;
        bool allow;
        DiagramId *bad; /* of each */
} Expected;

/* What the expectation describes, by what was dialled: as in the policy, a published port belongs
 * to inbound. */
DiagramId expected_where_dialled(Expected *x, const Expect *e);
/* Of that, what breaks it with these ends. */
DiagramId expected_where_bad(Expected *x, const Expect *e, const WholeEnd *ends, size_t n);
/* A WholeCare: what any of them is about. */
DiagramId expected_care(void *context, const WholeChange *c, bool here);
/* Cuts the axes where these regions begin and end. 0 or -ENOMEM. */
int expected_cut(Expected *x);
