/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/process.h"

#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "host/tree_unit.h"

static HostSockets sockets_of(const Tree *t, const uint32_t *inodes, size_t n) {
        HostSockets sockets = {0};

        for (size_t i = 0; i < n; i++)
                assert_true(arena_append(t->arena, sockets.items, sockets.n_items,
                                         (HostSocket){.inode = inodes[i]}));
        return sockets;
}

static void reads_a_process(void **state) {
        const Tree *t = *state;
        HostProcess p;

        tree_add_process(t, &(FakeProcess){.pid = 42,
                                           .parent = 7,
                                           .uid = 33,
                                           .started = 12345,
                                           .comm = "nginx",
                                           .executable = "/usr/sbin/nginx (deleted)",
                                           .command = "nginx: worker process",
                                           .cgroup = "0::/system.slice/nginx.service\n"});
        assert_int_equal(process_read(t, 42, &p), 0);
        assert_int_equal(p.pid, 42);
        assert_int_equal(p.parent, 7);
        assert_int_equal(p.uid, 33);
        assert_int_equal(p.started_usec, 12345 * (1000000 / sysconf(_SC_CLK_TCK)));
        assert_string_equal(p.comm, "nginx");
        assert_string_equal(p.executable, "/usr/sbin/nginx");
        assert_true(p.is_deleted);
        assert_string_equal(p.command, "nginx: worker process");
        assert_string_equal(p.cgroup.unit, "nginx.service");
        assert_false(p.is_nested);
        assert_int_equal(process_read(t, 43, &p), -ESRCH);

        tree_add_process(t, &(FakeProcess){.pid = 44, .comm = "x", .is_nested = true});
        assert_int_equal(process_read(t, 44, &p), 0);
        assert_true(p.is_nested);
}

static void arguments_are_joined_and_cleaned(void **state) {
        static const char command[] = "python3\0-m\0http.server\0\033[31m\nred\0\0";
        const Tree *t = *state;
        HostProcess p;

        tree_add_process(t, &(FakeProcess){.pid = 42, .comm = "python3"});
        tree_write_bytes(t, "/proc/42/cmdline", command, sizeof(command) - 1);
        assert_int_equal(process_read(t, 42, &p), 0);
        assert_string_equal(p.command, "python3 -m http.server ?[31m?red");
        assert_null(p.executable);
}

/* Of a process's name everything is its own choice, but its length. */
static const struct Name {
        const char *comm, *expected;
        int parent;
} names[] = {
        {"a) S 1 (b", "a) S 1 (b", 7},
        {")", ")", 7},
        {") R 99 ", ") R 99 ", 7},
        {"x\ny", "x?y", 7},
};

static void a_name_cannot_forge_the_parent(void **state) {
        const Tree *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                HostProcess p;

                tree_write(t, "/proc/5/stat",
                           arena_printf(t->arena,
                                        "5 (%s) S 7 5 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 99 0",
                                        names[i].comm));
                tree_write(t, "/proc/5/status", "Name:\tx\nUid:\t0\t0\t0\t0\n");
                unit_equal(names[i].comm, process_read(t, 5, &p), 0);
                unit_string(names[i].comm, p.comm, names[i].expected);
                unit_equal(names[i].comm, p.parent, names[i].parent);
        }
}

static void is_not_confused_by_broken_files(void **state) {
        static const char *const stats[] = {"",
                                            "5",
                                            "5 (",
                                            "5 (x",
                                            "5 (x)",
                                            "5 (x) S",
                                            ") (",
                                            "5 (x) S -1 5",
                                            "5 (x) S 7 5 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0"};
        const Tree *t = *state;
        HostProcess p;

        tree_write(t, "/proc/5/status", "Name:\tx\nUid:\t0\t0\t0\t0\n");
        for (size_t i = 0; i < ARRAY_SIZE(stats); i++) {
                tree_write(t, "/proc/5/stat", stats[i]);
                unit_equal(stats[i], process_read(t, 5, &p), -ESRCH);
        }
        tree_add_process(t, &(FakeProcess){.pid = 6, .comm = "x"});
        tree_write(t, "/proc/6/status", "Name:\tx\nUid:\t0");
        assert_int_equal(process_read(t, 6, &p), -ESRCH);
}

