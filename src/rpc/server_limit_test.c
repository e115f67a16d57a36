/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the server does about clients that mean harm, or do not know how to behave. */

#include <sys/resource.h>

#include "rpc/server_unit.h"

#define INVALID(message)                                                                           \
        "{\"error\":\"io.ringwall.InvalidMessage\",\"parameters\":{\"message\":\"" message "\"}}"

// clang-format off
static const struct {
        const char *what, *reply;
} garbage[] = {
        { "hello",                  INVALID("byte 5: '[' or '{' expected near 'hello'") },
        { "",                       INVALID("byte 0: '[' or '{' expected near end of file") },
        { "[]",                     INVALID("the message is an array, not an object") },
        { "{}",                     INVALID("'method' is missing in the call, or not what it must be") },
        { "{\"method\":1}",         INVALID("'method' is missing in the call, or not what it must be") },
        { "{\"method\":\"io.ringwall.Write\",\"parameters\":[]}",
          INVALID("'parameters' is missing in the call, or not what it must be") },
        { "{\"method\":\"io.ringwall.Write\",\"oneway\":\"yes\"}",
          INVALID("'oneway' is missing in the call, or not what it must be") },
        { "{\"method\":\"io.ringwall.Write\",\"oneway\":true,\"more\":true}",
          INVALID("'more' is missing in the call, or not what it must be") },
        { "{\"method\":\"io.ringwall.Write\",\"upgrade\":true}",
          INVALID("'upgrade' is missing in the call, or not what it must be") },
        { "{\"method\":\"io.ringwall.Write\",\"later\":true}",
          INVALID("'later' is missing in the call, or not what it must be") },
        { "{\"method\":\"io.ringwall.Write\",\"method\":\"io.ringwall.Read\"}",
          INVALID("byte 38: duplicate object key near '\\\"method\\\"'") },
};
// clang-format on

static void who_sends_no_call_is_told_and_disconnected(void **state) {
        World *w = world_open((RpcServerOptions){0});

        for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
                int fd = world_connect(w);

                world_send(fd, garbage[i].what);
                world_send(fd, CALL("Write")); /* nothing runs any more */
                world_expect(w, fd, garbage[i].reply);
                world_expect_end(w, fd);
                assert_int_equal(world_counts(w)->invalid, i + 1);
        }
        assert_int_equal(w->sample.n_written, 0);
        world_close(w);
}

static void half_a_message_is_waited_for_only_so_long(void **state) {
        World *w = world_open((RpcServerOptions){.part_usec = 1000000});
        int fd = world_connect(w);

        world_send_bytes(fd, "{\"method\"", 9);
        world_expect(w, fd, INVALID("the message was not complete after 1 seconds"));
        world_expect_end(w, fd);
        assert_int_equal(world_counts(w)->late, 1);
        world_close(w);
}

/* A method may have kept the loop for longer than that. */
static void what_came_in_time_counts_although_the_loop_was_late(void **state) {
        World *w = world_open((RpcServerOptions){.part_usec = 500000});
        int fds[RPC_CLIENTS_PER_USER];

        for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
                fds[i] = world_connect(w);
                world_send_bytes(fds[i], "{\"method\":", 10);
        }
        world_settle(w);
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                world_send(fds[i], "\"io.ringwall.Read\"}");
        assert_int_equal(usleep(600000), 0); /* the method */
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
                world_expect(w, fds[i], NOTHING);
                world_hang_up(fds[i]);
        }
        assert_int_equal(world_counts(w)->late, 0);
        world_close(w);
}

/* The time of a message counts from its first byte, and that of each anew. */
static void a_byte_now_and_then_does_not_prolong_it(void **state) {
        World *w = world_open((RpcServerOptions){.part_usec = 100000});
        int fd = world_connect(w);

        world_send(fd, CALL("Read"));
        world_send_bytes(fd, "{", 1);
        world_expect(w, fd, NOTHING);
        world_await(w, send(fd, " ", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EPIPE);
        assert_int_equal(world_counts(w)->late, 1);
        world_hang_up(fd);
        world_close(w);
}

static void a_message_in_time_is_taken_however_it_is_cut(void **state) {
        static const char call[] = CALL("Read");
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w);

        for (size_t i = 0; i < sizeof(call); i++) {
                world_send_bytes(fd, call + i, 1);
                world_settle(w);
        }
        world_expect(w, fd, NOTHING);
        world_hang_up(fd);
        world_close(w);
}

