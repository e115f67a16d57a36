/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Processes and sockets made up, for what a real sshd does not do on demand. A real one is in
 * sshd_real_test.c. */

#include "host/sshd.h"

#include <netinet/in.h>

#include "host/tree_unit.h"

#define SESSION "0::/user.slice/user-1000.slice/session-3.scope\n"
#define SSHD "/usr/sbin/sshd"

/* alice is in twice, by 198.51.100.7:1000 and :2000; a stranger has not logged in; mallory runs
 * something that calls itself sshd. */
static const FakeProcess processes[] = {
        {1,
         0,
         0,
         1,
         "systemd",
         "/usr/lib/systemd/systemd",
         "/sbin/init",
         "0::/init.scope\n",
         NULL,
         {20}},
        {50,
         1,
         0,
         100,
         "sshd",
         SSHD,
         "sshd: " SSHD " -D [listener] 0 of 10-100 startups",
         "0::/system.slice/ssh.service\n",
         NULL,
         {10, 11, 35}},
        {60, 50, 0, 500, "sshd", SSHD, "sshd: alice [priv]", SESSION, NULL, {30}},
        {61, 60, 1000, 510, "sshd", SSHD, "sshd: alice@pts/0", SESSION, NULL, {30}},
        {62,
         61,
         1000,
         520,
         "bash",
         "/bin/bash",
         "-bash",
         SESSION,
         "SSH_CONNECTION=198.51.100.7 1000 192.0.2.1 22",
         {0}},
        {63, 62, 0, 530, "sudo", "/usr/bin/sudo", "sudo ringwall", SESSION, NULL, {0}},
        {64, 63, 0, 540, "ringwall", "/usr/bin/ringwall", "ringwall confirm", SESSION, NULL, {0}},
        {70,
         50,
         0,
         900,
         "sshd-session",
         "/usr/lib/openssh/sshd-session (deleted)",
         "sshd-session: alice [priv]",
         "0::/user.slice/user-1000.slice/session-4.scope\n",
         NULL,
         {31}},
        {71,
         70,
         1000,
         910,
         "sshd-session",
         "/usr/lib/openssh/sshd-session",
         "sshd-session: alice",
         "0::/user.slice/user-1000.slice/session-4.scope\n",
         NULL,
         {31}},
        {80, 50, 0, 950, "sshd", SSHD, "sshd: unknown [priv]", NULL, NULL, {32}},
        {81, 80, 105, 951, "sshd", SSHD, "sshd: unknown [net]", NULL, NULL, {32}},
        /* forked a moment ago; it has no title of its own yet, nor has the listener let go */
        {85,
         50,
         0,
         960,
         "sshd",
         SSHD,
         "sshd: " SSHD " -D [listener] 1 of 10-100 startups",
         NULL,
         NULL,
         {35}},
        {90, 1, 1001, 300, "sshd", "/home/mallory/sshd", "sshd: root@pts/9", NULL, NULL, {12, 33}},
        {91, 90, 1001, 310, "sh", "/bin/sh", "sh", NULL, NULL, {0}},
        /* a container in the host's network */
        {.pid = 92,
         .parent = 1,
         .comm = "sshd",
         .executable = SSHD,
         .started = 300,
         .sockets = {13, 34},
         .is_nested = true},
        /* a multiplexer's server outlived the connection that it was started from */
        {95, 1, 1000, 520, "tmux: server", "/usr/bin/tmux", "tmux", SESSION, "TERM=xterm", {0}},
        {96, 95, 1000, 530, "bash", "/bin/bash", "-bash", SESSION, NULL, {0}},
        {97, 1, 1000, 530, "bash", "/bin/bash", "-bash", NULL, "PATH=/bin\0", {0}},
        {99,
         1,
         0,
         530,
         "login",
         "/bin/login",
         "login",
         "0::/user.slice/user-0.slice/session-1.scope\n",
         NULL,
         {0}},
};

static const HostSocket listening[] = {
        {.proto = IPPROTO_TCP, .local_port = 22, .inode = 10},
        {.proto = IPPROTO_TCP, .local_port = 22, .inode = 11, .family = FAMILY_IPV6},
        {.proto = IPPROTO_TCP, .local_port = 2222, .inode = 12},
        {.proto = IPPROTO_TCP, .local_port = 23, .inode = 20},
        {.proto = IPPROTO_TCP, .local_port = 2223, .inode = 13},
        {.proto = IPPROTO_UDP, .local_port = 22, .inode = 10}, /* no SSH */
};

