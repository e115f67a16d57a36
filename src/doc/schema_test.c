/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/unit.h"
#include "doc/schema.h"

typedef struct Target {
        const NodeEntry *name;
        bool open;
} Target;

// clang-format off
static const SchemaField fields[] = {
        {"name", schema_decode_entry, offsetof(Target, name), SCHEMA_REQUIRED, "say 'name: x'"},
        {"open", schema_decode_boolean, offsetof(Target, open), 0, "whether it is open"},
        {"speed", NULL, 0, SCHEMA_LATER, "how fast it is"},
        {"size", NULL, 0, SCHEMA_ELSEWHERE, "boxes have a size, doors have none"},
};
// clang-format on

static const Schema schema = {"a door", fields, ARRAY_SIZE(fields), "{ name: x }"};

static int decode(Arena *a, const char *text, Target *ret, Diag **ret_d) {
        Source *source = arena_new0(a, Source);
        const Node *n;

        *source = (Source){.name = "x.yaml", .text = text, .size = strlen(text)};
        *ret_d = diag_new(a);
        *ret = (Target){0};
        assert_int_equal(node_parse(a, a, source, &n, *ret_d), 0);
        return schema_decode(&schema, n, NULL, ret, *ret_d);
}

static void members_are_filled_by_their_keys(void **state) {
        Target t;
        Diag *d;

        assert_int_equal(decode(*state, "{open: yes, name: front}", &t, &d), 0);
        assert_true(t.open);
        assert_string_equal(t.name->value->text, "front");
        assert_int_equal(d->n_messages, 0);
}

static void members_whose_keys_are_absent_stay(void **state) {
        Target t;
        Diag *d;

        assert_int_equal(decode(*state, "{name: front}", &t, &d), 0);
        assert_false(t.open);
}

// clang-format off
static const struct {
        const char *text, *error, *hint;
        unsigned int column;
} mistakes[] = {
        { "{nme: x, name: y}",     "'nme' is no key of a door", "did you mean 'name'?", 2 },
        { "{name: y, colour: x}",  "'colour' is no key of a door",
          "a door is written { name: x }", 11 },
        { "{name: y, no: x}",      "'no' is no key of a door",
          "YAML takes 'no' for a boolean", 11 },
        { "{open: yes}",           "a door needs 'name'", "say 'name: x'", 1 },
        { "{name: x, open: door}", "'open' is yes or no, not 'door'", NULL, 17 },
        { "{name: x, open: 'on'}", "'open' is yes or no, not 'on'", NULL, 17 },
        { "{name: x, open: [a]}",  "'open' is yes or no, not a list", NULL, 17 },
        { "{name: x, open: }",     "'open' has no value", NULL, 11 },
        { "{name: x, speed: 1}",   "'speed' is not built yet",
          "a later release brings it; until then, take it out", 11 },
        { "{name: x, size: 1}",    "'size' has no place in a door",
          "boxes have a size, doors have none", 11 },
        { "[name, x]",             "expected a door, found a list",
          "a door is written { name: x }", 1 },
        { "front",                 "expected a door, found a word",
          "a door is written { name: x }", 1 },
};
// clang-format on

static void mistakes_are_reported_at_their_places_with_hints(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
                const char *row = mistakes[i].text;
                Target t;
                Diag *d;

                unit_equal(row, decode(*state, row, &t, &d), -EBADMSG);
                unit_equal(row, d->n_errors, 1);
                unit_string(row, d->messages[0].text, mistakes[i].error);
                unit_string(row, d->messages[0].hint, mistakes[i].hint);
                unit_equal(row, d->messages[0].at.column, mistakes[i].column);
        }
}

static void one_run_reports_every_mistake(void **state) {
        Target t;
        Diag *d;

        assert_int_equal(decode(*state, "{opn: yes, speed: 1, size: 2, open: 3}", &t, &d),
                         -EBADMSG);
        assert_int_equal(d->n_errors, 5);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(members_are_filled_by_their_keys),
                unit_arena_test(members_whose_keys_are_absent_stay),
                unit_arena_test(mistakes_are_reported_at_their_places_with_hints),
                unit_arena_test(one_run_reports_every_mistake),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
