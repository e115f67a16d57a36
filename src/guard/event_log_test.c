/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/event_log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/unit.h"

typedef struct Place {
        Arena *arena;
        char path[64];
        int folder;
} Place;

static int setup(void **state) {
        Place *p = calloc(1, sizeof(*p));

        assert_non_null(p);
        p->arena = arena_new(0);
        (void)snprintf(p->path, sizeof(p->path), "/tmp/event_log_test.XXXXXX");
        assert_non_null(mkdtemp(p->path));
        p->folder = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *state = p;
        return 0;
}

static int teardown(void **state) {
        static const char *const names[] = {EVENT_LOG_FILE, EVENT_LOG_OLD, EVENT_LOG_HEAD};
        Place *p = *state;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                (void)unlinkat(p->folder, names[i], 0);
        (void)close(p->folder);
        (void)rmdir(p->path);
        (void)arena_free(p->arena);
        free(p);
        return 0;
}

static size_t write_events(Place *p, size_t n, const char *text) {
        Diag *d = diag_new(p->arena);
        EventLog log;

        assert_int_equal(event_log_open(p->folder, &log, d), 0);
        for (size_t i = 0; i < n; i++) {
                Event e = {.time_usec = 1000 + i, .kind = EVENT_DRIFT, .text = text};

                assert_int_equal(event_log_append(&log, &e), 0);
        }
        event_log_close(&log);
        return d->n_messages;
}

static int check(Place *p, EventCheck *ret, const char **ret_text) {
        Diag *d = diag_new(p->arena);
        int r = event_log_check(p->folder, p->arena, ret, d);

        *ret_text = d->n_messages > 0 ? d->messages[0].text : "";
        return r;
}

static char *content(Place *p, const char *name, size_t *ret_size) {
        int fd = openat(p->folder, name, O_RDONLY | O_CLOEXEC);
        struct stat st;
        char *text;

        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        text = arena_alloc(p->arena, (size_t)st.st_size + 1);
        assert_int_equal(read(fd, text, (size_t)st.st_size), st.st_size);
        (void)close(fd);
        *ret_size = (size_t)st.st_size;
        return text;
}

static void replace(Place *p, const char *name, const char *text, size_t size) {
        int fd = openat(p->folder, name, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, size), size);
        (void)close(fd);
}

static void what_was_written_is_read_and_the_chain_is_whole(void **state) {
        Place *p = *state;
        EventCheck found;
        EventList list;
        const char *text;

        assert_int_equal(check(p, &found, &text), -ENOENT);
        assert_int_equal(write_events(p, 3, "one\nline of \t it"), 0);
        assert_int_equal(write_events(p, 2, "another"), 0);
        assert_int_equal(event_log_read(p->folder, p->arena, &list), 0);
        assert_int_equal(list.n_items, 5);
        assert_string_equal(list.items[0].text, "one line of   it");
        assert_int_equal(list.items[4].number, 5);
        assert_int_equal(list.items[4].time_usec, 1001);
        assert_int_equal(list.items[4].kind, EVENT_DRIFT);
        assert_int_equal(check(p, &found, &text), 0);
        assert_int_equal(found.n_events, 5);
        assert_int_equal(found.first, 1);
        assert_int_equal(found.last, 5);
}

static void every_byte_that_is_changed_is_found(void **state) {
        Place *p = *state;
        EventCheck found;
        const char *text;
        size_t size;
        char *bytes;

        (void)write_events(p, 4, "what happened");
        bytes = content(p, EVENT_LOG_FILE, &size);
        for (size_t i = 0; i < size; i++) {
                char was = bytes[i];

                bytes[i] = was == '1' ? '2' : '1';
                replace(p, EVENT_LOG_FILE, bytes, size);
                unit_true(bytes, check(p, &found, &text) == -EBADMSG);
                bytes[i] = was;
        }
        replace(p, EVENT_LOG_FILE, bytes, size);
        assert_int_equal(check(p, &found, &text), 0);
}

/* Of 5 lines: without the one, and how that is told. */
static void without_line(Place *p, size_t line, const char *expected) {
        EventCheck found;
        const char *text;
        size_t size, each, head;
        char *bytes, *copy;

        bytes = content(p, EVENT_LOG_FILE, &size);
        head = (size_t)(strchr(bytes, '\n') + 1 - bytes);
        each = (size - head) / 5;
        copy = arena_alloc(p->arena, size);
        memcpy(copy, bytes, head + line * each);
        memcpy(copy + head + line * each, bytes + head + (line + 1) * each,
               size - head - (line + 1) * each);
        replace(p, EVENT_LOG_FILE, copy, size - each);
        assert_int_equal(check(p, &found, &text), -EBADMSG);
        unit_true(text, strstr(text, expected) != NULL);
        replace(p, EVENT_LOG_FILE, bytes, size);
        assert_int_equal(check(p, &found, &text), 0);
}

static void every_line_that_is_removed_is_found(void **state) {
        Place *p = *state;

        (void)write_events(p, 5, "what happened");
        without_line(p, 0, "events are missing before this one");
        without_line(p, 1, "events are missing before this one");
        without_line(p, 3, "events are missing before this one");
        without_line(p, 4, "the end was cut off: event 5 is missing");
}

