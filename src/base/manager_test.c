/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/manager.h"
#include "base/unit.h"

#define MANY 20000 /* far more than any system lets wait at one socket */

typedef struct Listener {
        int fd;
        Manager manager;
} Listener;

/* Listens under an abstract name that the kernel chooses. */
static int listen_start(void **state) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        socklen_t length = sizeof(address);
        Listener *l = calloc(1, sizeof(*l));
        char name[sizeof(address.sun_path) + 1];

        *state = l;
        if (!l)
                return -1;
        l->manager.blocked = -1;
        l->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&address, sizeof(address.sun_family)) < 0 ||
            getsockname(l->fd, (struct sockaddr *)&address, &length) < 0)
                return -1;
        length -= (socklen_t)offsetof(struct sockaddr_un, sun_path);
        memcpy(name, address.sun_path, length);
        name[0] = '@';
        name[length] = '\0';
        return setenv("NOTIFY_SOCKET", name, 1);
}

static int listen_stop(void **state) {
        Listener *l = *state;

        manager_done(&l->manager);
        (void)close(l->fd);
        free(l);
        return unsetenv("NOTIFY_SOCKET");
}

/* The next message; "" if none waits. ret_fd: what came with it, or -1. */
static const char *hear(const Listener *l, int *ret_fd) {
        static char text[MANAGER_TEXT_MAX];
        char control[CMSG_SPACE(sizeof(int))];
        struct iovec data = {.iov_base = text, .iov_len = sizeof(text) - 1};
        struct msghdr message = {.msg_iov = &data,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(l->fd, &message, MSG_CMSG_CLOEXEC);
        const struct cmsghdr *head = CMSG_FIRSTHDR(&message);

        text[MAX(n, (ssize_t)0)] = '\0';
        *ret_fd = -1;
        if (n >= 0 && head && head->cmsg_type == SCM_RIGHTS)
                memcpy(ret_fd, CMSG_DATA(head), sizeof(int));
        return text;
}

static void assert_heard(const Listener *l, const char *expected) {
        int fd;

        assert_string_equal(hear(l, &fd), expected);
        assert_int_equal(fd, -1);
}

/* Gives signs of life until no more fit. */
static void fill(Listener *l) {
        int r = 0;

        for (size_t i = 0; i < MANY && r == 0; i++)
                r = manager_tell(&l->manager, MANAGER_ALIVE, -1, "WATCHDOG=1");
        assert_int_equal(r, -EAGAIN);
}

static void read_all_signs(const Listener *l) {
        int fd;

        while (streq(hear(l, &fd), "WATCHDOG=1"))
                ;
}

static void tells_who_reads(void **state) {
        Listener *l = *state;

        assert_int_equal(manager_tell(&l->manager, MANAGER_STATE, -1, "READY=1"), 0);
        assert_heard(l, "READY=1");
        assert_heard(l, "");
        assert_int_equal(l->manager.blocked, -1);
}

static void tells_a_path_as_well(void **state) {
        Listener *l = *state;
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        strcpy(address.sun_path, "/tmp/manager_test.XXXXXX");
        assert_non_null(mkdtemp(address.sun_path));
        strcat(address.sun_path, "/notify");
        (void)close(l->fd);
        l->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(l->fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
        assert_int_equal(manager_tell(&l->manager, MANAGER_STATUS, -1, "STATUS=well"), 0);
        (void)unlink(address.sun_path);
        *strrchr(address.sun_path, '/') = '\0';
        (void)rmdir(address.sun_path);
        assert_heard(l, "STATUS=well");
}

static void sends_a_descriptor(void **state) {
        Listener *l = *state;
        int ends[2], fd;
        char c = 0;

        assert_int_equal(pipe(ends), 0);
        assert_int_equal(manager_tell(&l->manager, MANAGER_KEEP, ends[1], "FDSTORE=1"), 0);
        assert_string_equal(hear(l, &fd), "FDSTORE=1");
        assert_int_equal(write(fd, "x", 1), 1);
        assert_int_equal(read(ends[0], &c, 1), 1);
        (void)close(fd);
        (void)close(ends[0]);
        (void)close(ends[1]);
}

/* A blocking send would hang, until meson gives the test up. */
static void does_not_wait_for_who_does_not_read(void **state) {
        Listener *l = *state;
        struct pollfd room;

        fill(l);
        room = (struct pollfd){.fd = l->manager.blocked, .events = POLLOUT};
        assert_true(room.fd >= 0);
        assert_int_equal(poll(&room, 1, 0), 0);
        read_all_signs(l);
        assert_int_equal(poll(&room, 1, 0), 1);
        assert_true(room.revents & POLLOUT);
}

static void what_matters_comes_once_it_reads_again(void **state) {
        Listener *l = *state;
        int fd;

        fill(l);
        assert_int_equal(manager_tell(&l->manager, MANAGER_STATUS, -1, "STATUS=old"), -EAGAIN);
        assert_int_equal(manager_tell(&l->manager, MANAGER_STATE, -1, "READY=1"), -EAGAIN);
        assert_int_equal(manager_tell(&l->manager, MANAGER_KEEP, l->fd, "FDSTORE=1"), -EAGAIN);
        assert_int_equal(manager_tell(&l->manager, MANAGER_FORGET, -1, "FDSTOREREMOVE=1"), -EAGAIN);
        assert_int_equal(manager_tell(&l->manager, MANAGER_STATUS, -1, "STATUS=new"), -EAGAIN);
        assert_int_equal(manager_flush(&l->manager), -EAGAIN);
        read_all_signs(l); /* and what follows them: nothing */
        assert_int_equal(manager_flush(&l->manager), 0);
        assert_heard(l, "FDSTOREREMOVE=1");
        assert_string_equal(hear(l, &fd), "FDSTORE=1");
        assert_true(fd >= 0);
        (void)close(fd);
        assert_heard(l, "READY=1");
        assert_heard(l, "STATUS=new");
        assert_heard(l, "");
        assert_int_equal(l->manager.blocked, -1);
        assert_int_equal(manager_flush(&l->manager), 0);
        assert_heard(l, "");
}

static void it_comes_before_the_next_sign_of_life(void **state) {
        Listener *l = *state;

        fill(l);
        assert_int_equal(manager_tell(&l->manager, MANAGER_WAIT, -1, "WATCHDOG_USEC=1"), -EAGAIN);
        read_all_signs(l);
        assert_int_equal(manager_tell(&l->manager, MANAGER_ALIVE, -1, "WATCHDOG=1"), 0);
        assert_heard(l, "WATCHDOG_USEC=1");
        assert_heard(l, "WATCHDOG=1");
}

static void what_cannot_be_sent_holds_up_nothing_else(void **state) {
        Listener *l = *state;
        int none = INT32_MAX; /* a number that no descriptor has */

        assert_int_equal(manager_tell(&l->manager, MANAGER_KEEP, none, "FDSTORE=1"), -EBADF);
        assert_int_equal(manager_tell(&l->manager, MANAGER_ALIVE, -1, "WATCHDOG=1"), -EBADF);
        assert_heard(l, "WATCHDOG=1");
}

static void nobody_may_want_to_be_told(void **state) {
        Listener *l = *state;

        assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
        assert_int_equal(manager_tell(&l->manager, MANAGER_STATE, -1, "READY=1"), 0);
        assert_int_equal(setenv("NOTIFY_SOCKET", "", 1), 0);
        assert_int_equal(manager_tell(&l->manager, MANAGER_STATE, -1, "READY=1"), 0);
        assert_int_equal(setenv("NOTIFY_SOCKET", "vsock:2:1", 1), 0);
        assert_int_equal(manager_tell(&l->manager, MANAGER_STATE, -1, "READY=1"), -EAFNOSUPPORT);
        assert_int_equal(setenv("NOTIFY_SOCKET", "/nowhere/notify", 1), 0);
        assert_int_equal(manager_tell(&l->manager, MANAGER_STATE, -1, "READY=1"), -ENOENT);
        assert_heard(l, "");
}

#define listened_test(function) cmocka_unit_test_setup_teardown(function, listen_start, listen_stop)

int main(void) {
        const struct CMUnitTest tests[] = {
                listened_test(tells_who_reads),
                listened_test(tells_a_path_as_well),
                listened_test(sends_a_descriptor),
                listened_test(does_not_wait_for_who_does_not_read),
                listened_test(what_matters_comes_once_it_reads_again),
                listened_test(it_comes_before_the_next_sign_of_life),
                listened_test(what_cannot_be_sent_holds_up_nothing_else),
                listened_test(nobody_may_want_to_be_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
