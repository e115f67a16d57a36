/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/unit.h"
#include "rpc/wire.h"

#include <sys/socket.h>

#define LIMIT 1024

/* Pushes a C string's bytes and its NUL byte. */
static int push_message(RpcWire *w, const char *text) {
        return rpc_wire_push(w, text, strlen(text) + 1);
}

static void a_stream_is_split_wherever_the_pieces_end(void **state) {
        static const char stream[] = "{\"a\":1}\0 {\"b\":[true, null]} \n\0{}";
        json_t *message;

        for (size_t piece = 1; piece <= sizeof(stream); piece++) {
                RpcWire w;
                int n = 0;

                rpc_wire_init(&w, LIMIT);
                for (size_t at = 0; at < sizeof(stream); at += piece) {
                        size_t size = MIN(piece, sizeof(stream) - at);

                        assert_int_equal(rpc_wire_push(&w, stream + at, size), 0);
                        while (rpc_wire_next(&w, &message) == 1) {
                                assert_int_equal(json_object_size(message), n < 2 ? 1 : 0);
                                json_decref(message);
                                n++;
                        }
                }
                assert_int_equal(n, 3);
                assert_false(rpc_wire_has_part(&w));
                rpc_wire_done(&w);
        }
}

static void a_part_is_told_from_a_message(void **state) {
        json_t *message;
        RpcWire w;

        rpc_wire_init(&w, LIMIT);
        assert_false(rpc_wire_has_part(&w));
        assert_int_equal(rpc_wire_push(&w, "{\"a\"", 4), 0);
        assert_true(rpc_wire_has_part(&w));
        assert_false(rpc_wire_has_message(&w));
        assert_int_equal(rpc_wire_next(&w, &message), 0);
        assert_int_equal(rpc_wire_push(&w, ":1}\0{", 5), 0);
        assert_true(rpc_wire_has_message(&w));
        assert_false(rpc_wire_has_part(&w));
        assert_int_equal(rpc_wire_next(&w, &message), 1);
        json_decref(message);
        assert_true(rpc_wire_has_part(&w));
        rpc_wire_done(&w);
}

// clang-format off
static const struct {
        const char *name, *text, *error;
} mistakes[] = {
        { "nothing",             "",                  "'[' or '{' expected near end of file" },
        { "blanks",              "  ",                "'[' or '{' expected near end of file" },
        { "a word",              "hello",             "'[' or '{' expected near 'hello'" },
        { "a number",            "1",                 "'[' or '{' expected near '1'" },
        { "an array",            "[1]",               "the message is an array, not an object" },
        { "half an object",      "{\"a\":1",          "'}' expected near end of file" },
        { "two objects",         "{}{}",              "end of file expected near '{'" },
        { "words behind it",     "{} x",              "end of file expected near 'x'" },
        { "a key given twice",   "{\"a\":1,\"a\":1}", "duplicate object key near '\"a\"'" },
        { "twice, deep inside",  "{\"a\":[{\"b\":1,\"b\":2}]}",
          "duplicate object key near '\"b\"'" },
        { "twice, by escape",    "{\"a\":1,\"\\u0061\":1}", "duplicate object key near" },
        { "a NUL as an escape",  "{\"a\":\"\\u0000\"}", "\\u0000 is not allowed" },
        { "a NUL in a key",      "{\"a\\u0000\":1}",  "NUL byte in object key not supported" },
        { "no UTF-8",            "{\"a\":\"\xff\"}",  "unable to decode byte 0xff" },
        { "overlong UTF-8",      "{\"a\":\"\xc0\x80\"}", "unable to decode byte 0xc0" },
        { "half a surrogate",    "{\"a\":\"\\ud800\"}", "invalid Unicode '\\uD800'" },
        { "a surrogate's bytes", "{\"a\":\"\xed\xa0\x80\"}", "unable to decode byte 0xed" },
        { "a control character", "{\"a\":\"\n\"}",    "unexpected newline" },
        { "too large a number",  "{\"a\":99999999999999999999}", "too big integer" },
        { "no finite number",    "{\"a\":1e999}",     "real number overflow" },
        { "Infinity",            "{\"a\":Infinity}",  "invalid token near 'Infinity'" },
        { "a comment",           "{/**/}",            "string or '}' expected near '/'" },
        { "single quotes",       "{'a':1}",           "string or '}' expected near '''" },
};
// clang-format on

