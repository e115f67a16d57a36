/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

static char *const environment[] = {(char[]){"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
                                    (char[]){"LC_ALL=C.UTF-8"}, (char[]){"SYSTEMD_PAGER="}, NULL};

/* A file that is nowhere; empty where there is no input. */
static int make_input(const char *text) {
        int fd = memfd_create("input", MFD_CLOEXEC);
        size_t size = text ? strlen(text) : 0;

        if (fd < 0)
                return -errno;
        for (size_t done = 0; done < size;) {
                ssize_t n = write(fd, text + done, size - done);

                if (n < 0) {
                        int r = -errno;

                        (void)close(fd);
                        return r;
                }
                done += (size_t)n;
        }
        if (lseek(fd, 0, SEEK_SET) < 0)
                abort(); /* of a file of ours */
        return fd;
}

static int spawn(const char *const *words, int in, int out, bool all, pid_t *ret) {
        posix_spawn_file_actions_t actions;
        char **arguments;
        int r = -posix_spawn_file_actions_init(&actions);

        if (r < 0)
                return r;
        memcpy(&arguments, &words, sizeof(arguments)); /* posix_spawn() takes them as they are */
        r = -posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
        if (r == 0)
                r = -posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        if (r == 0 && all)
                r = -posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
        else if (r == 0)
                r = -posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null",
                                                      O_WRONLY, 0);
        if (r == 0)
                r = -posix_spawn(ret, words[0], &actions, NULL, arguments, environment);
        (void)posix_spawn_file_actions_destroy(&actions);
        return r;
}

static int milliseconds_left(const struct timespec *end) {
        struct timespec now;
        int64_t left;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        left = (int64_t)(end->tv_sec - now.tv_sec) * 1000 + (end->tv_nsec - now.tv_nsec) / 1000000;
        return left < 0 ? 0 : (int)left;
}

static int read_output(int fd, char **ret, size_t *ret_size) {
        struct timespec end;
        size_t room = 0;

        (void)clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_sec += PROGRAM_SECONDS;
        for (;;) {
                struct pollfd p = {.fd = fd, .events = POLLIN};
                ssize_t n;

                if (*ret_size + 1 >= room) {
                        char *grown = realloc(*ret, room = room ? 2 * room : 4096);

                        if (!grown)
                                return -ENOMEM;
                        *ret = grown;
                }
                if (poll(&p, 1, milliseconds_left(&end)) == 0)
                        return -ETIMEDOUT;
                n = read(fd, *ret + *ret_size, room - *ret_size - 1);
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n == 0)
                        return 0;
                *ret_size += n > 0 ? (size_t)n : 0;
                if (*ret_size > PROGRAM_OUTPUT_MAX)
                        return -EFBIG;
        }
}

static int wait_for(pid_t pid) {
        int status;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

int program_run(Arena *a, const char *const *words, const char *input, bool all, const char **ret) {
        _cleanup_close_ int in = make_input(input), from = -1;
        _cleanup_free_ char *output = NULL;
        size_t size = 0;
        int ends[2], r, status;
        pid_t pid = 0;

        if (in < 0)
                return in;
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        from = ends[0];
        r = spawn(words, in, ends[1], all, &pid);
        (void)close(ends[1]); /* nothing was written through this one */
        if (r < 0)
                return r;
        r = read_output(from, &output, &size);
        if (r < 0)
                (void)kill(pid, SIGKILL);
        status = wait_for(pid);
        if (r < 0)
                return r;
        if (ret) {
                *ret = arena_strndup(a, output, size);
                if (!*ret)
                        return -ENOMEM;
        }
        return status;
}
