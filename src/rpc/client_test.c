/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "rpc/client.h"
#include "rpc/server_unit.h"

#define PATIENCE_USEC 60000000

/* A server in a process of its own, which ends with the test that started it. */
typedef struct Other {
        char folder[32], path[64];
        pid_t pid; /* 0: none */
        Arena *arena;
        Diag *d;
} Other;

static void other_open(Other *o) {
        *o = (Other){.arena = arena_new(0)};
        assert_non_null(o->arena);
        o->d = diag_new(o->arena);
        (void)strcpy(o->folder, "/tmp/ringwall-rpc-XXXXXX");
        assert_non_null(mkdtemp(o->folder));
        assert_int_equal(chmod(o->folder, 0755), 0);
        (void)snprintf(o->path, sizeof(o->path), "%s/io.ringwall", o->folder);
}

static void other_close(Other *o) {
        if (o->pid > 0) {
                assert_int_equal(kill(o->pid, SIGKILL), 0);
                assert_int_equal(waitpid(o->pid, NULL, 0), o->pid);
        }
        (void)unlink(o->path); /* it may not be there */
        assert_int_equal(rmdir(o->folder), 0);
        (void)arena_free(o->arena);
}

/* In the other process. */
static _noreturn_ void serve_sample(int listener) {
        static Sample sample;
        const RpcServerOptions options = {.interfaces = sample_interfaces,
                                          .context = &sample,
                                          .group = RPC_NO_GROUP,
                                          .vendor = "",
                                          .product = "",
                                          .version = "",
                                          .url = ""};
        sd_event *event;

        if (sd_event_new(&event) >= 0 && rpc_server_new(event, &options, &sample.server) >= 0 &&
            rpc_server_listen(sample.server, listener) >= 0)
                (void)sd_event_loop(event);
        _exit(1);
}

/* Answers everybody the same: `repeat` times bytes, whatever was asked, and closes. */
static _noreturn_ void serve_bytes(int listener, const char *bytes, size_t size, size_t repeat) {
        for (;;) {
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                char question[4096];

                if (fd < 0)
                        _exit(1);
                (void)recv(fd, question, sizeof(question), 0);
                for (size_t i = 0; i < repeat; i++)
                        if (send(fd, bytes, size, MSG_NOSIGNAL) < 0)
                                break;
                (void)close(fd);
        }
}

/* bytes NULL: the sample. */
static void other_start(Other *o, const char *bytes, size_t size, size_t repeat) {
        int listener = rpc_socket_listen(o->path, 0666, RPC_NO_GROUP);

        assert_true(listener >= 0);
        o->pid = fork();
        assert_true(o->pid >= 0);
        if (o->pid == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) /* also if the test fails */
                _exit(1);
        if (o->pid == 0 && bytes)
                serve_bytes(listener, bytes, size, repeat);
        if (o->pid == 0)
                serve_sample(listener);
        assert_int_equal(close(listener), 0);
}

static void expect_message(const Other *o, const char *text, const char *hint) {
        assert_int_equal(o->d->n_messages, 1);
        assert_string_equal(o->d->messages[0].text, text);
        unit_string(text, o->d->messages[0].hint, hint);
}

/* The text with the path of the socket in it. */
static char *with_path(const Other *o, const char *format) {
        char *text = arena_printf(o->arena, "%s", format), *at = strstr(text, "PATH");

        assert_non_null(at);
        return arena_printf(o->arena, "%.*s%s%s", (int)(at - text), text, o->path, at + 4);
}

static int call(Other *o, const char *method, json_t *parameters, RpcAnswer *ret) {
        return rpc_call(o->path, method, parameters, PATIENCE_USEC, ret, o->d);
}

static void an_answer_comes_back(void **state) {
        json_t *parameters = json_pack("{s:s, s:i}", "text", "ä", "count", 7);
        RpcAnswer answer;
        Other o;

        other_open(&o);
        other_start(&o, NULL, 0, 0);
        assert_int_equal(call(&o, "io.ringwall.Echo", parameters, &answer), 0);
        assert_null(answer.error);
        assert_false(answer.continues);
        assert_string_equal(json_string_value(json_object_get(answer.parameters, "text")), "ä");
        assert_int_equal(json_integer_value(json_object_get(answer.parameters, "count")), 7);
        assert_int_equal(o.d->n_messages, 0);
        rpc_answer_done(&answer);
        json_decref(parameters);
        other_close(&o);
}

