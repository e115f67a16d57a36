/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/rule_words.h"

#include <time.h>

#include "base/unit.h"

#define NOW 1800000000 /* 2027-01-15 08:00:00 UTC */

static int parse(Arena *a, const char *said, FileRule *ret, bool *ret_has_verb, Diag *d) {
        Source *line = arena_new0(a, Source);
        RuleCommand command = said[0] == 'a'   ? RULE_COMMAND_ALLOW
                              : said[0] == 'd' ? RULE_COMMAND_DENY
                                               : RULE_COMMAND_REMOVE;

        assert_non_null(line);
        *line = (Source){"command line", said, strlen(said)};
        return rule_words_parse(a, line, command, NOW, ret, ret_has_verb, d);
}

static void words_become_a_rule(void **state) {
        static const struct {
                const char *said, *text;
        } cases[] = {
                {"allow ssh", "{ allow: ssh }"},
                {"deny any from 203.0.113.9", "{ deny: any, from: 203.0.113.9 }"},
                {"allow ssh,https , 8000-8010/tcp from lan,vpn",
                 "{ allow: [ssh, https, 8000-8010/tcp], from: [lan, vpn] }"},
                {"allow ssh in eth0 to 10.0.0.1 from fd00::/64 except lan",
                 "{ allow: ssh, from: \"fd00::/64\", to: 10.0.0.1, except: lan, in: eth0 }"},
                {"allow ssh limit 10/minute burst 20 per source connections 3 per source",
                 "{ allow: ssh, limit: \"10/minute burst 20 per source\", connections: \"3 per "
                 "source\" }"},
                {"allow ssh log", "{ allow: ssh, log: yes }"},
                {"allow ssh log from lan", "{ allow: ssh, from: lan, log: yes }"},
                {"allow ssh log SSH from lan", "{ allow: ssh, from: lan, log: SSH }"},
                {"allow ssh until 2030-01-31 18:00", "{ allow: ssh, until: \"2030-01-31 18:00\" }"},
                {"remove ssh from lan", "{ allow: ssh, from: lan }"},
                {"remove ssh until 2020-01-01", "{ allow: ssh, until: 2020-01-01 }"},
                {"remove deny ssh from lan", "{ deny: ssh, from: lan }"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                Diag *d = diag_new(*state);
                bool has_verb;
                FileRule rule;

                if (parse(*state, cases[i].said, &rule, &has_verb, d) < 0)
                        fail_msg("%s: %s", cases[i].said, d->messages[0].text);
                unit_string(cases[i].said, file_rule_text(*state, &rule), cases[i].text);
                unit_equal(cases[i].said, has_verb, !startswith(cases[i].said, "remove ssh"));
        }
}

static void a_time_becomes_a_moment(void **state) {
        static const struct {
                const char *said, *zone, *until;
        } cases[] = {
                {"allow ssh for 1h", "UTC", "2027-01-15 09:00:00+00:00"},
                {"allow ssh for 1h30m", "UTC", "2027-01-15 09:30:00+00:00"},
                {"allow ssh for 90 seconds", "UTC", "2027-01-15 08:01:30+00:00"},
                {"allow ssh for 2 days 1 hour from lan", "UTC", "2027-01-17 09:00:00+00:00"},
                {"allow ssh for 1w", "UTC", "2027-01-22 08:00:00+00:00"},
                {"allow ssh for 1h", "CET-1", "2027-01-15 10:00:00+01:00"},
                {"allow ssh for 1h", "NST3:30", "2027-01-15 05:30:00-03:30"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                Diag *d = diag_new(*state);
                bool has_verb;
                FileRule rule;

                assert_int_equal(setenv("TZ", cases[i].zone, true), 0);
                tzset();
                if (parse(*state, cases[i].said, &rule, &has_verb, d) < 0)
                        fail_msg("%s: %s", cases[i].said, d->messages[0].text);
                unit_string(cases[i].said, rule.values[RULE_KEY_UNTIL].words[0].text,
                            cases[i].until);
        }
        assert_int_equal(unsetenv("TZ"), 0);
}

static void what_is_wrong_is_told_with_its_place(void **state) {
        static const struct {
                const char *said;
                unsigned int column;
                const char *error, *hint;
        } cases[] = {
                {"allow", 7, "a service or a port is missing here", NULL},
                {"allow from lan", 7, "a service or a port is missing here",
                 "what it is about comes first: allow ssh from lan"},
                {"allow ssh,", 12, "a service or a port is missing here", NULL},
                {"allow ssh, from lan", 12, "a service or a port is missing here", NULL},
                {"allow ssh from", 16, "a zone or an address is missing here", NULL},
                {"allow ssh from in eth0", 16, "a zone or an address is missing here", NULL},
                {"allow ssh form lan", 11, "'form' has no place here", "did you mean 'from'?"},
                {"allow ssh https", 11, "'https' has no place here",
                 "a list is written with commas: ssh, https"},
                {"allow ssh on eth0", 11, "'on' has no place here", "did you mean 'in'?"},
                {"allow ssh out eth0", 11, "'out' has no place here",
                 "these are rules of inbound; those of outbound and routed: ringwall edit"},
                {"allow 22", 7, "'22' says no protocol", "a port is written 22/tcp or 22/udp"},
                {"allow ssh from lan from vpn", 20, "'from' is said already", NULL},
                {"allow ssh for 1h until 2030-01-31", 18,
                 "'for' and 'until' both say when it ends: one of them will do", NULL},
                {"allow ssh for 1h for 2h", 18, "'for' is said already", NULL},
                {"allow ssh until 2020-01-01", 17, "'2020-01-01' is over already",
                 "a rule is until a moment to come, or for a while: for 1h"},
                {"allow ssh\n", 10, "a line break has no place in a rule",
                 "it is said in one line, with blanks between its words"},
                {"allow ssh\tfrom lan", 10, "a tab has no place in a rule",
                 "it is said in one line, with blanks between its words"},
                {"allow ssh for ever", 15, "'ever' is not a time",
                 "it is written 30m, 1h, 2d or 1h30m"},
                {"allow ssh for 1", 15, "'1' is not a time", "it is written 30m, 1h, 2d or 1h30m"},
                {"allow ssh for 0s", 15, "a rule can be for a second to ten years", NULL},
                {"allow ssh for 99999999999999999999w", 15,
                 "a rule can be for a second to ten years", NULL},
                {"allow ssh for", 15, "a time such as 1h is missing here", NULL},
                {"allow s\x01h", 8, NULL, NULL},
                {"allow \xff", 7, NULL, NULL},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                Diag *d = diag_new(*state);
                bool has_verb;
                FileRule rule;

                unit_equal(cases[i].said, parse(*state, cases[i].said, &rule, &has_verb, d),
                           -EBADMSG);
                unit_equal(cases[i].said, d->n_errors, 1);
                unit_equal(cases[i].said, d->messages[0].at.column, cases[i].column);
                if (cases[i].error)
                        unit_string(cases[i].said, d->messages[0].text, cases[i].error);
                if (cases[i].error)
                        unit_string(cases[i].said, d->messages[0].hint, cases[i].hint);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                unit_arena_test(words_become_a_rule),
                unit_arena_test(a_time_becomes_a_moment),
                unit_arena_test(what_is_wrong_is_told_with_its_place),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
