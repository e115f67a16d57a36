/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "notify/run.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* A file in memory: nobody has to wait until it is read. */
static int open_message(const char *message) {
        size_t size = strlen(message);
        int fd = memfd_create("event", MFD_CLOEXEC);

        if (fd < 0)
                return -errno;
        if (write(fd, message, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0) {
                int r = -errno;

                (void)close(fd);
                return r < 0 ? r : -EIO;
        }
        return fd;
}

static int set_attributes(posix_spawnattr_t *attributes) {
        sigset_t none, all;
        int r;

        (void)sigemptyset(&none);
        (void)sigfillset(&all);
        r = posix_spawnattr_setsigmask(attributes, &none);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(attributes, &all);
        if (r == 0)
                r = posix_spawnattr_setpgroup(attributes, 0);
        if (r == 0)
                r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK |
                                                                 POSIX_SPAWN_SETSIGDEF |
                                                                 POSIX_SPAWN_SETPGROUP);
        return r;
}

static int spawn(const char *path, int input, pid_t *ret) {
        static const char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin",
                                                  "LANG=C.UTF-8", NULL};
        char *const arguments[] = {(char *)(uintptr_t)path, NULL};
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        int r;

        if (posix_spawnattr_init(&attributes) != 0)
                return -ENOMEM;
        if (posix_spawn_file_actions_init(&actions) != 0) {
                (void)posix_spawnattr_destroy(&attributes);
                return -ENOMEM;
        }
        r = set_attributes(&attributes);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
        if (r == 0)
                r = posix_spawn(ret, path, &actions, &attributes, arguments,
                                (char *const *)(uintptr_t)environment);
        (void)posix_spawn_file_actions_destroy(&actions);
        (void)posix_spawnattr_destroy(&attributes);
        return -r;
}

int run_start(Run *run, const char *path, const char *message, uint64_t now_usec) {
        _cleanup_close_ int input = open_message(message);
        uint64_t limit = run->limit_usec > 0 ? run->limit_usec : RUN_USEC;
        pid_t pid;
        int r = input < 0 ? input : spawn(path, input, &pid);

        if (r < 0)
                return r;
        run->pid = pid;
        run->due_usec = now_usec + limit;
        run->is_late = false;
        return 0;
}

void run_watch(Run *run, uint64_t now_usec) {
        if (run->pid == 0 || now_usec < run->due_usec)
                return;
        (void)kill(-run->pid, run->is_late ? SIGKILL : SIGTERM);
        run->is_late = true;
        run->due_usec = now_usec + RUN_KILL_USEC;
}

static void describe(const Run *run, int status, char failure[static RUN_FAILURE_MAX]) {
        failure[0] = '\0';
        if (run->is_late)
                (void)snprintf(failure, RUN_FAILURE_MAX, "it took too long, and was ended");
        else if (WIFSIGNALED(status))
                (void)snprintf(failure, RUN_FAILURE_MAX, "signal %d ended it", WTERMSIG(status));
        else if (WEXITSTATUS(status) != 0)
                (void)snprintf(failure, RUN_FAILURE_MAX, "exit status %d", WEXITSTATUS(status));
}

bool run_reap(Run *run, char failure[static RUN_FAILURE_MAX]) {
        siginfo_t info = {0};
        int status = 0;

        if (run->pid == 0 ||
            waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
            info.si_pid == 0)
                return false;
        /* before its number can be anybody else's */
        (void)kill(-run->pid, SIGKILL);
        (void)waitpid(run->pid, &status, 0);
        describe(run, status, failure);
        run->pid = 0;
        return true;
}

void run_stop(Run *run) {
        if (run->pid == 0)
                return;
        (void)kill(-run->pid, SIGKILL);
        (void)waitpid(run->pid, NULL, 0);
        run->pid = 0;
}
