/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/lock.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define WAIT_USEC 50000

/* Whether what is locked is still what the path leads to, rather than what was replaced meanwhile.
 */
static bool is_there(int fd, const char *path) {
        struct stat a, b;

        return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
               a.st_ino == b.st_ino;
}

int lock_take(const char *path, unsigned int seconds) {
        for (unsigned int tries = seconds * (1000000 / WAIT_USEC) + 1; tries > 0; tries--) {
                int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

                if (fd < 0)
                        return -errno;
                if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_there(fd, path))
                        return fd;
                (void)close(fd);
                if (tries > 1)
                        (void)usleep(WAIT_USEC);
        }
        return -EWOULDBLOCK;
}

/* A line of /proc/locks: "1: FLOCK  ADVISORY  WRITE 4711 08:01:5678 0 EOF". 0 if it is another
 * file's; *ret_exact: the device is the same, too, of which some file systems tell stat() another.
 */
static pid_t holder_in(const char *line, const struct stat *st, bool *ret_exact) {
        unsigned int major_number, minor_number;
        unsigned long inode;
        int pid;

        if (sscanf(line, "%*d: FLOCK ADVISORY WRITE %d %x:%x:%lu", &pid, &major_number,
                   &minor_number, &inode) != 4 ||
            inode != st->st_ino)
                return 0;
        *ret_exact = major_number == major(st->st_dev) && minor_number == minor(st->st_dev);
        return pid;
}

static pid_t find_holder(const char *path) {
        _cleanup_fclose_ FILE *f = fopen("/proc/locks", "re");
        bool exact = false;
        char line[256];
        pid_t pid = 0, found;
        struct stat st;

        if (!f || stat(path, &st) < 0)
                return 0;
        while (!exact && fgets(line, sizeof(line), f)) {
                found = holder_in(line, &st, &exact);
                pid = found > 0 ? found : pid;
        }
        return pid;
}

const char *lock_holder(const char *path, char *buf, size_t size) {
        char name[64], terminal[PATH_MAX];
        pid_t pid = find_holder(path);
        ssize_t n;

        if (pid <= 0)
                return "another process";
        (void)snprintf(name, sizeof(name), "/proc/%d/fd/0", pid);
        n = readlink(name, terminal, sizeof(terminal) - 1);
        terminal[MAX(n, 0)] = '\0';
        (void)snprintf(buf, size, "process %d%s%.64s", pid,
                       startswith(terminal, "/dev/") ? " on " : "",
                       startswith(terminal, "/dev/") ? terminal : "");
        return buf;
}
