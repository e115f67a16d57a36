/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/diag.h"
#include "base/unit.h"

#define TEXT "ringwall: 1\n\tallow: ssh\nname: \"Büro\"; from: lan\r\n\nlast: line"

static const Source source = {.name = "policy.yaml", .text = TEXT, .size = sizeof(TEXT) - 1};

static Span at(unsigned int line, unsigned int column, unsigned int length) {
        return (Span){.source = &source, .line = line, .column = column, .length = length};
}

/* What diag_print() writes; the caller frees it. */
static char *printed(const Diag *d, bool colour) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        diag_print(d, f, colour);
        assert_int_equal(fclose(f), 0);
        return text;
}

static void assert_prints(const Diag *d, const char *expected) {
        _cleanup_free_ char *text = printed(d, false);

        assert_string_equal(text, expected);
}

static size_t count(const char *text, const char *word) {
        size_t n = 0;

        for (const char *p = text; (p = strstr(p, word)); p += strlen(word))
                n++;
        return n;
}

static void an_error_shows_its_place_with_carets(void **state) {
        Diag *d = diag_new(*state);

        assert_int_equal(diag_error(d, at(1, 1, 8), "unknown key '%s'", "ringwall"), -EBADMSG);
        diag_hint(d, "did you mean '%s'?", "ringwalls");
        assert_prints(d, "policy.yaml:1:1: error: unknown key 'ringwall'\n"
                         "  ringwall: 1\n"
                         "  ^^^^^^^^\n"
                         "  hint: did you mean 'ringwalls'?\n");
        assert_int_equal(d->n_errors, 1);
}

// clang-format off
static const struct {
        const char *name;
        Span at;
        const char *expected;
} places[] = {
        { "a place behind a tab", { &source, 2, 9, 3 },
          "policy.yaml:2:9: warning: x\n  \tallow: ssh\n  \t       ^^^\n" },
        { "a place behind a letter of two bytes, a line that ends in CR LF", { &source, 3, 15, 4 },
          "policy.yaml:3:15: warning: x\n  name: \"Büro\"; from: lan\n                ^^^^\n" },
        { "a place of no length gets one caret", { &source, 1, 11, 0 },
          "policy.yaml:1:11: warning: x\n  ringwall: 1\n            ^\n" },
        { "the end of a line", { &source, 1, 12, 1 },
          "policy.yaml:1:12: warning: x\n  ringwall: 1\n             ^\n" },
        { "an empty line", { &source, 4, 1, 1 },
          "policy.yaml:4:1: warning: x\n  \n  ^\n" },
        { "a last line without an end", { &source, 5, 7, 4 },
          "policy.yaml:5:7: warning: x\n  last: line\n        ^^^^\n" },
        { "a line that is not there", { &source, 6, 1, 1 },
          "policy.yaml:6:1: warning: x\n" },
        { "the whole file", { &source, 0, 0, 0 },
          "policy.yaml: warning: x\n" },
        { "nowhere", { NULL, 0, 0, 0 },
          "warning: x\n" },
};
// clang-format on

static void every_kind_of_place_is_shown_as_it_should_be(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
                Diag *d = diag_new(*state);
                _cleanup_free_ char *text = NULL;

                diag_warning(d, places[i].at, "x");
                text = printed(d, false);
                unit_string(places[i].name, text, places[i].expected);
        }
}

static void every_message_quotes_its_own_line(void **state) {
        Diag *d = diag_new(*state);
        const char *expected = "";

        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
                diag_warning(d, places[i].at, "x");
                expected = arena_printf(*state, "%s%s", expected, places[i].expected);
        }
        assert_prints(d, expected);
}

static void lines_far_apart_are_quoted_to_and_fro(void **state) {
        static const unsigned int lines[] = {1000, 1, 64, 65, 66, 999, 128, 129, 1001};
        const char *text = "", *expected = "";
        Diag *d = diag_new(*state);
        Source many = {.name = "x"};

        for (unsigned int i = 1; i <= 1000; i++)
                text = arena_printf(*state, "%sline %u\n", text, i);
        many.text = text;
        many.size = strlen(text);
        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
                diag_warning(d, (Span){&many, lines[i], 1, 4}, "here");
                expected = arena_printf(*state, "%sx:%u:1: warning: here\n", expected, lines[i]);
                if (lines[i] <= 1000)
                        expected =
                                arena_printf(*state, "%s  line %u\n  ^^^^\n", expected, lines[i]);
        }
        assert_prints(d, expected);
}

