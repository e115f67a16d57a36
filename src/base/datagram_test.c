/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/datagram.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/unit.h"

#define MANY 20000 /* far more than any system lets wait at one socket */
#define PATIENCE_MS 20000

/* A socket under a path of this test's own. */
static int listen_at(char path[static 64]) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        (void)snprintf(path, 64, "/tmp/ringwall-datagram-XXXXXX");
        assert_non_null(mkdtemp(path));
        (void)snprintf(path + strlen(path), 16, "/socket");
        memcpy(address.sun_path, path, strlen(path) + 1);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        return fd;
}

static void remove_at(char *path) {
        assert_int_equal(unlink(path), 0);
        *strrchr(path, '/') = '\0';
        assert_int_equal(rmdir(path), 0);
}

static void an_address_that_cannot_be_is_refused(void **state) {
        char longer[200] = "/";

        memset(longer + 1, 'x', sizeof(longer) - 2);
        longer[sizeof(longer) - 1] = '\0';
        assert_int_equal(datagram_send("", "x", 1, -1, NULL), -EAFNOSUPPORT);
        assert_int_equal(datagram_send("@", "x", 1, -1, NULL), -EAFNOSUPPORT);
        assert_int_equal(datagram_send("run/socket", "x", 1, -1, NULL), -EAFNOSUPPORT);
        assert_int_equal(datagram_send("vsock:2:1", "x", 1, -1, NULL), -EAFNOSUPPORT);
        assert_int_equal(datagram_send(longer, "x", 1, -1, NULL), -ENAMETOOLONG);
}

static void nobody_there_is_an_error_and_no_signal(void **state) {
        char path[64];
        int fd = listen_at(path);

        assert_int_equal(datagram_send("/nowhere/socket", "x", 1, -1, NULL), -ENOENT);
        assert_int_equal(close(fd), 0);
        assert_int_equal(datagram_send(path, "x", 1, -1, NULL), -ECONNREFUSED);
        remove_at(path);
}

/* Who reads no more is not waited for; its place in the queue is, once somebody wants to. */
static void what_does_not_fit_says_when_there_is_room(void **state) {
        char path[64], text[8];
        int fd = listen_at(path), blocked = -1, r = 0;
        struct pollfd p = {.events = POLLOUT};

        for (int i = 0; i < MANY && r == 0; i++)
                r = datagram_send(path, "sign", 4, -1, &blocked);
        assert_int_equal(r, -EAGAIN);
        assert_true(blocked >= 0);
        p.fd = blocked;
        assert_int_equal(poll(&p, 1, 0), 0);
        for (int i = 0; i < MANY && poll(&p, 1, 0) == 0; i++)
                assert_int_equal(read(fd, text, sizeof(text)), 4);
        assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
        assert_int_equal(datagram_send(path, "next", 4, -1, NULL), 0);
        assert_int_equal(close(blocked), 0);
        assert_int_equal(close(fd), 0);
        remove_at(path);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_address_that_cannot_be_is_refused),
                cmocka_unit_test(nobody_there_is_an_error_and_no_signal),
                cmocka_unit_test(what_does_not_fit_says_when_there_is_room),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
