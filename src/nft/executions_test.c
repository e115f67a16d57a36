/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Messages as the kernel sends them, and, where it tells this process anything at all (in the first
 * process namespace, with rights in the first network namespace), a program that is really run. */

#include "nft/executions.h"

#include <libmnl/libmnl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/unit.h"

typedef struct Message {
        struct nlmsghdr header;
        char payload[sizeof(struct cn_msg) + sizeof(struct proc_event)];
} Message;

static Message make(uint32_t idx, uint32_t what, pid_t thread, pid_t process) {
        struct cn_msg message = {.id = {idx, CN_VAL_PROC}, .len = sizeof(struct proc_event)};
        struct proc_event event = {0};
        Message m = {.header = {.nlmsg_len = sizeof(m), .nlmsg_type = NLMSG_DONE}};

        memcpy(&event.what, &what, sizeof(what));
        event.timestamp_ns = 5000999;
        event.event_data.exec.process_pid = thread;
        event.event_data.exec.process_tgid = process;
        memcpy(m.payload, &message, sizeof(message));
        memcpy(m.payload + sizeof(message), &event, sizeof(event));
        return m;
}

static void only_who_has_become_another_program_is_told(void **state) {
        static const struct {
                const char *name;
                uint32_t idx, what;
                pid_t process;
                bool expected;
        } rows[] = {
                {"a program was started", CN_IDX_PROC, 2, 4711, true},
                {"a process was made", CN_IDX_PROC, 1, 4711, false},
                {"a process has ended", CN_IDX_PROC, 0x80000000, 4711, false},
                {"an answer", CN_IDX_PROC, 0, 4711, false},
                {"another connector", CN_IDX_PROC + 1, 2, 4711, false},
                {"no process", CN_IDX_PROC, 2, 0, false},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Message m = make(rows[i].idx, rows[i].what, 4712, rows[i].process);
                Execution e = {0};

                unit_equal(rows[i].name, executions_parse(&m.header, &e), rows[i].expected);
                unit_equal(rows[i].name, e.pid, rows[i].expected ? rows[i].process : 0);
                unit_equal(rows[i].name, e.usec, rows[i].expected ? 5000 : 0);
        }
}

static void what_is_too_short_is_nothing(void **state) {
        Message m = make(CN_IDX_PROC, 2, 4712, 4711);
        Execution e = {0};

        for (uint32_t size = sizeof(m.header); size < sizeof(m.header) + sizeof(struct cn_msg) + 24;
             size++) {
                m.header.nlmsg_len = size;
                assert_false(executions_parse(&m.header, &e));
        }
        assert_int_equal(e.pid, 0);
}

typedef struct Wanted {
        pid_t pid;
        uint64_t begin_usec;
        bool found;
} Wanted;

static void compare(const Execution *e, void *to) {
        Wanted *w = to;

        w->found |= e->pid == w->pid && e->usec >= w->begin_usec;
}

static bool sees_pids(void) {
        struct stat st;

        return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == 0xEFFFFFFCU;
}

static void a_program_that_is_run_is_told_of(void **state) {
        int fd = -1;
        struct stat before, after;
        struct timespec now;
        Wanted wanted = {0};

        assert_int_equal(stat("/proc/thread-self/ns/net", &before), 0);
        if (!sees_pids() || executions_open(&fd) < 0)
                return; /* nobody is told here, and the slow look alone is left */
        assert_int_equal(stat("/proc/thread-self/ns/net", &after), 0);
        assert_int_equal(before.st_ino, after.st_ino);
        assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
        wanted.begin_usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
        wanted.pid = fork();
        if (wanted.pid == 0) {
                (void)execl("/bin/true", "true", NULL);
                _exit(1);
        }
        for (int i = 0; i < 1000 && !wanted.found; i++) {
                struct pollfd p = {.fd = fd, .events = POLLIN};

                assert_true(poll(&p, 1, 20000) > 0);
                assert_true(executions_read(fd, compare, &wanted) >= 0);
        }
        assert_int_equal(waitpid(wanted.pid, NULL, 0), wanted.pid);
        assert_true(wanted.found);
        executions_close(fd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(only_who_has_become_another_program_is_told),
                cmocka_unit_test(what_is_too_short_is_nothing),
                cmocka_unit_test(a_program_that_is_run_is_told_of),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
