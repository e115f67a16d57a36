/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/boot.h"

#include <inttypes.h>
#include <time.h>

#include "host/process.h"

int boot_identify(const Tree *t, char ret[CONFIRM_BOOT_MAX]) {
        HostProcess init = {0};
        const char *id;
        size_t size;
        char *stat;
        int r, n;

        r = tree_read_word(t, tree_path(t, "/proc/sys/kernel/random/boot_id"), &id);
        if (r == 0)
                r = tree_read(t, tree_path(t, "/proc/1/stat"), &stat, &size);
        if (r < 0)
                return r;
        if (!process_parse_stat(t->arena, stat, &init))
                return -EIO;
        n = snprintf(ret, CONFIRM_BOOT_MAX, "%s:%" PRIu64, id, init.started_usec);
        return n > 0 && n < CONFIRM_BOOT_MAX ? 0 : -EIO;
}

static uint64_t usec_of(clockid_t clock) {
        struct timespec t = {0};

        (void)clock_gettime(clock, &t); /* these clocks are always there */
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

ConfirmNow boot_now(const char *boot) {
        return (ConfirmNow){
                .boottime_usec = usec_of(CLOCK_BOOTTIME),
                .realtime_usec = usec_of(CLOCK_REALTIME),
                .boot = boot,
        };
}
