/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Loaded before a program's own libraries, sets its clock: CLOCK_REALTIME is as many seconds off as
 * the file says that CLOCK_OFFSET names, read each time. The clocks that nobody can set stay. */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset(void) {
        const char *name = getenv("CLOCK_OFFSET");
        int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
        char text[32] = "";
        long seconds = 0;

        if (fd < 0)
                return 0;
        (void)!read(fd, text, sizeof(text) - 1);
        (void)close(fd);
        for (const char *p = text + (text[0] == '-'); *p >= '0' && *p <= '9'; p++)
                seconds = seconds * 10 + (*p - '0');
        return text[0] == '-' ? -seconds : seconds;
}

int clock_gettime(clockid_t clock, struct timespec *ret) {
        int r = (int)syscall(SYS_clock_gettime, clock, ret);

        if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
                ret->tv_sec += offset();
        return r;
}

time_t time(time_t *ret) {
        struct timespec t;

        (void)clock_gettime(CLOCK_REALTIME, &t);
        if (ret)
                *ret = t.tv_sec;
        return t.tv_sec;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone) {
        struct timespec t;

        (void)zone;
        (void)clock_gettime(CLOCK_REALTIME, &t);
        *ret = (struct timeval){.tv_sec = t.tv_sec, .tv_usec = t.tv_nsec / 1000};
        return 0;
}
