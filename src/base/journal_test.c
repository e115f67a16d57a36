/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

#include "base/journal.h"
#include "base/unit.h"

#define MANY 200000 /* far more lines than a pipe or a socket takes */

typedef struct Reader {
        int fd;
        char address[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
} Reader;

static int reader_start(void **state) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        socklen_t length = sizeof(address);
        Reader *r = calloc(1, sizeof(*r));

        *state = r;
        if (!r)
                return -1;
        r->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        /* an abstract name that the kernel chooses */
        if (r->fd < 0 || bind(r->fd, (struct sockaddr *)&address, sizeof(address.sun_family)) < 0 ||
            getsockname(r->fd, (struct sockaddr *)&address, &length) < 0)
                return -1;
        memcpy(r->address, address.sun_path, length - offsetof(struct sockaddr_un, sun_path));
        r->address[0] = '@';
        return 0;
}

static int reader_stop(void **state) {
        Reader *r = *state;

        (void)close(r->fd);
        free(r);
        return 0;
}

static void fields_come_as_the_journal_reads_them(void **state) {
        static const JournalField fields[] = {{"MESSAGE", "in force"},
                                              {"PRIORITY", "5"},
                                              {"RINGWALL_RULE", "a\nb"},
                                              {"EMPTY", ""}};
        static const char expected[] = "MESSAGE=in force\nPRIORITY=5\n"
                                       "RINGWALL_RULE\n\3\0\0\0\0\0\0\0a\nb\nEMPTY=\n";
        const Reader *r = *state;
        char bytes[JOURNAL_SIZE_MAX];

        assert_int_equal(journal_send(r->address, fields, ARRAY_SIZE(fields)), 0);
        assert_int_equal(recv(r->fd, bytes, sizeof(bytes), 0), sizeof(expected) - 1);
        assert_memory_equal(bytes, expected, sizeof(expected) - 1);
}

static void what_is_too_long_is_refused(void **state) {
        static char text[JOURNAL_SIZE_MAX + 1];
        const JournalField fields[] = {{"A", text}, {"B", text}};
        const Reader *r = *state;
        char bytes[JOURNAL_SIZE_MAX];

        memset(text, 'x', JOURNAL_SIZE_MAX);
        assert_int_equal(journal_send(r->address, fields, 2), -EMSGSIZE);
        text[JOURNAL_SIZE_MAX - 3] = '\0'; /* with A, = and the line's end it fits */
        assert_int_equal(journal_send(r->address, fields, 1), 0);
        assert_int_equal(recv(r->fd, bytes, sizeof(bytes), 0), JOURNAL_SIZE_MAX);
}

static void a_journal_that_does_not_read_is_not_waited_for(void **state) {
        const JournalField fields[] = {{"MESSAGE", "in force"}};
        const Reader *r = *state;
        int result = 0;

        for (size_t i = 0; i < MANY && result == 0; i++)
                result = journal_send(r->address, fields, 1);
        assert_int_equal(result, -EAGAIN);
}

static void neither_is_who_reads_standard_error(void **state) {
        int ends[2], before = dup(STDERR_FILENO), result = 0;
        char text[16] = "";

        assert_int_equal(pipe(ends), 0);
        assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
        for (size_t i = 0; i < MANY && result == 0; i++)
                result = journal_print(LOG_ALERT, "in force");
        assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
        assert_int_equal(result, -EAGAIN);
        assert_int_equal(read(ends[0], text, 12), 12);
        assert_string_equal(text, "<1>in force\n");
        (void)close(before);
        (void)close(ends[0]);
        (void)close(ends[1]);
}

#define read_test(function) cmocka_unit_test_setup_teardown(function, reader_start, reader_stop)

int main(void) {
        const struct CMUnitTest tests[] = {
                read_test(fields_come_as_the_journal_reads_them),
                read_test(what_is_too_long_is_refused),
                read_test(a_journal_that_does_not_read_is_not_waited_for),
                cmocka_unit_test(neither_is_who_reads_standard_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
