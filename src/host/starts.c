/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/starts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX 96 /* bytes of the file: three numbers */
#define STARTS_SPENT_MAX (STARTS_CALM_USEC + STARTS_USEC)

uint64_t starts_now(void) {
        struct timespec t = {0};

        (void)clock_gettime(CLOCK_BOOTTIME, &t); /* cannot fail for this clock */
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* What has not been made up for. Of a file that nobody knows who wrote: no start waits for longer
 * than it should. */
static uint64_t spent(const Starts *s, uint64_t now) {
        uint64_t made = now > s->seen_usec ? now - s->seen_usec : 0;
        uint64_t all = s->spent_usec < STARTS_SPENT_MAX ? s->spent_usec : STARTS_SPENT_MAX;

        return all > made ? all - made : 0;
}

uint64_t starts_take(Starts *s, uint64_t now) {
        uint64_t wait;

        if (!starts_are_late(s, now))
                s->n_late = 0;
        s->spent_usec = spent(s, now) + STARTS_USEC;
        s->seen_usec = now;
        if (s->spent_usec <= STARTS_CALM_USEC)
                return 0;
        wait = s->spent_usec - STARTS_CALM_USEC;
        s->n_late++;
        return wait < STARTS_USEC ? wait : STARTS_USEC;
}

bool starts_are_late(const Starts *s, uint64_t now) {
        return s->n_late > 0 && spent(s, now) > 0;
}

bool starts_read(const char *path, Starts *ret) {
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        char text[TEXT_MAX];
        ssize_t n;

        *ret = (Starts){0};
        if (fd < 0)
                return false;
        n = read(fd, text, sizeof(text) - 1);
        (void)close(fd);
        if (n < 0)
                return false;
        text[n] = '\0';
        if (sscanf(text, "%20" SCNu64 " %20" SCNu64 " %20" SCNu64, &ret->seen_usec,
                   &ret->spent_usec, &ret->n_late) == 3)
                return true;
        *ret = (Starts){0};
        return false;
}

int starts_write(const char *path, const Starts *s) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        int n, r = 0;

        if (fd < 0)
                return -errno;
        n = dprintf(fd, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", s->seen_usec, s->spent_usec,
                    s->n_late);
        if (n < 0 || fchmod(fd, 0644) < 0) /* whatever the umask is */
                r = -errno;
        (void)close(fd);
        return r;
}
