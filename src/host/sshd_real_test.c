/* SPDX-License-Identifier: GPL-2.0-or-later */

/* With a real sshd and real clients, in namespaces of this program's own: networks, processes, and
 * a view of the files in which /etc/passwd knows alice and /run is empty. It needs root and
 * OpenSSH. */

#include "host/sshd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "base/unit.h"
#include "nft/namespace.h"

#define PORT 2222
#define PORT_TEXT "2222"
#define PATIENCE 200 /* times a tenth of a second */

/* The client's words; BatchMode: it never asks. */
#define SSH                                                                                        \
        "ssh -F none -p " PORT_TEXT " -o BatchMode=yes -o StrictHostKeyChecking=no "               \
        "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -i /run/lab/key "

static pid_t server;

static void shell(const char *command) {
        unit_equal(command, system(command), 0);
}

static pid_t start(const char *command, int output) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid > 0)
                return pid;
        if (output >= 0)
                (void)dup2(output, STDOUT_FILENO);
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
}

static void stop(pid_t pid) {
        (void)kill(pid, SIGTERM);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void pause_briefly(void) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 100 * 1000000L}, NULL);
}

static int read_sshd(Arena *a, Sshd *ret) {
        Tree t = {.arena = a, .root = ""};

        return sshd_read(&t, ret);
}

/* The number of connections on which somebody is logged in, once it is as many as wanted. */
static Sshd wait_for(Arena *a, size_t wanted) {
        Sshd sshd = {0};

        for (int i = 0; i < PATIENCE; i++) {
                size_t n = 0;

                assert_int_equal(read_sshd(a, &sshd), 0);
                for (size_t j = 0; j < sshd.n_connections; j++)
                        n += sshd.connections[j].is_authenticated;
                if (n == wanted && sshd.n_connections == wanted)
                        return sshd;
                pause_briefly();
        }
        fail_msg("there are %zu connections, not %zu", sshd.n_connections, wanted);
        return sshd;
}

/* A session that says its shell's process number, and lasts until it is stopped. */
typedef struct Session {
        pid_t client, shell;
} Session;

static Session open_session(const char *options, const char *who, const char *command) {
        char text[1024], said[32] = "";
        int pipes[2];
        Session s;
        ssize_t n;

        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        (void)snprintf(text, sizeof(text), "exec " SSH "%s %s '%s'", options, who, command);
        s.client = start(text, pipes[1]);
        (void)close(pipes[1]);
        n = read(pipes[0], said, sizeof(said) - 1); /* until it says something, or has ended */
        unit_true(text, n > 0);
        s.shell = (pid_t)strtol(said, NULL, 10);
        (void)close(pipes[0]);
        return s;
}

static void
stays(const char *row, Arena *a, const Sshd *sshd, pid_t pid, SshProof wanted, uint16_t port) {
        Tree t = {.arena = a, .root = ""};
        const SshConnection *found = NULL;
        SshProof proof = _SSH_PROOF_MAX;

        unit_equal(row, sshd_find_caller(&t, sshd, pid, &proof, &found), 0);
        unit_equal(row, proof, wanted);
        unit_equal(row, found ? found->socket.peer_port : 0, port);
}

static void finds_the_listeners(void **state) {
        Sshd sshd;

        assert_int_equal(read_sshd(*state, &sshd), 0);
        assert_int_equal(sshd.n_listeners, 2);
        for (size_t i = 0; i < 2; i++) {
                assert_int_equal(sshd.listeners[i].socket.local_port, PORT);
                assert_int_equal(sshd.listeners[i].process->pid, server);
                assert_null(sshd.listeners[i].unit);
                assert_false(sshd.listeners[i].socket.is_dual);
        }
        assert_int_equal(sshd.n_connections, 0);
}

static const struct Login {
        const char *name, *options, *who, *command;
        uint32_t uid;
        Family family;
} logins[] = {
        {"a user's command", "", "alice@127.0.0.1", "echo $$; sleep 60", 65534, FAMILY_IPV4},
        {"over IPv6", "", "alice@::1", "echo $$; sleep 60", 65534, FAMILY_IPV6},
        {"with a terminal", "-tt", "alice@127.0.0.1", "echo $$; sleep 60", 65534, FAMILY_IPV4},
        {"root", "", "root@127.0.0.1", "echo $$; sleep 60", 0, FAMILY_IPV4},
        {"root with a terminal", "-tt", "root@127.0.0.1", "echo $$; sleep 60", 0, FAMILY_IPV4},
        {"through further shells", "", "root@127.0.0.1",
         "sh -c \"sh -c \\\"echo \\\\\\$\\\\\\$; sleep 60; true\\\"; true\"", 0, FAMILY_IPV4},
};

