/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/catalogue.h"

#include "base/file.h"
#include "base/unit.h"
#include "policy/policy.h"

/* Room for one more byte behind it. */
static Source read_catalogue(Arena *a) {
        Source source = {.name = SOURCE_ROOT "/policies/catalogue.yaml"};
        char *text;

        assert_int_equal(file_read(a, source.name, POLICY_FILE_MAX, &text, &source.size), 0);
        source.text = text;
        return source;
}

static void compare(const Node *replayed, const Node *parsed) {
        assert_int_equal(replayed->kind, parsed->kind);
        assert_int_equal(replayed->plain, parsed->plain);
        assert_int_equal(replayed->height, parsed->height);
        assert_int_equal(replayed->size, parsed->size);
        assert_ptr_equal(replayed->at.source, parsed->at.source);
        assert_int_equal(replayed->at.line, parsed->at.line);
        assert_int_equal(replayed->at.column, parsed->at.column);
        assert_int_equal(replayed->at.length, parsed->at.length);
        assert_int_equal(replayed->n_items, parsed->n_items);
        assert_int_equal(replayed->n_entries, parsed->n_entries);
        if (parsed->kind == NODE_SCALAR)
                assert_string_equal(replayed->text, parsed->text);
        for (size_t i = 0; i < parsed->n_items; i++)
                compare(replayed->items[i], parsed->items[i]);
        for (size_t i = 0; i < parsed->n_entries; i++) {
                compare(replayed->entries[i].key, parsed->entries[i].key);
                compare(replayed->entries[i].value, parsed->entries[i].value);
        }
}

static void replays_the_tree_that_the_parser_makes_of_it(void **state) {
        Source source = read_catalogue(*state);
        const Node *replayed, *parsed;
        Diag *d = diag_new(*state);

        assert_int_equal(recording_replay(*state, &catalogue_recording, &source, &replayed), 1);
        assert_int_equal(node_parse(*state, *state, &source, &parsed, d), 0);
        assert_int_equal(d->n_messages, 0);
        assert_int_equal(parsed->kind, NODE_MAPPING);
        compare(replayed, parsed);
}

static void knows_nothing_of_a_catalogue_that_differs(void **state) {
        Source source = read_catalogue(*state), other = source;
        char *text = arena_strndup(*state, source.text, source.size);
        const Node *n;

        assert_non_null(text);
        other.text = text;
        for (size_t i = 0; i < source.size; i += 997) {
                text[i] ^= 1;
                assert_int_equal(recording_replay(*state, &catalogue_recording, &other, &n), 0);
                text[i] ^= 1;
        }
        assert_int_equal(recording_replay(*state, &catalogue_recording, &other, &n), 1);
        other.size--;
        assert_int_equal(recording_replay(*state, &catalogue_recording, &other, &n), 0);
        other.size = 0;
        assert_int_equal(recording_replay(*state, &catalogue_recording, &other, &n), 0);
}

static void obeys_the_file_and_not_what_was_recorded(void **state) {
        Source source = read_catalogue(*state), nothing = {"policy", "ringwall: 1\n", 12};
        char *text = arena_strndup(*state, source.text, source.size), *port;
        Policy *p;

        assert_non_null(text);
        source.text = text;
        port = strstr(text, "  ssh: { tcp: 22 }");
        assert_non_null(port);
        memcpy(port, "  ssh: { tcp: 23 }", strlen("  ssh: { tcp: 23 }"));
        assert_int_equal(policy_load_text(*state, source, nothing, &p, diag_new(*state)), 0);
        assert_int_equal(policy_find_service(p, "ssh")->set.tcp.items[0].low.low, 23);
}

static void is_refused_without_memory(void **state) {
        Source source = read_catalogue(*state);
        _cleanup_(arena_freep) Arena *little = arena_new(10000);
        const Node *n;

        assert_int_equal(recording_replay(little, &catalogue_recording, &source, &n), -ENOMEM);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(replays_the_tree_that_the_parser_makes_of_it),
                unit_arena_test(knows_nothing_of_a_catalogue_that_differs),
                unit_arena_test(obeys_the_file_and_not_what_was_recorded),
                unit_arena_test(is_refused_without_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