static HostSocket connection(uint16_t peer_port, uint32_t inode, uint16_t local_port) {
        return (HostSocket){.proto = IPPROTO_TCP,
                            .peer = u128(0xc6336407),
                            .local = u128(0xc0000201),
                            .peer_port = peer_port,
                            .local_port = local_port,
                            .inode = inode};
}

static Sshd find(const Tree *t) {
        HostSocket connected[] = {connection(1000, 30, 22), connection(2000, 31, 22),
                                  connection(3000, 32, 22), connection(4000, 33, 22),
                                  connection(5000, 0, 22),  connection(6000, 34, 22),
                                  connection(7000, 35, 22)};
        HostSocket *listeners =
                arena_alloc_array(t->arena, ARRAY_SIZE(listening), sizeof(*listeners));
        HostSockets list = {connected, ARRAY_SIZE(connected)};
        Listening all = {.sockets = {listeners, ARRAY_SIZE(listening)}};
        Sshd sshd = {0};

        assert_non_null(listeners);
        memcpy(listeners, listening, sizeof(listening));
        for (size_t i = 0; i < ARRAY_SIZE(processes); i++)
                tree_add_process(t, &processes[i]);
        assert_int_equal(process_read_holders(t, &all.sockets, &all.holders), 0);
        assert_int_equal(sshd_find_listeners(t, &all, &sshd), 0);
        assert_int_equal(sshd_find_connections(t, &list, &sshd), 0);
        return sshd;
}

static void only_roots_sshd_listens(void **state) {
        Sshd sshd = find(*state);

        assert_int_equal(sshd.n_listeners, 2);
        assert_int_equal(sshd.listeners[0].socket.local_port, 22);
        assert_int_equal(sshd.listeners[0].process->pid, 50);
        assert_null(sshd.listeners[0].unit);
        assert_int_equal(sshd.listeners[1].socket.family, FAMILY_IPV6);
}

static void process_1_listens_for_it(void **state) {
        const Tree *t = *state;
        Sshd sshd;

        tree_write(t, "/etc/systemd/system/ssh.socket", "[Socket]\nListenStream=23\n");
        sshd = find(t);
        assert_int_equal(sshd.n_listeners, 3);
        assert_int_equal(sshd.listeners[2].socket.local_port, 23);
        assert_int_equal(sshd.listeners[2].process->pid, 1);
        assert_string_equal(sshd.listeners[2].unit, "ssh.socket");
}

static void tells_who_is_logged_in(void **state) {
        Sshd sshd = find(*state);

        assert_int_equal(sshd.n_connections, 4);
        assert_int_equal(sshd.connections[0].process->pid, 60);
        assert_true(sshd.connections[0].is_authenticated);
        assert_int_equal(sshd.connections[0].uid, 1000);
        assert_int_equal(sshd.connections[0].started_usec, 500 * (1000000 / sysconf(_SC_CLK_TCK)));
        assert_true(
                sshd.connections[1].is_authenticated); /* without a terminal, with another name */
        assert_int_equal(sshd.connections[1].process->pid, 70);
        assert_false(sshd.connections[2].is_authenticated);
        assert_int_equal(sshd.connections[3].process->pid, 85);
        assert_false(sshd.connections[3].is_authenticated);
}

static const struct Caller {
        const char *name;
        int pid;
        SshProof proof;
        uint16_t peer_port;
} callers[] = {
        {"by sudo from a shell", 64, SSH_PROOF_PARENTS, 1000},
        {"sshd itself", 60, SSH_PROOF_PARENTS, 1000},
        {"what sshd runs as the user", 71, SSH_PROOF_PARENTS, 2000},
        {"a child of another's sshd", 91, SSH_PROOF_NONE, 0},
        {"under a multiplexer, by its session", 96, SSH_PROOF_SESSION, 1000},
        {"of no session", 97, SSH_PROOF_NONE, 0},
        {"at the console", 99, SSH_PROOF_NONE, 0},
        {"a container's sshd", 92, SSH_PROOF_NONE, 0},
        {"the sshd that listens", 50, SSH_PROOF_NONE, 0},
        {"process 1", 1, SSH_PROOF_NONE, 0},
};

static void finds_by_which_connection_a_process_came(void **state) {
        const Tree *t = *state;
        Sshd sshd;

        tree_write(t, "/run/systemd/sessions/3", "UID=1000\nACTIVE=1\nLEADER=60\nREMOTE=1\n");
        tree_write(t, "/run/systemd/sessions/1", "UID=0\nLEADER=99\nTTY=tty1\n");
        sshd = find(t);
        for (size_t i = 0; i < ARRAY_SIZE(callers); i++) {
                const struct Caller *c = &callers[i];
                const SshConnection *found = NULL;
                SshProof proof = _SSH_PROOF_MAX;

                unit_equal(c->name, sshd_find_caller(t, &sshd, c->pid, &proof, &found), 0);
                unit_equal(c->name, proof, c->proof);
                unit_equal(c->name, found ? found->socket.peer_port : 0, c->peer_port);
        }
}

