/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the server answers. What it does about clients that mean harm: server_limit_test.c. */

#include "rpc/server_unit.h"

// clang-format off
static const struct {
        const char *call, *reply;
} dialogue[] = {
        { CALL("Read"),  NOTHING },
        { CALL("Write"), NOTHING },
        { "{\"method\":\"io.ringwall.Read\",\"parameters\":{}}",   NOTHING },
        { "{\"method\":\"io.ringwall.Read\",\"parameters\":null}", NOTHING },
        { "{\"method\":\"io.ringwall.Read\",\"more\":true,\"upgrade\":false}", NOTHING },
        { "{\"method\":\"io.ringwall.Echo\",\"parameters\":{\"text\":\"a\\u00e4\"}}",
          "{\"parameters\":{\"count\":3,\"loud\":true,\"names\":[],\"text\":\"aä\"}}" },
        { "{\"method\":\"io.ringwall.Echo\",\"parameters\":{\"text\":\"\",\"names\":[\"b\"],"
          "\"count\":9,\"loud\":false,\"pace\":\"fast\",\"anything\":{\"x\":[null]},"
          "\"parts\":[{\"size\":1}]}}",
          "{\"parameters\":{\"anything\":{\"x\":[null]},\"count\":9,\"loud\":false,"
          "\"names\":[\"b\"],\"pace\":\"fast\",\"parts\":[{\"size\":1}],\"text\":\"\"}}" },
        { CALL("Echo"),
          "{\"error\":\"org.varlink.service.InvalidParameter\","
          "\"parameters\":{\"parameter\":\"text\"}}" },
        { "{\"method\":\"io.ringwall.Read\",\"parameters\":{\"x\":1}}",
          "{\"error\":\"org.varlink.service.InvalidParameter\","
          "\"parameters\":{\"parameter\":\"x\"}}" },
        { CALL("Nothing"),
          "{\"error\":\"org.varlink.service.MethodNotFound\","
          "\"parameters\":{\"method\":\"io.ringwall.Nothing\"}}" },
        { "{\"method\":\"Read\"}",
          "{\"error\":\"org.varlink.service.MethodNotFound\","
          "\"parameters\":{\"method\":\"Read\"}}" },
        { "{\"method\":\"io.example.Read\"}",
          "{\"error\":\"org.varlink.service.InterfaceNotFound\","
          "\"parameters\":{\"interface\":\"io.example\"}}" },
        { "{\"method\":\"\"}",
          "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"\"}}" },
        { CALL("Watch"),
          "{\"error\":\"org.varlink.service.ExpectedMore\",\"parameters\":{}}" },
        { CALL("Break"),
          "{\"error\":\"io.ringwall.Failed\",\"parameters\":{\"message\":\"Input/output error\"}}" },
        { CALL("Forget"),
          "{\"error\":\"io.ringwall.Failed\","
          "\"parameters\":{\"message\":\"Forget gave no answer\"}}" },
        { CALL("Refuse"),
          "{\"error\":\"io.ringwall.Refused\","
          "\"parameters\":{\"days\":3,\"message\":\"not \\u001B[31mtoday\"}}" },
        { "{\"method\":\"org.varlink.service.GetInfo\",\"parameters\":{}}",
          "{\"parameters\":{\"interfaces\":[\"org.varlink.service\",\"io.ringwall\"],"
          "\"product\":\"sample\",\"url\":\"https://example.org/\",\"vendor\":\"ringwall\","
          "\"version\":\"1\"}}" },
        { "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
          "\"parameters\":{\"interface\":\"io.example\"}}",
          "{\"error\":\"org.varlink.service.InterfaceNotFound\","
          "\"parameters\":{\"interface\":\"io.example\"}}" },
};
// clang-format on

static void each_call_has_its_answer_on_one_connection(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w);

        for (size_t i = 0; i < ARRAY_SIZE(dialogue); i++)
                world_call(w, fd, dialogue[i].call, dialogue[i].reply);
        assert_int_equal(world_counts(w)->calls, ARRAY_SIZE(dialogue));
        assert_int_equal(world_counts(w)->invalid, 0);
        world_hang_up(fd);
        world_await(w, rpc_server_clients(w->sample.server) == 0);
        world_close(w);
}

