/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cpu_time.h"

#include <time.h>

uint64_t cpu_time_usec(void) {
        struct timespec now;

        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); /* cannot fail for this clock */
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}
