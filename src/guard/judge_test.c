/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/judge.h"

#include "base/unit.h"

#define INET 1 /* NFPROTO_INET and NFPROTO_IPV4, linux/netfilter.h */
#define IPV4 2

static const WorldTable ours = {.family = INET, .name = "ringwall"},
                        siege = {.family = INET, .name = "ringwall_shut"},
                        docker = {.family = IPV4, .name = "nat"},
                        odd = {.family = IPV4, .name = "a\nb"};
static const WorldChain inbound = {.table = &ours, .name = "inbound"},
                        published = {.table = &docker, .name = "DOCKER"},
                        shut = {.table = &siege, .name = "input"},
                        strange = {.table = &odd, .name = "\x1b[2J"};
static const WorldRule allow = {.handle = 5, .comment = "policy.yaml:3: allow https"},
                       dnat = {.handle = 12}, drop = {.handle = 7};
static const WorldNat nat = {0};
static WorldExpr set_port[] = {{.kind = WORLD_SET_PAYLOAD}};
static const WorldRule mangle = {.handle = 9, .exprs = set_port, .n_exprs = 1};

static WorldExpr send_on[] = {{.kind = WORLD_SET_PAYLOAD}, {.kind = WORLD_FORWARD}};
static const WorldRule turn = {.handle = 4, .exprs = send_on, .n_exprs = 2};

static const WorldStep translates = {&published, &dnat, {.kind = WORLD_ACCEPT}, &nat},
                       admits = {&inbound, &allow, {.kind = WORLD_ACCEPT}, NULL},
                       policy = {&inbound, NULL, {.kind = WORLD_DROP}, NULL},
                       refuses = {&strange, &drop, {.kind = WORLD_DROP}, NULL},
                       shuts = {&shut, &drop, {.kind = WORLD_DROP}, NULL},
                       turns = {&published, &turn, {.kind = WORLD_STOLEN}, NULL},
                       rewrites = {&strange, &mangle, {.kind = WORLD_CONTINUE}, NULL};

static void a_step_is_told_in_one_line_whatever_names_it_has(void **state) {
        assert_string_equal(judge_describe_step(*state, &translates),
                            "ip nat, chain DOCKER: rule with handle 12: translates");
        assert_string_equal(
                judge_describe_step(*state, &turns),
                "ip nat, chain DOCKER: rule with handle 4: sends it on past all others");
        assert_string_equal(judge_describe_step(*state, &admits),
                            "inet ringwall, chain inbound: \"policy.yaml:3: allow https\": accept");
        assert_string_equal(judge_describe_step(*state, &policy),
                            "inet ringwall, chain inbound: its policy: drop");
        assert_string_equal(judge_describe_step(*state, &refuses),
                            "ip a?b, chain ?[2J: rule with handle 7: drop");
}

static void
what_lets_in_is_another_programs_translation_and_what_refuses_the_last_step(void **state) {
        const WorldStep in[] = {translates, admits}, out[] = {translates, admits, refuses};
        const VerifyAnswer let_in = {.claim = VERIFY_PROTECTED, .steps = in, .n_steps = 2},
                           refused = {.claim = VERIFY_ALWAYS, .steps = out, .n_steps = 3},
                           own = {.claim = VERIFY_PROTECTED, .steps = in + 1, .n_steps = 1},
                           unknown = {.claim = VERIFY_PROTECTED};

        assert_ptr_equal(judge_culprit(&let_in), &in[0]);
        assert_ptr_equal(judge_culprit(&refused), &out[2]);
        assert_ptr_equal(judge_culprit(&own), &in[1]);
        assert_null(judge_culprit(&unknown));
}

static void what_ringwall_refuses_behind_a_translation_is_the_translations_doing(void **state) {
        const WorldStep out[] = {translates, policy}, alone[] = {policy};
        const VerifyAnswer led_away = {.claim = VERIFY_ALWAYS, .steps = out, .n_steps = 2},
                           refused = {.claim = VERIFY_ALWAYS, .steps = alone, .n_steps = 1};

        assert_ptr_equal(judge_culprit(&led_away), &out[0]);
        assert_ptr_equal(judge_culprit(&refused), &alone[0]);
}

static void what_rewrites_is_told_of_before_what_translates_the_rest(void **state) {
        const WorldStep in[] = {rewrites, translates, admits};
        const VerifyAnswer let_in = {.claim = VERIFY_PROTECTED, .steps = in, .n_steps = 3};

        assert_ptr_equal(judge_culprit(&let_in), &in[0]);
}

static void what_sends_on_by_loopback_is_told_of_before_what_lets_in_there(void **state) {
        const WorldStep in[] = {turns, admits};
        const VerifyAnswer let_in = {.claim = VERIFY_PROTECTED, .steps = in, .n_steps = 2};

        assert_ptr_equal(judge_culprit(&let_in), &in[0]);
        assert_string_equal(judge_remedy(*state, &in[0]), "nft delete rule ip nat DOCKER handle 4");
}

static void only_another_programs_rule_is_to_be_taken_out(void **state) {
        assert_string_equal(judge_remedy(*state, &translates),
                            "nft delete rule ip nat DOCKER handle 12");
        assert_null(judge_remedy(*state, &admits));
        assert_null(judge_remedy(*state, &policy));
        assert_null(judge_remedy(*state, &shuts));
        assert_null(judge_remedy(*state, &refuses)); /* not for a shell */
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                unit_arena_test(a_step_is_told_in_one_line_whatever_names_it_has),
                unit_arena_test(
                        what_lets_in_is_another_programs_translation_and_what_refuses_the_last_step),
                unit_arena_test(
                        what_ringwall_refuses_behind_a_translation_is_the_translations_doing),
                unit_arena_test(what_rewrites_is_told_of_before_what_translates_the_rest),
                unit_arena_test(what_sends_on_by_loopback_is_told_of_before_what_lets_in_there),
                unit_arena_test(only_another_programs_rule_is_to_be_taken_out),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
