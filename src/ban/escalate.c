/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/escalate.h"

int64_t escalate(const Escalation *e, int64_t seconds, int64_t times_before) {
        int64_t longer = seconds;

        if (e->factor < 2 || seconds >= e->max_seconds)
                return seconds;
        for (int64_t i = 0; i < times_before; i++) {
                if (longer > e->max_seconds / e->factor)
                        return e->max_seconds;
                longer *= e->factor;
        }
        return longer;
}