static void both_interfaces_are_described(void **state) {
        static const char *const words[][2] = {
                {"io.ringwall", "method Echo("},
                {"org.varlink.service", "method GetInfo() -> ("},
        };
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w);

        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
                char call[256], *reply;

                (void)snprintf(call, sizeof(call),
                               "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
                               "\"parameters\":{\"interface\":\"%s\"}}",
                               words[i][0]);
                world_send(fd, call);
                reply = world_reply(w, fd);
                unit_true(words[i][0], strstr(reply, words[i][1]) != NULL);
                free(reply);
        }
        world_hang_up(fd);
        world_close(w);
}

static void calls_sent_at_once_are_answered_in_their_order(void **state) {
        static const char calls[] = CALL("Nothing") "\0" CALL("Read") "\0" CALL("Break");
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w);

        world_send_bytes(fd, calls, sizeof(calls));
        world_expect(w, fd, dialogue[9].reply);
        world_expect(w, fd, NOTHING);
        world_expect(w, fd, dialogue[14].reply);
        world_hang_up(fd);
        world_close(w);
}

// clang-format off
static const struct {
        const char *who;
        uid_t uid;
        gid_t gid, supplementary;
        bool may_read, may_write;
} callers[] = {
        { "root",                           0,            0,           0,           true,  true },
        { "nobody",                         WORLD_NOBODY, 65534,       65534,       false, false },
        { "a member by its own group",      1000,         WORLD_GROUP, 1000,        true,  false },
        { "a member by another group",      1000,         1000,        WORLD_GROUP, true,  false },
        { "a user whose group root's is",   1000,         0,           0,           false, false },
        { "a user of the group's number",   WORLD_GROUP,  1000,        1000,        false, false },
};
// clang-format on

static void expect_permission(World *w, int fd, const char *who, const char *call, bool may) {
        char *reply;

        world_send(fd, call);
        reply = world_reply(w, fd);
        unit_equal(who, streq(reply, NOTHING), may);
        unit_equal(who, strstr(reply, "io.ringwall.PermissionDenied") != NULL, !may);
        free(reply);
}

static void who_may_call_what_is_as_the_table_says(void **state) {
        World *w = world_open((RpcServerOptions){0});
        size_t n_denied = 0, n_written = 0;

        for (size_t i = 0; i < ARRAY_SIZE(callers); i++) {
                int fd = world_connect_as(w, callers[i].uid, callers[i].gid,
                                          callers[i].supplementary);

                expect_permission(w, fd, callers[i].who, CALL("Read"), callers[i].may_read);
                expect_permission(w, fd, callers[i].who, CALL("Write"), callers[i].may_write);
                expect_permission(w, fd, callers[i].who, CALL("Release"), true);
                n_denied += !callers[i].may_read + !callers[i].may_write;
                n_written += callers[i].may_write;
                world_hang_up(fd);
        }
        assert_int_equal(world_counts(w)->denied, n_denied);
        assert_int_equal(w->sample.n_written, n_written);
        world_close(w);
}

static void a_refusal_says_who_may_and_what_to_do(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect_as(w, 1000, 1000, 1000);

        world_call(w, fd, CALL("Write"),
                   "{\"error\":\"io.ringwall.PermissionDenied\",\"parameters\":{\"message\":"
                   "\"only root may call io.ringwall.Write, not user 1000: try sudo\"}}");
        world_call(w, fd, CALL("Read"),
                   "{\"error\":\"io.ringwall.PermissionDenied\",\"parameters\":{\"message\":"
                   "\"only root and members of the group 'ringwall' may call io.ringwall.Read, not "
                   "user 1000: try sudo, or let the user in with 'usermod -aG ringwall NAME'\"}}");
        /* refused before anybody looks at what is asked */
        world_call(w, fd, "{\"method\":\"io.ringwall.Write\",\"parameters\":{\"x\":1}}",
                   "{\"error\":\"io.ringwall.PermissionDenied\",\"parameters\":{\"message\":"
                   "\"only root may call io.ringwall.Write, not user 1000: try sudo\"}}");
        world_hang_up(fd);
        world_close(w);
}

static void a_oneway_call_runs_and_answers_nothing(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w);

        world_send(fd, "{\"method\":\"io.ringwall.Write\",\"oneway\":true}");
        world_send(fd, "{\"method\":\"io.ringwall.Nothing\",\"oneway\":true}");
        world_send(fd, "{\"method\":\"io.ringwall.Break\",\"oneway\":true}");
        world_send(fd, "{\"method\":\"io.ringwall.Write\",\"oneway\":true}");
        world_call(w, fd, CALL("Read"), NOTHING);
        assert_int_equal(w->sample.n_written, 2);
        world_hang_up(fd);
        world_close(w);
}

