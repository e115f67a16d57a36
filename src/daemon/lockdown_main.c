/* SPDX-License-Identifier: GPL-2.0-or-later */

/* ringwall-lockdown: when ringwalld cannot even be started (a library is missing, or broken), what
 * it wrote down before goes to the kernel. Statically linked, and nothing but system calls: it must
 * work where nothing else does. The batch is refused where there is a table of ringwall's, and
 * after a service that was told to end (SERVICE_RESULT, systemd.exec(5)) there is nothing to do.
 *
 * --pace: the other thing that must not depend on ringwalld's own libraries is how fast it is
 * started again where it cannot be. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guard/lockdown_file.h"
#include "host/starts.h"
#include "nft/send.h"

static int fail(const char *what, int error) {
        fprintf(stderr, "<2>ringwall-lockdown: %s: %s\n", what, strerror(error));
        return 1;
}

/* The whole file; NULL with errno. */
static char *read_file(const char *path, size_t *ret_size) {
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        size_t size = 0;
        char *bytes;
        ssize_t n;

        if (fd < 0)
                return NULL;
        bytes = malloc(LOCKDOWN_FILE_MAX);
        if (!bytes)
                return NULL;
        while (size < LOCKDOWN_FILE_MAX) {
                n = read(fd, bytes + size, LOCKDOWN_FILE_MAX - size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return NULL; /* the process ends, and all of it with it */
                if (n == 0)
                        break;
                size += (size_t)n;
        }
        (void)close(fd);
        *ret_size = size;
        return bytes;
}

static int is_sound(const LockdownHead *head, size_t size) {
        return size >= sizeof(*head) &&
               memcmp(head->magic, LOCKDOWN_FILE_MAGIC, sizeof(head->magic)) == 0 &&
               head->size == size - sizeof(*head) &&
               head->sum == lockdown_sum(head + 1, (size_t)head->size);
}

static int close_all(const LockdownHead *head) {
        int r = send_stored(head + 1, (size_t)head->size, head->last);

        if (r < 0)
                return fail("the lockdown cannot be put in force", -r);
        if (r > 0) /* otherwise something is in force, and stays */
                fputs("<2>in force: the lockdown, as it was written down\n", stderr);
        return 0;
}

/* Whatever goes wrong, it is started all the same, and at once. */
static int wait_for_turn(const char *folder) {
        char path[4096];
        struct timespec wait;
        uint64_t usec;
        Starts s;

        if ((size_t)snprintf(path, sizeof(path), "%s/" STARTS_FILE, folder) >= sizeof(path))
                return fail(folder, ENAMETOOLONG);
        (void)starts_read(path, &s);
        usec = starts_take(&s, starts_now());
        if (starts_write(path, &s) < 0)
                return fail(path, errno);
        if (usec == 0)
                return 0;
        fprintf(stderr,
                "<3>ringwalld has ended again and again: it is started once more in %.1f s\n",
                (double)usec / 1e6);
        wait = (struct timespec){(time_t)(usec / 1000000), (long)(usec % 1000000) * 1000};
        (void)nanosleep(&wait, NULL); /* whoever ends it does not want it to be started */
        return 0;
}

static int usage(void) {
        fputs("Usage: ringwall-lockdown [--state-dir DIR | --pace=DIR]\n", stderr);
        return 2;
}

int main(int argc, char **argv) {
        static const char pace[] = "--pace=";
        const char *folder =
                argc == 3 && strcmp(argv[1], "--state-dir") == 0 ? argv[2] : "/var/lib/ringwall";
        char path[4096];
        const char *result = getenv("SERVICE_RESULT");
        size_t size = 0;
        char *bytes;

        if (argc == 2 && strncmp(argv[1], pace, sizeof(pace) - 1) == 0)
                return wait_for_turn(argv[1] + sizeof(pace) - 1);
        if (argc != 1 && argc != 3)
                return usage();
        if (result && strcmp(result, "success") == 0)
                return 0;
        if ((size_t)snprintf(path, sizeof(path), "%s/" LOCKDOWN_FILE, folder) >= sizeof(path))
                return fail(folder, ENAMETOOLONG);
        bytes = read_file(path, &size);
        if (!bytes && errno == ENOENT)
                return 0; /* nothing was ever confirmed */
        if (!bytes)
                return fail(path, errno);
        if (!is_sound((const LockdownHead *)bytes, size))
                return fail(path, EBADMSG);
        return close_all((const LockdownHead *)bytes);
}
