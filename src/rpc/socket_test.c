/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rpc/server_unit.h"

typedef struct Folder {
        char name[32], path[64];
} Folder;

static void folder_open(Folder *f) {
        (void)strcpy(f->name, "/tmp/ringwall-rpc-XXXXXX");
        assert_non_null(mkdtemp(f->name));
        assert_int_equal(chmod(f->name, 0755), 0);
        (void)snprintf(f->path, sizeof(f->path), "%s/io.ringwall", f->name);
}

static void folder_close(const Folder *f) {
        (void)unlink(f->path); /* it may not be there */
        assert_int_equal(rmdir(f->name), 0);
}

static void the_socket_has_the_mode_and_group_that_it_was_given(void **state) {
        static const mode_t modes[] = {0600, 0660, 0666};
        Folder f;
        struct stat st;
        int fd;

        folder_open(&f);
        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                mode_t before = umask(i == 0 ? 0 : 0077); /* which must not matter */

                fd = rpc_socket_listen(f.path, modes[i], WORLD_GROUP);
                (void)umask(before);
                assert_true(fd >= 0);
                assert_int_equal(stat(f.path, &st), 0);
                assert_true(S_ISSOCK(st.st_mode));
                assert_int_equal(st.st_mode & 07777, modes[i]);
                assert_int_equal(st.st_gid, WORLD_GROUP);
                assert_int_equal(st.st_uid, 0);
                assert_int_equal(close(fd), 0);
        }
        folder_close(&f);
}

static void what_a_dead_process_left_is_replaced(void **state) {
        Folder f;
        int first, second, client;

        folder_open(&f);
        first = rpc_socket_listen(f.path, 0600, RPC_NO_GROUP);
        assert_true(first >= 0);
        assert_int_equal(close(first), 0);
        assert_int_equal(rpc_socket_connect(f.path, 1000000), -ECONNREFUSED);
        second = rpc_socket_listen(f.path, 0600, RPC_NO_GROUP);
        assert_true(second >= 0);
        client = rpc_socket_connect(f.path, 1000000);
        assert_true(client >= 0);
        assert_int_equal(close(client), 0);
        assert_int_equal(close(second), 0);
        folder_close(&f);
}

static void the_socket_of_a_living_process_is_left_alone(void **state) {
        Folder f;
        int fd, client;

        folder_open(&f);
        fd = rpc_socket_listen(f.path, 0600, RPC_NO_GROUP);
        assert_true(fd >= 0);
        assert_int_equal(rpc_socket_listen(f.path, 0600, RPC_NO_GROUP), -EADDRINUSE);
        client = rpc_socket_connect(f.path, 1000000);
        assert_true(client >= 0);
        assert_int_equal(close(client), 0);
        assert_int_equal(close(fd), 0);
        folder_close(&f);
}

static void a_path_that_cannot_be_is_refused_and_leaves_nothing(void **state) {
        char path[256];
        Folder f;

        folder_open(&f);
        (void)snprintf(path, sizeof(path), "%s/%0100d", f.name, 0);
        assert_int_equal(rpc_socket_listen(path, 0600, RPC_NO_GROUP), -ENAMETOOLONG);
        assert_int_equal(rpc_socket_connect(path, 1000000), -ENAMETOOLONG);
        (void)snprintf(path, sizeof(path), "%s/none/x", f.name);
        assert_int_equal(rpc_socket_listen(path, 0600, RPC_NO_GROUP), -ENOENT);
        /* a folder in its place */
        assert_int_equal(mkdir(f.path, 0700), 0);
        assert_int_equal(rpc_socket_listen(f.path, 0600, RPC_NO_GROUP), -EISDIR);
        assert_int_equal(rmdir(f.path), 0);
        folder_close(&f);
}

static void connecting_waits_no_longer_than_told(void **state) {
        int fds[1024], fd;
        size_t n = 0;
        Folder f;

        folder_open(&f);
        fd = rpc_socket_listen(f.path, 0600, RPC_NO_GROUP);
        assert_true(fd >= 0);
        do
                fds[n] = rpc_socket_connect(f.path, 20000);
        while (fds[n] >= 0 && ++n < ARRAY_SIZE(fds));
        assert_true(n < ARRAY_SIZE(fds));
        assert_int_equal(fds[n], -EAGAIN);
        while (n > 0)
                assert_int_equal(close(fds[--n]), 0);
        assert_int_equal(close(fd), 0);
        folder_close(&f);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_socket_has_the_mode_and_group_that_it_was_given),
                cmocka_unit_test(what_a_dead_process_left_is_replaced),
                cmocka_unit_test(the_socket_of_a_living_process_is_left_alone),
                cmocka_unit_test(a_path_that_cannot_be_is_refused_and_leaves_nothing),
                cmocka_unit_test(connecting_waits_no_longer_than_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