static void finds_who_holds_a_socket(void **state) {
        static const FakeProcess processes[] = {
                {.pid = 1, .comm = "systemd", .started = 1, .sockets = {100, 200}},
                {.pid = 30,
                 .parent = 1,
                 .comm = "nginx",
                 .started = 50,
                 .sockets = {100, 100, 101}},
                {.pid = 31, .parent = 30, .comm = "nginx", .started = 60, .sockets = {101}},
                {.pid = 40, .parent = 1, .comm = "other", .started = 70, .sockets = {102}},
        };
        static const uint32_t wanted[] = {101, 0, 100, 200, 103};
        const Tree *t = *state;
        HostSockets sockets = sockets_of(t, wanted, ARRAY_SIZE(wanted));
        Holders holders;
        size_t n;

        for (size_t i = 0; i < ARRAY_SIZE(processes); i++)
                tree_add_process(t, &processes[i]);
        tree_link(t, "/proc/40/fd/9", "/dev/null");
        tree_link(t, "/proc/40/fd/10", "socket:[100");
        tree_link(t, "/proc/40/fd/11", "anon_inode:[100]");
        tree_link(t, "/proc/self", "40");
        assert_int_equal(process_read_holders(t, &sockets, &holders), 0);
        assert_int_equal(holders.n_items, 5);
        assert_int_equal(process_find_holder(&holders, 100, &n)->process->pid, 1);
        assert_int_equal(n, 2);
        assert_int_equal(process_find_holder(&holders, 101, &n)[1].process->pid, 31);
        assert_null(process_find_holder(&holders, 102, &n)); /* nobody asked for it */
        assert_null(process_find_holder(&holders, 103, &n));
        assert_int_equal(n, 0);
        assert_int_equal(process_find_server(&holders, 101)->pid, 30);
        assert_int_equal(process_find_server(&holders, 100)->pid, 30);
        assert_int_equal(process_find_server(&holders, 200)->pid, 1);
        assert_null(process_find_server(&holders, 103));
}

static void a_process_that_goes_away_is_no_error(void **state) {
        static const uint32_t wanted[] = {100};
        const Tree *t = *state;
        HostSockets sockets = sockets_of(t, wanted, 1);
        Holders holders;

        (void)tree_folder(t, "/proc/41");              /* its descriptors have gone */
        tree_link(t, "/proc/42/fd/3", "socket:[100]"); /* so has everything else */
        tree_add_process(t, &(FakeProcess){.pid = 43, .comm = "x", .sockets = {100}});
        assert_int_equal(process_read_holders(t, &sockets, &holders), 0);
        assert_int_equal(holders.n_items, 1);
        assert_int_equal(holders.items[0].process->pid, 43);
        assert_int_equal(holders.n_unreadable, 0);
}

/* With the running kernel: this process, and one of another user's that we may not look into. */
static void sees_itself(void **state) {
        Tree t = {.arena = ((const Tree *)*state)->arena, .root = ""};
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct timespec now;
        uint64_t now_usec;
        struct stat st;
        Holders holders;
        HostProcess p;
        uint32_t inode;
        HostSockets sockets;

        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        inode = (uint32_t)st.st_ino;
        sockets = sockets_of(&t, &inode, 1);
        assert_int_equal(process_read_holders(&t, &sockets, &holders), 0);
        assert_int_equal(holders.n_items, 1);
        assert_int_equal(holders.items[0].process->pid, getpid());
        assert_int_equal(holders.items[0].process->parent, getppid());
        assert_int_equal(holders.items[0].process->uid, geteuid());
        assert_non_null(strstr(holders.items[0].process->executable, "process_test"));
        assert_false(holders.items[0].process->is_deleted);
        assert_false(holders.items[0].process->is_nested);
        (void)close(fd);

        assert_int_equal(process_read(&t, getpid(), &p), 0);
        assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &now), 0);
        now_usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
        assert_in_range(p.started_usec, now_usec - 120 * 1000000ULL, now_usec);
}

/* With the running kernel: the name stands in front of the user in the same file. */
static void a_name_cannot_forge_the_user(void **state) {
        Tree t = {.arena = ((const Tree *)*state)->arena, .root = ""};
        HostProcess p;

        assert_int_equal(prctl(PR_SET_NAME, "x\nUid:\t0\t0\t0\n"), 0);
        assert_int_equal(seteuid(65534), 0);
        int r = process_read(&t, getpid(), &p);
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(r, 0);
        assert_int_equal(p.uid, 65534);
        assert_string_equal(p.comm, "x?Uid:?0?0?0?");
}

static void without_root_it_says_what_it_could_not_see(void **state) {
        const Tree *t = *state;
        Tree real = {.arena = t->arena, .root = ""};
        uint32_t inode = 1;
        HostSockets sockets = sockets_of(t, &inode, 1);
        Holders holders;

        assert_int_equal(geteuid(), 0);
        assert_int_equal(seteuid(65534), 0);
        int r = process_read_holders(&real, &sockets, &holders);
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(r, 0);
        assert_true(holders.n_unreadable > 0); /* process 1, at least */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(reads_a_process),
                tree_test(arguments_are_joined_and_cleaned),
                tree_test(a_name_cannot_forge_the_parent),
                tree_test(is_not_confused_by_broken_files),
                tree_test(finds_who_holds_a_socket),
                tree_test(a_process_that_goes_away_is_no_error),
                tree_test(sees_itself),
                tree_test(a_name_cannot_forge_the_user),
                tree_test(without_root_it_says_what_it_could_not_see),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
