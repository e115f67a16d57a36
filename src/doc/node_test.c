/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/unit.h"
#include "doc/node.h"

/* Parses text; what was wrong with it, if anything, goes to *ret_error. */
static const Node *parse(Arena *a, const char *text, const char **ret_error, Diag **ret_d) {
        Source *source = arena_new0(a, Source);
        Diag *d = diag_new(a);
        const Node *n = NULL;
        int r;

        *source = (Source){.name = "x.yaml", .text = text, .size = strlen(text)};
        r = node_parse(a, a, source, &n, d);
        assert_true(r == 0 || (r == -EBADMSG && !n && d->n_errors > 0));
        *ret_error = d->n_messages > 0 ? d->messages[0].text : NULL;
        if (ret_d)
                *ret_d = d;
        return n;
}

static const Node *parse_valid(Arena *a, const char *text) {
        const char *error;
        const Node *n = parse(a, text, &error, NULL);

        assert_null(error);
        assert_non_null(n);
        return n;
}

static void a_tree_remembers_where_each_part_stands(void **state) {
        const Node *n = parse_valid(*state, "ringwall: 1\n"
                                            "zones:\n"
                                            "  büro: [10.0.0.0/8, \"fd00::/8\"]\n");
        const Node *zones, *list;

        assert_int_equal(n->kind, NODE_MAPPING);
        assert_int_equal(n->n_entries, 2);
        zones = n->entries[1].value;
        assert_int_equal(zones->kind, NODE_MAPPING);
        assert_string_equal(zones->entries[0].key->text, "büro");
        list = zones->entries[0].value;
        assert_int_equal(list->n_items, 2);
        assert_int_equal(list->at.line, 3);
        assert_int_equal(list->at.column, 9);
        assert_int_equal(list->at.length, 24);
        assert_int_equal(list->items[1]->at.column, 22);
        assert_int_equal(list->items[1]->at.length, 10);
        assert_true(list->items[0]->plain);
        assert_false(list->items[1]->plain);
        assert_string_equal(list->items[1]->text, "fd00::/8");
}

static void words_stay_text_whatever_yaml_makes_of_them(void **state) {
        const Node *n = parse_valid(*state, "[22, 022, 0x16, 1e3, yes, ~, 22:22, 2030-01-01]");
        static const char *const words[] = {
                "22", "022", "0x16", "1e3", "yes", "~", "22:22", "2030-01-01",
        };

        assert_int_equal(n->n_items, ARRAY_SIZE(words));
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                assert_string_equal(n->items[i]->text, words[i]);
}

static void only_plain_words_are_booleans(void **state) {
        const Node *n = parse_valid(*state, "[yes, No, ON, off, true, FALSE, \"yes\", y, '', 1]");
        static const int expected[] = {1, 0, 1, 0, 1, 0, -1, -1, -1, -1};

        for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
                bool value = false, is = node_is_boolean(n->items[i], &value);

                unit_equal(n->items[i]->text, is ? value : -1, expected[i]);
        }
}

static void an_alias_shares_the_node_of_its_anchor(void **state) {
        const Node *n = parse_valid(*state, "a: &x [1, 2]\nb: *x\nc: &x 3\nd: *x\n");

        assert_ptr_equal(n->entries[0].value, n->entries[1].value);
        assert_ptr_equal(n->entries[2].value, n->entries[3].value);
}

static void aliases_count_with_all_that_they_stand_for(void **state) {
        const Node *n = parse_valid(*state, "a: &x [1, 2, 3]\nb: [*x, *x]\n");

        /* the mapping, the anchored list of four, the list of two such lists */
        assert_int_equal(n->size, 1 + 4 + 1 + 4 + 4);
        assert_int_equal(n->height, 4);
}

static void a_key_given_twice_is_reported_and_the_first_stays(void **state) {
        const char *error;
        Diag *d;
        const Node *n = parse(*state, "b: 1\na: 2\nb: 3\na: 4\nc: 5\nb: 6\n", &error, &d);

        assert_non_null(n);
        assert_int_equal(d->n_errors, 3);
        assert_string_equal(error, "'b' is given twice");
        assert_int_equal(d->messages[0].at.line, 3);
        assert_string_equal(d->messages[1].text, "first given here");
        assert_int_equal(d->messages[1].at.line, 1);
        assert_int_equal(d->messages[4].at.line, 6);
        assert_int_equal(d->messages[5].at.line, 1);
        assert_int_equal(n->n_entries, 3);
        assert_string_equal(n->entries[0].value->text, "1");
        assert_string_equal(n->entries[2].key->text, "c");
}

static void an_empty_value_is_told_from_an_empty_text(void **state) {
        const Node *n = parse_valid(*state, "a:\nb: \"\"\n");

        assert_true(node_is_empty(n->entries[0].value));
        assert_false(node_is_empty(n->entries[1].value));
}

static void long_words_are_shortened_for_messages(void **state) {
        const Node *n =
                parse_valid(*state, "[short, \"two\\nlines\", "
                                    "äääääääääääääääääääääääääääääääääääääääääääääääääääääää"
                                    "äääääääääääääääääääääääääääääääääääääää]");

        assert_string_equal(node_shown(*state, n->items[0]), "short");
        assert_string_equal(node_shown(*state, n->items[1]), "two lines");
        assert_int_equal(strlen(node_shown(*state, n->items[2])), 60 * 2 + strlen("…"));
}