static void follows_a_process_to_its_connection(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(logins); i++) {
                const struct Login *l = &logins[i];
                Session s = open_session(l->options, l->who, l->command);
                Sshd sshd = wait_for(*state, 1);
                const SshConnection *c = &sshd.connections[0];

                unit_equal(l->name, c->socket.local_port, PORT);
                unit_equal(l->name, c->socket.family, l->family);
                unit_equal(l->name, c->uid, l->uid);
                unit_equal(l->name, c->process->parent, server);
                stays(l->name, *state, &sshd, s.shell, SSH_PROOF_PARENTS, c->socket.peer_port);
                /* the client's own end is no connection of sshd's */
                stays(l->name, *state, &sshd, s.client, SSH_PROOF_NONE, 0);
                stop(s.client);
                (void)wait_for(*state, 0);
        }
}

static void a_connection_without_a_session_counts(void **state) {
        static const char *const who[] = {"alice@127.0.0.1", "root@127.0.0.1"};

        for (size_t i = 0; i < ARRAY_SIZE(who); i++) {
                char command[512];
                Sshd sshd;
                pid_t client;

                (void)snprintf(command, sizeof(command), "exec " SSH "-N %s", who[i]);
                client = start(command, -1);
                sshd = wait_for(*state, 1);
                unit_equal(who[i], sshd.connections[0].uid, i == 0 ? 65534 : 0);
                stop(client);
                (void)wait_for(*state, 0);
        }
}

/* A second session of a client that shares its connection is no second connection. */
static void shared_sessions_keep_the_connection(void **state) {
        Session first =
                open_session("-M -S /run/lab/control", "alice@127.0.0.1", "echo $$; sleep 60");
        Sshd before = wait_for(*state, 1), after;
        Session second =
                open_session("-S /run/lab/control", "alice@127.0.0.1", "echo $$; sleep 60");
        uint16_t port;

        after = wait_for(*state, 1);
        port = after.connections[0].socket.peer_port;
        assert_int_equal(port, before.connections[0].socket.peer_port);
        assert_int_equal(after.connections[0].started_usec, before.connections[0].started_usec);
        stays("the first", *state, &after, first.shell, SSH_PROOF_PARENTS, port);
        stays("the second", *state, &after, second.shell, SSH_PROOF_PARENTS, port);
        stop(second.client);
        stop(first.client);
        (void)wait_for(*state, 0);
}

static uint64_t now_usec(void) {
        struct timespec t;

        assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &t), 0);
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* What tells a connection made after a change from one before it. */
static void start_times_tell_old_from_new(void **state) {
        Session old = open_session("", "alice@127.0.0.1", "echo $$; sleep 60"), new;
        uint64_t changed;
        Sshd sshd;

        pause_briefly(); /* longer than the kernel's tick */
        changed = now_usec();
        pause_briefly();
        new = open_session("", "alice@127.0.0.1", "echo $$; sleep 60");
        sshd = wait_for(*state, 2);
        for (size_t i = 0; i < 2; i++) {
                Tree t = {.arena = *state, .root = ""};
                const SshConnection *found = NULL;
                SshProof proof;

                assert_int_equal(
                        sshd_find_caller(&t, &sshd, i == 0 ? old.shell : new.shell, &proof, &found),
                        0);
                assert_non_null(found);
                assert_int_equal(found->started_usec > changed, i);
                assert_true(found->started_usec <= now_usec());
        }
        stop(old.client);
        stop(new.client);
        (void)wait_for(*state, 0);
}

/* A program that left its session keeps nothing but its environment. */
static void who_left_the_session_has_only_its_word(void **state) {
        Session s = open_session(
                "", "root@127.0.0.1",
                "setsid -f sh -c \"echo \\$\\$; exec sleep 60\" 2>/dev/null </dev/null; sleep 60");
        Sshd sshd = wait_for(*state, 1);
        pid_t parent = 0;

        for (int i = 0; i < PATIENCE && parent != 1; i++) {
                Tree t = {.arena = *state, .root = ""};
                HostProcess p;

                assert_int_equal(process_read(&t, s.shell, &p), 0);
                /* while a program is being started, it has no environment */
                parent = streq(p.comm, "sleep") ? p.parent : 0;
                if (parent != 1)
                        pause_briefly();
        }
        assert_int_equal(parent, 1);
        stays("left", *state, &sshd, s.shell, SSH_PROOF_ENVIRONMENT,
              sshd.connections[0].socket.peer_port);
        stop(s.client);
        assert_int_equal(kill(s.shell, SIGTERM), 0);
        (void)wait_for(*state, 0);
}

