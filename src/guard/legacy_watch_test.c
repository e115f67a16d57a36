/* SPDX-License-Identifier: GPL-2.0-or-later */

/* With the running kernel and the real programs, in a network namespace of this program's own.
 * Where it tells nobody which programs begin (in a process namespace of a container's) there is no
 * watch. */

#include "guard/legacy_watch.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/unit.h"

#define WAIT_MSEC 20000
#define TRIES 20
#define RULES "*raw\n-A OUTPUT -j ACCEPT\nCOMMIT\n"

typedef struct Test {
        LegacyWatch *watch;
        SuspectChange changes[64];
        size_t n;
} Test;

/* One of those programs, which waits for what it shall do. */
typedef struct Program {
        pid_t pid;
        int in;
} Program;

static void take(SuspectChange *c, void *to) {
        Test *t = to;

        assert_true(t->n < ARRAY_SIZE(t->changes));
        t->changes[t->n++] = *c;
}

static void clear(Test *t) {
        while (t->n > 0)
                suspect_change_clear(&t->changes[--t->n]);
}

static bool sees_pids(void) {
        struct stat st;

        return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == 0xEFFFFFFCU;
}

/* False: nobody is told which programs begin. */
static bool begin(Test *t) {
        bool is_told = legacy_watch_open(&t->watch, take, t) == 0 && sees_pids();

        clear(t);
        if (!is_told)
                t->watch = legacy_watch_close(t->watch);
        return is_told;
}

static void finish(Test *t) {
        clear(t);
        t->watch = legacy_watch_close(t->watch);
}

static void step(Test *t) {
        struct pollfd p = {.fd = legacy_watch_fd(t->watch), .events = POLLIN};

        assert_true(poll(&p, 1, WAIT_MSEC) > 0);
        assert_int_equal(legacy_watch_step(t->watch), 0);
}

static void until_running(Test *t, size_t n) {
        while (legacy_watch_running(t->watch) != n)
                step(t);
}

static Program start(bool elsewhere) {
        Program p;
        int ends[2];

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        p.pid = fork();
        if (p.pid == 0) {
                if (dup2(ends[0], STDIN_FILENO) < 0 || (elsewhere && unshare(CLONE_NEWNET) < 0))
                        _exit(1);
                (void)execlp("iptables-legacy-restore", "iptables-legacy-restore", NULL);
                _exit(1);
        }
        (void)close(ends[0]);
        p.in = ends[1];
        return p;
}

/* Tells it what to do; it ends then. */
static void let_go(const Program *p, const char *rules) {
        int status;

        assert_int_equal(write(p->in, rules, strlen(rules)), (ssize_t)strlen(rules));
        (void)close(p->in);
        assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
        assert_int_equal(status, 0);
}

static void only_the_old_programs_are_known(void **state) {
        static const struct {
                const char *path;
                bool expected;
        } rows[] = {
                {"/usr/sbin/xtables-legacy-multi", true},
                {"/usr/sbin/xtables-legacy-multi (deleted)", true},
                {"xtables-multi", true},
                {"/sbin/iptables-multi-1.4.7", true},
                {"/usr/sbin/xtables-nft-multi", false},
                {"/usr/sbin/nft", false},
                {"/opt/iptables/run", false},
                {"", false},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                unit_equal(rows[i].path, legacy_watch_knows(rows[i].path), rows[i].expected);
}

/* How many of the changes are certain to be of that process; nobody else is named. */
static size_t certain(Test *t, const Program *p) {
        size_t n = 0;

        for (size_t i = 0; i < t->n; i++) {
                const SuspectChange *c = &t->changes[i];

                assert_true(c->begin_usec < c->end_usec);
                assert_int_equal(c->n_who, 1);
                assert_int_equal(c->who[0].pid, p->pid);
                assert_string_equal(c->who[0].name, "iptables-legacy");
                assert_string_equal(c->who[0].process.command, "iptables-legacy-restore");
                n += !c->is_open;
        }
        return n;
}

/* On a busy machine others may end before it is seen what they were. */
static void whoever_changes_a_table_is_known(void **state) {
        size_t n = 0;

        for (int i = 0; i < TRIES && n == 0; i++) {
                Test t = {0};
                Program p;

                if (!begin(&t))
                        return;
                p = start(false);
                until_running(&t, 1);
                assert_int_equal(t.n, 0);
                let_go(&p, i % 2 == 0 ? RULES : "*raw\nCOMMIT\n");
                until_running(&t, 0);
                assert_true(t.n > 0);
                n = certain(&t, &p);
                finish(&t);
        }
        assert_true(n > 0);
}

static void whoever_changes_nothing_is_nobody(void **state) {
        Test t = {0};
        Program p;

        if (!begin(&t))
                return;
        p = start(false);
        until_running(&t, 1);
        let_go(&p, "");
        until_running(&t, 0);
        assert_int_equal(t.n, 0);
        finish(&t);
}

static void of_two_it_was_one_and_one_elsewhere_is_nobody(void **state) {
        Program away, one, two;
        Test t = {0};

        if (!begin(&t))
                return;
        away = start(true);
        one = start(false);
        two = start(false);
        until_running(&t, 2);
        let_go(&away, RULES);
        let_go(&one, "*mangle\nCOMMIT\n");
        until_running(&t, 1);
        assert_true(t.n > 0);
        for (size_t i = 0; i < t.n; i++) {
                assert_int_equal(t.changes[i].n_who, 2);
                for (size_t k = 0; k < 2; k++)
                        assert_true(t.changes[i].who[k].pid == one.pid ||
                                    t.changes[i].who[k].pid == two.pid);
        }
        clear(&t);
        let_go(&two, "");
        until_running(&t, 0);
        assert_int_equal(t.n, 0);
        finish(&t);
}

/* It has ended long before anybody looks. */
static void what_was_done_unseen_is_nobody_s(void **state) {
        Test t = {0};

        if (!begin(&t))
                return;
        assert_int_equal(system("iptables-legacy -t security -A INPUT -j ACCEPT"), 0);
        while (t.n == 0)
                step(&t);
        assert_true(t.changes[0].is_open);
        assert_int_equal(t.changes[0].n_who, 0);
        finish(&t);
}

int main(void) {
        const struct sched_param first = {.sched_priority = 1};
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(only_the_old_programs_are_known),
                cmocka_unit_test(whoever_changes_a_table_is_known),
                cmocka_unit_test(whoever_changes_nothing_is_nobody),
                cmocka_unit_test(of_two_it_was_one_and_one_elsewhere_is_nobody),
                cmocka_unit_test(what_was_done_unseen_is_nobody_s),
        };

        if (unshare(CLONE_NEWNET) < 0) {
                perror("legacy_watch_test needs root");
                return 1;
        }
        /* as the daemon's thread, where it may */
        (void)sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &first);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