static void who_does_nothing_is_disconnected_unless_it_waits(void **state) {
        World *w = world_open((RpcServerOptions){.idle_usec = 50000});
        int idle = world_connect(w), waiting = world_connect(w);

        world_send(waiting, CALL("Wait"));
        world_await(w, w->sample.n_waiting == 1);
        world_expect_end(w, idle);
        world_await(w, rpc_server_clients(w->sample.server) == 1);
        /* longer than anybody may idle */
        world_turn(w, 150000);
        world_settle(w);
        sample_release(&w->sample);
        world_expect(w, waiting, NOTHING);
        world_expect_end(w, waiting); /* idle now */
        world_close(w);
}

/* Sends without end until the server has had enough; how many bytes it took. */
static size_t send_without_end(World *w, int fd, size_t limit) {
        static const char piece[65536] = {[0 ... 65535] = 'x'};
        size_t sent = 0;

        while (sent < limit) {
                ssize_t n = send(fd, piece, sizeof(piece), MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0 && errno != EAGAIN)
                        return sent;
                if (n > 0)
                        sent += (size_t)n;
                world_turn(w, 0);
        }
        return sent;
}

/* Of what was taken, the socket's own buffer is a part. */
static void a_message_of_a_gigabyte_is_refused_at_the_limit(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w);
        size_t sent = send_without_end(w, fd, (size_t)1 << 30);

        assert_true(sent > RPC_MESSAGE_MAX);
        assert_true(sent < RPC_MESSAGE_MAX + ((size_t)1 << 20));
        world_expect(w, fd, INVALID("the message is longer than 1048576 bytes"));
        world_expect_end(w, fd);
        assert_int_equal(world_counts(w)->invalid, 1);
        world_close(w);
}

static void others_than_root_may_send_less(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect_as(w, 1000, 1000, 1000);
        size_t sent = send_without_end(w, fd, (size_t)1 << 30);

        assert_true(sent < RPC_MESSAGE_MAX_OTHERS + ((size_t)1 << 20));
        world_expect(w, fd, INVALID("the message is longer than 65536 bytes"));
        world_expect_end(w, fd);
        world_close(w);
}

static void answers_that_nobody_reads_do_not_pile_up(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w);

        world_send(fd, "{\"method\":\"io.ringwall.Count\",\"more\":true,"
                       "\"parameters\":{\"ticks\":1000,\"bytes\":100000}}");
        world_await(w, world_counts(w)->unread == 1);
        world_await(w, rpc_server_clients(w->sample.server) == 0);
        world_hang_up(fd);
        world_close(w);
}

static void one_large_answer_has_its_time_to_be_read(void **state) {
        static const char call[] = "{\"method\":\"io.ringwall.Count\","
                                   "\"parameters\":{\"ticks\":1,\"bytes\":1000000}}";
        World *w = world_open((RpcServerOptions){.stall_usec = 1000000});
        int sleeper = world_connect(w), reader = world_connect(w);
        size_t n_read = 0;
        char bytes[4096];

        world_send(sleeper, call);
        world_settle(w);
        world_send(reader, call);
        while (n_read < 1000000) {
                ssize_t n = recv(reader, bytes, sizeof(bytes), MSG_DONTWAIT);

                assert_int_not_equal(n, 0);
                n_read += (size_t)MAX(n, 0);
                world_turn(w, 0);
        }
        world_await(w, world_counts(w)->unread == 1);
        assert_int_equal(rpc_server_clients(w->sample.server), 1);
        world_hang_up(reader);
        world_hang_up(sleeper);
        world_close(w);
}

/* However many there are, each within its own limit. */
static void what_others_do_not_read_has_a_limit_in_all(void **state) {
        static const char call[] = "{\"method\":\"io.ringwall.Count\","
                                   "\"parameters\":{\"ticks\":1,\"bytes\":16000000}}";
        World *w = world_open((RpcServerOptions){0});
        int fds[5], root;

        for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
                fds[i] = world_connect_as(w, 1000 + (uid_t)i, 1000, 1000);
                world_send(fds[i], call);
                world_settle(w);
                assert_int_equal(world_counts(w)->unread, i < 4 ? 0 : 1);
        }
        root = world_connect(w);
        world_send(root, call);
        world_settle(w);
        assert_int_equal(world_counts(w)->unread, 1);
        assert_int_equal(rpc_server_clients(w->sample.server), 5);
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                world_hang_up(fds[i]);
        world_hang_up(root);
        world_close(w);
}

