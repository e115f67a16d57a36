/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/rule_file.h"

#include "base/unit.h"
#include "policy/load_unit.h"

#define HEAD                                                                                       \
        "# Rules that `ringwall allow` and `ringwall deny` have written, a line each; `ringwall "  \
        "remove`\n"                                                                                \
        "# lists them, and takes them out. Whatever else stands here stays as it is.\n"            \
        "ringwall: 1\n"
#define NOW 1800000000 /* in 2027 */

static RuleFile read_text(Arena *a, const char *text) {
        Source source = {"50-cli.yaml", text, text ? strlen(text) : 0};
        Diag *d = diag_new(a);
        RuleFile file;

        if (rule_file_read(a, source, NOW, &file, d) < 0)
                fail_msg("%s", d->messages[0].text);
        return file;
}

static void set(Arena *a, FileRule *rule, RuleKey key, const char *text) {
        RuleWord word = {.text = text};

        assert_true(arena_append(a, rule->values[key].words, rule->values[key].n_words, word));
}

static FileRule make_rule(Arena *a, RuleVerb verb, const char *service, const char *from) {
        FileRule rule = {.verb = verb};

        set(a, &rule, RULE_KEY_SERVICES, service);
        if (from)
                set(a, &rule, RULE_KEY_FROM, from);
        return rule;
}

static const char *change(Arena *a, const RuleFile *file, const FileRule *comes) {
        const char *text;
        unsigned int line = 0;
        size_t size;
        Diag *d = diag_new(a);

        if (rule_file_change(a, file, comes, &text, &size, &line, d) < 0)
                fail_msg("%s", d->messages[0].text);
        assert_int_equal(strlen(text), size);
        if (comes) { /* it stands where it is said to */
                const char *at = text;

                for (unsigned int i = 1; i < line; i++)
                        at = strchr(at, '\n') + 1;
                at += strspn(at, " -");
                assert_true(startswith(at, file_rule_text(a, comes)));
        }
        return text;
}

static const char *add(Arena *a, const char *text, const FileRule *rule) {
        RuleFile file = read_text(a, text);

        return change(a, &file, rule);
}

/* Takes the rules of these numbers out; they count from 0. */
static const char *take_out(Arena *a, const char *text, size_t first, size_t last) {
        RuleFile file = read_text(a, text);

        assert_true(last < file.n_rules);
        for (size_t i = first; i <= last; i++)
                file.rules[i].goes = true;
        return change(a, &file, NULL);
}

static void the_first_rule_makes_the_file(void **state) {
        FileRule rule = make_rule(*state, RULE_ALLOW, "ssh", "lan");

        assert_string_equal(add(*state, NULL, &rule),
                            HEAD "\ninbound:\n  - { allow: ssh, from: lan }\n");
}

