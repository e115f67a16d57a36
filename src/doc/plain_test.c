/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>

#include "base/file.h"
#include "base/unit.h"
#include "doc/plain.h"
#include "doc/text_check.h"

/* What the short way reads is what libyaml reads, places included. */

#define N_MUTANTS 300 /* of each text */
#define TEXT_MAX 32768

static uint64_t random_state = 3;

static uint32_t draw(uint32_t below) {
        /* xorshift64*: repeatable, and good enough to choose cases */
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 33) % below;
}

static bool same(const Node *a, const Node *b) {
        if (a->kind != b->kind || a->plain != b->plain || a->at.source != b->at.source ||
            a->at.line != b->at.line || a->at.column != b->at.column ||
            a->at.length != b->at.length || a->height != b->height || a->size != b->size ||
            a->n_items != b->n_items || a->n_entries != b->n_entries || !a->text != !b->text ||
            (a->text && !streq(a->text, b->text)))
                return false;
        for (size_t i = 0; i < a->n_items; i++)
                if (!same(a->items[i], b->items[i]))
                        return false;
        for (size_t i = 0; i < a->n_entries; i++)
                if (!same(a->entries[i].key, b->entries[i].key) ||
                    !same(a->entries[i].value, b->entries[i].value))
                        return false;
        return true;
}

/* Whether the short way took the text; fails if the other one does not come to the same. */
static bool compare(const char *text, size_t size) {
        _cleanup_(arena_freep) Arena *a = arena_new(0);
        Source source = {.name = "x.yaml", .text = text, .size = size};
        const Node *one = NULL, *other = NULL;
        Diag *d = diag_new(a);

        if (text_check(&source, d) < 0)
                return false;
        switch (plain_parse(a, a, &source, &one)) {
        case 0:
                return false;
        case 1:
                if (node_parse_whole(a, a, &source, &other, d) < 0 || d->n_errors > 0 ||
                    !same(one, other))
                        fail_msg("libyaml reads this otherwise:\n%.*s", (int)size, text);
                return true;
        }
        fail_msg("out of memory");
        return false;
}

static const struct {
        const char *text;
        bool taken;
} rows[] = {
        {"a: b\n", true},
        {"a: b", true},
        {"# only words\n\na: b # and more\n", true},
        {"a:\n  b: c\n  d: [e, f]\ng: h\n", true},
        {"a:\n- b\n- c: d\n  e: f\n-   g\nh: i\n", true},
        {"a:\n  - b\n  -\n    c: d\n  - - e\n    - f\n", true},
        {"- a\n- { b: c, \"d\": 'e f' }\n", true},
        {"a: [ b , c d,e ]\n", true},
        {"a: [b,\n  c, # why\n\n d]\ne: {}\nf: []\n", true},
        {"a: { b: [c, { d: e }], f: g }\n", true},
        {"a: fd00::1/64\nb: [fd00::1, 10.0.0.0/8]\n", true},
        {"a: b#c\nd: \"e # f\"\n", true},
        {"a b: c  d\n", true},
        {"\"a\": b\n", true},
        {"# \xc3\xa4\na: b\n", true},
        {"a: 22\nb: yes\nc: 1e3\n", true},
        {"", false},
        {"# nothing\n", false},
        {"a\n", false},
        {"a:\n", false},
        {"a: b\na: c\n", false},
        {"a: b\n c\n", false},
        {"a: b: c\n", false},
        {"a : b\n", false},
        {"a: [b, c\n", false},
        {"a: [b, ]\n", false},
        {"a: [b c\n d]\n", false},
        {"a: [b: c]\n", false},
        {"a: {b}\n", false},
        {"a: {b: }\n", false},
        {"a: {b:}\n", false},
        {"a: &x b\nc: *x\n", false},
        {"a: !!str b\n", false},
        {"a: |\n  b\n", false},
        {"a: >\n  b\n", false},
        {"a: 'it''s'\n", false},
        {"a: \"b\\n\"\n", false},
        {"a: \"b\n  c\"\n", false},
        {"\ta: b\n", false},
        {"a:\tb\n", false},
        {"a: b\r\n", false},
        {"a: \xc3\xa4\n", false},
        {"---\na: b\n", false},
        {"a: b\n...\n", false},
        {"a: b\n--- \nc: d\n", false},
        {"%YAML 1.1\n", false},
        {"? a\n: b\n", false},
        {"a: -\n", false},
        {"- a\nb: c\n", false},
        {"a: b\n- c\n", false},
        {"  a: b\n", false},
        {"<<: b\n", false},
        {"a:\n    b: c\n  d: e\n", false},
        {"a: [b]#c\n", false},
        {"a: [b] c\n", false},
};