static void what_is_no_object_of_json_is_refused_with_a_reason(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
                const char *name = mistakes[i].name;
                json_t *message = NULL;
                RpcWire w;

                rpc_wire_init(&w, LIMIT);
                unit_equal(name, push_message(&w, mistakes[i].text), 0);
                unit_equal(name, rpc_wire_next(&w, &message), -EBADMSG);
                unit_true(name, message == NULL);
                if (!strstr(w.error, mistakes[i].error))
                        fail_msg("%s: \"%s\" is not said in \"%s\"", name, mistakes[i].error,
                                 w.error);
                for (const char *c = w.error; *c; c++)
                        unit_true(name, *c >= ' ' && *c <= '~');
                rpc_wire_done(&w);
        }
}

/* Objects, or arrays in an object, n within each other. */
static void nest(char *text, size_t n, bool objects) {
        char *p = stpcpy(text, "{\"a\":");

        for (size_t i = 1; i < n; i++)
                p = stpcpy(p, objects ? "{\"a\":" : "[");
        p = stpcpy(p, "0");
        for (size_t i = 1; i < n; i++)
                *p++ = objects ? '}' : ']';
        (void)stpcpy(p, "}");
}

static void depth_is_limited_before_the_parser_sees_it(void **state) {
        char text[LIMIT];

        for (int objects = 0; objects <= 1; objects++)
                for (size_t depth = RPC_DEPTH_MAX; depth <= RPC_DEPTH_MAX + 1; depth++) {
                        json_t *message = NULL;
                        RpcWire w;

                        rpc_wire_init(&w, LIMIT);
                        nest(text, depth, objects);
                        unit_equal(text, push_message(&w, text), 0);
                        unit_equal(text, rpc_wire_next(&w, &message),
                                   depth <= RPC_DEPTH_MAX ? 1 : -EBADMSG);
                        json_decref(message);
                        rpc_wire_done(&w);
                }
}

static void brackets_within_a_text_are_not_counted(void **state) {
        char text[LIMIT], *p = stpcpy(text, "{\"a\":\"\\\"");
        json_t *message;
        RpcWire w;

        for (int i = 0; i < 400; i++)
                p = stpcpy(p, "[,");
        (void)stpcpy(p, "\\\\\"}");
        rpc_wire_init(&w, LIMIT);
        assert_int_equal(push_message(&w, text), 0);
        assert_int_equal(rpc_wire_next(&w, &message), 1);
        json_decref(message);
        rpc_wire_done(&w);
}

static void the_number_of_values_is_limited(void **state) {
        size_t n = RPC_VALUES_MAX(LIMIT);

        for (size_t more = 0; more <= 1; more++) {
                char text[LIMIT], *p = stpcpy(text, "{\"a\":[0");
                json_t *message = NULL;
                RpcWire w;

                for (size_t i = 2; i < n + more; i++)
                        p = stpcpy(p, ",0");
                (void)stpcpy(p, "]}");
                rpc_wire_init(&w, LIMIT);
                assert_int_equal(push_message(&w, text), 0);
                assert_int_equal(rpc_wire_next(&w, &message), more ? -EBADMSG : 1);
                json_decref(message);
                rpc_wire_done(&w);
        }
}

/* {"a":"xxx"} of exactly size bytes, and its NUL byte. */
static void make_message(char *text, size_t size) {
        memset(text, 'x', size);
        memcpy(text, "{\"a\":\"", 6);
        memcpy(text + size - 2, "\"}", 3);
}

static void a_message_of_the_limit_is_taken_and_no_longer_one(void **state) {
        char text[LIMIT + 2];
        json_t *message = NULL;
        RpcWire w;

        rpc_wire_init(&w, LIMIT);
        make_message(text, LIMIT);
        assert_int_equal(push_message(&w, text), 0);
        assert_int_equal(rpc_wire_next(&w, &message), 1);
        json_decref(message);
        make_message(text, LIMIT + 1);
        assert_int_equal(push_message(&w, text), 0); /* its end is there: it is known whole */
        assert_int_equal(rpc_wire_next(&w, &message), -EBADMSG);
        assert_string_equal(w.error, "the message is longer than 1024 bytes");
        rpc_wire_done(&w);

        rpc_wire_init(&w, LIMIT);
        assert_int_equal(rpc_wire_push(&w, text, LIMIT), 0);
        assert_int_equal(rpc_wire_push(&w, text, 1), -EMSGSIZE);
        assert_string_equal(w.error, "the message is longer than 1024 bytes");
        rpc_wire_done(&w);
}