static void a_rule_comes_behind_the_others(void **state) {
        FileRule rule = make_rule(*state, RULE_DENY, "443/tcp", "203.0.113.0/24");
        static const struct {
                const char *name, *before, *after;
        } cases[] = {
                {"its own", "ringwall: 1\ninbound:\n  - { allow: ssh }\n",
                 "ringwall: 1\ninbound:\n  - { allow: ssh }\n"
                 "  - { deny: 443/tcp, from: 203.0.113.0/24 }\n"},
                {"no line's end", "ringwall: 1\ninbound:\n  - { allow: ssh }",
                 "ringwall: 1\ninbound:\n  - { allow: ssh }\n"
                 "  - { deny: 443/tcp, from: 203.0.113.0/24 }\n"},
                {"comments and other sections",
                 "ringwall: 1 # one\n\ninbound:\n# two\n  - { allow: ssh } # three\n\n  # four\n"
                 "zones:\n  lan: [10.0.0.0/8]\n# five\n",
                 "ringwall: 1 # one\n\ninbound:\n# two\n  - { allow: ssh } # three\n"
                 "  - { deny: 443/tcp, from: 203.0.113.0/24 }\n\n  # four\n"
                 "zones:\n  lan: [10.0.0.0/8]\n# five\n"},
                {"rules of several lines, not indented",
                 "inbound:\n- allow: ssh\n  from:\n    - lan\n\n    - vpn # here\n# there\n"
                 "ringwall: 1\n",
                 "inbound:\n- allow: ssh\n  from:\n    - lan\n\n    - vpn # here\n"
                 "- { deny: 443/tcp, from: 203.0.113.0/24 }\n# there\nringwall: 1\n"},
                {"no inbound yet", "ringwall: 1\nzones: { a: [10.0.0.0/8] } # a",
                 "ringwall: 1\nzones: { a: [10.0.0.0/8] } # a\n\ninbound:\n"
                 "  - { deny: 443/tcp, from: 203.0.113.0/24 }\n"},
                {"an empty list", "inbound: [] # none\nringwall: 1\n",
                 "inbound: # none\n  - { deny: 443/tcp, from: 203.0.113.0/24 }\nringwall: 1\n"},
                {"lines that end as elsewhere", "ringwall: 1\r\ninbound:\r\n  - { allow: ssh }\r\n",
                 "ringwall: 1\r\ninbound:\r\n  - { allow: ssh }\r\n"
                 "  - { deny: 443/tcp, from: 203.0.113.0/24 }\n"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                unit_string(cases[i].name, add(*state, cases[i].before, &rule), cases[i].after);
}

static void rules_go_and_everything_else_stays(void **state) {
        static const char text[] = "# head\nringwall: 1\ninbound:\n"
                                   "  # mine\n"
                                   "  - { allow: ssh }\n"
                                   "  - { allow: http, from: [lan, vpn] } # kept\n"
                                   "  - { allow: https }\n"
                                   "# foot\n";

        assert_string_equal(take_out(*state, text, 0, 0),
                            "# head\nringwall: 1\ninbound:\n  # mine\n"
                            "  - { allow: http, from: [lan, vpn] } # kept\n"
                            "  - { allow: https }\n# foot\n");
        assert_string_equal(take_out(*state, text, 2, 2),
                            "# head\nringwall: 1\ninbound:\n  # mine\n  - { allow: ssh }\n"
                            "  - { allow: http, from: [lan, vpn] } # kept\n# foot\n");
}

static void without_any_rule_an_empty_list_is_left_and_filled_again(void **state) {
        static const char text[] = "ringwall: 1\ninbound: # here\n  - { allow: ssh }\n"
                                   "  - { deny: http }\n# foot\n";
        FileRule rule = make_rule(*state, RULE_ALLOW, "ssh", NULL);
        const char *empty = take_out(*state, text, 0, 1);

        assert_string_equal(empty, "ringwall: 1\ninbound: [] # here\n# foot\n");
        assert_string_equal(add(*state, empty, &rule),
                            "ringwall: 1\ninbound: # here\n  - { allow: ssh }\n# foot\n");
}

static void one_goes_and_another_comes_at_once(void **state) {
        RuleFile file = read_text(*state, "ringwall: 1\ninbound:\n  - { deny: ssh, from: lan }\n");
        FileRule rule = make_rule(*state, RULE_ALLOW, "ssh", "lan");

        file.rules[0].goes = true;
        assert_string_equal(change(*state, &file, &rule),
                            "ringwall: 1\ninbound:\n  - { allow: ssh, from: lan }\n");
}

static void what_people_have_worded_is_theirs(void **state) {
        static const char *const lines[] = {
                "  - allow: ssh\n",
                "  - { allow: ssh } # for Tom\n",
                "  - {allow: ssh}\n",
                "  - { allow: 'ssh' }\n",
                "  - { from: lan, allow: ssh }\n",
                "  - { allow: ssh, name: mine }\n",
                "  - { allow: [ssh] }\n",
                "  -  { allow: ssh }\n",
                "  - { allow: ssh }  \n",
                "  -\n    { allow: ssh }\n",
        };

        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
                RuleFile file = read_text(*state, arena_printf(*state,
                                                               "ringwall: 1\ninbound:\n%s"
                                                               "  - { allow: http }\n",
                                                               lines[i]));
                unsigned int line;
                const char *text;
                size_t size;
                Diag *d = diag_new(*state);

                unit_equal(lines[i], file.n_rules, 2);
                unit_equal(lines[i], file.rules[0].is_own, false);
                unit_equal(lines[i], file.rules[1].is_own, true);
                file.rules[0].goes = true;
                unit_equal(lines[i], rule_file_change(*state, &file, NULL, &text, &size, &line, d),
                           -EBADMSG);
                unit_true(lines[i], strstr(d->messages[0].text, "people have written this rule"));
        }
}

static void what_could_be_lost_is_left_alone(void **state) {
        static const struct {
                const char *name, *text;
        } cases[] = {
                {"one line", "ringwall: 1\ninbound: [{ allow: ssh }]\n"},
                {"lines within brackets", "ringwall: 1\ninbound: [\n  { allow: ssh },\n  ]\n"},
                {"the long form", "ringwall: 1\ninbound: { default: drop, rules: [] }\n"},
                {"a word", "ringwall: 1\ninbound: drop\n"},
                {"all within braces", "{ ringwall: 1 }\n"},
                {"a document's end", "ringwall: 1\n...\n"},
                {"no list", "ringwall: 1\ninbound:\n"},
                {"no policy", "- ringwall: 1\n"},
                {"a key twice", "ringwall: 1\ninbound: []\ninbound: []\n"},
                {"no YAML", "ringwall: [1\n"},
                {"nothing", ""},
                {"another empty list", "ringwall: 1\ninbound: [ ]\n"},
                {"an anchor", "ringwall: 1\nzones: &a {}\ninbound: &b [ ]\nservices: *a\n"},
        };
        FileRule rule = make_rule(*state, RULE_ALLOW, "ssh", NULL);

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                Source source = {"50-cli.yaml", cases[i].text, strlen(cases[i].text)};
                Diag *d = diag_new(*state);
                unsigned int line;
                const char *text;
                size_t size;
                RuleFile file;
                int r = rule_file_read(*state, source, NOW, &file, d);

                if (r == 0)
                        r = rule_file_change(*state, &file, &rule, &text, &size, &line, d);
                unit_equal(cases[i].name, r, -EBADMSG);
                unit_true(cases[i].name, d->n_errors > 0);
        }
}