static void an_error_comes_with_its_parameters_and_a_text(void **state) {
        RpcAnswer answer;
        Other o;

        other_open(&o);
        other_start(&o, NULL, 0, 0);
        assert_int_equal(call(&o, "io.ringwall.Refuse", NULL, &answer), 1);
        assert_string_equal(answer.error, "io.ringwall.Refused");
        assert_int_equal(json_integer_value(json_object_get(answer.parameters, "days")), 3);
        expect_message(&o, "not ?[31mtoday", NULL); /* no escape sequence reaches a terminal */
        rpc_answer_done(&answer);
        other_close(&o);
}

// clang-format off
#define VERSIONS "this program and ringwalld are of different versions: systemctl restart ringwalld"
#define BYTES(text) text, sizeof(text), 1
static const struct {
        const char *bytes;
        size_t size, repeat;
        int r;
        const char *text, *hint; /* PATH stands for the socket's */
} answers[] = {
        { BYTES("{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"x\"}}"), 1,
          "ringwalld at PATH does not know io.ringwall.Read", VERSIONS },
        { BYTES("{\"error\":\"org.varlink.service.InterfaceNotFound\"}"), 1,
          "ringwalld at PATH does not know io.ringwall.Read", VERSIONS },
        { BYTES("{\"error\":\"org.varlink.service.InvalidParameter\","
                "\"parameters\":{\"parameter\":\"a\\tb\\u001bc\"}}"), 1,
          "ringwalld at PATH does not take the 'a\tb?c' of this io.ringwall.Read", VERSIONS },
        { BYTES("{\"error\":\"a.b\\u202e\",\"parameters\":{\"c\":1}}"), 1,
          "ringwalld at PATH answered a.b? to io.ringwall.Read", NULL },
        { BYTES("{\"parameters\":[]}"), -EPROTO,
          "what answers at PATH does not speak Varlink: this is no reply",
          "is it ringwalld? ss -xlp src PATH" },
        { BYTES("{\"replied\":1}"), -EPROTO,
          "what answers at PATH does not speak Varlink: this is no reply",
          "is it ringwalld? ss -xlp src PATH" },
        { BYTES("HTTP/1.1 400 Bad Request\r\n"), -EPROTO,
          "what answers at PATH does not speak Varlink: byte 4: '[' or '{' expected near 'HTTP'",
          "is it ringwalld? ss -xlp src PATH" },
        { "", 0, 0, -ECONNRESET,
          "ringwalld at PATH closed the connection without an answer",
          "is ringwalld running? systemctl status ringwalld" },
        { "{\"parameters\"", 13, 1, -ECONNRESET,
          "ringwalld at PATH closed the connection without an answer",
          "is ringwalld running? systemctl status ringwalld" },
        { "0123456789abcdef0123456789abcdef", 32, 2200000, -EPROTO,
          "what answers at PATH does not speak Varlink: the message is longer than 67108864 bytes",
          "is it ringwalld? ss -xlp src PATH" },
};
// clang-format on

static void what_is_no_answer_is_said_to_be_so(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
                const char *hint = answers[i].hint;
                RpcAnswer answer = {0};
                Other o;

                other_open(&o);
                other_start(&o, answers[i].bytes, answers[i].size, answers[i].repeat);
                unit_equal(answers[i].text, call(&o, "io.ringwall.Read", NULL, &answer),
                           answers[i].r);
                if (hint && strstr(hint, "PATH"))
                        hint = with_path(&o, hint);
                expect_message(&o, with_path(&o, answers[i].text), hint);
                rpc_answer_done(&answer);
                other_close(&o);
        }
}

static void without_a_daemon_the_message_says_how_to_look_for_it(void **state) {
        RpcAnswer answer;
        int listener, r;
        Other o;

        other_open(&o);
        r = call(&o, "io.ringwall.Read", NULL, &answer);
        assert_int_equal(r, -ENOENT);
        assert_true(rpc_is_absent(r));
        expect_message(&o, with_path(&o, "there is no socket at PATH"),
                       "is ringwalld running? systemctl status ringwalld");
        other_close(&o);

        other_open(&o);
        listener = rpc_socket_listen(o.path, 0666, RPC_NO_GROUP);
        assert_int_equal(close(listener), 0);
        r = call(&o, "io.ringwall.Read", NULL, &answer);
        assert_int_equal(r, -ECONNREFUSED);
        assert_true(rpc_is_absent(r));
        expect_message(&o, with_path(&o, "nobody answers at PATH"),
                       "is ringwalld running? systemctl status ringwalld");
        other_close(&o);
}