static void a_beginning_that_is_removed_is_found(void **state) {
        Place *p = *state;
        EventCheck found;
        const char *text;
        size_t size, head;
        char *bytes;

        (void)write_events(p, 5, "what happened");
        bytes = content(p, EVENT_LOG_FILE, &size);
        head = (size_t)(strchr(bytes, '\n') + 1 - bytes);
        replace(p, EVENT_LOG_FILE, bytes + head, size - head);
        assert_int_equal(check(p, &found, &text), -EBADMSG);
        assert_non_null(strstr(text, "what stood before it is gone"));
}

static void the_whole_log_that_is_removed_is_found(void **state) {
        Place *p = *state;
        EventCheck found;
        const char *text;

        (void)write_events(p, 5, "what happened");
        assert_int_equal(unlinkat(p->folder, EVENT_LOG_FILE, 0), 0);
        assert_int_equal(check(p, &found, &text), -EBADMSG);
        assert_non_null(strstr(text, "the end was cut off"));
        assert_int_equal(unlinkat(p->folder, EVENT_LOG_HEAD, 0), 0);
        assert_int_equal(check(p, &found, &text), -ENOENT);
}

static void a_log_that_begins_in_the_middle_is_found(void **state) {
        Place *p = *state;
        EventCheck found;
        const char *text;
        Event e = {.time_usec = 9, .kind = EVENT_NOTE, .text = "after"};
        EventLog log;

        (void)write_events(p, 3, "before");
        assert_int_equal(event_log_open(p->folder, &log, diag_new(p->arena)), 0);
        assert_int_equal(unlinkat(p->folder, EVENT_LOG_FILE, 0), 0);
        assert_int_equal(event_log_append(&log, &e), 0);
        event_log_close(&log);
        assert_int_equal(check(p, &found, &text), -EBADMSG);
        assert_non_null(strstr(text, EVENT_LOG_OLD));
        assert_int_equal(found.first, 4);
}

static void two_lines_that_change_places_are_found(void **state) {
        Place *p = *state;
        EventCheck found;
        const char *text;
        size_t size, each, head;
        char *bytes, *copy;

        (void)write_events(p, 5, "what happened");
        bytes = content(p, EVENT_LOG_FILE, &size);
        head = (size_t)(strchr(bytes, '\n') + 1 - bytes);
        each = (size - head) / 5;
        copy = arena_alloc(p->arena, size);
        memcpy(copy, bytes, size);
        memcpy(copy + head + each, bytes + head + 2 * each, each);
        memcpy(copy + head + 2 * each, bytes + head + each, each);
        replace(p, EVENT_LOG_FILE, copy, size);
        assert_int_equal(check(p, &found, &text), -EBADMSG);
}

static void a_line_that_was_broken_off_is_told_of_and_the_chain_goes_on(void **state) {
        Place *p = *state;
        EventCheck found;
        EventList list;
        const char *text;
        size_t size;
        char *bytes;

        (void)write_events(p, 3, "what happened");
        bytes = content(p, EVENT_LOG_FILE, &size);
        replace(p, EVENT_LOG_FILE, bytes, size - 20);
        assert_true(write_events(p, 1, "afterwards") > 0);
        assert_int_equal(event_log_read(p->folder, p->arena, &list), 0);
        assert_string_equal(list.items[list.n_items - 1].text, "afterwards");
        assert_int_equal(check(p, &found, &text), -EBADMSG); /* it is never forgotten */
}

static void a_large_log_goes_on_in_a_new_file_with_the_chain(void **state) {
        Place *p = *state;
        char long_text[EVENT_TEXT_MAX];
        EventCheck found;
        EventList list;
        const char *text;
        struct stat st;

        memset(long_text, 'x', sizeof(long_text));
        long_text[sizeof(long_text) - 1] = '\0';
        assert_int_equal(write_events(p, 2 * EVENT_LOG_SIZE / EVENT_TEXT_MAX, long_text), 0);
        assert_int_equal(fstatat(p->folder, EVENT_LOG_OLD, &st, 0), 0);
        assert_int_equal(check(p, &found, &text), 0);
        /* the oldest are gone, the others are one chain */
        assert_true(found.first > 1 || found.n_events == found.last);
        assert_int_equal(found.n_events, found.last - found.first + 1);
        assert_int_equal(event_log_read(p->folder, p->arena, &list), 0);
        assert_int_equal(list.n_items, found.n_events);
        assert_int_equal(write_events(p, 1, "afterwards"), 0);
        assert_int_equal(check(p, &found, &text), 0);
}

static void every_kind_has_a_name_and_an_id_of_its_own(void **state) {
        for (EventKind i = 0; i < _EVENT_KIND_MAX; i++) {
                assert_int_equal(event_kind_from_string(event_kind_to_string(i)), i);
                assert_int_equal(strlen(event_kind_id(i)), 32);
                for (EventKind j = 0; j < i; j++)
                        assert_string_not_equal(event_kind_id(i), event_kind_id(j));
        }
        assert_int_equal(event_kind_from_string("nothing"), _EVENT_KIND_INVALID);
}

#define place_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                place_test(what_was_written_is_read_and_the_chain_is_whole),
                place_test(every_byte_that_is_changed_is_found),
                place_test(every_line_that_is_removed_is_found),
                place_test(a_beginning_that_is_removed_is_found),
                place_test(the_whole_log_that_is_removed_is_found),
                place_test(a_log_that_begins_in_the_middle_is_found),
                place_test(two_lines_that_change_places_are_found),
                place_test(a_line_that_was_broken_off_is_told_of_and_the_chain_goes_on),
                place_test(a_large_log_goes_on_in_a_new_file_with_the_chain),
                cmocka_unit_test(every_kind_has_a_name_and_an_id_of_its_own),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