static void a_caller_that_has_gone_is_an_error(void **state) {
        const Tree *t = *state;
        const SshConnection *found;
        Sshd sshd = find(t);
        SshProof proof;

        assert_int_equal(sshd_find_caller(t, &sshd, 12345, &proof, &found), -ESRCH);
}

/* What a process says of itself must at least name a connection that there is. */
static const struct Words {
        const char *environment;
        SshProof proof;
} words[] = {
        {"SSH_CONNECTION=198.51.100.7 2000 192.0.2.1 22", SSH_PROOF_ENVIRONMENT},
        {"SSH_CONNECTION=198.51.100.7 2001 192.0.2.1 22", SSH_PROOF_UNKNOWN},
        {"SSH_CONNECTION=198.51.100.7 2000 192.0.2.1 23", SSH_PROOF_UNKNOWN},
        {"SSH_CONNECTION=198.51.100.8 2000 192.0.2.1 22", SSH_PROOF_UNKNOWN},
        {"SSH_CONNECTION=198.51.100.7 2000 192.0.2.1", SSH_PROOF_UNKNOWN},
        {"SSH_CONNECTION=::1 2000 192.0.2.1 22", SSH_PROOF_UNKNOWN},
        {"SSH_CONNECTION=", SSH_PROOF_NONE},
        {"XSSH_CONNECTION=198.51.100.7 2000 192.0.2.1 22", SSH_PROOF_NONE},
};

static void the_environment_is_the_last_resort(void **state) {
        const Tree *t = *state;
        Sshd sshd = find(t);

        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
                const SshConnection *found = NULL;
                SshProof proof = _SSH_PROOF_MAX;

                tree_write_bytes(t, "/proc/97/environ", words[i].environment,
                                 strlen(words[i].environment) + 1);
                unit_equal(words[i].environment, sshd_find_caller(t, &sshd, 97, &proof, &found), 0);
                unit_equal(words[i].environment, proof, words[i].proof);
                if (proof != SSH_PROOF_NONE && proof != SSH_PROOF_UNKNOWN)
                        assert_int_equal(found->socket.peer_port, 2000);
        }
}

/* Process numbers come back: the sshd that was seen is not the one that has its number now. */
static void another_process_of_that_number_is_another(void **state) {
        const Tree *t = *state;
        const SshConnection *found = NULL;
        Sshd sshd = find(t);
        SshProof proof;

        tree_add_process(t, &(FakeProcess){.pid = 200, .parent = 201, .comm = "sh"});
        tree_add_process(t,
                         &(FakeProcess){.pid = 201, .parent = 1, .started = 500, .comm = "sshd"});
        assert_int_equal(sshd_find_caller(t, &sshd, 200, &proof, &found), 0);
        assert_int_equal(proof, SSH_PROOF_NONE);
        assert_int_equal(system(arena_printf(t->arena, "rm -r %s/proc/60", t->root)), 0);
        tree_add_process(t, &(FakeProcess){.pid = 60, .parent = 1, .started = 501, .comm = "sshd"});
        assert_int_equal(sshd_find_caller(t, &sshd, 61, &proof, &found), 0);
        assert_int_equal(proof, SSH_PROOF_NONE);
}

/* /proc read while processes end and numbers come back may show a circle. */
static void a_circle_of_parents_ends(void **state) {
        const Tree *t = *state;
        const SshConnection *found = NULL;
        Sshd sshd = find(t);
        SshProof proof;

        tree_add_process(t, &(FakeProcess){.pid = 200, .parent = 201, .comm = "a"});
        tree_add_process(t, &(FakeProcess){.pid = 201, .parent = 200, .comm = "b"});
        assert_int_equal(sshd_find_caller(t, &sshd, 200, &proof, &found), 0);
        assert_int_equal(proof, SSH_PROOF_NONE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(only_roots_sshd_listens),
                tree_test(process_1_listens_for_it),
                tree_test(tells_who_is_logged_in),
                tree_test(finds_by_which_connection_a_process_came),
                tree_test(a_caller_that_has_gone_is_an_error),
                tree_test(the_environment_is_the_last_resort),
                tree_test(another_process_of_that_number_is_another),
                tree_test(a_circle_of_parents_ends),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