static void memory_does_not_follow_what_comes_after_the_limit(void **state) {
        static const char piece[4096] = {[0 ... 4095] = 'x'};
        size_t taken = 0;
        RpcWire w;
        int r;

        rpc_wire_init(&w, (size_t)1 << 20);
        do {
                r = rpc_wire_push(&w, piece, sizeof(piece));
                taken += sizeof(piece);
        } while (r == 0);
        assert_int_equal(r, -EMSGSIZE);
        assert_int_equal(taken, ((size_t)1 << 20) + sizeof(piece));
        assert_true(w.capacity <= ((size_t)1 << 20) + 65536 + 1);
        rpc_wire_done(&w);
}

static void a_large_message_leaves_no_memory_behind(void **state) {
        size_t size = (size_t)1 << 20;
        char *text = malloc(size + 1);
        json_t *message;
        RpcWire w;

        assert_non_null(text);
        make_message(text, size);
        rpc_wire_init(&w, size);
        assert_int_equal(push_message(&w, text), 0);
        assert_int_equal(rpc_wire_next(&w, &message), 1);
        json_decref(message);
        assert_int_equal(w.capacity, 0);
        rpc_wire_done(&w);
        free(text);
}

static void what_was_encoded_comes_out_of_the_socket_again(void **state) {
        json_t *sent = json_pack("{s:s, s:[i,b]}", "text", "ä\"\n\\", "list", 1, 1), *got;
        int fds[2];
        size_t size;
        char *bytes;
        RpcWire w;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        bytes = rpc_wire_encode(sent, &size);
        assert_non_null(bytes);
        assert_int_equal(bytes[size - 1], 0);
        assert_int_equal(send(fds[0], bytes, size, 0), size);
        free(bytes);
        rpc_wire_init(&w, LIMIT);
        assert_int_equal(rpc_wire_receive(&w, fds[1], MSG_DONTWAIT), size);
        assert_int_equal(rpc_wire_receive(&w, fds[1], MSG_DONTWAIT), -EAGAIN);
        assert_int_equal(rpc_wire_next(&w, &got), 1);
        assert_true(json_equal(sent, got));
        assert_int_equal(close(fds[0]), 0);
        assert_int_equal(rpc_wire_receive(&w, fds[1], MSG_DONTWAIT), 0);
        json_decref(sent);
        json_decref(got);
        rpc_wire_done(&w);
        (void)close(fds[1]); /* nothing hangs on it */
}

/* What a peer sends along with its bytes must not fill our table of descriptors. */
static void descriptors_sent_along_are_not_kept(void **state) {
        int fds[2], before, after;
        char control[CMSG_SPACE(sizeof(int))] = {0};
        struct iovec iov = {.iov_base = (char[]){'{'}, .iov_len = 1};
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof(control)};
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        RpcWire w;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fds[0], sizeof(int));
        before = dup(fds[0]);
        assert_int_equal(close(before), 0);
        assert_int_equal(sendmsg(fds[0], &m, 0), 1);
        rpc_wire_init(&w, LIMIT);
        assert_int_equal(rpc_wire_receive(&w, fds[1], MSG_DONTWAIT), 1);
        after = dup(fds[0]);
        assert_int_equal(after, before);
        rpc_wire_done(&w);
        (void)close(after);
        (void)close(fds[0]);
        (void)close(fds[1]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_stream_is_split_wherever_the_pieces_end),
                cmocka_unit_test(a_part_is_told_from_a_message),
                cmocka_unit_test(what_is_no_object_of_json_is_refused_with_a_reason),
                cmocka_unit_test(depth_is_limited_before_the_parser_sees_it),
                cmocka_unit_test(brackets_within_a_text_are_not_counted),
                cmocka_unit_test(the_number_of_values_is_limited),
                cmocka_unit_test(a_message_of_the_limit_is_taken_and_no_longer_one),
                cmocka_unit_test(memory_does_not_follow_what_comes_after_the_limit),
                cmocka_unit_test(a_large_message_leaves_no_memory_behind),
                cmocka_unit_test(what_was_encoded_comes_out_of_the_socket_again),
                cmocka_unit_test(descriptors_sent_along_are_not_kept),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