static void calls_are_not_read_while_answers_wait(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w);

        world_send(fd, "{\"method\":\"io.ringwall.Count\","
                       "\"parameters\":{\"ticks\":1,\"bytes\":2000000}}");
        world_send(fd, CALL("Write"));
        world_settle(w);
        assert_int_equal(world_counts(w)->calls, 1);
        assert_int_equal(w->sample.n_written, 0);
        world_hang_up(fd);
        world_await(w, rpc_server_clients(w->sample.server) == 0);
        assert_int_equal(w->sample.n_written, 0);
        world_close(w);
}

static void connect_some(World *w, uid_t uid, int *fds, size_t n) {
        for (size_t i = 0; i < n; i++) {
                fds[i] = world_connect_as(w, uid, uid, uid);
                world_settle(w);
        }
}

static void hang_up_some(int *fds, size_t n) {
        for (size_t i = 0; i < n; i++)
                world_hang_up(fds[i]);
}

static void a_user_may_have_only_so_many_connections(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fds[RPC_CLIENTS_PER_USER], fd, other;

        connect_some(w, 1000, fds, RPC_CLIENTS_PER_USER);
        fd = world_connect_as(w, 1000, 1000, 1000);
        /* the reason is there although the client has said something first */
        world_send(fd, CALL("Release"));
        world_expect(w, fd,
                     "{\"error\":\"io.ringwall.TooManyClients\",\"parameters\":{\"message\":"
                     "\"user 1000 has 16 connections already: close one, or try again later\"}}");
        world_expect_end(w, fd);
        assert_int_equal(world_counts(w)->refused, 1);
        other = world_connect_as(w, 1001, 1001, 1001);
        world_call(w, other, CALL("Release"), NOTHING);
        /* one less, and there is room again */
        world_hang_up(fds[0]);
        world_settle(w);
        fds[0] = world_connect_as(w, 1000, 1000, 1000);
        world_call(w, fds[0], CALL("Release"), NOTHING);
        hang_up_some(fds, RPC_CLIENTS_PER_USER);
        world_hang_up(other);
        world_close(w);
}

static void nobody_can_shut_root_out(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int others[RPC_CLIENTS_MAX - RPC_CLIENTS_RESERVED], roots[RPC_CLIENTS_RESERVED], fd;

        for (size_t i = 0; i < 3; i++)
                connect_some(w, 1000 + (uid_t)i, others + 16 * i, 16);
        fd = world_connect_as(w, 2000, 2000, 2000);
        world_expect(w, fd,
                     "{\"error\":\"io.ringwall.TooManyClients\",\"parameters\":{\"message\":"
                     "\"there are 48 connections already: try again later\"}}");
        world_expect_end(w, fd);
        for (size_t i = 0; i < RPC_CLIENTS_RESERVED; i++) {
                roots[i] = world_connect(w);
                world_call(w, roots[i], CALL("Write"), NOTHING);
        }
        assert_int_equal(rpc_server_clients(w->sample.server), RPC_CLIENTS_MAX);
        hang_up_some(others, ARRAY_SIZE(others));
        hang_up_some(roots, ARRAY_SIZE(roots));
        world_await(w, rpc_server_clients(w->sample.server) == 0);
        world_close(w);
}

/* How often the loop finds something to do in the time given. */
static unsigned int count_turns(World *w, uint64_t usec) {
        uint64_t now, end;
        unsigned int n = 0;

        assert_true(sd_event_now(w->event, CLOCK_MONOTONIC, &now) >= 0);
        for (end = now + usec; now < end; n++) {
                world_turn(w, end - now);
                assert_true(sd_event_now(w->event, CLOCK_MONOTONIC, &now) >= 0);
        }
        return n;
}