static void a_source_without_text_is_not_quoted(void **state) {
        static const Source kernel = {.name = "live"};
        Diag *d = diag_new(*state);

        (void)diag_error(d, (Span){.source = &kernel, .line = 3, .column = 1}, "x");
        assert_prints(d, "live:3:1: error: x\n");
}

static void control_characters_reach_no_terminal(void **state) {
        static const char text[] = "a\033[2Jb\177c\302\233d\0e\xff";
        const Source hostile = {.name = "x", .text = text, .size = sizeof(text) - 1};
        Diag *d = diag_new(*state);
        _cleanup_free_ char *out = NULL;

        (void)diag_error(d, (Span){.source = &hostile, .line = 1, .column = 6, .length = 1}, "y");
        out = printed(d, false);
        assert_string_equal(out, "x:1:6: error: y\n  a?[2Jb?c?d?e\xff\n       ^\n");
}

static void a_place_far_along_a_long_line_is_still_shown(void **state) {
        Source wide = {.name = "x", .size = 5000};
        char *text = arena_alloc(*state, wide.size + 1);
        Diag *d = diag_new(*state);
        _cleanup_free_ char *out = NULL;
        const char *quote, *carets;

        memset(text, '.', wide.size);
        memcpy(text + 3999, "here", 4);
        wide.text = text;
        (void)diag_error(d, (Span){.source = &wide, .line = 1, .column = 4000, .length = 4}, "y");
        out = printed(d, false);
        assert_int_equal(count(out, "\n"), 3);
        quote = strchr(out, '\n') + 1;
        carets = strchr(quote, '\n') + 1;
        assert_ptr_not_equal(strstr(quote, "here"), NULL);
        assert_int_equal(strstr(quote, "here") - quote, strcspn(carets, "^"));
        assert_int_equal(count(carets, "^"), 4);
        assert_true(strlen(out) < 600);
}

static void a_note_follows_its_message_and_a_remark_stands_alone(void **state) {
        Diag *d = diag_new(*state);

        (void)diag_error(d, at(5, 1, 4), "zone 'lan' is defined twice");
        diag_note(d, at(1, 1, 8), "first defined here");
        diag_remark(d, at(0, 0, 0), "nobody may reach grafana");
        assert_prints(d, "policy.yaml:5:1: error: zone 'lan' is defined twice\n"
                         "  last: line\n"
                         "  ^^^^\n"
                         "policy.yaml:1:1: note: first defined here\n"
                         "  ringwall: 1\n"
                         "  ^^^^^^^^\n"
                         "policy.yaml: note: nobody may reach grafana\n");
        assert_true(d->messages[1].continues);
        assert_false(d->messages[2].continues);
}

static void the_first_hint_of_a_message_stays(void **state) {
        Diag *d = diag_new(*state);

        diag_hint(d, "a hint to nothing is dropped");
        diag_warning(d, (Span){0}, "x");
        diag_hint(d, "first");
        diag_hint(d, "second");
        assert_prints(d, "warning: x\n  hint: first\n");
}

static void errors_beyond_the_limit_are_counted_with_what_belongs_to_them(void **state) {
        Diag *d = diag_new(*state);
        _cleanup_free_ char *text = NULL;

        for (unsigned int i = 0; i < DIAG_ERRORS_MAX + 5; i++) {
                assert_int_equal(diag_error(d, (Span){0}, "mistake %u", i), -EBADMSG);
                diag_note(d, (Span){0}, "note %u", i);
                diag_hint(d, "hint %u", i);
        }
        text = printed(d, false);
        assert_int_equal(d->n_errors, DIAG_ERRORS_MAX + 5);
        assert_int_equal(count(text, "error: mistake"), DIAG_ERRORS_MAX);
        assert_int_equal(count(text, "note: note"), DIAG_ERRORS_MAX);
        assert_int_equal(count(text, "  hint: hint"), DIAG_ERRORS_MAX);
        assert_non_null(strstr(text, "\nand 5 more errors\n"));
}