static void rules_that_are_over_are_known(void **state) {
        RuleFile file = read_text(*state, "ringwall: 1\ninbound:\n"
                                          "  - { allow: ssh, until: \"2020-01-31 18:00:00Z\" }\n"
                                          "  - { allow: ssh, until: \"2031-01-31 18:00:00Z\" }\n"
                                          "  - { allow: ssh, until: 2020-01-31 }\n"
                                          "  - { allow: ssh }\n");
        static const bool over[] = {true, false, true, false};
        static const bool own[] = {true, true, true, true};

        for (size_t i = 0; i < file.n_rules; i++) {
                assert_int_equal(file.rules[i].is_over, over[i]);
                assert_int_equal(file.rules[i].is_own, own[i]);
        }
}

static void every_word_comes_back_as_it_was(void **state) {
        static const char *const words[] = {"lan", "yes",       "No",  "~",    "null",
                                            "",    "a b",       "\"",  "\\",   "a: b",
                                            "#x",  "fd00::/64", "- a", "br-*", "*",
                                            "{",   "10",        "1.5", "a,b",  "'",
                                            "\\n", "ü",         "&a",  "!x",   "8000-8010/tcp"};

        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
                FileRule rule = make_rule(*state, RULE_ALLOW, words[i], words[i]);
                RuleFile file;

                set(*state, &rule, RULE_KEY_FROM, "second");
                file = read_text(*state, add(*state, NULL, &rule));
                unit_equal(words[i], file.n_rules, 1);
                unit_true(words[i], file.rules[0].is_own);
                unit_true(words[i], file_rule_equal(&file.rules[0], &rule));
        }
}