static void without_permission_the_message_says_who_may(void **state) {
        RpcAnswer answer;
        int listener, r;
        Other o;

        other_open(&o);
        listener = rpc_socket_listen(o.path, 0600, RPC_NO_GROUP);
        assert_int_equal(seteuid(1000), 0);
        r = call(&o, "io.ringwall.Read", NULL, &answer);
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(r, -EACCES);
        assert_false(rpc_is_absent(r));
        expect_message(&o, with_path(&o, "cannot connect to PATH: Permission denied"),
                       "try sudo; members of the group 'ringwall' may ask, too");
        assert_int_equal(close(listener), 0);
        other_close(&o);
}

static void a_daemon_that_is_busy_is_not_waited_for_without_end(void **state) {
        RpcAnswer answer;
        Other o;

        other_open(&o);
        other_start(&o, NULL, 0, 0);
        assert_int_equal(rpc_call(o.path, "io.ringwall.Wait", NULL, 100000, &answer, o.d),
                         -ETIMEDOUT);
        expect_message(&o, with_path(&o, "ringwalld at PATH did not answer within 0.1 seconds"),
                       "it may still be busy with it: systemctl status ringwalld");
        other_close(&o);
}

static void a_daemon_that_takes_no_connection_is_not_either(void **state) {
        int listener, fds[1024], r;
        RpcAnswer answer;
        size_t n = 0;
        Other o;

        other_open(&o);
        listener = rpc_socket_listen(o.path, 0666, RPC_NO_GROUP);
        while (n < ARRAY_SIZE(fds) && (fds[n] = rpc_socket_connect(o.path, 20000)) >= 0)
                n++;
        r = rpc_call(o.path, "io.ringwall.Read", NULL, 20000, &answer, o.d);
        assert_int_equal(r, -ETIMEDOUT);
        expect_message(&o, with_path(&o, "ringwalld at PATH takes no more connections"),
                       "journalctl -u ringwalld may tell why");
        while (n > 0)
                assert_int_equal(close(fds[--n]), 0);
        assert_int_equal(close(listener), 0);
        other_close(&o);
}

/* The server has said why and closed before the call was even sent. */
static void a_client_too_many_learns_that_it_is(void **state) {
        int fds[RPC_CLIENTS_PER_USER];
        RpcAnswer answer;
        Other o;
        int r;

        other_open(&o);
        other_start(&o, NULL, 0, 0);
        assert_int_equal(seteuid(1000), 0);
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                fds[i] = rpc_socket_connect(o.path, PATIENCE_USEC);
        r = call(&o, "io.ringwall.Release", NULL, &answer);
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(r, 1);
        assert_string_equal(answer.error, RPC_TOO_MANY_CLIENTS);
        expect_message(&o, "user 1000 has 16 connections already: close one, or try again later",
                       NULL);
        rpc_answer_done(&answer);
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                assert_int_equal(close(fds[i]), 0);
        other_close(&o);
}

static void a_stream_ends_with_what_does_not_continue(void **state) {
        json_t *parameters = json_pack("{s:i, s:i}", "ticks", 3, "bytes", 1000);
        RpcClient *c;
        RpcAnswer answer;
        Other o;

        other_open(&o);
        other_start(&o, NULL, 0, 0);
        assert_int_equal(rpc_client_open(o.path, PATIENCE_USEC, &c, o.d), 0);
        assert_int_equal(rpc_client_send(c, "io.ringwall.Count", parameters, RPC_SEND_MORE,
                                         PATIENCE_USEC, o.d),
                         0);
        for (int i = 1; i <= 3; i++) {
                assert_int_equal(rpc_client_next(c, PATIENCE_USEC, &answer, o.d), 0);
                assert_int_equal(json_integer_value(json_object_get(answer.parameters, "number")),
                                 i);
                assert_int_equal(answer.continues, i < 3);
                rpc_answer_done(&answer);
        }
        /* and the connection is good for more */
        assert_int_equal(rpc_client_call(c, "io.ringwall.Write", NULL, PATIENCE_USEC, &answer, o.d),
                         0);
        rpc_answer_done(&answer);
        assert_null(rpc_client_close(c));
        json_decref(parameters);
        other_close(&o);
}