static void a_full_house_waits_for_room_without_spinning(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fds[RPC_CLIENTS_MAX], fd;

        connect_some(w, 0, fds, RPC_CLIENTS_MAX);
        fd = world_connect(w);
        world_send(fd, CALL("Read"));
        assert_true(count_turns(w, 100000) < 10);
        assert_int_equal(rpc_server_clients(w->sample.server), RPC_CLIENTS_MAX);
        world_hang_up(fds[7]);
        world_expect(w, fd, NOTHING);
        fds[7] = fd;
        hang_up_some(fds, RPC_CLIENTS_MAX);
        world_close(w);
}

static void without_descriptors_it_pauses_and_comes_back(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w);
        struct rlimit before, none;

        world_send(fd, CALL("Read"));
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        assert_true(count_turns(w, 1000000) < 30);
        assert_int_equal(rpc_server_clients(w->sample.server), 0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        world_expect(w, fd, NOTHING);
        world_hang_up(fd);
        world_close(w);
}

/* 10,000 connections of one user, which it keeps as long as it may have descriptors; root comes
 * after each hundred of them, and is served. */
static void ten_thousand_clients_do_not_keep_root_waiting(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fds[100], root;

        for (int round = 0; round < 100; round++) {
                gid_t none = 65534;

                assert_int_equal(setegid(none), 0);
                assert_int_equal(seteuid(WORLD_NOBODY), 0);
                for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                        fds[i] = world_connect(w);
                assert_int_equal(seteuid(0), 0);
                assert_int_equal(setegid(0), 0);
                root = world_connect(w);
                world_call(w, root, CALL("Write"), NOTHING);
                assert_true(rpc_server_clients(w->sample.server) <= RPC_CLIENTS_PER_USER + 1);
                world_hang_up(root);
                hang_up_some(fds, ARRAY_SIZE(fds));
                world_settle(w);
        }
        assert_int_equal(w->sample.n_written, 100);
        assert_int_equal(world_counts(w)->accepted + world_counts(w)->refused, 10100);
        assert_int_equal(rpc_server_clients(w->sample.server), 0);
        world_close(w);
}

static void a_flood_of_calls_leaves_others_their_turn(void **state) {
        static const char call[] = "{\"method\":\"io.ringwall.Nothing\",\"oneway\":true}";
        World *w = world_open((RpcServerOptions){0});
        int flood = world_connect_as(w, 1000, 1000, 1000);
        int other = world_connect_as(w, 1001, 1001, 1001);
        size_t n_sent = 0;

        world_settle(w);
        while (send(flood, call, sizeof(call), MSG_DONTWAIT) == sizeof(call))
                n_sent++;
        assert_true(n_sent > 100);
        world_send(other, CALL("Release"));
        world_expect(w, other, NOTHING);
        assert_true(world_counts(w)->calls < 20);
        world_hang_up(flood);
        world_hang_up(other);
        world_close(w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(who_sends_no_call_is_told_and_disconnected),
                cmocka_unit_test(half_a_message_is_waited_for_only_so_long),
                cmocka_unit_test(what_came_in_time_counts_although_the_loop_was_late),
                cmocka_unit_test(a_byte_now_and_then_does_not_prolong_it),
                cmocka_unit_test(a_message_in_time_is_taken_however_it_is_cut),
                cmocka_unit_test(who_does_nothing_is_disconnected_unless_it_waits),
                cmocka_unit_test(a_message_of_a_gigabyte_is_refused_at_the_limit),
                cmocka_unit_test(others_than_root_may_send_less),
                cmocka_unit_test(answers_that_nobody_reads_do_not_pile_up),
                cmocka_unit_test(one_large_answer_has_its_time_to_be_read),
                cmocka_unit_test(what_others_do_not_read_has_a_limit_in_all),
                cmocka_unit_test(calls_are_not_read_while_answers_wait),
                cmocka_unit_test(a_user_may_have_only_so_many_connections),
                cmocka_unit_test(nobody_can_shut_root_out),
                cmocka_unit_test(a_full_house_waits_for_room_without_spinning),
                cmocka_unit_test(without_descriptors_it_pauses_and_comes_back),
                cmocka_unit_test(ten_thousand_clients_do_not_keep_root_waiting),
                cmocka_unit_test(a_flood_of_calls_leaves_others_their_turn),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