static void what_is_written_is_a_policy(void **state) {
        FileRule rule = make_rule(*state, RULE_ALLOW, "ssh", "10.0.0.0/8");
        const PolicyRule *read;

        set(*state, &rule, RULE_KEY_SERVICES, "8000-8010/tcp");
        set(*state, &rule, RULE_KEY_FROM, "fd00::/64");
        set(*state, &rule, RULE_KEY_TO, "10.0.0.1");
        set(*state, &rule, RULE_KEY_EXCEPT, "10.9.0.0/16");
        set(*state, &rule, RULE_KEY_IN, "eth*");
        set(*state, &rule, RULE_KEY_LIMIT, "10/minute burst 20 per source");
        set(*state, &rule, RULE_KEY_CONNECTIONS, "3");
        set(*state, &rule, RULE_KEY_LOG, "yes");
        set(*state, &rule, RULE_KEY_UNTIL, "2031-01-31 18:00:00+01:00");
        assert_string_equal(
                file_rule_text(*state, &rule),
                "{ allow: [ssh, 8000-8010/tcp], from: [10.0.0.0/8, \"fd00::/64\"], to: 10.0.0.1, "
                "except: 10.9.0.0/16, in: \"eth*\", limit: \"10/minute burst 20 per source\", "
                "connections: 3, log: yes, until: \"2031-01-31 18:00:00+01:00\" }");
        assert_string_equal(file_rule_describe(*state, &rule),
                            "allow ssh, 8000-8010/tcp from 10.0.0.0/8, fd00::/64 to 10.0.0.1 "
                            "except 10.9.0.0/16 in eth* limit 10/minute burst 20 per source "
                            "connections 3 log yes until 2031-01-31 18:00:00+01:00");
        read = load(*state, add(*state, NULL, &rule))->sections[SECTION_INBOUND].rules;
        assert_int_equal(read->limit.burst, 20);
        assert_true(read->log && !read->log_word);
        assert_int_equal(read->until, 1927645200);
}

static void order_makes_no_other_rule(void **state) {
        FileRule a = make_rule(*state, RULE_ALLOW, "ssh", "lan");
        FileRule b = make_rule(*state, RULE_DENY, "https", "vpn");
        FileRule c = make_rule(*state, RULE_ALLOW, "ssh", "lan");

        set(*state, &a, RULE_KEY_SERVICES, "https");
        set(*state, &a, RULE_KEY_FROM, "vpn");
        set(*state, &b, RULE_KEY_SERVICES, "ssh");
        set(*state, &b, RULE_KEY_FROM, "lan");
        set(*state, &b, RULE_KEY_UNTIL, "2031-01-31");
        assert_true(file_rule_is_about(&a, &b) && file_rule_is_about(&b, &a));
        assert_false(file_rule_equal(&a, &b));
        assert_false(file_rule_is_about(&a, &c) || file_rule_is_about(&c, &a));
}

static void a_column_leads_back_to_the_word(void **state) {
        FileRule rule = make_rule(*state, RULE_ALLOW, "ssh", "ä b");
        Source line = {"command line", "allow ssh from ...", 18};
        const char *text = file_rule_text(*state, &rule); /* { allow: ssh, from: "ä b" } */

        rule.values[RULE_KEY_SERVICES].words[0].at = (Span){&line, 1, 7, 3};
        rule.values[RULE_KEY_FROM].words[0].at = (Span){&line, 1, 16, 3};
        assert_string_equal(text, "{ allow: ssh, from: \"ä b\" }");
        assert_int_equal(file_rule_find(&rule, 3).column, 7);
        assert_int_equal(file_rule_find(&rule, 10).column, 7);
        assert_int_equal(file_rule_find(&rule, 12).column, 7);
        assert_int_equal(file_rule_find(&rule, 15).column, 16);
        assert_int_equal(file_rule_find(&rule, 21).column, 16);
        assert_int_equal(file_rule_find(&rule, 25).column, 16);
        assert_null(file_rule_find(&rule, 13).source);
        assert_null(file_rule_find(&rule, 26).source);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(the_first_rule_makes_the_file),
                unit_arena_test(a_rule_comes_behind_the_others),
                unit_arena_test(rules_go_and_everything_else_stays),
                unit_arena_test(without_any_rule_an_empty_list_is_left_and_filled_again),
                unit_arena_test(one_goes_and_another_comes_at_once),
                unit_arena_test(what_people_have_worded_is_theirs),
                unit_arena_test(what_could_be_lost_is_left_alone),
                unit_arena_test(rules_that_are_over_are_known),
                unit_arena_test(every_word_comes_back_as_it_was),
                unit_arena_test(what_is_written_is_a_policy),
                unit_arena_test(order_makes_no_other_rule),
                unit_arena_test(a_column_leads_back_to_the_word),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