// clang-format off
static const struct {
        const char *name, *text, *error;
        unsigned int line, column;
} mistakes[] = {
        { "nothing at all",        "",                    "this file is empty", 0, 0 },
        { "a comment alone",       "# x\n",               "this file is empty", 0, 0 },
        { "a document of nothing", "---\n",               "this file is empty", 0, 0 },
        { "two documents",         "a: b\n---\nc: d\n",   "a second document begins here", 2, 1 },
        { "a tab",                 "a:\n\tb: c\n",        "a tab cannot stand here", 2, 1 },
        { "a list for a key",      "? [a, b]\n: c\n",     "a key is a word, not a list", 1, 3 },
        { "a template's braces",   "a: {{ x }}\n",        "a key is a word, not a mapping", 1, 5 },
        { "a merge key",           "a: {<<: {b: c}}\n",
          "merge keys ('<<') are not taken here", 1, 5 },
        { "an alias in its anchor","a: &x [*x]\n",        "'*x' stands within itself", 1, 8 },
        { "an unknown alias",      "a: *x\n",
          "'*x' is an alias, but there is no anchor '&x' before it", 1, 4 },
        { "an open list",          "a: [b\nc: d\n",       "expected ',' or ']' here", 2, 2 },
        { "an open mapping",       "a: {b: c\n",          "expected ',' or '}' here", 2, 1 },
        { "an open quotation",     "a: \"b\nc: d\n",
          "this quotation mark is never closed", 1, 4 },
        { "a stray bracket",       "a: ]\n",              "']' closes nothing", 1, 4 },
        { "an unknown escape",     "a: \"\\q\"\n",        "this escape is unknown", 1, 5 },
        { "a NUL as an escape",    "a: \"\\0\"\n",
          "this text holds an invisible character, U+0000", 1, 4 },
        { "a tag",                 "a: !x b\n",
          "tags such as '!x' mean nothing here", 1, 4 },
};
// clang-format on

static void mistakes_are_reported_where_they_are(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
                const char *error;
                Diag *d;

                (void)parse(*state, mistakes[i].text, &error, &d);
                unit_string(mistakes[i].name, error, mistakes[i].error);
                unit_equal(mistakes[i].name, d->messages[0].at.line, mistakes[i].line);
                unit_equal(mistakes[i].name, d->messages[0].at.column, mistakes[i].column);
        }
}

/* A list in a list, `depth` lists in all. */
static char *nested(Arena *a, size_t depth) {
        char *text = arena_alloc(a, depth * 2 + 1);

        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        return text;
}

static void nesting_ends_at_its_limit(void **state) {
        const char *error;

        assert_int_equal(parse_valid(*state, nested(*state, NODE_DEPTH_MAX))->height,
                         NODE_DEPTH_MAX);
        assert_null(parse(*state, nested(*state, NODE_DEPTH_MAX + 1), &error, NULL));
        assert_string_equal(error, "nested more than 64 levels deep");
        assert_null(parse(*state, nested(*state, 10000), &error, NULL));
        assert_string_equal(error, "nested more than 64 levels deep");
}

static void aliases_cannot_nest_deeper_than_text(void **state) {
        const char *error, *inner = nested(*state, NODE_DEPTH_MAX - 1);
        const char *text = arena_printf(*state, "- &x %s\n- [*x]\n", inner);

        assert_null(parse(*state, text, &error, NULL));
        assert_string_equal(error, "nested more than 64 levels deep");
}

static void an_alias_bomb_is_one_clear_error(void **state) {
        const char *text = "a0: &a0 [x]\n", *error;
        Diag *d;

        for (int level = 1; level < 10; level++)
                text = arena_printf(*state, "%sa%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n",
                                    text, level, level, level - 1, level - 1, level - 1, level - 1,
                                    level - 1, level - 1);
        assert_null(parse(*state, text, &error, &d));
        assert_int_equal(d->n_errors, 1);
        assert_string_equal(error, "this file holds more than 2000000 values, its aliases counted");
}

static void without_memory_the_parser_says_so(void **state) {
        static const char text[] = "a: [b, c]\n";
        static const Source source = {.name = "x.yaml", .text = text, .size = sizeof(text) - 1};
        Arena *small = arena_new(256);
        const Node *n = NULL;

        assert_int_equal(node_parse(small, small, &source, &n, diag_new(*state)), -ENOMEM);
        assert_null(n);
        (void)arena_free(small);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(a_tree_remembers_where_each_part_stands),
                unit_arena_test(words_stay_text_whatever_yaml_makes_of_them),
                unit_arena_test(only_plain_words_are_booleans),
                unit_arena_test(an_alias_shares_the_node_of_its_anchor),
                unit_arena_test(aliases_count_with_all_that_they_stand_for),
                unit_arena_test(a_key_given_twice_is_reported_and_the_first_stays),
                unit_arena_test(an_empty_value_is_told_from_an_empty_text),
                unit_arena_test(long_words_are_shortened_for_messages),
                unit_arena_test(mistakes_are_reported_where_they_are),
                unit_arena_test(nesting_ends_at_its_limit),
                unit_arena_test(aliases_cannot_nest_deeper_than_text),
                unit_arena_test(an_alias_bomb_is_one_clear_error),
                unit_arena_test(without_memory_the_parser_says_so),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
