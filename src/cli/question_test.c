/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/question.h"

#include <netinet/in.h>

#include "base/unit.h"

static Question parse(Arena *a, const char *text) {
        Diag *d = diag_new(a);
        Question q;

        if (question_parse(a, text, &q, d) < 0)
                fail_msg("%s: %s", text, d->n_messages > 0 ? d->messages[0].text : "no reason");
        return q;
}

static void where_it_is_judged_follows_from_the_words(void **state) {
        static const struct {
                const char *text;
                Hook hook;
                uint8_t protocol;
                uint16_t port;
                const char *in, *out;
        } rows[] = {
                {"tcp from 203.0.113.9 to 22", HOOK_INPUT, IPPROTO_TCP, 22, NULL, NULL},
                {"tcp to 22 from 203.0.113.9", HOOK_INPUT, IPPROTO_TCP, 22, NULL, NULL},
                {"udp from fd00::7 to [fd00::1]:53 in eth1", HOOK_INPUT, IPPROTO_UDP, 53, "eth1",
                 NULL},
                {"tcp from 10.0.0.2 to 192.0.2.1:443 in br0 out eth0", HOOK_FORWARD, IPPROTO_TCP,
                 443, "br0", "eth0"},
                {"tcp from 10.0.0.2 to 192.0.2.1:443 forwarded", HOOK_FORWARD, IPPROTO_TCP, 443,
                 NULL, NULL},
                {"tcp from 10.0.0.2 to 10.0.0.3:80 in br0 bridged", HOOK_FORWARD, IPPROTO_TCP, 80,
                 "br0", "br0"},
                {"tcp from host to 192.0.2.1:25 out eth0", HOOK_OUTPUT, IPPROTO_TCP, 25, NULL,
                 "eth0"},
                {"tcp from host to 127.0.0.1:25", HOOK_OUTPUT, IPPROTO_TCP, 25, NULL, "lo"},
                {"icmp echo-request from 10.0.0.2", HOOK_INPUT, IPPROTO_ICMP, 0, NULL, NULL},
                {"esp from 10.0.0.2", HOOK_INPUT, IPPROTO_ESP, 0, NULL, NULL},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Question q = parse(*state, rows[i].text);

                unit_equal(rows[i].text, q.packet.hook, rows[i].hook);
                unit_equal(rows[i].text, q.packet.protocol, rows[i].protocol);
                unit_equal(rows[i].text, q.packet.destination_port, rows[i].port);
                unit_string(rows[i].text, q.packet.in, rows[i].in);
                unit_string(rows[i].text, q.packet.out, rows[i].out);
        }
}

static void a_published_port_is_asked_for_by_what_was_dialled(void **state) {
        Question q = parse(*state, "tcp from 203.0.113.9 to 172.17.0.2:80 dialled 203.0.113.1:8080 "
                                   "in eth0 out docker0");

        assert_true(q.packet.translated);
        assert_int_equal(q.packet.dialled_port, 8080);
        assert_int_equal(q.packet.destination_port, 80);
        assert_true(u128_equal(q.packet.dialled, unit_address("203.0.113.1")));
        /* the port stays what it was where only the address was translated */
        q = parse(*state, "tcp from 203.0.113.9 to 172.17.0.2:80 dialled 203.0.113.1 forwarded");
        assert_int_equal(q.packet.dialled_port, 80);
}

static void a_question_that_makes_no_sense_is_refused_with_the_reason(void **state) {
        static const struct {
                const char *text, *reason;
                unsigned int column; /* 0: of the whole */
        } rows[] = {
                {"", "the question ends where a protocol should stand", 1},
                {"http from 10.0.0.1 to 80", "'http' is not a protocol", 1},
                {"tcp", "the question does not say from where", 1},
                {"tcp from 10.0.0.1", "the question does not say to which port", 1},
                {"tcp from 10.0.0.1 to",
                 "the question ends where an address or a port should stand", 19},
                {"tcp from 10.0.0.1 to 22 to 23", "'to' is said twice", 25},
                {"tcp form 10.0.0.1 to 22", "'form' has no meaning here", 5},
                {"esp from 10.0.0.1 to 10.0.0.2:5", "this protocol has no ports", 1},
                {"tcp from 10.0.0.1 to 22 user 0",
                 "only this host's own connections have a user or a group: say 'from host'", 1},
                {"tcp from host to 22 in eth0",
                 "what this host sends does not arrive: leave out 'in'", 1},
                {"tcp from 10.0.0.1 to 22 bridged", "'bridged' wants 'in BRIDGE'", 1},
                {"tcp from 10.0.0.1 to 22 hop-limit 0", "'0' is not a hop limit from 1 to 255", 35},
                {"tcp from 10.0.0.1 to 22 in a-name-of-many-letters",
                 "'a-name-of-many-letters' is longer than an interface's name can be", 28},
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Diag *d = diag_new(*state);
                Question q;

                unit_equal(rows[i].text, question_parse(*state, rows[i].text, &q, d), -EBADMSG);
                unit_string(rows[i].text, d->messages[0].text, rows[i].reason);
                unit_equal(rows[i].text, d->messages[0].at.column, rows[i].column);
        }
}

static void a_question_has_an_end(void **state) {
        char text[QUESTION_MAX + 2];
        Diag *d = diag_new(*state);
        Question q;

        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        assert_int_equal(question_parse(*state, text, &q, d), -EBADMSG);
        assert_string_equal(d->messages[0].text, "a question has at most 512 characters");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(where_it_is_judged_follows_from_the_words),
                unit_arena_test(a_published_port_is_asked_for_by_what_was_dialled),
                unit_arena_test(a_question_that_makes_no_sense_is_refused_with_the_reason),
                unit_arena_test(a_question_has_an_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