static void a_oneway_call_runs_though_its_client_is_gone(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w);

        world_send(fd, "{\"method\":\"io.ringwall.Write\",\"oneway\":true}");
        world_send(fd, "{\"method\":\"io.ringwall.Write\",\"oneway\":true}");
        world_hang_up(fd);
        world_await(w, world_counts(w)->accepted == 1 && rpc_server_clients(w->sample.server) == 0);
        assert_int_equal(w->sample.n_written, 2);
        world_close(w);
}

static void more_brings_answers_that_continue_but_for_the_last(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w);

        world_send(fd, "{\"method\":\"io.ringwall.Count\",\"more\":true,"
                       "\"parameters\":{\"ticks\":3,\"bytes\":1}}");
        world_expect(w, fd, "{\"continues\":true,\"parameters\":{\"filler\":\"x\",\"number\":1}}");
        world_expect(w, fd, "{\"continues\":true,\"parameters\":{\"filler\":\"x\",\"number\":2}}");
        world_expect(w, fd, "{\"parameters\":{\"filler\":\"x\",\"number\":3}}");
        world_call(w, fd,
                   "{\"method\":\"io.ringwall.Count\",\"parameters\":{\"ticks\":3,\"bytes\":0}}",
                   "{\"parameters\":{\"filler\":\"\",\"number\":3}}");
        world_hang_up(fd);
        world_close(w);
}

static void a_call_is_answered_later_and_others_meanwhile(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int slow = world_connect(w), quick = world_connect(w);

        world_send(slow, CALL("Wait"));
        world_send(slow, CALL("Break")); /* waits its turn */
        world_await(w, w->sample.n_waiting == 1);
        world_call(w, quick, CALL("Read"), NOTHING);
        world_settle(w);
        assert_int_equal(w->sample.n_waiting, 1);
        sample_release(&w->sample);
        world_expect(w, slow, NOTHING);
        world_expect(w, slow, dialogue[14].reply);
        assert_int_equal(w->sample.n_gone, 0);
        world_hang_up(slow);
        world_hang_up(quick);
        world_close(w);
}

static void a_client_that_only_stopped_sending_has_its_answer(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w);

        world_send(fd, CALL("Wait"));
        world_send(fd, CALL("Read"));
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        world_await(w, w->sample.n_waiting == 1);
        world_settle(w);
        sample_release(&w->sample);
        world_expect(w, fd, NOTHING);
        world_expect(w, fd, NOTHING);
        world_expect_end(w, fd);
        assert_int_equal(w->sample.n_gone, 0);
        world_close(w);
}

static void a_call_whose_client_goes_away_is_told_once(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w), other = world_connect(w);

        world_send(fd, CALL("Wait"));
        world_send(other, "{\"method\":\"io.ringwall.Watch\",\"more\":true}");
        world_await(w, w->sample.n_waiting == 2);
        world_hang_up(fd);
        world_await(w, w->sample.n_gone == 1);
        assert_int_equal(rpc_server_clients(w->sample.server), 1);
        assert_int_equal(w->sample.n_waiting, 1);
        sample_release(&w->sample);
        world_expect(w, other, NOTHING);
        world_hang_up(other);
        world_await(w, rpc_server_clients(w->sample.server) == 0);
        assert_int_equal(w->sample.n_gone, 1);
        world_close(w);
}

static void the_end_of_the_server_is_told_to_what_waits(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w);

        world_send(fd, CALL("Wait"));
        world_await(w, w->sample.n_waiting == 1);
        w->sample.server = rpc_server_free(w->sample.server);
        assert_int_equal(w->sample.n_gone, 1);
        world_expect_end(w, fd);
        world_close(w);
}

/* Between a client's end and the loop's noticing it, somebody may well send it something. */
static void a_notice_to_one_who_has_left_fails_and_the_loop_tells(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w);

        world_send(fd, "{\"method\":\"io.ringwall.Watch\",\"more\":true}");
        world_await(w, w->sample.n_waiting == 1);
        assert_int_equal(rpc_call_notify(w->sample.waiting[0], json_object()), 0);
        world_expect(w, fd, "{\"continues\":true,\"parameters\":{}}");
        world_hang_up(fd);
        assert_int_equal(rpc_call_notify(w->sample.waiting[0], json_object()), -EPIPE);
        assert_int_equal(rpc_call_notify(w->sample.waiting[0], json_object()), -EPIPE);
        assert_int_equal(w->sample.n_gone, 0);
        world_await(w, w->sample.n_gone == 1);
        world_close(w);
}

