/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/socket_unit.h"

#include "host/tree_unit.h"

static const char *find(const Tree *t, uint16_t port, uint64_t cgroup) {
        HostSocket socket = {.local_port = port, .cgroup = cgroup};
        const char *unit = "";

        assert_int_equal(socket_unit_find(t, &socket, "ssh", &unit), 0);
        return unit;
}

static void nothing_there_is_none(void **state) {
        assert_null(find(*state, 22, 0));
        assert_null(find(*state, 22, 99));
}

static void the_control_group_tells_the_unit(void **state) {
        const Tree *t = *state;
        uint64_t alone = tree_folder(t, "/sys/fs/cgroup/system.slice/ssh.socket");
        uint64_t beside = tree_folder(t, "/sys/fs/cgroup/unified/system.slice/sshd.socket");
        uint64_t other = tree_folder(t, "/sys/fs/cgroup/system.slice/cups.socket");

        assert_string_equal(find(t, 2222, alone), "ssh.socket");
        assert_string_equal(find(t, 2222, beside), "sshd.socket");
        assert_null(find(t, 2222, other));
}

static void the_units_files_tell_the_ports(void **state) {
        const Tree *t = *state;

        tree_write(t, "/usr/lib/systemd/system/ssh.socket",
                   "[Unit]\nBefore=sockets.target\n[Socket]\n# ListenStream=23\n"
                   " ListenStream = 22 \nListenStream=0.0.0.0:2022\nListenStream=[::]:2023\n"
                   "ListenStream=/run/x.sock\nListenStreams=99\nListenStream=70000\n");
        assert_string_equal(find(t, 22, 0), "ssh.socket");
        assert_string_equal(find(t, 2022, 0), "ssh.socket");
        assert_string_equal(find(t, 2023, 0), "ssh.socket");
        assert_null(find(t, 23, 0));
        assert_null(find(t, 99, 0));
        assert_null(find(t, 70000 & 0xffff, 0));
}

static void the_administrators_file_goes_before_the_packages(void **state) {
        const Tree *t = *state;

        tree_write(t, "/usr/lib/systemd/system/ssh.socket", "[Socket]\nListenStream=22\n");
        tree_write(t, "/etc/systemd/system/ssh.socket", "[Socket]\nListenStream=2022\n");
        assert_null(find(t, 22, 0));
        assert_string_equal(find(t, 2022, 0), "ssh.socket");
}

static void drop_ins_add_and_take_back(void **state) {
        const Tree *t = *state;

        tree_write(t, "/lib/systemd/system/ssh.socket", "[Socket]\nListenStream=22\n");
        tree_write(t, "/etc/systemd/system/ssh.socket.d/20-more.conf",
                   "[Socket]\nListenStream=2023\n");
        tree_write(t, "/run/systemd/generator/ssh.socket.d/10-ports.conf",
                   "[Socket]\nListenStream=\nListenStream=2022");
        assert_null(find(t, 22, 0));
        assert_string_equal(find(t, 2022, 0), "ssh.socket");
        assert_string_equal(find(t, 2023, 0), "ssh.socket");

        /* the same name in a folder that goes before hides the other */
        tree_link(t, "/etc/systemd/system/ssh.socket.d/10-ports.conf", "/dev/null");
        assert_string_equal(find(t, 22, 0), "ssh.socket");
        assert_null(find(t, 2022, 0));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(nothing_there_is_none),
                tree_test(the_control_group_tells_the_unit),
                tree_test(the_units_files_tell_the_ports),
                tree_test(the_administrators_file_goes_before_the_packages),
                tree_test(drop_ins_add_and_take_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