static void reads_what_is_plain_and_leaves_the_rest(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                unit_equal(rows[i].text, compare(rows[i].text, strlen(rows[i].text)),
                           rows[i].taken);
        (void)state;
}

static void depth_has_its_limit(void **state) {
        char text[4 * NODE_DEPTH_MAX + 8] = "a: ";
        size_t levels = NODE_DEPTH_MAX - 1, size = 3;

        for (size_t extra = 0; extra < 2; extra++, levels++) {
                memset(text + size, '[', levels);
                memset(text + size + levels, ']', levels);
                assert_int_equal(compare(text, size + 2 * levels), extra == 0);
        }
        (void)state;
}

/* A piece of the text goes, comes twice, or becomes one that means something to YAML. */
static size_t mutate(char *text, size_t size) {
        static const char *const pieces[] = {"\n", " ",  "  ", ": ", ":", "- ", "-", ", ", ",",
                                             "[",  "]",  "{",  "}",  "#", " #", "'", "\"", "?",
                                             "*a", "&a", "!",  "|",  ">", "%",  "a", "1",  "\\"};
        size_t at = draw((uint32_t)size), n = 1 + draw(8);
        const char *piece = pieces[draw(ARRAY_SIZE(pieces))];

        n = MIN(n, size - at);
        switch (draw(3)) {
        case 0:
                memmove(text + at, text + at + n, size - at - n);
                return size - n;
        case 1:
                if (size + n > TEXT_MAX)
                        return size;
                memmove(text + at + n, text + at, size - at);
                return size + n;
        }
        n = strlen(piece);
        if (size + n > TEXT_MAX)
                return size;
        memmove(text + at + n, text + at, size - at);
        memcpy(text + at, piece, n);
        return size + n;
}

static size_t compare_mutants(const char *text, size_t size) {
        size_t n_taken = 0;

        for (unsigned int i = 0; i < N_MUTANTS && size > 0; i++) {
                char copy[TEXT_MAX];
                size_t length = MIN(size, sizeof(copy) / 2);

                memcpy(copy, text, length);
                for (uint32_t j = draw(3) + 1; j > 0 && length > 0; j--)
                        length = mutate(copy, length);
                n_taken += compare(copy, length);
        }
        return n_taken;
}

static void texts_with_mistakes_are_never_read_otherwise(void **state) {
        size_t n_taken = 0;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                n_taken += compare_mutants(rows[i].text, strlen(rows[i].text));
        assert_true(n_taken > ARRAY_SIZE(rows) * N_MUTANTS / 20);
        (void)state;
}

/* Every file of the folder, and what it becomes by mistakes. */
static void compare_folder(const char *folder, size_t *n_taken, size_t *n_mutants) {
        DIR *dir = opendir(folder);
        struct dirent *entry;

        assert_non_null(dir);
        while ((entry = readdir(dir))) {
                _cleanup_(arena_freep) Arena *a = arena_new(0);
                char *path = arena_printf(a, "%s/%s", folder, entry->d_name), *text;
                size_t size;

                if (entry->d_name[0] == '.' || file_read(a, path, NODE_SIZE_MAX, &text, &size) < 0)
                        continue;
                *n_taken += compare(text, size);
                *n_mutants += compare_mutants(text, size);
        }
        closedir(dir);
}

static void policies_are_read_the_short_way(void **state) {
        size_t n_ready = 0, n_corpus = 0, n_mutants = 0;

        compare_folder(POLICIES, &n_ready, &n_mutants);
        compare_folder(CORPUS "/node", &n_corpus, &n_mutants);
        compare_folder(CORPUS "/policy", &n_corpus, &n_mutants);
        assert_true(n_ready >= 10); /* the catalogue is one of them */
        assert_true(n_corpus >= 5);
        assert_true(n_mutants >= 1000);
        (void)state;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(reads_what_is_plain_and_leaves_the_rest),
                cmocka_unit_test(depth_has_its_limit),
                cmocka_unit_test(texts_with_mistakes_are_never_read_otherwise),
                cmocka_unit_test(policies_are_read_the_short_way),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