static void an_answer_to_one_who_has_left_ends_the_call(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w);

        world_send(fd, CALL("Wait"));
        world_await(w, w->sample.n_waiting == 1);
        world_hang_up(fd);
        w->sample.n_waiting = 0;
        assert_int_equal(rpc_call_reply(w->sample.waiting[0], json_object()), -EPIPE);
        world_await(w, rpc_server_clients(w->sample.server) == 0);
        assert_int_equal(w->sample.n_gone, 0);
        world_close(w);
}

static void only_who_asked_for_more_gets_more(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w);

        world_send(fd, "{\"method\":\"io.ringwall.Wait\",\"more\":true}");
        world_await(w, w->sample.n_waiting == 1);
        assert_false(rpc_call_wants_more(w->sample.waiting[0])); /* Wait knows no more */
        assert_int_equal(rpc_call_notify(w->sample.waiting[0], json_object()), -EINVAL);
        sample_release(&w->sample);
        world_expect(w, fd, NOTHING);
        world_hang_up(fd);
        world_close(w);
}

static void an_answer_too_large_is_said_to_be_so(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fd = world_connect(w);

        world_call(w, fd,
                   "{\"method\":\"io.ringwall.Count\","
                   "\"parameters\":{\"ticks\":1,\"bytes\":16777216}}",
                   "{\"error\":\"io.ringwall.Failed\",\"parameters\":{\"message\":"
                   "\"the answer is larger than 16777216 bytes\"}}");
        world_call(w, fd, CALL("Read"), NOTHING);
        world_hang_up(fd);
        world_close(w);
}

static void a_socket_that_is_handed_over_is_served(void **state) {
        World *w = world_open((RpcServerOptions){0});
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(rpc_server_add(w->sample.server, fds[0]), 0);
        world_call(w, fds[1], CALL("Write"), NOTHING);
        world_hang_up(fds[1]);
        world_close(w);
}

static void only_a_listening_stream_socket_is_listened_on(void **state) {
        World *w = world_open((RpcServerOptions){0});
        const RpcServerOptions options = {.interfaces = sample_interfaces, .group = RPC_NO_GROUP};
        RpcServer *other;
        int fds[2];

        assert_int_equal(rpc_server_new(w->event, &options, &other), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(rpc_server_listen(other, fds[0]), -EINVAL);
        assert_int_equal(rpc_server_listen(other, STDIN_FILENO), -EINVAL);
        world_hang_up(fds[0]); /* still ours */
        world_hang_up(fds[1]);
        assert_null(rpc_server_free(other));
        world_close(w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_call_has_its_answer_on_one_connection),
                cmocka_unit_test(both_interfaces_are_described),
                cmocka_unit_test(calls_sent_at_once_are_answered_in_their_order),
                cmocka_unit_test(who_may_call_what_is_as_the_table_says),
                cmocka_unit_test(a_refusal_says_who_may_and_what_to_do),
                cmocka_unit_test(a_oneway_call_runs_and_answers_nothing),
                cmocka_unit_test(a_oneway_call_runs_though_its_client_is_gone),
                cmocka_unit_test(more_brings_answers_that_continue_but_for_the_last),
                cmocka_unit_test(a_call_is_answered_later_and_others_meanwhile),
                cmocka_unit_test(a_client_that_only_stopped_sending_has_its_answer),
                cmocka_unit_test(a_call_whose_client_goes_away_is_told_once),
                cmocka_unit_test(the_end_of_the_server_is_told_to_what_waits),
                cmocka_unit_test(a_notice_to_one_who_has_left_fails_and_the_loop_tells),
                cmocka_unit_test(an_answer_to_one_who_has_left_ends_the_call),
                cmocka_unit_test(only_who_asked_for_more_gets_more),
                cmocka_unit_test(an_answer_too_large_is_said_to_be_so),
                cmocka_unit_test(a_socket_that_is_handed_over_is_served),
                cmocka_unit_test(only_a_listening_stream_socket_is_listened_on),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
