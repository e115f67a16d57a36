/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/unit.h"
#include "doc/text_check.h"

// clang-format off
static const struct {
        const char *name, *text;
        size_t size;
        const char *error; /* NULL: the text is fit */
        unsigned int line, column;
} texts[] = {
#define TEXT(s) s, sizeof(s) - 1
#define INVISIBLE(c) "the invisible character " c " has no place here"
        { "plain text",           TEXT("a: b\n"),              NULL, 0, 0 },
        { "nothing",              TEXT(""),                    NULL, 0, 0 },
        { "tabs and DOS lines",   TEXT("a:\tb\r\nc\r\n"),      NULL, 0, 0 },
        { "letters of all sizes", TEXT("aä→𝄞"),                NULL, 0, 0 },
        { "a NUL byte",           TEXT("a\nb\0c"), "a NUL byte has no place in a text file", 2, 2 },
        { "an escape",            TEXT("äb\x1b[2J"), INVISIBLE("U+001B"), 1, 3 },
        { "delete",               TEXT("\x7f"), INVISIBLE("U+007F"), 1, 1 },
        { "a C1 control",         TEXT("\xc2\x9b"), INVISIBLE("U+009B"), 1, 1 },
        { "next line",            TEXT("a\xc2\x85"), INVISIBLE("U+0085"), 1, 2 },
        { "a line separator",     TEXT("\u2028"), INVISIBLE("U+2028"), 1, 1 },
        { "right-to-left",        TEXT("\u202e"), INVISIBLE("U+202E"), 1, 1 },
        { "an isolate",           TEXT("\u2066"), INVISIBLE("U+2066"), 1, 1 },
        { "a BOM in the middle",  TEXT("a\ufeff"), INVISIBLE("U+FEFF"), 1, 2 },
        { "a lone CR",            TEXT("a\rb"),
          "a carriage return without a newline behind it", 1, 2 },
        { "a CR at the end",      TEXT("a\r"),
          "a carriage return without a newline behind it", 1, 2 },
        { "Latin 1",              TEXT("\n\nb\xfcro"),        "this is not UTF-8", 3, 2 },
        { "a trailing byte",      TEXT("\x80"),               "this is not UTF-8", 1, 1 },
        { "an overlong slash",    TEXT("\xc0\xaf"),           "this is not UTF-8", 1, 1 },
        { "an overlong letter",   TEXT("\xe0\x81\x81"),       "this is not UTF-8", 1, 1 },
        { "a surrogate",          TEXT("\xed\xa0\x80"),       "this is not UTF-8", 1, 1 },
        { "beyond Unicode",       TEXT("\xf4\x90\x80\x80"),   "this is not UTF-8", 1, 1 },
        { "a cut character",      TEXT("a\xe2\x82"),          "this is not UTF-8", 1, 2 },
        { "little-endian UTF-16", TEXT("\xff\xfe" "a\0"), "this file is written in UTF-16", 0, 0 },
        { "big-endian UTF-16",    TEXT("\xfe\xff\0a"), "this file is written in UTF-16", 0, 0 },
#undef TEXT
#undef INVISIBLE
};
// clang-format on

static void what_has_no_place_in_a_text_is_reported_with_its_position(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                Source source = {.name = "x", .text = texts[i].text, .size = texts[i].size};
                Diag *d = diag_new(*state);
                int r = text_check(&source, d);

                unit_equal(texts[i].name, r, texts[i].error ? -EBADMSG : 0);
                if (!texts[i].error)
                        continue;
                unit_string(texts[i].name, d->messages[0].text, texts[i].error);
                unit_equal(texts[i].name, d->messages[0].at.line, texts[i].line);
                unit_equal(texts[i].name, d->messages[0].at.column, texts[i].column);
        }
}

static void a_line_with_such_characters_is_never_shown(void **state) {
        static const Source source = {.name = "x", .text = "a\x1b[2J", .size = 5};
        Diag *d = diag_new(*state);

        assert_int_equal(text_check(&source, d), -EBADMSG);
        assert_null(d->messages[0].at.source->text);
        assert_string_equal(d->messages[0].at.source->name, "x");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(what_has_no_place_in_a_text_is_reported_with_its_position),
                unit_arena_test(a_line_with_such_characters_is_never_shown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