static void waiting_for_the_next_answer_can_be_taken_up_again(void **state) {
        RpcClient *watching, *c;
        RpcAnswer answer;
        Other o;

        other_open(&o);
        other_start(&o, NULL, 0, 0);
        assert_int_equal(rpc_client_open(o.path, PATIENCE_USEC, &watching, o.d), 0);
        assert_int_equal(rpc_client_open(o.path, PATIENCE_USEC, &c, o.d), 0);
        assert_int_equal(rpc_client_send(watching, "io.ringwall.Watch", NULL, RPC_SEND_MORE,
                                         PATIENCE_USEC, o.d),
                         0);
        assert_int_equal(rpc_client_next(watching, 50000, &answer, o.d), -ETIMEDOUT);
        assert_int_equal(
                rpc_client_call(c, "io.ringwall.Release", NULL, PATIENCE_USEC, &answer, o.d), 0);
        rpc_answer_done(&answer);
        assert_int_equal(rpc_client_next(watching, RPC_TIMEOUT_NONE, &answer, o.d), 0);
        assert_false(answer.continues);
        rpc_answer_done(&answer);
        assert_null(rpc_client_close(watching));
        assert_null(rpc_client_close(c));
        other_close(&o);
}

static void a_oneway_call_waits_for_nothing(void **state) {
        RpcClient *c;
        RpcAnswer answer;
        Other o;

        other_open(&o);
        other_start(&o, NULL, 0, 0);
        assert_int_equal(rpc_client_open(o.path, PATIENCE_USEC, &c, o.d), 0);
        assert_int_equal(
                rpc_client_send(c, "io.ringwall.Break", NULL, RPC_SEND_ONEWAY, PATIENCE_USEC, o.d),
                0);
        assert_int_equal(rpc_client_call(c, "io.ringwall.Read", NULL, PATIENCE_USEC, &answer, o.d),
                         0);
        rpc_answer_done(&answer);
        assert_null(rpc_client_close(c));
        other_close(&o);
}

static void a_large_answer_arrives_and_a_large_call_does_not(void **state) {
        json_t *parameters = json_pack("{s:i, s:i}", "ticks", 1, "bytes", 15000000), *large;
        char *text = calloc(1, RPC_MESSAGE_MAX + 1);
        RpcAnswer answer;
        Other o;

        other_open(&o);
        other_start(&o, NULL, 0, 0);
        assert_int_equal(call(&o, "io.ringwall.Count", parameters, &answer), 0);
        assert_int_equal(json_string_length(json_object_get(answer.parameters, "filler")),
                         15000000);
        rpc_answer_done(&answer);
        json_decref(parameters);

        assert_non_null(text);
        memset(text, 'x', RPC_MESSAGE_MAX);
        large = json_pack("{s:s}", "text", text);
        assert_int_equal(call(&o, "io.ringwall.Echo", large, &answer), -EMSGSIZE);
        expect_message(&o, "this is 1048630 bytes; ringwalld takes 1048576 at most", NULL);
        json_decref(large);
        free(text);
        other_close(&o);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_answer_comes_back),
                cmocka_unit_test(an_error_comes_with_its_parameters_and_a_text),
                cmocka_unit_test(what_is_no_answer_is_said_to_be_so),
                cmocka_unit_test(without_a_daemon_the_message_says_how_to_look_for_it),
                cmocka_unit_test(without_permission_the_message_says_who_may),
                cmocka_unit_test(a_daemon_that_is_busy_is_not_waited_for_without_end),
                cmocka_unit_test(a_daemon_that_takes_no_connection_is_not_either),
                cmocka_unit_test(a_client_too_many_learns_that_it_is),
                cmocka_unit_test(a_stream_ends_with_what_does_not_continue),
                cmocka_unit_test(waiting_for_the_next_answer_can_be_taken_up_again),
                cmocka_unit_test(a_oneway_call_waits_for_nothing),
                cmocka_unit_test(a_large_answer_arrives_and_a_large_call_does_not),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