static void who_has_not_logged_in_does_not_count(void **state) {
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons(PORT),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        Sshd sshd = {0};

        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
        for (int i = 0; i < PATIENCE && sshd.n_connections == 0; i++) {
                assert_int_equal(read_sshd(*state, &sshd), 0);
                pause_briefly();
        }
        for (int i = 0; i < 5; i++) { /* while it asks for who we are, too */
                assert_int_equal(read_sshd(*state, &sshd), 0);
                assert_int_equal(sshd.n_connections, 1);
                assert_false(sshd.connections[0].is_authenticated);
                pause_briefly();
        }
        (void)close(fd);
        (void)wait_for(*state, 0);
}

static void at_the_console_there_is_none(void **state) {
        Sshd sshd;

        assert_int_equal(read_sshd(*state, &sshd), 0);
        stays("the test itself", *state, &sshd, getpid(), SSH_PROOF_NONE, 0);
}

/* Goes on in a child; this process ends as that does, and takes in what else ends meanwhile. */
static void go_on_in_child(void) {
        pid_t child = fork(), ended;
        int status = 1;

        if (child == 0)
                return;
        do
                ended = waitpid(-1, &status, 0);
        while (ended > 0 && ended != child);
        /* without LeakSanitizer, which cannot look at a process 1 */
        _exit(ended == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* Below a process 1 of their own, the tests and all that they start end with it. */
static int enter(void) {
        unsetenv("SSH_CONNECTION"); /* who runs the tests may well have come by SSH */
        if (unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID) < 0 || namespace_is_init() != 0) {
                perror("this test needs root, and namespaces of its own");
                return -1;
        }
        go_on_in_child();
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("none", "/proc", "proc", 0, NULL) < 0 ||
            mount("none", "/run", "tmpfs", 0, NULL) < 0) {
                perror("cannot set the test up");
                return -1;
        }
        go_on_in_child();
        return 0;
}

static int start_server(void **state) {
        (void)state;
        /* an /etc of its own: a package that is installed meanwhile puts a new passwd there */
        shell("ip link set lo up; mkdir -p /run/sshd /run/lab; cd /run/lab;"
              "cp -a /etc etc; mount --bind etc /etc;"
              "{ cat /etc/passwd; echo alice:x:65534:65534::/run/lab:/bin/sh; } >passwd;"
              "sed -i '/^root:/s/:[^:]*$/:\\/bin\\/sh/' passwd;"
              "mount --bind passwd /etc/passwd;"
              "ssh-keygen -q -t ed25519 -N '' -f key; ssh-keygen -q -t ed25519 -N '' -f hostkey;"
              "cp key.pub authorized; printf '%s\\n' 'Port " PORT_TEXT
              "' 'HostKey /run/lab/hostkey'"
              " 'UsePAM no' 'StrictModes no' 'PermitRootLogin yes' 'LogLevel ERROR'"
              " 'AuthorizedKeysFile /run/lab/authorized' 'PidFile none' >config");
        server = start("exec /usr/sbin/sshd -D -e -f /run/lab/config 2>/dev/null", -1);
        for (int i = 0; i < PATIENCE; i++) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                Sshd sshd;

                if (a && read_sshd(a, &sshd) == 0 && sshd.n_listeners == 2)
                        return 0;
                pause_briefly();
        }
        return -1;
}

static int stop_server(void **state) {
        (void)state;
        stop(server);
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(finds_the_listeners),
                unit_arena_test(follows_a_process_to_its_connection),
                unit_arena_test(a_connection_without_a_session_counts),
                unit_arena_test(shared_sessions_keep_the_connection),
                unit_arena_test(start_times_tell_old_from_new),
                unit_arena_test(who_left_the_session_has_only_its_word),
                unit_arena_test(at_the_console_there_is_none),
                unit_arena_test(who_has_not_logged_in_does_not_count),
        };

        if (enter() < 0)
                return 1;
        return cmocka_run_group_tests(tests, start_server, stop_server);
}