static void no_number_of_warnings_hides_an_error(void **state) {
        Diag *d = diag_new(*state);
        _cleanup_free_ char *text = NULL;

        for (unsigned int i = 0; i < 10000; i++)
                diag_warning(d, (Span){0}, "doubtful");
        diag_hint(d, "of a warning that was left out");
        (void)diag_error(d, (Span){0}, "the mistake");
        diag_hint(d, "the way out");
        text = printed(d, false);
        assert_non_null(strstr(text, "error: the mistake\n  hint: the way out\n"));
        assert_null(strstr(text, "left out"));
        assert_int_equal(count(text, "warning: doubtful"), DIAG_REMARKS_MAX);
        assert_non_null(strstr(text, "and 9600 more warnings\n"));
        assert_int_equal(d->n_warnings, 10000);
}

static void a_full_arena_does_not_crash_it(void **state) {
        _cleanup_(arena_freep) Arena *a = arena_new(512);
        Diag *d = diag_new(a);
        _cleanup_free_ char *text = NULL;

        for (unsigned int i = 0; i < 30; i++) {
                assert_int_equal(diag_error(d, at(1, 1, 1), "%0100u", i), -EBADMSG);
                diag_hint(d, "%0100u", i);
        }
        assert_int_equal(d->n_errors, 30);
        text = printed(d, false);
        assert_non_null(strstr(text, "error: "));
}

static void colours_change_nothing_but_colours(void **state) {
        Diag *d = diag_new(*state);
        _cleanup_free_ char *plain = NULL, *coloured = NULL;
        char *out;

        (void)diag_error(d, at(1, 1, 8), "x");
        plain = printed(d, false);
        coloured = printed(d, true);
        out = coloured;
        for (const char *p = coloured; *p; p++) {
                if (*p == '\033')
                        p = strchr(p, 'm');
                else
                        *out++ = *p;
        }
        *out = '\0';
        assert_null(strchr(plain, '\033'));
        assert_string_equal(coloured, plain);
}

static void spans_of_one_line_join(void **state) {
        Span joined = span_join(at(1, 3, 2), at(1, 10, 4));

        assert_int_equal(joined.column, 3);
        assert_int_equal(joined.length, 11);
        joined = span_join(at(1, 3, 2), at(2, 10, 4)); /* another line */
        assert_int_equal(joined.length, 2);
        joined = span_join(at(1, 10, 2), at(1, 3, 4)); /* the wrong way round */
        assert_int_equal(joined.column, 10);
        assert_int_equal(joined.length, 2);
}

static void a_place_is_described_by_file_and_line(void **state) {
        assert_string_equal(span_describe(*state, at(12, 3, 1)), "policy.yaml:12");
        assert_string_equal(span_describe(*state, at(0, 0, 0)), "policy.yaml");
        assert_string_equal(span_describe(*state, (Span){0}), "");
}

static void places_outlive_what_they_were_read_from(void **state) {
        Arena *a = arena_new(0);
        Source *gone = arena_new0(a, Source);
        Diag *d = diag_new(*state);
        _cleanup_free_ char *text = NULL;

        *gone = (Source){arena_strdup(a, "p.yaml"), arena_strdup(a, "line\n"), 5};
        (void)diag_error(d, (Span){.source = gone, .line = 1, .column = 2, .length = 1}, "x");
        (void)diag_error(d, (Span){0}, "y");
        diag_keep_names(d);
        assert_null(arena_free(a));
        text = printed(d, false);
        assert_string_equal(text, "p.yaml:1:2: error: x\nerror: y\n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(an_error_shows_its_place_with_carets),
                unit_arena_test(every_kind_of_place_is_shown_as_it_should_be),
                unit_arena_test(lines_far_apart_are_quoted_to_and_fro),
                unit_arena_test(every_message_quotes_its_own_line),
                unit_arena_test(a_source_without_text_is_not_quoted),
                unit_arena_test(control_characters_reach_no_terminal),
                unit_arena_test(a_place_far_along_a_long_line_is_still_shown),
                unit_arena_test(a_note_follows_its_message_and_a_remark_stands_alone),
                unit_arena_test(the_first_hint_of_a_message_stays),
                unit_arena_test(errors_beyond_the_limit_are_counted_with_what_belongs_to_them),
                unit_arena_test(no_number_of_warnings_hides_an_error),
                cmocka_unit_test(a_full_arena_does_not_crash_it),
                unit_arena_test(colours_change_nothing_but_colours),
                unit_arena_test(spans_of_one_line_join),
                unit_arena_test(a_place_is_described_by_file_and_line),
                unit_arena_test(places_outlive_what_they_were_read_from),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
