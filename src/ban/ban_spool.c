/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ban/ban_spool.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MSEC 10000 /* for another's lock */
#define PAUSE_MSEC 10
#define FLAGS (O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

static int open_in(const char *folder, int flags) {
        char path[4096];
        int fd;

        if ((size_t)snprintf(path, sizeof(path), "%s/" BAN_SPOOL_FILE, folder) >= sizeof(path))
                return -ENAMETOOLONG;
        fd = open(path, FLAGS | flags, 0600);
        if (fd < 0)
                return errno == ELOOP ? -EPERM : -errno;
        return fd;
}

/* Nobody else can have written to it. */
static int check(int fd, struct stat *ret) {
        if (fstat(fd, ret) < 0)
                return -errno;
        return S_ISREG(ret->st_mode) && ret->st_uid == geteuid() && !(ret->st_mode & 022) ? 0
                                                                                          : -EPERM;
}

static int write_line(int fd, off_t size, const char *line) {
        size_t length = strlen(line);
        char buf[BAN_SPOOL_LINE_MAX + 2], last = '\n';
        ssize_t n;

        if (size > 0 && pread(fd, &last, 1, size - 1) < 0)
                return -errno;
        buf[0] = '\n'; /* behind one that broke off */
        memcpy(buf + 1, line, length);
        buf[length + 1] = '\n';
        n = last == '\n' ? pwrite(fd, buf + 1, length + 1, size)
                         : pwrite(fd, buf, length + 2, size);
        if (n == (ssize_t)(length + 1 + (last != '\n')))
                return 0;
        n = n < 0 ? -errno : -ENOSPC;
        if (ftruncate(fd, size) < 0) /* the reader passes half a line over */
                return -errno;
        return (int)n;
}

/* -EAGAIN: somebody has it, or has removed it. */
static int try_add(const char *folder, const char *line) {
        _cleanup_close_ int fd = open_in(folder, O_CREAT);
        struct stat st;
        int r;

        if (fd < 0)
                return fd;
        r = check(fd, &st);
        if (r == 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
                r = errno == EWOULDBLOCK ? -EAGAIN : -errno;
        if (r == 0)
                r = check(fd, &st); /* as it is now */
        if (r < 0)
                return r;
        if (st.st_nlink == 0)
                return -EAGAIN;
        if ((size_t)st.st_size + strlen(line) + 2 > BAN_SPOOL_MAX)
                return -EFBIG;
        return write_line(fd, st.st_size, line);
}

int ban_spool_add(const char *folder, const char *line) {
        const struct timespec pause = {.tv_nsec = PAUSE_MSEC * 1000 * 1000};
        int r = -EAGAIN;

        if (strlen(line) > BAN_SPOOL_LINE_MAX || strchr(line, '\n'))
                return -EINVAL;
        if (mkdir(folder, 0755) < 0 && errno != EEXIST)
                return -errno;
        for (size_t i = 0; i < WAIT_MSEC / PAUSE_MSEC && r == -EAGAIN; i++) {
                if (i > 0)
                        (void)nanosleep(&pause, NULL); /* shorter does no harm */
                r = try_add(folder, line);
        }
        return r;
}

static int read_all(int fd, size_t size, BanSpool *ret) {
        char *text = malloc(size + 1);
        size_t done = 0;

        if (!text)
                return -ENOMEM;
        while (done < size) {
                ssize_t n = pread(fd, text + done, size - done, (off_t)done);

                if (n < 0) {
                        int r = -errno;

                        free(text);
                        return r;
                }
                if (n == 0)
                        break;
                done += (size_t)n;
        }
        text[done] = '\0';
        *ret = (BanSpool){.text = text, .size = done};
        return 0;
}

int ban_spool_open(const char *folder, BanSpool *ret) {
        _cleanup_close_ int fd = open_in(folder, 0);
        struct stat st;
        int r;

        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EAGAIN : -errno;
        r = check(fd, &st);
        if (r == 0)
                r = read_all(fd, MIN((size_t)st.st_size, BAN_SPOOL_MAX), ret);
        if (r < 0)
                return r;
        ret->fd = fd;
        fd = -1;
        return 1;
}

const char *ban_spool_next(BanSpool *s) {
        while (s->next < s->size) {
                char *line = s->text + s->next;
                char *end = memchr(line, '\n', s->size - s->next);

                if (!end)
                        end = s->text + s->size;
                *end = '\0';
                s->next = (size_t)(end - s->text) + 1;
                if (*line)
                        return line;
        }
        return NULL;
}

void ban_spool_close(BanSpool *s, const char *folder, bool is_done) {
        char path[4096];

        (void)snprintf(path, sizeof(path), "%s/" BAN_SPOOL_FILE, folder);
        if (is_done)
                (void)unlink(path); /* else all of it is done once more, which changes little */
        free(s->text);
        (void)close(s->fd); /* and unlocks it */
}
