/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/escalate.h"

int64_t escalate_seconds(const Escalation *e, int64_t seconds, int64_t times) {
        int64_t longest = MAX((int64_t)e->longest, seconds), result = seconds;

        if (e->factor < 2 || seconds <= 0)
                return seconds;
        for (int64_t i = 1; i < times && result < longest; i++)
                result = result > longest / e->factor ? longest : result * e->factor;
        return result;
}
